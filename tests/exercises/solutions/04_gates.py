"""An independent solution of exercise 4, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_gate(x, W1, b1, W2, b2):
    u = np.einsum("btc,ch->bth", x, W1) + b1
    r = u * (u > 0)
    # mistake[no relu]: r = u
    s = np.einsum("bth,h->bt", r, W2[:, 0])[..., None] + b2
    alpha = (1 + np.tanh(s / 2)) / 2
    # mistake[sign of s]: alpha = (1 - np.tanh(s / 2)) / 2
    # mistake[shares of steps]: alpha = 1 / np.exp(s.swapaxes(1, 2) - s).sum(2, keepdims=True)
    y = np.einsum("btc,bt->btc", x, alpha[..., 0])
    # mistake[score passes]: y = np.einsum("btc,bt->btc", x, s[..., 0])
    # mistake[rest passes]: y = x - np.einsum("btc,bt->btc", x, alpha[..., 0])
    return u, s, alpha, y


def our_gate_backward(dy, x, W1, W2, u, alpha):
    (B, T, C), H = x.shape, u.shape[2]
    dalpha, ds, du, dx = np.zeros((B, T, 1)), np.zeros((B, T, 1)), np.zeros((B, T, H)), np.zeros((B, T, C))
    dW1, db1, dW2, db2 = np.zeros((C, H)), np.zeros(H), np.zeros((H, 1)), np.zeros(1)
    for b, t in np.ndindex(B, T):
        a, row, up = alpha[b, t, 0], x[b, t], dy[b, t]
        da = np.dot(up, row)
        # mistake[mean of channels]: da = np.dot(up, row) / C
        # mistake[dalpha of y]: da = a * np.dot(up, row)
        dalpha[b, t] = da
        slope = a - a**2
        # mistake[no sigmoid]: slope = 1
        # mistake[no alpha]: slope = 1 - a
        # mistake[no rest]: slope = a
        ds[b, t] = slope * da
        live = np.flatnonzero(u[b, t] > 0)
        # mistake[no mask]: live = np.arange(H)
        # mistake[mask of du]: live = np.flatnonzero(slope * da * W2[:, 0] > 0)
        du[b, t, live] = slope * da * W2[live, 0]
        passes, decides = a * up, W1 @ du[b, t]
        # mistake[only passes]: passes, decides = a * up, 0
        # mistake[only decides]: passes, decides = 0, W1 @ du[b, t]
        # mistake[dy passes]: passes, decides = up, W1 @ du[b, t]
        dx[b, t] = passes + decides
        dW1 += np.outer(row, du[b, t])
        db1 += du[b, t]
        dW2[:, 0] += u[b, t] * (u[b, t] > 0) * slope * da
        # mistake[dW2 of u]: dW2[:, 0] += u[b, t] * slope * da
        db2 += slope * da
        # mistake[db2 of dalpha]: db2 += da
    return dalpha, ds, du, dx, dW1, db1, dW2, db2


def stages_of_our_gate_backward(dy, x, W1, W2, u, alpha):
    score = np.log(alpha / (1 - alpha))
    b1, b2 = (u - x @ W1)[0, 0], (score - np.where(u > 0, u, 0) @ W2)[0, 0]

    def passed(s):
        return x / (1 + np.exp(-s))

    def of_u(u, W2=W2, b2=b2):
        return passed(np.where(u.real > 0, u, 0) @ W2 + b2)

    def of_x(x):
        u = x @ W1 + b1
        return x / (1 + np.exp(-np.where(u.real > 0, u, 0) @ W2 - b2))

    return {
        "dalpha": (alpha, lambda alpha: alpha * x),
        "ds": (score, passed),
        "du": (u, of_u),
        "dx": (x, of_x),
        "dW1": (W1, lambda W1: of_u(x @ W1 + b1)),
        "db1": (b1, lambda b1: of_u(x @ W1 + b1)),
        "dW2": (W2, lambda W2: of_u(u, W2=W2)),
        "db2": (b2, lambda b2: of_u(u, b2=b2)),
    }


def our_reliability(s, r):
    alpha = (1 + np.tanh(s / 2)) / 2
    L = np.mean(r * np.logaddexp(0, -s) + (1 - r) * np.logaddexp(0, s))
    # mistake[log of alpha]: L = np.mean(r * -np.log(alpha) + (1 - r) * -np.log(1 - alpha))
    # mistake[one side]: L = np.mean(r * np.logaddexp(0, -s))
    # mistake[states turned]: L = np.mean((1 - r) * np.logaddexp(0, -s) + r * np.logaddexp(0, s))
    return alpha, L


def our_reliability_backward(r, alpha):
    miss = alpha * (1 - r) - (1 - alpha) * r
    # mistake[sigmoid again]: miss = (alpha * (1 - r) - (1 - alpha) * r) * (alpha - alpha**2)
    # mistake[by alpha]: miss = (1 - r) / (1 - alpha) - r / alpha
    ds = miss / np.prod(r.shape)
    # mistake[slope of sum]: ds = miss
    return ds


def stages_of_our_reliability_backward(r, alpha):
    with np.errstate(divide="ignore"):
        s = np.log(alpha) - np.log(1 - alpha)

    def loss(s):
        some = np.clip(s.real, -500, 500) + 1j * s.imag
        return np.mean(np.log(1 + np.exp(some)) - r * some)

    return {"ds": (np.nan_to_num(s), loss)}
