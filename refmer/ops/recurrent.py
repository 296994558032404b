"""The recurrences of LSTM and GRU, one direction of one layer, with backpropagation through time.

u = x W + b, the part that needs no state, is one product for all steps; the loop computes the rest. A step where the mask
(B, T) is False keeps the state and gives 0, so padding at the end changes nothing, and in reverse a clip starts at its last
valid step. All saved arrays are in the order of time, steps first.
"""

import numpy as np

from refmer.ops.activations import sigmoid, sigmoid_backward, tanh_backward
from refmer.ops.contracts import contract
from refmer.ops.dense import rows
from refmer.ops.twins import twin


def _reading(T, reverse):
    """(t, index of the state before step t, index of the state after it), in the order of reading."""
    return [(t, t + 1, t) for t in reversed(range(T))] if reverse else [(t, t, t + 1) for t in range(T)]


def _states(h, reverse):
    """h (T+1, B, H) -> the states before and after every step, (T, B, H) each."""
    return (h[1:], h[:-1]) if reverse else (h[:-1], h[1:])


@twin(
    "x (B, T, D), W (D, 4H), b (4H), U (H, 4H), h0 (B, H), c0 (B, H), mask (B, T) bool or None, reverse bool "
    "-> y (B, T, H) where T >= 1"
)
def lstm(x, W, b, U, h0, c0, mask=None, reverse=False):
    """i, f, g, o = split(u_t + h_(t-1) U), g through tanh, the others sigmoid;  c_t = f c_(t-1) + i g;  h_t = o tanh(c_t).

    Gates in the order i, f, g, o as PyTorch.
    (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000.)
    """
    mask = np.ones(x.shape[:2], bool) if mask is None else mask
    u = (x @ W + b).swapaxes(0, 1)  # (T, B, 4H)
    T = len(u)
    h, c, gates = [h0] * (T + 1), [c0] * (T + 1), [None] * T
    for t, before, after in _reading(T, reverse):
        i, f, g, o = np.split(u[t] + h[before] @ U, 4, axis=-1)  # (B, H) each
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_t = f * c[before] + i * g
        h_t = o * np.tanh(c_t)
        valid = mask[:, t, None]
        c[after] = np.where(valid, c_t, c[before])
        h[after] = np.where(valid, h_t, h[before])
        gates[t] = np.concatenate([i, f, g, o], axis=-1)
    h, c, gates = np.stack(h), np.stack(c), np.stack(gates)  # (T+1, B, H) twice, (T, B, 4H)
    y = np.where(mask[..., None], _states(h, reverse)[1].swapaxes(0, 1), 0)
    return y, x, W, U, mask, reverse, h, c, gates


@twin(
    "x (B, T, D), W (D, 4H), U (H, 4H), mask (B, T) bool, reverse bool, h (P, B, H), c (P, B, H), gates (T, B, 4H), "
    "dy (B, T, H) -> dx (B, T, D), dW (D, 4H), db (4H), dU (H, 4H), dh0 (B, H), dc0 (B, H) where P = T + 1; T >= 1"
)
def lstm_backward(dy, x, W, U, mask, reverse, h, c, gates):
    du, dh, dc = [None] * len(gates), np.zeros_like(h[0]), np.zeros_like(c[0])  # dh, dc: gradients from later steps
    for t, before, after in reversed(_reading(len(gates), reverse)):
        (i, f, g, o), tanh_c, valid = np.split(gates[t], 4, axis=-1), np.tanh(c[after]), mask[:, t, None]
        # h_t = o tanh(c_t), and h_t is also the output y_t
        dh_t = np.where(valid, dy[:, t] + dh, 0)
        dc_t = np.where(valid, dc, 0) + tanh_backward(dh_t * o, tanh_c)
        do = sigmoid_backward(dh_t * tanh_c, o)
        # c_t = f c_(t-1) + i g
        di, df, dg = sigmoid_backward(dc_t * g, i), sigmoid_backward(dc_t * c[before], f), tanh_backward(dc_t * i, g)
        du[t] = np.concatenate([di, df, dg, do], axis=-1)  # (B, 4H)
        # i, f, g, o = split(u_t + h_(t-1) U);  a masked step passes its gradient on
        dh = np.where(valid, du[t] @ U.T, dh)
        dc = np.where(valid, dc_t * f, dc)
    du = np.stack(du)  # (T, B, 4H)
    dU = rows(_states(h, reverse)[0]).T @ rows(du)
    # u = x W + b
    du = du.swapaxes(0, 1)
    return du @ W.T, rows(x).T @ rows(du), rows(du).sum(0), dU, dh, dc


@contract(
    "x (B, T, D), W (D, 3H), b (3H), U (H, 3H), b_state (3H), h0 (B, H), mask (B, T) bool or None, reverse bool "
    "-> y (B, T, H) where T >= 1"
)
def gru(x, W, b, U, b_state, h0, mask=None, reverse=False):
    """v = h_(t-1) U + b_state;  r, z = sigmoid(u_r + v_r), sigmoid(u_z + v_z);  n = tanh(u_n + r v_n);
    h_t = (1 - z) n + z h_(t-1).

    Parts in the order r, z, n. (Cho et al. 2014; with the reset gate r on the hidden part of the candidate n, after its bias,
    as PyTorch and cuDNN.)
    """
    mask = np.ones(x.shape[:2], bool) if mask is None else mask
    u = (x @ W + b).swapaxes(0, 1)  # (T, B, 3H)
    T = len(u)
    h, gates = [h0] * (T + 1), [None] * T
    for t, before, after in _reading(T, reverse):
        (u_r, u_z, u_n), (v_r, v_z, v_n) = np.split(u[t], 3, axis=-1), np.split(h[before] @ U + b_state, 3, axis=-1)
        r, z = sigmoid(u_r + v_r), sigmoid(u_z + v_z)  # (B, H) each
        n = np.tanh(u_n + r * v_n)
        h[after] = np.where(mask[:, t, None], (1 - z) * n + z * h[before], h[before])
        gates[t] = np.concatenate([r, z, n, v_n], axis=-1)
    h, gates = np.stack(h), np.stack(gates)  # (T+1, B, H), (T, B, 4H)
    y = np.where(mask[..., None], _states(h, reverse)[1].swapaxes(0, 1), 0)
    return y, x, W, U, mask, reverse, h, gates


@contract(
    "x (B, T, D), W (D, 3H), U (H, 3H), mask (B, T) bool, reverse bool, h (P, B, H), gates (T, B, 4H), dy (B, T, H) "
    "-> dx (B, T, D), dW (D, 3H), db (3H), dU (H, 3H), db_state (3H), dh0 (B, H) where P = T + 1; T >= 1"
)
def gru_backward(dy, x, W, U, mask, reverse, h, gates):
    du, dv, dh = [None] * len(gates), [None] * len(gates), np.zeros_like(h[0])
    for t, before, _ in reversed(_reading(len(gates), reverse)):
        (r, z, n, v_n), valid = np.split(gates[t], 4, axis=-1), mask[:, t, None]
        dh_t = np.where(valid, dy[:, t] + dh, 0)
        # h_t = (1 - z) n + z h_(t-1)
        dz = sigmoid_backward(dh_t * (h[before] - n), z)
        dn = tanh_backward(dh_t * (1 - z), n)
        # n = tanh(u_n + r v_n)
        dr = sigmoid_backward(dn * v_n, r)
        du[t] = np.concatenate([dr, dz, dn], axis=-1)  # (B, 3H)
        dv[t] = np.concatenate([dr, dz, dn * r], axis=-1)
        # v = h_(t-1) U + b_state
        dh = np.where(valid, dv[t] @ U.T + dh_t * z, dh)
    du, dv = np.stack(du), np.stack(dv)  # (T, B, 3H)
    dU, db_state = rows(_states(h, reverse)[0]).T @ rows(dv), rows(dv).sum(0)
    # u = x W + b
    du = du.swapaxes(0, 1)
    return du @ W.T, rows(x).T @ rows(du), rows(du).sum(0), dU, db_state, dh
