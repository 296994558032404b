"""The laws of attention, its layers and encoders."""

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st

from refmer import params
from refmer.layers import attention as at
from refmer.layers.sequence import positions
from refmer.ops.attention import causal, key_mask
from refmer.proofs import moved

B, T, S, C, H = 2, 3, 5, 6, 2
rng = np.random.default_rng(1)
X, MEMORY = rng.normal(size=(B, T, C)), rng.normal(size=(B, S, C))
VALID = np.array([[True, True, True, False, False], [False] * 5])  # one clip short, one without any
ATTEND, ENCODER = moved(at.describe_attention(C)), moved(at.describe_encoder(C, 7, 3))


def test_attention_is_the_sum_over_heads_and_keys_written_out():
    y, _ = at.attention(ATTEND, X, MEMORY, H)
    q, k, v = (z @ m.W + m.b for z, m in ((X, ATTEND.query), (MEMORY, ATTEND.key), (MEMORY, ATTEND.value)))
    D = C // H
    for b in range(B):
        for t in range(T):
            heads = []
            for h in range(H):
                part = slice(h * D, (h + 1) * D)
                e = [np.exp(q[b, t, part] @ k[b, s, part] / np.sqrt(D)) for s in range(S)]
                heads.append(sum(e[s] * v[b, s, part] for s in range(S)) / sum(e))
            np.testing.assert_allclose(y[b, t], np.concatenate(heads) @ ATTEND.out.W + ATTEND.out.b, rtol=1e-12)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_the_order_of_keys_and_masked_keys_do_not_matter(T, S, seed):
    rng = np.random.default_rng(seed)
    x, memory = rng.normal(size=(B, T, C)), rng.normal(size=(B, S, C))
    order, valid = rng.permutation(S), rng.random((B, S)) > 0.4
    y, _ = at.attention(ATTEND, x, memory, H, key_mask(valid))
    other = np.where(valid[:, :, None], memory, 1e3)[:, order]
    np.testing.assert_allclose(at.attention(ATTEND, x, other, H, key_mask(valid[:, order]))[0], y, rtol=1e-9, atol=1e-12)


def test_a_query_whose_keys_are_all_masked_gives_zero_and_takes_no_gradient():
    trace = {}
    y, backward = at.attention(ATTEND, X, MEMORY, H, key_mask(VALID), trace=trace)
    assert not y[1].any() and y[0].all()
    np.testing.assert_allclose(trace["attention"].sum(-1), np.broadcast_to([[[1]], [[0]]], (B, H, T)), atol=1e-12)
    dy = np.zeros_like(y)
    dy[1] = 1  # the masked clip only
    g = params.zeros_like(ATTEND)
    dx, dmemory = backward(dy, g)
    assert not dx.any() and not dmemory.any() and not g.vector.any()


@given(st.integers(2, 6), st.data())
def test_later_steps_do_not_change_a_causal_encoder(T, data):
    t = data.draw(st.integers(1, T - 1))
    x = np.random.default_rng(T).normal(size=(B, T, C))
    other = np.concatenate([x[:, :t], 9 - x[:, t:]], 1)
    y, z = (at.encoder(ENCODER, v, H, causal(T, T))[0] for v in (x, other))
    np.testing.assert_allclose(z[:, :t], y[:, :t], rtol=1e-12)
    assert not np.allclose(z[:, t], y[:, t])


def test_every_layer_of_the_cross_encoder_reads_the_same_memory():
    y, _ = at.cross_encoder(ENCODER, X, MEMORY, H, places=(positions, None))
    h, m = positions(X * C**0.5)[0], MEMORY * C**0.5
    for layer in ENCODER.layers:
        h, _ = at.cross_layer(layer, h, m, H)
    np.testing.assert_allclose(y, at.layer_norm(ENCODER.norm, h)[0], rtol=1e-12)


def test_self_attention_shares_one_norm_with_its_keys_and_values():
    layer = ENCODER.layers[0]
    n, _ = at.layer_norm(layer.norm1, X)
    h = X + at.attention(layer.attend, n, n, H)[0]
    y = h + at.feed_forward(layer.ffn, at.layer_norm(layer.norm2, h)[0])[0]
    np.testing.assert_allclose(at.pre_norm_layer(layer, X, H)[0], y, rtol=1e-12)


@pytest.mark.parametrize("field", at.Rates._fields)
def test_each_rate_of_dropout_acts_in_training_only(field):
    rates = at.Rates(**{field: 0.5})
    plain = at.encoder(ENCODER, X, H)[0]
    np.testing.assert_array_equal(at.encoder(ENCODER, X, H, None, rates)[0], plain)
    assert not np.allclose(at.encoder(ENCODER, X, H, None, rates, np.random.default_rng(0))[0], plain)


def test_traces_name_the_layers():
    trace = {}
    at.encoder(ENCODER, X, H, trace=trace)
    assert list(trace) == [f"layers.{i}.attention" for i in range(3)]


def test_published_numbers_of_parameters():
    assert params.count(at.describe_attention(1024)) == 4_198_400
    assert params.count(at.describe_encoder_layer(130, 520)) == 204_490
    assert params.count(at.describe_encoder(130, 520, 5)) == 1_022_710


test_bad_input_is_named = errors(
    (lambda: at.attention(ATTEND, X, MEMORY, 4), r"expected \(B, T, heads\*D\) = \(2, ., 4\) where heads = 4"),
    (lambda: at.attention(ATTEND, X, MEMORY, H, key_mask(VALID[:, 1:])), r"mask has shape \(2, 1, 1, 4\)"),
    (lambda: at.attention(ATTEND, X, MEMORY[..., 1:], H), "x has width 5 .* accepted: 6"),
    (lambda: at.attention(ATTEND, X, MEMORY[:1], H), "memory holds 1 clips, x 2"),
    (lambda: at.cross_encoder(ENCODER, X, MEMORY, H, scale="root"), "scale is 'root'"),
)
