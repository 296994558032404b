"""An independent solution of exercise 10, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_lstm(x, W, U, b, mask):
    B, T, _ = x.shape
    H = U.shape[0]
    gates, c, h = np.empty((B, T, 4 * H)), np.zeros((B, T + 1, H)), np.zeros((B, T + 1, H))
    for n in range(B):
        for t in range(T):
            u = b + np.einsum("d,dk->k", x[n, t], W) + np.einsum("h,hk->k", h[n, t], U)
            # mistake[last step first]: u = b + x[n, T - 1 - t] @ W + h[n, t] @ U
            order = "sstsifgo"
            # mistake[gate order]: order = "ssstifog"
            out = [
                1 / (1 + np.exp(-v)) if kind == "s" else np.tanh(v) for kind, v in zip(order[:4], u.reshape(4, H), strict=True)
            ]
            place = {name: out[order[4:].index(name)] for name in "ifgo"}
            gates[n, t] = np.concatenate([place[name] for name in "ifgo"])
            valid = mask[n, t]
            # mistake[leak]: valid = True
            if valid:
                c[n, t + 1] = place["f"] * c[n, t] + place["i"] * place["g"]
                h[n, t + 1] = place["o"] * np.tanh(c[n, t + 1])
                # mistake[no tanh]: h[n, t + 1] = place["o"] * c[n, t + 1]
            else:
                c[n, t + 1], h[n, t + 1] = c[n, t], h[n, t]
                # mistake[c lost]: h[n, t + 1] = h[n, t]
    y = h[:, 1:] * mask[:, :, None]
    # mistake[state out]: y = h[:, 1:] + 0
    return gates, c, h, y


def our_lstm_backward(dy, x, W, U, mask, gates, c, h):
    B, T, H = dy.shape
    dh, dc, du, dU = np.zeros(h.shape), np.zeros(c.shape), np.zeros(gates.shape), np.zeros(U.shape)
    steps = range(T - 1, -1, -1)
    # mistake[first step first]: steps = range(T)
    for n in range(B):
        for t in steps:
            i, f, g, o = gates[n, t].reshape(4, H)
            ahead, memory = dh[n, t + 1], dc[n, t + 1]
            ahead += dy[n, t] * mask[n, t]
            # mistake[padded dy]: ahead += dy[n, t]
            # mistake[padded du]: ahead += dy[n, t]
            kept = not mask[n, t]
            # mistake[padded du]: kept = False
            if kept:
                dh[n, t], dc[n, t] = ahead, memory
                # mistake[padded stop]: dc[n, t] = memory; dh[n, t] = 0
                # mistake[padded dc]: dh[n, t] = ahead; dc[n, t] = 0
                continue
            tanh_c = np.tanh(c[n, t + 1])
            memory += ahead * o / np.cosh(c[n, t + 1]) ** 2
            # mistake[slope of tanh]: memory += ahead * o
            slopes = np.stack([i - i**2, f - f**2, 1 - g**2, o - o**2])
            # mistake[slope of g]: slopes = np.stack([i - i**2, f - f**2, g - g**2, o - o**2])
            reached = np.stack([memory * g, memory * c[n, t], memory * i, ahead * tanh_c])
            # mistake[c after]: reached = np.stack([memory * g, memory * c[n, t + 1], memory * i, ahead * tanh_c])
            blocks = slopes * reached
            # mistake[du order]: blocks = (slopes * reached)[[0, 1, 3, 2]]
            du[n, t] = blocks.ravel()
            dU += np.outer(h[n, t], du[n, t])
            # mistake[dU after]: dU += np.outer(h[n, t + 1], du[n, t])
            dh[n, t] = U @ du[n, t]
            # mistake[recurrent path]: dh[n, t] = 0
            dc[n, t] = memory * f
            # mistake[forget path]: dc[n, t] = 0
    flat = du.reshape(B * T, 4 * H)
    return dh, dc, du, np.einsum("btk,dk->btd", du, W), x.reshape(B * T, -1).T @ flat, dU, flat.sum(0)


def stages_of_our_lstm_backward(dy, x, W, U, mask, gates, c, h):
    T, valid, b = dy.shape[1], mask[:, :, None], np.zeros(W.shape[1])
    seen = np.where(valid, gates, 0.5)
    i, f, g, o = np.split(seen, 4, axis=2)
    u = np.concatenate([np.log(i / (1 - i)), np.log(f / (1 - f)), np.arctanh(g), np.log(o / (1 - o))], axis=2)
    rest = u - x @ W - h[:, :-1] @ U  # of u, what x and h do not give

    def run(x=x, W=W, U=U, b=b, more_u=0.0, more_c=0.0, more_h=0.0):
        """The forward with something added to every u, c and h, the start included."""
        more_u, more_c, more_h = more_u + rest, more_c + np.zeros(c.shape), more_h + np.zeros(h.shape)
        now_c, now_h, y = more_c[:, 0], more_h[:, 0], []
        for t in range(T):
            i, f, g, o = np.split(x[:, t] @ W + b + now_h @ U + more_u[:, t], 4, axis=1)
            next_c = np.tanh(g) / (1 + np.exp(-i)) + now_c / (1 + np.exp(-f))
            now_c = np.where(valid[:, t], next_c, now_c) + more_c[:, t + 1]
            now_h = np.where(valid[:, t], np.tanh(now_c) / (1 + np.exp(-o)), now_h) + more_h[:, t + 1]
            y.append(np.where(valid[:, t], now_h, 0))
        return np.stack(y, axis=1)

    return {
        "dh": (h, lambda v: run(more_h=v - h)),
        "dc": (c, lambda v: run(more_c=v - c)),
        "du": (u, lambda v: run(more_u=v - u)),
        "dx": (x, lambda x: run(x=x)),
        "dW": (W, lambda W: run(W=W)),
        "dU": (U, lambda U: run(U=U)),
        "db": (b, lambda b: run(b=b)),
    }


def our_conv(x, W, beta, dilation):
    B, T, _ = x.shape
    K = W.shape[0]
    y = np.empty((B, T, len(beta)))
    step = dilation
    # mistake[no dilation]: step = 1
    for t in range(T):
        y[:, t] = beta
        for j in range(K):
            source = t - step * (K - 1 - j)
            # mistake[future]: source = t + step * j
            tap = W[j]
            # mistake[taps turned]: tap = W[K - 1 - j]
            if 0 <= source < T:
                y[:, t] += np.einsum("bc,ce->be", x[:, source], tap)
    return y


def our_conv_backward(dy, x, W, dilation):
    T, K = x.shape[1], W.shape[0]
    dx, dW = np.zeros(x.shape), np.zeros(W.shape)
    for t in range(T):
        for j in range(K):
            source = t - dilation * (K - 1 - j)
            target, tap = source, W[j]
            # mistake[dx turned]: target, tap = source, W[K - 1 - j]
            # mistake[dx early]: target, tap = t + dilation * j, W[j]
            if 0 <= target < T:
                dx[:, target] += np.einsum("be,ce->bc", dy[:, t], tap)
            seen = x[:, source] if source >= 0 else np.zeros_like(x[:, t])
            # mistake[dW of now]: seen = x[:, t]
            dW[j] += np.einsum("bc,be->ce", seen, dy[:, t])
    return dx, dW, dy.reshape(-1, dy.shape[2]).sum(0)


def stages_of_our_conv_backward(dy, x, W, dilation):
    def after(x, W, beta):
        y = np.zeros(dy.shape, complex) + beta
        for j, tap in enumerate(W):
            late = dilation * (len(W) - 1 - j)
            if late < y.shape[1]:
                y[:, late:] += x[:, : y.shape[1] - late] @ tap
        return y

    beta = np.zeros(dy.shape[2])
    return {
        "dx": (x, lambda x: after(x, W, beta)),
        "dW": (W, lambda W: after(x, W, beta)),
        "dbeta": (beta, lambda beta: after(x, W, beta)),
    }
