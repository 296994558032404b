"""An independent solution of exercise 1, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_linear(x, W, b):
    return np.stack([sum(row[:, None] * W) for row in x]) + b
    # mistake[no bias]: return np.stack([sum(row[:, None] * W) for row in x])


def our_linear_backward(dy, x, W):
    dx = np.einsum("be,de->bd", dy, W)
    dW = sum(np.outer(x[i], dy[i]) for i in range(len(x)))
    # mistake[dW mean]: dW = np.mean([np.outer(x[i], dy[i]) for i in range(len(x))], axis=0)
    # mistake[dW turned]: dW = sum(np.outer(dy[i], x[i]) for i in range(len(x)))
    db = np.ones(len(dy)) @ dy
    # mistake[db mean]: db = np.ones(len(dy)) @ dy / len(dy)
    # mistake[db not summed]: db = dy.copy()
    return dx, dW, db


def stages_of_our_linear_backward(dy, x, W):
    return {"dx": (x, lambda x: x @ W), "dW": (W, lambda W: x @ W), "db": (np.zeros(W.shape[1]), lambda b: x @ W + b)}


def our_squared_error(y, t):
    e = y - t
    dy = (e + e) / y.shape[0]
    # mistake[no factor 2]: dy = e / y.shape[0]
    # mistake[dy not over B]: dy = e + e
    # mistake[error turned]: dy = -(e + e) / y.shape[0]
    L = np.sum(e * e, axis=1).mean()
    # mistake[mean over outputs]: L = np.mean(e * e)
    return L, dy


def stages_of_our_squared_error(y, t):
    return {"dy": (y, lambda y: sum(sum((y - t) ** 2)) / y.shape[0])}


def our_tied(x, W, b):
    u = np.einsum("bd,dh->bh", x, W) + b
    r = u * (u > 0)
    # mistake[leaky]: r = u + 0
    return u, r, np.einsum("bh,dh->bd", r, W)


def our_tied_backward(dy, x, W, u, r):
    dr = np.einsum("bd,dh->bh", dy, W)
    du = dr * (u > 0)
    # mistake[no mask]: du = dr + 0
    # mistake[mask of r sign]: du = dr * (u >= 0)
    # mistake[mask of dy]: du = dr * r
    dx = np.einsum("bh,dh->bd", du, W)
    dW = np.einsum("bd,bh->dh", x, du) + np.einsum("bd,bh->dh", dy, r)
    # mistake[second use]: dW = np.einsum("bd,bh->dh", x, du)
    # mistake[first use]: dW = np.einsum("bd,bh->dh", dy, r)
    return dr, du, dx, dW, du.sum(0)


def stages_of_our_tied_backward(dy, x, W, u, r):
    keep = u > 0

    def after(x, W, b):
        return (x @ W + b) * keep @ W.T

    b = (u - x @ W)[0]
    return {
        "dr": (r, lambda r: r @ W.T),
        "du": (u, lambda u: u * keep @ W.T),
        "dx": (x, lambda x: after(x, W, b)),
        "dW": (W, lambda W: after(x, W, b)),
        "db": (b, lambda b: after(x, W, b)),
    }
