"""Cases, mistakes and laws of exercise 9, encoders."""

import numpy as np

from refmer.exercises.case import Case, Law, Mistake


def whole(rng, ours, B, T, H, D):
    return rng.normal(size=(B, T, H * D)), H


def one_head(rng, ours, B, T, D):
    return rng.normal(size=(B, T, D)), 1


def by_heads(rng, ours, B, T, H, D):
    return (rng.normal(size=(B, H, T, D)),)


def single_head(rng, ours, B, T, D):
    return (rng.normal(size=(B, 1, T, D)),)


def steps(rng, ours, B, T, C):
    return rng.normal(size=(B, T, C)), rng.normal(size=(C, C)) / C**0.5


def equal_numbers(rng, ours, B, T, C):
    x, W = steps(rng, ours, B, T, C)
    x[0, 0] = x[-1, 1] = 0.0
    return x, W


def post_backward(draw):
    """Return the drawing of the arguments of the backward of the post-norm block."""

    def drawn(rng, ours, B, T, C):
        given = draw(rng, ours, B, T, C)
        return rng.normal(size=(B, T, C)), *given, *ours.our_post_block(*given)

    return drawn


def pre_backward(draw):
    """Return the drawing of the arguments of the backward of the pre-norm block."""

    def drawn(rng, ours, B, T, C):
        x, W = draw(rng, ours, B, T, C)
        n, r, _ = ours.our_pre_block(x, W)
        return rng.normal(size=(B, T, C)), W, n, r

    return drawn


def network(rng, ours, B, T, C, F):
    maps = rng.normal(size=(C, F)), rng.normal(size=F), rng.normal(size=(F, C)), rng.normal(size=C)
    return rng.normal(size=(B, T, C)), *maps, rng.random((B, T, F)) < 0.7, 0.3


def all_kept(rng, ours, B, T, C, F):
    *given, keep, _ = network(rng, ours, B, T, C, F)
    return *given, np.ones(keep.shape, bool), 0.0


def at_zero(rng, ours, B, T, C, F):
    x, W1, b1, *rest = network(rng, ours, B, T, C, F)
    W1[:, 1] = b1[1] = 0.0
    return x, W1, b1, *rest


def network_backward(draw):
    """Return the drawing of the arguments of the backward of the network."""

    def drawn(rng, ours, B, T, C, F):
        x, W1, b1, W2, b2, keep, rate = draw(rng, ours, B, T, C, F)
        u, d, y = ours.our_ffn(x, W1, b1, W2, b2, keep, rate)
        return rng.normal(size=y.shape), x, W1, W2, u, d, keep, rate

    return drawn


def even(rng, ours, T, K):
    return T, 2 * K


def odd(rng, ours, T, K):
    return T, 2 * K + 1


def one_frequency(rng, ours, T):
    return T, 3


SPLIT, MERGE, PLACES = "our_split_heads", "our_merge_heads", "our_positions"
POST, POST_BACK, PRE, PRE_BACK = "our_post_block", "our_post_block_backward", "our_pre_block", "our_pre_block_backward"
FFN, FFN_BACK = "our_ffn", "our_ffn_backward"
CASES = [
    Case("forward", SPLIT, whole),
    Case("hard", SPLIT, one_head, "one head"),
    Case("forward", MERGE, by_heads),
    Case("hard", MERGE, single_head, "one head"),
    Case("forward", POST, steps),
    Case("hard", POST, equal_numbers, "a step of equal numbers"),
    Case("forward", PRE, steps),
    Case("hard", PRE, equal_numbers, "a step of equal numbers"),
    Case("forward", FFN, network),
    Case("hard", FFN, all_kept, "no dropout"),
    Case("forward", PLACES, even),
    Case("hard", PLACES, odd, "an odd width"),
    Case("hard", PLACES, one_frequency, "one frequency"),
    Case("backward", POST_BACK, post_backward(steps)),
    Case("hard", POST_BACK, post_backward(equal_numbers), "a step of equal numbers"),
    Case("backward", PRE_BACK, pre_backward(steps)),
    Case("hard", PRE_BACK, pre_backward(equal_numbers), "a step of equal numbers"),
    Case("backward", FFN_BACK, network_backward(network)),
    Case("hard", FFN_BACK, network_backward(at_zero), "u is exactly 0"),
]

HEADS, NETWORK, POSITIONS = "Heads", "The feed-forward network", "Positions"
AFTER, BEFORE = "Layer norm after the residual: post-norm", "Layer norm before the block: pre-norm"
CUT, JOIN = "x.reshape(B, T, heads, C // heads).swapaxes(1, 2)", "x.swapaxes(1, 2).reshape(B, T, H * D)"
VARIANCE = "((centred**2).mean(-1, keepdims=True) + 1e-5) ** -0.5"
OUTSIDE = "1 / ((centred**2).mean(-1, keepdims=True) ** 0.5 + 1e-5)"
FEWER = "((centred**2).sum(-1, keepdims=True) / (x.shape[-1] - 1) + 1e-5) ** -0.5"
MISTAKES = [
    Mistake(
        "every Hth",
        SPLIT,
        CUT,
        "x.reshape(B, T, C // heads, heads).transpose(0, 3, 1, 2)",
        "a head takes every H-th channel; it has to take D neighbours",
        HEADS,
    ),
    Mistake(
        "across steps",
        SPLIT,
        CUT,
        "x.reshape(B, heads, T, C // heads)",
        "the split mixes steps: cut the channels, then swap",
        HEADS,
    ),
    Mistake("not swapped", SPLIT, ".swapaxes(1, 2)", "", "steps come before heads: the axes are not swapped", HEADS),
    Mistake(
        "merged steps",
        MERGE,
        JOIN,
        "x.reshape(B, T, H * D)",
        "the merge mixes steps: swap the axes before you join them",
        HEADS,
    ),
    Mistake(
        "interleaved heads",
        MERGE,
        JOIN,
        "x.transpose(0, 2, 3, 1).reshape(B, T, H * D)",
        "the heads are interleaved; they have to stand side by side",
        HEADS,
    ),
    Mistake("added heads", MERGE, JOIN, "x.sum(1)", "the heads are added; they have to stand side by side", HEADS),
    Mistake("post: no residual", POST, "s = x + x @ W", "s = x @ W", "the residual is missing: s = x + x W", AFTER),
    Mistake(
        "post: no epsilon", POST, " + 1e-5)", ")", "epsilon is missing under the root: a variance of 0 divides by 0", AFTER
    ),
    Mistake("post: epsilon outside", POST, VARIANCE, OUTSIDE, "epsilon is outside of the root: it is 1/sqrt(v + eps)", AFTER),
    Mistake("post: C - 1", POST, VARIANCE, FEWER, "the variance is divided by C - 1, not by C", AFTER),
    Mistake(
        "post: branch only",
        POST_BACK,
        "dx = ds + ds @ W.T",
        "dx = ds @ W.T",
        "only the branch counts in dx: the term ds of the residual is missing",
        AFTER,
    ),
    Mistake(
        "post: residual only",
        POST_BACK,
        "dx = ds + ds @ W.T",
        "dx = 1 * ds",
        "only the residual counts in dx: the term ds W^T of the branch is missing",
        AFTER,
    ),
    Mistake("post: first mean", POST_BACK, " - dy.mean(-1, keepdims=True)", "", "the mean of dy is missing in ds", AFTER),
    Mistake(
        "post: second mean",
        POST_BACK,
        " - y * (dy * y).mean(-1, keepdims=True)",
        "",
        "the term with the mean of dy y is missing in ds",
        AFTER,
    ),
    Mistake(
        "post: dW of dy", POST_BACK, "x, ds)", "x, dy)", "dW is made with dy: x W is inside the norm, so it gets ds", AFTER
    ),
    Mistake("pre: no residual", PRE, "y = x + n @ W", "y = n @ W", "the residual is missing: y = x + n W", BEFORE),
    Mistake(
        "pre: n stays",
        PRE,
        "y = x + n @ W",
        "y = n + n @ W",
        "the normed step is added; in pre-norm x itself is added",
        BEFORE,
    ),
    Mistake(
        "pre: no epsilon", PRE, " + 1e-5)", ")", "epsilon is missing under the root, and a variance of 0 divides by 0", BEFORE
    ),
    Mistake("pre: C - 1", PRE, VARIANCE, FEWER, "the variance of x is divided by C - 1, not by C", BEFORE),
    Mistake("pre: branch only", PRE_BACK, "dx = dy + r", "dx = r", "dx has no term dy: the residual is missing", BEFORE),
    Mistake(
        "pre: residual only",
        PRE_BACK,
        " + r * (dn - dn.mean(-1, keepdims=True) - n * (dn * n).mean(-1, keepdims=True))",
        " + 0 * r",
        "dx is dy alone: what comes through the norm is missing",
        BEFORE,
    ),
    Mistake("pre: first mean", PRE_BACK, " - dn.mean(-1, keepdims=True)", "", "the mean of dn is missing in dx", BEFORE),
    Mistake(
        "pre: second mean",
        PRE_BACK,
        " - n * (dn * n).mean(-1, keepdims=True)",
        "",
        "the term with the mean of dn n is missing in dx",
        BEFORE,
    ),
    Mistake("pre: not transposed", PRE_BACK, "dy @ W.T", "dy @ W", "dn is made with W: it has to be W transposed", BEFORE),
    Mistake("pre: dW of dn", PRE_BACK, "n, dy)", "n, dn)", "dW is made with dn: y = x + n W asks for dy", BEFORE),
    Mistake("no relu", FFN, "keep & (u.real > 0)", "keep", "the ReLU is missing", NETWORK),
    Mistake("keep unused", FFN, "keep & (u.real > 0)", "u.real > 0", "`keep` is not used: nothing drops out", NETWORK),
    Mistake("keep turned", FFN, "keep & (u", "~keep & (u", "`keep` is turned: True means that a number stays", NETWORK),
    Mistake(
        "no scale",
        FFN,
        "u / (1 - rate)",
        "u",
        "kept numbers are not divided by 1 - rate: the mean changes",
        NETWORK,
    ),
    Mistake("scale turned", FFN, "u / (1 - rate)", "u * (1 - rate)", "kept numbers are multiplied by 1 - rate", NETWORK),
    Mistake(
        "dropped gradient",
        FFN_BACK,
        "keep & (u > 0)",
        "u > 0",
        "`keep` is not used in du: a dropped number gets no gradient",
        NETWORK,
    ),
    Mistake(
        "gradient below 0", FFN_BACK, "keep & (u > 0)", "keep", "du passes where u is below 0: the ReLU is missing", NETWORK
    ),
    Mistake("slope at 0", FFN_BACK, "(u > 0)", "(u >= 0)", "the slope of the maximum at 0 is 1; it has to be 0", NETWORK),
    Mistake("gradient scale", FFN_BACK, "dd / (1 - rate)", "dd", "du is not divided by 1 - rate, as forward is", NETWORK),
    Mistake(
        "dW2 of u",
        FFN_BACK,
        '"btf,btc->fc", d, dy',
        '"btf,btc->fc", u, dy',
        "dW2 is made with u; the second map received d",
        NETWORK,
    ),
    Mistake("db1 of dd", FFN_BACK, "db1 = du.sum", "db1 = dd.sum", "db1 is made with dd, before ReLU and dropout", NETWORK),
    Mistake("per clip", FFN_BACK, '"btc,btf->cf"', '"btc,btf->bcf"', "dW1 is not summed over the clips", NETWORK),
    Mistake(
        "from 0", PLACES, "np.arange(1, T + 1)", "np.arange(T)", "steps are counted from 0: the angle is (t + 1) f", POSITIONS
    ),
    Mistake(
        "spacing",
        PLACES,
        "max(half - 1, 1)",
        "half",
        "the last frequency is not 1e-4: the exponent is divided by C/2 - 1",
        POSITIONS,
    ),
    Mistake(
        "interleaved",
        PLACES,
        "[np.sin(angle), np.cos(angle), ",
        "[np.stack([np.sin(angle), np.cos(angle)], 2).reshape(T, -1), ",
        "sines and cosines are interleaved; all sines come first",
        POSITIONS,
    ),
    Mistake(
        "cosines first",
        PLACES,
        "np.sin(angle), np.cos(angle)",
        "np.cos(angle), np.sin(angle)",
        "the cosines come first; the sines have to",
        POSITIONS,
    ),
    Mistake(
        "one frequency",
        PLACES,
        "max(half - 1, 1)",
        "np.float64(half - 1)",
        "with one frequency the exponent is 0/0: divide by 1 there",
        POSITIONS,
    ),
    Mistake("odd width", PLACES, ", np.zeros((T, C % 2))", "", "an odd width lacks its last channel, which is 0", POSITIONS),
]
LAWS = [Law(POST_BACK, "ds", lambda ds: ds.sum(-1), "rows sum to {:.2g}; layer norm asks for 0")]
