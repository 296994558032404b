"""An independent solution of exercise 22, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_standard(train, x):
    center, spread = train.mean(axis=0), train.std(axis=0)
    # mistake[moments of x]: center, spread = x.mean(axis=0), train.std(axis=0)
    # mistake[N - 1]: center, spread = train.mean(axis=0), train.std(axis=0, ddof=1)
    # mistake[one mean]: center, spread = train.mean(), train.std(axis=0)
    spread[spread == 0] = 1
    # mistake[no guard]: pass
    return (x - center) / spread


def our_model(face, voice, W1, b1, W2, b2, W, b):
    u = np.einsum("bf,fh->bh", face, W1) + b1
    r = np.clip(u, 0, None)
    # mistake[no relu]: r = u
    s = np.einsum("bh,hi->bi", r, W2) + b2
    alpha = 1 / (1 + np.exp(-s))
    # mistake[tanh gate]: alpha = (np.exp(s) - np.exp(-s)) / (np.exp(s) + np.exp(-s))
    h = np.hstack([face * alpha, voice])
    # mistake[gate of voice]: h = np.hstack([face, voice * alpha])
    x = np.einsum("bi,ik->bk", h, W) + b
    top = x.max(axis=1)[:, None]
    # mistake[overflow]: top = 0
    p = np.exp(x - top)
    p /= p.sum(axis=1)[:, None]
    return u, alpha, h, p


def our_loss(p, y):
    truth = y.argmax(axis=1)
    return -np.log(p[np.arange(len(p)), truth]).sum() / len(p)
    # mistake[loss sum]: return -np.log(p[np.arange(len(p)), truth]).sum()


def our_model_backward(y, face, W1, W2, W, u, alpha, h, p):
    B, F = face.shape
    dx = (p - y) * (1 / B)
    # mistake[dx not over B]: dx = p - y
    dh = np.einsum("bk,ik->bi", dx, W)
    dalpha = np.einsum("bf,bf->b", dh[:, :F], face)[:, None]
    # mistake[dalpha of h]: dalpha = np.einsum("bf,bf->b", dh[:, :F], face * alpha)[:, None]
    # mistake[dalpha of voice]: dalpha = np.einsum("bf,bf->b", dh[:, dh.shape[1] - F :], face)[:, None]
    ds = dalpha * (alpha - alpha**2)
    # mistake[no sigmoid]: ds = dalpha.copy()
    # mistake[half sigmoid]: ds = dalpha * alpha
    open_ = (u > 0).astype(float)
    r = u * open_
    # mistake[dW2 of u]: r = u
    du = np.einsum("bi,hi->bh", ds, W2) * open_
    # mistake[no relu back]: du = np.einsum("bi,hi->bh", ds, W2)
    of_maps = [np.einsum("bi,bj->ij", a, d) for a, d in ((face, du), (r, ds), (h, dx))]
    of_biases = [d.sum(axis=0) for d in (du, ds, dx)]
    return dx, dh, dalpha, ds, du, *(g for pair in zip(of_maps, of_biases, strict=True) for g in pair)


def stages_of_our_model_backward(y, face, W1, W2, W, u, alpha, h, p):
    voice = h[:, face.shape[1] :]
    b1, s = (u - face @ W1)[0], np.log(alpha / (1 - alpha))
    b2 = (s - np.where(u > 0, u, 0) @ W2)[0]

    def of_x(x):
        return -(y * (x - np.log(np.exp(x).sum(1))[:, None])).sum() / len(y)

    def of_alpha(alpha):
        return of_x(np.concatenate([alpha * face, voice], 1) @ W + bias)

    def of_s(s):
        return of_alpha(1 / (1 + np.exp(-s)))

    def of_u(u, W2=W2, b2=b2):
        return of_s(u * (u.real > 0) @ W2 + b2)

    bias = np.log(p) - h @ W  # up to a constant of each row, which softmax does not see
    return {
        "dx": (np.log(p), of_x),
        "dh": (h, lambda h: of_x(h @ W + bias)),
        "dalpha": (alpha, of_alpha),
        "ds": (s, of_s),
        "du": (u, of_u),
        "dW1": (W1, lambda W1: of_u(face @ W1 + b1)),
        "db1": (b1, lambda b1: of_u(face @ W1 + b1)),
        "dW2": (W2, lambda W2: of_u(u, W2)),
        "db2": (b2, lambda b2: of_u(u, b2=b2)),
        "dW": (W, lambda W: of_x(h @ W + bias)),
        "db": (np.zeros(W.shape[1]), lambda b: of_x(h @ W + bias + b)),
    }


def our_training(face, voice, y, W1, b1, W2, b2, W, b, rate, steps):
    weights, losses = [W1, b1, W2, b2, W, b], []
    for _ in range(steps):
        stages = our_model(face, voice, *weights)
        losses.append(our_loss(stages[-1], y))
        gradients = our_model_backward(y, face, weights[0], weights[2], weights[4], *stages)[5:]
        # mistake[frozen gate]: gradients = [0, 0, 0, 0, *our_model_backward(y, face, W1, W2, weights[4], *stages)[9:]]
        # mistake[no bias training]: gradients = [*our_model_backward(y, face, *weights[:5:2], *stages)[5:10], 0]
        rates = [rate] * 6
        # mistake[uphill]: rates = [-rate] * 4 + [rate] * 2
        weights = [w - r * g for w, r, g in zip(weights, rates, gradients, strict=True)]
    return *weights, np.array(losses)
    # mistake[loss after]: return *weights, np.array(losses[1:] + losses[:1])
