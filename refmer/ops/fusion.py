"""Fusion by multiplication: all products of one feature per modality."""

from math import prod

import numpy as np


def outer_with_ones(*parts):
    """y = [z_1; 1] x [z_2; 1] x ... (outer product, flattened): all products of features of any subset of the modalities.

    Parts z_m (B, C_m) -> (B, prod (C_m + 1)), the last element always 1   (tensor fusion, Zadeh et al. 2017, eq. 2).
    """
    shapes = [getattr(z, "shape", type(z).__name__) for z in parts]
    if not parts or any(not isinstance(z, np.ndarray) or z.ndim != 2 or len(z) != len(parts[0]) for z in parts):
        raise ValueError(f"outer_with_ones: parts have shapes {shapes}; expected (B, C_m), one at least")
    B = len(parts[0])
    y, before, extended = np.ones((B, 1), np.result_type(*parts)), [], []
    for z in parts:
        e = np.concatenate([z, np.ones_like(z[:, :1])], axis=1)
        before.append(y)
        extended.append(e)
        y = (y[:, :, None] * e[:, None, :]).reshape(B, y.shape[1] * e.shape[1])  # (B, P (C + 1))
    return y, before, extended


def outer_with_ones_backward(dy, before, extended):
    expected = (len(before[0]), prod(e.shape[1] for e in extended))
    if np.shape(dy) != expected:
        raise ValueError(f"outer_with_ones_backward: dy has shape {np.shape(dy)}; expected (B, prod (C_m + 1)) = {expected}")
    dparts = []
    for y, e in zip(reversed(before), reversed(extended), strict=True):
        dy = dy.reshape(*y.shape, e.shape[1])  # y_next[p, c] = y[p] e[c]
        dparts.append((dy * y[:, :, None]).sum(1)[:, :-1])  # without the gradient of the appended 1
        dy = (dy * e[:, None, :]).sum(2)
    return tuple(reversed(dparts))
