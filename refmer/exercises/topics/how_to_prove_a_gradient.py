"""Cases, mistakes and laws of exercise 2, layer norm and derivatives."""

from refmer.exercises.case import Case, Law, Mistake


def rows(rng, ours, B, C):
    return 3 * rng.normal(size=(B, C)) + 1, rng.normal(size=C), rng.normal(size=C)


def equal(rng, ours, B, C):
    x, gamma, beta = rows(rng, ours, B, C)
    x[0] = 2.0
    return x, gamma, beta


def small(rng, ours, B, C):
    x, gamma, beta = rows(rng, ours, B, C)
    return 1e-3 * x, gamma, beta


def backward(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, C):
        x, gamma, beta = draw(rng, ours, B, C)
        z, r, y = ours.our_layer_norm(x, gamma, beta)
        return rng.normal(size=y.shape), z, r, gamma

    return drawn


def polynomial(rng, ours, B, K):
    return rng.normal(size=K + 1), rng.normal(size=B)


def polynomial_backward(rng, ours, B, K):
    return rng.normal(size=B), *polynomial(rng, ours, B, K)


def at_zero(rng, ours, B, K):
    dy, c, x = polynomial_backward(rng, ours, B, K)
    return dy, c, 0 * x


def steps(rng, ours, B, K):
    return *polynomial(rng, ours, B, K), 0.1


FORWARD, BACK, POLY, SLOPES = "our_layer_norm", "our_layer_norm_backward", "our_polynomial_backward", "our_derivatives"
CASES = [
    Case("forward", FORWARD, rows),
    Case("hard", FORWARD, equal, "a row of equal numbers"),
    Case("hard", FORWARD, small, "small numbers, so that epsilon counts"),
    Case("backward", BACK, backward(rows)),
    Case("hard", BACK, backward(equal), "a row of equal numbers"),
    Case("forward", "our_polynomial", polynomial),
    Case("backward", POLY, polynomial_backward),
    Case("hard", POLY, at_zero, "x is 0"),
    Case("forward", SLOPES, steps),
]

NORM, LAW, STEP = "Layer norm", "Its derivative", "The complex step"
USUAL = "The usual test: a difference quotient"
MISTAKES = [
    Mistake(
        "whole mean", FORWARD, "x - x.mean(-1, keepdims=True)", "x - x.mean()", "the mean is taken over the batch, too", NORM
    ),
    Mistake("not centred", FORWARD, "v = (d * d)", "v = (x * x)", "the variance is that of x, not of its deviations", NORM),
    Mistake(
        "ddof",
        FORWARD,
        "(d * d).mean(-1, keepdims=True)",
        "(d * d).sum(-1, keepdims=True) / (x.shape[-1] - 1)",
        "the variance is divided by C - 1, not by C",
        NORM,
    ),
    Mistake("no epsilon", FORWARD, "v + 1e-5", "np.where(v == 0, 1e-5, v)", "epsilon is missing", NORM),
    Mistake(
        "epsilon outside", FORWARD, "r = (v + 1e-5) ** -0.5", "r = 1 / (v**0.5 + 1e-5)", "epsilon is outside the root", NORM
    ),
    Mistake("no root", FORWARD, "** -0.5", "** -1.0", "r is 1/(v + epsilon): the root is missing", NORM),
    Mistake("no gamma", BACK, "dz = dy * gamma", "dz = dy + 0 * gamma", "gamma is missing: dz = gamma dy", LAW),
    Mistake(
        "no means",
        BACK,
        "(dz - dz.mean(-1, keepdims=True) - z * (dz * z).mean(-1, keepdims=True))",
        "dz",
        "both means are missing: dx is not r dz alone",
        LAW,
    ),
    Mistake("first mean", BACK, " - dz.mean(-1, keepdims=True)", "", "the mean of dz is missing: x moves its own mean", LAW),
    Mistake(
        "second mean",
        BACK,
        " - z * (dz * z).mean(-1, keepdims=True)",
        "",
        "the mean of dz z is missing: x moves its own r",
        LAW,
    ),
    Mistake("z twice", BACK, "z * (dz * z).mean", "(dz * z).mean", "the factor z of the second mean is missing", LAW),
    Mistake(
        "means of batch",
        BACK,
        "dz.mean(-1, keepdims=True) - z * (dz * z).mean(-1, keepdims=True)",
        "dz.mean(0) - z * (dz * z).mean(0)",
        "the means run over the batch, not over the numbers of a row",
        LAW,
    ),
    Mistake("no r", BACK, "dx = r * (dz", "dx = (dz", "the factor r is missing in dx", LAW),
    Mistake(
        "dgamma of y", BACK, "(dy * z).sum(0)", "(dz * z).sum(0)", "dgamma is made with dz: y = gamma z + beta asks for dy", LAW
    ),
    Mistake("mean over rows", BACK, "dbeta = dy.sum(0)", "dbeta = dy.mean(0)", "dbeta is a sum over rows, not their mean", LAW),
    Mistake("no k", POLY, "k * c[k] * x", "c[k] * x", "the exponent k is no factor: (x^k)' = k x^(k - 1)", STEP),
    Mistake("exponent", POLY, "x ** (k - 1)", "x**k", "the exponent is not lowered: (x^k)' = k x^(k - 1)", STEP),
    Mistake(
        "one-sided",
        SLOPES,
        "our_polynomial(c, x - h)) / (2 * h)",
        "our_polynomial(c, x)) / h",
        "the difference is one-sided: f(x + h) - f(x - h), divided by 2 h",
        USUAL,
    ),
    Mistake("h only", SLOPES, "/ (2 * h)", "/ h", "the points are 2 h apart, and the difference is divided by h", USUAL),
    Mistake(
        "real part", SLOPES, "1e-30j).imag / 1e-30", "1e-30j).real / 1e-30", "the derivative is in the imaginary part", STEP
    ),
]
LAWS = [Law(BACK, "dx", lambda dx: dx.sum(-1), "rows sum to {:.2g}; a shift of x changes nothing, so they sum to 0")]
