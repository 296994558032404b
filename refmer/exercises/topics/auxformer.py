"""Cases and mistakes of exercise 15, residual, mask, token and heads of AuxFormer."""

import numpy as np

from refmer.exercises.case import Case, Mistake


def steps(rng, B, T):
    """Return valid steps with gaps and padding; the last clip has its last step."""
    valid = (rng.random((B, T)) < 0.7) & (np.arange(T) < rng.integers(2, T + 1, B)[:, None])
    valid[:, 0] = valid[-1, -1] = True
    return valid


def masks(rng, ours, B, T, S):
    return steps(rng, B, T), steps(rng, B, S)


def none_valid(rng, ours, B, T, S):
    queries, keys = masks(rng, ours, B, T, S)
    queries[0] = keys[1] = False
    return queries, keys


def residual(rng, ours, B, T, C):
    return rng.normal(size=(B, T, C)), rng.normal(size=(B, T, C)), 0.3


def residual_backward(rng, ours, B, T, C):
    return rng.normal(size=(B, T, C)), *residual(rng, ours, B, T, C)


def tokens(rng, ours, B, T, C):
    return rng.normal(size=(B, T, C)), steps(rng, B, T)


def no_step(rng, ours, B, T, C):
    x, valid = tokens(rng, ours, B, T, C)
    valid[0] = False
    return x, valid


def token_backward(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, T, C):
        x, valid = draw(rng, ours, B, T, C)
        return rng.normal(size=(B, C)), valid

    return drawn


def weights(rng, C, H, K):
    return [rng.normal(size=shape) for shape in ((C, H), (H,), (H, C), (C,), (C, K), (K,))]


def head(rng, ours, B, C, H, K):
    return rng.normal(size=(B, C)), *weights(rng, C, H, K)


def head_backward(rng, ours, B, C, H, K):
    z, P1, c1, P2, c2, W, b = head(rng, ours, B, C, H, K)
    u, s, y = ours.our_head(z, P1, c1, P2, c2, W, b)
    return rng.normal(size=y.shape), z, P1, P2, W, u, s


def shared(rng, ours, B, C, H, K):
    return *rng.normal(size=(2, B, K)), *rng.normal(size=(2, B, C)), *weights(rng, C, H, K)


def no_face(rng, ours, B, C, H, K):
    dy_voice, dy_face, voice, face, *rest = shared(rng, ours, B, C, H, K)
    return dy_voice, dy_face, voice, 0 * face, *rest


REST, REST_BACK, MASK = "our_residual", "our_residual_backward", "our_mask"
TOKEN, TOKEN_BACK = "our_token", "our_token_backward"
HEAD, HEAD_BACK, SHARED = "our_head", "our_head_backward", "our_shared_head_backward"
CASES = [
    Case("forward", REST, residual),
    Case("backward", REST_BACK, residual_backward),
    Case("forward", MASK, masks),
    Case("hard", MASK, none_valid, "clips without a valid step"),
    Case("forward", TOKEN, tokens),
    Case("hard", TOKEN, no_step, "a clip without a valid step"),
    Case("backward", TOKEN_BACK, token_backward(tokens)),
    Case("hard", TOKEN_BACK, token_backward(no_step), "a clip without a valid step"),
    Case("forward", HEAD, head),
    Case("backward", HEAD_BACK, head_backward),
    Case("backward", SHARED, shared),
    Case("hard", SHARED, no_face, "tokens of the face that are 0"),
]

SCALED, RULE, LAST = "The scaled residual", "The mask of the authors' code", "The token"
TO_LOGITS, TWICE = "The head", "The shared head"
MISTAKES = [
    Mistake(
        "plain residual",
        REST,
        "alpha * r + (1 - alpha) * z",
        "r + z + 0 * alpha",
        "the residual is not scaled by alpha",
        SCALED,
    ),
    Mistake(
        "alpha turned",
        REST,
        "alpha * r + (1 - alpha) * z",
        "(1 - alpha) * r + alpha * z",
        "alpha and 1 - alpha are exchanged",
        SCALED,
    ),
    Mistake(
        "dalpha of r",
        REST_BACK,
        "(dy * (r - z)).sum()",
        "(dy * r).sum()",
        "alpha is used twice: dalpha lacks the use in 1 - alpha",
        SCALED,
    ),
    Mistake(
        "dalpha mean",
        REST_BACK,
        "(dy * (r - z)).sum()",
        "(dy * (r - z)).mean()",
        "dalpha is a sum over all elements, not their mean",
        SCALED,
    ),
    Mistake(
        "dz of alpha", REST_BACK, "dz = (1 - alpha) * dy", "dz = alpha * dy", "dz has the factor alpha, not 1 - alpha", SCALED
    ),
    Mistake("padding seen", MASK, " & keys[:, None]", "", "queries attend to keys that are not valid", RULE),
    Mistake(
        "plain causal",
        MASK,
        "np.arange(T) + np.abs(N_q - N_k)[:, None]",
        "np.arange(T) + 0 * N_q[:, None]",
        "the offset |N_q - N_k| is missing: this is the causal mask",
        RULE,
    ),
    Mistake(
        "padded lengths",
        MASK,
        "np.abs(N_q - N_k)[:, None]",
        "np.abs(T - S) + 0 * N_q[:, None]",
        "N counts padding: it ends with the last valid step",
        RULE,
    ),
    Mistake(
        "strictly before", MASK, "<= reach", "< reach", "a query attends to step t + |N_q - N_k| itself, too: <=, not <", RULE
    ),
    Mistake(
        "signed offset", MASK, "np.abs(N_q - N_k)", "(N_k - N_q)", "the offset is N_k - N_q without its absolute value", RULE
    ),
    Mistake(
        "gaps left out",
        MASK,
        "np.abs(N_q - N_k)",
        "np.abs(queries.sum(1) - keys.sum(1))",
        "N is the number of valid steps: it counts gaps, too, up to the last valid step",
        RULE,
    ),
    Mistake(
        "last of array",
        TOKEN,
        "last - 1]",
        "x.shape[1] - 1]",
        "the last step of the array is taken, which may be padding",
        LAST,
    ),
    Mistake(
        "count of steps",
        TOKEN,
        "(valid * np.arange(1, valid.shape[1] + 1)).max(1)",
        "valid.sum(1)",
        "valid steps are counted: with gaps the last one stands later",
        LAST,
    ),
    Mistake(
        "no step, last",
        TOKEN,
        "np.where(last[:, None] > 0, x[np.arange(len(x)), last - 1], 0)",
        "x[np.arange(len(x)), last - 1]",
        "a clip without a valid step has a token that is not 0",
        LAST,
    ),
    Mistake(
        "to every step",
        TOKEN_BACK,
        "np.where((np.arange(1, valid.shape[1] + 1) == last[:, None])[..., None], dy[:, None], 0)",
        "np.where(valid[..., None], dy[:, None], 0) + 0 * last[:, None, None]",
        "all valid steps get a gradient: only the last one is used",
        LAST,
    ),
    Mistake(
        "no inner residual", HEAD, "s = z + np", "s = np", "the residual around the MLP is missing: s = z + ...", TO_LOGITS
    ),
    Mistake(
        "residual cut",
        HEAD_BACK,
        "dz = ds + du @ P1.T",
        "dz = du @ P1.T",
        "only one of two uses of z counts: the residual is left out",
        TO_LOGITS,
    ),
    Mistake(
        "MLP cut",
        HEAD_BACK,
        "dz = ds + du @ P1.T",
        "dz = ds + 0",
        "only one of two uses of z counts: the MLP is left out",
        TO_LOGITS,
    ),
    Mistake(
        "no relu",
        HEAD_BACK,
        "du = np.where(u.real > 0, ds @ P2.T, 0)",
        "du = ds @ P2.T",
        "du is not 0 where u is negative",
        TO_LOGITS,
    ),
    Mistake(
        "dP2 of u",
        HEAD_BACK,
        "np.where(u.real > 0, u, 0).T @ ds",
        "u.T @ ds",
        "dP2 is made with u, not with max(u, 0)",
        TO_LOGITS,
    ),
    Mistake("dW of z", HEAD_BACK, "dW, db = s.T @ dy", "dW, db = z.T @ dy", "dW is made with z: y = s W + b has s", TO_LOGITS),
    Mistake(
        "one network",
        SHARED,
        "one + other for",
        "one for",
        "the head is used twice: its gradients are sums, that of the face is left out",
        TWICE,
    ),
    Mistake(
        "mean of networks",
        SHARED,
        "one + other for",
        "(one + other) / 2 for",
        "the gradients of both uses are averaged, not added",
        TWICE,
    ),
]
LAWS = []
