"""Cases, mistakes and laws of exercise 17, TLAB-JCA."""

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


SOFT, TLAB, TLAB_BACK, UPDATE, UPDATE_BACK, JOINT = (
    "our_softmax",
    "our_tlab",
    "our_tlab_backward",
    "our_update",
    "our_update_backward",
    "our_joint_backward",
)
CASES = [
    Case("forward", SOFT, scores),
    Case("hard", SOFT, large, "scores of 1000"),
    Case("forward", TLAB, block),
    Case("hard", TLAB, one_step, "a single step"),
    Case("backward", TLAB_BACK, block_backward),
    Case("hard", TLAB_BACK, one_step_backward, "a single step"),
    Case("forward", UPDATE, update),
    Case("backward", UPDATE_BACK, update_backward),
    Case("hard", UPDATE_BACK, closed, "many numbers that are cut to 0"),
    Case("backward", JOINT, joint),
    Case("hard", JOINT, soft_voice, "a voice that is nearly 0"),
]

BLOCK, CROSS = "The block: TLAB, equations (1) to (6)", "Joint cross-attention: equations (8) to (11)"
MISTAKES = [
    Mistake(
        "overflow",
        SOFT,
        "s - s.real.max(-1, keepdims=True)",
        "s",
        "large scores overflow: subtract the largest of the row first",
        BLOCK,
    ),
    Mistake(
        "columns",
        SOFT,
        "e.sum(-1, keepdims=True)",
        "e.sum(0, keepdims=True)",
        "the softmax runs along columns, not rows",
        BLOCK,
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
    Mistake("dv of G", TLAB_BACK, "dv = A.T @ dm", "dv = G.T @ dm", "dv is made with G: m = A v asks for A", BLOCK),
    Mistake("G not turned", TLAB_BACK, "dm = G.T @ dy", "dm = G @ dy", "dm is made with G, not with its transpose", BLOCK),
    Mistake(
        "global only",
        TLAB_BACK,
        " + (A * (dA - (A * dA).sum(-1, keepdims=True))).T",
        "",
        "S is used twice: only its use in G counts",
        BLOCK,
    ),
    Mistake(
        "local only",
        TLAB_BACK,
        "G * (dG - (G * dG).sum(-1, keepdims=True)) + (A",
        "(A",
        "S is used twice: only its use in A counts",
        BLOCK,
    ),
    Mistake(
        "local not turned",
        TLAB_BACK,
        "(A * dA).sum(-1, keepdims=True))).T",
        "(A * dA).sum(-1, keepdims=True)))",
        "the gradient through A is not transposed back: A is made of S^T",
        BLOCK,
    ),
    Mistake(
        "inner sum of G",
        TLAB_BACK,
        "(dG - (G * dG).sum(-1, keepdims=True))",
        "dG",
        "the inner sum of the softmax G is missing",
        BLOCK,
    ),
    Mistake(
        "inner sum of A",
        TLAB_BACK,
        "(dA - (A * dA).sum(-1, keepdims=True))",
        "dA",
        "the inner sum of the softmax A is missing",
        BLOCK,
    ),
    Mistake("dk scale", TLAB_BACK, "dk = c * dS.T", "dk = dS.T", "the scale 1/sqrt(D) is missing in dk", BLOCK),
    Mistake("dk not turned", TLAB_BACK, "dS.T @ q", "dS @ q", "dk sums over queries: it needs the transpose of dS", BLOCK),
    Mistake("keys only", TLAB_BACK, " + dv @ Wv.T", "", "tau is used twice: only its use as keys counts", BLOCK),
    Mistake("values only", TLAB_BACK, "dk @ Wk.T + dv", "dv", "tau is used twice: only its use as values counts", BLOCK),
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
    Mistake("tanh back", UPDATE_BACK, "dK * (1 - K * K) *", "dK *", "the derivative of tanh, 1 - K^2, is missing in dN", CROSS),
    Mistake("relu back", UPDATE_BACK, "np.where(H.real > 0, dH, 0)", "dH + 0 * H", "dP is not 0 where P is negative", CROSS),
    Mistake("dN scale", UPDATE_BACK, " * J.shape[1] ** -0.5", "", "the scale 1/sqrt(D) is missing in dN", CROSS),
    Mistake("residual cut", UPDATE_BACK, "dx = dy + (du", "dx = (du", "x is used three times: the residual is left out", CROSS),
    Mistake(
        "correlation cut",
        UPDATE_BACK,
        "(du @ WJ.T + dP @ W.T).T",
        "(dP @ W.T).T",
        "x is used three times: its use in u is left out",
        CROSS,
    ),
    Mistake(
        "time cut",
        UPDATE_BACK,
        "(du @ WJ.T + dP @ W.T).T",
        "(du @ WJ.T).T",
        "x is used three times: its use in x^T W is left out",
        CROSS,
    ),
    Mistake(
        "one J", JOINT, "dJ = dJ_a + dJ_v", "dJ = dJ_a + 0 * dJ_v", "J is used by both updates: that of v is left out", CROSS
    ),
    Mistake(
        "halves swapped",
        JOINT,
        "da + dJ[:, : a.shape[1]]",
        "da + dJ[:, a.shape[1] :]",
        "the halves of dJ are exchanged: the first belongs to a",
        CROSS,
    ),
    Mistake("J fixed", JOINT, "dv + dJ[:, a.shape[1] :]", "dv", "dv lacks its half of dJ", CROSS),
    Mistake(
        "J of new a",
        JOINT,
        "    u, K, H, _ = our_update(v,",
        "    J = np.concatenate([our_update(a, J, WJ_a, W_a, WK_a, WH_a)[3], v], axis=1)\n    u, K, H, _ = our_update(v,",
        "a is replaced before v is updated: both updates read the old J",
        CROSS,
    ),
]
LAWS = [Law(TLAB_BACK, "dS", lambda dS: dS.sum(), "elements sum to {:.2g}; two softmaxes ask for 0")]
