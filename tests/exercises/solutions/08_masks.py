"""An independent solution of exercise 8, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_masked_weights(z, mask):
    allowed = np.array(mask)
    # mistake[no mask]: allowed = np.ones(z.shape, bool)
    # mistake[turned]: allowed = ~np.array(mask)
    # mistake[score 0]: allowed, z = np.ones(z.shape, bool), z * mask
    # mistake[finite]: allowed, z = np.ones(z.shape, bool), np.where(mask, z, -1e9)
    e = np.zeros(z.shape)
    for b, t in np.ndindex(z.shape[:2]):
        keys = allowed[b, t]
        if keys.any():
            e[b, t, keys] = np.exp(z[b, t, keys] - max(z[b, t, keys]))
            # mistake[overflow]: e[b, t, keys] = np.exp(z[b, t, keys])
    total = np.einsum("bts->bt", e)[:, :, None]
    # mistake[queries]: total = np.einsum("bts->bs", e)[:, None]
    # mistake[after]: total = np.exp(z - np.where(mask, z, -np.inf).max(2, keepdims=True)).sum(2, keepdims=True)
    a = np.divide(e, total, out=np.zeros(z.shape), where=total > 0)
    # mistake[empty row]: a = e / total
    return a


def our_masked_weights_backward(dy, a):
    dz = np.empty(a.shape)
    for b, t in np.ndindex(a.shape[:2]):
        w = a[b, t]
        dz[b, t] = (np.diag(w) - np.outer(w, w)) @ dy[b, t]
        # mistake[inner sum]: dz[b, t] = w * dy[b, t]
        # mistake[plain sum]: dz[b, t] = w * (dy[b, t] - sum(dy[b, t]))
        # mistake[no a]: dz[b, t] = dy[b, t] - w @ dy[b, t]
        # mistake[wrong axis]: dz[b, t] = w * (dy[b, t] - (a[b] * dy[b]).sum(0))
    return dz


def stages_of_our_masked_weights_backward(dy, a):
    def weights(z):
        e = a * np.exp(z)  # the weights for scores that are moved by z
        total = e.sum(-1, keepdims=True)
        return e / np.where(total == 0, 1, total)

    return {"dz": (np.zeros(a.shape), weights)}


def our_valid_mean(x, valid):
    n = np.count_nonzero(valid, axis=1)
    count = n
    # mistake[by T]: count = 0 * n + x.shape[1]
    total = np.stack([steps[places].sum(0) for steps, places in zip(x, valid, strict=True)])
    # mistake[padding]: total = x.sum(1)
    # mistake[times 0]: total = np.einsum("btc,bt->bc", x, valid)
    y = total / np.where(count > 0, count, 1)[:, None]
    # mistake[no step]: y = total / count[:, None]
    return n, y


def our_valid_mean_backward(dy, valid):
    dx = np.zeros((*valid.shape, dy.shape[1]))
    for b, t in np.ndindex(valid.shape):
        n = np.count_nonzero(valid[b])
        # mistake[share of T]: n = valid.shape[1]
        # mistake[no share]: n = 1
        counts = valid[b, t]
        # mistake[padding too]: n, counts = max(n, 1), True
        dx[b, t] = dy[b] / n if counts else 0
        # mistake[gradient of no step]: dx[b, t] = counts / np.float64(n) * dy[b]
    return dx


def stages_of_our_valid_mean_backward(dy, valid):
    n = np.maximum(valid.sum(1), 1)

    def mean(x):
        return np.einsum("btc,bt->bc", x, valid) / n[:, None]

    return {"dx": (np.zeros((*valid.shape, dy.shape[1])), mean)}


def our_causal(T, S):
    mask = np.zeros((T, S), bool)
    for back in range(T):
        t, last = T - 1 - back, S - 1 - back
        # mistake[ends]: t, last = T - 1 - back, T - 1 - back
        # mistake[sign]: t, last = T - 1 - back, T - 1 - back + T - S
        # mistake[strict]: t, last = T - 1 - back, S - 2 - back
        mask[t, : max(last + 1, 0)] = True
        # mistake[later]: mask[t, max(last, 0) :] = True
    return mask


def our_offset_mask(queries, keys):
    B, T, S = len(queries), queries.shape[1], keys.shape[1]
    n_q = [max(np.flatnonzero(clip), default=-1) + 1 for clip in queries]
    # mistake[count]: n_q = list(queries.sum(1))
    n_k = [max(np.flatnonzero(clip), default=-1) + 1 for clip in keys]
    # mistake[last place]: n_k = [max(np.flatnonzero(clip), default=0) for clip in keys]
    mask = np.zeros((B, T, S), bool)
    for b, t, s in np.ndindex(B, T, S):
        offset = max(n_q[b], n_k[b]) - min(n_q[b], n_k[b])
        # mistake[arrays]: offset = abs(T - S)
        # mistake[no offset]: offset = 0
        # mistake[not absolute]: offset = n_k[b] - n_q[b]
        mask[b, t, s] = s - t <= offset
        # mistake[strict offset]: mask[b, t, s] = s - t < offset
    return np.array(n_q), np.array(n_k), mask
