"""Fusion by multiplication: all products of one feature per modality."""

import numpy as np


def outer_with_ones(*parts):
    """y = [z_1; 1] x [z_2; 1] x ... (outer product, flattened): all products of features of any subset of the modalities.

    Parts z_m (B, C_m) -> (B, prod (C_m + 1)), the last element always 1   (tensor fusion, Zadeh et al. 2017, eq. 2).
    """
    B = len(parts[0])
    if any(z.ndim != 2 or len(z) != B for z in parts):
        raise ValueError(f"parts have shapes {[z.shape for z in parts]}; accepted: (clips, width), all of the same clips")
    y, before, extended = np.ones((B, 1), np.result_type(*parts)), [], []
    for z in parts:
        e = np.concatenate([z, np.ones_like(z[:, :1])], axis=1)
        before.append(y)
        extended.append(e)
        y = (y[:, :, None] * e[:, None, :]).reshape(B, -1)  # (B, P (C + 1))
    return y, before, extended


def outer_with_ones_backward(dy, before, extended):
    dparts = []
    for y, e in zip(reversed(before), reversed(extended), strict=True):
        dy = dy.reshape(*y.shape, e.shape[1])  # y_next[p, c] = y[p] e[c]
        dparts.append((dy * y[:, :, None]).sum(1)[:, :-1])  # without the gradient of the appended 1
        dy = (dy * e[:, None, :]).sum(2)
    return tuple(reversed(dparts))
