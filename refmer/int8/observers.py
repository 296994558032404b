"""Observers of the ranges of activations over calibration clips.

An observer is a function `low, high = observer(range, x)` of the range so far (first None) and an array. Values that are not
finite are an error.
"""

import numpy as np


def min_max(ends, x):
    """Extend the range to the least and greatest value: nothing saturates, but one outlier makes the step coarse."""
    low, high = float(_finite(x).min()), float(x.max())
    return (low, high) if ends is None else (min(ends[0], low), max(ends[1], high))


def percentile(ends, x, share=99.9):
    """Extend the range to the quantiles of the middle `share` percent of the array: the tails saturate."""
    if not 0 < share <= 100:
        raise ValueError(f"share is {share}; accepted: above 0, up to 100 percent")
    return min_max(ends, np.percentile(_finite(x), [50 - share / 2, 50 + share / 2]))


def moving_average(ends, x, momentum=0.9):
    """Average least and greatest values over arrays: new = momentum old + (1 - momentum) current."""
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; accepted: 0 <= momentum < 1")
    now = min_max(None, x)
    return now if ends is None else tuple(momentum * old + (1 - momentum) * new for old, new in zip(ends, now, strict=True))


OBSERVERS = {"min-max": min_max, "percentile": percentile, "moving average": moving_average}


def _finite(x):
    if x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"the calibration data (shape {x.shape}) is empty or not finite; accepted: finite numbers")
    return x
