"""Cases and mistakes of exercise 11, the algorithms of fast kernels."""

import numpy as np

from refmer.exercises.case import Case, Law, Mistake


def polynomial(rng, ours, B, T, K):
    return rng.normal(size=(B, T)), rng.normal(size=K + 1)


def constant(rng, ours, B, T):
    x, c = polynomial(rng, ours, B, T, 0)
    x[0] = 0
    return x, c


def at_zero(rng, ours, B, T, K):
    x, c = polynomial(rng, ours, B, T, K)
    x[0] = 0
    return x, c


def with_upstream(draw):
    """Return the drawing of the arguments of the backward of a polynomial."""

    def drawn(rng, ours, B, T, K):
        x, c = draw(rng, ours, B, T) if draw is constant else draw(rng, ours, B, T, K)
        return rng.normal(size=x.shape), x, c

    return drawn


def exponents(rng, ours, B, T, D):
    return 5 * rng.normal(size=(B, T)), D


def large_exponents(rng, ours, B, T, D):
    return rng.uniform(200, 700, size=(B, T)) * rng.choice([-1, 1], size=(B, T)), D


def product(rng, ours, B, K, N, size=2):
    return rng.normal(size=(B, 2 * K + 1)), rng.normal(size=(2 * K + 1, N)), size


def product_of(size):
    """Return a drawing of the arguments of the product, with blocks of this size."""
    return lambda rng, ours, B, K, N: product(rng, ours, B, K, N, size)


def product_backward_of(size):
    """Return a drawing of the arguments of the backward of the product."""

    def drawn(rng, ours, B, K, N):
        x, W, _ = product(rng, ours, B, K, N)
        return rng.normal(size=(B, N)), x, W, size

    return drawn


def scores(rng, ours, B, T, S, D, size=3):
    return 3 * rng.normal(size=(B, T, 2 * S + 1)), rng.normal(size=(B, 2 * S + 1, D)), size


def large_scores(rng, ours, B, T, S, D):
    z, v, size = scores(rng, ours, B, T, S, D)
    return z + 1000 * rng.choice([-1, 1], size=(B, T, 1)), v, size


def one_block(rng, ours, B, T, S, D):
    return scores(rng, ours, B, T, S, D, 100)


def blocks_of_one(rng, ours, B, T, S, D):
    return scores(rng, ours, B, T, S, D, 1)


def masked(rng, ours, B, T, S, D):
    z, v, size = scores(rng, ours, B, T, S, D)
    z[0, :, :4] = z[-1, :, -3:] = z[1, 0] = -np.inf
    return z, v, size


def scores_backward_of(draw):
    """Return the drawing of the arguments of the backward of softmax."""

    def drawn(rng, ours, B, T, S, D):
        z, v, size = draw(rng, ours, B, T, S, D)
        m, total, y = ours.our_online_softmax(z, v, size)
        return rng.normal(size=y.shape), z, v, m, total, y, size

    return drawn


POLYNOMIAL, POLYNOMIAL_BACK, EXP = "our_polynomial", "our_polynomial_backward", "our_exp"
PRODUCT, PRODUCT_BACK = "our_block_product", "our_block_product_backward"
SOFTMAX, SOFTMAX_BACK = "our_online_softmax", "our_online_softmax_backward"
CASES = [
    Case("forward", POLYNOMIAL, polynomial),
    Case("hard", POLYNOMIAL, constant, "one coefficient"),
    Case("forward", EXP, exponents),
    Case("hard", EXP, large_exponents, "large numbers of both signs"),
    Case("forward", PRODUCT, product),
    Case("hard", PRODUCT, product_of(1), "blocks of 1"),
    Case("hard", PRODUCT, product_of(100), "a block larger than the matrix"),
    Case("forward", SOFTMAX, scores),
    Case("hard", SOFTMAX, large_scores, "large scores"),
    Case("hard", SOFTMAX, one_block, "a block larger than the row"),
    Case("hard", SOFTMAX, blocks_of_one, "blocks of 1"),
    Case("hard", SOFTMAX, masked, "masked blocks and a masked row"),
    Case("backward", POLYNOMIAL_BACK, with_upstream(polynomial)),
    Case("hard", POLYNOMIAL_BACK, with_upstream(at_zero), "x is exactly 0"),
    Case("hard", POLYNOMIAL_BACK, with_upstream(constant), "one coefficient"),
    Case("backward", PRODUCT_BACK, product_backward_of(2)),
    Case("hard", PRODUCT_BACK, product_backward_of(100), "a block larger than the matrix"),
    Case("backward", SOFTMAX_BACK, scores_backward_of(scores)),
    Case("hard", SOFTMAX_BACK, scores_backward_of(large_scores), "large scores"),
    Case("hard", SOFTMAX_BACK, scores_backward_of(masked), "masked blocks and a masked row"),
]

HORNER, EXPONENTIAL = "A polynomial, and back", "An exponential that vectorises"
BLOCKS, ONE_PASS = "A product by blocks", "Softmax in one pass"
MISTAKES = [
    Mistake("order", POLYNOMIAL, "x + c[j]", "x + c[len(c) - 2 - j]", "the coefficients come in the wrong order", HORNER),
    Mistake(
        "no c0",
        POLYNOMIAL,
        "reversed(range(len(c) - 1))",
        "reversed(range(1, len(c)))",
        "the last coefficient is used twice, and c[0] is left out",
        HORNER,
    ),
    Mistake("no j", POLYNOMIAL_BACK, "j * c[j]", "c[j]", "the factor j is missing in the derivative of x^j", HORNER),
    Mistake("power", POLYNOMIAL_BACK, "range(1, len(c))", "range(len(c))", "the slope has x^j in place of x^(j - 1)", HORNER),
    Mistake("dc slope", POLYNOMIAL_BACK, "(dy * x**j)", "(dx * x**j)", "dc is made with dx in place of dy", HORNER),
    Mistake("floor", EXP, "np.rint(x / ln2)", "np.floor(x / ln2)", "x / ln 2 is rounded down, not to the nearest", EXPONENTIAL),
    Mistake("log2", EXP, "np.rint(x / ln2)", "np.rint(x * ln2)", "n is made by multiplication with ln 2; divide", EXPONENTIAL),
    Mistake("half of ln 2", EXP, "(ln2 - 355 / 512)", "0", "the second part of ln 2 is missing in r", EXPONENTIAL),
    Mistake("no factorial", EXP, "p * r / j", "p * r", "the factorials are missing: r^j is divided by j!", EXPONENTIAL),
    Mistake("degree", EXP, "range(D, 0, -1)", "range(D - 1, 0, -1)", "the last power, r^D, is missing", EXPONENTIAL),
    Mistake("last block of k", PRODUCT, "+= x[i", "= x[i", "a block is overwritten along k; products have to add up", BLOCKS),
    Mistake(
        "small block",
        PRODUCT,
        "range(0, K, size)",
        "range(0, K - size + 1, size)",
        "the smaller last block is left out",
        BLOCKS,
    ),
    Mistake(
        "diagonal",
        PRODUCT,
        "W[k : k + size, j : j + size]",
        "W[k : k + size, j : j + size] * (i == j)",
        "only blocks with I = J are computed",
        BLOCKS,
    ),
    Mistake("dx of size", PRODUCT_BACK, "(dy, W.T, size)", "(dy[:, :size], W.T[:size], size)", "dx has one block only", BLOCKS),
    Mistake("dW of size", PRODUCT_BACK, "(x.T, dy, size)", "(x.T[:, :size], dy[:size], size)", "dW has one block only", BLOCKS),
    Mistake("old total", SOFTMAX, "old * total", "total", "the old sum is not multiplied by exp(m - M)", ONE_PASS),
    Mistake("old y", SOFTMAX, "old * y", "y", "the old Y is not multiplied by exp(m - M)", ONE_PASS),
    Mistake(
        "own maximum",
        SOFTMAX,
        "np.maximum(m, block.max(-1, keepdims=True))",
        "block.max(-1, keepdims=True)",
        "m is the maximum of the last block, not of all blocks so far",
        ONE_PASS,
    ),
    Mistake(
        "masked block",
        SOFTMAX,
        "np.where(top > -np.inf, top, 0)",
        "top",
        "while all keys are masked, -inf - (-inf) is nan: subtract 0 instead",
        ONE_PASS,
    ),
    Mistake("no division", SOFTMAX, "y = y / np.where(total == 0, 1, total)", "y = y / 1", "y is not divided by l", ONE_PASS),
    Mistake("row 0/0", SOFTMAX, "np.where(total == 0, 1, total)", "total", "a masked row is 0/0: divide by 1", ONE_PASS),
    Mistake(
        "inner sum",
        SOFTMAX_BACK,
        "a * (da - delta)",
        "a * da",
        "the inner sum of softmax is missing: dz = a (da - delta)",
        ONE_PASS,
    ),
    Mistake(
        "sum of a block",
        SOFTMAX_BACK,
        "a * (da - delta)",
        "a * (da - (a * da).sum(-1, keepdims=True))",
        "the inner sum of softmax runs over a block only, not over the row",
        ONE_PASS,
    ),
    Mistake(
        "weights undivided",
        SOFTMAX_BACK,
        " / np.where(total == 0, 1, total)",
        "",
        "the weights are not divided by l",
        ONE_PASS,
    ),
    Mistake(
        "dv of z",
        SOFTMAX_BACK,
        "a.swapaxes(-1, -2) @ dy",
        "dz[..., part].swapaxes(-1, -2) @ dy",
        "dv is made with dz: y = a v asks for a",
        ONE_PASS,
    ),
]
LAWS = [Law(SOFTMAX_BACK, "dz", lambda dz: dz.sum(-1), "rows sum to {:.2g}; softmax asks for 0")]
