"""Cases, mistakes and laws of exercise 5, classification losses."""

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


SOFT, CE, CE_BACK = "our_log_softmax", "our_cross_entropy", "our_cross_entropy_backward"
FOCAL, FOCAL_BACK, WEIGHTS = "our_focal", "our_focal_backward", "our_class_weights"
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
]

LOG_SOFTMAX, CLASSES = "The logarithm of softmax", "Class-balanced weights"
ENTROPY, ENTROPY_BACK = "Cross-entropy", "The gradient of cross-entropy"
FACTOR, FACTOR_BACK = "Focal loss", "The gradient of focal loss"
MISTAKES = [
    Mistake(
        "overflow",
        SOFT,
        "x - x.real.max(-1, keepdims=True)",
        "x + 0",
        "large logits overflow: subtract the largest of the row",
        LOG_SOFTMAX,
    ),
    Mistake(
        "largest of all",
        SOFT,
        "x.real.max(-1, keepdims=True)",
        "x.real.max()",
        "the largest is that of the batch: a row far below it has only zeros",
        LOG_SOFTMAX,
    ),
    Mistake(
        "log of p",
        SOFT,
        "p = np.exp(log_p)",
        "p = np.exp(log_p); log_p = np.log(p)",
        "the logarithm is taken of p, which can be 0",
        LOG_SOFTMAX,
    ),
    Mistake(
        "softmax over clips",
        SOFT,
        ".sum(-1, keepdims=True))",
        ".sum(0, keepdims=True))",
        "the softmax runs over clips, not classes",
        LOG_SOFTMAX,
    ),
    Mistake("no class weights", CE, "w * y * log_p", "y * log_p + 0 * w", "the weights w of the classes are not used", ENTROPY),
    Mistake("mean of all", CE, "/ len(x)", "/ x.size", "L is divided by B K, not by B alone", ENTROPY),
    Mistake(
        "p - y",
        CE_BACK,
        "p * (w * y).sum(-1, keepdims=True) - w * y",
        "p - w * y",
        "p is not multiplied by the sum of w y over classes",
        ENTROPY_BACK,
    ),
    Mistake(
        "weights outside",
        CE_BACK,
        "(p * (w * y).sum(-1, keepdims=True) - w * y)",
        "w * (p * y.sum(-1, keepdims=True) - y)",
        "w multiplies the whole difference: inside the sum it is the weight of the true class, not of class j",
        ENTROPY_BACK,
    ),
    Mistake("slope not over B", CE_BACK, " / len(y)", "", "L is a mean over clips, so dx is divided by B", ENTROPY_BACK),
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
        FACTOR_BACK,
    ),
    Mistake(
        "no q",
        FOCAL_BACK,
        "gamma * q * (1 - q)",
        "gamma * (1 - q)",
        "q is missing in the derivative of the factor: dq = q dlog_q",
        FACTOR_BACK,
    ),
    Mistake(
        "exponent of factor",
        FOCAL_BACK,
        "(1 - q) ** (gamma - 1)",
        "(1 - q) ** gamma",
        "the exponent gamma - 1 of the derivative is not lowered",
        FACTOR_BACK,
    ),
    Mistake(
        "focal sign",
        FOCAL_BACK,
        "dlog_q * (y - p)",
        "dlog_q * (p - y)",
        "dlog_q already has the sign: dx = dlog_q (y - p)",
        FACTOR_BACK,
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
]
LAWS = [Law(CE_BACK, "dx", lambda dx: dx.sum(-1), "rows sum to {:.2g}; probabilities sum to 1, so they sum to 0")]
