"""An independent solution of exercise 15, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_residual(r, z, alpha):
    return z + alpha * (r - z)
    # mistake[plain residual]: return z + r
    # mistake[alpha turned]: return r + alpha * (z - r)


def our_residual_backward(dy, r, z, alpha):
    gap = r - z
    # mistake[dalpha of r]: gap = r
    dalpha = np.vdot(dy, gap)
    # mistake[dalpha mean]: dalpha = np.vdot(dy, gap) / dy.size
    dz = dy - alpha * dy
    # mistake[dz of alpha]: dz = alpha * dy
    return dy * alpha, dz, dalpha


def stages_of_our_residual_backward(dy, r, z, alpha):
    return {
        "dr": (r, lambda r: r * alpha + z * (1 - alpha)),
        "dz": (z, lambda z: r * alpha + z * (1 - alpha)),
        "dalpha": (np.array(alpha), lambda alpha: r * alpha + z * (1 - alpha)),
    }


def length(valid):
    places = np.flatnonzero(valid)
    return places[-1] + 1 if len(places) else 0


def our_mask(queries, keys):
    B, T = queries.shape
    S = keys.shape[1]
    mask = np.zeros((B, T, S), bool)
    for b in range(B):
        offset = abs(length(queries[b]) - length(keys[b]))
        # mistake[gaps left out]: offset = abs(queries[b].sum() - keys[b].sum())
        # mistake[plain causal]: offset = 0
        # mistake[padded lengths]: offset = abs(T - S)
        # mistake[signed offset]: offset = length(keys[b]) - length(queries[b])
        for t in range(T):
            for s in range(S):
                mask[b, t, s] = s <= t + offset and keys[b, s]
                # mistake[padding seen]: mask[b, t, s] = s <= t + offset
                # mistake[strictly before]: mask[b, t, s] = s < t + offset and keys[b, s]
    return mask


def our_token(x, valid):
    y = np.zeros((x.shape[0], x.shape[2]))
    for b in range(len(x)):
        n = length(valid[b])
        # mistake[last of array]: n = x.shape[1] * (length(valid[b]) > 0)
        # mistake[count of steps]: n = valid[b].sum()
        # mistake[no step, last]: n = length(valid[b]) or x.shape[1]
        if n:
            y[b] = x[b, n - 1]
    return y


def our_token_backward(dy, valid):
    dx = np.zeros((*valid.shape, dy.shape[1]))
    for b in range(len(dy)):
        if n := length(valid[b]):
            dx[b, n - 1] = dy[b]
            # mistake[to every step]: dx[b, valid[b]] = dy[b]
    return dx


def stages_of_our_token_backward(dy, valid):
    def token(x):
        return np.stack([x[b, length(row) - 1] * (length(row) > 0) for b, row in enumerate(valid)])

    return {"dx": (np.ones((*valid.shape, dy.shape[1])), token)}


def our_head(z, P1, c1, P2, c2, W, b):
    u = np.einsum("bc,ch->bh", z, P1) + c1
    s = np.einsum("bh,hc->bc", u * (u > 0), P2) + c2 + z
    # mistake[no inner residual]: s = np.einsum("bh,hc->bc", u * (u > 0), P2) + c2
    return u, s, np.einsum("bc,ck->bk", s, W) + b


def our_head_backward(dy, z, P1, P2, W, u, s):
    ds = np.einsum("bk,ck->bc", dy, W)
    open_ = (u > 0) * 1.0
    du = np.einsum("bc,hc->bh", ds, P2) * open_
    # mistake[no relu]: du = np.einsum("bc,hc->bh", ds, P2)
    dz = np.einsum("bh,ch->bc", du, P1) + ds
    # mistake[residual cut]: dz = np.einsum("bh,ch->bc", du, P1)
    # mistake[MLP cut]: dz = ds.copy()
    r = u * open_
    # mistake[dP2 of u]: r = u
    products = [np.einsum("bi,bj->ij", a, d) for a, d in ((z, du), (r, ds), (s, dy))]
    # mistake[dW of z]: products = [np.einsum("bi,bj->ij", a, d) for a, d in ((z, du), (r, ds), (z, dy))]
    sums = [np.ones(len(d)) @ d for d in (du, ds, dy)]
    return ds, du, dz, products[0], sums[0], products[1], sums[1], products[2], sums[2]


def stages_of_our_head_backward(dy, z, P1, P2, W, u, s):
    keep, c1 = u > 0, (u - z @ P1)[0]
    c2 = (s - z - u * keep @ P2)[0]

    def of_u(u, z=z, P2=P2, c2=c2):
        return (z + u * keep @ P2 + c2) @ W

    return {
        "ds": (s, lambda s: s @ W),
        "du": (u, of_u),
        "dz": (z, lambda z: of_u(z @ P1 + c1, z)),
        "dP1": (P1, lambda P1: of_u(z @ P1 + c1)),
        "dc1": (c1, lambda c1: of_u(z @ P1 + c1)),
        "dP2": (P2, lambda P2: of_u(u, P2=P2)),
        "dc2": (c2, lambda c2: of_u(u, c2=c2)),
        "dW": (W, lambda W: s @ W),
        "db": (np.zeros(W.shape[1]), lambda b: s @ W + b),
    }


def our_shared_head_backward(dy_voice, dy_face, voice, face, P1, c1, P2, c2, W, b):
    both, dy = np.concatenate([voice, face]), np.concatenate([dy_voice, dy_face])
    u, s, _ = our_head(both, P1, c1, P2, c2, W, b)
    _, _, dz, *of_weights = our_head_backward(dy, both, P1, P2, W, u, s)
    # mistake[one network]: n = len(voice); dz = our_head_backward(dy, both, P1, P2, W, u, s)[2]; of_weights = our_head_backward(dy[:n], voice, P1, P2, W, u[:n], s[:n])[3:]  # noqa: E501
    # mistake[mean of networks]: _, _, dz, *of_weights = our_head_backward(dy, both, P1, P2, W, u, s); of_weights = [g / 2 for g in of_weights]  # noqa: E501
    return dz[: len(voice)], dz[len(voice) :], *of_weights


def stages_of_our_shared_head_backward(dy_voice, dy_face, voice, face, P1, c1, P2, c2, W, b):
    keep = [z @ P1 + c1 > 0 for z in (voice, face)]

    def both(voice=voice, face=face, P1=P1, c1=c1, P2=P2, c2=c2, W=W, b=b):
        return tuple((z + (z @ P1 + c1) * k @ P2 + c2) @ W + b for z, k in zip((voice, face), keep, strict=True))

    values = {"voice": voice, "face": face, "P1": P1, "c1": c1, "P2": P2, "c2": c2, "W": W, "b": b}
    return {f"d{name}": (value, lambda v, name=name: both(**{name: v})) for name, value in values.items()}
