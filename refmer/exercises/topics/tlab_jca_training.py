"""Cases, mistakes and laws of exercise 18, windows and the loss of TLAB-JCA."""

import numpy as np

from refmer.exercises.case import Case, Law, Mistake


def filled(rng, ours, T, C):
    return rng.normal(size=(2 * T + 1, C)), int(T)


def full(rng, ours, T, C):
    return rng.normal(size=(3 * T, C)), int(T)


def short(rng, ours, T, C):
    return rng.normal(size=(T - 1, C)), int(T)


def back(draw):
    """Return the drawing of the arguments of the backward of the windows."""

    def drawn(rng, ours, T, C):
        x, T = draw(rng, ours, T, C)
        return rng.normal(size=ours.our_windows(x, T)[0].shape), len(x)

    return drawn


def batch(rng, ours, B, T, K):
    x, y = rng.normal(size=(2, B, T, K)) + rng.normal(size=(2, B, 1, K))
    mask = np.arange(T) < rng.integers(2, T + 1, B)[:, None]
    mask[0, -1] = False
    return x + 0.5, 1.5 * y, mask


def loud_padding(rng, ours, B, T, K):
    x, y, mask = batch(rng, ours, B, T, K)
    x[~mask] *= 1000
    return x, y, mask


def loss_backward(draw):
    """Return the drawing of the arguments of the backward of the loss."""

    def drawn(rng, ours, B, T, K):
        x, y, mask = draw(rng, ours, B, T, K)
        return x, y, mask, *ours.our_window_loss(x, y, mask)[:2]

    return drawn


WINDOWS, WINDOWS_BACK = "our_windows", "our_windows_backward"
LOSS, LOSS_BACK = "our_window_loss", "our_window_loss_backward"
CASES = [
    Case("forward", WINDOWS, filled),
    Case("hard", WINDOWS, full, "the windows are full"),
    Case("hard", WINDOWS, short, "a recording shorter than a window"),
    Case("backward", WINDOWS_BACK, back(filled)),
    Case("hard", WINDOWS_BACK, back(short), "a recording shorter than a window"),
    Case("forward", LOSS, batch),
    Case("hard", LOSS, loud_padding, "large predictions at padded steps"),
    Case("backward", LOSS_BACK, loss_backward(batch)),
    Case("hard", LOSS_BACK, loss_backward(loud_padding), "large predictions at padded steps"),
]

CUT, VALUE, SLOPE = "Windows", "The loss", "The loss, backward"
MEAN, PRINTED = "A mean over windows is another number", "Equation (15) as it is printed"
MISTAKES = [
    Mistake("a window more", WINDOWS, "-(-S // T)", "S // T + 1", "there is a window without a step where T divides S", CUT),
    Mistake(
        "every Wth step",
        WINDOWS,
        ".reshape(W, T, C)",
        ".reshape(T, W, C).swapaxes(0, 1)",
        "the steps of a window are not consecutive",
        CUT,
    ),
    Mistake(
        "filled in front",
        WINDOWS,
        "[x, np.zeros((W * T - S, C))]",
        "[np.zeros((W * T - S, C)), x]",
        "the zeros stand before the recording, not behind it",
        CUT,
    ),
    Mistake("all valid", WINDOWS, "np.arange(W * T) < S", "np.arange(W * T) >= 0", "the mask is true at filled steps", CUT),
    Mistake("last steps", WINDOWS_BACK, "[:S]", "[-S:]", "the last S places are taken: the filled ones are at the end", CUT),
    Mistake(
        "filled steps kept",
        WINDOWS_BACK,
        "dy.reshape(-1, dy.shape[2])[:S]",
        "dy.reshape(-1, dy.shape[2])",
        "the filled steps have a gradient: they are constants",
        CUT,
    ),
    Mistake(
        "padding counts",
        LOSS,
        "x[mask], y[mask]",
        "x.reshape(-1, x.shape[2]), y.reshape(-1, y.shape[2])",
        "the mask is not used: padded steps are in the moments",
        VALUE,
    ),
    Mistake(
        "mean of windows",
        LOSS,
        "rho = 2 * (a * b).mean(0) / D",
        "rho = np.mean([2 * ((u - u.mean(0)) * (v - v.mean(0))).mean(0) / (u.var(0) + v.var(0) + (u.mean(0) - v.mean(0)) ** 2)"
        " for u, v in ((x[k][mask[k]], y[k][mask[k]]) for k in range(len(x)))], axis=0)",
        "rho is the mean of the windows' concordances: it runs over all steps together",
        MEAN,
    ),
    Mistake(
        "not squared",
        LOSS,
        "(p.mean(0) - t.mean(0)) ** 2",
        "(p.mean(0) - t.mean(0))",
        "the difference of means is not squared, as eq. 15 is printed",
        PRINTED,
    ),
    Mistake(
        "sample moments",
        LOSS,
        "(a * a).mean(0) + (b * b).mean(0)",
        "((a * a).sum(0) + (b * b).sum(0)) / (len(a) - 1)",
        "the variances are divided by N - 1, the covariance by N",
        VALUE,
    ),
    Mistake("no 2", LOSS, "2 * (a * b)", "(a * b)", "the 2 of rho = 2 s / D is missing", VALUE),
    Mistake("sum", LOSS, "(1 - rho).mean()", "(1 - rho).sum()", "L is the sum over the quantities, not their mean", VALUE),
    Mistake("score", LOSS, "(1 - rho).mean()", "rho.mean()", "L is the score: the loss is 1 - rho", VALUE),
    Mistake("uphill", LOSS_BACK, "-np.ones", "np.ones", "drho has the wrong sign: L falls where rho rises", SLOPE),
    Mistake("not over K", LOSS_BACK, " / len(rho)", "", "drho is not divided by the number of quantities", SLOPE),
    Mistake(
        "all steps",
        LOSS_BACK,
        "mask.sum()",
        "mask.size",
        "N is the number of all steps, not of the valid ones",
        SLOPE,
    ),
    Mistake("mean of all", LOSS_BACK, "y[mask].mean(0)", "y.mean((0, 1))", "padded labels are in the mean", SLOPE),
    Mistake(
        "mean of predictions",
        LOSS_BACK,
        "rho * (x - mean)",
        "rho * (x - x[mask].mean(0))",
        "the predictions are measured from their own mean, not from that of the labels",
        SLOPE,
    ),
    Mistake(
        "D fixed",
        LOSS_BACK,
        "y - mean - rho * (x - mean)",
        "y - mean",
        "D is taken as a constant: it depends on x, too",
        SLOPE,
    ),
    Mistake(
        "padding moves",
        LOSS_BACK,
        "np.where(mask[..., None], dx, 0)",
        "dx",
        "padded steps have a gradient: they are in no moment",
        SLOPE,
    ),
]
LAWS = [Law(LOSS_BACK, "drho", lambda drho: drho.sum() + 1, "its sum is off from -1 by {:.2g}")]
