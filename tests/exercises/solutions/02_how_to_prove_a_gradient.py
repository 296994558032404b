"""An independent solution of exercise 2, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_layer_norm(x, gamma, beta):
    C = x.shape[1]
    d = x - np.outer(x.sum(1) / C, np.ones(C))
    # mistake[whole mean]: d = x - x.sum() / x.size
    v = np.var(x, axis=1)[:, None]
    # mistake[whole mean]: v = np.einsum("bc,bc->b", d, d)[:, None] / C
    # mistake[not centred]: v = np.einsum("bc,bc->b", x, x)[:, None] / C
    # mistake[ddof]: v = np.var(x, axis=1, ddof=1)[:, None]
    r = 1 / np.sqrt(v + 1e-5)
    # mistake[no epsilon]: r = 1 / np.sqrt(np.where(v == 0, 1e-5, v))
    # mistake[epsilon outside]: r = 1 / (np.sqrt(v) + 1e-5)
    # mistake[no root]: r = 1 / (v + 1e-5)
    z = d * r
    return z, r, z * gamma + beta


def our_layer_norm_backward(dy, z, r, gamma):
    B, C = dy.shape
    dz = dy @ np.diag(gamma)
    # mistake[no gamma]: dz = dy.copy()
    dx = np.empty((B, C))
    for b in range(B):
        J = np.eye(C) - 1 / C - np.outer(z[b], z[b]) / C
        # mistake[no means]: J = np.eye(C)
        # mistake[first mean]: J = np.eye(C) - np.outer(z[b], z[b]) / C
        # mistake[second mean]: J = np.eye(C) - 1 / C
        # mistake[z twice]: J = np.eye(C) - 1 / C - np.outer(np.ones(C), z[b]) / C
        dx[b] = r[b, 0] * J @ dz[b]
        # mistake[no r]: dx[b] = J @ dz[b]
        # mistake[means of batch]: dx[b] = r[b, 0] * (dz[b] - dz.sum(0) / B - z[b] * np.einsum("bc,bc->c", dz, z) / B)
    dgamma = np.einsum("bc,bc->c", dy, z)
    # mistake[dgamma of y]: dgamma = np.einsum("bc,bc->c", dz, z)
    dbeta = np.ones(B) @ dy
    # mistake[mean over rows]: dbeta = np.ones(B) @ dy / B
    return dz, dx, dgamma, dbeta


def stages_of_our_layer_norm_backward(dy, z, r, gamma):
    x = z / r  # centred: the mean does not matter

    def norm(x):
        d = x - x.mean(1)[:, None]
        return d / np.sqrt((d * d).mean(1)[:, None] + 1e-5)

    return {
        "dz": (z, lambda z: z * gamma),
        "dx": (x, lambda x: norm(x) * gamma),
        "dgamma": (gamma, lambda gamma: z * gamma),
        "dbeta": (np.zeros(len(gamma)), lambda beta: z * gamma + beta),
    }


def our_polynomial(c, x):
    f = 0 * x
    for coefficient in c[::-1]:
        f = f * x + coefficient
    return f


def our_polynomial_backward(dy, c, x):
    k = np.arange(len(c))
    dx = dy * our_polynomial((c * k)[1:], x)
    # mistake[no k]: dx = dy * our_polynomial(c[1:], x)
    # mistake[exponent]: dx = dy * our_polynomial(c * k, x)
    return dx, np.vander(x, len(c), increasing=True).T @ dy


def stages_of_our_polynomial_backward(dy, c, x):
    return {"dx": (x, lambda x: our_polynomial(c, x)), "dc": (c, lambda c: our_polynomial(c, x))}


def our_derivatives(c, x, h):
    central = our_polynomial(c, x + h) / (2 * h) - our_polynomial(c, x - h) / (2 * h)
    # mistake[one-sided]: central = our_polynomial(c, x + h) / h - our_polynomial(c, x) / h
    # mistake[h only]: central = our_polynomial(c, x + h) / h - our_polynomial(c, x - h) / h
    step = our_polynomial(c, x + 1j * 1e-30)
    imaginary = np.imag(step) * 1e30
    # mistake[real part]: imaginary = np.real(step) * 1e30
    return central, imaginary
