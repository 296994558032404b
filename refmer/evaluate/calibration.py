"""Brier scores, reliability curves, expected calibration errors: less is better throughout.

A probability is calibrated if, of all answers given with probability p, a share p is right.
"""

import numpy as np

from refmer.choices import floats


def brier_labels(y, p):
    """Mean squared error over all clips and labels, in [0, 1]: (1 / NK) sum (p - y)^2 (paper 004, IV).

    Brier (1950) divides by N only. Of a single label, y and p (N,), it is scikit-learn's brier_score_loss. It is no measure of
    calibration alone: it also falls when answers are more certain and right (scikit-learn issue 10883).

    Parameters
    ----------
    y, p : array (N, K) or (N,)
        The labels of each clip, 0 or 1, any number of them; their probabilities.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        No clip, different shapes, y other than 0 and 1, p outside [0, 1].
    """
    y, p = _labels(y, p)
    return float(np.mean((p - y) ** 2))


def reliability(y, p, bins=10):
    """The reliability curve: predicted probability against observed frequency, bin by bin.

    [0, 1] is cut into equal bins, each closed on the right, the first also on the left: 0 and 1 lie inside. (Some public code
    puts 1 into a bin of its own: torchmetrics issue 3510.) Same bins as scikit-learn's calibration_curve.

    Parameters
    ----------
    y, p : array (N,)
        0 or 1, and the probability of 1.
    bins : int

    Returns
    -------
    count, confidence, frequency : arrays
        Of the bins that are not empty, in order: the number of clips, the mean of their p, the mean of their y.

    Raises
    ------
    ValueError
        No clip, different shapes, y other than 0 and 1, p outside [0, 1], no bin.
    """
    y, p = _labels(y, p)
    if y.ndim != 1 or bins < 1:
        raise ValueError(f"y has shape {y.shape}, bins is {bins}; accepted: (N,), at least one bin")
    bin_of = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], p)
    count = np.bincount(bin_of)
    full = count > 0
    mean = (np.bincount(bin_of, weights)[full] / count[full] for weights in (p, y))
    return count[full], *mean


def ece_positive(y, p, bins=10):
    """Expected calibration error of one label: sum over bins of n_b / N |mean y - mean p|, in [0, 1].

    The binary form: the frequency of the label against its probability, also far below 1/2. Arguments as for `reliability`.
    """
    count, confidence, frequency = reliability(y, p, bins)
    return float(np.average(np.abs(frequency - confidence), weights=count))


def ece_macro(y, p, bins=10):
    """Mean of `ece_positive` over the K labels of a multi-label task, y and p (N, K); a label that never occurs counts too."""
    y, p = _labels(y, p)
    if y.ndim != 2:
        raise ValueError(f"y has shape {y.shape}; accepted: (N, K)")
    return float(np.mean([ece_positive(*column, bins) for column in zip(y.T, p.T, strict=True)]))


def ece_top_label(y, p, bins=10):
    """Expected calibration error of the most probable class, in [0, 1] (Guo et al. 2017).   y (N,) ints, p (N, K).

    The frequency of right answers against their probability. Of two classes this is another number than `ece_positive`: it
    covers probabilities from 1/2 on only.
    """
    y, (p,) = np.asarray(y), floats(p=p)
    if p.ndim != 2 or y.shape != p.shape[:1] or not y.size:
        raise ValueError(f"y has shape {y.shape}, p {p.shape}; accepted: (N,) and (N, K), at least one clip")
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= p.shape[1]:
        raise ValueError(f"y goes from {y.min()} to {y.max()}, {y.dtype}; accepted: ints from 0 to {p.shape[1] - 1}")
    return ece_positive(p.argmax(1) == y, p.max(1), bins)


def _labels(y, p):
    """Both as float arrays, checked."""
    y, p = floats(y=y, p=p)
    if y.shape != p.shape or not y.size:
        raise ValueError(f"y has shape {y.shape}, p {p.shape}; accepted: the same shape, at least one clip")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"y goes from {y.min()} to {y.max()}; accepted: 0 and 1 only")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p goes from {p.min()} to {p.max()}; accepted: 0 to 1")
    return y, p
