"""Laws of the layers along time: LSTM and GRU, pooling, learned vectors, positions and the sum of layers."""

import math

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st

from refmer import params
from refmer.layers import sequence
from refmer.layers.auxformer import literal_positions
from refmer.layers.sequence import sinusoidal
from refmer.ops.convolution import padding_of
from refmer.proofs import moved

B, T, D, H = 3, 5, 4, 2
rng = np.random.default_rng(1)
X = rng.normal(size=(B, T, D))
VALID = np.arange(T) < np.array([5, 3, 0])[:, None]
TABLE = moved(sequence.describe_embedding(4, D))
LSTM, GRU = moved(sequence.describe_lstm(D, H)), moved(sequence.describe_gru(D, H))


def test_published_numbers_of_parameters():
    assert params.count(sequence.describe_lstm(512, 256, 2, True)) == 3_153_920  # paper 003
    assert params.count(sequence.describe_lstm(1024, 256, 2, True)) == 4_202_496
    assert params.count(sequence.describe_statistics_pool(1024)) == 1_050_624  # paper 004
    assert 4 * params.count(sequence.describe_gru(D, H)) == 3 * params.count(sequence.describe_lstm(D, H))


def test_both_ways_is_each_way_side_by_side():
    p = moved(sequence.describe_lstm(D, H, 1, True))
    y, _ = sequence.lstm(p, X)
    zero = np.zeros((B, H))
    forwards, backwards = p.layers[0]
    np.testing.assert_allclose(y[..., :H], sequence.lstm_direction(forwards, X, zero, zero)[0], rtol=1e-12)
    np.testing.assert_allclose(y[:, ::-1, H:], sequence.lstm_direction(backwards, X[:, ::-1], zero, zero)[0], rtol=1e-12)


def test_a_stack_feeds_each_layer_with_the_one_below():
    p = moved(sequence.describe_lstm(D, H, 2))
    state = rng.normal(size=(2, 2, B, H))
    h, _ = sequence.lstm_direction(p.layers[0][0], X, *state[:, 0])
    y, _ = sequence.lstm_direction(p.layers[1][0], h, *state[:, 1])
    np.testing.assert_allclose(sequence.lstm(p, X, state)[0], y, rtol=1e-12)


def test_one_direction_is_causal_and_the_other_anticausal():
    earlier, later = X.copy(), X.copy()
    later[:, 3:] += 1
    p = moved(sequence.describe_lstm(D, H, 2))
    np.testing.assert_array_equal(sequence.lstm(p, X)[0][:, :3], sequence.lstm(p, later)[0][:, :3])
    earlier[:, :3] += 1
    before, after = (sequence.gru(GRU, x, reverse=True)[0] for x in (X, earlier))
    np.testing.assert_array_equal(before[:, 3:], after[:, 3:])


def test_a_clip_in_two_halves_is_the_clip_when_the_state_is_handed_on():
    first = sequence.gru(GRU, X[:, :2])[0]
    np.testing.assert_allclose(sequence.gru(GRU, X[:, 2:], first[:, -1])[0], sequence.gru(GRU, X)[0][:, 2:], rtol=1e-12)


def test_masked_steps_give_zero_and_get_no_gradient():
    p = moved(sequence.describe_lstm(D, H, 2, True))
    y, backward = sequence.lstm(p, X, mask=VALID)
    dx = backward(np.ones_like(y), params.zeros_like(p))
    assert (y[~VALID] == 0).all() and (dx[~VALID] == 0).all()
    assert (y[VALID] != 0).all() and (dx[VALID] != 0).all()


def test_dropout_is_between_layers_only():
    for p, same in [(LSTM, True), (moved(sequence.describe_lstm(D, H, 2)), False)]:
        y, dropped = sequence.lstm(p, X)[0], sequence.lstm(p, X, rate=0.5, rng=np.random.default_rng(0))[0]
        assert np.array_equal(y, dropped) == same


@given(st.integers(1, 4), st.integers(1, 3), st.sampled_from(["valid", "same", "causal"]), st.integers(4, 8))
def test_max_pooling_is_a_loop_over_windows(size, stride, padding, T):
    x = np.random.default_rng(T).normal(size=(B, T, D)) - 10  # all negative: padding must not win
    before, after = padding_of(padding, size)
    starts = range(-before, T + after - size + 1, stride)
    y = np.stack([x[:, max(s, 0) : s + size].max(axis=1) for s in starts], 1)
    np.testing.assert_allclose(sequence.max_pool1d(x, size, stride, padding)[0], y, rtol=1e-12)


def test_masked_frames_are_left_out_of_a_window():
    x, mask = np.array([[[-3.0], [5], [-1]]]), np.array([[True, False, True]])
    np.testing.assert_array_equal(sequence.max_pool1d(x, 2, mask=mask)[0], [[[-3], [-1]]])


def test_mean_positions_is_the_mean_over_all_axes_between():
    x = rng.normal(size=(B, 2, 3, 4, D))
    np.testing.assert_allclose(sequence.mean_positions(x)[0], x.mean((1, 2, 3)), rtol=1e-12)


def test_statistics_pool_weighs_by_its_scores():
    p, trace = moved(sequence.describe_statistics_pool(D)), {}
    score = (np.tanh(X @ p.hidden.W + p.hidden.b) @ p.score.W)[..., 0]
    a = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    y, _ = sequence.statistics_pool(p, X, trace=trace)
    mean = (a[..., None] * X).sum(1)
    var = (a[..., None] * X**2).sum(1) - mean**2
    np.testing.assert_allclose(y, np.concatenate([mean, np.sqrt(var)], 1), rtol=1e-10)
    np.testing.assert_allclose(trace["weights"], a, rtol=1e-12)


def test_statistics_pool_of_an_empty_and_of_a_constant_clip():
    p, x = moved(sequence.describe_statistics_pool(D)), np.ones((2, T, D))
    g = params.zeros_like(p)
    y, backward = sequence.statistics_pool(p, x, np.array([[True] * T, [False] * T]))
    dx = backward(np.ones_like(y), g)
    assert (y[1] == 0).all() and (dx[1] == 0).all()
    assert np.isfinite(dx).all() and np.isfinite(g.vector).all() and (y[0] > 0).all()


def test_the_prepended_token_is_first():
    p = moved(sequence.describe_prepend(D))
    y, _ = sequence.prepend(p, X)
    assert (y[:, 0] == p.token).all() and (y[:, 1:] == X).all()


def test_modality_embeddings_of_joined_streams_are_those_of_each_stream():
    joined, backward = sequence.modality_embedding(TABLE, X, np.array([0, 0, 2, 2, 2]))
    np.testing.assert_array_equal(joined[:, :2], sequence.modality_embedding(TABLE, X[:, :2], 0)[0])
    np.testing.assert_array_equal(joined[:, 2:], sequence.modality_embedding(TABLE, X[:, 2:], 2)[0])
    g, dy = params.zeros_like(TABLE), rng.normal(size=X.shape)
    backward(dy, g)
    np.testing.assert_allclose(g.W, np.einsum("tn,btc->nc", np.eye(4)[[0, 0, 2, 2, 2]], dy), atol=1e-14)
    assert (g.W[[1, 3]] == 0).all()  # of no step


def test_tokens_are_the_same_for_every_clip():
    p = moved(sequence.describe_tokens(3, 6))
    y, backward = sequence.tokens(p, 7)
    assert y.shape == (7, 3, 6) and (y == p.W).all()
    g = params.zeros_like(p)
    backward(np.ones_like(y), g)
    np.testing.assert_array_equal(g.W, 7)


def test_the_sum_of_layers_starts_as_their_mean_and_can_choose_one():
    layers = rng.normal(size=(2, 5, 4, 3))
    p, trace = params.init(sequence.describe_layer_sum(4), 0, np.float64), {}
    np.testing.assert_allclose(sequence.layer_sum(p, layers, trace)[0], layers.mean(2), rtol=1e-12)
    np.testing.assert_allclose(trace["layers"], 0.25)
    p.score[2] = 1e4
    np.testing.assert_allclose(sequence.layer_sum(p, layers)[0], layers[:, :, 2], rtol=1e-12)


def test_positions_are_added_to_valid_steps_only():
    y = sequence.positions(X, VALID)[0]
    np.testing.assert_array_equal(y[~VALID], X[~VALID])
    np.testing.assert_array_equal(y[1, :3], X[1, :3] + sinusoidal(3, D))
    np.testing.assert_array_equal(sequence.positions(X)[0], X + sinusoidal(T, D))


def test_the_literal_rule_takes_a_zero_in_channel_0_for_padding():
    """A stream that was set to zero as missing gets no positions at all."""
    x = X.copy()
    x[0, 3:] = 0
    x[1, 2, 0] = 0  # a valid step by accident
    y = literal_positions(x, np.ones((B, T), bool))[0]
    assert (y[0, 3:] == 0).all()
    np.testing.assert_array_equal(y[1, 2], x[1, 2])
    assert (y[1, 1] != x[1, 1]).any()


@pytest.mark.parametrize("width", [2, 3, 6, 7, 130])
def test_the_layout_is_that_of_fairseq(width):
    half, table = width // 2, sinusoidal(5, width)
    assert table.shape == (5, width)
    for t in range(5):
        for i in range(half):
            f = math.exp(-i * math.log(1e4) / (half - 1)) if half > 1 else 1
            assert table[t, i] == pytest.approx(math.sin((t + 1) * f), abs=1e-12)
            assert table[t, half + i] == pytest.approx(math.cos((t + 1) * f), abs=1e-12)
    assert (table[:, 2 * half :] == 0).all()


def test_slowest_and_fastest_wave_and_the_first_position():
    table = sinusoidal(3, 130)  # paper 002: 65 frequencies from 1 to 1e-4
    np.testing.assert_allclose(table[:, 0], np.sin([1, 2, 3]), rtol=1e-12)
    np.testing.assert_allclose(table[:, 64], np.sin([1e-4, 2e-4, 3e-4]), rtol=1e-12)


def test_a_step_ahead_is_a_rotation():
    """Why sinusoids: position t + k is the same linear map of position t, for every t."""
    table = sinusoidal(9, 8)
    sine, cosine = table[:, :4], table[:, 4:]
    f = np.exp(-np.arange(4) * math.log(1e4) / 3)
    ahead = sine[:-3] * np.cos(3 * f) + cosine[:-3] * np.sin(3 * f)
    np.testing.assert_allclose(ahead, sine[3:], atol=1e-12)


def test_positions_do_not_depend_on_the_length_and_differ():
    np.testing.assert_array_equal(sinusoidal(10_000, 6)[:7], sinusoidal(7, 6))
    assert len(np.unique(sinusoidal(1000, 8).round(9), axis=0)) == 1000
    assert sinusoidal(0, 4).shape == (0, 4)


test_bad_input_is_named = errors(
    (lambda: sequence.lstm(LSTM, X[..., :3]), "x has width 3 .* accepted: 4"),
    (lambda: sequence.lstm(LSTM, X, np.zeros((2, 2, B, H))), r"state has shape \(2, 2, 3, 2\); accepted: \(2, 1, 3, 2\)"),
    (lambda: sequence.lstm(LSTM, X, None, VALID[:, :3]), r"mask has shape \(3, 3\)"),
    (lambda: sequence.lstm(LSTM, X, None, VALID * 1.0), "float64"),
    (lambda: sequence.lstm(LSTM, X[:, :0]), "no steps"),
    (lambda: sequence.gru(GRU, X, np.zeros((B, H + 1))), r"h0 has shape .* accepted: \(3, 2\)"),
    (lambda: sequence.gru(GRU, X, np.zeros((1, H))), r"h0 has shape .* accepted: \(3, 2\)"),
    (lambda: sequence.mean_pool(X, VALID[:, :4]), r"mask has shape \(3, 4\)"),
    (lambda: sequence.last_valid_step(X, VALID[:, :4]), r"mask has shape \(3, 4\)"),
    (lambda: sequence.prepend(moved(sequence.describe_prepend(3)), X), "x has width 4 .* accepted: 3"),
    (lambda: sequence.modality_embedding(TABLE, X, np.array(4)), "accepted: integers from 0 to 3"),
    (lambda: sequence.modality_embedding(TABLE, X, np.array([-1, 0])), "accepted: integers from 0 to 3"),
    (lambda: sequence.modality_embedding(TABLE, X, np.array(0.5)), "accepted: integers from 0 to 3"),
    (lambda: sequence.positions(X, VALID[:, :4]), r"accepted: bool, \(3, 5\)"),
    (lambda: sequence.positions(X, VALID * 1.0), r"accepted: bool, \(3, 5\)"),
    (lambda: sequence.layer_sum(moved(sequence.describe_layer_sum(4)), X), r"x has 5 layers .* accepted: 4"),
    *((sinusoidal, T, C, f"length is {T} and width {C}") for T, C in ((-1, 4), (3, 1), (3, 0))),
)
