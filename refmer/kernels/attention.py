"""Attention with heads, a block of queries at a time: no array of the size of the weights, (B, H, T, S), is ever made.

Within a block everything is transposed, a column for each query: the softmax runs down the columns, many queries at once, and
a product of any head width keeps whole vectors busy. Columns beyond the last query fill up a vector and are not used. Many
small heads lie side by side, a head in each lane of the vectors: a column for each query of each of them.
"""

import numpy as np

from refmer.kernels import njit
from refmer.kernels.gemm import BYTES, gemm, gemm_lanes
from refmer.kernels.scalar import exp
from refmer.kernels.vectors import add_product, add_rows

BLOCK = 128  # queries of a head at a time: their weights stay in the second cache
LANES = 16  # the width of a block is a multiple: no vector is left half empty
SMALL = 300  # queries times the width of a head
WEIGHTS = 1 << 11  # queries times keys of heads side by side at a time: they stay in the second cache
ALL = np.ones((1, 1, 1, 1), bool)


def attend(q, k, v, heads, c, mask=None, keep=None, rate=0.0):
    """Error: 3e-6 in float32. Gain, with attend_backward: none at (32, 3, 192) with 4 heads, 2.1 times at (32, 3, 32), 3.3 at
    (32, 14, 24) masked with dropout, 2.8 at (32, 36, 16) with 2 heads, 3.7 at (32, 100, 130) with 10, 4.1 at (8, 512, 128) with
    4."""
    y = np.empty_like(q)
    f = _attend_lanes if _few(q, heads) else _attend
    f(q, k, v, heads, *_spread(q, k, heads, c, mask, keep, rate), y)
    return y, q, k, v, heads, c, mask, keep, rate


def attend_backward(dy, q, k, v, heads, c, mask, keep, rate):
    """Error: 3e-6 in float32. Gain: see attend."""
    dq, dk, dv = np.empty_like(q), np.zeros_like(k), np.zeros_like(v)
    f = _attend_lanes_backward if _few(q, heads) else _attend_backward
    f(dy, q, k, v, heads, *_spread(q, k, heads, c, mask, keep, rate), dq, dk, dv)
    return dq, dk, dv


def _few(q, heads):
    """Return True if many small heads are faster side by side, a head in each lane of a vector, than one after another."""
    return q.shape[1] * q.shape[2] <= SMALL * heads and len(q) * heads >= LANES // 2


def _spread(q, k, heads, c, mask, keep, rate):
    """c, mask and keep as arrays of four axes, and 1 / (1 - rate): one compiled version for all optional arguments."""
    c = np.full((1, 1, 1, 1), c, q.dtype) if isinstance(c, float) else c
    keep, rate = (ALL, 0.0) if keep is None else (keep, rate)
    return c, ALL if mask is None else mask, keep, q.dtype.type(1 / (1 - rate))


@njit(cache=True)
def _attend(q, k, v, heads, c, mask, keep, scale, y):
    (B, T, C), S = q.shape, k.shape[1]
    D = C // heads
    block, width = _sizes(T)
    qt, yt, a = np.zeros((D, width), q.dtype), np.empty((D, width), q.dtype), np.empty((S, width), q.dtype)
    total = np.empty(width, q.dtype)
    for b in range(B):
        for h in range(heads):
            one, two = h * D, (h + 1) * D
            for t in range(0, T, block):
                n = min(block, T - t)
                _scale(q[b, t : t + n, one:two], _at(c, b, h)[0, 0], qt[:, :n].T)
                _product(k[b, :, one:two], qt, a)
                _hide(a, _at(mask, b, h), t, n, -np.inf)
                _softmax(a, total)
                _hide(a, _at(keep, b, h), t, n, 0)
                _product(v[b, :, one:two].T, a, yt)
                for i in range(width):
                    total[i] = scale / total[i]
                _scatter(yt, total, y[b, t : t + n, one:two])


@njit(cache=True)
def _attend_backward(dy, q, k, v, heads, c, mask, keep, scale, dq, dk, dv):
    (B, T, C), S = q.shape, k.shape[1]
    D = C // heads
    block, width = _sizes(T)
    qt, dyt, dqt = np.zeros((D, width), q.dtype), np.zeros((D, width), q.dtype), np.empty((D, width), q.dtype)
    a, ds = np.empty((S, width), q.dtype), np.empty((S, width), q.dtype)
    total, inner = np.empty(width, q.dtype), np.empty(width, q.dtype)
    factors, scales = np.empty(width, q.dtype), np.full(width, scale)
    for b in range(B):
        for h in range(heads):
            one, two = h * D, (h + 1) * D
            factors[:] = _at(c, b, h)[0, 0]
            for t in range(0, T, block):
                n = min(block, T - t)
                _scale(q[b, t : t + n, one:two], factors[0], qt[:, :n].T)
                _scale(dy[b, t : t + n, one:two], scale, dyt[:, :n].T)
                _product(k[b, :, one:two], qt, a)
                _hide(a, _at(mask, b, h), t, n, -np.inf)
                _softmax(a, total)
                for i in range(width):
                    total[i] = 1 / total[i]
                _product(v[b, :, one:two], dyt, ds)
                _hide(ds, _at(keep, b, h), t, n, 0)
                _scores_backward(ds, a, total, inner)
                _product(k[b, :, one:two].T, ds, dqt)
                _scatter(dqt, factors, dq[b, t : t + n, one:two])
                gemm(ds[:, :n], q[b, t : t + n, one:two], dk[b, :, one:two])
                _hide(a, _at(keep, b, h), t, n, 0)
                if scale != 1:
                    for s in range(S):
                        _multiply(a[s], scales)
                gemm(a[:, :n], dy[b, t : t + n, one:two], dv[b, :, one:two])
            _scale(dk[b, :, one:two], factors[0], dk[b, :, one:two])


@njit(cache=True)
def _attend_lanes(q, k, v, heads, c, mask, keep, scale, y):
    (B, T, C), S = q.shape, k.shape[1]
    D, block, L = C // heads, min(T, max(1, WEIGHTS // S)), BYTES // q.itemsize
    ks, vs, qs, ys = _room(S, D, q), _room(S, D, q), _room(block, D, q), _room(block, D, q)
    a, total, one, factors = _room(S, block, q), np.empty(block * L, q.dtype), np.ones(L, q.dtype), np.empty(L, q.dtype)
    for first in range(0, B * heads, L):
        _to_lanes(k, heads, first, 0, one, ks)
        _to_lanes(v, heads, first, 0, one, vs)
        _factors(c, B, heads, first, factors)
        for t in range(0, T, block):
            _to_lanes(q, heads, first, t, factors, qs)
            _product_lanes(ks, qs, a, False, True)
            _hide_lanes(a, mask, B, heads, first, t, T, -np.inf)
            _softmax(a.reshape((S, block * L)), total)
            _hide_lanes(a, keep, B, heads, first, t, T, 0)
            _product_lanes(a, vs, ys, True, False)
            for i in range(len(total)):
                total[i] = scale / total[i]
            for i in range(block):
                for d in range(D):
                    _multiply(ys[i, d], total[i * L : (i + 1) * L])
            _from_lanes(ys, heads, first, t, one, y)


@njit(cache=True)
def _attend_lanes_backward(dy, q, k, v, heads, c, mask, keep, scale, dq, dk, dv):
    (B, T, C), S = q.shape, k.shape[1]
    D, block, L = C // heads, min(T, max(1, WEIGHTS // S)), BYTES // q.itemsize
    ks, vs, dks, dvs = _room(S, D, q), _room(S, D, q), _room(S, D, q), _room(S, D, q)
    qs, dqs, dys = _room(block, D, q), _room(block, D, q), _room(block, D, q)
    a, ds, total, inner = _room(S, block, q), _room(S, block, q), np.empty(block * L, q.dtype), np.empty(block * L, q.dtype)
    flat, dflat = a.reshape((S, block * L)), ds.reshape((S, block * L))
    one, factors, scales = np.ones(L, q.dtype), np.empty(L, q.dtype), np.full(L, scale)
    for first in range(0, B * heads, L):
        _to_lanes(k, heads, first, 0, one, ks)
        _to_lanes(v, heads, first, 0, one, vs)
        _factors(c, B, heads, first, factors)
        dks[:], dvs[:] = 0, 0
        for t in range(0, T, block):
            _to_lanes(q, heads, first, t, factors, qs)
            _to_lanes(dy, heads, first, t, scales, dys)
            _product_lanes(ks, qs, a, False, True)
            _hide_lanes(a, mask, B, heads, first, t, T, -np.inf)
            _softmax(flat, total)
            for i in range(len(total)):
                total[i] = 1 / total[i]
            _product_lanes(vs, dys, ds, False, True)
            _hide_lanes(ds, keep, B, heads, first, t, T, 0)
            _scores_backward(dflat, flat, total, inner)
            _product_lanes(ds, ks, dqs, True, False)
            _from_lanes(dqs, heads, first, t, factors, dq)
            gemm_lanes(ds, qs, dks, False, False)
            _hide_lanes(a, keep, B, heads, first, t, T, 0)
            gemm_lanes(a, dys, dvs, False, False)
        _from_lanes(dks, heads, first, 0, one, dk)
        _from_lanes(dvs, heads, first, 0, one, dv)


@njit
def _room(M, N, x):
    """Room for (M, N) of every lane, a head in each: the loops over heads are those over the numbers of a vector."""
    return np.empty((M, N, BYTES // x.itemsize), x.dtype)


@njit
def _to_lanes(x, heads, first, t, c, y):
    """y (M, D, L) = c x: steps t to t + M of the heads from number `first` on, all clips' one after another; 0 beyond."""
    B, T, D = x.shape[0], x.shape[1], x.shape[2] // heads
    lanes, n = min(y.shape[2], B * heads - first), min(len(y), T - t)
    if lanes < y.shape[2] or n < len(y):
        y[:] = 0
    for lane in range(lanes):
        b, h = divmod(first + lane, heads)
        _scale(x[b, t : t + n, h * D : (h + 1) * D], c[lane], y[:n, :, lane])


@njit
def _from_lanes(y, heads, first, t, c, x):
    """x = c y: the inverse."""
    B, T, D = x.shape[0], x.shape[1], x.shape[2] // heads
    n = min(len(y), T - t)
    for lane in range(min(y.shape[2], B * heads - first)):
        b, h = divmod(first + lane, heads)
        _scale(y[:n, :, lane], c[lane], x[b, t : t + n, h * D : (h + 1) * D])


@njit
def _scale(x, c, y):
    """y = c x."""
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = c * x[i, j]


@njit
def _factors(c, B, heads, first, factors):
    for lane in range(len(factors)):
        b, h = divmod(min(first + lane, B * heads - 1), heads)
        factors[lane] = _at(c, b, h)[0, 0]


@njit
def _hide_lanes(a, mask, B, heads, first, t, T, value):
    if mask.size == 1 and mask[0, 0, 0, 0]:
        return
    for lane in range(min(a.shape[2], B * heads - first)):
        b, h = divmod(first + lane, heads)
        _hide(a[:, :, lane], _at(mask, b, h), t, min(a.shape[1], T - t), value)


@njit
def _product_lanes(a, b, c, turn_a, turn_b):
    """c = a b."""
    c[:] = 0
    gemm_lanes(a, b, c, turn_a, turn_b)


@njit
def _scores_backward(ds, a, total, inner):
    """a *= total; ds = a (ds - sum of a ds), down the columns."""
    inner[:] = 0
    for s in range(len(a)):
        _multiply(a[s], total)
        add_product(inner, a[s], ds[s])
    for s in range(len(a)):
        _softmax_backward(ds[s], a[s], inner)


@njit
def _softmax(a, total):
    """a (S, T) = exp(a - its largest) down the columns, and their sums: 1 for an empty one."""
    top = np.full(len(total), -np.inf, a.dtype)
    for s in range(len(a)):  # numba takes the rows of `for row in a` for strided ones, and does not vectorise
        _raise_to(top, a[s])
    for i in range(len(top)):
        top[i] = top[i] if top[i] > -np.inf else 0
    total[:] = 0
    for s in range(len(a)):
        _exp(a[s], top)
    add_rows(total, a)
    for i in range(len(total)):
        total[i] = 1 if total[i] == 0 else total[i]


@njit
def _sizes(T):
    """Queries in a block and columns to hold them: as few blocks as BLOCK allows, all about as long."""
    block = -(-T // max(1, -(-T // BLOCK)))
    return block, -(-block // LANES) * LANES


@njit
def _at(x, b, h):
    """x (B|1, H|1, ...) of clip b and head h."""
    return x[b if x.shape[0] > 1 else 0, h if x.shape[1] > 1 else 0]


@njit
def _hide(a, mask, t, n, value):
    """a (S, T) = value where the mask (T|1, S|1) of queries t to t + n is False."""
    value = a.dtype.type(value)
    if mask.shape[0] == 1:
        for s in range(len(a)):
            if not mask[0, s if mask.shape[1] > 1 else 0]:
                a[s] = value
    else:
        for i in range(n):
            row = mask[t + i]
            for s in range(len(a)):
                a[s, i] = a[s, i] if row[s if mask.shape[1] > 1 else 0] else value


@njit
def _product(a, b, c):
    """c = a b."""
    c[:] = 0
    gemm(a, b, c)


@njit
def _scatter(xt, c, x):
    """x = (xt c)^T."""
    for i in range(x.shape[0]):
        for d in range(x.shape[1]):
            x[i, d] = xt[d, i] * c[i]


@njit(fastmath={"contract"})
def _raise_to(top, row):
    for i in range(len(top)):
        top[i] = row[i] if row[i] > top[i] else top[i]


@njit(fastmath={"contract"})
def _exp(row, top):
    """row = exp(row - top), 0 below exp(-87): subnormal numbers are slow."""
    least, zero = row.dtype.type(-87), row.dtype.type(0)
    for i in range(len(row)):
        x = row[i] - top[i]
        e = exp(x if x > least or x != x else least)
        row[i] = zero if x < least else e


@njit(fastmath={"contract"})
def _multiply(row, c):
    for i in range(len(row)):
        row[i] *= c[i]


@njit(fastmath={"contract"})
def _softmax_backward(ds, a, inner):
    for i in range(len(ds)):
        ds[i] = a[i] * (ds[i] - inner[i])
