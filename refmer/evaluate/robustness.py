"""Four summaries of a curve of scores under growing corruption.

A curve is an array (..., L): scores at L levels, the first of them clean; leading axes (seeds) are kept. The unit is that of
the score, more is better but for `drop`. Literature uses "relative" and "effective robustness" for different summaries:
MultiBench's relative is `auc_robustness`, its effective `effective_vs_baseline`; Taori et al. (2020) call a difference of
shifted scores, `gain_under_noise`, relative. MultiBench then rescales both; here they stay absolute.
"""

import numpy as np

from refmer.choices import floats


def auc_robustness(scores, levels):
    """Area under the curve by trapezoids, divided by the range of the levels: the mean score over the sweep.

    Parameters
    ----------
    scores : array (..., L)
    levels : array (L,)
        Ascending, e.g. 0, 0.1, ..., 1.

    Returns
    -------
    array (...)

    Raises
    ------
    ValueError
        Less than two levels, levels that do not ascend or do not fit the scores.
    """
    (scores,), levels = _curves(scores), np.asarray(levels, np.float64)
    if levels.shape != scores.shape[-1:] or not (np.diff(levels) > 0).all():
        raise ValueError(f"levels are {levels.tolist()}; accepted: {scores.shape[-1]} ascending numbers")
    return np.trapezoid(scores, levels, axis=-1) / (levels[-1] - levels[0])


def effective_vs_baseline(scores, baseline):
    """Sum over levels s of f(s) - (b(s) + f(0) - b(0)): the gain over a baseline b that is raised to the same clean score.

    A sum, as in MultiBench (b is its late fusion): it grows with the number of levels. With two levels, clean and corrupted,
    it is the gain under noise equalised for the difference on clean inputs. Arrays and errors as for `gain_under_noise`.
    """
    scores, baseline = _curves(scores, baseline)
    gain = scores - baseline
    return (gain - gain[..., :1]).sum(-1)


def drop(scores):
    """f(first level) - f(last level), (...): the cost of the strongest corruption; less is better. Errors as above."""
    (scores,) = _curves(scores)
    return scores[..., 0] - scores[..., -1]


def gain_under_noise(scores, baseline):
    """f(last level) - b(last level): the lead over a baseline under the strongest corruption, clean scores ignored.

    The "+3.6" of paper 000, IV-D. A system that is better on clean inputs gains here even if it loses as much as the baseline:
    see `effective_vs_baseline`.

    Parameters
    ----------
    scores, baseline : array (..., L)

    Returns
    -------
    array (...)

    Raises
    ------
    ValueError
        Less than two levels, different shapes.
    """
    scores, baseline = _curves(scores, baseline)
    return scores[..., -1] - baseline[..., -1]


def _curves(*curves):
    """Float arrays of one shape (..., L), checked."""
    curves = floats(**dict(zip(("scores", "baseline"), curves, strict=False)))
    shapes = {curve.shape for curve in curves}
    if len(shapes) > 1 or not curves[0].ndim or curves[0].shape[-1] < 2 or not all(np.isfinite(c).all() for c in curves):
        given = " and ".join(str(curve.shape) for curve in curves)
        raise ValueError(f"scores have shape {given}; accepted: one shape (..., L) of finite numbers, L at least 2")
    return curves
