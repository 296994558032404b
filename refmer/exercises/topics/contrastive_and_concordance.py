"""Cases, mistakes and laws of exercise 6, contrastive loss and concordance."""

import numpy as np

from refmer.exercises.case import Case, Law, Mistake


def pairs(rng, ours, B, C):
    return rng.normal(size=(B, 2, C)), 0.4


def pairs_backward(rng, ours, B, C):
    x, tau = pairs(rng, ours, B, C)
    r, z, s, _ = ours.our_info_nce(x, tau)
    return r, z, s, tau


def alone(rng, ours, C):
    return pairs_backward(rng, ours, 1, C)


def sequence(rng, ours, N):
    return rng.normal(size=N) + 1, 2 * rng.normal(size=N)


def constant(rng, ours, N):
    return np.full(N, 0.7), rng.normal(size=N)


def slope(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, N):
        x, y = draw(rng, ours, N)
        return x, y, *map(float, ours.our_ccc(x, y)[1:])

    return drawn


NCE, NCE_BACK, CCC, CCC_BACK = "our_info_nce", "our_info_nce_backward", "our_ccc", "our_ccc_backward"
CASES = [
    Case("forward", NCE, pairs),
    Case("backward", NCE_BACK, pairs_backward),
    Case("hard", NCE_BACK, alone, "a single clip"),
    Case("forward", CCC, sequence),
    Case("hard", CCC, constant, "a constant prediction"),
    Case("backward", CCC_BACK, slope(sequence)),
    Case("hard", CCC_BACK, slope(constant), "a constant prediction"),
]

CONTRAST, CONTRAST_BACK = "Contrastive loss", "The gradient of the contrastive loss"
LIN, LIN_BACK, WRONG = "Squared error and concordance", "The gradient of concordance", "Four wrong concordances"
MISTAKES = [
    Mistake(
        "one direction",
        NCE_BACK,
        "(rows - itself + columns - itself) / (2 * len(s))",
        "(rows - itself) / len(s)",
        "only the direction from voice to face counts",
        CONTRAST_BACK,
    ),
    Mistake(
        "column softmax",
        NCE_BACK,
        "e / e.sum(0)",
        "(e / e.sum(1, keepdims=True)).T",
        "the second softmax is not that along the columns",
        CONTRAST_BACK,
    ),
    Mistake("no temperature", NCE_BACK, ", axis=1) / tau", ", axis=1)", "the temperature is missing in dz", CONTRAST_BACK),
    Mistake(
        "length fixed",
        NCE_BACK,
        " - z * (z * dz).sum(-1, keepdims=True)",
        "",
        "the length is taken as a constant: x moves r, too",
        CONTRAST_BACK,
    ),
    Mistake("no length", NCE_BACK, "dx = r * (dz", "dx = (dz", "the factor r is missing in dx", CONTRAST_BACK),
    Mistake("not of unit length", NCE, "z = x * r", "z = x + 0 * r", "z is not scaled to unit length", CONTRAST),
    Mistake(
        "mixed moments",
        CCC,
        "s = (dx * dy).mean()",
        "s = (dx * dy).mean(); dx, dy = (d * (len(x) / (len(x) - 1)) ** 0.5 for d in (dx, dy))",
        "ddof is mixed: s is divided by N, the variances by N - 1",
        WRONG,
    ),
    Mistake(
        "Pearson",
        CCC,
        "D = (dx * dx).mean() + (dy * dy).mean() + (x.mean() - y.mean()) ** 2",
        "D = 2 * ((dx * dx).mean() * (dy * dy).mean()) ** 0.5",
        "this is Pearson's correlation, blind to shift and scale",
        WRONG,
    ),
    Mistake(
        "misplaced square",
        CCC,
        "(x.mean() - y.mean()) ** 2",
        "(x.mean() ** 2 - y.mean() ** 2)",
        "the square is misplaced: (mean x - mean y)^2",
        WRONG,
    ),
    Mistake("no 2", CCC, "2 * s / D", "s / D", "rho is 2 s / D: the 2 is missing", LIN),
    Mistake(
        "mean of x",
        CCC_BACK,
        "(x - y.mean())",
        "(x - x.mean())",
        "D moves with the mean of x, too: the last term has the mean of y",
        LIN_BACK,
    ),
    Mistake(
        "denominator fixed",
        CCC_BACK,
        "(y - y.mean() - rho * (x - y.mean()))",
        "(y - y.mean())",
        "D is taken as a constant: x moves it, too",
        LIN_BACK,
    ),
]
LAWS = [Law(NCE_BACK, "ds", lambda ds: ds.sum(), "elements sum to {:.2g}; probabilities sum to 1, so they sum to 0")]
