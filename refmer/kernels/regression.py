"""Squared error and concordance: value and slope in a few passes, moments in float64. Gains are
ratios to the NumPy definition at shapes of the systems, float32, one thread.
"""

import numpy as np

from refmer.kernels.reductions import kernel, part


@kernel
def mse(prediction, target, mask=None):
    """Oracle: ops.regression.mse. Error: 1e-14 of the largest entry in float64, 1e-6 in float32 (up to 200 steps;
    beyond, the definition's own sums in float32 lose more).
    Gain: 4 times at (32, 2), 2.6 at (8192, 2)."""
    seen, n = _seen(prediction, mask)
    scale = 1 / (n * prediction.shape[-1])
    value, twice = 0.0, prediction.dtype.type(2 * scale)
    slope = np.empty_like(prediction)
    D = prediction.shape[-1]
    x, y, s = prediction.reshape(-1, D), target.reshape(-1, D), slope.reshape(-1, D)
    for i in range(len(x)):
        for d in range(D):
            error = x[i, d] - y[i, d] if seen[i] else prediction.dtype.type(0)
            value += error * error
            s[i, d] = twice * error
    return value * scale, slope


@kernel
def ccc(prediction, target, mask=None, ddof=0):
    """Oracle: ops.regression.ccc. Error: 1e-14 of the largest entry in float64, 1e-6 in float32 (up to 200 steps;
    beyond, the definition's own sums in float32 lose more).
    Gain: 8 times at (32, 2), 10 at (8192, 2)."""
    rho, slope = np.empty(prediction.shape[-1], prediction.dtype), np.empty_like(prediction)
    _concordance(prediction, target, mask, ddof, 1.0, rho, slope)
    return rho, slope


@kernel
def ccc_loss(prediction, target, mask=None, ddof=0):
    """Oracle: ops.regression.ccc_loss. Error: 1e-14 of the largest entry in float64, 1e-6 in float32 (up to 200 steps;
    beyond, the definition's own sums in float32 lose more).
    Gain: 8 times at (32, 2), 10 at (8192, 2)."""
    rho, slope = np.empty(prediction.shape[-1], prediction.dtype), np.empty_like(prediction)
    _concordance(prediction, target, mask, ddof, -1 / rho.size, rho, slope)
    return 1 - rho.mean(), slope


@part
def _concordance(prediction, target, mask, ddof, factor, rho, slope):
    """rho and factor times its slope."""
    if ddof != 0 and ddof != 1:
        raise ValueError(f"ddof is {ddof}; accepted: 0 (population moments) or 1 (sample moments)")
    D = rho.size
    seen, n = _seen(prediction, mask)
    free = max(n - ddof, 1.0)
    first = np.argmax(seen)
    x, y, s = prediction.reshape(-1, D), target.reshape(-1, D), slope.reshape(-1, D)
    for d in range(D):
        # measured from a valid step, a constant has deviations of exactly 0
        start_x, start_y = np.float64(x[first, d]), np.float64(y[first, d])
        mean_x = mean_y = 0.0
        for i in range(len(x)):
            mean_x += x[i, d] - start_x if seen[i] else 0.0
            mean_y += y[i, d] - start_y if seen[i] else 0.0
        mean_x, mean_y = mean_x / n, mean_y / n
        both = joint = 0.0
        for i in range(len(x)):
            u = x[i, d] - start_x - mean_x if seen[i] else 0.0
            v = y[i, d] - start_y - mean_y if seen[i] else 0.0
            both += u * u + v * v
            joint += u * v
        gap = start_x + mean_x - start_y - mean_y
        spread = both / free + gap * gap
        rspread = 0.0 if spread == 0 else 1 / spread
        r = 2 * joint / free * rspread
        rho[d] = r
        a, b = 2 * factor * rspread / free, 2 * factor * rspread * r * gap / n
        for i in range(len(x)):
            u, v = x[i, d] - start_x - mean_x, y[i, d] - start_y - mean_y
            s[i, d] = a * (v - r * u) - b if seen[i] else 0.0


@part
def _seen(prediction, mask):
    """The mask as a vector and how many steps it shows, at least 1."""
    if mask is None:
        seen = np.ones(prediction.size // prediction.shape[-1], np.bool_)
    else:
        seen = mask.reshape(-1)
    return seen, max(float(seen.sum()), 1.0)
