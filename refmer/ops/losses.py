"""Losses on logits. Each returns its value, averaged over the batch, and what its backward needs."""

import numpy as np

from refmer.ops.activations import log_softmax, log_softmax_backward


def cross_entropy(logits, target, weight):
    """L = -1/B sum_b sum_k w_k y_bk log p_bk, p = softmax(logits).

    logits (B, K); target y (B, K), soft or one-hot; weight w (K). target and weight are data: no gradient.
    """
    logp = log_softmax(logits)
    c = weight * target / len(logits)  # L = -sum c log p
    return -(c * logp).sum(), c, logp


def cross_entropy_backward(dy, c, logp):
    return log_softmax_backward(-dy * c, logp)


def focal(logits, target, weight, gamma=2.0, literal=True):
    """L = -1/B sum_b sum_k w_k y_bk (1 - p_bk)^gamma log p_bk (Lin et al. 2017, eq. 5; paper 000, IV-A).

    logits (B, K); target y (B, K), soft or one-hot; weight w (K). With `literal=False` the modulating factor is that of the
    authors' code of paper 000, (1 - p^w)^gamma: it takes exp(-weighted cross-entropy) for the probability.
    """
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
