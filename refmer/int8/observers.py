"""Static ranges of activations: what was seen while calibration clips went through.

An observer is a function of its own range so far and an array, `low, high = observer(range, x)`, starting from None, so that
nothing but two numbers is kept. Not a number and infinite in the calibration data is an error.
"""

import numpy as np


def min_max(seen, x):
    """The least and greatest of everything: nothing saturates, and one far value makes the step coarse."""
    low, high = _finite(x).min(), x.max()
    return (float(low), float(high)) if seen is None else (min(seen[0], float(low)), max(seen[1], float(high)))


def percentile(seen, x, share=99.9):
    """Between the quantiles of the middle `share` percent of each array, widened by later ones: the tails saturate."""
    if not 0 < share <= 100:
        raise ValueError(f"share is {share}; accepted: above 0, up to 100 percent")
    return min_max(seen, np.percentile(_finite(x), [50 - share / 2, 50 + share / 2]))


def moving_average(seen, x, momentum=0.9):
    """Least and greatest, averaged over arrays: new = momentum old + (1 - momentum) seen now."""
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; accepted: 0 <= momentum < 1")
    now = min_max(None, x)
    return now if seen is None else tuple(momentum * old + (1 - momentum) * new for old, new in zip(seen, now, strict=True))


OBSERVERS = {"min-max": min_max, "percentile": percentile, "moving average": moving_average}


def _finite(x):
    if x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"the calibration data (shape {x.shape}) is empty or not finite; accepted: finite numbers")
    return x
