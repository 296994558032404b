"""Cases, mistakes and laws of exercise 17, TLAB-JCA: temporal block, AVGA and joint cross-attention."""

import numpy as np

from refmer.exercises.case import Case, Law, Mistake


def scores(rng, ours, T, S):
    return (rng.normal(size=(T, S)),)


def large(rng, ours, T, S):
    s = rng.normal(size=(T, S))
    s[0] += 1000
    return (s,)


def block(rng, ours, T, C, D):
    return *rng.normal(size=(2, T, C)), *rng.normal(size=(3, C, D)) / np.sqrt(C)


def block_backward(rng, ours, T, C, D):
    given = block(rng, ours, T, C, D)
    *saved, y = ours.our_tlab(*given)
    return rng.normal(size=y.shape), *given, *saved


def one_step(rng, ours, C, D):
    return block(rng, ours, 1, C, D)


def one_step_backward(rng, ours, C, D):
    return block_backward(rng, ours, 1, C, D)


def avga(rng, ours, T, N, V, C, E):
    maps = [rng.normal(size=shape) / np.sqrt(shape[0]) for shape in ((V, C), (C, C), (C, E), (C, E), (V, C))]
    Uf, Ua, Mf, Ma, Wo = maps
    bf, ba, bo = rng.normal(size=(3, C)) / 2
    return rng.normal(size=(T, N, V)), rng.normal(size=(T, C)), Uf, bf, Ua, ba, Mf, Ma, rng.normal(size=E), Wo, bo


def avga_backward(rng, ours, T, N, V, C, E):
    return avga_saved(rng, ours, *avga(rng, ours, T, N, V, C, E))


def one_position(rng, ours, T, V, C, E):
    return avga_backward(rng, ours, T, 1, V, C, E)


def silent(rng, ours, T, N, V, C, E):
    f, a, Uf, bf, Ua, ba, *rest = avga(rng, ours, T, N, V, C, E)
    return avga_saved(rng, ours, f, 0 * a, Uf, bf, Ua, -np.abs(ba), *rest)


def avga_saved(rng, ours, f, a, Uf, bf, Ua, ba, Mf, Ma, w, Wo, bo):
    R, Q, e, alpha, _, y = ours.our_avga(f, a, Uf, bf, Ua, ba, Mf, Ma, w, Wo, bo)
    return rng.normal(size=y.shape), f, Uf, Ua, Mf, Ma, w, Wo, R, Q, e, alpha


def maps(rng, T, D, E):
    return [rng.normal(size=shape) / np.sqrt(shape[0]) for shape in ((T, T), (T, E), (D, E), (E, T))]


def update(rng, ours, T, C, D, E):
    return rng.normal(size=(T, C)), rng.normal(size=(T, D)), *maps(rng, T, D, E)


def update_backward(rng, ours, T, C, D, E):
    return saved(rng, ours, *update(rng, ours, T, C, D, E))


def closed(rng, ours, T, C, D, E):
    x, J, WJ, W, WK, WH = update(rng, ours, T, C, D, E)
    return saved(rng, ours, x, J, WJ, -np.abs(W), -np.abs(WK), WH)


def saved(rng, ours, x, *rest):
    *stages, y = ours.our_update(x, *rest)
    return rng.normal(size=y.shape), x, *rest, *stages


def joint(rng, ours, T, C, E):
    return *rng.normal(size=(4, T, C)), *maps(rng, T, 2 * C, E), *maps(rng, T, 2 * C, E)


def soft_voice(rng, ours, T, C, E):
    dy_a, dy_v, a, *rest = joint(rng, ours, T, C, E)
    return dy_a, dy_v, 1e-6 * a, *rest


SOFT, TLAB, TLAB_BACK = "our_softmax", "our_tlab", "our_tlab_backward"
AVGA, AVGA_BACK = "our_avga", "our_avga_backward"
UPDATE, UPDATE_BACK, JOINT = "our_update", "our_update_backward", "our_joint_backward"
CASES = [
    Case("forward", SOFT, scores),
    Case("hard", SOFT, large, "scores of 1000"),
    Case("forward", TLAB, block),
    Case("hard", TLAB, one_step, "a single step"),
    Case("backward", TLAB_BACK, block_backward),
    Case("hard", TLAB_BACK, one_step_backward, "a single step"),
    Case("forward", AVGA, avga),
    Case("backward", AVGA_BACK, avga_backward),
    Case("hard", AVGA_BACK, one_position, "a single position"),
    Case("hard", AVGA_BACK, silent, "a sound that its ReLU cuts to 0"),
    Case("forward", UPDATE, update),
    Case("backward", UPDATE_BACK, update_backward),
    Case("hard", UPDATE_BACK, closed, "many numbers that are cut to 0"),
    Case("backward", JOINT, joint),
    Case("hard", JOINT, soft_voice, "a voice that is nearly 0"),
]

ROWS, BLOCK, BLOCK_BACK = "A softmax of each row", "The temporal block: forward", "The temporal block: backward"
POSITIONS, POSITIONS_BACK = "Attention over positions of the face (AVGA)", "Attention over positions: backward"
CROSS, CROSS_BACK = "Joint cross-attention: forward", "Joint cross-attention: backward of one update"
BOTH = "Joint cross-attention: both updates"
MISTAKES = [
    Mistake(
        "overflow",
        SOFT,
        "s - s.real.max(-1, keepdims=True)",
        "s",
        "large scores overflow: subtract the largest of the row first",
        ROWS,
    ),
    Mistake(
        "columns",
        SOFT,
        "e.sum(-1, keepdims=True)",
        "e.sum(0, keepdims=True)",
        "the softmax runs along columns, not rows",
        ROWS,
    ),
    Mistake("no scale", TLAB, "q.shape[1] ** -0.5 * q @", "q @", "the scale 1/sqrt(D) of the scores is missing", BLOCK),
    Mistake(
        "columns of S",
        TLAB,
        "our_softmax(S.T)\n",
        "our_softmax(S.T).T\n",
        "A is transposed: its rows are softmaxes of the rows of S^T",
        BLOCK,
    ),
    Mistake(
        "twice global",
        TLAB,
        "our_softmax(S), our_softmax(S.T)",
        "our_softmax(S), our_softmax(S)",
        "A is the same as G: its scores are transposed",
        BLOCK,
    ),
    Mistake(
        "other order",
        TLAB,
        "m = A @ v\n    y = G @ m",
        "m = G @ v\n    y = A @ m",
        "the maps are applied in the other order: y = G (A v)",
        BLOCK,
    ),
    Mistake("dv of G", TLAB_BACK, "dv = A.T @ dm", "dv = G.T @ dm", "dv is made with G: m = A v uses A", BLOCK_BACK),
    Mistake("G not turned", TLAB_BACK, "dm = G.T @ dy", "dm = G @ dy", "dm is made with G, not with its transpose", BLOCK_BACK),
    Mistake(
        "global only",
        TLAB_BACK,
        " + (A * (dA - (A * dA).sum(-1, keepdims=True))).T",
        "",
        "S is used twice: only its use in G counts",
        BLOCK_BACK,
    ),
    Mistake(
        "local only",
        TLAB_BACK,
        "G * (dG - (G * dG).sum(-1, keepdims=True)) + (A",
        "(A",
        "S is used twice: only its use in A counts",
        BLOCK_BACK,
    ),
    Mistake(
        "local not turned",
        TLAB_BACK,
        "(A * dA).sum(-1, keepdims=True))).T",
        "(A * dA).sum(-1, keepdims=True)))",
        "the gradient through A is not transposed back: A is made of S^T",
        BLOCK_BACK,
    ),
    Mistake(
        "inner sum of G",
        TLAB_BACK,
        "(dG - (G * dG).sum(-1, keepdims=True))",
        "dG",
        "the inner sum of the softmax G is missing",
        BLOCK_BACK,
    ),
    Mistake(
        "inner sum of A",
        TLAB_BACK,
        "(dA - (A * dA).sum(-1, keepdims=True))",
        "dA",
        "the inner sum of the softmax A is missing",
        BLOCK_BACK,
    ),
    Mistake("dk scale", TLAB_BACK, "dk = c * dS.T", "dk = dS.T", "the scale 1/sqrt(D) is missing in dk", BLOCK_BACK),
    Mistake("dk not turned", TLAB_BACK, "dS.T @ q", "dS @ q", "dk sums over queries: it needs the transpose of dS", BLOCK_BACK),
    Mistake("keys only", TLAB_BACK, " + dv @ Wv.T", "", "tau is used twice: only its use as keys counts", BLOCK_BACK),
    Mistake("values only", TLAB_BACK, "dk @ Wk.T + dv", "dv", "tau is used twice: only its use as values counts", BLOCK_BACK),
    Mistake(
        "softmax over steps",
        AVGA,
        "our_softmax(e @ w)",
        "our_softmax((e @ w).T).T",
        "the softmax runs over steps, not over positions",
        POSITIONS,
    ),
    Mistake("no bias", AVGA, "f @ Uf + bf", "f @ Uf + 0 * bf", "the bias bf is left out", POSITIONS),
    Mistake(
        "no ReLU",
        AVGA,
        "np.where(Q.real > 0, Q, 0)",
        "Q",
        "the ReLU of the sound is left out: Q = max(a Ua + ba, 0)",
        POSITIONS,
    ),
    Mistake(
        "scores of the face alone",
        AVGA,
        " + (Q @ Ma)[:, None]",
        " + 0 * (Q @ Ma)[:, None]",
        "the scores do not depend on the sound",
        POSITIONS,
    ),
    Mistake(
        "inner sum of alpha",
        AVGA_BACK,
        "(dalpha - (alpha * dalpha).sum(-1, keepdims=True))",
        "dalpha",
        "the inner sum of the softmax over positions is missing",
        POSITIONS_BACK,
    ),
    Mistake(
        "tanh of e", AVGA_BACK, " * (1 - e * e)", "", "the derivative of tanh, 1 - e^2, is missing in deta", POSITIONS_BACK
    ),
    Mistake(
        "first position",
        AVGA_BACK,
        "deta.sum(1) @ Ma.T",
        "deta[:, 0] @ Ma.T",
        "Q is used at every position: deta is not summed over them",
        POSITIONS_BACK,
    ),
    Mistake(
        "average only",
        AVGA_BACK,
        " + np.where(R.real > 0, dR, 0) @ Uf.T",
        "",
        "f is used twice: only its use in the average counts",
        POSITIONS_BACK,
    ),
    Mistake(
        "scores only",
        AVGA_BACK,
        "alpha[..., None] * dc[:, None] + np.where",
        "np.where",
        "f is used twice: only its use in the scores counts",
        POSITIONS_BACK,
    ),
    Mistake(
        "ReLU of R open",
        AVGA_BACK,
        "np.where(R.real > 0, dR, 0)",
        "dR",
        "dR passes to f where R is 0, too",
        POSITIONS_BACK,
    ),
    Mistake(
        "ReLU of Q open",
        AVGA_BACK,
        "np.where(Q.real > 0, dQ, 0)",
        "dQ",
        "dQ passes to a where Q is 0, too",
        POSITIONS_BACK,
    ),
    Mistake(
        "root of C",
        UPDATE,
        "J.shape[1] ** -0.5",
        "x.shape[1] ** -0.5",
        "the scale is the root of C: J has D numbers at a step",
        CROSS,
    ),
    Mistake(
        "no tanh",
        UPDATE,
        "np.tanh(u @ J * J.shape[1] ** -0.5)",
        "(u @ J * J.shape[1] ** -0.5)",
        "the tanh is left out of K",
        CROSS,
    ),
    Mistake("no residual", UPDATE, "(H @ WH).T + x", "(H @ WH).T", "the residual + x at the end is missing", CROSS),
    Mistake(
        "tanh back", UPDATE_BACK, "dK * (1 - K * K) *", "dK *", "the derivative of tanh, 1 - K^2, is missing in dN", CROSS_BACK
    ),
    Mistake(
        "relu back", UPDATE_BACK, "np.where(H.real > 0, dH, 0)", "dH + 0 * H", "dP is not 0 where P is negative", CROSS_BACK
    ),
    Mistake("dN scale", UPDATE_BACK, " * J.shape[1] ** -0.5", "", "the scale 1/sqrt(D) is missing in dN", CROSS_BACK),
    Mistake(
        "residual cut", UPDATE_BACK, "dx = dy + (du", "dx = (du", "x is used three times: the residual is left out", CROSS_BACK
    ),
    Mistake(
        "correlation cut",
        UPDATE_BACK,
        "(du @ WJ.T + dP @ W.T).T",
        "(dP @ W.T).T",
        "x is used three times: its use in u is left out",
        CROSS_BACK,
    ),
    Mistake(
        "time cut",
        UPDATE_BACK,
        "(du @ WJ.T + dP @ W.T).T",
        "(du @ WJ.T).T",
        "x is used three times: its use in x^T W is left out",
        CROSS_BACK,
    ),
    Mistake(
        "one J", JOINT, "dJ = dJ_a + dJ_v", "dJ = dJ_a + 0 * dJ_v", "J is used by both updates: that of v is left out", BOTH
    ),
    Mistake(
        "halves swapped",
        JOINT,
        "da + dJ[:, : a.shape[1]]",
        "da + dJ[:, a.shape[1] :]",
        "the halves of dJ are exchanged: the first belongs to a",
        BOTH,
    ),
    Mistake(
        "both halves swapped",
        JOINT,
        "da = da + dJ[:, : a.shape[1]]\n    dv = dv + dJ[:, a.shape[1] :]",
        "da = da + dJ[:, a.shape[1] :]\n    dv = dv + dJ[:, : a.shape[1]]",
        "the halves of dJ are exchanged: the first belongs to a, the second to v",
        BOTH,
    ),
    Mistake("J fixed", JOINT, "dv + dJ[:, a.shape[1] :]", "dv", "dv lacks its half of dJ", BOTH),
    Mistake(
        "J of new a",
        JOINT,
        "    u, K, H, _ = our_update(v,",
        "    J = np.concatenate([our_update(a, J, WJ_a, W_a, WK_a, WH_a)[3], v], axis=1)\n    u, K, H, _ = our_update(v,",
        "a is replaced before v is updated: both updates read the old J",
        BOTH,
    ),
]
LAWS = [Law(TLAB_BACK, "dS", lambda dS: dS.sum(), "elements sum to {:.2g}; those of a gradient of scores sum to 0")]
