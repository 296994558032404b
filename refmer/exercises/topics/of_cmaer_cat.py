"""Cases, mistakes and laws of exercise 14, OF-CMAER-CAT."""

import numpy as np

from refmer.exercises.case import Case, Law, Mistake


def scores(rng, ours, B, M):
    there = rng.random((B, M)) < 0.6
    there[:, 0] = True
    return rng.normal(size=(B, M)), there


def absent(rng, ours, B, M):
    s, there = scores(rng, ours, B, M)
    there[0] = False
    s[1, 0] = 1
    return 1000 * s, there


def softmax_backward(rng, ours, B, M):
    return rng.normal(size=(B, M)), ours.our_masked_softmax(*scores(rng, ours, B, M))


def steps(rng, B, S):
    valid = rng.random((B, S)) < 0.6
    valid[:, 0] = True
    return valid


def attention(rng, ours, B, T, S, C, D):
    return rng.normal(size=(B, T, C)), rng.normal(size=(B, S, C)), *rng.normal(size=(3, C, D)) / np.sqrt(C), steps(rng, B, S)


def nothing(rng, ours, B, T, S, C, D):
    *given, valid = attention(rng, ours, B, T, S, C, D)
    valid[0] = False
    return *given, valid


def attention_backward(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, T, S, C, D):
        *given, valid = draw(rng, ours, B, T, S, C, D)
        *saved, y = ours.our_cross_attention(*given, valid)
        return rng.normal(size=y.shape), *given, *saved

    return drawn


def exchange(rng, ours, B, T, S, C, D):
    *given, valid = attention(rng, ours, B, T, S, C, D)
    return rng.normal(size=(B, T, D)), rng.normal(size=(B, S, D)), *given, steps(rng, B, T), valid


def one_way(rng, ours, B, T, S, C, D):
    *given, valid_x, valid_z = exchange(rng, ours, B, T, S, C, D)
    valid_z[0] = False
    return *given, valid_x, valid_z


def means(rng, ours, B, M, C):
    there = rng.random((B, M)) < 0.7
    there[:, :2] = True
    return rng.normal(size=(B, M, C)), rng.normal(size=(C, C)) / np.sqrt(C), there


def one_modality(rng, ours, B, M, C):
    f, W, there = means(rng, ours, B, M, C)
    there[0], there[0, 1] = False, True
    return f, W, there


def means_backward(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, M, C):
        f, W, there = draw(rng, ours, B, M, C)
        u, alpha = ours.our_compatibility(f, W, there)
        return rng.normal(size=alpha.shape), f, W, u, alpha

    return drawn


def weights(rng, ours, B, M):
    return (ours.our_entropy(*scores(rng, ours, B, M))[0],)


def certain(rng, ours, B, M):
    s, there = scores(rng, ours, B, M)
    there[0], there[1] = np.arange(M) == 0, False
    return s, there


def certain_weights(rng, ours, B, M):
    return (ours.our_entropy(*certain(rng, ours, B, M))[0],)


SOFT, SOFT_BACK, LOOK, LOOK_BACK = (
    "our_masked_softmax",
    "our_masked_softmax_backward",
    "our_cross_attention",
    "our_cross_attention_backward",
)
BOTH, FIT, FIT_BACK, ENTROPY, ENTROPY_BACK = (
    "our_exchange_backward",
    "our_compatibility",
    "our_compatibility_backward",
    "our_entropy",
    "our_entropy_backward",
)
CASES = [
    Case("forward", SOFT, scores),
    Case("hard", SOFT, absent, "no modality available, and scores of 1000"),
    Case("backward", SOFT_BACK, softmax_backward),
    Case("forward", LOOK, attention),
    Case("hard", LOOK, nothing, "a clip with nothing to look at"),
    Case("backward", LOOK_BACK, attention_backward(attention)),
    Case("hard", LOOK_BACK, attention_backward(nothing), "a clip with nothing to look at"),
    Case("backward", BOTH, exchange),
    Case("hard", BOTH, one_way, "a clip with one modality"),
    Case("forward", FIT, means),
    Case("hard", FIT, one_modality, "a clip with one modality"),
    Case("backward", FIT_BACK, means_backward(means)),
    Case("hard", FIT_BACK, means_backward(one_modality), "a clip with one modality"),
    Case("forward", ENTROPY, scores),
    Case("hard", ENTROPY, certain, "clips with one modality and with none"),
    Case("backward", ENTROPY_BACK, weights),
    Case("hard", ENTROPY_BACK, certain_weights, "clips with one modality and with none"),
]

CROSS, ADAPTIVE, TERM = "Cross-modal attention", "Adaptive weights", "The entropy term"
MISTAKES = [
    Mistake(
        "mask of 0",
        SOFT,
        "np.where(mask, s, -np.inf)",
        "np.where(mask, s, 0)",
        "a masked score is 0, so its weight is not 0: it has to be -inf",
        ADAPTIVE,
    ),
    Mistake(
        "empty row",
        SOFT,
        "np.where(total == 0, 1, total)",
        "total",
        "a row without a place is 0/0: divide by 1 where the sum is 0",
        ADAPTIVE,
    ),
    Mistake(
        "overflow",
        SOFT,
        "np.exp(s - np.where(top > -np.inf, top, 0))",
        "np.exp(s)",
        "large scores overflow: subtract the largest of the row",
        ADAPTIVE,
    ),
    Mistake(
        "over clips",
        SOFT,
        "e.sum(-1, keepdims=True)",
        "e.sum(0, keepdims=True)",
        "the softmax runs along the first axis, not the last",
        ADAPTIVE,
    ),
    Mistake(
        "inner sum",
        SOFT_BACK,
        " - (a * dy).sum(-1, keepdims=True)",
        "",
        "the inner sum of softmax is missing: ds = a (dy - sum of a dy)",
        ADAPTIVE,
    ),
    Mistake(
        "plain sum",
        SOFT_BACK,
        "(a * dy).sum(-1",
        "dy.sum(-1",
        "the inner sum of softmax is not weighted: it is the sum of a dy",
        ADAPTIVE,
    ),
    Mistake("no scale", LOOK, "q.shape[-1] ** -0.5 * q", "q", "the scale 1/sqrt(D) of the scores is missing", CROSS),
    Mistake(
        "scale of C",
        LOOK,
        "q.shape[-1] ** -0.5",
        "x.shape[-1] ** -0.5",
        "the scores are divided by the root of C: a key has D numbers",
        CROSS,
    ),
    Mistake("values by Wk", LOOK, "z @ Wk, z @ Wv", "z @ Wk, z @ Wk", "values are made with Wk, not with Wv", CROSS),
    Mistake("padding seen", LOOK, "valid[:, None])", "valid[:, None] | True)", "steps of z that are not valid are seen", CROSS),
    Mistake(
        "no scale back",
        LOOK_BACK,
        "c = q.shape[-1] ** -0.5",
        "c = 1",
        "the scale 1/sqrt(D) is missing in dq and dk",
        CROSS,
    ),
    Mistake(
        "dk scale",
        LOOK_BACK,
        "c * ds.swapaxes(1, 2) @ q",
        "ds.swapaxes(1, 2) @ q",
        "the scale 1/sqrt(D) is missing in dk",
        CROSS,
    ),
    Mistake("key only", LOOK_BACK, " + dv @ Wv.T", "", "only one of two uses of z counts: that as value is left out", CROSS),
    Mistake("value only", LOOK_BACK, "dk @ Wk.T + ", "", "only one of two uses of z counts: that as key is left out", CROSS),
    Mistake("dx by Wk", LOOK_BACK, "dx = dq @ Wq.T", "dx = dq @ Wk.T", "dx goes back through Wk: queries are x Wq", CROSS),
    Mistake("dWv of dk", LOOK_BACK, "(z, dv))", "(z, dk))", "dWv is made with dk: values are z Wv", CROSS),
    Mistake(
        "one direction",
        BOTH,
        "dWq + dWq_2, dWk + dWk_2, dWv + dWv_2",
        "dWq, dWk, dWv",
        "the maps serve both directions: the gradients of z looking at x are left out",
        CROSS,
    ),
    Mistake(
        "mean of directions",
        BOTH,
        "dWq + dWq_2, dWk + dWk_2, dWv + dWv_2",
        "(dWq + dWq_2) / 2, (dWk + dWk_2) / 2, (dWv + dWv_2) / 2",
        "the gradients of both directions are averaged, not added",
        CROSS,
    ),
    Mistake(
        "query only",
        BOTH,
        "dx + dx_2, dz + dz_2",
        "dx, dz_2",
        "x and z are also looked at: only their use as query counts",
        CROSS,
    ),
    Mistake(
        "looked at only",
        BOTH,
        "dx + dx_2, dz + dz_2",
        "dx_2, dz",
        "x and z also look: only their use as key and value counts",
        CROSS,
    ),
    Mistake(
        "itself", FIT, " & ~np.eye(f.shape[1], dtype=bool)", "", "a modality is compared with itself: only others count", CROSS
    ),
    Mistake(
        "absent partner",
        FIT,
        "there[:, :, None] & there[:, None, :]",
        "there[:, :, None] & (there[:, None, :] | True)",
        "missing modalities are partners",
        CROSS,
    ),
    Mistake(
        "absent row",
        FIT,
        "there[:, :, None] & there[:, None, :]",
        "(there[:, :, None] | True) & there[:, None, :]",
        "missing modalities have partners: their rows are 0",
        CROSS,
    ),
    Mistake(
        "left only", FIT_BACK, " + ds.swapaxes(1, 2) @ u", "", "f is used on both sides: only its use in u = f W counts", CROSS
    ),
    Mistake("right only", FIT_BACK, "du @ W.T + ds", "ds", "f is used on both sides: only its use as f_j counts", CROSS),
    Mistake(
        "not turned",
        FIT_BACK,
        "ds.swapaxes(1, 2) @ u",
        "ds @ u",
        "the second term sums over i, the rows of ds: it needs the transpose",
        CROSS,
    ),
    Mistake("dW turned", FIT_BACK, '"bmc,bmd->cd", f, du', '"bmc,bmd->dc", f, du', "dW is transposed: u = f W", CROSS),
    Mistake(
        "log of 0",
        ENTROPY,
        "np.log(np.where(w == 0, 1, w))",
        "np.log(w)",
        "a weight of 0 gives 0 log 0, which is not a number: it adds 0",
        TERM,
    ),
    Mistake("sign of entropy", ENTROPY, "R = -(w", "R = (w", "the entropy has a minus sign", TERM),
    Mistake("sum over clips", ENTROPY, " / len(s)", "", "R is a mean over clips, not their sum", TERM),
    Mistake(
        "log only",
        ENTROPY_BACK,
        "-(np.log(np.where(w == 0, 1, w)) + 1)",
        "-(np.log(np.where(w == 0, 1, w)))",
        "dw lacks the derivative of log w: -(log w + 1)",
        TERM,
    ),
    Mistake(
        "slope at 0",
        ENTROPY_BACK,
        "np.where(w == 0, 0, -(np.log(np.where(w == 0, 1, w)) + 1) / len(w))",
        "-(np.log(np.where(w == 0, 1, w)) + 1) / len(w)",
        "dw is not 0 where w is 0: a weight of 0 adds 0",
        TERM,
    ),
    Mistake("slope not over B", ENTROPY_BACK, " / len(w))", ")", "R is a mean over clips: dw is not divided by B", TERM),
    Mistake(
        "scores as weights",
        ENTROPY_BACK,
        "ds = our_masked_softmax_backward(dw, w)",
        "ds = dw + 0",
        "the softmax between s and w is left out of ds",
        TERM,
    ),
]
LAWS = [
    Law(SOFT_BACK, "ds", lambda ds: ds.sum(-1), "rows sum to {:.2g}; softmax asks for 0"),
    Law(LOOK_BACK, "ds", lambda ds: ds.sum(-1), "rows sum to {:.2g}; softmax asks for 0"),
    Law(FIT_BACK, "ds", lambda ds: ds.sum(-1), "rows sum to {:.2g}; softmax asks for 0"),
    Law(ENTROPY_BACK, "ds", lambda ds: ds.sum(-1), "rows sum to {:.2g}; softmax asks for 0"),
]
