"""Cases and mistakes of exercise 21, a Transformer encoder layer."""

import numpy as np

from refmer.exercises.case import Case, Law, Mistake


def norm(rng, ours, B, T, C):
    return rng.normal(1, 2, size=(B, T, C)), rng.normal(size=C), rng.normal(size=C)


def equal(rng, ours, B, T, C):
    x, gamma, beta = norm(rng, ours, B, T, C)
    x[:, -1] = x[:, -1, :1]
    return x, gamma, beta


def norm_backward_of(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, T, C):
        x, gamma, beta = draw(rng, ours, B, T, C)
        z, r, y = ours.our_layer_norm(x, gamma, beta)
        return rng.normal(size=y.shape), gamma, z, r

    return drawn


def attention(rng, ours, B, T, D, heads=2):
    C = heads * D
    mask = rng.random((B, T)) < 0.7
    mask[:, 0], mask[0, -1] = True, False
    return rng.normal(size=(B, T, C)), rng.normal(size=(4, C, C)) / C**0.5, rng.normal(size=(4, C)), mask, heads


def nothing(rng, ours, B, T, D):
    *given, mask, heads = attention(rng, ours, B, T, D)
    mask[-1] = False
    return *given, mask, heads


def large(rng, ours, B, T, D):
    x, W, *given = attention(rng, ours, B, T, D)
    return x, W * np.array([1000, 1, 1, 1])[:, None, None], *given


def one_head(rng, ours, B, T, D):
    return attention(rng, ours, B, T, D, heads=1)


def attention_backward_of(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, T, D):
        x, W, b, mask, heads = draw(rng, ours, B, T, D)
        *saved, y = ours.our_multi_head(x, W, b, mask, heads)
        return rng.normal(size=y.shape), x, W, mask, *saved

    return drawn


def network(rng, ours, B, T, C, F):
    return tuple(rng.normal(size=n) for n in ((B, T, C), (C, F), F, (F, C), C))


def at_zero(rng, ours, B, T, C, F):
    x, W1, _, W2, b2 = network(rng, ours, B, T, C, F)
    x, W1 = np.rint(3 * x), np.rint(3 * W1)
    return x, W1, -(x[0, 0] @ W1), W2, b2


def network_backward_of(draw):
    """Return the drawing of the arguments of the backward."""

    def drawn(rng, ours, B, T, C, F):
        x, W1, b1, W2, b2 = draw(rng, ours, B, T, C, F)
        u, r, y = ours.our_feed_forward(x, W1, b1, W2, b2)
        return rng.normal(size=y.shape), x, W1, W2, u, r

    return drawn


def layer_of(draw):
    """Return the drawing of the arguments of the layer, with attention of `draw`."""

    def drawn(rng, ours, B, T, D, F):
        x, W, b, mask, heads = draw(rng, ours, B, T, D)
        _, *norm1 = norm(rng, ours, B, T, x.shape[2])
        _, *norm2 = norm(rng, ours, B, T, x.shape[2])
        _, *maps = network(rng, ours, B, T, x.shape[2], F)
        return x, mask, heads, *norm1, W, b, *norm2, *maps

    return drawn


def layer_backward_of(draw):
    """Return the drawing of the arguments of the backward of the layer."""

    def drawn(rng, ours, B, T, D, F):
        given = layer_of(draw)(rng, ours, B, T, D, F)
        n, h, m, y = ours.our_layer(*given)
        return rng.normal(size=y.shape), *given, n, h, m

    return drawn


def one_step(draw):
    """Return a drawing of sequences of one step."""
    return lambda rng, ours, B, D, F: draw(rng, ours, B, 1, D, F)


def alone(rng, ours, B, T, D):
    *given, mask, heads = attention(rng, ours, B, T, D)
    return *given, np.ones_like(mask), heads


NORM, NORM_BACK, HEADS, HEADS_BACK = "our_layer_norm", "our_layer_norm_backward", "our_multi_head", "our_multi_head_backward"
NETWORK, NETWORK_BACK = "our_feed_forward", "our_feed_forward_backward"
LAYER, LAYER_BACK = "our_layer", "our_layer_backward"
CASES = [
    Case("forward", NORM, norm),
    Case("hard", NORM, equal, "a step of equal numbers"),
    Case("forward", HEADS, attention),
    Case("hard", HEADS, nothing, "a clip without a valid step"),
    Case("hard", HEADS, large, "large scores"),
    Case("hard", HEADS, one_head, "one head"),
    Case("forward", NETWORK, network),
    Case("forward", LAYER, layer_of(attention)),
    Case("hard", LAYER, layer_of(nothing), "a clip without a valid step"),
    Case("backward", NORM_BACK, norm_backward_of(norm)),
    Case("hard", NORM_BACK, norm_backward_of(equal), "a step of equal numbers"),
    Case("backward", HEADS_BACK, attention_backward_of(attention)),
    Case("hard", HEADS_BACK, attention_backward_of(nothing), "a clip without a valid step"),
    Case("backward", NETWORK_BACK, network_backward_of(network)),
    Case("hard", NETWORK_BACK, network_backward_of(at_zero), "u is exactly 0"),
    Case("backward", LAYER_BACK, layer_backward_of(attention)),
    Case("hard", LAYER_BACK, layer_backward_of(nothing), "a clip without a valid step"),
    Case("hard", LAYER_BACK, one_step(layer_backward_of(alone)), "one step"),
]

OF_NORM, OF_HEADS, OF_NETWORK, OF_LAYER = "Layer norm", "Attention with heads", "Feed-forward network", "The layer"
BACK, HARD = "Backward", "Hard cases"
MISTAKES = [
    Mistake(
        "eps outside",
        NORM,
        "np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)",
        "(np.sqrt((centred**2).mean(-1, keepdims=True)) + 1e-5)",
        "eps is added to the root, not under it",
        OF_NORM,
    ),
    Mistake("no eps", NORM, "keepdims=True) + 1e-5", "keepdims=True)", "eps is missing under the root", OF_NORM),
    Mistake(
        "C - 1",
        NORM,
        "(centred**2).mean(-1, keepdims=True)",
        "(centred**2).sum(-1, keepdims=True) / (x.shape[-1] - 1)",
        "the variance is divided by C - 1, not by C",
        OF_NORM,
    ),
    Mistake(
        "two means",
        NORM_BACK,
        "(dz - dz.mean(-1, keepdims=True) - z * (dz * z).mean(-1, keepdims=True))",
        "dz",
        "the two means of layer norm are missing in dx: the mean and the variance depend on x, too",
        BACK,
    ),
    Mistake("first mean", NORM_BACK, " - dz.mean(-1, keepdims=True)", "", "the mean of dz is missing in dx", BACK),
    Mistake(
        "second mean",
        NORM_BACK,
        " - z * (dz * z).mean(-1, keepdims=True)",
        "",
        "the mean of dz z is missing in dx: the variance depends on x, too",
        BACK,
    ),
    Mistake("dgamma of dz", NORM_BACK, "(dy * z)", "(dz * z)", "dgamma is made with dz in place of dy", BACK),
    Mistake("scale C", HEADS, "q.shape[-1] ** 0.5", "C**0.5", "the scores are divided by sqrt(C), not by sqrt(D)", OF_HEADS),
    Mistake(
        "every Hth",
        HEADS,
        ".reshape(B, T, heads, -1).swapaxes(1, 2)",
        ".reshape(B, T, -1, heads).transpose(0, 3, 1, 2)",
        "a head takes every H-th number; it has to take D neighbours",
        OF_HEADS,
    ),
    Mistake(
        "queries hidden",
        HEADS,
        "mask[:, None, None]",
        "mask[:, None, :, None]",
        "the mask hides queries; it has to hide keys",
        OF_HEADS,
    ),
    Mistake(
        "bias of nothing",
        HEADS,
        "np.where(mask.any(-1)[:, None, None], c @ W[3] + b[3], 0)",
        "c @ W[3] + b[3]",
        "the output of a clip without a valid step is the bias; it has to be 0",
        HARD,
    ),
    Mistake(
        "inner sum",
        HEADS_BACK,
        " - (a * da).sum(-1, keepdims=True)",
        "",
        "the inner sum of softmax is missing: dz = a (da - sum of a da)",
        BACK,
    ),
    Mistake(
        "one use",
        HEADS_BACK,
        "enumerate(dmaps)",
        "enumerate(dmaps[:1])",
        "only one of three uses of x counts: dx is that of q",
        BACK,
    ),
    Mistake(
        "side by side",
        HEADS_BACK,
        "d.swapaxes(1, 2).reshape(B, T, C)",
        "d.reshape(B, T, C)",
        "heads are not put side by side: (B, H, T, D) has to become (B, T, H, D) first",
        BACK,
    ),
    Mistake(
        "dy of nothing",
        HEADS_BACK,
        "np.where(mask.any(-1)[:, None, None], dy, 0)",
        "dy",
        "dy of a clip without a valid step counts; its output is 0",
        HARD,
    ),
    Mistake("dk scale", HEADS_BACK, "@ q / D**0.5", "@ q", "the scale 1/sqrt(D) is missing in dk", BACK),
    Mistake("no relu", NETWORK_BACK, "np.where(u > 0, dr, 0)", "dr.copy()", "du is not 0 where u is negative", BACK),
    Mistake(
        "mask of dr", NETWORK_BACK, "np.where(u > 0", "np.where(dr > 0", "relu's mask is that of dr; it has to be u > 0", BACK
    ),
    Mistake("u is 0", NETWORK_BACK, "u > 0", "u >= 0", "where u is 0 the slope of the maximum is 0", HARD),
    Mistake("not normed", LAYER, "our_multi_head(n,", "our_multi_head(x,", "the attention gets x, not n = LN1(x)", OF_LAYER),
    Mistake(
        "normed residual",
        LAYER,
        "h = x + attended",
        "h = n + attended",
        "n is added to the attention's output in place of x",
        OF_LAYER,
    ),
    Mistake(
        "other residual", LAYER, "y = h + fed", "y = m + fed", "m is added to the network's output in place of h", OF_LAYER
    ),
    Mistake(
        "dh path",
        LAYER_BACK,
        "dh = dy + through",
        "dh = through",
        "the residual path around the network is cut: h is in y, too",
        OF_LAYER,
    ),
    Mistake(
        "dx path",
        LAYER_BACK,
        "dx = dh + through",
        "dx = through",
        "the residual path around the attention is cut: x is in h, too",
        OF_LAYER,
    ),
    Mistake(
        "dy for dh",
        LAYER_BACK,
        "our_multi_head_backward(dh,",
        "our_multi_head_backward(dy,",
        "the attention gets dy as upstream; its output is in h, so it has to be dh",
        OF_LAYER,
    ),
]
LAWS = [
    Law(NORM_BACK, "dx", lambda dx: dx.sum(-1), "sum over the numbers of a step is {:.2g}; the mean in layer norm asks for 0"),
    Law(HEADS_BACK, "dz", lambda dz: dz.sum(-1), "rows sum to {:.2g}; softmax asks for 0"),
]
