"""An independent solution of exercise 12, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_affine(x, low, high, top=255):
    least, most = np.broadcast_to(low, (len(x), 1)), np.broadcast_to(high, (len(x), 1))
    s, z, q = np.ones((len(x), 1)), np.zeros((len(x), 1), int), np.zeros(x.shape, int)
    steps = top
    # mistake[256 steps]: steps = top + 1
    for b, row in enumerate(x):
        a, e = min(least[b, 0], 0), max(most[b, 0], 0)
        # mistake[range without 0]: a, e = least[b, 0], most[b, 0]
        skipped = a == e
        # mistake[width 0]: skipped = False
        if skipped:
            continue
        s[b] = (e - a) / steps
        z[b] = np.round(-a / s[b])
        # mistake[z cut]: z[b] = np.trunc(-a / s[b])
        # mistake[z sign]: z[b] = np.round(a / s[b])
        # mistake[width 0]: z[b] = np.round(-a / s[b]).astype(np.int32)
        whole = np.round(row / s[b]).astype(np.int32)
        # mistake[q floor]: whole = np.floor(row / s[b]).astype(np.int32)
        q[b] = np.minimum(np.maximum(whole + z[b].astype(np.int32), 0), top)
        # mistake[wraps]: q[b] = (whole + z[b]) % 256
    return s, z, q


def our_affine_rows(x):
    low, high = (np.array([[pick(row)] for row in x]) for pick in (min, max))
    # mistake[one range]: low, high = (np.full((len(x), 1), pick(x.ravel())) for pick in (min, max))
    return our_affine(x, low, high)


def our_symmetric(W):
    top = np.maximum(W.max(0), -W.min(0))
    # mistake[one scale]: top = np.full(W.shape[1], max(W.max(), -W.min()))
    # mistake[signed maximum]: top = W.max(0)
    t = top / 127
    # mistake[128 steps]: t = top / 128
    t[t <= 0] = 1
    # mistake[empty column]: t = top / 127
    w = np.minimum(127, np.maximum(-127, np.round(W / t))).astype(np.int8)
    return t, w


def our_product(s, z, q, t, w):
    whole = q.astype(int)
    sums = np.einsum("bk,kn->bn", whole - z, w.astype(int))
    # mistake[no zero point]: sums = whole @ w.astype(int)
    # mistake[16 bits]: sums = (whole @ w.astype(int) + 2**15) % 2**16 - 2**15 - z * w.astype(int).sum(0)
    # mistake[sum of q]: sums = whole @ w.astype(int) - z * whole.sum(1)[:, None]
    y = np.einsum("bn,b,n->bn", sums, s[:, 0], t)
    # mistake[no t]: y = sums * s
    return sums, y


def our_fake(x, s, z):
    q = np.round(x / s) + z
    q = np.minimum(np.maximum(q, 0), 255)
    return q, (q - z) * s


def our_fake_backward(dy, x, s, z):
    dx, ds = np.zeros(x.shape), np.zeros(s.shape)
    for b, k in np.ndindex(x.shape):
        code, step = np.round(x[b, k] / s[b, 0]) + z[b, 0], s[b, 0]
        if code < 0:
            ds[b] -= dy[b, k] * z[b, 0]
            # mistake[no saturation]: ds[b] -= dy[b, k] * z[b, 0]; dx[b, k] = dy[b, k]
            # mistake[ds inside]: ds[b] -= 0
        elif code > 255:
            ds[b] += dy[b, k] * (255 - z[b, 0])
            # mistake[no saturation]: ds[b] += dy[b, k] * (255 - z[b, 0]); dx[b, k] = dy[b, k]
            # mistake[ds inside]: ds[b] += 0
        else:
            dx[b, k] = dy[b, k]
            # mistake[dx has s]: dx[b, k] = dy[b, k] * step
            ds[b] += dy[b, k] * (code - z[b, 0] - x[b, k] / step)
            # mistake[x in s]: ds[b] += dy[b, k] * (code - z[b, 0])
    return dx, ds


def through(x, s, z, x0, s0):
    """Fake quantization by the straight-through rule: the rounding error and what saturates are those of x0 and s0."""
    code = np.round(x0 / s0) + z
    return np.where((code >= 0) & (code <= 255), x + s * (code - z - x0 / s0), s * (np.clip(code, 0, 255) - z))


def stages_of_our_fake_backward(dy, x, s, z):
    return {"dx": (x, lambda v: through(v, s, z, x, s)), "ds": (s, lambda v: through(x, v, z, x, s))}


def our_rounded_linear(x, W, s, z, t):
    u = our_fake(x, s, z)[1]
    V = np.minimum(np.maximum(np.round(W / t), -127), 127) * t
    return u, V, np.einsum("bk,kn->bn", u, V)


def our_rounded_linear_backward(dy, x, W, s, z, t, u, V):
    du = np.einsum("bn,kn->bk", dy, V)
    # mistake[du of W]: du = np.einsum("bn,kn->bk", dy, W)
    dV = np.einsum("bk,bn->kn", u, dy)
    # mistake[dV of x]: dV = np.einsum("bk,bn->kn", x, dy)
    dW = dV * (np.round(np.abs(W) / t) < 128)
    # mistake[dW saturates]: dW = dV * 1
    return du, dV, *our_fake_backward(du, x, s, z), dW


def stages_of_our_rounded_linear_backward(dy, x, W, s, z, t, u, V):
    fits = np.abs(np.round(W / t)) <= 127
    return {
        "du": (u, lambda u: u @ V),
        "dV": (V, lambda V: u @ V),
        "dx": (x, lambda v: through(v, s, z, x, s) @ V),
        "ds": (s, lambda v: through(x, v, z, x, s) @ V),
        "dW": (W, lambda W_new: u @ np.where(fits, V + W_new - W, V)),
    }
