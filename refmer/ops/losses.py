"""Classification losses on logits: value, averaged over the batch, and slope dL/dlogits, from which backward is one product."""

from functools import wraps

import numpy as np

from refmer.ops.activations import log_sigmoid, log_softmax, log_softmax_backward
from refmer.ops.twins import twin


def checked(check):
    """A loss, kernel or definition, once its arguments pass `check`; its value comes as a number of the logits' dtype."""

    def decorate(loss):
        @wraps(loss)
        def look(logits, *args, **options):
            check(logits, *args, **options)
            value, slope = loss(logits, *args, **options)
            return logits.dtype.type(value), slope  # a kernel's float32 arrives as a Python float

        return look

    return decorate


def _weighted(logits, target, weight, gamma=0.0, literal=True):
    _unweighted(logits, target, 0.0, gamma)
    if weight.shape != logits.shape[1:]:
        raise ValueError(f"weight has shape {weight.shape}; accepted: {logits.shape[1:]}, one number per class")


def _unweighted(logits, target, alpha=0.0, gamma=0.0):
    shape = logits.shape
    if len(shape) != 2 or not logits.size:
        raise ValueError(f"logits have shape {shape}; accepted: (clips, classes), at least one of each")
    if target.shape != shape:
        raise ValueError(f"target has shape {target.shape}; accepted: {shape}, the shape of the logits")
    if gamma < 0:
        raise ValueError(f"gamma is {gamma}; accepted: 0 or more")
    if alpha > 1:
        raise ValueError(f"alpha is {alpha}; accepted: 0 to 1, or a negative number for no weighting")


@checked(_weighted)
@twin
def cross_entropy(logits, target, weight):
    """L = -1/B sum_b sum_k w_k y_bk log p_bk, p = softmax(logits).   With `class_balanced_weights`: paper 004, eq. 3.

    logits (B, K); target y (B, K), soft or one-hot; weight w (K). target and weight are data: no gradient.
    """
    return _log_likelihood(logits, weight * target / len(logits))


def cross_entropy_backward(dy, slope):
    return dy * slope


@checked(_weighted)
@twin
def sample_weighted_cross_entropy(logits, target, weight):
    """L = -1/B sum_b (sum_i w_i y_bi) sum_k y_bk log p_bk: one weight per clip, as in the public code of paper 004's authors.

    On one-hot targets this is `cross_entropy`; on soft ones it is not eq. 3. logits (B, K); target y (B, K); weight w (K).
    """
    return _log_likelihood(logits, (target @ weight)[:, None] * target / len(logits))


def sample_weighted_cross_entropy_backward(dy, slope):
    return dy * slope


@checked(_weighted)
@twin
def binary_cross_entropy(logits, target, weight):
    """L = -1/(B K) sum_b sum_k w_k (y_bk log p_bk + (1 - y_bk) log(1 - p_bk)), p = sigmoid(logits).

    logits (B, K), K independent questions; target y (B, K) in [0, 1]; weight w (K).
    """
    logp, logq = log_sigmoid(logits), log_sigmoid(-logits)  # q = 1 - p
    c = weight / logits.size
    value = -(c * (target * logp + (1 - target) * logq)).sum()
    # d log p / dx = q,  d log q / dx = -p
    return value, c * ((1 - target) * np.exp(logp) - target * np.exp(logq))


def binary_cross_entropy_backward(dy, slope):
    return dy * slope


@checked(_weighted)
@twin
def focal(logits, target, weight, gamma=2.0, literal=True):
    """L = -1/B sum_b sum_k w_k y_bk (1 - p_bk)^gamma log p_bk (Lin et al. 2017, eq. 5; paper 000, IV-A).

    logits (B, K); target y (B, K), soft or one-hot; weight w (K). With `literal=False` the modulating factor is that of the
    authors' code of paper 000, (1 - p^w)^gamma: it takes exp(-weighted cross-entropy) for the probability.
    """
    logp = log_softmax(logits)
    power = 1.0 if literal else weight  # p^power is what the factor takes for p
    miss = -np.expm1(power * logp)  # 1 - p^power, exact near p = 1
    c = weight * target / len(logits) * miss**gamma
    # L = -sum w y m^gamma log p, m = 1 - p^a:  dL/dlog p = -w y (m^gamma - gamma m^(gamma-1) a p^a log p)
    # log(p) / m -> -1/a where p = 1, so write m^(gamma-1) log p as m^gamma (log p / m): finite for every gamma >= 0
    ratio = np.where(miss == 0, -1 / power, logp / np.where(miss == 0, 1, miss))
    dlogp = -c * (1 - gamma * power * (1 - miss) * ratio)
    return -(c * logp).sum(), log_softmax_backward(dlogp, logp)


def focal_backward(dy, slope):
    return dy * slope


@checked(_unweighted)
@twin
def sigmoid_focal(logits, target, alpha=0.25, gamma=2.0):
    """L = 1/(B K) sum a m^gamma CE, CE = -y log p - (1 - y) log(1 - p), m = p (1 - y) + (1 - p) y, p = sigmoid(logits).

    Lin et al. 2017, eq. 5, as in torchvision: a = alpha y + (1 - alpha) (1 - y); alpha < 0: a = 1. logits, target y (B, K).
    """
    logp, logq = log_sigmoid(logits), log_sigmoid(-logits)
    p, q = np.exp(logp), np.exp(logq)
    miss = p * (1 - target) + q * target
    c = (1 if alpha < 0 else alpha * target + (1 - alpha) * (1 - target)) / logits.size * miss**gamma
    ce = -(target * logp + (1 - target) * logq)
    # dCE/dx = p - y,  dm/dx = p q (1 - 2 y);  m^(gamma-1) p q as m^gamma (p q / m), where p q / m <= 1
    ratio = p * q / np.where(miss == 0, 1, miss)
    return (c * ce).sum(), c * ((1 - target) * p - target * q + gamma * ratio * (1 - 2 * target) * ce)


def sigmoid_focal_backward(dy, slope):
    return dy * slope


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


def _log_likelihood(logits, c):
    """L = -sum c log p and its slope."""
    logp = log_softmax(logits)
    return -(c * logp).sum(), log_softmax_backward(-c, logp)
