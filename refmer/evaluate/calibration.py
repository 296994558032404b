"""Do probabilities mean what they say? Brier scores, reliability curves, expected calibration errors.

A probability is calibrated if, of all answers given with probability p, a share p is right. Less is better throughout.
"""

import numpy as np


def brier_labels(y, p):
    """Mean squared error over all clips and labels, in [0, 1]: (1 / NK) sum (p - y)^2 (paper 004, IV).

    Brier (1950) divides by N only: see `brier_classes`. Of a single label, y and p (N,), it is scikit-learn's brier_score_loss.
    It is no measure of calibration alone: it also falls when answers are more certain and right (scikit-learn issue 10883).

    Parameters
    ----------
    y : array (N, K) or (N,) of 0 and 1
        Which labels a clip has, any number of them.
    p : array of the same shape
        Probabilities.

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


def brier_classes(y, p):
    """Mean over clips of the sum over classes of (p - [y = k])^2, in [0, 2] (Brier 1950).

    scikit-learn's brier_score_loss for more than two classes, and K times `brier_labels` of the one-hot y.

    Parameters
    ----------
    y : int array (N,)
        The class of each clip.
    p : array (N, K)
        Probabilities.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        No clip, shapes that do not fit, a class that is not one of the K, p outside [0, 1].
    """
    y, p = _classes(y, p)
    return p.shape[1] * brier_labels(np.eye(p.shape[1])[y], p)


def reliability(y, p, bins=10):
    """The reliability curve: predicted probability against observed frequency, bin by bin.

    [0, 1] is cut into equal bins, each closed on the right, the first also on the left: 0 and 1 lie inside. (Some public code
    puts 1 into a bin of its own: torchmetrics issue 3510.) Same bins as scikit-learn's calibration_curve.

    Parameters
    ----------
    y : array (N,) of 0 and 1
    p : array (N,)
        Probability of 1.
    bins : int

    Returns
    -------
    count, confidence, frequency : arrays
        Of the bins that are not empty, in order: how many clips, the mean of their p, the mean of their y.

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
    kept = count > 0
    mean = (np.bincount(bin_of, weights)[kept] / count[kept] for weights in (p, y))
    return count[kept], *mean


def ece_positive(y, p, bins=10):
    """Expected calibration error of one label: sum over bins of n_b / N |mean y - mean p|, in [0, 1].

    The binary form: how often the label is there, against its probability, also far below 1/2. Bins and arguments as for
    `reliability`. A y of one value is no special case.
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
    """Expected calibration error of the most probable class, in [0, 1]: how often it is right, against its probability.

    The form of Guo et al. (2017). y (N,) ints and p (N, K) as for `brier_classes`, bins as for `reliability`. Of two classes
    this is another number than `ece_positive`: it looks at probabilities from 1/2 on only.
    """
    y, p = _classes(y, p)
    return ece_positive(p.argmax(1) == y, p.max(1), bins)


def _labels(y, p):
    y, p = np.asarray(y, np.float64), np.asarray(p, np.float64)
    if y.shape != p.shape or not y.size:
        raise ValueError(f"y has shape {y.shape}, p {p.shape}; accepted: the same shape, at least one clip")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"y goes from {y.min()} to {y.max()}; accepted: 0 and 1 only")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p goes from {p.min()} to {p.max()}; accepted: 0 to 1")
    return y, p


def _classes(y, p):
    y, p = np.asarray(y), np.asarray(p)
    if p.ndim != 2 or y.shape != p.shape[:1] or not y.size:
        raise ValueError(f"y has shape {y.shape}, p {p.shape}; accepted: (N,) and (N, K), at least one clip")
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= p.shape[1]:
        raise ValueError(f"y goes from {y.min()} to {y.max()}, {y.dtype}; accepted: ints from 0 to {p.shape[1] - 1}")
    return y, p
