"""An independent solution of exercise 3, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_gain(x):
    power = np.einsum("bl,bl->b", x, x)[:, None] / x.shape[1]
    # mistake[sum of squares]: power = np.einsum("bl,bl->b", x, x)[:, None]
    # mistake[one gain]: power = np.array([[np.mean(x**2)]])
    g = 0.1 / np.sqrt(power)
    # mistake[one gain]: g = 0.1 / np.sqrt(power[0, 0])
    return g, x * g


def our_gain_backward(dy, x, g):
    dx, dg = np.empty(x.shape), np.empty(g.shape)
    for b in range(len(x)):
        dg[b] = dy[b] @ x[b]
        # mistake[dg mean]: dg[b] = dy[b] @ x[b] / len(x[b])
        unit = x[b] / (x[b] @ x[b])
        # mistake[no L]: unit = x[b] / (x[b] @ x[b]) * len(x[b])
        dx[b] = g[b] * (dy[b] - unit * dg[b])
        # mistake[gain fixed]: dx[b] = g[b] * dy[b]
    return dg, dx


def stages_of_our_gain_backward(dy, x, g):
    return {"dg": (g, lambda g: g * x), "dx": (x, lambda x: x * 0.1 / np.sqrt((x**2).mean(1))[:, None])}


def our_emphasis(x):
    before = np.concatenate([np.zeros((len(x), 1)), x[:, :-1]], axis=1)
    return x - 0.97 * before


def our_emphasis_backward(dy):
    after = np.concatenate([dy[:, 1:], np.zeros((len(dy), 1))], axis=1)
    # mistake[backward in time]: after = np.concatenate([np.zeros((len(dy), 1)), dy[:, :-1]], axis=1)
    # mistake[one use]: after = 0 * dy
    # mistake[sign of .97]: after = -np.concatenate([dy[:, 1:], np.zeros((len(dy), 1))], axis=1)
    return dy - 0.97 * after


def stages_of_our_emphasis_backward(dy):
    return {"dx": (np.ones(dy.shape), lambda x: x - 0.97 * np.concatenate([0 * x[:, :1], x[:, :-1]], axis=1))}


def our_frames(x, size, hop, count):
    return x[:, np.arange(count)[:, None] * hop + np.arange(size)]


def our_frames_backward(dy, length, hop):
    places = np.arange(dy.shape[1])[:, None] * hop + np.arange(dy.shape[2])
    dx = np.zeros((len(dy), length))
    np.add.at(dx, (slice(None), places), dy)
    # mistake[overwritten]: dx[:, places] = dy
    return dx


def stages_of_our_frames_backward(dy, length, hop):
    x = np.ones((len(dy), length))
    return {"dx": (x, lambda x: our_frames(x, dy.shape[2], hop, dy.shape[1]))}


def our_log_mel(y, w, F):
    X = np.fft.rfft(y * w)
    # mistake[no window]: X = np.fft.rfft(y)
    P = np.abs(X) ** 2 / len(w)
    # mistake[amplitude]: P = np.abs(X) / len(w)
    # mistake[no N]: P = np.abs(X) ** 2
    M = np.einsum("btk,kj->btj", P, F)
    return X.real, X.imag, M, np.log(M + 1e-10)


def our_log_mel_backward(dy, w, F, R, Q, M):
    N = len(w)
    dM = dy * 1 / (M + 1e-10)
    # mistake[no floor]: dM = dy / np.where(M == 0, 1, M)
    # mistake[no logarithm]: dM = dy.copy()
    dP = np.einsum("btj,kj->btk", dM, F)
    dX = 2 * dP * (R + 1j * Q) / N
    # mistake[factor 2]: dX = dP * (R + 1j * Q) / N
    # mistake[N in backward]: dX = 2 * dP * (R + 1j * Q)
    n, k = np.arange(N)[:, None], np.arange(N // 2 + 1)
    turn = np.exp(2j * np.pi * n * k / N)
    # mistake[sign of sine]: turn = np.exp(-2j * np.pi * n * k / N)
    du = np.einsum("btk,nk->btn", dX, turn).real
    # mistake[real part]: du = np.einsum("btk,nk->btn", dX.real, turn).real
    dframes = du * w
    # mistake[window back]: dframes = du.copy()
    return dM, dP, dX.real, dX.imag, du, dframes


def stages_of_our_log_mel_backward(dy, w, F, R, Q, M):
    N = len(w)
    n, k = np.arange(N)[:, None], np.arange(N // 2 + 1)
    C, D = np.cos(2 * np.pi * n * k / N), -np.sin(2 * np.pi * n * k / N)
    even = np.where((k == 0) | (k == N / 2), 1, 2)
    u = ((R * even) @ C.T + (Q * even) @ D.T) / N  # the inverse transform

    def of_power(P):
        return np.log(P @ F + 1e-10)

    return {
        "dM": (M, lambda M: np.log(M + 1e-10)),
        "dP": ((R**2 + Q**2) / N, of_power),
        "dR": (R, lambda R: of_power((R**2 + Q**2) / N)),
        "dQ": (Q, lambda Q: of_power((R**2 + Q**2) / N)),
        "du": (u, lambda u: of_power(((u @ C) ** 2 + (u @ D) ** 2) / N)),
        "dframes": (u / w, lambda y: of_power(((w * y @ C) ** 2 + (w * y @ D) ** 2) / N)),
    }
