"""Cases and mistakes of exercise 3, from a wave to log-mel."""

from refmer.exercises.case import Case, Mistake


def waves(rng, ours, B, L):
    return (rng.normal(size=(B, 3 * L)),)


def gain_backward(rng, ours, B, L):
    (x,) = waves(rng, ours, B, L)
    return rng.normal(size=x.shape), x, ours.our_gain(x)[0]


def soft(rng, ours, B, L):
    x = 1e-6 * rng.normal(size=(B, L))
    return rng.normal(size=x.shape), x, ours.our_gain(x)[0]


def one_sample(rng, ours, B):
    return (rng.normal(size=(B, 1)),)


def overlapping(rng, ours, B, T, N):
    hop = max(1, N // 2)
    return rng.normal(size=(B, (T - 1) * hop + N + 3)), N, hop, T


def apart(rng, ours, B, T, N):
    return rng.normal(size=(B, T * (N + 2))), N, N + 2, T


def frames_backward(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, T, N):
        x, size, hop, count = draw(rng, ours, B, T, N)
        return rng.normal(size=(B, count, size)), x.shape[1], hop

    return drawn


def spectra(rng, ours, B, T, N, J):
    F = rng.random((N + 1, J)) * (rng.random((N + 1, J)) < 0.6)
    F[J % (N + 1)] += 0.1
    return rng.normal(size=(B, T, 2 * N)), rng.random(2 * N) + 0.1, F


def silence(rng, ours, B, T, N, J):
    y, w, F = spectra(rng, ours, B, T, N, J)
    y[0] = 0
    return y, w, F


def spectra_backward(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, T, N, J):
        y, w, F = draw(rng, ours, B, T, N, J)
        R, Q, M, S = ours.our_log_mel(y, w, F)
        return rng.normal(size=S.shape), w, F, R, Q, M

    return drawn


CASES = [
    Case("forward", "our_gain", waves),
    Case("backward", "our_gain_backward", gain_backward),
    Case("hard", "our_gain_backward", soft, "soft waves"),
    Case("forward", "our_emphasis", waves),
    Case("backward", "our_emphasis_backward", waves),
    Case("hard", "our_emphasis_backward", one_sample, "a single sample"),
    Case("forward", "our_frames", overlapping),
    Case("hard", "our_frames", apart, "a hop larger than a frame"),
    Case("backward", "our_frames_backward", frames_backward(overlapping)),
    Case("hard", "our_frames_backward", frames_backward(apart), "a hop larger than a frame"),
    Case("forward", "our_log_mel", spectra),
    Case("hard", "our_log_mel", silence, "silence"),
    Case("backward", "our_log_mel_backward", spectra_backward(spectra)),
    Case("hard", "our_log_mel_backward", spectra_backward(silence), "silence"),
]

SPECTRUM, MEL = "From a wave to a spectrum", "From a spectrum to log-mel"
GAIN, TIME, FRAMES, LOG, BACK = (
    "our_gain_backward",
    "our_emphasis_backward",
    "our_frames_backward",
    "our_log_mel",
    "our_log_mel_backward",
)
MISTAKES = [
    Mistake("sum of squares", "our_gain", ".mean(-1,", ".sum(-1,", "g is made of the sum of squares, not of their mean", MEL),
    Mistake("one gain", "our_gain", ".mean(-1, keepdims=True)", ".mean()", "all waves have one gain: each has its own", MEL),
    Mistake("gain fixed", GAIN, " - g / (v * x.shape[-1]) * x * dg", "", "g is taken as a constant: x moves it, too", MEL),
    Mistake("no L", GAIN, "(v * x.shape[-1])", "v", "the second term lacks 1/L: v is a mean of L squares", MEL),
    Mistake("dg mean", GAIN, "(dy * x).sum(-1", "(dy * x).mean(-1", "dg is a sum over samples, not their mean", MEL),
    Mistake(
        "backward in time",
        TIME,
        "dx[:, :-1] = dy[:, :-1] - 0.97 * dy[:, 1:]",
        "dx[:, 1:] = dy[:, 1:] - 0.97 * dy[:, :-1]",
        "time is read the wrong way: x at n is also used by y at n + 1, which comes later",
        MEL,
    ),
    Mistake(
        "one use", TIME, " - 0.97 * dy[:, 1:]", "", "only one of two uses of x counts: that by the next sample is left out", MEL
    ),
    Mistake("sign of .97", TIME, "- 0.97", "+ 0.97", "the next sample subtracts 0.97 of this one: the sign is minus", MEL),
    Mistake(
        "overwritten",
        FRAMES,
        "] += dy",
        "] = dy",
        "a frame overwrites the one before it: overlapping gradients add up",
        SPECTRUM,
    ),
    Mistake("no window", LOG, "u = w * y", "u = y", "the window w is not used", SPECTRUM),
    Mistake(
        "amplitude", LOG, "P = (R * R + Q * Q) / N", "P = (R * R + Q * Q) ** 0.5 / N", "P is the root of the power", SPECTRUM
    ),
    Mistake("no N", LOG, "(R * R + Q * Q) / N", "(R * R + Q * Q)", "the power is not divided by N", SPECTRUM),
    Mistake(
        "no floor", BACK, "dy / (M + 1e-10)", "dy / np.where(M == 0, 1, M)", "dM lacks the 1e-10 inside the logarithm", MEL
    ),
    Mistake(
        "no logarithm",
        BACK,
        "dy / (M + 1e-10)",
        "dy + 0 * M",
        "the derivative of the logarithm, 1 / (M + 1e-10), is missing",
        MEL,
    ),
    Mistake(
        "factor 2",
        BACK,
        "2 / N * R * dP, 2 / N * Q",
        "R * dP / N, 1 / N * Q",
        "the 2 of the squares is missing in dR and dQ",
        MEL,
    ),
    Mistake("N in backward", BACK, "2 / N * R * dP, 2 / N * Q", "2 * R * dP, 2 * Q", "dR and dQ are not divided by N", MEL),
    Mistake("real part", BACK, " - dQ @ np.sin(angle).T", "", "only the real part goes back: that of dQ is missing", MEL),
    Mistake("sign of sine", BACK, "- dQ @", "+ dQ @", "Q has a minus sign, so the sine has one in du", MEL),
    Mistake("window back", BACK, "dframes = w * du", "dframes = du + 0", "the window is forgotten in the backward", MEL),
]
LAWS = []
