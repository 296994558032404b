"""What paper 001 adds to its classification loss: InfoNCE between modalities, and the entropy of the modality weights."""

import numpy as np

from refmer.ops.activations import log_softmax, log_softmax_backward
from refmer.ops.norms import l2_normalise, l2_normalise_backward


def info_nce(features, available=None, temperature=0.1):
    """L = mean over clips n and pairs i != j of -log(exp(s_ij(n, n) / tau) / sum_m exp(s_ij(n, m) / tau)).

    s_ij(n, m) is the cosine of modality i of clip n with modality j of clip m; m runs over the batch. features (B, M, C);
    available (B, M) bool: what is missing is neither query, nor positive, nor negative. 0 if no clip has two modalities.
    Paper 001, eq. 15-17; as printed, its denominator never leaves clip n: read as InfoNCE (van den Oord et al. 2018).
    """
    B, M, present = _check(features, available, temperature)
    z, *saved = l2_normalise(features)
    z = z.swapaxes(0, 1)  # (M, B, C)
    s = z[:, None] @ z[None].swapaxes(-1, -2) / temperature  # (M, M, B, B)
    itself = np.eye(B, dtype=bool)  # always kept: a row whose positive is missing stays finite, and is not counted
    logp = log_softmax(np.where(present.T[None, :, None, :] | itself, s, -np.inf))
    counted = present.T[:, None] & present.T[None] & ~np.eye(M, dtype=bool)[:, :, None]  # (M, M, B)
    share = 1 / max(float(counted.sum()), 1.0)
    value = -share * np.diagonal(logp, axis1=2, axis2=3)[counted].sum()
    return value, z, logp, counted[..., None] & itself, share, temperature, *saved


def info_nce_backward(dy, z, logp, positive, share, temperature, *saved):
    ds = log_softmax_backward(np.where(positive, -share * dy, 0).astype(logp.dtype), logp) / temperature
    # s_ij = z_i z_j^T / tau:  z_i is a query in row i, a key in column i
    dz = (ds @ z[None]).sum(1) + (ds.swapaxes(-1, -2) @ z[:, None]).sum(0)
    return l2_normalise_backward(dz.swapaxes(0, 1), *saved)


def weight_entropy(weight, literal=False, eps=1e-8):
    """L = 1/B sum_b sum_i w_bi log(w_bi + eps), minus the entropy: minimising it spreads the weights, as paper 001's text asks.

    weight w (B, M), rows summing to 1. `literal=True` is eq. 18 as printed, plus the entropy: added to a loss with a positive
    factor (eq. 19), it favours one dominant modality.
    """
    if weight.ndim != 2 or not weight.size:
        raise ValueError(f"weight has shape {weight.shape}; accepted: (clips, modalities), at least one of each")
    scale = (-1 if literal else 1) / len(weight)
    return scale * (weight * np.log(weight + eps)).sum(), weight, scale, eps


def weight_entropy_backward(dy, weight, scale, eps):
    return dy * scale * (np.log(weight + eps) + weight / (weight + eps))


def _check(features, available, temperature):
    if features.ndim != 3 or features.shape[1] < 2 or not features.size:
        raise ValueError(f"features have shape {features.shape}; accepted: (clips, modalities, width), two modalities or more")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; accepted: above 0")
    B, M, _ = features.shape
    if available is None:
        available = np.ones((B, M), bool)
    if available.dtype != bool or available.shape != (B, M):
        raise ValueError(f"available has dtype {available.dtype} and shape {available.shape}; accepted: bool, {(B, M)}")
    return B, M, available
