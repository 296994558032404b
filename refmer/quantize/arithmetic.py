"""What a float becomes in 8 bits, and what a product of such numbers is worth. NumPy only: the definition that the kernels double.

A float x is written as x ~ s (q - z): s the scale (a positive float), q a whole number of 8 bits, z the zero point, the q that
means 0. Zero must be exact, because padding, ReLU and masks make zeros: z is whole, and the range is widened to include 0.
(Jacob et al. 2018, eq. 1; ONNX's DynamicQuantizeLinear.)
"""

import numpy as np

LARGEST_DEPTH = (2**31 - 1) // (255 * 128)  # K products of 8 bits whose sum surely fits into 32


def affine_range(low, high):
    """Scale and zero point of unsigned 8 bits for values from low to high, widened to include 0.

    s = (high - low) / 255 puts low at 0 and high at 255; z = round(-low / s) is where 0 falls, rounded half to even, so that 0 is
    met exactly. A range of width 0 holds only 0: s = 1, z = 0.

    Parameters
    ----------
    low, high : float or array
        Finite, low <= high.

    Returns
    -------
    scale (float32), zero (int32), of the arguments' shape

    Raises
    ------
    ValueError
        If a bound is not finite or low > high.
    """
    low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        raise ValueError(f"the range is {low} to {high}; accepted: finite numbers, the first not above the second")
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    scale = (high - low) / np.float32(255)
    scale = np.where(scale > 0, scale, np.float32(1))
    return scale, np.rint(-low / scale).astype(np.int32)


def affine(x, scale, zero):
    """q = round(x / s) + z, half to even, saturated to 0..255.   |s (q - z) - x| <= s / 2 inside the range.   -> uint8."""
    return np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.uint8)


def from_affine(q, scale, zero):
    """x = s (q - z)."""
    return (q.astype(np.int32) - zero).astype(np.float32) * scale


def symmetric(w, scale):
    """q = round(w / s), half to even, saturated to -127..127 (-128 is left out: the range has no favourite sign).   -> int8."""
    return np.clip(np.rint(w / scale), -127, 127).astype(np.int8)


def symmetric_scale(w, clip="max", per_channel=True):
    """The scale of weights W (K, N): the largest |w| becomes 127.

    Parameters
    ----------
    w : array (K, N)
    clip : "max" or "mse"
        "mse" tries smaller largest values, 100 to 50 percent of max |w|, and keeps the one with the least squared error: a few far
        weights saturate and all others get a finer step.
    per_channel : bool
        One scale per column (output channel), or one for all. A column of zeros gets scale 1.

    Returns
    -------
    array (N,) or (), float32

    Raises
    ------
    ValueError
        If a weight is not finite, or `clip` is another word.
    """
    if not np.isfinite(w).all():
        raise ValueError("the weights are not finite; accepted: finite numbers")
    if clip not in ("max", "mse"):
        raise ValueError(f"clip is {clip!r}; accepted: 'max', 'mse'")
    axis = 0 if per_channel else None
    top = np.abs(w).max(axis, initial=0)
    whole = np.where(top > 0, top / 127, 1).astype(np.float32)
    if clip == "max":
        return whole
    candidates = [whole * np.float32(share) for share in np.linspace(1, 0.5, 26)]
    errors = [((symmetric(w, s) * s - w) ** 2).sum(axis) for s in candidates]
    return np.choose(np.argmin(errors, 0), candidates) if per_channel else candidates[int(np.argmin(errors))]


def accumulate(q, zero, weights, total):
    """sum_k (q_mk - z_m) w_kn = sum_k q_mk w_kn - z_m sum_k w_kn, in int32: the product of bytes, then a correction.

    q (M, K) uint8, zero (M,) int32, weights (K, N) int8, total (N,) int32 the column sums of weights.
    """
    return q.astype(np.int32) @ weights.astype(np.int32) - zero[:, None] * total


def fitting_depth(k):
    """ValueError if K products of bytes may not fit into a 32-bit sum."""
    if k > LARGEST_DEPTH:
        raise ValueError(f"the matrix has {k} rows; accepted: at most {LARGEST_DEPTH}, whose sum of products fits into 32 bits")
