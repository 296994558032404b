"""An independent solution of exercise 21, with its mistakes, and the rest of the forward from each stage."""

import numpy as np

EPS = 1e-5


def our_layer_norm(x, gamma, beta):
    C = x.shape[2]
    mean = np.einsum("btc->bt", x)[:, :, None] / C
    n = C
    # mistake[C - 1]: n = C - 1
    var = np.einsum("btc,btc->bt", x - mean, x - mean)[:, :, None] / n
    r = (var + EPS) ** -0.5
    # mistake[eps outside]: r = 1 / (var**0.5 + EPS)
    # mistake[no eps]: r = 1 / np.sqrt(var)
    z = (x - mean) * r
    return z, r, z * gamma + beta


def our_layer_norm_backward(dy, gamma, z, r):
    B, T, C = dy.shape
    dz = np.einsum("btc,c->btc", dy, gamma)
    dx = np.empty(dy.shape)
    for i, j in np.ndindex(B, T):
        w = z[i, j]
        ones = np.full((C, C), 1 / C)
        # mistake[two means]: ones = np.zeros((C, C)); w = np.zeros(C)
        # mistake[first mean]: ones = np.zeros((C, C))
        # mistake[second mean]: ones = np.full((C, C), 1 / C); w = np.zeros(C)
        dx[i, j] = r[i, j] * (np.eye(C) - ones - np.outer(w, w) / C) @ dz[i, j]
    dgamma = np.einsum("btc,btc->c", dy, z)
    # mistake[dgamma of dz]: dgamma = np.einsum("btc,btc->c", dz, z)
    return dz, dx, dgamma, dy.reshape(-1, C).sum(0)


def norm(x, gamma, beta):
    """Layer norm of real or complex numbers."""
    centred = x - x.sum(-1, keepdims=True) / x.shape[-1]
    return gamma * centred / np.sqrt((centred * centred).sum(-1, keepdims=True) / x.shape[-1] + EPS) + beta


def stages_of_our_layer_norm_backward(dy, gamma, z, r):
    centred, beta = z / r, np.zeros(gamma.shape)  # x up to its mean, which changes nothing
    return {
        "dz": (z, lambda z: gamma * z),
        "dx": (centred, lambda x: norm(x, gamma, beta)),
        "dgamma": (gamma, lambda gamma: gamma * z),
        "dbeta": (beta, lambda beta: gamma * z + beta),
    }


def our_multi_head(x, W, b, mask, heads):
    B, T, C = x.shape
    D = C // heads
    q, k, v = np.empty((3, B, heads, T, D))
    a, c, y = np.zeros((B, heads, T, T)), np.zeros((B, T, C)), np.zeros((B, T, C))
    scale = D**-0.5
    # mistake[scale C]: scale = C**-0.5
    for j in range(heads):
        part = slice(j * D, (j + 1) * D)
        # mistake[every Hth]: part = slice(j, None, heads)
        for target, i in ((q, 0), (k, 1), (v, 2)):
            target[:, j] = x @ W[i][:, part] + b[i][part]
    for n in range(B):
        open_keys = np.tile(mask[n], (T, 1))
        # mistake[queries hidden]: open_keys = np.tile(mask[n], (T, 1)).T
        for j, t in np.ndindex(heads, T):
            seen = open_keys[t]
            if seen.any():
                score = k[n, j, seen] @ q[n, j, t] * scale
                e = np.exp(score - max(score))
                a[n, j, t, seen] = e / sum(e)
                c[n, t, j * D : (j + 1) * D] = a[n, j, t] @ v[n, j]
        filled = mask[n].any()
        # mistake[bias of nothing]: filled = True
        if filled:
            y[n] = c[n] @ W[3] + b[3]
    return q, k, v, a, c, y


def our_multi_head_backward(dy, x, W, mask, q, k, v, a, c):
    B, H, T, D = q.shape
    dy = dy * mask.any(1)[:, None, None]
    # mistake[dy of nothing]: dy = dy + 0
    dc = np.einsum("btd,cd->btc", dy, W[3])
    da, dz, dq, dk, dv = np.empty(a.shape), np.empty(a.shape), np.empty(q.shape), np.empty(q.shape), np.empty(q.shape)
    flat = [np.empty(x.shape) for _ in range(3)]
    for j in range(H):
        place = slice(j * D, (j + 1) * D)
        head = dc[:, :, place]
        da[:, j] = np.einsum("btd,bsd->bts", head, v[:, j])
        inner = np.einsum("bts,bts->bt", a[:, j], da[:, j])
        # mistake[inner sum]: inner = np.zeros((B, T))
        dz[:, j] = a[:, j] * (da[:, j] - inner[:, :, None])
        dq[:, j] = np.einsum("bts,bsd->btd", dz[:, j], k[:, j]) * D**-0.5
        dk[:, j] = np.einsum("bts,btd->bsd", dz[:, j], q[:, j]) * D**-0.5
        # mistake[dk scale]: dk[:, j] = np.einsum("bts,btd->bsd", dz[:, j], q[:, j])
        dv[:, j] = np.einsum("bts,btd->bsd", a[:, j], head)
        for target, d in zip(flat, (dq, dk, dv), strict=True):
            target[:, :, place] = d[:, j]
    maps = flat
    # mistake[side by side]: maps = [d.reshape(x.shape) for d in (dq, dk, dv)]
    used = 3
    # mistake[one use]: used = 1
    dx = sum(np.einsum("btd,cd->btc", maps[i], W[i]) for i in range(used))
    dW = np.array([np.tensordot(x, d, ([0, 1], [0, 1])) for d in maps] + [np.tensordot(c, dy, ([0, 1], [0, 1]))])
    db = np.array([np.einsum("btc->c", d) for d in (*maps, dy)])
    return dc, da, dz, dq, dk, dv, dx, dW, db


def weights_of(z, seen):
    """Softmax over the seen keys of scores that are real or complex; a row with none is 0."""
    e = np.where(seen, np.exp(z - z.real.max(-1, keepdims=True)), 0)
    return e / np.where(seen.any(-1, keepdims=True), e.sum(-1, keepdims=True), 1)


def attend(q, k, v, mask):
    """(B, H, T, D) three times -> the heads side by side."""
    seen = np.broadcast_to(mask[:, None, None], (*q.shape[:3], q.shape[2]))
    return side(weights_of(np.einsum("bhtd,bhsd->bhts", q, k) / q.shape[3] ** 0.5, seen), v)


def side(a, v):
    return np.concatenate([np.einsum("bts,bsd->btd", a[:, j], v[:, j]) for j in range(v.shape[1])], axis=2)


def cut(y, heads):
    return np.stack(np.split(y, heads, axis=2), axis=1)


def multi_head(x, W, b, mask, heads):
    q, k, v = (cut(np.einsum("btc,cd->btd", x, W[i]) + b[i], heads) for i in range(3))
    return mask.any(1)[:, None, None] * (attend(q, k, v, mask) @ W[3] + b[3])


def stages_of_our_multi_head_backward(dy, x, W, mask, q, k, v, a, c):
    heads, some = q.shape[1], mask.any(1)[:, None, None]
    seen = np.broadcast_to(mask[:, None, None], a.shape)
    b = np.stack(
        [(np.concatenate(list(s.swapaxes(0, 1)), axis=2) - x @ W[i])[0, 0] for i, s in enumerate((q, k, v))] + [0 * x[0, 0]]
    )

    def out(c):
        return some * (c @ W[3])

    return {
        "dc": (c, out),
        "da": (a, lambda a: out(side(a, v))),
        "dz": (np.einsum("bhtd,bhsd->bhts", q, k) / q.shape[3] ** 0.5, lambda z: out(side(weights_of(z, seen), v))),
        "dq": (q, lambda q: out(attend(q, k, v, mask))),
        "dk": (k, lambda k: out(attend(q, k, v, mask))),
        "dv": (v, lambda v: out(attend(q, k, v, mask))),
        "dx": (x, lambda x: multi_head(x, W, b, mask, heads)),
        "dW": (W, lambda W: multi_head(x, W, b, mask, heads)),
        "db": (b, lambda b: multi_head(x, W, b, mask, heads)),
    }


def our_feed_forward(x, W1, b1, W2, b2):
    u = np.einsum("btc,cf->btf", x, W1) + b1
    r = (u + abs(u)) / 2
    return u, r, np.einsum("btf,fc->btc", r, W2) + b2


def our_feed_forward_backward(dy, x, W1, W2, u, r):
    dr = np.einsum("btc,fc->btf", dy, W2)
    du = dr * (u > 0)
    # mistake[no relu]: du = dr * 1
    # mistake[mask of dr]: du = dr * (dr > 0)
    # mistake[u is 0]: du = dr * (u >= 0)
    dx = np.einsum("btf,cf->btc", du, W1)
    flat_x, flat_r, flat_u, flat_y = (array.reshape(-1, array.shape[2]) for array in (x, r, du, dy))
    return dr, du, dx, flat_x.T @ flat_u, flat_u.sum(0), flat_r.T @ flat_y, flat_y.sum(0)


def feed_forward(x, W1, b1, W2, b2):
    u = x @ W1 + b1
    return u * (u.real > 0) @ W2 + b2


def stages_of_our_feed_forward_backward(dy, x, W1, W2, u, r):
    on, b2 = u > 0, np.zeros(W2.shape[1])
    b1 = (u - x @ W1)[0, 0]

    def after(x=x, W1=W1, b1=b1, W2=W2, b2=b2):
        return (x @ W1 + b1) * on @ W2 + b2

    return {
        "dr": (r, lambda r: r @ W2),
        "du": (u, lambda u: u * on @ W2),
        "dx": (x, lambda x: after(x=x)),
        "dW1": (W1, lambda W: after(W1=W)),
        "db1": (b1, lambda b: after(b1=b)),
        "dW2": (W2, lambda W: after(W2=W)),
        "db2": (b2, lambda b: after(b2=b)),
    }


def our_layer(x, mask, heads, gamma1, beta1, W, b, gamma2, beta2, W1, b1, W2, b2):
    n = our_layer_norm(x, gamma1, beta1)[2]
    source = n
    # mistake[not normed]: source = x
    h = our_multi_head(source, W, b, mask, heads)[5] + x
    # mistake[normed residual]: h = our_multi_head(source, W, b, mask, heads)[5] + n
    m = our_layer_norm(h, gamma2, beta2)[2]
    y = our_feed_forward(m, W1, b1, W2, b2)[2] + h
    # mistake[other residual]: y = our_feed_forward(m, W1, b1, W2, b2)[2] + m
    return n, h, m, y


def our_layer_backward(dy, x, mask, heads, gamma1, beta1, W, b, gamma2, beta2, W1, b1, W2, b2, n, h, m):
    network = our_feed_forward_backward(dy, m, W1, W2, *our_feed_forward(m, W1, b1, W2, b2)[:2])
    second = our_layer_norm_backward(network[2], gamma2, *our_layer_norm(h, gamma2, beta2)[:2])
    dh = dy + second[1]
    # mistake[dh path]: dh = second[1]
    upstream = dh
    # mistake[dy for dh]: upstream = dy
    attention = our_multi_head_backward(upstream, n, W, mask, *our_multi_head(n, W, b, mask, heads)[:5])
    first = our_layer_norm_backward(attention[6], gamma1, *our_layer_norm(x, gamma1, beta1)[:2])
    dx = dh + first[1]
    # mistake[dx path]: dx = first[1]
    return network[2], dh, attention[6], dx, *first[2:], *attention[7:], *second[2:], *network[3:]


def stages_of_our_layer_backward(dy, x, mask, heads, gamma1, beta1, W, b, gamma2, beta2, W1, b1, W2, b2, n, h, m):
    weights = {"gamma1": gamma1, "beta1": beta1, "W": W, "b": b}
    weights |= {"gamma2": gamma2, "beta2": beta2, "W1": W1, "b1": b1, "W2": W2, "b2": b2}

    def network(m, p):
        return feed_forward(m, p["W1"], p["b1"], p["W2"], p["b2"])

    def upper(h, p):
        return h + network(norm(h, p["gamma2"], p["beta2"]), p)

    def after(n, x, p):
        return upper(x + multi_head(n, p["W"], p["b"], mask, heads), p)

    def whole(x, p):
        return after(norm(x, p["gamma1"], p["beta1"]), x, p)

    return {
        "dm": (m, lambda m: h + network(m, weights)),
        "dh": (h, lambda h: upper(h, weights)),
        "dn": (n, lambda n: after(n, x, weights)),
        "dx": (x, lambda x: whole(x, weights)),
    } | {f"d{name}": (value, lambda v, name=name: whole(x, weights | {name: v})) for name, value in weights.items()}
