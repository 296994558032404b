"""A Transformer encoder layer in pre-norm order, forward and backward."""

import numpy as np


def our_layer_norm(x, gamma, beta):
    """Return z = (x - mean) r over each step's numbers, r = 1 / sqrt(variance + 1e-5), and
    y = gamma z + beta.

    x (B, T, C), gamma (C,), beta (C,) -> z (B, T, C), r (B, T, 1), y (B, T, C)
    """
    centred = x - x.mean(-1, keepdims=True)
    r = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    z = centred * r
    y = gamma * z + beta
    return z, r, y


def our_layer_norm_backward(dy, gamma, z, r):
    """Return the gradients of z, x, gamma and beta.

    dy (B, T, C), the others as in our_layer_norm
    -> dz (B, T, C), dx (B, T, C), dgamma (C,), dbeta (C,)
    """
    dz = dy * gamma
    dx = r * (dz - dz.mean(-1, keepdims=True) - z * (dz * z).mean(-1, keepdims=True))
    dgamma = (dy * z).sum((0, 1))
    dbeta = dy.sum((0, 1))
    return dz, dx, dgamma, dbeta


def our_multi_head(x, W, b, mask, heads):
    """Return queries, keys and values by head, the weights a, the output c of all heads
    side by side, and y, c mapped.

    In a clip without any valid step, a, c and y are 0.

    x (B, T, C); W (4, C, C), b (4, C), the maps to queries, keys, values, and from c to y;
    mask (B, T), True where a step is valid; H = heads, D = C / H
    -> q, k, v (B, H, T, D), a (B, H, T, T), c (B, T, C), y (B, T, C)
    """
    B, T, C = x.shape
    q, k, v = ((x @ W[i] + b[i]).reshape(B, T, heads, -1).swapaxes(1, 2) for i in range(3))
    z = np.where(mask[:, None, None], q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5, -np.inf)
    top = z.real.max(-1, keepdims=True)
    e = np.exp(z - np.where(top > -np.inf, top, 0))
    total = e.sum(-1, keepdims=True)
    a = e / np.where(total == 0, 1, total)
    c = (a @ v).swapaxes(1, 2).reshape(B, T, C)
    y = np.where(mask.any(-1)[:, None, None], c @ W[3] + b[3], 0)
    return q, k, v, a, c, y


def our_multi_head_backward(dy, x, W, mask, q, k, v, a, c):
    """Return the gradients of c, a, z (the scores, scaled), q, k, v, x, W and b.

    dy (B, T, C), the others as in our_multi_head
    -> dc (B, T, C), da, dz (B, H, T, T), dq, dk, dv (B, H, T, D), dx (B, T, C),
    dW (4, C, C), db (4, C)
    """
    (B, T, C), D = x.shape, q.shape[-1]
    dmap = np.where(mask.any(-1)[:, None, None], dy, 0)
    dc = dmap @ W[3].T
    by_head = dc.reshape(B, T, -1, D).swapaxes(1, 2)
    da = by_head @ v.swapaxes(-1, -2)
    dz = a * (da - (a * da).sum(-1, keepdims=True))
    dq = dz @ k / D**0.5
    dk = dz.swapaxes(-1, -2) @ q / D**0.5
    dv = a.swapaxes(-1, -2) @ by_head
    dmaps = [d.swapaxes(1, 2).reshape(B, T, C) for d in (dq, dk, dv)]
    dx = sum(d @ W[i].T for i, d in enumerate(dmaps))
    dW = np.stack([np.einsum("btc,btd->cd", source, d) for source, d in zip((x, x, x, c), [*dmaps, dmap], strict=True)])
    db = np.stack([d.sum((0, 1)) for d in [*dmaps, dmap]])
    return dc, da, dz, dq, dk, dv, dx, dW, db


def our_feed_forward(x, W1, b1, W2, b2):
    """Return u = x W1 + b1, r = max(u, 0) and y = r W2 + b2.

    x (B, T, C), W1 (C, F), b1 (F,), W2 (F, C), b2 (C,) -> u, r (B, T, F), y (B, T, C)
    """
    u = x @ W1 + b1
    r = np.where(u.real > 0, u, 0)
    y = r @ W2 + b2
    return u, r, y


def our_feed_forward_backward(dy, x, W1, W2, u, r):
    """Return the gradients of r, u, x, W1, b1, W2 and b2. Where u is 0, the slope of the
    maximum is 0.

    dy (B, T, C), the others as in our_feed_forward
    -> dr, du (B, T, F), dx (B, T, C), and dW1, db1, dW2, db2 of their shapes
    """
    dr = dy @ W2.T
    du = np.where(u > 0, dr, 0)
    dx = du @ W1.T
    dW1 = np.einsum("btc,btf->cf", x, du)
    db1 = du.sum((0, 1))
    dW2 = np.einsum("btf,btc->fc", r, dy)
    db2 = dy.sum((0, 1))
    return dr, du, dx, dW1, db1, dW2, db2


def our_layer(x, mask, heads, gamma1, beta1, W, b, gamma2, beta2, W1, b1, W2, b2):
    """Return n = LN1(x), h = x + Attention(n), m = LN2(h) and y = h + FFN(m).

    x (B, T, C), mask (B, T), heads and the weights as in the parts -> n, h, m, y (B, T, C)
    """
    _, _, n = our_layer_norm(x, gamma1, beta1)
    *_, attended = our_multi_head(n, W, b, mask, heads)
    h = x + attended
    _, _, m = our_layer_norm(h, gamma2, beta2)
    *_, fed = our_feed_forward(m, W1, b1, W2, b2)
    y = h + fed
    return n, h, m, y


def our_layer_backward(dy, x, mask, heads, gamma1, beta1, W, b, gamma2, beta2, W1, b1, W2, b2, n, h, m):
    """Return the gradients of m, h, n, x and of all weights.

    dy (B, T, C), the others as in our_layer
    -> dm, dh, dn, dx (B, T, C), and dgamma1, dbeta1, dW, db, dgamma2, dbeta2, dW1, db1,
    dW2, db2 of the shapes of the weights
    """
    u, r, _ = our_feed_forward(m, W1, b1, W2, b2)
    _, _, dm, dW1, db1, dW2, db2 = our_feed_forward_backward(dy, m, W1, W2, u, r)
    z, r, _ = our_layer_norm(h, gamma2, beta2)
    _, through, dgamma2, dbeta2 = our_layer_norm_backward(dm, gamma2, z, r)
    dh = dy + through
    q, k, v, a, c, _ = our_multi_head(n, W, b, mask, heads)
    *_, dn, dW, db = our_multi_head_backward(dh, n, W, mask, q, k, v, a, c)
    z, r, _ = our_layer_norm(x, gamma1, beta1)
    _, through, dgamma1, dbeta1 = our_layer_norm_backward(dn, gamma1, z, r)
    dx = dh + through
    return dm, dh, dn, dx, dgamma1, dbeta1, dW, db, dgamma2, dbeta2, dW1, db1, dW2, db2
