"""Cases, mistakes and laws of exercise 13, OpenFace-Adaptive."""

import numpy as np

from refmer.exercises.case import Case, Law, Mistake
from refmer.exercises.topics.how_to_prove_a_gradient import rows, small


def constant(rng, ours, B, C):
    x, gamma, beta = rows(rng, ours, B, C)
    x[:, 0] = 2.0
    return x, gamma, beta


def batch_backward(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, C):
        x, gamma, beta = draw(rng, ours, B, C)
        z, r, y = ours.our_batch_norm(x, gamma, beta)
        return rng.normal(size=y.shape), z, r, gamma

    return drawn


def running(rng, ours, B, C):
    return rng.normal(size=C), rng.random(C) + 0.5, rng.normal(size=(B, C))


def two_clips(rng, ours, C):
    return running(rng, ours, 2, C)


def evaluation(rng, ours, B, C):
    x, gamma, beta = rows(rng, ours, B, C)
    return x, rng.normal(size=C), rng.random(C) + 0.5, gamma, beta


def one_clip(rng, ours, C):
    return evaluation(rng, ours, 1, C)


def evaluation_backward(rng, ours, B, C):
    x, mean, var, gamma, beta = evaluation(rng, ours, B, C)
    z, y = ours.our_evaluation(x, mean, var, gamma, beta)
    return rng.normal(size=y.shape), z, var, gamma


def one_clip_backward(rng, ours, C):
    return evaluation_backward(rng, ours, 1, C)


def node(rng, ours, B, D, C, H):
    shapes = (D, C), (C,), (C, H), (H,), (H, 1), (1,)
    return rng.normal(size=(B, D)), *(rng.normal(size=shape) / np.sqrt(shape[0]) for shape in shapes)


def shut(rng, ours, B, D, C, H):
    *given, _ = node(rng, ours, B, D, C, H)
    return *given, np.array([-40.0])


def node_backward(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, D, C, H):
        n, W, b, V1, c1, V2, c2 = draw(rng, ours, B, D, C, H)
        *saved, h = ours.our_node(n, W, b, V1, c1, V2, c2)
        return rng.normal(size=h.shape), n, W, V1, V2, *saved

    return drawn


NORM, NORM_BACK, RUN, EVAL, EVAL_BACK = (
    "our_batch_norm",
    "our_batch_norm_backward",
    "our_running",
    "our_evaluation",
    "our_evaluation_backward",
)
NODE, NODE_BACK = "our_node", "our_node_backward"
CASES = [
    Case("forward", NORM, rows),
    Case("hard", NORM, constant, "a constant feature"),
    Case("hard", NORM, small, "small numbers, so that epsilon counts"),
    Case("backward", NORM_BACK, batch_backward(rows)),
    Case("hard", NORM_BACK, batch_backward(constant), "a constant feature"),
    Case("forward", RUN, running),
    Case("hard", RUN, two_clips, "two clips"),
    Case("forward", EVAL, evaluation),
    Case("hard", EVAL, one_clip, "a single clip"),
    Case("backward", EVAL_BACK, evaluation_backward),
    Case("hard", EVAL_BACK, one_clip_backward, "a single clip"),
    Case("forward", NODE, node),
    Case("backward", NODE_BACK, node_backward(node)),
    Case("hard", NODE_BACK, node_backward(shut), "a gate that is shut"),
]

SYSTEM, PART = "The system", "A node"
MISTAKES = [
    Mistake(
        "layer norm",
        NORM,
        "d = x - x.mean(0)",
        "d = x - x.mean(-1, keepdims=True)",
        "the mean runs over the features of a clip: batch norm takes that of a feature",
        SYSTEM,
    ),
    Mistake(
        "unbiased",
        NORM,
        "(d * d).mean(0)",
        "(d * d).sum(0) / (len(x) - 1)",
        "the variance is divided by B - 1, not by B",
        SYSTEM,
    ),
    Mistake(
        "no epsilon",
        NORM,
        "(d * d).mean(0) + 1e-5",
        "(d * d).mean(0)",
        "epsilon is missing: the root of v + epsilon",
        SYSTEM,
    ),
    Mistake(
        "epsilon outside",
        NORM,
        "r = ((d * d).mean(0) + 1e-5) ** -0.5",
        "r = 1 / ((d * d).mean(0) ** 0.5 + 1e-5)",
        "epsilon is outside the root",
        SYSTEM,
    ),
    Mistake(
        "no means",
        NORM_BACK,
        "r * (dz - dz.mean(0) - z * (dz * z).mean(0))",
        "r * dz",
        "both means are missing: the batch's moments move with x",
        SYSTEM,
    ),
    Mistake("first mean", NORM_BACK, " - dz.mean(0)", "", "the mean of dz is missing: x moves the batch's mean", SYSTEM),
    Mistake(
        "second mean",
        NORM_BACK,
        " - z * (dz * z).mean(0)",
        "",
        "the mean of dz z is missing: x moves the batch's variance",
        SYSTEM,
    ),
    Mistake(
        "means of rows",
        NORM_BACK,
        "dz.mean(0) - z * (dz * z).mean(0)",
        "dz.mean(-1, keepdims=True) - z * (dz * z).mean(-1, keepdims=True)",
        "the means run over the features of a clip: those of layer norm",
        SYSTEM,
    ),
    Mistake("no gamma", NORM_BACK, "dz = dy * gamma", "dz = dy + 0 * gamma", "gamma is missing: dz = gamma dy", SYSTEM),
    Mistake(
        "dgamma of dz",
        NORM_BACK,
        "(dy * z).sum(0)",
        "(dz * z).sum(0)",
        "dgamma is made with dz: y = gamma z + beta asks for dy",
        SYSTEM,
    ),
    Mistake(
        "biased running", RUN, "(len(x) - 1)", "len(x)", "the running variance takes the biased one: divide by B - 1", SYSTEM
    ),
    Mistake(
        "momentum turned",
        RUN,
        "mean + 0.1 * (x.mean(0) - mean)",
        "x.mean(0) + 0.1 * (mean - x.mean(0))",
        "the running mean moves nine tenths of the way: it keeps nine tenths",
        SYSTEM,
    ),
    Mistake(
        "batch moments",
        EVAL,
        "z = (x - mean) * (var + 1e-5) ** -0.5",
        "z = (x - x.mean(0)) * (x.var(0) + 1e-5) ** -0.5 + 0 * (mean + var)",
        "the moments are those of the batch: in evaluation the running ones take their place",
        SYSTEM,
    ),
    Mistake(
        "deviation",
        EVAL,
        "(var + 1e-5) ** -0.5",
        "(var + 1e-5) ** -1.0",
        "x is divided by the variance: the root is missing",
        SYSTEM,
    ),
    Mistake(
        "training backward",
        EVAL_BACK,
        "dx = dy * gamma * (var + 1e-5) ** -0.5",
        "dz = dy * gamma; dx = (dz - dz.mean(0) - z * (dz * z).mean(0)) * (var + 1e-5) ** -0.5",
        "the means of training are subtracted: in evaluation the moments are constants",
        SYSTEM,
    ),
    Mistake(
        "no root back",
        EVAL_BACK,
        "(var + 1e-5) ** -0.5",
        "(var + 1e-5) ** -1.0",
        "dx is divided by the variance: the root is missing",
        SYSTEM,
    ),
    Mistake(
        "no epsilon, running",
        EVAL,
        "(var + 1e-5) ** -0.5",
        "var**-0.5",
        "epsilon is missing beside the running variance",
        SYSTEM,
    ),
    Mistake(
        "no epsilon back",
        EVAL_BACK,
        "(var + 1e-5) ** -0.5",
        "var**-0.5",
        "epsilon is missing beside the running variance in dx",
        SYSTEM,
    ),
    Mistake("no relu", NODE, "r = np.where(u.real > 0, u, 0)", "r = u", "r is max(u, 0): the maximum with 0 is missing", PART),
    Mistake("gate of u", NODE, "h = alpha * r", "h = alpha * u", "the gate scales u: it scales r = max(u, 0)", PART),
    Mistake(
        "no relu in gate", NODE, "np.where(t.real > 0, t, 0) @ V2", "t @ V2", "the maximum with 0 is left out of the gate", PART
    ),
    Mistake(
        "passes only", NODE_BACK, " + dt @ V1.T", "", "only one of two uses of r counts: that which decides is left out", PART
    ),
    Mistake(
        "decides only",
        NODE_BACK,
        "alpha * dy + dt",
        "dt",
        "only one of two uses of r counts: that which passes is left out",
        PART,
    ),
    Mistake(
        "no sigmoid",
        NODE_BACK,
        "dalpha * alpha * (1 - alpha)",
        "dalpha + 0 * alpha",
        "the derivative of the sigmoid, alpha (1 - alpha), is missing",
        PART,
    ),
    Mistake(
        "mean of features",
        NODE_BACK,
        "(dy * r).sum(1, keepdims=True)",
        "(dy * r).mean(1, keepdims=True)",
        "one alpha scales all features: dalpha is a sum, not a mean",
        PART,
    ),
    Mistake(
        "no relu in gate back",
        NODE_BACK,
        "dt = np.where(t.real > 0, ds @ V2.T, 0)",
        "dt = ds @ V2.T",
        "dt is not 0 where t is negative",
        PART,
    ),
    Mistake("no relu back", NODE_BACK, "du = np.where(u.real > 0, dr, 0)", "du = dr", "du is not 0 where u is negative", PART),
    Mistake(
        "dV1 of u", NODE_BACK, "dV1, dc1 = r.T @ dt", "dV1, dc1 = u.T @ dt", "dV1 is made with u: t = r V1 asks for r", PART
    ),
]
LAWS = [
    Law(NORM_BACK, "dx", lambda dx: dx.sum(0), "columns sum to {:.2g}; a shift of a feature changes nothing, so they sum to 0")
]
