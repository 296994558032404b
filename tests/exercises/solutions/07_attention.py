"""An independent solution of exercise 7, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_attention(q, k, v, mask=True):
    D = q.shape[2]
    # mistake[no scale]: D = 1
    # mistake[scale D]: D = q.shape[2] ** 2
    z = np.einsum("btd,bsd->bts", q, k) / np.sqrt(D)
    see = np.broadcast_to(mask, z.shape)
    # mistake[no mask]: see = np.ones(z.shape, bool)
    # mistake[mask turned]: see = ~np.broadcast_to(mask, z.shape)
    e = np.zeros(z.shape)
    # mistake[score 0]: z = np.where(see, z, 0); e = np.zeros(z.shape); see = np.ones(z.shape, bool)
    for b, t in np.ndindex(z.shape[:2]):
        if see[b, t].any():
            e[b, t, see[b, t]] = np.exp(z[b, t, see[b, t]] - z[b, t, see[b, t]].max())
            # mistake[overflow]: e[b, t, see[b, t]] = np.exp(z[b, t, see[b, t]])
    total = e.sum(2, keepdims=True)
    # mistake[queries]: total = e.sum(1, keepdims=True)
    a = np.divide(e, total, out=np.zeros(z.shape), where=total > 0)
    # mistake[empty row]: a = e / total
    return a, np.einsum("bts,bsd->btd", a, v)


def our_attention_backward(dy, q, k, v, a):
    c = 1 / np.sqrt(q.shape[2])
    da = np.einsum("btd,bsd->bts", dy, v)
    dz = np.empty(a.shape)
    for b, t in np.ndindex(a.shape[:2]):
        w = a[b, t]
        dz[b, t] = (np.diag(w) - np.outer(w, w)) @ da[b, t]
        # mistake[inner sum]: dz[b, t] = w * da[b, t]
        # mistake[plain sum]: dz[b, t] = w * (da[b, t] - sum(da[b, t]))
        # mistake[no a]: dz[b, t] = da[b, t] - w @ da[b, t]
        # mistake[wrong axis]: dz[b, t] = w * (da[b, t] - (a[b] * da[b]).sum(0))
    dv = np.einsum("bts,btd->bsd", a, dy)
    # mistake[dv of z]: dv = np.einsum("bts,btd->bsd", dz, dy)
    dq = np.einsum("bts,bsd->btd", dz, k) * c
    # mistake[dq scale]: dq = np.einsum("bts,bsd->btd", dz, k)
    dk = np.einsum("bts,btd->bsd", dz, q) * c
    # mistake[dk scale]: dk = np.einsum("bts,btd->bsd", dz, q)
    return da, dz, dv, dq, dk


def stages_of_our_attention_backward(dy, q, k, v, a):
    seen = a > 0
    c = q.shape[-1] ** -0.5

    def weights(z):
        e = np.where(seen, np.exp(z), 0)
        total = e.sum(-1, keepdims=True)
        return e / np.where(total == 0, 1, total)

    def scores(q, k):
        return c * np.einsum("btd,bsd->bts", q, k)

    return {
        "da": (a, lambda a: a @ v),
        "dz": (scores(q, k), lambda z: weights(z) @ v),
        "dv": (v, lambda v: a @ v),
        "dq": (q, lambda q: weights(scores(q, k)) @ v),
        "dk": (k, lambda k: weights(scores(q, k)) @ v),
    }


def our_self_attention(x, Wq, Wk, Wv, mask):
    q, k, v = (np.einsum("btc,cd->btd", x, W) for W in (Wq, Wk, Wv))
    return q, k, v, *our_attention(q, k, v, mask)


def our_self_attention_backward(dy, x, Wq, Wk, Wv, q, k, v, a):
    _, _, dv, dq, dk = our_attention_backward(dy, q, k, v, a)
    flat = x.reshape(-1, x.shape[2])
    dWq, dWk, dWv = (flat.T @ d.reshape(len(flat), -1) for d in (dq, dk, dv))
    # mistake[key query]: dWq, dWk, dWv = (flat.T @ d.reshape(len(flat), -1) for d in (dq, dq, dv))
    # mistake[per clip]: dWq, dWk = (flat.T @ d.reshape(len(flat), -1) for d in (dq, dk)); dWv = x.swapaxes(1, 2) @ dv
    uses = [(dq, Wq), (dk, Wk), (dv, Wv)]
    # mistake[values only]: uses = [(dv, Wv)]
    # mistake[no keys]: uses = [(dq, Wq), (dv, Wv)]
    # mistake[no queries]: uses = [(dk, Wk), (dv, Wv)]
    dx = sum(np.einsum("btd,cd->btc", d, W) for d, W in uses)
    return dv, dq, dk, dx, dWq, dWk, dWv


def stages_of_our_self_attention_backward(dy, x, Wq, Wk, Wv, q, k, v, a):
    rest = stages_of_our_attention_backward(dy, q, k, v, a)
    _, of_q = rest["dq"]
    _, of_k = rest["dk"]

    def after(x, Wq, Wk, Wv):
        q, k, v = x @ Wq, x @ Wk, x @ Wv
        scores = np.where(a > 0, np.exp(np.einsum("btd,bsd->bts", q, k) / q.shape[-1] ** 0.5), 0)
        total = scores.sum(-1, keepdims=True)
        return scores / np.where(total == 0, 1, total) @ v

    return {
        "dv": (v, lambda v: a @ v),
        "dq": (q, of_q),
        "dk": (k, of_k),
        "dx": (x, lambda x: after(x, Wq, Wk, Wv)),
        "dWq": (Wq, lambda W: after(x, W, Wk, Wv)),
        "dWk": (Wk, lambda W: after(x, Wq, W, Wv)),
        "dWv": (Wv, lambda W: after(x, Wq, Wk, W)),
    }
