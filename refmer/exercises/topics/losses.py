"""Cases, mistakes and laws of exercise 5, losses."""

import numpy as np

from refmer.exercises.case import Case, Law, Mistake


def logits(rng, ours, B, K):
    return (rng.normal(size=(B, K)),)


def large(rng, ours, B, K):
    x = rng.normal(size=(B, K))
    x[0], x[-1] = 1000 * x[0], x[-1] - 1000
    x[0, :2] = 1000, -1000
    return (x,)


def votes(rng, ours, B, K):
    return *logits(rng, ours, B, K), rng.random((B, K)), rng.random(K) + 0.5


def large_votes(rng, ours, B, K):
    return *large(rng, ours, B, K), *votes(rng, ours, B, K)[1:]


def votes_backward(rng, ours, B, K):
    x, y, w = votes(rng, ours, B, K)
    return y, w, ours.our_cross_entropy(x, y, w)[0]


def one_clip(rng, ours, K):
    return votes_backward(rng, ours, 1, K)


def classes(rng, ours, B, K):
    return *logits(rng, ours, B, K), np.eye(K)[rng.integers(K, size=B)], 2.5


def classes_backward(rng, ours, B, K):
    x, y, gamma = classes(rng, ours, B, K)
    p, log_q, _ = ours.our_focal(x, y, gamma)
    return y, gamma, p, log_q


def cross_entropy(rng, ours, B, K):
    x, y, _ = classes(rng, ours, B, K)
    p, log_q, _ = ours.our_focal(x, y, 1.0)
    return y, 1.0, p, log_q


def counts(rng, ours, K):
    return rng.integers(1, 500, K).astype(float), 0.99


def equal(rng, ours, K):
    return rng.integers(1, 500, K).astype(float), 0.0


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


SOFT, CE, CE_BACK = "our_log_softmax", "our_cross_entropy", "our_cross_entropy_backward"
FOCAL, FOCAL_BACK, WEIGHTS = "our_focal", "our_focal_backward", "our_class_weights"
NCE, NCE_BACK, CCC, CCC_BACK = "our_info_nce", "our_info_nce_backward", "our_ccc", "our_ccc_backward"
CASES = [
    Case("forward", SOFT, logits),
    Case("hard", SOFT, large, "logits of 1000"),
    Case("forward", CE, votes),
    Case("hard", CE, large_votes, "logits of 1000"),
    Case("backward", CE_BACK, votes_backward),
    Case("hard", CE_BACK, one_clip, "a single clip"),
    Case("forward", FOCAL, classes),
    Case("backward", FOCAL_BACK, classes_backward),
    Case("hard", FOCAL_BACK, cross_entropy, "gamma is 1"),
    Case("forward", WEIGHTS, counts),
    Case("hard", WEIGHTS, equal, "beta is 0"),
    Case("forward", NCE, pairs),
    Case("backward", NCE_BACK, pairs_backward),
    Case("hard", NCE_BACK, alone, "a single clip"),
    Case("forward", CCC, sequence),
    Case("hard", CCC, constant, "a constant prediction"),
    Case("backward", CCC_BACK, slope(sequence)),
    Case("hard", CCC_BACK, slope(constant), "a constant prediction"),
]

ENTROPY, FACTOR, CLASSES = "Cross-entropy", "Focal loss", "Class-balanced weights"
CONTRAST, LIN, WRONG = "Contrastive loss", "Concordance", "Four wrong concordances"
MISTAKES = [
    Mistake(
        "overflow",
        SOFT,
        "x - x.real.max(-1, keepdims=True)",
        "x + 0",
        "large logits overflow: subtract the largest of the row",
        ENTROPY,
    ),
    Mistake(
        "largest of all",
        SOFT,
        "x.real.max(-1, keepdims=True)",
        "x.real.max()",
        "the largest is that of the batch: a row far below it has only zeros",
        ENTROPY,
    ),
    Mistake(
        "log of p",
        SOFT,
        "p = np.exp(log_p)",
        "p = np.exp(log_p); log_p = np.log(p)",
        "the logarithm is taken of p, which can be 0",
        ENTROPY,
    ),
    Mistake(
        "softmax over clips",
        SOFT,
        ".sum(-1, keepdims=True))",
        ".sum(0, keepdims=True))",
        "the softmax runs over clips, not classes",
        ENTROPY,
    ),
    Mistake("no class weights", CE, "w * y * log_p", "y * log_p + 0 * w", "the weights w of the classes are not used", ENTROPY),
    Mistake("mean of all", CE, "/ len(x)", "/ x.size", "L is divided by B K, not by B alone", ENTROPY),
    Mistake(
        "p - y",
        CE_BACK,
        "p * (w * y).sum(-1, keepdims=True) - w * y",
        "p - w * y",
        "p is not multiplied by the sum of w y over classes",
        ENTROPY,
    ),
    Mistake(
        "weights outside",
        CE_BACK,
        "(p * (w * y).sum(-1, keepdims=True) - w * y)",
        "w * (p * y.sum(-1, keepdims=True) - y)",
        "w multiplies the whole difference: inside the sum it is the weight of the true class, not of class j",
        ENTROPY,
    ),
    Mistake("slope not over B", CE_BACK, " / len(y)", "", "L is a mean over clips, so dx is divided by B", ENTROPY),
    Mistake(
        "factor of p",
        FOCAL,
        "(1 - np.exp(log_q)) ** gamma",
        "np.exp(log_q) ** gamma",
        "the factor is q^gamma, not (1 - q)^gamma",
        FACTOR,
    ),
    Mistake(
        "factor constant",
        FOCAL_BACK,
        " - gamma * q * (1 - q) ** (gamma - 1) * log_q",
        "",
        "the derivative of the factor (1 - q)^gamma is left out",
        FACTOR,
    ),
    Mistake(
        "no q",
        FOCAL_BACK,
        "gamma * q * (1 - q)",
        "gamma * (1 - q)",
        "q is missing in the derivative of the factor: dq = q dlog_q",
        FACTOR,
    ),
    Mistake(
        "exponent of factor",
        FOCAL_BACK,
        "(1 - q) ** (gamma - 1)",
        "(1 - q) ** gamma",
        "the exponent gamma - 1 of the derivative is not lowered",
        FACTOR,
    ),
    Mistake(
        "focal sign",
        FOCAL_BACK,
        "dlog_q * (y - p)",
        "dlog_q * (p - y)",
        "dlog_q already has the sign: dx = dlog_q (y - p)",
        FACTOR,
    ),
    Mistake(
        "weights of inverse",
        WEIGHTS,
        "(1 - beta) / (1 - beta**n)",
        "(1 - beta**n) / (1 - beta)",
        "the weights grow with the number of clips: take 1/E",
        CLASSES,
    ),
    Mistake("sum is 1", WEIGHTS, "len(n) * inverse", "inverse", "the weights sum to 1, not to the number of classes", CLASSES),
    Mistake(
        "one direction",
        NCE_BACK,
        "(rows - itself + columns - itself) / (2 * len(s))",
        "(rows - itself) / len(s)",
        "only the direction from voice to face counts",
        CONTRAST,
    ),
    Mistake(
        "column softmax",
        NCE_BACK,
        "our_log_softmax(s.T)[1].T",
        "our_log_softmax(s)[1].T",
        "the second softmax is not that along the columns",
        CONTRAST,
    ),
    Mistake("no temperature", NCE_BACK, ", axis=1) / tau", ", axis=1)", "the temperature is missing in dz", CONTRAST),
    Mistake(
        "length fixed",
        NCE_BACK,
        " - z * (z * dz).sum(-1, keepdims=True)",
        "",
        "the length is taken as a constant: x moves r, too",
        CONTRAST,
    ),
    Mistake("no length", NCE_BACK, "dx = r * (dz", "dx = (dz", "the factor r is missing in dx", CONTRAST),
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
        LIN,
    ),
    Mistake(
        "denominator fixed",
        CCC_BACK,
        "(y - y.mean() - rho * (x - y.mean()))",
        "(y - y.mean())",
        "D is taken as a constant: x moves it, too",
        LIN,
    ),
]
LAWS = [Law(CE_BACK, "dx", lambda dx: dx.sum(-1), "rows sum to {:.2g}; probabilities sum to 1, so they sum to 0")]
