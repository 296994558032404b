"""An independent solution of exercise 11, with its mistakes, and the rest of the forward from each stage."""

from math import factorial, log

import numpy as np


def our_polynomial(x, c):
    powers = np.stack([x**j for j in range(len(c))])
    # mistake[no c0]: powers = np.stack([x ** max(j - 1, 0) * (j > 0) for j in range(len(c))]); powers[-1] += x ** (len(c) - 1)
    y = np.tensordot(c, powers, 1)
    # mistake[order]: y = np.tensordot(np.append(c[:-1][::-1], c[-1]), powers, 1)
    return y


def our_polynomial_backward(dy, x, c):
    slope = sum((j * c[j] * x ** (j - 1) for j in range(1, len(c))), np.zeros(x.shape))
    # mistake[no j]: slope = sum((c[j] * x ** (j - 1) for j in range(1, len(c))), np.zeros(x.shape))
    # mistake[power]: slope = sum((j * c[j] * x**j for j in range(1, len(c))), np.zeros(x.shape))
    dx = slope * dy
    given = dy
    # mistake[dc slope]: given = dx
    return dx, np.array([np.vdot(given, x**j) for j in range(len(c))])


def stages_of_our_polynomial_backward(dy, x, c):
    def value(x, c):
        return sum(c[j] * x**j for j in range(len(c)))

    return {"dx": (x, lambda x: value(x, c)), "dc": (c, lambda c: value(x, c))}


def our_exp(x, D):
    n = np.round(x / log(2))
    # mistake[floor]: n = x // log(2)
    # mistake[log2]: n = np.round(x * log(2))
    r = x - n * log(2)
    # mistake[half of ln 2]: r = x - n * 355 / 512
    weights = [1 / factorial(j) for j in range(D + 1)]
    # mistake[no factorial]: weights = [1.0] * (D + 1)
    # mistake[degree]: weights = [1 / factorial(j) for j in range(D)]
    p = sum(weight * r**j for j, weight in enumerate(weights))
    half = np.trunc(n / 2)  # 2**n itself may overflow
    return n, r, p * 2.0**half * 2.0 ** (n - half)


def our_block_product(x, W, size):
    (B, K), N = x.shape, W.shape[1]
    starts = [range(0, n, size) for n in (B, N, K)]
    # mistake[small block]: starts = [range(0, B, size), range(0, N, size), range(0, K - size + 1, size)]
    y = np.zeros((B, N))
    for i in starts[0]:
        rows = slice(i, i + size)
        for j in starts[1]:
            columns = slice(j, j + size)
            parts = [np.einsum("bk,kn->bn", x[rows, k : k + size], W[k : k + size, columns]) for k in starts[2]]
            # mistake[last block of k]: k = starts[2][-1]; parts = [x[rows, k : k + size] @ W[k : k + size, columns]]
            # mistake[diagonal]: parts = [x[rows] @ W[:, columns] * (i == j)]
            y[rows, columns] = sum(parts)
    return y


def our_block_product_backward(dy, x, W, size):
    dx, dW = np.zeros(x.shape), np.zeros(W.shape)
    columns, rows = range(0, dy.shape[1], size), range(0, len(x), size)
    # mistake[dx of size]: columns, rows = [0], range(0, len(x), size)
    # mistake[dW of size]: columns, rows = range(0, dy.shape[1], size), [0]
    for j in columns:
        dx += np.einsum("bn,kn->bk", dy[:, j : j + size], W[:, j : j + size])
    for i in rows:
        dW += np.einsum("bk,bn->kn", x[i : i + size], dy[i : i + size])
    return dx, dW


def stages_of_our_block_product_backward(dy, x, W, size):
    return {"dx": (x, lambda x: x @ W), "dW": (W, lambda W: x @ W)}


def our_online_softmax(z, v, size):
    (B, T, S), D = z.shape, v.shape[2]
    m, total, y = np.full((B, T, 1), -np.inf), np.zeros((B, T, 1)), np.zeros((B, T, D))
    for b, t in np.ndindex(B, T):
        top, mass, sums = -np.inf, 0.0, np.zeros(D)
        for s in range(0, S, size):
            block, values = z[b, t, s : s + size], v[b, s : s + size]
            new = max(top, max(block))
            # mistake[own maximum]: new = max(block)
            hidden = new == -np.inf
            # mistake[masked block]: hidden = False
            base = 0.0 if hidden else new
            shrink = np.exp(top - base)
            keep_mass, keep_sums = shrink, shrink
            # mistake[old total]: keep_mass, keep_sums = 1.0, shrink
            # mistake[old y]: keep_mass, keep_sums = shrink, 1.0
            e = np.exp(block - base)
            mass = keep_mass * mass + sum(e)
            sums = keep_sums * sums + np.einsum("s,sd->d", e, values)
            top = new
        m[b, t], total[b, t] = top, mass
        divisor = mass or 1.0
        # mistake[no division]: divisor = 1.0
        # mistake[row 0/0]: divisor = mass
        y[b, t] = sums / divisor
    return m, total, y


def our_online_softmax_backward(dy, z, v, m, total, y, size):
    delta = np.einsum("btd,btd->bt", dy, y)[:, :, None]
    a = np.zeros(z.shape)
    seen = np.isfinite(z)
    a[seen] = np.exp((z - np.where(np.isfinite(m), m, 0))[seen])
    share = np.divide(1, total, out=np.ones(total.shape), where=total > 0)
    # mistake[weights undivided]: share = np.ones(total.shape)
    a *= share
    da = np.einsum("btd,bsd->bts", dy, v)
    inner = np.repeat(delta, z.shape[2], axis=2)
    # mistake[inner sum]: inner = np.zeros(z.shape)
    # mistake[sum of a block]: inner = np.add.reduceat(a * da, range(0, z.shape[2], size), 2).repeat(size, 2)
    dz = a * (da - inner[:, :, : z.shape[2]])
    weights = a
    # mistake[dv of z]: weights = dz
    return delta, dz, np.einsum("bts,btd->bsd", weights, dy)


def stages_of_our_online_softmax_backward(dy, z, v, m, total, y, size):
    # delta is no gradient: it is the inner sum of one
    def value(z, v):
        e = np.where(np.isfinite(z.real), np.exp(z - np.where(np.isfinite(m), m, 0)), 0)
        sums = e.sum(-1, keepdims=True)
        return e @ v / np.where(sums == 0, 1, sums)

    return {"dz": (z, lambda z: value(z, v)), "dv": (v, lambda v: value(z, v))}
