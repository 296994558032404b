"""LSTM, whole sequences. Products without the state (x W, and in backward those of all weights) are computed for a
block of steps at once, small enough for the second cache; a step is the product h U and the gates. Sizes: (B, T, D, H).
"""

import numpy as np

from refmer.kernels import njit
from refmer.kernels.gemm import gemm
from refmer.kernels.scalar import tanh
from refmer.kernels.vectors import add_rows, apply_sigmoid, apply_tanh, copy, fill_rows

OPTIONS = {"cache": True, "fastmath": {"contract"}}
BLOCK = 256  # rows (steps x clips) in a block


def lstm(x, W, b, U, h0, c0, mask=None, reverse=False):
    """Error: 3e-6 in float32 (long sums). Gain: 20 times at (4, 16, 16, 16), 3.1 at (16, 32, 128, 128)."""
    return _lstm(x, W, b, U, h0, c0, np.ones(x.shape[:2], bool) if mask is None else mask, reverse)


@njit(**OPTIONS)
def _lstm(x, W, b, U, h0, c0, valid, reverse):
    B, T, H = x.shape[0], x.shape[1], len(U)
    h, c, gates = np.empty((T + 1, B, H), x.dtype), np.empty((T + 1, B, H), x.dtype), np.empty((T, B, 4 * H), x.dtype)
    y, first = np.empty((B, T, H), x.dtype), T if reverse else 0
    copy(h0.reshape(-1), h[first].reshape(-1))
    copy(c0.reshape(-1), c[first].reshape(-1))
    for low, high in _blocks(B, T, reverse):
        _inputs(x, W, b, gates, low, high)
        for t in range(high - 1, low - 1, -1) if reverse else range(low, high):
            before, after = (t + 1, t) if reverse else (t, t + 1)
            gemm(h[before], U, gates[t])
            for n in range(B):
                z, h_t, c_t = gates[t, n], h[after, n], c[after, n]
                apply_sigmoid(z[: 2 * H])
                apply_tanh(z[2 * H : 3 * H])
                apply_sigmoid(z[3 * H :])
                if valid[n, t]:
                    _cell(z[:H], z[H : 2 * H], z[2 * H : 3 * H], c[before, n], c_t)
                    _output(z[3 * H :], c_t, h_t)
                    copy(h_t, y[n, t])
                else:
                    copy(h[before, n], h_t)
                    copy(c[before, n], c_t)
                    y[n, t] = 0
    return y, x, W, U, valid, reverse, h, c, gates


@njit(**OPTIONS)
def lstm_backward(dy, x, W, U, mask, reverse, h, c, gates):
    """Error: 1e-5 in float32 (long sums). Gain: 18 times at (4, 16, 16, 16), 3.0 at (16, 32, 128, 128)."""
    B, T, H = x.shape[0], x.shape[1], len(U)
    Wt, Ut, dx = _transposed(W), _transposed(U), np.empty_like(x)
    dW, db, dU = np.zeros_like(W), np.zeros_like(W[0]), np.zeros_like(U)
    dh, dc = np.zeros_like(h[0]), np.zeros_like(c[0])
    du = np.empty((_steps(B, T), B, 4 * H), x.dtype)
    for low, high in _blocks(B, T, reverse)[::-1]:
        for t in range(low, high) if reverse else range(high - 1, low - 1, -1):
            before, after = (t + 1, t) if reverse else (t, t + 1)
            for n in range(B):
                z, d = gates[t, n], du[t - low, n]
                if mask[n, t]:
                    _lstm_step_backward(
                        dy[n, t], z[:H], z[H : 2 * H], z[2 * H : 3 * H], z[3 * H :], c[before, n], c[after, n],
                        dh[n], dc[n], d[:H], d[H : 2 * H], d[2 * H : 3 * H], d[3 * H :],
                    )  # fmt: skip
                else:
                    d[:] = 0
            gemm(du[t - low], Ut, dh)
        states = h[low + 1 : high + 1] if reverse else h[low:high]
        gemm(_rows(states).T, _rows(du[: high - low]), dU)
        _inputs_backward(du[: high - low], x, Wt, low, dx, dW, db)
    return dx, dW, db, dU, dh, dc


@njit(**OPTIONS)
def _steps(B, T):
    """Steps in a block."""
    return min(T, max(1, BLOCK // max(1, B)))


@njit(**OPTIONS)
def _blocks(B, T, reverse):
    """First and last step of every block, in the order of reading."""
    size = _steps(B, T)
    blocks = [(low, min(low + size, T)) for low in range(0, T, size)]
    return blocks[::-1] if reverse else blocks


@njit(**OPTIONS)
def _rows(x):
    return x.reshape(-1, x.shape[2])


@njit(**OPTIONS)
def _transposed(W):
    """W.T, contiguous: 16 rows at a time, so that reads and writes both use whole cache lines."""
    out = np.empty((W.shape[1], W.shape[0]), W.dtype)
    for low in range(0, len(W), 16):
        part, target = W[low : low + 16], out[:, low : low + 16]
        for j in range(len(target)):
            for i in range(len(part)):
                target[j, i] = part[i, j]
    return out


@njit(**OPTIONS)
def _block(x, low, high):
    """Steps low to high of x (B, T, D), steps first, as rows."""
    rows = np.empty((high - low, len(x), x.shape[2]), x.dtype)
    for n in range(len(x)):
        for t in range(low, high):
            copy(x[n, t], rows[t - low, n])
    return _rows(rows)


@njit(**OPTIONS)
def _inputs(x, W, b, u, low, high):
    """u = x W + b for steps low to high."""
    fill_rows(_rows(u[low:high]), b)
    gemm(_block(x, low, high), W, _rows(u[low:high]))


@njit(**OPTIONS)
def _inputs_backward(du, x, Wt, low, dx, dW, db):
    """From du (steps, B, .) of the steps from `low` on: writes their dx, adds to dW and db."""
    high = low + len(du)
    rows = _block(x, low, high)
    gemm(rows.T, _rows(du), dW)
    add_rows(db, _rows(du))
    rows[:] = 0
    gemm(_rows(du), Wt, rows)
    by_step = rows.reshape(high - low, len(x), x.shape[2])
    for n in range(len(x)):
        for t in range(low, high):
            copy(by_step[t - low, n], dx[n, t])


@njit(**OPTIONS)
def _cell(i, f, g, before, c):
    for j in range(len(c)):
        c[j] = f[j] * before[j] + i[j] * g[j]


@njit(**OPTIONS)
def _output(o, c, h):
    for j in range(len(h)):
        h[j] = o[j] * tanh(c[j])


@njit(**OPTIONS)
def _lstm_step_backward(dy, i, f, g, o, before, c, dh, dc, di, df, dg, do):
    """One row. dh and dc: in, gradients of the state after the step; out, of the one before, without the part through U."""
    one = c.dtype.type(1)
    for j in range(len(c)):
        # h = o tanh(c)
        tanh_c, dh_j = tanh(c[j]), dy[j] + dh[j]
        dc_j = dc[j] + dh_j * o[j] * (one - tanh_c * tanh_c)
        do[j] = dh_j * tanh_c * o[j] * (one - o[j])
        # c = f before + i g
        di[j] = dc_j * g[j] * i[j] * (one - i[j])
        df[j] = dc_j * before[j] * f[j] * (one - f[j])
        dg[j] = dc_j * i[j] * (one - g[j] * g[j])
        dc[j] = dc_j * f[j]
        dh[j] = 0
