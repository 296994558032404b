"""Cases and mistakes of exercise 1, one layer."""

import numpy as np

from refmer.exercises.case import Case, Mistake


def linear(rng, ours, B, D, E):
    return rng.normal(size=(B, D)), rng.normal(size=(D, E)), rng.normal(size=E)


def linear_backward(rng, ours, B, D, E):
    return rng.normal(size=(B, E)), rng.normal(size=(B, D)), rng.normal(size=(D, E))


def error(rng, ours, B, E):
    return rng.normal(size=(B, E)), rng.normal(size=(B, E))


def one_clip(rng, ours, D, E):
    return linear_backward(rng, ours, 1, D, E)


def tied(rng, ours, B, D, H):
    return rng.normal(size=(B, D)), rng.normal(size=(D, H)), rng.normal(size=H)


def tied_backward(rng, ours, B, D, H):
    return saved(rng, ours, *tied(rng, ours, B, D, H))


def at_zero(rng, ours, B, D, H):
    x, W, _ = (np.rint(3 * a) for a in tied(rng, ours, B, D, H))
    return saved(rng, ours, x, W, -(x[0] @ W))


def saved(rng, ours, x, W, b):
    u, r, y = ours.our_tied(x, W, b)
    return rng.normal(size=y.shape), x, W, u, r


CASES = [
    Case("forward", "our_linear", linear),
    Case("forward", "our_squared_error", error),
    Case("backward", "our_linear_backward", linear_backward),
    Case("hard", "our_linear_backward", one_clip, "a single clip"),
    Case("forward", "our_tied", tied),
    Case("backward", "our_tied_backward", tied_backward),
    Case("hard", "our_tied_backward", at_zero, "u is exactly 0"),
]

LAYER, LOSS, TWICE = "Backward", "Forward", "One matrix, used twice"
MISTAKES = [
    Mistake("no bias", "our_linear", " + b", "", "b is not added", LOSS),
    Mistake(
        "mean over outputs", "our_squared_error", ".sum() / len(y)", ".mean()", "L is divided by B E, not by B alone", LOSS
    ),
    Mistake(
        "no factor 2", "our_squared_error", "2 * (y - t)", "(y - t)", "the derivative of a square is twice the number", LOSS
    ),
    Mistake(
        "dy not over B",
        "our_squared_error",
        "(y - t) / len(y)",
        "(y - t)",
        "L is a mean over clips, so dy is divided by B",
        LOSS,
    ),
    Mistake(
        "error turned", "our_squared_error", "2 * (y - t)", "2 * (t - y)", "dy has the sign of t - y; L grows with y - t", LOSS
    ),
    Mistake("db mean", "our_linear_backward", "dy.sum(0)", "dy.mean(0)", "db is a sum over clips, not their mean", LAYER),
    Mistake("db not summed", "our_linear_backward", "dy.sum(0)", "dy", "db is not summed over the clips", LAYER),
    Mistake("dW mean", "our_linear_backward", "x.T @ dy", "x.T @ dy / len(x)", "dW is a sum over clips, not their mean", LAYER),
    Mistake("dW turned", "our_linear_backward", "x.T @ dy", "dy.T @ x", "dW is transposed: W has the shape (D, E)", LAYER),
    Mistake("leaky", "our_tied", "np.where(u.real > 0, u, 0)", "u", "the maximum with 0 is left out of r", TWICE),
    Mistake(
        "mask of r sign", "our_tied_backward", "u.real > 0", "u.real >= 0", "where u is 0 the slope of the maximum is 0", TWICE
    ),
    Mistake("no mask", "our_tied_backward", "np.where(u.real > 0, dr, 0)", "dr", "du is not 0 where u is negative", TWICE),
    Mistake(
        "second use", "our_tied_backward", " + dy.T @ r", "", "only one of two uses of W counts: y = r W^T is left out", TWICE
    ),
    Mistake(
        "first use", "our_tied_backward", "x.T @ du + ", "", "only one of two uses of W counts: u = x W is left out", TWICE
    ),
    Mistake(
        "mask of dy", "our_tied_backward", "np.where(u.real > 0, dr, 0)", "dr * r", "du is dr where u > 0: r is no mask", TWICE
    ),
]
LAWS = []
