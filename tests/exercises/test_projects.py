"""The sources of the projects are equal to refmer's own layers."""

import numpy as np

from refmer import params
from refmer.exercises.projects import transformer_layer
from refmer.layers.attention import describe_encoder_layer, pre_norm_layer
from refmer.ops.attention import key_mask


def test_transformer_layer_is_that_of_refmer():
    rng = np.random.default_rng(0)
    B, T, C, F, heads = 3, 4, 6, 10, 2
    p = params.init(describe_encoder_layer(C, F), seed=0, dtype=np.float64)
    p.vector += 0.1 * rng.normal(size=p.vector.shape)  # biases, too
    g = params.zeros_like(p)
    x, dy, mask = rng.normal(size=(B, T, C)), rng.normal(size=(B, T, C)), np.arange(T) < np.array([[4], [2], [0]])

    def weights(p):
        """The weights in the order of the project."""
        maps = [getattr(p.attend, name) for name in ("query", "key", "value", "out")]
        attention = np.stack([m.W for m in maps]), np.stack([m.b for m in maps])
        norms = (p.norm1.gamma, p.norm1.beta), (p.norm2.gamma, p.norm2.beta)
        return *norms[0], *attention, *norms[1], p.ffn.up.W, p.ffn.up.b, p.ffn.down.W, p.ffn.down.b

    given = x, mask, heads, *weights(p)
    n, h, m, y = transformer_layer.our_layer(*given)
    _, _, _, dx, *dweights = transformer_layer.our_layer_backward(dy, *given, n, h, m)
    theirs, backward = pre_norm_layer(p, x, heads, key_mask(mask))
    np.testing.assert_allclose(y, theirs, rtol=1e-12)
    np.testing.assert_allclose(dx, backward(dy, g), rtol=1e-12)
    for mine, other in zip(dweights, weights(g), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-13)
