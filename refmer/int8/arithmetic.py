"""Quantization of floats to 8 bits, and products of such numbers, in NumPy: the definition of int8/kernels.py.

A float x is written as x ~ s (q - z): s the scale, a positive float; q an integer of 8 bits; z the zero point, the q of 0. Zero
must be exact, because padding, ReLU and masks make zeros: so z is an integer and the range is widened to include 0.
(Jacob et al. 2018, eq. 1; ONNX's DynamicQuantizeLinear.)

The product of x ~ s (q - z) (M, K) and W ~ t w (K, N), weights without a zero point, is one of integers:

    sum_k x_mk W_kn = s_m t_n sum_k (q_mk - z_m) w_kn = s_m t_n (sum_k q_mk w_kn - z_m sum_k w_kn)

where the last sum, a column's total, does not depend on x.
"""

import numpy as np

from refmer.choices import choose

BY_ROW, BY_TENSOR, STATIC = range(3)  # the range that gives the scale of inputs: of a row, of all rows, or fixed
TINY = np.finfo(np.float32).tiny  # below it, numbers lose their precision
LARGEST_DEPTH = (2**31 - 1) // (255 * 128)  # K: the sum of as many products of 8 bits always fits into 32


def affine_range(low, high):
    """Scale and zero point of unsigned 8 bits for values from low to high, widened to include 0.

    s = (high - low) / 255 puts low at 0 and high at 255; z = round(-low / s) is the q of 0. A range so narrow that s is no
    normal number contains 0 alone: s = 1, z = 0. low, high: numbers or arrays -> s (float32), z (int32) of their shape. Raises
    a ValueError if a bound or their difference is not finite in float32, or low > high.
    """
    with np.errstate(over="ignore"):
        low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        width = np.maximum(high, 0) - np.minimum(low, 0)
    if not (np.isfinite(width).all() and (low <= high).all()):
        raise ValueError(f"the range is {low} to {high}; accepted: finite numbers, the first not above the second")
    scale = width / np.float32(255)
    scale = np.where(scale >= TINY, scale, np.float32(1))
    return scale, np.rint(-np.minimum(low, 0) / scale).astype(np.int32)


def affine(x, scale, zero):
    """q = round(x / s) + z, half to even, saturated to 0..255; |s (q - z) - x| <= s / 2 inside the range.   -> uint8."""
    return np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.uint8)


def affine_rows(x, kind=BY_ROW, least=0.0, greatest=0.0):
    """Quantize rows x (M, K) float32 by their own ranges, that of x (BY_TENSOR), or least to greatest (STATIC).

    A row with nan or an infinity, or with a range beyond float32, gets the scale nan, so that its results are nan; with
    BY_TENSOR every row does. STATIC saturates values outside the range.   -> q (M, K), scale (M), zero (M).
    """
    low, high = x.min(1, initial=0), x.max(1, initial=0)
    if kind == BY_TENSOR:
        low, high = np.full_like(low, low.min(initial=0)), np.full_like(high, high.max(initial=0))
    with np.errstate(over="ignore", invalid="ignore"):
        good = np.isfinite(high - low)
    if kind == STATIC:
        low, high = np.full_like(low, least), np.full_like(high, greatest)
    scale, zero = affine_range(np.where(good, low, 0), np.where(good, high, 0))
    q = affine(np.where(good[:, None], x, 0), scale[:, None], zero[:, None])
    return q, np.where(good, scale, np.float32(np.nan)), zero


def symmetric(w, scale):
    """q = round(w / s), half to even, saturated to -127..127 (not -128: the range is symmetric).   -> int8."""
    return np.clip(np.rint(w / scale), -127, 127).astype(np.int8)


def symmetric_scale(w, clip="max", per_channel=True):
    """The scale s of weights W (K, N) ~ s q: the largest |w| becomes 127.   -> (N), or () if not per_channel; float32.

    clip "mse" tries largest values of 100 to 50 percent of max |w| and keeps the one with the least squared error: a few large
    weights saturate and all others get a finer step. A column (output channel) of zeros gets scale 1. Raises a ValueError if a
    weight is not finite, or `clip` has another value.
    """
    if not np.isfinite(w).all():
        raise ValueError("the weights are not finite; accepted: finite numbers")
    choose("clip", clip, ("max", "mse"))
    axis = 0 if per_channel else None
    top = np.abs(w).max(axis, initial=0)
    whole = np.where(top >= 127 * TINY, top / 127, 1).astype(np.float32)
    if clip == "max":
        return whole
    best, least = whole, np.full(whole.shape, np.inf)
    for share in np.linspace(1, 0.5, 26):
        scale = np.maximum(whole * np.float32(share), TINY)
        error = ((symmetric(w, scale) * scale - w) ** 2).sum(axis)
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    return best


def accumulate(q, zero, w):
    """sum_k (q_mk - z_m) w_kn in int32: the product of bytes, corrected.   q (M, K) uint8, zero (M), w (K, N) int8."""
    return q.astype(np.int32) @ w.astype(np.int32) - zero[:, None] * w.sum(0, dtype=np.int32)


def dequantize(sums, scale, weight_scale, b, floor=-np.inf):
    """y = max(floor, s_m t_n sums_mn + b_n): floor 0 is ReLU; nan stays.   sums (M, N) int32, scale (M), weight_scale (N)."""
    y = sums.astype(np.float32) * (scale[:, None] * weight_scale) + b
    return np.where(y < floor, np.float32(floor), y)
