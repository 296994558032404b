"""Cases and mistakes of exercise 10, an LSTM and a causal convolution."""

import numpy as np

from refmer.exercises.case import Case, Mistake


def padded(rng, ours, B, T, D, H):
    """Return the arguments of the LSTM; the first clip is padded at its end."""
    x = rng.normal(size=(B, T, D))
    W, U, b = (rng.normal(size=n) / 3 for n in ((D, 4 * H), (H, 4 * H), 4 * H))
    mask = np.ones((B, T), bool)
    mask[0, -1] = False
    return x, W, U, b, mask


def anywhere(rng, ours, B, D, H):
    x, W, U, b, mask = padded(rng, ours, B, 7, D, H)
    mask[0] = [True, True, False, True, False, True, True]
    mask[1] = [False, False, True, True, True, False, False]
    return np.where(mask[..., None], x, 9), W, U, b, mask


def nothing(rng, ours, B, T, D, H):
    x, W, U, b, mask = padded(rng, ours, B, T, D, H)
    mask[-1] = False
    return x, W, U, b, mask


def one_step(rng, ours, B, D, H):
    x, W, U, b, mask = padded(rng, ours, B, 1, D, H)
    return x, W, U, b, np.ones_like(mask)


def lstm_backward_of(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, D, H, T=5):
        sizes = (B, D, H) if draw in (anywhere, one_step) else (B, T, D, H)
        x, W, U, b, mask = draw(rng, ours, *sizes)
        gates, c, h, y = ours.our_lstm(x, W, U, b, mask)
        return rng.normal(size=y.shape), x, W, U, mask, gates, c, h

    return drawn


def conv(rng, ours, B, C, E, T=8, dilation=2):
    return rng.normal(size=(B, T, C)), rng.normal(size=(3, C, E)), rng.normal(size=E), dilation


def conv_backward(rng, ours, B, C, E, T=8, dilation=2):
    x, W, beta, dilation = conv(rng, ours, B, C, E, T, dilation)
    return rng.normal(size=(B, T, E)), x, W, dilation


def short(draw):
    """Return a drawing of a sequence that is shorter than the reach of the taps."""
    return lambda rng, ours, B, C, E: draw(rng, ours, B, C, E, 3, 2)


def single(draw):
    """Return a drawing of a sequence of one step."""
    return lambda rng, ours, B, C, E: draw(rng, ours, B, C, E, 1, 1)


L, LB, C, CB = "our_lstm", "our_lstm_backward", "our_conv", "our_conv_backward"
CASES = [
    Case("forward", L, padded),
    Case("hard", L, anywhere, "padding between valid steps"),
    Case("hard", L, nothing, "a clip that is padding altogether"),
    Case("forward", C, conv),
    Case("hard", C, short(conv), "a sequence shorter than the reach"),
    Case("backward", LB, lstm_backward_of(padded)),
    Case("hard", LB, lstm_backward_of(anywhere), "padding between valid steps"),
    Case("hard", LB, lstm_backward_of(nothing), "a clip that is padding altogether"),
    Case("hard", LB, lstm_backward_of(one_step), "one step"),
    Case("backward", CB, conv_backward),
    Case("hard", CB, short(conv_backward), "a sequence shorter than the reach"),
    Case("hard", CB, single(conv_backward), "one step"),
]

FORWARDS, BACKWARDS, PADDING = "An LSTM, forwards", "Backwards through time", "Steps that are padding"
HOLES = "A causal convolution with holes"
MISTAKES = [
    Mistake(
        "gate order", L, "i, f, g, o = np.split", "i, f, o, g = np.split", "the gates are in the order i, f, o, g", FORWARDS
    ),
    Mistake("last step first", L, "x[:, t] @", "x[:, T - 1 - t] @", "x is read from its last step to its first", FORWARDS),
    Mistake("no tanh", L, "o * np.tanh(c[:, t + 1])", "o * c[:, t + 1]", "the tanh of c is missing: h = o tanh c", FORWARDS),
    Mistake("leak", L, "valid = mask[:, t, None]", "valid = True", "padded steps leak: they change the state", PADDING),
    Mistake("c lost", L, "i * g, c[:, t])", "i * g, 0)", "a padded step sets c to 0; it has to keep it", PADDING),
    Mistake(
        "state out",
        L,
        "np.where(mask[..., None], h[:, 1:], 0)",
        "h[:, 1:].copy()",
        "the output of a padded step is the state; it has to be 0",
        PADDING,
    ),
    Mistake(
        "forget path",
        LB,
        "dc_t * f, dc_t)",
        "0, dc_t)",
        "the forget path is cut: c is in the next c, so dc f goes to the state before",
        BACKWARDS,
    ),
    Mistake(
        "recurrent path",
        LB,
        "du[:, t] @ U.T, dh_t)",
        "0, dh_t)",
        "the recurrent path is cut: h is in the next u, so du U^T goes to the state before",
        BACKWARDS,
    ),
    Mistake("first step first", LB, "reversed(range(x.shape[1]))", "range(x.shape[1])", "the loop begins at step 0", BACKWARDS),
    Mistake("du order", LB, "[di, df, dg, do]", "[di, df, do, dg]", "du has its blocks in the order i, f, o, g", BACKWARDS),
    Mistake(
        "dU after", LB, "h[:, :-1], du", "h[:, 1:], du", "dU is made with h after the step; u has the h before it", BACKWARDS
    ),
    Mistake(
        "c after", LB, "dc_t * c[:, t] *", "dc_t * c[:, t + 1] *", "df is made with c after the step, not before it", BACKWARDS
    ),
    Mistake("slope of tanh", LB, "o * (1 - tanh_c**2)", "o", "dh goes to c without the slope 1 - tanh^2 c", BACKWARDS),
    Mistake("slope of g", LB, " * (1 - g**2)", " * g * (1 - g)", "g is a tanh: its slope is 1 - g^2, not g (1 - g)", BACKWARDS),
    Mistake("padded du", LB, ", mask[:, t, None]", ", True", "padded steps leak: the backward forgets the mask", PADDING),
    Mistake(
        "padded dy", LB, "np.where(valid, dy[:, t], 0)", "dy[:, t]", "dy of padded steps counts; their output is 0", PADDING
    ),
    Mistake("padded stop", LB, "U.T, dh_t)", "U.T, 0)", "dh stops at a padded step; it has to pass unchanged", PADDING),
    Mistake("padded dc", LB, "dc_t * f, dc_t)", "dc_t * f, 0)", "dc stops at a padded step; it has to pass unchanged", PADDING),
    Mistake("future", C, "(reach, 0)", "(0, reach)", "the convolution sees the future: the zeros belong before step 0", HOLES),
    Mistake(
        "no dilation",
        C,
        "dilation * j : dilation * j + T",
        "reach - len(W) + 1 + j : reach - len(W) + 1 + j + T",
        "the taps are one step apart: the dilation is not used",
        HOLES,
    ),
    Mistake("taps turned", C, "@ W[j]", "@ W[len(W) - 1 - j]", "the taps are in reverse order: the last one is of now", HOLES),
    Mistake("dx turned", CB, "dy @ W[j].T", "dy @ W[len(W) - 1 - j].T", "dx has the taps in reverse order", HOLES),
    Mistake(
        "dx early", CB, "dpast[:, reach:]", "dpast[:, :T]", "dx is read the wrong way in time: x acts on later outputs", HOLES
    ),
    Mistake("dW of now", CB, "past[:, tap], dy", "x, dy", "dW takes x of the same step for every tap", HOLES),
]
LAWS = []
