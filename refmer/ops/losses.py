"""Losses: of classes, weights of classes, of values along time, and the two auxiliary terms of paper 001.

A loss of classes or of values returns its value and `slope`, the gradient dL/dx, so that backward is one product. Targets,
weights and masks are data: they have no gradient.
"""

from functools import wraps

import numpy as np

from refmer.ops.activations import log_sigmoid, log_softmax, log_softmax_backward
from refmer.ops.norms import l2_normalise, l2_normalise_backward
from refmer.ops.twins import twin


def checked(check):
    """Call `check` before a loss, kernel or definition; return a value of one number in the dtype of x."""

    def decorate(loss):
        @wraps(loss)
        def call(x, *args, **options):
            check(x, *args, **options)
            value, slope = loss(x, *args, **options)
            # a kernel's float32 arrives as a Python float
            return value if isinstance(value, np.ndarray) else x.dtype.type(value), slope

        return call

    return decorate


def _classes(logits, target, weight, gamma=0.0, literal=True):
    shape = logits.shape
    if len(shape) != 2 or not logits.size:
        raise ValueError(f"logits have shape {shape}; accepted: (clips, classes), at least one of each")
    if target.shape != shape:
        raise ValueError(f"target has shape {target.shape}; accepted: {shape}, the shape of the logits")
    if weight.shape != shape[1:]:
        raise ValueError(f"weight has shape {weight.shape}; accepted: {shape[1:]}, one number per class")
    if gamma < 0:
        raise ValueError(f"gamma is {gamma}; accepted: 0 or more")


def _steps(prediction, target, mask=None, ddof=0):
    shape = prediction.shape
    if len(shape) < 2 or not prediction.size:
        raise ValueError(f"prediction has shape {shape}; accepted: (steps, quantities) or more axes, none empty")
    if target.shape != shape:
        raise ValueError(f"target has shape {target.shape}; accepted: {shape}, the shape of the prediction")
    if mask is not None and (mask.dtype != bool or mask.shape != shape[:-1]):
        raise ValueError(f"mask has dtype {mask.dtype} and shape {mask.shape}; accepted: bool, {shape[:-1]}")
    if ddof not in (0, 1):
        raise ValueError(f"ddof is {ddof}; accepted: 0 (population moments) or 1 (sample moments)")


@checked(_classes)
@twin
def cross_entropy(logits, target, weight):
    """L = -1/B sum_b sum_k w_k y_bk log p_bk, p = softmax(logits).   With `class_balanced_weights`: paper 004, eq. 3.

    logits (B, K); target y (B, K), soft or one-hot; weight w (K).
    """
    return _log_likelihood(logits, weight * target / len(logits))


def cross_entropy_backward(dy, slope):
    return dy * slope


@checked(_classes)
@twin
def sample_weighted_cross_entropy(logits, target, weight):
    """L = -1/B sum_b (sum_i w_i y_bi) sum_k y_bk log p_bk: one weight per clip, as in the public code of paper 004's authors.

    On one-hot targets this is `cross_entropy`; on soft ones it is not eq. 3. logits (B, K); target y (B, K); weight w (K).
    """
    return _log_likelihood(logits, (target @ weight)[:, None] * target / len(logits))


def sample_weighted_cross_entropy_backward(dy, slope):
    return dy * slope


def _log_likelihood(logits, c):
    """L = -sum c log p and its slope."""
    logp = log_softmax(logits)
    return -(c * logp).sum(), log_softmax_backward(-c, logp)


@checked(_classes)
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


@checked(_classes)
@twin
def focal(logits, target, weight, gamma=2.0, literal=True):
    """L = -1/B sum_b sum_k w_k y_bk (1 - p_bk)^gamma log p_bk (Lin et al. 2017, eq. 5; paper 000, IV-A).

    logits (B, K); target y (B, K), soft or one-hot; weight w (K). With `literal=False` the modulating factor is that of the
    authors' code of paper 000, (1 - p^w)^gamma, with exp(-weighted cross-entropy) as the probability.
    """
    logp = log_softmax(logits)
    power = 1.0 if literal else np.where(weight == 0, 1, weight)  # the factor has p^power in place of p; a weight of 0 is in c
    miss = -np.expm1(power * logp)  # 1 - p^power, exact near p = 1
    c = weight * target / len(logits) * miss**gamma
    # L = -sum w y m^gamma log p, m = 1 - p^a:  dL/dlog p = -w y (m^gamma - gamma m^(gamma-1) a p^a log p)
    # log(p) / m -> -1/a where p = 1, so write m^(gamma-1) log p as m^gamma (log p / m): finite for every gamma >= 0
    ratio = np.where(miss == 0, -1 / power, logp / np.where(miss == 0, 1, miss))
    dlogp = -c * (1 - gamma * power * (1 - miss) * ratio)
    return -(c * logp).sum(), log_softmax_backward(dlogp, logp)


def focal_backward(dy, slope):
    return dy * slope


def balanced_weights(counts):
    """w_k = N / (K' n_k) over the K' classes that occur; a class without clips gets 0.   (K,)."""
    total, present = counts.sum(), counts > 0
    return np.divide(total, present.sum() * counts, out=np.zeros_like(counts), where=present)


def class_balanced_weights(counts, beta, normalise=True):
    """w_k = (1 - beta) / (1 - beta^n_k), the inverse of the effective number of clips (Cui et al. 2019; paper 004, eq. 3).

    counts n (K): clips of each class in the training set (not in the batch) -> w (K), 0 for a class without clips. beta 0 gives
    equal weights; 1, where eq. 3 is 0/0, its limit 1 / n_k; paper 004's peers take (N - 1) / N. They are scaled to sum K, the
    number of classes with clips, as by Cui et al.; with `normalise=False` they are eq. 3 as printed.
    """
    counts = np.asarray(counts, np.float64)
    if counts.ndim != 1 or not (np.isfinite(counts) & (counts >= 0)).all() or not counts.any():
        raise ValueError(f"counts are {counts.tolist()}; accepted: one number from 0 per class, not all 0")
    if not 0 <= beta <= 1:
        raise ValueError(f"beta is {beta}; accepted: 0 to 1")
    present = counts > 0
    n = np.where(present, counts, 1)
    if beta == 1:
        w = present / n
    elif beta == 0:
        w = present.astype(np.float64)
    else:
        w = present * (1 - beta) / -np.expm1(n * np.log1p(beta - 1))  # 1 - beta^n without cancellation near beta = 1
    return w * present.sum() / w.sum() if normalise else w


@checked(_steps)
@twin
def mse(prediction, target, mask=None):
    """L = mean (prediction - target)^2 over the valid steps; 0 without any.

    prediction, target (..., D); mask (...) bool, True where a step is valid.
    """
    valid, n = _valid(prediction, mask)
    error = np.where(valid, prediction - target, 0)
    scale = 1 / (n * error.shape[-1])
    return (error * error).sum() * scale, 2 * scale * error


def mse_backward(dy, slope):
    return dy * slope


@checked(_steps)
@twin
def ccc(prediction, target, mask=None, ddof=0):
    """rho = 2 s_xy / (s_x^2 + s_y^2 + (mean_x - mean_y)^2) for each of D quantities (Lin 1989; paper 003, eq. 15).

    prediction x, target y (..., D), taken over all axes but the last; mask (...) bool; -> (D). Covariance and variances divide
    by n - ddof alike: 0 is Lin's definition, 1 that of torchmetrics. Mixing them, as some public code does, gives
    ccc(x, x) = (n - 1) / n. A constant x or y has rho = 0; where both are constant and equal (0/0), the gradient is 0 too.
    """
    valid, n = _valid(prediction, mask)
    free = max(n - ddof, 1.0)  # a single step: all deviations are 0
    x, mean_x = _centred(prediction, valid, n)
    y, mean_y = _centred(target, valid, n)
    gap = mean_x - mean_y
    spread = (x * x + y * y).sum(0) / free + gap * gap
    rspread = np.where(spread == 0, 0, 1 / np.where(spread == 0, 1, spread))
    rho = 2 * (x * y).sum(0) / free * rspread
    # rho = 2 s / D:  ds/dx = y / free (y centred),  dD/dx = 2 x / free + 2 gap / n
    slope = 2 * rspread * ((y - rho * x) / free - rho * gap / n)
    return rho, np.where(valid, slope.reshape(prediction.shape), 0)


def ccc_backward(dy, slope):
    return dy * slope


@checked(_steps)
@twin
def ccc_loss(prediction, target, mask=None, ddof=0):
    """L = 1 - (rho_1 + ... + rho_D) / D; for valence and arousal (D = 2) paper 003, eq. 16.

    The authors' code minimises (1 - rho_a) + (1 - rho_v), twice this. Arguments as for `ccc`.
    """
    rho, slope = ccc(prediction, target, mask, ddof)
    return 1 - rho.mean(), slope / -len(rho)


def ccc_loss_backward(dy, slope):
    return dy * slope


def _centred(x, valid, n):
    """The deviations from the mean (N, D), 0 at masked steps, and the mean (D)."""
    x, valid = x.reshape(-1, x.shape[-1]), np.broadcast_to(valid, x.shape).reshape(-1, x.shape[-1])
    start = x[valid[:, 0].argmax()]  # measured from a valid step, a constant has deviations of exactly 0
    x = np.where(valid, x - start, 0)
    mean = x.sum(0) / n
    return np.where(valid, x - mean, 0), start + mean


def _valid(prediction, mask):
    """The mask with an axis for D, and the number of valid steps, at least 1 (a float: float32 stays float32)."""
    if mask is None:
        mask = np.ones(prediction.shape[:-1], bool)
    return mask[..., None], max(float(mask.sum()), 1.0)


def info_nce(features, available=None, temperature=0.1):
    """L = mean over clips n and pairs i != j of -log(exp(s_ij(n, n) / tau) / sum_m exp(s_ij(n, m) / tau)).

    s_ij(n, m) is the cosine of modality i of clip n with modality j of clip m; m runs over the batch. features (B, M, C);
    available (B, M) bool: a missing modality is neither query, nor positive, nor negative. 0 if no clip has two modalities.
    Paper 001, eq. 15-17; as printed, its denominator sums over clip n alone: read as InfoNCE (van den Oord et al. 2018).
    """
    B, M, present = _check(features, available, temperature)
    z, *saved = l2_normalise(features)
    z = z.swapaxes(0, 1)  # (M, B, C)
    s = z[:, None] @ z[None].swapaxes(-1, -2) / temperature  # (M, M, B, B)
    itself = np.eye(B, dtype=bool)  # never masked: a row whose positive is missing stays finite, and is not counted
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
