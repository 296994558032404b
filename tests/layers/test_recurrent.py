"""What LSTM and GRU promise beyond their gradients."""

import numpy as np
import pytest

from refmer import params
from refmer.layers import sequence
from refmer.proofs import moved

B, T, D, H = 3, 5, 4, 2
rng = np.random.default_rng(1)
X = rng.normal(size=(B, T, D))
VALID = np.arange(T) < np.array([5, 3, 0])[:, None]


def test_paper_003_counts():
    assert params.count(sequence.describe_lstm(512, 256, 2, True)) == 3_153_920
    assert params.count(sequence.describe_lstm(1024, 256, 2, True)) == 4_202_496


def test_gru_has_three_quarters_of_an_lstm():
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
    later = X.copy()
    later[:, 3:] += 1
    p = moved(sequence.describe_lstm(D, H, 2))
    np.testing.assert_array_equal(sequence.lstm(p, X)[0][:, :3], sequence.lstm(p, later)[0][:, :3])
    p = moved(sequence.describe_gru(D, H))
    earlier = X.copy()
    earlier[:, :3] += 1
    before, after = (sequence.gru(p, x, reverse=True)[0] for x in (X, earlier))
    np.testing.assert_array_equal(before[:, 3:], after[:, 3:])


def test_a_clip_in_two_halves_is_the_clip_when_the_state_is_handed_on():
    p = moved(sequence.describe_gru(D, H))
    whole = sequence.gru(p, X)[0]
    first = sequence.gru(p, X[:, :2])[0]
    np.testing.assert_allclose(sequence.gru(p, X[:, 2:], first[:, -1])[0], whole[:, 2:], rtol=1e-12)


def test_masked_steps_give_zero_and_get_no_gradient():
    p = moved(sequence.describe_lstm(D, H, 2, True))
    g = params.zeros_like(p)
    y, backward = sequence.lstm(p, X, mask=VALID)
    dx = backward(np.ones_like(y), g)
    assert (y[~VALID] == 0).all() and (dx[~VALID] == 0).all()
    assert (y[VALID] != 0).all() and (dx[VALID] != 0).all()


def test_dropout_is_between_layers_only():
    one, two = (moved(sequence.describe_lstm(D, H, layers)) for layers in (1, 2))
    for p, same in [(one, True), (two, False)]:
        y, dropped = sequence.lstm(p, X)[0], sequence.lstm(p, X, rate=0.5, rng=np.random.default_rng(0))[0]
        assert np.array_equal(y, dropped) == same


@pytest.mark.parametrize(
    "x, state, mask, said",
    [
        (X[..., :3], None, None, "x has width 3 .* accepted: 4"),
        (X, np.zeros((2, 2, B, H)), None, r"state has shape \(2, 2, 3, 2\); accepted: \(2, 1, 3, 2\)"),
        (X, None, VALID[:, :3], r"mask has shape \(3, 3\)"),
        (X, None, VALID * 1.0, "float64"),
        (X[:, :0], None, None, "no steps"),
    ],
)
def test_bad_input_is_named(x, state, mask, said):
    with pytest.raises(ValueError, match=said):
        sequence.lstm(moved(sequence.describe_lstm(D, H)), x, state, mask)


@pytest.mark.parametrize("h0", [np.zeros((B, H + 1)), np.zeros((1, H))])
def test_a_state_of_another_shape_is_named(h0):
    with pytest.raises(ValueError, match=r"h0 has shape .* accepted: \(3, 2\)"):
        sequence.gru(moved(sequence.describe_gru(D, H)), X, h0)
