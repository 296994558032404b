"""Cases and mistakes of exercise 4, gates."""

from refmer.exercises.case import Case, Mistake


def steps(rng, ours, B, T, C, H):
    return (
        rng.normal(size=(B, T, C)),
        rng.normal(size=(C, H)),
        rng.normal(size=H),
        0.5 * rng.normal(size=(H, 1)),
        rng.normal(size=1),
    )


def one_step(rng, ours, B, C, H):
    return steps(rng, ours, B, 1, C, H)


def none_above_zero(rng, ours, B, T, C, H):
    x, W1, b1, W2, b2 = steps(rng, ours, B, T, C, H)
    return x, W1, b1 - 100, W2, b2


def backward(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, T, C, H):
        x, W1, b1, W2, b2 = draw(rng, ours, B, T, C, H)
        u, _, alpha, y = ours.our_gate(x, W1, b1, W2, b2)
        return rng.normal(size=y.shape), x, W1, W2, u, alpha

    return drawn


def one_step_backward(rng, ours, B, C, H):
    return backward(steps)(rng, ours, B, 1, C, H)


def states(rng, ours, B, G):
    r = rng.random((B, G))
    r[0], r[-1] = 0, 1
    return rng.normal(size=(B, G)), r


def extreme(rng, ours, B, G):
    s = rng.normal(size=(B, G))
    s[0], s[-1] = 1000, -1000
    return s, rng.random((B, G))


def slope(draw):
    """Return the drawing of the arguments of the backward of the reliability."""

    def drawn(rng, ours, B, G):
        s, r = draw(rng, ours, B, G)
        return r, ours.our_reliability(s, r)[0]

    return drawn


GATE, BACK, TOLD, SLOPE = "our_gate", "our_gate_backward", "our_reliability", "our_reliability_backward"
CASES = [
    Case("forward", GATE, steps),
    Case("hard", GATE, none_above_zero, "no hidden number above 0"),
    Case("hard", GATE, one_step, "one step"),
    Case("backward", BACK, backward(steps)),
    Case("hard", BACK, backward(none_above_zero), "no hidden number above 0"),
    Case("hard", BACK, one_step_backward, "one step"),
    Case("forward", TOLD, states),
    Case("hard", TOLD, extreme, "scores of 1000 and -1000"),
    Case("backward", SLOPE, slope(states)),
    Case("hard", SLOPE, slope(extreme), "scores of 1000 and -1000"),
]

AHEAD, BEHIND, TELL = "Forward", "Backward", "Labels of reliability"
MISTAKES = [
    Mistake("no relu", GATE, "np.where(u.real > 0, u, 0)", "u", "the ReLU of u is missing", AHEAD),
    Mistake(
        "sign of s", GATE, "np.exp(-s)", "np.exp(s)", "the gate is turned: it is 1/(1 + exp(-s)), not 1/(1 + exp(s))", AHEAD
    ),
    Mistake(
        "shares of steps",
        GATE,
        "1 / (1 + np.exp(-s))",
        "np.exp(s) / np.exp(s).sum(1, keepdims=True)",
        "alpha is a softmax over steps: a sigmoid judges each step alone",
        AHEAD,
    ),
    Mistake("score passes", GATE, "y = alpha * x", "y = s * x", "x is multiplied by the score s, not by alpha", AHEAD),
    Mistake("rest passes", GATE, "y = alpha * x", "y = (1 - alpha) * x", "y is what the gate holds back, (1 - alpha) x", AHEAD),
    Mistake(
        "mean of channels", BACK, "(dy * x).sum(-1", "(dy * x).mean(-1", "dalpha is a sum over channels, not their mean", BEHIND
    ),
    Mistake("dalpha of y", BACK, "(dy * x)", "(dy * alpha * x)", "dalpha is made with y: y = alpha x asks for dy x", BEHIND),
    Mistake("no sigmoid", BACK, "dalpha * alpha * (1 - alpha)", "dalpha", "the derivative of the sigmoid is missing", BEHIND),
    Mistake(
        "no alpha", BACK, "dalpha * alpha *", "dalpha *", "the factor alpha is missing: ds = dalpha alpha (1 - alpha)", BEHIND
    ),
    Mistake("no rest", BACK, " * (1 - alpha)", "", "the factor 1 - alpha is missing: ds = dalpha alpha (1 - alpha)", BEHIND),
    Mistake(
        "no mask", BACK, "ds @ W2.T * (u > 0)", "ds @ W2.T", "the ReLU is forgotten: du is 0 where u is not above 0", BEHIND
    ),
    Mistake(
        "mask of du",
        BACK,
        "ds @ W2.T * (u > 0)",
        "np.maximum(ds @ W2.T, 0)",
        "the ReLU is taken of the gradient: its mask is u > 0, not du > 0",
        BEHIND,
    ),
    Mistake(
        "only passes", BACK, " + du @ W1.T", "", "only one of two uses of x counts: that it is multiplied by alpha", BEHIND
    ),
    Mistake("only decides", BACK, "alpha * dy + ", "", "only one of two uses of x counts: that it decides on alpha", BEHIND),
    Mistake("dy passes", BACK, "alpha * dy +", "dy +", "the factor alpha is missing: dx has alpha dy, not dy", BEHIND),
    Mistake("dW2 of u", BACK, '"bth,bts->hs", r', '"bth,bts->hs", u', "dW2 is made with u: s = r W2 + b2 asks for r", BEHIND),
    Mistake("db2 of dalpha", BACK, "db2 = ds", "db2 = dalpha", "db2 is the sum of dalpha, not of ds", BEHIND),
    Mistake(
        "log of alpha",
        TOLD,
        "(np.where(s.real > 0, s, 0) + np.log1p(e) - r * s)",
        "-(r * np.log(alpha) + (1 - r) * np.log(1 - alpha))",
        "the logarithm is taken of alpha or 1 - alpha, which can be 0: write it by s",
        TELL,
    ),
    Mistake(
        "one side",
        TOLD,
        "(np.where(s.real > 0, s, 0) + np.log1p(e) - r * s)",
        "(r * (np.where(s.real > 0, 0, -s) + np.log1p(e)))",
        "the term (1 - r) log(1 - alpha) is missing",
        TELL,
    ),
    Mistake("states turned", TOLD, "- r * s", "- (1 - r) * s", "the states are turned: r = 1 asks for alpha = 1", TELL),
    Mistake(
        "sigmoid again",
        SLOPE,
        "(alpha - r)",
        "(alpha - r) * alpha * (1 - alpha)",
        "the derivative of the sigmoid is in twice: it has cancelled the denominators",
        TELL,
    ),
    Mistake(
        "by alpha",
        SLOPE,
        "(alpha - r)",
        "(alpha - r) / (alpha * (1 - alpha))",
        "this is the derivative by alpha: multiply it by alpha (1 - alpha), that of the sigmoid",
        TELL,
    ),
    Mistake("slope of sum", SLOPE, " / alpha.size", "", "L is a mean over clips and gates, so ds is divided by B G", TELL),
]
LAWS = []
