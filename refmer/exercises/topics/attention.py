"""Cases, mistakes and laws of exercise 7, attention."""

import numpy as np

from refmer.exercises.case import Case, Law, Mistake


def plain(rng, ours, B, T, S, D):
    q, k, v = rng.normal(size=(B, T, D)), rng.normal(size=(B, S, D)), rng.normal(size=(B, S, D))
    mask = rng.random((B, T, S)) < 0.7
    mask[..., 0] = True
    return q, k, v, mask


def nothing(rng, ours, B, T, S, D):
    q, k, v, mask = plain(rng, ours, B, T, S, D)
    mask[0, -1] = mask[-1, 0] = False
    return q, k, v, mask


def extreme(rng, ours, B, T, S, D):
    q, k, v, mask = plain(rng, ours, B, T, S, D)
    return 1000 * q, k, v, mask


def one_key(rng, ours, B, T, D):
    return plain(rng, ours, B, T, 1, D)


def backward_of(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, T, S, D):
        q, k, v, mask = draw(rng, ours, B, T, S, D)
        return rng.normal(size=q.shape), q, k, v, ours.our_attention(q, k, v, mask)[0]

    return drawn


def own(rng, ours, B, T, C, D):
    mask = np.tril(np.ones((T, T), bool)) & (rng.random((B, T, T)) < 0.8)
    return rng.normal(size=(B, T, C)), *rng.normal(size=(3, C, D)), mask


def own_backward(rng, ours, B, T, C, D):
    *given, mask = own(rng, ours, B, T, C, D)
    *saved, y = ours.our_self_attention(*given, mask)
    return rng.normal(size=y.shape), *given, *saved


CASES = [
    Case("forward", "our_attention", plain),
    Case("hard", "our_attention", nothing, "a query that may look at nothing"),
    Case("hard", "our_attention", extreme, "large scores"),
    Case("hard", "our_attention", one_key, "one key"),
    Case("backward", "our_attention_backward", backward_of(plain)),
    Case("hard", "our_attention_backward", backward_of(nothing), "a query that may look at nothing"),
    Case("forward", "our_self_attention", own),
    Case("backward", "our_self_attention_backward", own_backward),
]

EQUATIONS, MASK, ITSELF = "Forward and backward", "A mask", "Self-attention"
A, BACK, OWN = "our_attention", "our_attention_backward", "our_self_attention_backward"
MISTAKES = [
    Mistake("no scale", A, "c * q @", "q @", "the scale 1/sqrt(D) of the scores is missing", EQUATIONS),
    Mistake("scale D", A, "** -0.5", "** -1.0", "the scores are divided by D, not by sqrt(D)", EQUATIONS),
    Mistake(
        "queries",
        A,
        "e.sum(-1, keepdims=True)",
        "e.sum(-2, keepdims=True)",
        "the softmax runs over queries, not keys",
        EQUATIONS,
    ),
    Mistake(
        "no mask",
        A,
        "np.where(mask, c * q @ k.swapaxes(-1, -2), -np.inf)",
        "c * q @ k.swapaxes(-1, -2)",
        "the mask is not used",
        MASK,
    ),
    Mistake("score 0", A, "-np.inf)\n", "0)\n", "a masked score is 0, so its weight is not 0: it has to be -inf", MASK),
    Mistake(
        "mask turned",
        A,
        "np.where(mask,",
        "np.where(np.logical_not(mask),",
        "the mask is turned: True means that a query may look",
        MASK,
    ),
    Mistake(
        "empty row",
        A,
        "np.where(total == 0, 1, total)",
        "total",
        "a row with no key is 0/0: divide by 1 where the sum is 0",
        MASK,
    ),
    Mistake(
        "overflow",
        A,
        "np.where(top > -np.inf, top, 0)",
        "0",
        "large scores overflow: subtract the largest of the row first",
        MASK,
    ),
    Mistake(
        "inner sum",
        BACK,
        " - (a * da).sum(-1, keepdims=True)",
        "",
        "the inner sum of softmax is missing: dz = a (da - sum of a da)",
        EQUATIONS,
    ),
    Mistake(
        "plain sum",
        BACK,
        "(a * da).sum(-1",
        "da.sum(-1",
        "the inner sum of softmax is not weighted: it is the sum of a da",
        EQUATIONS,
    ),
    Mistake("no a", BACK, "dz = a * (da", "dz = (da", "the factor a in front is missing: dz = a (da - sum of a da)", EQUATIONS),
    Mistake(
        "wrong axis",
        BACK,
        "(a * da).sum(-1",
        "(a * da).sum(-2",
        "the inner sum of softmax runs over queries, not over keys",
        EQUATIONS,
    ),
    Mistake("dq scale", BACK, "dq = c * dz", "dq = dz", "the scale c = 1/sqrt(D) is missing in dq", EQUATIONS),
    Mistake("dk scale", BACK, "dk = c * dz", "dk = dz", "the scale c = 1/sqrt(D) is missing in dk", EQUATIONS),
    Mistake(
        "dv of z",
        BACK,
        "dv = a.swapaxes(-1, -2) @ dy",
        "dv = dz.swapaxes(-1, -2) @ dy",
        "dv is made with dz: y = a v asks for a",
        EQUATIONS,
    ),
    Mistake(
        "values only",
        OWN,
        "dq @ Wq.T + dk @ Wk.T + dv @ Wv.T",
        "dv @ Wv.T",
        "only one of three uses of x counts: dx is that of v",
        ITSELF,
    ),
    Mistake("no keys", OWN, " + dk @ Wk.T", "", "only two of three uses of x count: that of k is left out", ITSELF),
    Mistake("no queries", OWN, "dq @ Wq.T + ", "", "only two of three uses of x count: that of q is left out", ITSELF),
    Mistake("per clip", OWN, '"btc,btd->cd", x, dv', '"btc,btd->bcd", x, dv', "dWv is not summed over the clips", ITSELF),
    Mistake("key query", OWN, '"btc,btd->cd", x, dk', '"btc,btd->cd", x, dq', "dWk is made with dq in place of dk", ITSELF),
]
LAWS = [Law(BACK, "dz", lambda dz: dz.sum(-1), "rows sum to {:.2g}; softmax asks for 0")]
