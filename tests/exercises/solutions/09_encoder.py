"""An independent solution of exercise 9, with its mistakes, and the rest of the forward from each stage."""

import numpy as np

EPS = 1e-5


def our_split_heads(x, heads):
    B, T, C = x.shape
    D = C // heads
    y = np.stack([x[:, :, h * D : (h + 1) * D] for h in range(heads)], axis=1)
    # mistake[every Hth]: y = np.stack([x[:, :, h::heads] for h in range(heads)], axis=1)
    # mistake[across steps]: y = x.ravel().reshape(B, heads, T, D)
    # mistake[not swapped]: y = np.stack([x[:, :, h * D : (h + 1) * D] for h in range(heads)], axis=2)
    return y


def our_merge_heads(x):
    y = np.concatenate([x[:, h] for h in range(x.shape[1])], axis=2)
    # mistake[merged steps]: y = x.reshape(len(x), x.shape[2], -1)
    # mistake[interleaved heads]: y = np.stack([x[:, h] for h in range(x.shape[1])], 3).reshape(len(x), x.shape[2], -1)
    # mistake[added heads]: y = sum(x[:, h] for h in range(x.shape[1]))
    return y


def our_post_block(x, W):
    C = x.shape[2]
    s = np.einsum("btc,ce->bte", x, np.eye(C) + W)
    # mistake[post: no residual]: s = np.einsum("btc,ce->bte", x, W)
    centred = s - np.einsum("btc->bt", s)[:, :, None] / C
    variance = np.einsum("btc,btc->bt", centred, centred)[:, :, None] / C
    # mistake[post: C - 1]: variance = np.einsum("btc,btc->bt", centred, centred)[:, :, None] / (C - 1)
    r = 1 / np.sqrt(variance + EPS)
    # mistake[post: no epsilon]: r = 1 / np.sqrt(variance)
    # mistake[post: epsilon outside]: r = 1 / (np.sqrt(variance) + EPS)
    return r, centred * r


def through_norm(d, z, r):
    """The gradient before a layer norm with the output z, by its Jacobian."""
    dx, C = np.empty(d.shape), d.shape[2]
    for b, t in np.ndindex(d.shape[:2]):
        dx[b, t] = r[b, t] * (np.eye(C) - 1 / C - np.outer(z[b, t], z[b, t]) / C) @ d[b, t]
    return dx


def our_post_block_backward(dy, x, W, r, y):
    ds = through_norm(dy, y, r)
    # mistake[post: first mean]: ds = through_norm(dy, y, r) + r * dy.mean(2, keepdims=True)
    # mistake[post: second mean]: ds = through_norm(dy, 0 * y, r)
    C = x.shape[2]
    dx = np.einsum("bte,ce->btc", ds, np.eye(C) + W)
    # mistake[post: branch only]: dx = np.einsum("bte,ce->btc", ds, W)
    # mistake[post: residual only]: dx = ds + 0
    dW = np.tensordot(x, ds, ([0, 1], [0, 1]))
    # mistake[post: dW of dy]: dW = np.tensordot(x, dy, ([0, 1], [0, 1]))
    return ds, dx, dW


def norm(x):
    """Layer norm of real or complex numbers."""
    centred = x - x.sum(-1, keepdims=True) / x.shape[-1]
    return centred / np.sqrt((centred * centred).sum(-1, keepdims=True) / x.shape[-1] + EPS)


def stages_of_our_post_block_backward(dy, x, W, r, y):
    return {
        "ds": (y / r, norm),  # s up to its mean, which changes nothing
        "dx": (x, lambda x: norm(x + x @ W)),
        "dW": (W, lambda W: norm(x + x @ W)),
    }


def our_pre_block(x, W):
    n, r = np.empty(x.shape), np.empty((*x.shape[:2], 1))
    for b, t in np.ndindex(x.shape[:2]):
        variance = np.var(x[b, t])
        # mistake[pre: C - 1]: variance = np.var(x[b, t], ddof=1)
        r[b, t] = (variance + EPS) ** -0.5
        # mistake[pre: no epsilon]: r[b, t] = 1 / np.sqrt(variance)
        n[b, t] = (x[b, t] - np.mean(x[b, t])) * r[b, t]
    y = x + np.einsum("btc,ce->bte", n, W)
    # mistake[pre: no residual]: y = np.einsum("btc,ce->bte", n, W)
    # mistake[pre: n stays]: y = n + np.einsum("btc,ce->bte", n, W)
    return n, r, y


def our_pre_block_backward(dy, W, n, r):
    dn = np.einsum("bte,ce->btc", dy, W)
    # mistake[pre: not transposed]: dn = np.einsum("bte,ec->btc", dy, W)
    through = through_norm(dn, n, r)
    # mistake[pre: first mean]: through = through_norm(dn, n, r) + r * dn.mean(2, keepdims=True)
    # mistake[pre: second mean]: through = through_norm(dn, 0 * n, r)
    dx = dy + through
    # mistake[pre: branch only]: dx = through
    # mistake[pre: residual only]: dx = dy.copy()
    dW = np.tensordot(n, dy, ([0, 1], [0, 1]))
    # mistake[pre: dW of dn]: dW = np.tensordot(n, dn, ([0, 1], [0, 1]))
    return dn, dx, dW


def stages_of_our_pre_block_backward(dy, W, n, r):
    return {
        "dn": (n, lambda n: n @ W),
        "dx": (n / r, lambda x: x + norm(x) @ W),
        "dW": (W, lambda W: n @ W),
    }


def our_ffn(x, W1, b1, W2, b2, keep, rate):
    u = np.einsum("btc,cf->btf", x, W1) + b1
    r = np.maximum(u, 0)
    # mistake[no relu]: r = u
    factor = keep / (1 - rate)
    # mistake[keep unused]: factor = 1 / (1 - rate)
    # mistake[keep turned]: factor = (1 - keep) / (1 - rate)
    # mistake[no scale]: factor = keep
    # mistake[scale turned]: factor = keep * (1 - rate)
    d = r * factor
    return u, d, np.einsum("btf,fc->btc", d, W2) + b2


def our_ffn_backward(dy, x, W1, W2, u, d, keep, rate):
    dd = np.einsum("btc,fc->btf", dy, W2)
    passes = (u > 0) * keep / (1 - rate)
    # mistake[dropped gradient]: passes = (u > 0) / (1 - rate)
    # mistake[gradient below 0]: passes = keep / (1 - rate)
    # mistake[slope at 0]: passes = (u >= 0) * keep / (1 - rate)
    # mistake[gradient scale]: passes = (u > 0) * keep
    du = dd * passes
    dx = np.einsum("btf,cf->btc", du, W1)
    dW1 = np.tensordot(x, du, ([0, 1], [0, 1]))
    # mistake[per clip]: dW1 = x.swapaxes(1, 2) @ du
    db1 = du.reshape(-1, du.shape[2]).sum(0)
    # mistake[db1 of dd]: db1 = dd.reshape(-1, du.shape[2]).sum(0)
    dW2 = np.tensordot(d, dy, ([0, 1], [0, 1]))
    # mistake[dW2 of u]: dW2 = np.tensordot(u, dy, ([0, 1], [0, 1]))
    return dd, du, dx, dW1, db1, dW2, np.einsum("btc->c", dy)


def stages_of_our_ffn_backward(dy, x, W1, W2, u, d, keep, rate):
    def after(u):
        return np.where(keep & (u.real > 0), u, 0) / (1 - rate) @ W2

    return {
        "dd": (d, lambda d: d @ W2),
        "du": (u, after),
        "dx": (x, lambda moved: after(u + (moved - x) @ W1)),
        "dW1": (W1, lambda moved: after(u + x @ (moved - W1))),
        "db1": (np.zeros(u.shape[2]), lambda b: after(u + b)),
        "dW2": (W2, lambda W2: d @ W2),
        "db2": (np.zeros(dy.shape[2]), lambda b: d @ W2 + b),
    }


def our_positions(T, C):
    P, half = np.zeros((T, C)), C // 2
    last = half - 1 if half > 1 else 1
    # mistake[spacing]: last = half
    # mistake[one frequency]: last = np.float64(half - 1)
    for t, i in np.ndindex(T, half):
        angle = (t + 1) * 1e-4 ** (i / last)
        # mistake[from 0]: angle = t * 1e-4 ** (i / last)
        P[t, i], P[t, half + i] = np.sin(angle), np.cos(angle)
        # mistake[interleaved]: P[t, 2 * i], P[t, 2 * i + 1] = np.sin(angle), np.cos(angle)
        # mistake[cosines first]: P[t, i], P[t, half + i] = np.cos(angle), np.sin(angle)
    return P
    # mistake[odd width]: return P[:, : 2 * half]
