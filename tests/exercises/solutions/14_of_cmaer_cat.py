"""An independent solution of exercise 14, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_masked_softmax(s, mask):
    see = np.broadcast_to(mask, s.shape)
    a = np.zeros(s.shape, s.dtype)
    # mistake[mask of 0]: s = np.where(see, s, 0); a = np.zeros(s.shape); see = np.ones(s.shape, bool)
    for i in np.ndindex(s.shape[:-1]):
        if see[i].any():
            e = np.exp(s[i][see[i]] - s[i][see[i]].real.max())
            # mistake[overflow]: e = np.exp(s[i][see[i]])
            a[i][see[i]] = e / e.sum()
            # mistake[overflow]: a[i][see[i]] = e / (e.sum() or 1)
            # mistake[over clips]: a[i][see[i]] = e
        else:
            pass
            # mistake[empty row]: a[i] = np.nan
    return a
    # mistake[over clips]: n = a.sum(axis=0, keepdims=True); return a / np.where(n == 0, 1, n)


def our_masked_softmax_backward(dy, a):
    jacobian = a[..., None] * np.eye(a.shape[-1]) - a[..., None] * a[..., None, :]
    # mistake[inner sum]: jacobian = a[..., None] * np.eye(a.shape[-1])
    # mistake[plain sum]: jacobian = a[..., None] * np.eye(a.shape[-1]) - a[..., None] * np.ones(a.shape[-1])
    return np.einsum("...ij,...j->...i", jacobian, dy)


def stages_of_our_masked_softmax_backward(dy, a):
    seen = a > 0
    return {"ds": (np.log(np.where(seen, a, 1)), lambda s: softmax(s, seen))}


def softmax(s, seen):
    e = np.where(seen, np.exp(s), 0)
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total)


def our_cross_attention(x, z, Wq, Wk, Wv, valid):
    q, k, v = (np.einsum("btc,cd->btd", m, W) for m, W in ((x, Wq), (z, Wk), (z, Wv)))
    # mistake[values by Wk]: q, k, v = (np.einsum("btc,cd->btd", m, W) for m, W in ((x, Wq), (z, Wk), (z, Wk)))
    scores = np.einsum("btd,bsd->bts", q, k) / np.sqrt(Wq.shape[1])
    # mistake[no scale]: scores = np.einsum("btd,bsd->bts", q, k)
    # mistake[scale of C]: scores = np.einsum("btd,bsd->bts", q, k) / np.sqrt(Wq.shape[0])
    see = np.repeat(valid[:, None], x.shape[1], axis=1)
    # mistake[padding seen]: see = np.ones(scores.shape, bool)
    a = our_masked_softmax(scores, see)
    return q, k, v, a, np.einsum("bts,bsd->btd", a, v)


def our_cross_attention_backward(dy, x, z, Wq, Wk, Wv, q, k, v, a):
    root = np.sqrt(q.shape[2])
    dv = np.einsum("bts,btd->bsd", a, dy)
    da = np.einsum("btd,bsd->bts", dy, v)
    ds = our_masked_softmax_backward(da, a)
    dq, dk = np.einsum("bts,bsd->btd", ds, k) / root, np.einsum("bts,btd->bsd", ds, q) / root
    # mistake[no scale back]: dq, dk = np.einsum("bts,bsd->btd", ds, k), np.einsum("bts,btd->bsd", ds, q)
    # mistake[dk scale]: dq, dk = np.einsum("bts,bsd->btd", ds, k) / root, np.einsum("bts,btd->bsd", ds, q)
    dx = np.einsum("btd,cd->btc", dq, Wq)
    # mistake[dx by Wk]: dx = np.einsum("btd,cd->btc", dq, Wk)
    uses = [(dk, Wk), (dv, Wv)]
    # mistake[key only]: uses = [(dk, Wk)]
    # mistake[value only]: uses = [(dv, Wv)]
    dz = sum(np.einsum("bsd,cd->bsc", d, W) for d, W in uses)
    flat_x, flat_z = x.reshape(-1, x.shape[2]), z.reshape(-1, z.shape[2])
    dWq, dWk, dWv = (m.T @ d.reshape(len(m), -1) for m, d in ((flat_x, dq), (flat_z, dk), (flat_z, dv)))
    # mistake[dWv of dk]: dWq, dWk, dWv = (m.T @ d.reshape(len(m), -1) for m, d in ((flat_x, dq), (flat_z, dk), (flat_z, dk)))
    return da, ds, dv, dq, dk, dx, dz, dWq, dWk, dWv


def stages_of_our_cross_attention_backward(dy, x, z, Wq, Wk, Wv, q, k, v, a):
    seen = a > 0

    def of_qkv(q=q, k=k, v=v):
        return softmax(np.einsum("btd,bsd->bts", q, k) / np.sqrt(q.shape[2]), seen) @ v

    def whole(x=x, z=z, Wq=Wq, Wk=Wk, Wv=Wv):
        return of_qkv(x @ Wq, z @ Wk, z @ Wv)

    scores = np.einsum("btd,bsd->bts", q, k) / np.sqrt(q.shape[2])
    inner = {"da": (a, lambda a: a @ v), "ds": (scores, lambda s: softmax(s, seen) @ v)}
    inner |= {"dv": (v, lambda v: of_qkv(v=v)), "dq": (q, lambda q: of_qkv(q=q)), "dk": (k, lambda k: of_qkv(k=k))}
    values = {"x": x, "z": z, "Wq": Wq, "Wk": Wk, "Wv": Wv}
    return inner | {f"d{name}": (value, lambda m, name=name: whole(**{name: m})) for name, value in values.items()}


def our_exchange_backward(dy_x, dy_z, x, z, Wq, Wk, Wv, valid_x, valid_z):
    maps = Wq, Wk, Wv
    there = our_cross_attention_backward(dy_x, x, z, *maps, *our_cross_attention(x, z, *maps, valid_z)[:4])
    back = our_cross_attention_backward(dy_z, z, x, *maps, *our_cross_attention(z, x, *maps, valid_x)[:4])
    dx, dz = there[5] + back[6], there[6] + back[5]
    # mistake[query only]: dx, dz = there[5], back[5]
    # mistake[looked at only]: dx, dz = back[6], there[6]
    return dx, dz, *(there[i] + back[i] for i in (7, 8, 9))
    # mistake[one direction]: return dx, dz, *there[7:]
    # mistake[mean of directions]: return dx, dz, *((there[i] + back[i]) / 2 for i in (7, 8, 9))


def stages_of_our_exchange_backward(dy_x, dy_z, x, z, Wq, Wk, Wv, valid_x, valid_z):
    def look(x, z, Wq, Wk, Wv, valid):
        q, k, v = x @ Wq, z @ Wk, z @ Wv
        return (
            softmax(q @ k.swapaxes(1, 2) / np.sqrt(q.shape[2]), np.broadcast_to(valid[:, None], (*q.shape[:2], len(valid[0]))))
            @ v
        )

    def both(x=x, z=z, Wq=Wq, Wk=Wk, Wv=Wv):
        return look(x, z, Wq, Wk, Wv, valid_z), look(z, x, Wq, Wk, Wv, valid_x)

    values = {"x": x, "z": z, "Wq": Wq, "Wk": Wk, "Wv": Wv}
    return {f"d{name}": (value, lambda m, name=name: both(**{name: m})) for name, value in values.items()}


def our_compatibility(f, W, there):
    B, M, _ = f.shape
    u = np.einsum("bmc,cd->bmd", f, W)
    others = np.zeros((B, M, M), bool)
    for b, i, j in np.ndindex(B, M, M):
        others[b, i, j] = i != j and there[b, i] and there[b, j]
        # mistake[itself]: others[b, i, j] = there[b, i] and there[b, j]
        # mistake[absent partner]: others[b, i, j] = i != j and there[b, i]
        # mistake[absent row]: others[b, i, j] = i != j and there[b, j]
    return u, our_masked_softmax(np.einsum("bic,bjc->bij", u, f), others)


def our_compatibility_backward(dy, f, W, u, alpha):
    ds = our_masked_softmax_backward(dy, alpha)
    du = np.einsum("bij,bjc->bic", ds, f)
    left, right = np.einsum("bic,dc->bid", du, W), np.einsum("bij,bic->bjc", ds, u)
    # mistake[left only]: left, right = np.einsum("bic,dc->bid", du, W), 0
    # mistake[right only]: left, right = 0, np.einsum("bij,bic->bjc", ds, u)
    # mistake[not turned]: left, right = np.einsum("bic,dc->bid", du, W), np.einsum("bij,bjc->bic", ds, u)
    dW = sum(row.T @ d for row, d in zip(f, du, strict=True))
    # mistake[dW turned]: dW = sum(row.T @ d for row, d in zip(f, du, strict=True)).T
    return ds, du, left + right, dW


def stages_of_our_compatibility_backward(dy, f, W, u, alpha):
    seen = alpha > 0

    def of_u(u, f=f):
        return softmax(np.einsum("bic,bjc->bij", u, f), seen)

    return {
        "ds": (np.einsum("bic,bjc->bij", u, f), lambda s: softmax(s, seen)),
        "du": (u, of_u),
        "df": (f, lambda f: of_u(f @ W, f)),
        "dW": (W, lambda W: of_u(f @ W)),
    }


def our_entropy(s, there):
    w = our_masked_softmax(s, there)
    terms = [-p * np.log(p) for p in w[w > 0]]
    # mistake[log of 0]: terms = [-p * np.log(p) for p in w.ravel()]
    # mistake[sign of entropy]: terms = [p * np.log(p) for p in w[w > 0]]
    return w, sum(terms) / len(w)
    # mistake[sum over clips]: return w, sum(terms)


def our_entropy_backward(w):
    dw, B = np.zeros(w.shape), len(w)
    # mistake[slope not over B]: dw, B = np.zeros(w.shape), 1
    dw[w > 0] = -(np.log(w[w > 0]) + 1) / B
    # mistake[slope at 0]: dw = -(np.log(np.where(w > 0, w, 1)) + 1) / B
    # mistake[log only]: dw[w > 0] = -np.log(w[w > 0]) / B
    return dw, our_masked_softmax_backward(dw, w)
    # mistake[scores as weights]: return dw, dw.copy()


def stages_of_our_entropy_backward(w):
    seen = w > 0

    def entropy(w):
        return -(w * np.log(np.where(seen, w, 1))).sum() / len(w)

    def of_present(w):
        return entropy(np.where(seen, w, 0))

    return {"dw": (w, of_present), "ds": (np.log(np.where(seen, w, 1)), lambda s: entropy(softmax(s, seen)))}
