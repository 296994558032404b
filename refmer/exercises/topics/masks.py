"""Cases, mistakes and laws of exercise 8, masks."""

import numpy as np

from refmer.exercises.case import Case, Law, Mistake


def scores(rng, ours, B, T, S):
    mask = rng.random((B, T, S)) < 0.6
    mask[..., 0] = True
    return rng.normal(size=(B, T, S)), mask


def empty_rows(rng, ours, B, T, S):
    z, mask = scores(rng, ours, B, T, S)
    mask[0, -1] = mask[-1, 0] = False
    return z, mask


def extreme(rng, ours, B, T, S):
    z, mask = scores(rng, ours, B, T, S)
    z = 1000 * z
    z[:, :, -1], mask[:, :, -1] = 5000, False  # the largest score is masked
    return z, mask


def backward_of(draw):
    """Return the drawing of the arguments of the backward of the weights."""

    def drawn(rng, ours, B, T, S):
        a = ours.our_masked_weights(*draw(rng, ours, B, T, S))
        return rng.normal(size=a.shape), a

    return drawn


def steps(rng, ours, B, T, C):
    valid = rng.random((B, T)) < 0.6
    valid[:, 0], valid[:, -1] = True, False
    return rng.normal(size=(B, T, C)), valid


def empty_clip(rng, ours, B, T, C):
    x, valid = steps(rng, ours, B, T, C)
    valid[1] = False
    return x, valid


def unknown_padding(rng, ours, B, T, C):
    x, valid = steps(rng, ours, B, T, C)
    return np.where(valid[:, :, None], x, np.nan), valid


def mean_backward_of(draw):
    """Return the drawing of the arguments of the backward of the mean."""

    def drawn(rng, ours, B, T, C):
        _, valid = draw(rng, ours, B, T, C)
        return rng.normal(size=(B, C)), valid

    return drawn


def fewer_queries(rng, ours, T, S):
    return min(T, S), max(T, S)


def more_queries(rng, ours, T, S):
    return max(T, S), min(T, S)


def as_many(rng, ours, T):
    return T, T


def holes(rng, ours, B, T, S):
    """Valid steps with holes, which end before the arrays do: clips with more queries than keys, and with fewer."""
    queries, keys = rng.random((B, T + 4)) < 0.5, rng.random((B, S + 2)) < 0.5
    for valid in (queries, keys):
        valid[:, 1], valid[:, -1] = False, False
    queries[0, 2:], queries[0, T], keys[0, 2:], keys[0, 0] = False, True, False, True
    queries[1, 2:], queries[1, 0], keys[1, 2:], keys[1, S - 1] = False, True, False, True
    return queries, keys


def empty_sequence(rng, ours, B, T, S):
    queries, keys = holes(rng, ours, B, T, S)
    queries[0], keys[1] = False, False
    return queries, keys


W, BACK, MEAN, SHARE = "our_masked_weights", "our_masked_weights_backward", "our_valid_mean", "our_valid_mean_backward"
CAUSAL, OFFSET = "our_causal", "our_offset_mask"
CASES = [
    Case("forward", W, scores),
    Case("hard", W, empty_rows, "a query that may attend to nothing"),
    Case("hard", W, extreme, "large scores"),
    Case("backward", BACK, backward_of(scores)),
    Case("hard", BACK, backward_of(empty_rows), "a query that may attend to nothing"),
    Case("forward", MEAN, steps),
    Case("hard", MEAN, empty_clip, "a clip without a valid step"),
    Case("hard", MEAN, unknown_padding, "nan in the padding"),
    Case("backward", SHARE, mean_backward_of(steps)),
    Case("hard", SHARE, mean_backward_of(empty_clip), "a clip without a valid step"),
    Case("forward", CAUSAL, fewer_queries),
    Case("hard", CAUSAL, more_queries, "more queries than keys"),
    Case("hard", CAUSAL, as_many, "as many queries as keys"),
    Case("forward", OFFSET, holes),
    Case("hard", OFFSET, empty_sequence, "a sequence without a valid step"),
]

SOFTMAX, EMPTY, PADDED = "Softmax with a mask", "The empty row", "Padded queries"
BETWEEN, RULE = "Causal masks between sequences", "AuxFormer's rule"
MISTAKES = [
    Mistake("no mask", W, "np.where(mask, z, -np.inf)", "z", "the mask is not used", SOFTMAX),
    Mistake(
        "turned", W, "np.where(mask, z", "np.where(np.logical_not(mask), z", "the mask is turned: True means allowed", SOFTMAX
    ),
    Mistake("score 0", W, "-np.inf)\n", "0)\n", "a masked score is 0, and its exponential 1: it has to be -inf", SOFTMAX),
    Mistake(
        "after",
        W,
        "total = e.sum(-1, keepdims=True)",
        "total = np.exp(z - top).sum(-1, keepdims=True)",
        "the mask comes after the softmax: masked scores are in the denominator, and rows do not sum to 1",
        SOFTMAX,
    ),
    Mistake("queries", W, "e.sum(-1,", "e.sum(-2,", "the softmax runs over queries, not over keys", SOFTMAX),
    Mistake(
        "empty row",
        W,
        "np.where(total == 0, 1, total)",
        "total",
        "a row without a key is 0/0: divide by 1 where the sum is 0",
        EMPTY,
    ),
    Mistake(
        "finite",
        W,
        "-np.inf)\n",
        "-1e9)\n",
        "a masked score is finite: in an empty row all weights are 1/S and not 0",
        EMPTY,
    ),
    Mistake(
        "overflow",
        W,
        "np.where(top > -np.inf, top, 0)",
        "0",
        "large scores overflow: subtract the largest allowed one of the row first",
        SOFTMAX,
    ),
    Mistake(
        "inner sum",
        BACK,
        " - (a * dy).sum(-1, keepdims=True)",
        "",
        "the inner sum of softmax is missing: dz = a (dy - sum of a dy)",
        SOFTMAX,
    ),
    Mistake(
        "plain sum",
        BACK,
        "(a * dy).sum(-1",
        "dy.sum(-1",
        "the inner sum is not weighted: masked keys count in it; it is the sum of a dy",
        SOFTMAX,
    ),
    Mistake(
        "no a", BACK, "dz = a * (dy", "dz = (dy", "the factor a in front is missing: masked scores get a gradient", SOFTMAX
    ),
    Mistake(
        "wrong axis", BACK, "(a * dy).sum(-1", "(a * dy).sum(-2", "the inner sum runs over queries, not over keys", SOFTMAX
    ),
    Mistake("padding", MEAN, "np.where(valid[:, :, None], x, 0)", "x", "padding is added to the sum", PADDED),
    Mistake(
        "by T",
        MEAN,
        "np.maximum(n, 1)[:, None]",
        "x.shape[1]",
        "the sum is divided by the number of all steps, not of the valid ones",
        PADDED,
    ),
    Mistake(
        "times 0",
        MEAN,
        "np.where(valid[:, :, None], x, 0)",
        "(valid[:, :, None] * x)",
        "padding is multiplied by 0, and 0 times nan is nan: select the valid steps",
        PADDED,
    ),
    Mistake(
        "no step",
        MEAN,
        "np.maximum(n, 1)[:, None]",
        "n[:, None]",
        "without a valid step the mean is 0/0: divide by 1 there",
        PADDED,
    ),
    Mistake(
        "padding too",
        SHARE,
        "valid / np",
        "np.ones(valid.shape) / np",
        "padded steps get a gradient: they are not in the mean",
        PADDED,
    ),
    Mistake(
        "share of T",
        SHARE,
        "np.maximum(n, 1)[:, None]",
        "valid.shape[1]",
        "the share of a step is 1/T; it is one over the number of valid steps",
        PADDED,
    ),
    Mistake(
        "no share",
        SHARE,
        "valid / np.maximum(n, 1)[:, None]",
        "1.0 * valid",
        "dy is not divided by the number of valid steps",
        PADDED,
    ),
    Mistake(
        "gradient of no step",
        SHARE,
        "np.maximum(n, 1)[:, None]",
        "n[:, None]",
        "without a valid step the share is 0/0: divide by 1 there",
        PADDED,
    ),
    Mistake("ends", CAUSAL, " + S - T", "", "the first steps are aligned; the last query has to attend to all keys", BETWEEN),
    Mistake("sign", CAUSAL, " + S - T", " + T - S", "the offset has the wrong sign: it is S - T", BETWEEN),
    Mistake("strict", CAUSAL, "<=", "<", "the last allowed key is left out: s <= t + S - T, not <", BETWEEN),
    Mistake("later", CAUSAL, "<=", ">=", "the mask allows later keys in place of earlier ones", BETWEEN),
    Mistake(
        "arrays",
        OFFSET,
        "np.abs(n_q - n_k)[:, None]",
        "np.abs(T - S + 0 * n_q)[:, None]",
        "the offset is that of the arrays: it has to be that of the lengths of each clip",
        RULE,
    ),
    Mistake("no offset", OFFSET, " + np.abs(n_q - n_k)[:, None]", " + 0 * n_q[:, None]", "the offset is missing", RULE),
    Mistake(
        "not absolute",
        OFFSET,
        "np.abs(n_q - n_k)",
        "(n_k - n_q)",
        "the offset is N_k - N_q, as in the causal mask; the rule has its absolute value",
        RULE,
    ),
    Mistake("strict offset", OFFSET, "(S) <=", "(S) <", "the last allowed key is left out: s <= t + |N_q - N_k|, not <", RULE),
    Mistake(
        "count",
        OFFSET,
        "(queries * np.arange(1, T + 1)).max(1)",
        "queries.sum(1)",
        "n_q counts the valid steps; it has to count all steps up to the last valid one",
        RULE,
    ),
    Mistake(
        "last place",
        OFFSET,
        "(keys * np.arange(1, S + 1)).max(1)",
        "(keys * np.arange(S)).max(1)",
        "n_k is the place of the last valid step, counted from 0; the length is one more",
        RULE,
    ),
]
LAWS = [Law(BACK, "dz", lambda dz: dz.sum(-1), "rows sum to {:.2g}; softmax asks for 0")]
