"""An independent solution of exercise 13, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_batch_norm(x, gamma, beta):
    d = x - np.ones((len(x), 1)) @ x.mean(axis=0)[None]
    # mistake[layer norm]: d = x - x.mean(axis=1)[:, None]
    v = np.einsum("bc,bc->c", d, d) / len(x)
    # mistake[unbiased]: v = np.einsum("bc,bc->c", d, d) / (len(x) - 1)
    r = 1 / np.sqrt(v + 1e-5)
    # mistake[no epsilon]: r = 1 / np.sqrt(v)
    # mistake[epsilon outside]: r = 1 / (np.sqrt(v) + 1e-5)
    z = d @ np.diag(r)
    return z, r, np.einsum("bc,c->bc", z, gamma) + beta


def our_batch_norm_backward(dy, z, r, gamma):
    B, C = dy.shape
    dz = dy @ np.diag(gamma)
    # mistake[no gamma]: dz = dy.copy()
    dx = np.empty((B, C))
    for c in range(C):
        J = np.eye(B) - 1 / B - np.outer(z[:, c], z[:, c]) / B
        # mistake[no means]: J = np.eye(B)
        # mistake[first mean]: J = np.eye(B) - np.outer(z[:, c], z[:, c]) / B
        # mistake[second mean]: J = np.eye(B) - 1 / B
        dx[:, c] = r[c] * J @ dz[:, c]
        # mistake[means of rows]: dx[:, c] = r[c] * (dz[:, c] - dz.sum(1) / C - z[:, c] * np.einsum("bc,bc->b", dz, z) / C)
    dgamma = np.einsum("bc,bc->c", dy, z)
    # mistake[dgamma of dz]: dgamma = np.einsum("bc,bc->c", dz, z)
    return dz, dx, dgamma, np.ones(B) @ dy


def stages_of_our_batch_norm_backward(dy, z, r, gamma):
    def norm(x):
        d = x - x.mean(0)
        return d / np.sqrt((d * d).mean(0) + 1e-5)

    return {
        "dz": (z, lambda z: z * gamma),
        "dx": (z / r, lambda x: norm(x) * gamma),
        "dgamma": (gamma, lambda gamma: z * gamma),
        "dbeta": (np.zeros(len(gamma)), lambda beta: z * gamma + beta),
    }


def our_running(mean, var, x):
    unbiased = np.var(x, axis=0, ddof=1)
    # mistake[biased running]: unbiased = np.var(x, axis=0)
    keep = 0.9
    new_mean = keep * mean + (1 - keep) * np.average(x, axis=0)
    # mistake[momentum turned]: new_mean = (1 - keep) * mean + keep * np.average(x, axis=0)
    return new_mean, keep * var + (1 - keep) * unbiased


def our_evaluation(x, mean, var, gamma, beta):
    sd = np.sqrt(var + 1e-5)
    # mistake[no epsilon, running]: sd = np.sqrt(var)
    # mistake[deviation]: sd = var + 1e-5
    z = (x - mean) / sd
    # mistake[batch moments]: z = (x - x.mean(axis=0)) / np.sqrt(np.var(x, axis=0) + 1e-5)
    return z, gamma * z + beta


def our_evaluation_backward(dy, z, var, gamma):
    sd = np.sqrt(var + 1e-5)
    # mistake[no epsilon back]: sd = np.sqrt(var)
    # mistake[no root back]: sd = var + 1e-5
    dx = dy * (gamma / sd)
    # mistake[training backward]: dz = dy * gamma; dx = (dz - dz.mean(axis=0) - z * np.mean(dz * z, axis=0)) / sd
    return dx, np.einsum("bc,bc->c", dy, z), dy.sum(axis=0)


def stages_of_our_evaluation_backward(dy, z, var, gamma):
    sd = np.sqrt(var + 1e-5)
    return {
        "dx": (z * sd, lambda x: x / sd * gamma),
        "dgamma": (gamma, lambda gamma: z * gamma),
        "dbeta": (np.zeros(len(gamma)), lambda beta: z * gamma + beta),
    }


def our_node(n, W, b, V1, c1, V2, c2):
    u = np.einsum("bd,dc->bc", n, W) + b
    r = u * (u > 0)
    # mistake[no relu]: r = u
    t = np.einsum("bc,ch->bh", r, V1) + c1
    open_ = t * (t > 0)
    # mistake[no relu in gate]: open_ = t
    alpha = 1 / (1 + np.exp(-np.einsum("bh,hi->bi", open_, V2) - c2))
    return u, r, t, alpha, r * alpha
    # mistake[gate of u]: return u, r, t, alpha, u * alpha


def our_node_backward(dy, n, W, V1, V2, u, r, t, alpha):
    dalpha = np.einsum("bc,bc->b", dy, r)[:, None]
    # mistake[mean of features]: dalpha = np.einsum("bc,bc->b", dy, r)[:, None] / r.shape[1]
    ds = dalpha * (alpha - alpha**2)
    # mistake[no sigmoid]: ds = dalpha.copy()
    dt = np.einsum("bi,hi->bh", ds, V2) * (t > 0)
    # mistake[no relu in gate back]: dt = np.einsum("bi,hi->bh", ds, V2)
    passes, decides = alpha * dy, np.einsum("bh,ch->bc", dt, V1)
    # mistake[passes only]: passes, decides = alpha * dy, 0
    # mistake[decides only]: passes, decides = 0, np.einsum("bh,ch->bc", dt, V1)
    dr = passes + decides
    du = dr * (u > 0)
    # mistake[no relu back]: du = dr.copy()
    dV1 = np.einsum("bc,bh->ch", r, dt)
    # mistake[dV1 of u]: dV1 = np.einsum("bc,bh->ch", u, dt)
    dV2 = np.einsum("bh,bi->hi", t * (t > 0), ds)
    dn, dW = np.einsum("bc,dc->bd", du, W), np.einsum("bd,bc->dc", n, du)
    return dalpha, ds, dt, dr, du, dn, dW, du.sum(axis=0), dV1, dt.sum(axis=0), dV2, ds.sum(axis=0)


def stages_of_our_node_backward(dy, n, W, V1, V2, u, r, t, alpha):
    up, on = u > 0, t > 0
    b, c1, s = (u - n @ W)[0], (t - r @ V1)[0], np.log(alpha / (1 - alpha))
    c2 = (s - t * on @ V2)[0]

    def of_s(s, r=r):
        return r / (1 + np.exp(-s))

    def of_t(t, r=r, V2=V2, c2=c2):
        return of_s(t * on @ V2 + c2, r)

    def of_r(r, V1=V1, c1=c1):
        return of_t(r @ V1 + c1, r)

    return {
        "dalpha": (alpha, lambda alpha: alpha * r),
        "ds": (s, of_s),
        "dt": (t, of_t),
        "dr": (r, of_r),
        "du": (u, lambda u: of_r(u * up)),
        "dn": (n, lambda n: of_r((n @ W + b) * up)),
        "dW": (W, lambda W: of_r((n @ W + b) * up)),
        "db": (b, lambda b: of_r((n @ W + b) * up)),
        "dV1": (V1, lambda V1: of_t(r @ V1 + c1)),
        "dc1": (c1, lambda c1: of_t(r @ V1 + c1)),
        "dV2": (V2, lambda V2: of_t(t, V2=V2)),
        "dc2": (c2, lambda c2: of_t(t, c2=c2)),
    }
