"""The laws of joint cross-attention and dense co-attention (paper 003)."""

import numpy as np
import pytest

from refmer import params
from refmer.layers import coattention
from refmer.proofs import moved

B, T, A, V = 2, 5, 3, 4
rng = np.random.default_rng(1)
AUDIO, VISUAL = rng.normal(size=(B, T, A)), rng.normal(size=(B, T, V))
VALID = np.array([[True, True, True, False, False], [True] * T])
LAYERS = {
    "joint": (coattention.joint_cross_attention, moved(coattention.describe_joint_cross_attention(A, V, T, 7))),
    "dense": (coattention.dense_coattention, moved(coattention.describe_dense_coattention(A, V, T))),
}
each = pytest.mark.parametrize("layer, p", LAYERS.values(), ids=LAYERS)


@each
def test_what_lies_in_padding_changes_no_valid_output_and_no_gradient(layer, p):
    other = [np.where(VALID[..., None], x, 1e3) for x in (AUDIO, VISUAL)]
    dy = [VALID[..., None] * rng.normal(size=x.shape) for x in (AUDIO, VISUAL)]
    found = []
    for x in ((AUDIO, VISUAL), other):
        g = params.zeros_like(p)
        y, backward = layer(p, *x, VALID)
        dx = backward(dy, g)
        assert not any(d[~VALID].any() for d in dx)
        found.append([*(v[VALID] for v in y), *dx, g.vector])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@each
def test_a_clip_alone_gives_the_same(layer, p):
    y, _ = layer(p, AUDIO, VISUAL, VALID)
    alone, _ = layer(p, AUDIO[:1], VISUAL[:1], VALID[:1])
    for a, b in zip(alone, y, strict=True):
        np.testing.assert_allclose(a, b[:1], rtol=1e-11)


@each
def test_another_number_of_steps_is_named(layer, p):
    with pytest.raises(ValueError, match="audio has 4 steps, visual 4; accepted: 5"):
        layer(p, AUDIO[:, 1:], VISUAL[:, 1:])
    with pytest.raises(ValueError, match=r"mask has shape \(2, 4, 1\)"):
        layer(p, AUDIO, VISUAL, VALID[:, 1:])


def test_joint_cross_attention_written_out_in_the_letters_of_the_paper():
    layer, p = LAYERS["joint"]
    y = layer(p, AUDIO, VISUAL)[0]
    for b in range(B):
        J = np.concatenate([AUDIO[b], VISUAL[b]], -1)  # (L, d)
        for x, found, q in ((AUDIO[b], y[0][b], p.audio), (VISUAL[b], y[1][b], p.visual)):
            C = np.tanh(x.T @ q.correlate.W @ J / np.sqrt(A + V))  # (c, d)
            H = np.maximum(q.time.W.T @ x + q.relate.W.T @ C.T, 0)  # (k, c)
            np.testing.assert_allclose(found, q.expand.W.T @ H + x, rtol=1e-11)


def test_dense_coattention_written_out_with_sums_over_valid_steps():
    layer, p = LAYERS["dense"]
    y = layer(p, AUDIO, VISUAL, VALID)[0]
    for b, n in enumerate(VALID.sum(1)):
        audio, visual = AUDIO[b, :n], VISUAL[b, :n]
        q = np.concatenate([audio, visual], -1) @ p.query.W + p.query.b
        for x, found, m in ((audio, y[0][b, :n], p.audio), (visual, y[1][b, :n], p.visual)):
            k = x.T @ m.time.W[:n, :n] + m.time.b[:n]
            S = np.tanh(k @ q / np.sqrt(A + V))
            w = np.maximum(np.tanh((x @ m.guide.W + m.guide.b) @ S), 0)
            np.testing.assert_allclose(found, x + np.maximum(w @ m.out.W + m.out.b, 0), rtol=1e-11)


def test_published_numbers_of_parameters():
    assert params.count(coattention.describe_dense_coattention(512, 512, 16)) == 2_625_056
    assert params.count(coattention.describe_joint_cross_attention(512, 512, 16, 32)) == 68_096
    assert params.count(coattention.describe_joint_cross_attention(128, 128, 16, 32)) == 18_944  # the JCA baseline's
