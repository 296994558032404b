"""Losses: of classes, weights of classes, of values along time, and the two auxiliary terms of paper 001.

A loss of classes or of values returns its value and `slope`, the gradient dL/dx, so that backward is one product. Targets,
weights and masks are data: they have no gradient.
"""

from functools import wraps

import numpy as np

from refmer.ops.activations import log_sigmoid, log_softmax, log_softmax_backward
from refmer.ops.contracts import contract
from refmer.ops.norms import l2_normalise, l2_normalise_backward
from refmer.ops.twins import twin


def valued(loss):
    """Return the value of a loss in the dtype of its slope: a kernel's float32 arrives as a Python float."""

    @wraps(loss)
    def call(*args, **options):
        value, slope = loss(*args, **options)
        return value if isinstance(value, np.ndarray) else slope.dtype.type(value), slope

    return call


@valued
@twin("logits (B, K), target (B, K) number, weight (K) number -> L (), slope (B, K) where B >= 1; K >= 1")
def cross_entropy(logits, target, weight):
    """L = -1/B sum_b sum_k w_k y_bk log p_bk, p = softmax(logits).   With `class_balanced_weights`: paper 004, eq. 3.

    The target y is soft or one-hot.
    """
    return _log_likelihood(logits, weight * target / len(logits))


@contract("dy () number or number, slope (...) -> dx (...)")
def cross_entropy_backward(dy, slope):
    return dy * slope


@valued
@twin("logits (B, K), target (B, K) number, weight (K) number -> L (), slope (B, K) where B >= 1; K >= 1")
def sample_weighted_cross_entropy(logits, target, weight):
    """L = -1/B sum_b (sum_i w_i y_bi) sum_k y_bk log p_bk: one weight per clip, as in the public code of paper 004's authors.

    On one-hot targets y this is `cross_entropy`; on soft ones it is not eq. 3.
    """
    return _log_likelihood(logits, (target @ weight)[:, None] * target / len(logits))


@contract("dy () number or number, slope (...) -> dx (...)")
def sample_weighted_cross_entropy_backward(dy, slope):
    return dy * slope


def _log_likelihood(logits, c):
    """L = -sum c log p and its slope."""
    logp = log_softmax(logits)
    return -(c * logp).sum(), log_softmax_backward(-c, logp)


@valued
@twin("logits (B, K), target (B, K) number, weight (K) number -> L (), slope (B, K) where B >= 1; K >= 1")
def binary_cross_entropy(logits, target, weight):
    """L = -1/(B K) sum_b sum_k w_k (y_bk log p_bk + (1 - y_bk) log(1 - p_bk)), p = sigmoid(logits).

    K independent questions; the target y is in [0, 1].
    """
    logp, logq = log_sigmoid(logits), log_sigmoid(-logits)  # q = 1 - p
    c = weight / logits.size
    value = -(c * (target * logp + (1 - target) * logq)).sum()
    # d log p / dx = q,  d log q / dx = -p
    return value, c * ((1 - target) * np.exp(logp) - target * np.exp(logq))


@contract("dy () number or number, slope (...) -> dx (...)")
def binary_cross_entropy_backward(dy, slope):
    return dy * slope


@valued
@twin(
    "logits (B, K), target (B, K) number, weight (K) number, gamma float from 0, literal bool -> L (), slope (B, K) "
    "where B >= 1; K >= 1"
)
def focal(logits, target, weight, gamma=2.0, literal=True):
    """L = -1/B sum_b sum_k w_k y_bk (1 - p_bk)^gamma log p_bk (Lin et al. 2017, eq. 5; paper 000, IV-A).

    The target y is soft or one-hot. With `literal=False` the modulating factor is that of the
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


@contract("dy () number or number, slope (...) -> dx (...)")
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


@valued
@twin(
    "prediction (..., N, D), target (..., N, D) number, mask (..., N) bool or None -> L (), slope (..., N, D) "
    "where prediction.size >= 1"
)
def mse(prediction, target, mask=None):
    """L = mean (prediction - target)^2 over the valid steps (mask True); 0 without any."""
    valid, n = _valid(prediction, mask)
    error = np.where(valid, prediction - target, 0)
    scale = 1 / (n * error.shape[-1])
    return (error * error).sum() * scale, 2 * scale * error


@contract("dy () number or number, slope (...) -> dx (...)")
def mse_backward(dy, slope):
    return dy * slope


@valued
@twin(
    "prediction (..., N, D), target (..., N, D) number, mask (..., N) bool or None, ddof int from 0 to 1 "
    "-> rho (D), slope (..., N, D) where prediction.size >= 1"
)
def ccc(prediction, target, mask=None, ddof=0):
    """rho = 2 s_xy / (s_x^2 + s_y^2 + (mean_x - mean_y)^2) for each of D quantities (Lin 1989; paper 003, eq. 15).

    prediction x, target y, taken over all axes but the last. Covariance and variances divide
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


@contract("slope (..., D), dy (D) -> dx (..., D)")
def ccc_backward(dy, slope):
    return dy * slope


@valued
@twin(
    "prediction (..., N, D), target (..., N, D) number, mask (..., N) bool or None, ddof int from 0 to 1 "
    "-> L (), slope (..., N, D) where prediction.size >= 1"
)
def ccc_loss(prediction, target, mask=None, ddof=0):
    """L = 1 - (rho_1 + ... + rho_D) / D; for valence and arousal (D = 2) paper 003, eq. 16.

    The authors' code minimises (1 - rho_a) + (1 - rho_v), twice this. Arguments as for `ccc`.
    """
    rho, slope = ccc(prediction, target, mask, ddof)
    return 1 - rho.mean(), slope / -len(rho)


@contract("dy () number or number, slope (...) -> dx (...)")
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


@contract(
    "features (B, M, C), available (B, M) bool or None, temperature float from 0 -> L () "
    "where B >= 1; M >= 2; C >= 1; temperature > 0"
)
def info_nce(features, available=None, temperature=0.1):
    """L = mean over clips n and pairs i != j of -log(exp(s_ij(n, n) / tau) / sum_m exp(s_ij(n, m) / tau)).

    s_ij(n, m) is the cosine of modality i of clip n with modality j of clip m; m runs over the batch. A
    modality that is not available is neither query, nor positive, nor negative. 0 if no clip has two modalities.
    Paper 001, eq. 15-17; as printed, its denominator sums over clip n alone: read as InfoNCE (van den Oord et al. 2018).
    """
    B, M, _ = features.shape
    present = np.ones((B, M), bool) if available is None else available
    z, *saved = l2_normalise(features)
    z = z.swapaxes(0, 1)  # (M, B, C)
    s = z[:, None] @ z[None].swapaxes(-1, -2) / temperature  # (M, M, B, B)
    itself = np.eye(B, dtype=bool)  # never masked: a row whose positive is missing stays finite, and is not counted
    logp = log_softmax(np.where(present.T[None, :, None, :] | itself, s, -np.inf))
    counted = present.T[:, None] & present.T[None] & ~np.eye(M, dtype=bool)[:, :, None]  # (M, M, B)
    share = 1 / max(float(counted.sum()), 1.0)
    value = -share * np.diagonal(logp, axis1=2, axis2=3)[counted].sum()
    return value, z, logp, counted[..., None] & itself, share, temperature, *saved


@contract(
    "dy () number or number, z (M, B, C), logp (M, M, B, B), positive (M, M, B, B) bool, share float, temperature float, "
    "y (B, M, C), rlength (B, M, 1) -> dfeatures (B, M, C)"
)
def info_nce_backward(dy, z, logp, positive, share, temperature, y, rlength):
    ds = log_softmax_backward(np.where(positive, -share * dy, 0).astype(logp.dtype), logp) / temperature
    # s_ij = z_i z_j^T / tau:  z_i is a query in row i, a key in column i
    dz = (ds @ z[None]).sum(1) + (ds.swapaxes(-1, -2) @ z[:, None]).sum(0)
    return l2_normalise_backward(dz.swapaxes(0, 1), y, rlength)


@contract("weight (B, M), literal bool, eps float from 0 -> L () where B >= 1; M >= 1")
def weight_entropy(weight, literal=False, eps=1e-8):
    """L = 1/B sum_b sum_i w_bi log(w_bi + eps), minus the entropy: minimising it spreads the weights, as paper 001's text asks.

    The rows of w sum to 1. `literal=True` is eq. 18 as printed, plus the entropy: added to a loss with a positive
    factor (eq. 19), it favours one dominant modality.
    """
    scale = (-1 if literal else 1) / len(weight)
    return scale * (weight * np.log(weight + eps)).sum(), weight, scale, eps


@contract("dy () number or number, weight (B, M), scale float, eps float from 0 -> dweight (B, M)")
def weight_entropy_backward(dy, weight, scale, eps):
    return dy * scale * (np.log(weight + eps) + weight / (weight + eps))
