"""Cases, mistakes and laws of exercise 19, learned queries and statistics pooling of RAVER."""

import numpy as np

from refmer.exercises.case import Case, Law, Mistake


def steps(rng, B, T):
    """Return valid steps with gaps; every clip has one."""
    valid = rng.random((B, T)) < 0.6
    valid[np.arange(B), rng.integers(T, size=B)] = True
    return valid


def summary(rng, ours, B, N, T, C):
    return rng.normal(size=(N, C)), rng.normal(size=(B, T, C)), steps(rng, B, T)


def nothing(rng, ours, B, N, T, C):
    Q, z, valid = summary(rng, ours, B, N, T, C)
    valid[0] = False
    return Q, z, valid


def summary_backward(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, N, T, C):
        Q, z, valid = draw(rng, ours, B, N, T, C)
        a, y = ours.our_summary(Q, z, valid)
        return rng.normal(size=y.shape), Q, z, a

    return drawn


def one_step(rng, ours, B, N, C):
    return summary_backward(summary)(rng, ours, B, N, 1, C)


def statistics(rng, ours, B, T, C, H):
    W = rng.normal(size=(C, H)) / np.sqrt(C)
    return rng.normal(size=(B, T, C)), W, rng.normal(size=H), rng.normal(size=H), steps(rng, B, T)


def no_step(rng, ours, B, T, C, H):
    *given, valid = statistics(rng, ours, B, T, C, H)
    valid[0] = False
    return *given, valid


def steady(rng, ours, B, T, C, H):
    x, *rest = statistics(rng, ours, B, T, C, H)
    x[..., 0] = 1.5 + 1e-3 * x[..., 0]
    return x, *rest


def statistics_backward(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, T, C, H):
        x, W, b, v, valid = draw(rng, ours, B, T, C, H)
        return *rng.normal(size=(2, B, C)), x, W, v, *ours.our_statistics(x, W, b, v, valid)

    return drawn


READ, READ_BACK, POOL, POOL_BACK = "our_summary", "our_summary_backward", "our_statistics", "our_statistics_backward"
CASES = [
    Case("forward", READ, summary),
    Case("hard", READ, nothing, "a clip without a valid step"),
    Case("backward", READ_BACK, summary_backward(summary)),
    Case("hard", READ_BACK, summary_backward(nothing), "a clip without a valid step"),
    Case("hard", READ_BACK, one_step, "a single step"),
    Case("forward", POOL, statistics),
    Case("hard", POOL, no_step, "a clip without a valid step"),
    Case("hard", POOL, steady, "a channel that hardly varies"),
    Case("backward", POOL_BACK, statistics_backward(statistics)),
    Case("hard", POOL_BACK, statistics_backward(no_step), "a clip without a valid step"),
    Case("hard", POOL_BACK, statistics_backward(steady), "a channel that hardly varies"),
]

QUERIES, STATISTICS = "Learned queries", "Statistics pooling"
MISTAKES = [
    Mistake("no scale", READ, "Q.shape[-1] ** -0.5 * Q @", "Q @", "the scale 1/sqrt(C) of the scores is missing", QUERIES),
    Mistake(
        "padding read",
        READ,
        "np.where(valid[:, None], s, -np.inf)",
        "s + 0 * valid[:, None]",
        "steps that are not valid are read",
        QUERIES,
    ),
    Mistake(
        "over queries",
        READ,
        "e.sum(-1, keepdims=True)",
        "e.sum(1, keepdims=True)",
        "the softmax runs over queries, not over steps",
        QUERIES,
    ),
    Mistake(
        "empty clip",
        READ,
        "np.where(total == 0, 1, total)",
        "total",
        "a clip without a step is 0/0: divide by 1 where the sum is 0",
        QUERIES,
    ),
    Mistake(
        "inner sum",
        READ_BACK,
        " - (a * da).sum(-1, keepdims=True)",
        "",
        "the inner sum of softmax is missing: ds = a (da - sum of a da)",
        QUERIES,
    ),
    Mistake("dQ mean", READ_BACK, "(ds @ z).sum(0)", "(ds @ z).mean(0)", "dQ is a sum over clips, not their mean", QUERIES),
    Mistake(
        "dQ of each clip",
        READ_BACK,
        "(ds @ z).sum(0)",
        "(ds @ z)",
        "dQ is not summed over the clips, which all use the same Q",
        QUERIES,
    ),
    Mistake(
        "key only",
        READ_BACK,
        " + a.swapaxes(1, 2) @ dy",
        "",
        "only one of two uses of z counts: that as value is left out",
        QUERIES,
    ),
    Mistake(
        "value only",
        READ_BACK,
        "c * ds.swapaxes(1, 2) @ Q + a",
        "a",
        "only one of two uses of z counts: that as key is left out",
        QUERIES,
    ),
    Mistake("dQ scale", READ_BACK, "dQ = c * (ds", "dQ = (ds", "the scale c = 1/sqrt(C) is missing in dQ", QUERIES),
    Mistake("no tanh", POOL, "np.tanh(x @ W + b)", "x @ W + b", "the tanh is left out of h", STATISTICS),
    Mistake(
        "equal weights",
        POOL,
        "np.where(valid, h @ v, -np.inf)",
        "np.where(valid, 0 * (h @ v), -np.inf)",
        "all steps weigh the same: v is not used",
        STATISTICS,
    ),
    Mistake(
        "steps not valid",
        POOL,
        "np.where(valid, h @ v, -np.inf)",
        "np.where(True, h @ v, -np.inf)",
        "steps that are not valid have a weight",
        STATISTICS,
    ),
    Mistake(
        "variance",
        POOL,
        "sigma = np.sqrt(np.where(var.real > 1e-5, var, 1e-5))",
        "sigma = np.where(var.real > 1e-5, var, 1e-5)",
        "sigma is the variance: the root is missing",
        STATISTICS,
    ),
    Mistake(
        "no floor",
        POOL,
        "np.where(var.real > 1e-5, var, 1e-5)",
        "var",
        "the floor of 1e-5 of the variance is missing",
        STATISTICS,
    ),
    Mistake(
        "deviation of nothing",
        POOL,
        " * valid.any(1, keepdims=True)",
        "",
        "a clip without a valid step has a sigma that is not 0",
        STATISTICS,
    ),
    Mistake(
        "mean only",
        POOL_BACK,
        "(dy_mu[:, None] * x + slope * d**2 / 2)",
        "(dy_mu[:, None] * x)",
        "da lacks the use of a in sigma",
        STATISTICS,
    ),
    Mistake("no half", POOL_BACK, "slope * d**2 / 2", "slope * d**2", "da lacks the 1/2 of the root's derivative", STATISTICS),
    Mistake(
        "softmax of scores",
        POOL_BACK,
        "de = a * (da - (a * da).sum(-1, keepdims=True))",
        "de = a * da",
        "the inner sum of softmax is missing in de",
        STATISTICS,
    ),
    Mistake(
        "tanh back", POOL_BACK, " * (1 - h**2)", " + 0 * h", "the derivative of tanh, 1 - h^2, is missing in du", STATISTICS
    ),
    Mistake("values alone", POOL_BACK, " + du @ W.T", "", "x is also used in the scores: du W^T is left out of dx", STATISTICS),
    Mistake(
        "scores alone",
        POOL_BACK,
        "a[..., None] * (dy_mu[:, None] + slope * d) + du",
        "du",
        "x is also used as value: only the scores count in dx",
        STATISTICS,
    ),
    Mistake(
        "slope at the floor",
        POOL_BACK,
        "np.where(above, dy_sigma / np.where(above, sigma, 1), 0)",
        "(dy_sigma / np.where(sigma == 0, 1, sigma))",
        "a variance below the floor sends a gradient back: it is constant there",
        STATISTICS,
    ),
]
LAWS = [
    Law(READ_BACK, "ds", lambda ds: ds.sum(-1), "rows sum to {:.2g}; softmax asks for 0"),
    Law(POOL_BACK, "de", lambda de: de.sum(-1), "rows sum to {:.2g}; softmax asks for 0"),
]
