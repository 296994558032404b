"""The solutions of the projects are refmer's layers, and run as their pages say."""

import re

import numpy as np

from refmer import params
from refmer.exercises import pages
from refmer.layers.attention import describe_encoder_layer, pre_norm_layer
from refmer.layers.dense import describe_linear, linear
from refmer.layers.gate import describe_gate, gate
from refmer.ops.attention import key_mask
from refmer.ops.losses import cross_entropy

EXERCISES = pages.exercises()


def test_transformer_layer_is_that_of_refmer():
    rng, ours = np.random.default_rng(0), EXERCISES["21_transformer_layer"].ours()
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
    n, h, m, y = ours.our_layer(*given)
    _, _, _, dx, *dweights = ours.our_layer_backward(dy, *given, n, h, m)
    theirs, backward = pre_norm_layer(p, x, heads, key_mask(mask))
    np.testing.assert_allclose(y, theirs, rtol=1e-12)
    np.testing.assert_allclose(dx, backward(dy, g), rtol=1e-12)
    for mine, other in zip(dweights, weights(g), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-13)


def test_gated_recognizer_is_that_of_refmer():
    rng, (B, F, G, H, K) = np.random.default_rng(0), (7, 5, 3, 4, 6)
    ours = EXERCISES["22_gated_recognizer"].ours()
    face, voice, y = rng.normal(size=(B, F)), rng.normal(size=(B, G)), np.eye(K)[rng.integers(K, size=B)]
    p = params.init({"gate": describe_gate(F, H), "out": describe_linear(F + G, K)}, 1, dtype=np.float64)
    weights = p.gate.hidden.W, p.gate.hidden.b, p.gate.score.W, p.gate.score.b, p.out.W, p.out.b
    gated, _, back_gate = gate(p.gate, face)
    x, back_out = linear(p.out, np.concatenate([gated, voice], 1))
    L, dx = cross_entropy(x, y, np.ones(K))
    g = params.zeros_like(p)
    back_gate(back_out(dx, g.out)[:, :F], 0.0, g.gate)
    stages = ours.our_model(face, voice, *weights)
    np.testing.assert_allclose(ours.our_loss(stages[-1], y), L, rtol=1e-12)
    mine = ours.our_model_backward(y, face, weights[0], weights[2], weights[4], *stages)[5:]
    theirs = g.gate.hidden.W, g.gate.hidden.b, g.gate.score.W, g.gate.score.b, g.out.W, g.out.b
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14)


def test_gated_recognizer_learns_as_its_page_says(capsys):
    exercise = EXERCISES["22_gated_recognizer"]
    text = pages.filled(exercise.page.read_text(), exercise.text)
    lines = text[text.index("# ## What it is good for") :].splitlines()
    code = "\n".join(line[6:] for line in lines if re.match(r"#( {5}|$)", line))
    exec(compile(f"{text}\n{code}", "page", "exec"), {"__name__": "__main__"})
    new, covered = map(float, re.findall(r"accuracy ([\d.]+), mean gate", capsys.readouterr().out))
    assert new > 0.5 and covered < new  # of six emotions
