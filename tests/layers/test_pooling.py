"""Pooling over windows, positions and time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer import params
from refmer.layers import sequence
from refmer.ops.convolution import padding_of
from refmer.proofs import moved

B, C = 2, 3
rng = np.random.default_rng(1)
shapes = st.tuples(st.integers(1, 4), st.integers(1, 3), st.sampled_from(["valid", "same", "causal"]))


def cover(length, size, stride, padding):
    """The inputs in each window."""
    before, after = padding_of(padding, size)
    starts = range(-before, length + after - size + 1, stride)
    return [slice(max(s, 0), s + size) for s in starts]


@settings(deadline=None, max_examples=25)
@given(shapes, st.integers(4, 8))
def test_pooling_along_time_is_a_loop(shape, T):
    x = rng.normal(size=(B, T, C)) - 10
    for pool, one in [(sequence.max_pool1d, np.max), (sequence.avg_pool1d, np.mean)]:
        want = np.stack([one(x[:, part], axis=1) for part in cover(T, *shape)], 1)
        np.testing.assert_allclose(pool(x, *shape)[0], want, rtol=1e-12)


@settings(deadline=None, max_examples=25)
@given(shapes, st.integers(4, 6), st.integers(4, 7))
def test_pooling_of_images_is_a_loop(shape, H, W):
    x = rng.normal(size=(B, H, W, C)) - 10
    for pool, one in [(sequence.max_pool2d, np.max), (sequence.avg_pool2d, np.mean)]:
        want = np.stack([np.stack([one(x[:, a, b], axis=(1, 2)) for b in cover(W, *shape)], 1) for a in cover(H, *shape)], 1)
        np.testing.assert_allclose(pool(x, *shape)[0], want, rtol=1e-12)


def test_masked_frames_take_no_part_in_a_window():
    x = np.array([[[-3.0], [5], [-1]]])
    mask = np.array([[True, False, True]])
    np.testing.assert_array_equal(sequence.max_pool1d(x, 2, mask=mask)[0], [[[-3], [-1]]])
    np.testing.assert_array_equal(sequence.avg_pool1d(x, 3, mask=mask)[0][:, 0], [[-3]])


def test_last_step_and_last_valid_step():
    x, valid = rng.normal(size=(B, 5, C)), np.arange(5) < np.array([[3], [0]])
    np.testing.assert_array_equal(sequence.last_step(x)[0], x[:, -1])
    y, _ = sequence.last_valid_step(x, valid)
    np.testing.assert_array_equal(y[0], x[0, 2])
    assert (y[1] == 0).all()


def test_mean_positions_is_the_mean_over_all_between():
    x = rng.normal(size=(B, 2, 3, 4, C))
    np.testing.assert_allclose(sequence.mean_positions(x)[0], x.mean((1, 2, 3)), rtol=1e-12)


def test_the_prepended_token_is_first_and_valid():
    p, x = moved(sequence.describe_prepend(C)), rng.normal(size=(B, 2, C))
    y, _ = sequence.prepend(p, x)
    assert (y[:, 0] == p.token).all() and (y[:, 1:] == x).all()
    np.testing.assert_array_equal(sequence.prepend_mask(np.array([[True, False]])), [[True, True, False]])
    with pytest.raises(ValueError, match="x has width 2 .* accepted: 3"):
        sequence.prepend(p, x[..., :2])


def test_paper_004_counts():
    assert params.count(sequence.describe_statistics_pool(1024)) == 1_050_624


def test_statistics_pool_weighs_by_its_scores():
    p, x = moved(sequence.describe_statistics_pool(C)), rng.normal(size=(B, 5, C))
    score = (np.tanh(x @ p.hidden.W + p.hidden.b) @ p.score.W)[..., 0]
    a = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    trace = {}
    y, _ = sequence.statistics_pool(p, x, trace=trace)
    mean = (a[..., None] * x).sum(1)
    var = (a[..., None] * x**2).sum(1) - mean**2
    np.testing.assert_allclose(y, np.concatenate([mean, np.sqrt(var)], 1), rtol=1e-10)
    np.testing.assert_allclose(trace["weights"], a, rtol=1e-12)


def test_statistics_pool_of_nothing_and_of_a_constant():
    p, x = moved(sequence.describe_statistics_pool(C)), np.ones((B, 5, C))
    g = params.zeros_like(p)
    y, backward = sequence.statistics_pool(p, x, np.array([[True] * 5, [False] * 5]))
    dx = backward(np.ones_like(y), g)
    assert (y[1] == 0).all() and (dx[1] == 0).all()
    assert np.isfinite(dx).all() and np.isfinite(g.vector).all() and (y[0] > 0).all()


@pytest.mark.parametrize("pool", [sequence.mean_pool, sequence.last_valid_step])
def test_a_mask_of_another_length_is_named(pool):
    with pytest.raises(ValueError, match=r"mask has shape \(2, 4\)"):
        pool(np.ones((B, 5, C)), np.ones((B, 4), bool))
