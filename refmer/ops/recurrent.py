"""The recurrences: LSTM and GRU, with backpropagation through time.

Both take u = x W + b, the part that needs no state, for all steps at once (one product, made by the layer); the loop holds
what cannot be parallel. A step that the mask (B, T) marks False keeps the state and gives 0, so padding at the end changes
nothing, and read backwards a clip starts at its last valid step.
"""

import numpy as np

from refmer.ops.activations import sigmoid, sigmoid_backward, tanh_backward
from refmer.ops.shapes import rows
from refmer.ops.twins import kernels_on


def lstm(u, U, h0, c0, mask=None):
    """i, f, g, o = split(u_t + h_(t-1) U), g through tanh, the others sigmoid;  c_t = f c_(t-1) + i g;  h_t = o tanh(c_t).

    u (B, T, 4H), gates in the order i, f, g, o as PyTorch; U (H, 4H); h0, c0 (B, H) -> h (B, T, H).
    (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000.)
    """
    mask = np.ones(u.shape[:2], bool) if mask is None else mask
    if kernels_on() and hasattr(U, "lstm"):  # in 8 bits: there is no way back
        return (U.lstm(u, h0, c0, mask),)
    h, c, gates = [h0], [c0], []
    for t in range(u.shape[1]):
        i, f, g, o = np.split(u[:, t] + h[-1] @ U, 4, axis=-1)  # (B, H) each
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_t = f * c[-1] + i * g
        h_t = o * np.tanh(c_t)
        valid = mask[:, t, None]
        c.append(np.where(valid, c_t, c[-1]))
        h.append(np.where(valid, h_t, h[-1]))
        gates.append(np.stack([i, f, g, o]))
    h, c, gates = np.stack(h), np.stack(c), np.stack(gates)  # (T+1, B, H) twice, (T, 4, B, H)
    return np.where(mask[..., None], h[1:].swapaxes(0, 1), 0), U, mask, h, c, gates


def lstm_backward(dy, U, mask, h, c, gates):
    du, dh, dc = [], np.zeros_like(h[0]), np.zeros_like(c[0])  # dh, dc: the gradients that come from later steps
    for t in reversed(range(len(gates))):
        (i, f, g, o), tanh_c, valid = gates[t], np.tanh(c[t + 1]), mask[:, t, None]
        # h_t = o tanh(c_t), and h_t is also the output y_t
        dh_t = np.where(valid, dy[:, t] + dh, 0)
        dc_t = np.where(valid, dc, 0) + tanh_backward(dh_t * o, tanh_c)
        do = sigmoid_backward(dh_t * tanh_c, o)
        # c_t = f c_(t-1) + i g
        di, df, dg = sigmoid_backward(dc_t * g, i), sigmoid_backward(dc_t * c[t], f), tanh_backward(dc_t * i, g)
        du.append(np.concatenate([di, df, dg, do], axis=-1))  # (B, 4H)
        # i, f, g, o = split(u_t + h_(t-1) U);  a masked step hands on what it got
        dh = np.where(valid, du[-1] @ U.T, dh)
        dc = np.where(valid, dc_t * f, dc)
    du = np.stack(du[::-1])  # (T, B, 4H)
    return du.swapaxes(0, 1), rows(h[:-1]).T @ rows(du), dh, dc


def gru(u, U, b, h0, mask=None):
    """v = h_(t-1) U + b;  r, z = sigmoid(u_r + v_r), sigmoid(u_z + v_z);  n = tanh(u_n + r v_n);  h_t = (1 - z) n + z h_(t-1).

    u (B, T, 3H), parts in the order r, z, n; U (H, 3H); b (3H); h0 (B, H) -> h (B, T, H). (Cho et al. 2014; with the reset
    gate r on the hidden part of the candidate n, after its bias, as PyTorch and cuDNN.)
    """
    mask = np.ones(u.shape[:2], bool) if mask is None else mask
    h, gates = [h0], []
    for t in range(u.shape[1]):
        (u_r, u_z, u_n), (v_r, v_z, v_n) = np.split(u[:, t], 3, axis=-1), np.split(h[-1] @ U + b, 3, axis=-1)
        r, z = sigmoid(u_r + v_r), sigmoid(u_z + v_z)  # (B, H) each
        n = np.tanh(u_n + r * v_n)
        h.append(np.where(mask[:, t, None], (1 - z) * n + z * h[-1], h[-1]))
        gates.append(np.stack([r, z, n, v_n]))
    h, gates = np.stack(h), np.stack(gates)  # (T+1, B, H), (T, 4, B, H)
    return np.where(mask[..., None], h[1:].swapaxes(0, 1), 0), U, mask, h, gates


def gru_backward(dy, U, mask, h, gates):
    du, dv, dh = [], [], np.zeros_like(h[0])
    for t in reversed(range(len(gates))):
        (r, z, n, v_n), valid = gates[t], mask[:, t, None]
        dh_t = np.where(valid, dy[:, t] + dh, 0)
        # h_t = (1 - z) n + z h_(t-1)
        dz = sigmoid_backward(dh_t * (h[t] - n), z)
        dn = tanh_backward(dh_t * (1 - z), n)
        # n = tanh(u_n + r v_n)
        dr = sigmoid_backward(dn * v_n, r)
        du.append(np.concatenate([dr, dz, dn], axis=-1))  # (B, 3H)
        dv.append(np.concatenate([dr, dz, dn * r], axis=-1))
        # v = h_(t-1) U + b
        dh = np.where(valid, dv[-1] @ U.T + dh_t * z, dh)
    du, dv = np.stack(du[::-1]), np.stack(dv[::-1])  # (T, B, 3H)
    return du.swapaxes(0, 1), rows(h[:-1]).T @ rows(dv), rows(dv).sum(0), dh
