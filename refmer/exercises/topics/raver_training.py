"""Cases, mistakes and laws of exercise 20, class balance and the Brier score of RAVER."""

import numpy as np

from refmer.exercises.case import Case, Law, Mistake


def shares(rng, ours, B, K):
    pairs = np.eye(K) + np.eye(K)[:, np.r_[1:K, 0]]
    return (np.concatenate([rng.dirichlet(np.ones(K), B), 0.45 * pairs + 0.1 / K]),)


def tilted(rng, ours, B, K):
    return rng.dirichlet(np.ones(K), B), rng.random(K) + 0.3


def rare(rng, ours, B, K):
    p, w = tilted(rng, ours, B, K)
    w[0] = 1e-6
    return p, w


def answers(rng, ours, B, K):
    y = (rng.random((B, K)) < 0.3).astype(float)
    y[np.arange(B), rng.integers(K, size=B)] = 1
    return rng.normal(size=(B, K)), y


def large(rng, ours, B, K):
    x, y = answers(rng, ours, B, K)
    x[0] = 1000 * np.arange(K)
    return x, y


def none_present(rng, ours, B, K):
    x, y = answers(rng, ours, B, K)
    y[0] = 0
    return x, y


def brier_backward(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, K):
        x, y = draw(rng, ours, B, K)
        return y, ours.our_brier(x, y)[0]

    return drawn


BALANCE, UNDO, BRIER, BRIER_BACK = "our_balance", "our_undone", "our_brier", "our_brier_backward"
CASES = [
    Case("forward", BALANCE, shares),
    Case("forward", UNDO, tilted),
    Case("hard", UNDO, rare, "a very small weight"),
    Case("forward", BRIER, answers),
    Case("hard", BRIER, large, "logits of thousands"),
    Case("backward", BRIER_BACK, brier_backward(answers)),
    Case("hard", BRIER_BACK, brier_backward(none_present), "a clip without a present class"),
]

BALANCED, UNDONE, SCORE = "Class-balanced weights", "Undo the weights", "The Brier score of a softmax"
MISTAKES = [
    Mistake(
        "mass of shares",
        BALANCE,
        "(shares > 1 / K).sum(0)",
        "shares.sum(0)",
        "n is the sum of shares, not the number of clips with a share above 1/K",
        BALANCED,
    ),
    Mistake(
        "winners",
        BALANCE,
        "(shares > 1 / K)",
        "(np.arange(K) == shares.argmax(1)[:, None])",
        "n counts the largest share alone, not every share above 1/K",
        BALANCED,
    ),
    Mistake(
        "clips",
        BALANCE,
        "1 - 1 / n.sum()",
        "1 - 1 / len(shares)",
        "beta is made of the number of clips: N is the sum of n",
        BALANCED,
    ),
    Mistake("sum is 1", BALANCE, "K * inverse", "inverse", "the weights sum to 1, not to K", BALANCED),
    Mistake("tilted twice", UNDO, "q = p / w", "q = p * w", "p is multiplied by w, which tilts it twice", UNDONE),
    Mistake("not normalised", UNDO, "q = q / q.sum(-1, keepdims=True)", "q = q + 0", "the rows of q do not sum to 1", UNDONE),
    Mistake(
        "no shift",
        BRIER,
        "np.exp(x - x.real.max(-1, keepdims=True))",
        "np.exp(x)",
        "the exponential of a large logit overflows: subtract the largest of each row",
        SCORE,
    ),
    Mistake(
        "over clips", BRIER, "e.sum(-1, keepdims=True)", "e.sum(0)", "the softmax runs over clips, not over classes", SCORE
    ),
    Mistake(
        "of 1950",
        BRIER,
        "((p - y) ** 2).mean()",
        "((p - y) ** 2).sum() / len(p)",
        "the score is divided by the number of clips alone: it is a mean over clips and classes",
        SCORE,
    ),
    Mistake("absolute", BRIER, "((p - y) ** 2)", "np.abs(p - y)", "the errors are not squared", SCORE),
    Mistake("no 2", BRIER_BACK, "2 * (p - y)", "(p - y)", "the 2 of the derivative of a square is missing in dp", SCORE),
    Mistake(
        "clips alone", BRIER_BACK, "p.size", "len(p)", "dp is divided by B alone: the score is a mean over B K numbers", SCORE
    ),
    Mistake(
        "inner sum",
        BRIER_BACK,
        " - (p * dp).sum(-1, keepdims=True)",
        "",
        "the inner sum of softmax is missing: dx = p (dp - sum of p dp)",
        SCORE,
    ),
    Mistake(
        "no softmax",
        BRIER_BACK,
        "p * (dp - (p * dp).sum(-1, keepdims=True))",
        "dp + 0",
        "dx is dp: the softmax is left out",
        SCORE,
    ),
]
LAWS = [
    Law(UNDO, "q", lambda q: q.sum(-1) - 1, "rows miss a sum of 1 by {:.2g}"),
    Law(BRIER_BACK, "dx", lambda dx: dx.sum(-1), "rows sum to {:.2g}; softmax asks for 0"),
]
