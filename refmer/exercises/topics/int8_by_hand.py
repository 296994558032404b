"""Cases and mistakes of exercise 12, numbers in 8 bits."""

import numpy as np

from refmer.exercises.case import Case, Mistake


def ranged(rng, ours, B, K):
    return rng.normal(size=(B, K)), -0.2 - 2 * rng.random((B, 1)), 0.2 + 2 * rng.random((B, 1))


def without_zero(rng, ours, B, K):
    low = np.where(np.arange(B) % 2, 1, -3)[:, None] + rng.random((B, 1))
    return low + 1.5 * rng.random((B, K)), low, low + 1.5


def no_width(rng, ours, B, K):
    x, low, high = ranged(rng, ours, B, K)
    x[0] = low[0] = high[0] = 0
    return x, low, high


def coarse(rng, ours, B, K):
    return *ranged(rng, ours, B, K), 15


def rows(rng, ours, B, K):
    return (rng.normal(size=(B, K)) * np.arange(1, B + 1)[:, None],)


def empty_row(rng, ours, B, K):
    (x,) = rows(rng, ours, B, K)
    x[0] = 0
    return (x,)


def columns(rng, ours, K, N):
    return (rng.normal(size=(K, N)) * np.arange(1, N + 1),)


def empty_column(rng, ours, K, N):
    (W,) = columns(rng, ours, K, N)
    W[:, -1] = 0
    return (W,)


def product_of(draw, draw_columns):
    """Return the drawing of the arguments of the product."""

    def drawn(rng, ours, B, K, N):
        return *ours.our_affine_rows(*draw(rng, ours, B, 8 * K)), *ours.our_symmetric(*draw_columns(rng, ours, 8 * K, N))

    return drawn


def fake(rng, ours, B, K):
    x, low, high = ranged(rng, ours, B, 4 * K)
    s, z, _ = ours.our_affine(x, low, high)
    return 0.3 * x, s, z.astype(float)


def saturated(rng, ours, B, K):
    x, s, z = fake(rng, ours, B, K)
    return 10 * x, s, z


def fake_backward_of(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, K):
        x, s, z = draw(rng, ours, B, K)
        return rng.normal(size=x.shape), x, s, z

    return drawn


def layer(rng, ours, B, K, N):
    W = rng.normal(size=(K, N))
    (x,) = rows(rng, ours, B, K)
    s, z, _ = ours.our_affine_rows(x)
    return x, W, s, z.astype(float), ours.our_symmetric(W)[0]


def saturated_layer(rng, ours, B, K, N):
    x, W, s, z, t = layer(rng, ours, B, K, N)
    return x, W, 0.5 * s, z, 0.5 * t


def layer_backward_of(draw):
    """Return the drawing of the arguments of the backward of the layer."""

    def drawn(rng, ours, B, K, N):
        given = draw(rng, ours, B, K, N)
        u, V, y = ours.our_rounded_linear(*given)
        return rng.normal(size=y.shape), *given, u, V

    return drawn


AFFINE, ROWS, SYMMETRIC, PRODUCT = "our_affine", "our_affine_rows", "our_symmetric", "our_product"
FAKE, FAKE_BACK, LAYER, LAYER_BACK = "our_fake", "our_fake_backward", "our_rounded_linear", "our_rounded_linear_backward"
CASES = [
    Case("forward", AFFINE, ranged),
    Case("hard", AFFINE, without_zero, "ranges without 0"),
    Case("hard", AFFINE, no_width, "a range of width 0"),
    Case("hard", AFFINE, coarse, "4 bits"),
    Case("forward", ROWS, rows),
    Case("hard", ROWS, empty_row, "a row of zeros"),
    Case("forward", SYMMETRIC, columns),
    Case("hard", SYMMETRIC, empty_column, "a column of zeros"),
    Case("forward", PRODUCT, product_of(rows, columns)),
    Case("hard", PRODUCT, product_of(empty_row, empty_column), "a row and a column of zeros"),
    Case("forward", FAKE, fake),
    Case("hard", FAKE, saturated, "numbers outside the range"),
    Case("forward", LAYER, layer),
    Case("hard", LAYER, saturated_layer, "numbers and weights outside the range"),
    Case("backward", FAKE_BACK, fake_backward_of(fake)),
    Case("hard", FAKE_BACK, fake_backward_of(saturated), "numbers outside the range"),
    Case("backward", LAYER_BACK, layer_backward_of(layer)),
    Case("hard", LAYER_BACK, layer_backward_of(saturated_layer), "numbers and weights outside the range"),
]

NUMBER, BYTES, THROUGH = "A number in 8 bits", "A product of bytes", "A gradient through rounding"
MISTAKES = [
    Mistake(
        "range without 0",
        AFFINE,
        "low, high = np.minimum(low, 0), np.maximum(high, 0)",
        "low, high = low, high",
        "the range is not widened to hold 0",
        NUMBER,
    ),
    Mistake("256 steps", AFFINE, "(high - low) / top", "(high - low) / (top + 1)", "the range has 255 steps, not 256", NUMBER),
    Mistake("z cut", AFFINE, "np.rint(-low / s)", "(-low / s)", "the zero point is cut off; it has to be rounded", NUMBER),
    Mistake("z sign", AFFINE, "np.rint(-low / s)", "np.rint(low / s)", "the zero point has the wrong sign: -l / s", NUMBER),
    Mistake(
        "q floor", AFFINE, "np.rint(x / s)", "np.floor(x / s)", "x / s is rounded down; it has to be to the nearest", NUMBER
    ),
    Mistake(
        "wraps",
        AFFINE,
        "np.clip(np.rint(x / s).astype(np.int32) + z, 0, top)",
        "(np.rint(x / s).astype(np.int32) + z)",
        "codes outside the range wrap around; they have to saturate",
        NUMBER,
    ),
    Mistake(
        "width 0", AFFINE, "np.where(width > 0, width, 1)", "width", "a range of width 0 is 0/0: s = 1, z = 0, q = 0", NUMBER
    ),
    Mistake(
        "one range",
        ROWS,
        "x.min(-1, keepdims=True), x.max(-1, keepdims=True)",
        "x.min() + 0 * x[:, :1], x.max() + 0 * x[:, :1]",
        "all rows have one range; each has to have its own",
        BYTES,
    ),
    Mistake("128 steps", SYMMETRIC, "/ 127", "/ 128", "the largest weight is divided by 128, not by 127", BYTES),
    Mistake(
        "one scale",
        SYMMETRIC,
        "np.abs(W).max(0)",
        "(np.abs(W).max() + 0 * W[0])",
        "all columns have one scale; each has to have its own",
        BYTES,
    ),
    Mistake("signed maximum", SYMMETRIC, "np.abs(W).max(0)", "W.max(0)", "t is made with the largest W, not |W|", BYTES),
    Mistake(
        "empty column", SYMMETRIC, "np.where(width > 0, width, 1)", "width", "a column of zeros is 0/0: its scale is 1", BYTES
    ),
    Mistake(
        "no zero point",
        PRODUCT,
        " - z * w.sum(0, dtype=np.int32)",
        "",
        "the correction for the zero point is missing: minus z times the sum of w",
        BYTES,
    ),
    Mistake(
        "16 bits",
        PRODUCT,
        "q.astype(np.int32) @ w.astype(np.int32)",
        "q @ w",
        "the sums of products overflow: bytes have to become int32 first",
        BYTES,
    ),
    Mistake(
        "sum of q",
        PRODUCT,
        "w.sum(0, dtype=np.int32)",
        "q.sum(1, keepdims=True, dtype=np.int32)",
        "the correction has the sum of q; z is multiplied by the sum of w along k",
        BYTES,
    ),
    Mistake("no t", PRODUCT, "(s * t)", "s", "the scale t of the columns is missing in y", BYTES),
    Mistake(
        "no saturation",
        FAKE_BACK,
        "dx = np.where(inside, dy, 0)",
        "dx = dy.copy()",
        "a gradient passes where the code saturates; there it is 0",
        THROUGH,
    ),
    Mistake("dx has s", FAKE_BACK, "np.where(inside, dy, 0)", "np.where(inside, dy * s, 0)", "dx has a factor s", THROUGH),
    Mistake(
        "x in s",
        FAKE_BACK,
        "code - z - x / s",
        "code - z",
        "ds takes the codes as fixed inside; x / s depends on s, too: the derivative is round(x / s) - x / s",
        THROUGH,
    ),
    Mistake(
        "ds inside",
        FAKE_BACK,
        "np.clip(code, 0, 255) - z)).sum",
        "0)).sum",
        "ds has nothing where the code saturates; there it is q - z",
        THROUGH,
    ),
    Mistake("du of W", LAYER_BACK, "dy @ V.T", "dy @ W.T", "du is made with W; the forward has the rounded V", THROUGH),
    Mistake("dV of x", LAYER_BACK, "u.T @ dy", "x.T @ dy", "dV is made with x; the forward has the rounded u", THROUGH),
    Mistake(
        "dW saturates",
        LAYER_BACK,
        "np.where(np.abs(np.rint(W / t)) <= 127, dV, 0)",
        "dV.copy()",
        "dW is not 0 where a weight saturates",
        THROUGH,
    ),
]
LAWS = []
