"""An independent solution of exercise 18, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_windows(x, T):
    S, C = x.shape
    W = (S + T - 1) // T
    # mistake[a window more]: W = (S + T) // T
    windows, valid = np.zeros((W, T, C)), np.zeros((W, T), bool)
    for s in range(S):
        w, t = divmod(s, T)
        # mistake[every Wth step]: t, w = divmod(s, W)
        # mistake[filled in front]: w, t = divmod(W * T - S + s, T)
        windows[w, t] = x[s]
        valid[divmod(s, T)] = True
        # mistake[all valid]: valid[:] = True
    return windows, valid


def our_windows_backward(dy, S):
    W, T, _ = dy.shape
    steps = range(S)
    # mistake[last steps]: steps = range(W * T - S, W * T)
    # mistake[filled steps kept]: steps = range(W * T)
    return np.stack([dy[divmod(s, T)] for s in steps])


def stages_of_our_windows_backward(dy, S):
    W, T, C = dy.shape

    def cut(x):
        return np.concatenate([x, np.zeros((W * T - S, C))]).reshape(W, T, C)

    return {"dx": (np.zeros((S, C)), cut)}


def our_window_loss(x, y, mask):
    weight = mask / mask.sum()
    # mistake[padding counts]: weight = np.full(mask.shape, 1 / mask.size)
    mean_x, mean_y = np.einsum("bt,btk->k", weight, x), np.einsum("bt,btk->k", weight, y)
    s = np.einsum("bt,btk->k", weight, x * y) - mean_x * mean_y
    error = np.einsum("bt,btk->k", weight, (x - y) ** 2)
    D = error + 2 * s
    # mistake[not squared]: D = error + 2 * s - (mean_x - mean_y) ** 2 + (mean_x - mean_y)
    # mistake[sample moments]: gap = (mean_x - mean_y) ** 2; D = (error + 2 * s - gap) * mask.sum() / (mask.sum() - 1) + gap
    rho = 2 * s / D
    # mistake[no 2]: rho = s / D
    # mistake[mean of windows]: rho = np.mean([our_window_loss(x[[k]], y[[k]], mask[[k]])[1] for k in range(len(x))], 0) if len(x) > 1 else 2 * s / D  # noqa: E501
    L = 1 - sum(rho) / len(rho)
    # mistake[sum]: L = len(rho) - sum(rho)
    # mistake[score]: L = sum(rho) / len(rho)
    return D, rho, L


def our_window_loss_backward(x, y, mask, D, rho):
    N, K = mask.sum(), len(rho)
    # mistake[all steps]: N, K = mask.size, len(rho)
    drho = np.full(K, -1 / K)
    # mistake[uphill]: drho = np.full(K, 1 / K)
    # mistake[not over K]: drho = np.full(K, -1.0)
    mean = np.einsum("bt,btk->k", mask, y) / mask.sum()
    # mistake[mean of all]: mean = np.einsum("btk->k", y) / mask.size
    ds = (y - mean) / N
    dD = 2 * (x - mean) / N
    # mistake[mean of predictions]: dD = 2 * (x - np.einsum("bt,btk->k", mask, x) / mask.sum()) / N
    # mistake[D fixed]: dD = 0 * x
    slope = 2 * ds / D - rho * dD / D
    return drho, drho * slope * mask[:, :, None]
    # mistake[padding moves]: return drho, drho * slope


def stages_of_our_window_loss_backward(x, y, mask, D, rho):
    def loss(x):
        values = []
        for k in range(x.shape[2]):
            p, t = x[..., k][mask], y[..., k][mask]
            s = ((p - p.mean()) * (t - t.mean())).mean()
            values.append(1 - 2 * s / (((p - t) ** 2).mean() + 2 * s))
        return sum(values) / len(values)

    return {"drho": (rho, lambda rho: (1 - rho).mean()), "dx": (x, loss)}
