"""An independent solution of exercise 6, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def softmax(x):
    e = np.exp(x)
    return e / e.sum(1)[:, None]


def our_info_nce(x, tau):
    r = 1 / np.linalg.norm(x, axis=2)[..., None]
    z = r * x
    # mistake[not of unit length]: z = x.copy()
    s = np.einsum("nc,mc->nm", z[:, 0], z[:, 1]) / tau
    return r, z, s, -(np.log(np.diag(softmax(s))) + np.log(np.diag(softmax(s.T)))).mean() / 2


def our_info_nce_backward(r, z, s, tau):
    B = len(s)
    along, down = softmax(s), softmax(s.T).T
    # mistake[column softmax]: along, down = softmax(s), softmax(s).T
    ds = (0.5 * along + 0.5 * down - np.eye(B)) / B
    # mistake[one direction]: ds = (along - np.eye(B)) / B
    dz = np.empty(z.shape)
    dz[:, 0] = np.einsum("nm,mc->nc", ds, z[:, 1]) / tau
    # mistake[no temperature]: dz[:, 0] = np.einsum("nm,mc->nc", ds, z[:, 1])
    dz[:, 1] = np.einsum("nm,nc->mc", ds, z[:, 0]) / tau
    # mistake[no temperature]: dz[:, 1] = np.einsum("nm,nc->mc", ds, z[:, 0])
    along_x = np.einsum("npc,npc->np", z, dz)[..., None] * z
    # mistake[length fixed]: along_x = 0 * z
    dx = (dz - along_x) * r
    # mistake[no length]: dx = dz - along_x
    return ds, dz, dx


def stages_of_our_info_nce_backward(r, z, s, tau):
    def of_s(s):
        return -(np.trace(np.log(softmax(s))) + np.trace(np.log(softmax(s.T)))) / (2 * len(s))

    def of_z(z):
        return of_s(np.einsum("nc,mc->nm", z[:, 0], z[:, 1]) / tau)

    return {
        "ds": (s, of_s),
        "dz": (z, of_z),
        "dx": (z / r, lambda x: of_z(x / np.sqrt((x * x).sum(-1))[..., None])),
    }


def our_ccc(x, y):
    s = np.cov(x, y, ddof=0)[0, 1]
    D = np.mean((x - y) ** 2) + 2 * s
    # mistake[mixed moments]: D = x.var(ddof=1) + y.var(ddof=1) + (x.mean() - y.mean()) ** 2
    # mistake[Pearson]: D = 2 * x.std() * y.std()
    # mistake[misplaced square]: D = x.var() + y.var() + x.mean() ** 2 - y.mean() ** 2
    return s, D, 2 * s / D
    # mistake[no 2]: return s, D, s / D


def our_ccc_backward(x, y, D, rho):
    N = len(x)
    ds = (y - y.mean()) / N
    dD = 2 * (x - y.mean()) / N
    # mistake[mean of x]: dD = 2 * (x - x.mean()) / N
    # mistake[denominator fixed]: dD = 0 * x
    return 2 * ds / D - rho * dD / D


def stages_of_our_ccc_backward(x, y, D, rho):
    def concordance(x):
        s = ((x - x.mean()) * (y - y.mean())).mean()
        return 2 * s / (((x - y) ** 2).mean() + 2 * s)

    return {"dx": (x, concordance)}
