"""Classification losses on logits. Each returns its value, averaged over the batch, and what its backward needs."""

import numpy as np

from refmer.ops.activations import log_sigmoid, log_softmax, log_softmax_backward


def cross_entropy(logits, target, weight):
    """L = -1/B sum_b sum_k w_k y_bk log p_bk, p = softmax(logits).   With `class_balanced_weights`: paper 004, eq. 3.

    logits (B, K); target y (B, K), soft or one-hot; weight w (K). target and weight are data: no gradient.
    """
    _check(logits, target, weight)
    logp = log_softmax(logits)
    c = weight * target / len(logits)  # L = -sum c log p
    return -(c * logp).sum(), c, logp


def cross_entropy_backward(dy, c, logp):
    return log_softmax_backward(-dy * c, logp)


def sample_weighted_cross_entropy(logits, target, weight):
    """L = -1/B sum_b (sum_i w_i y_bi) sum_k y_bk log p_bk: one weight per clip, as in the public code of paper 004's authors.

    On one-hot targets this is `cross_entropy`; on soft ones it is not eq. 3. logits (B, K); target y (B, K); weight w (K).
    """
    _check(logits, target, weight)
    logp = log_softmax(logits)
    c = (target @ weight)[:, None] * target / len(logits)  # L = -sum c log p
    return -(c * logp).sum(), c, logp


def sample_weighted_cross_entropy_backward(dy, c, logp):
    return cross_entropy_backward(dy, c, logp)


def binary_cross_entropy(logits, target, weight):
    """L = -1/(B K) sum_b sum_k w_k (y_bk log p_bk + (1 - y_bk) log(1 - p_bk)), p = sigmoid(logits).

    logits (B, K), K independent questions; target y (B, K) in [0, 1]; weight w (K).
    """
    _check(logits, target, weight)
    logp, logq = log_sigmoid(logits), log_sigmoid(-logits)  # q = 1 - p
    c = weight / logits.size
    return -(c * (target * logp + (1 - target) * logq)).sum(), c, target, logp, logq


def binary_cross_entropy_backward(dy, c, target, logp, logq):
    # d log p / dx = q,  d log q / dx = -p
    return dy * c * ((1 - target) * np.exp(logp) - target * np.exp(logq))


def focal(logits, target, weight, gamma=2.0, literal=True):
    """L = -1/B sum_b sum_k w_k y_bk (1 - p_bk)^gamma log p_bk (Lin et al. 2017, eq. 5; paper 000, IV-A).

    logits (B, K); target y (B, K), soft or one-hot; weight w (K). With `literal=False` the modulating factor is that of the
    authors' code of paper 000, (1 - p^w)^gamma: it takes exp(-weighted cross-entropy) for the probability.
    """
    _check(logits, target, weight, gamma)
    logp = log_softmax(logits)
    c = weight * target / len(logits)
    power = 1.0 if literal else weight  # p^power is what the factor takes for p
    miss = -np.expm1(power * logp)  # 1 - p^power, exact near p = 1
    return -(c * miss**gamma * logp).sum(), c, logp, miss, power, gamma


def focal_backward(dy, c, logp, miss, power, gamma):
    # L = -sum c m^gamma log p, m = 1 - p^a:  dL/dlog p = -c (m^gamma - gamma m^(gamma-1) a p^a log p)
    # log(p) / m -> -1/a where p = 1, so write m^(gamma-1) log p as m^gamma (log p / m): finite for every gamma >= 0
    ratio = np.where(miss == 0, -1 / power, logp / np.where(miss == 0, 1, miss))
    slope = miss**gamma * (1 - gamma * power * (1 - miss) * ratio)
    return log_softmax_backward(-dy * c * slope, logp)


def sigmoid_focal(logits, target, alpha=0.25, gamma=2.0):
    """L = 1/(B K) sum a m^gamma CE, CE = -y log p - (1 - y) log(1 - p), m = p (1 - y) + (1 - p) y, p = sigmoid(logits).

    Lin et al. 2017, eq. 5, as in torchvision: a = alpha y + (1 - alpha) (1 - y); alpha < 0: a = 1. logits, target y (B, K).
    """
    _check(logits, target, gamma=gamma)
    if alpha > 1:
        raise ValueError(f"alpha is {alpha}; accepted: 0 to 1, or a negative number for no weighting")
    logp, logq = log_sigmoid(logits), log_sigmoid(-logits)
    c = (1 if alpha < 0 else alpha * target + (1 - alpha) * (1 - target)) / logits.size
    miss = np.exp(logp) * (1 - target) + np.exp(logq) * target
    ce = -(target * logp + (1 - target) * logq)
    return (c * miss**gamma * ce).sum(), c, target, logp, logq, miss, ce, gamma


def sigmoid_focal_backward(dy, c, target, logp, logq, miss, ce, gamma):
    # dCE/dx = p - y,  dm/dx = p q (1 - 2 y);  m^(gamma-1) p q as m^gamma (p q / m), where p q / m <= 1
    p, q = np.exp(logp), np.exp(logq)
    ratio = p * q / np.where(miss == 0, 1, miss)
    return dy * c * miss**gamma * ((1 - target) * p - target * q + gamma * ratio * (1 - 2 * target) * ce)


def balanced_weights(counts):
    """w_k = N / (K' n_k) over the K' classes that occur; a class without clips weighs 0: no target ever takes it.   (K,)."""
    total, there = counts.sum(), counts > 0
    return np.divide(total, there.sum() * counts, out=np.zeros_like(counts), where=there)


def class_balanced_weights(counts, beta, normalise=True):
    """w_k = (1 - beta) / (1 - beta^n_k), the inverse of the effective number of clips (Cui et al. 2019; paper 004, eq. 3).

    Parameters
    ----------
    counts : array (K,)
        Clips of each class in the training set (not in the batch), all above 0.
    beta : float
        0 gives equal weights; 1, where eq. 3 is 0/0, its limit 1 / n_k. Paper 004's peers take (N - 1) / N.
    normalise : bool
        Scale to sum K, as Cui et al. do; False is eq. 3 as printed.

    Returns
    -------
    array (K,) of float64

    Raises
    ------
    ValueError
        If a class has no clips, or beta lies outside [0, 1].
    """
    counts = np.asarray(counts, np.float64)
    if counts.ndim != 1 or not len(counts) or not (np.isfinite(counts) & (counts > 0)).all():
        raise ValueError(f"counts are {counts.tolist()}; accepted: one number above 0 per class")
    if not 0 <= beta <= 1:
        raise ValueError(f"beta is {beta}; accepted: 0 to 1")
    if beta == 1:
        w = 1 / counts
    elif beta == 0:
        w = np.ones_like(counts)
    else:
        w = (1 - beta) / -np.expm1(counts * np.log1p(beta - 1))  # 1 - beta^n without cancellation near beta = 1
    return w * len(w) / w.sum() if normalise else w


def _check(logits, target, weight=None, gamma=0.0):
    if logits.ndim != 2 or not logits.size:
        raise ValueError(f"logits have shape {logits.shape}; accepted: (clips, classes), at least one of each")
    if target.shape != logits.shape:
        raise ValueError(f"target has shape {target.shape}; accepted: {logits.shape}, the shape of the logits")
    if weight is not None and np.shape(weight) != logits.shape[1:]:
        raise ValueError(f"weight has shape {np.shape(weight)}; accepted: {logits.shape[1:]}, one number per class")
    if gamma < 0:
        raise ValueError(f"gamma is {gamma}; accepted: 0 or more")
