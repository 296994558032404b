"""An independent solution of exercise 19, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def masked_softmax(s, valid):
    """Softmax along the last axis over valid places, 0 where there is none."""
    e = np.zeros(s.shape, s.dtype)
    for i in np.ndindex(s.shape[:-1]):
        some = valid[i]
        if some.any():
            e[i][some] = np.exp(s[i][some] - s[i][some].real.max())
            e[i] /= e[i].sum()
    return e


def our_summary(Q, z, valid):
    s = np.einsum("nc,btc->bnt", Q, z) / np.sqrt(Q.shape[1])
    # mistake[no scale]: s = np.einsum("nc,btc->bnt", Q, z)
    see = np.repeat(valid[:, None], len(Q), axis=1)
    # mistake[padding read]: see = np.ones(s.shape, bool)
    a = masked_softmax(s, see)
    # mistake[over queries]: e = np.where(see, np.exp(s - np.where(see, s, -np.inf).max(2, keepdims=True)), 0); e[~see.any(2)] = 0; n = e.sum(1, keepdims=True); a = e / np.where(n == 0, 1, n)  # noqa: E501
    # mistake[empty clip]: a = masked_softmax(s, see) / valid.any(1)[:, None, None]
    return a, np.einsum("bnt,btc->bnc", a, z)


def our_summary_backward(dy, Q, z, a):
    c = 1 / np.sqrt(Q.shape[1])
    da = np.einsum("bnc,btc->bnt", dy, z)
    ds = a * da - a * np.einsum("bnt,bnt->bn", a, da)[..., None]
    # mistake[inner sum]: ds = a * da
    dQ = np.einsum("bnt,btc->nc", ds, z) * c
    # mistake[dQ mean]: dQ = np.einsum("bnt,btc->nc", ds, z) * c / len(z)
    # mistake[dQ of each clip]: dQ = np.einsum("bnt,btc->bnc", ds, z) * c
    # mistake[dQ scale]: dQ = np.einsum("bnt,btc->nc", ds, z)
    as_key, as_value = np.einsum("bnt,nc->btc", ds, Q) * c, np.einsum("bnt,bnc->btc", a, dy)
    # mistake[key only]: as_key, as_value = np.einsum("bnt,nc->btc", ds, Q) * c, 0
    # mistake[value only]: as_key, as_value = 0, np.einsum("bnt,bnc->btc", a, dy)
    return da, ds, dQ, as_key + as_value


def stages_of_our_summary_backward(dy, Q, z, a):
    seen, c = a > 0, Q.shape[1] ** -0.5

    def scores(Q, z):
        return c * np.einsum("nc,btc->bnt", Q, z)

    return {
        "da": (a, lambda a: a @ z),
        "ds": (scores(Q, z), lambda s: masked_softmax(s, seen) @ z),
        "dQ": (Q, lambda Q: masked_softmax(scores(Q, z), seen) @ z),
        "dz": (z, lambda z: masked_softmax(scores(Q, z), seen) @ z),
    }


def our_statistics(x, W, b, v, valid):
    u = np.einsum("btc,ch->bth", x, W) + b
    h = (np.exp(u) - np.exp(-u)) / (np.exp(u) + np.exp(-u))
    # mistake[no tanh]: h = u
    e, see = np.einsum("bth,h->bt", h, v), valid
    # mistake[equal weights]: e, see = np.zeros(valid.shape), valid
    # mistake[steps not valid]: e, see = np.einsum("bth,h->bt", h, v), np.ones(valid.shape, bool)
    a = masked_softmax(e, see)
    mu = (a[..., None] * x).sum(1)
    var = (a[..., None] * (x - mu[:, None]) ** 2).sum(1)
    sigma = np.clip(var, 1e-5, None) ** 0.5
    # mistake[variance]: sigma = np.clip(var, 1e-5, None)
    # mistake[no floor]: sigma = var**0.5
    sigma[~valid.any(1)] = 0
    # mistake[deviation of nothing]: pass
    return h, a, mu, var, sigma


def our_statistics_backward(dy_mu, dy_sigma, x, W, v, h, a, mu, var, sigma):
    dvar = np.zeros(var.shape)
    dvar[var > 1e-5] = (dy_sigma / (2 * np.sqrt(np.where(var > 1e-5, var, 1))))[var > 1e-5]
    # mistake[slope at the floor]: dvar = dy_sigma / (2 * np.where(sigma == 0, 1, sigma))
    gap = x - mu[:, None]
    da = np.einsum("bc,btc->bt", dy_mu, x) + np.einsum("bc,btc->bt", dvar, gap * gap)
    # mistake[mean only]: da = np.einsum("bc,btc->bt", dy_mu, x)
    # mistake[no half]: da = np.einsum("bc,btc->bt", dy_mu, x) + 2 * np.einsum("bc,btc->bt", dvar, gap * gap)
    de = np.stack([(np.diag(w) - np.outer(w, w)) @ d for w, d in zip(a, da, strict=True)])
    # mistake[softmax of scores]: de = a * da
    du = np.einsum("bt,h,bth->bth", de, v, 1 - h * h)
    # mistake[tanh back]: du = np.einsum("bt,h->bth", de, v)
    as_value = a[..., None] * (dy_mu[:, None] + 2 * dvar[:, None] * gap)
    # mistake[scores alone]: as_value = 0
    in_scores = np.einsum("bth,ch->btc", du, W)
    # mistake[values alone]: in_scores = 0
    flat = du.reshape(-1, du.shape[2])
    dW, db = x.reshape(len(flat), -1).T @ flat, np.ones(len(flat)) @ flat
    return da, de, du, as_value + in_scores, dW, db, h.reshape(len(flat), -1).T @ de.ravel()


def stages_of_our_statistics_backward(dy_mu, dy_sigma, x, W, v, h, a, mu, var, sigma):
    above, valid = var > 1e-5, a > 0
    u = np.arctanh(h)
    b = (u - x @ W)[0, 0]

    def moments(a, x=x):
        mu = (a[..., None] * x).sum(1)
        return mu, np.sqrt(np.where(above, (a[..., None] * (x - mu[:, None]) ** 2).sum(1), 1e-5))

    def of_u(u, x=x, v=v):
        return moments(masked_softmax(np.tanh(u) @ v, valid), x)

    return {
        "da": (a, moments),
        "de": (h @ v, lambda e: moments(masked_softmax(e, valid))),
        "du": (u, of_u),
        "dx": (x, lambda x: of_u(x @ W + b, x)),
        "dW": (W, lambda W: of_u(x @ W + b)),
        "db": (b, lambda b: of_u(x @ W + b)),
        "dv": (v, lambda v: of_u(u, v=v)),
    }
