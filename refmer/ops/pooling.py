"""From many steps to one: mean, maximum, last, statistics. The steps are the last axis but one.

The mask is True where a step is valid; without a valid step the result and its gradient are 0.
"""

import numpy as np

from refmer.ops.contracts import contract
from refmer.ops.twins import twin


@twin("x (..., T, C), mask (..., T) bool -> y (..., C)")
def masked_mean(x, mask):
    """y = 1/n sum_t x_t over the n valid steps."""
    share = mask / np.maximum(mask.sum(-1, keepdims=True), 1)
    share = share.astype(x.real.dtype)[..., None]
    return (np.where(mask[..., None], x, 0) * share).sum(-2), share


@twin("share (..., T, 1), dy (..., C) -> dx (..., T, C)")
def masked_mean_backward(dy, share):
    return dy[..., None, :] * share


@twin("x (..., T, C), mask (..., T) bool -> y (..., C) where T >= 1")
def masked_max(x, mask):
    """y = max_t x_t over the valid steps, per channel; the first of equals."""
    first = np.where(mask[..., None], x.real, -np.inf).argmax(-2)[..., None, :]
    chosen = (np.arange(x.shape[-2])[:, None] == first) & mask[..., None]  # one step per channel, or none
    return np.where(chosen, x, 0).sum(-2), chosen


@contract("chosen (..., T, C) bool, dy (..., C) -> dx (..., T, C)")
def masked_max_backward(dy, chosen):
    return np.where(chosen, dy[..., None, :], 0)


@contract("x (..., T, C), mask (..., T) bool -> y (..., C)")
def last_valid(x, mask):
    """y = x_t at the last valid t."""
    later = np.cumsum(mask[..., ::-1], -1)[..., ::-1]  # valid steps from t on
    last = (mask & (later == 1))[..., None]
    return np.where(last, x, 0).sum(-2), last


@contract("last (..., T, 1) bool, dy (..., C) -> dx (..., T, C)")
def last_valid_backward(dy, last):
    return np.where(last, dy[..., None, :], 0)


@twin("x (..., T, C), a (..., T), floor float from 0 -> y (..., 2C)")
def statistics(x, a, floor=1e-5):
    """mean = sum_t a_t x_t;  std = sqrt(max(sum_t a_t (x_t - mean)^2, floor));  y = [mean | std].

    The floor keeps the slope of the root finite for a constant sequence; weights that are all 0 (an empty row) give 0.
    (Okabe et al. 2018, eq. 5-6.)
    """
    weight = a[..., None]  # (..., T, 1)
    mean = (weight * x).sum(-2, keepdims=True)
    xc = x - mean
    var = (weight * xc * xc).sum(-2)
    above = var.real > floor
    std = np.sqrt(np.where(above, var, floor)) * (a.real != 0).any(-1, keepdims=True)
    y = np.concatenate([mean[..., 0, :], std], -1)
    return y, a, x, y, above


@twin("a (..., T), x (..., T, C), y (..., 2C), above (..., C) bool, dy (..., 2C) -> dx (..., T, C), da (..., T)")
def statistics_backward(dy, a, x, y, above):
    a, above = a[..., None], above[..., None, :]
    mean, std = np.split(y[..., None, :], 2, axis=-1)  # (..., 1, C)
    dmean, dstd = np.split(dy[..., None, :], 2, axis=-1)
    # std = sqrt(var) above the floor
    dvar = np.where(above, 0.5 * dstd / np.where(above, std, 1), 0)
    # var = sum_t a_t xc_t^2, xc = x - mean
    xc = x - mean
    dxc = 2 * dvar * a * xc
    dmean = dmean - dxc.sum(-2, keepdims=True)
    # mean = sum_t a_t x_t
    return dxc + a * dmean, (dvar * xc * xc + dmean * x).sum(-1)
