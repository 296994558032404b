"""The laws of attention as weights of frames."""

import numpy as np
import pytest

from refmer.layers.sfav import describe_frame_attention, frame_attention
from refmer.proofs import moved

B, T, S, C, E, H = 2, 3, 5, 6, 4, 2
rng = np.random.default_rng(1)
X, MEMORY = rng.normal(size=(B, T, C)), rng.normal(size=(B, S, E))
X_VALID = np.array([[True, True, False], [True] * T])
VALID = np.array([[True] * S, [True, True, False, False, False]])
P = moved(describe_frame_attention(C, E, 8))


def run(x, memory, x_valid=None, valid=None):
    trace = {}
    y, _ = frame_attention(P, x, memory, H, x_valid, valid, trace)
    return y, trace["frames"]


def test_a_frame_is_multiplied_by_the_sum_of_its_weights_over_all_queries():
    y, w = run(X, MEMORY)
    q, k = ((z @ m.W).reshape(B, -1, H, 4).swapaxes(1, 2) for z, m in ((X, P.query), (MEMORY, P.key)))
    e = np.exp(q @ k.swapaxes(-1, -2) / 2)
    np.testing.assert_allclose(w, (e / e.sum(-1, keepdims=True)).sum(2).mean(1), rtol=1e-11)
    np.testing.assert_allclose(y, w[..., None] * MEMORY, rtol=1e-12)


def test_weights_sum_to_the_number_of_valid_queries_and_masked_frames_get_none():
    _, w = run(X, MEMORY, X_VALID, VALID)
    np.testing.assert_allclose(w.sum(-1), X_VALID.sum(-1), rtol=1e-12)
    assert not w[~VALID].any()


def test_padding_changes_nothing():
    y, _ = run(X, MEMORY, X_VALID, VALID)
    other = np.where(X_VALID[..., None], X, 9.0), np.where(VALID[..., None], MEMORY, 9.0)
    np.testing.assert_allclose(run(*other, X_VALID, VALID)[0], y, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(run(X[:1, :2], MEMORY[:1])[0], y[:1], rtol=1e-11)
    np.testing.assert_allclose(run(X[1:], MEMORY[1:, :2])[0], y[1:, :2], rtol=1e-11)


def test_without_a_valid_key_y_is_zero():
    assert not run(X, MEMORY, None, np.zeros((B, S), bool))[0].any()


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"mask has shape \(2, 1, 2, 1\)"):
        run(X, MEMORY, X_VALID[:, 1:])
    with pytest.raises(ValueError, match="a width of 8 does not divide into 3 heads"):
        frame_attention(P, X, MEMORY, 3)
