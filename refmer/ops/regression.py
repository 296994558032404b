"""Regression: squared error and the concordance of predictions with what they should be, over valid steps.

Each returns its value and its slope, the derivative by the prediction: backward is one product.
"""

from functools import wraps

import numpy as np

from refmer.ops.twins import twin


def checked(measure):
    """The measure, kernel or definition, once its arguments fit; a value of one number keeps the prediction's dtype."""

    @wraps(measure)
    def look(prediction, target, mask=None, *ddof, **options):
        shape = prediction.shape
        if len(shape) < 2 or not prediction.size:
            raise ValueError(f"prediction has shape {shape}; accepted: (steps, quantities) or more axes, none empty")
        if target.shape != shape:
            raise ValueError(f"target has shape {target.shape}; accepted: {shape}, the shape of the prediction")
        if mask is not None and (mask.dtype != bool or mask.shape != shape[:-1]):
            raise ValueError(f"mask has dtype {mask.dtype} and shape {mask.shape}; accepted: bool, {shape[:-1]}")
        value, slope = measure(prediction, target, mask, *ddof, **options)
        # a kernel's float32 arrives as a Python float
        return prediction.dtype.type(value) if type(value) is float else value, slope

    return look


@checked
@twin
def mse(prediction, target, mask=None):
    """L = mean (prediction - target)^2 over the valid steps; 0 if there is none.

    prediction, target (..., D); mask (...) bool, True where a step is valid. target is data: no gradient.
    """
    seen, n = _seen(prediction, mask)
    error = np.where(seen, prediction - target, 0)
    scale = 1 / (n * error.shape[-1])
    return (error * error).sum() * scale, 2 * scale * error


def mse_backward(dy, slope):
    return dy * slope


@checked
@twin
def ccc(prediction, target, mask=None, ddof=0):
    """rho = 2 s_xy / (s_x^2 + s_y^2 + (mean_x - mean_y)^2) for each of D quantities (Lin 1989; paper 003, eq. 15).

    prediction x, target y (..., D), taken over all axes but the last; mask (...) bool; -> (D). Covariance and variances divide
    by n - ddof alike: 0 is Lin's definition, 1 that of torchmetrics. Mixing them, as some public code does, gives
    ccc(x, x) = (n - 1) / n. A constant x or y has rho = 0; where both are constant and equal (0/0), the gradient is 0 too.
    """
    if ddof not in (0, 1):
        raise ValueError(f"ddof is {ddof}; accepted: 0 (population moments) or 1 (sample moments)")
    seen, n = _seen(prediction, mask)
    free = max(n - ddof, 1.0)  # a single step: all deviations are 0
    x, mean_x = _centred(prediction, seen, n)
    y, mean_y = _centred(target, seen, n)
    gap = mean_x - mean_y
    spread = (x * x + y * y).sum(0) / free + gap * gap
    rspread = np.where(spread == 0, 0, 1 / np.where(spread == 0, 1, spread))
    rho = 2 * (x * y).sum(0) / free * rspread
    # rho = 2 s / D:  ds/dx = y / free (y centred),  dD/dx = 2 x / free + 2 gap / n
    slope = 2 * rspread * ((y - rho * x) / free - rho * gap / n)
    return rho, np.where(seen, slope.reshape(prediction.shape), 0)


def ccc_backward(dy, slope):
    return dy * slope


@checked
@twin
def ccc_loss(prediction, target, mask=None, ddof=0):
    """L = 1 - (rho_1 + ... + rho_D) / D; for valence and arousal (D = 2) paper 003, eq. 16.

    The authors' code minimises (1 - rho_a) + (1 - rho_v), twice this. Arguments as for `ccc`.
    """
    rho, slope = ccc(prediction, target, mask, ddof)
    return 1 - rho.mean(), slope / -len(rho)


def ccc_loss_backward(dy, slope):
    return dy * slope


def _centred(x, seen, n):
    """The deviations from the mean (N, D), 0 at masked steps, and the mean (D)."""
    x, seen = x.reshape(-1, x.shape[-1]), np.broadcast_to(seen, x.shape).reshape(-1, x.shape[-1])
    start = x[seen[:, 0].argmax()]  # measured from a valid step, a constant has deviations of exactly 0
    x = np.where(seen, x - start, 0)
    mean = x.sum(0) / n
    return np.where(seen, x - mean, 0), start + mean


def _seen(prediction, mask):
    """The mask with an axis for D, and how many steps it shows, at least 1 (a float: float32 stays float32)."""
    if mask is None:
        mask = np.ones(prediction.shape[:-1], bool)
    return mask[..., None], max(float(mask.sum()), 1.0)
