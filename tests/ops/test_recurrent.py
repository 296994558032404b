"""Laws of the recurrences."""

import numpy as np
import pytest

from refmer.ops import recurrent

B, T, H = 2, 6, 3
rng = np.random.default_rng(1)
U, H0, C0 = rng.normal(size=(H, 4 * H)), rng.normal(size=(B, H)), rng.normal(size=(B, H))
X = rng.normal(size=(B, T, 4 * H))
MASK = np.array([[True] * T, [True, True, False, True, False, False]])
V, BIAS = rng.normal(size=(H, 3 * H)), rng.normal(size=3 * H)


def lstm(u, U, h0, c0, mask=None):
    """The recurrence alone: x = u, W the identity."""
    return recurrent.lstm(u, *identity(u), U, h0, c0, mask)


def gru(u, V, b, h0, mask=None):
    return recurrent.gru(u, *identity(u), V, b, h0, mask)


def identity(u):
    """W and b of the identity."""
    return np.eye(u.shape[-1], dtype=u.dtype), np.zeros(u.shape[-1], u.dtype)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def lstm_by_hand(u, U, h, c, mask):
    """One clip, one step, one unit at a time."""
    y = np.zeros((B, T, H))
    for b in range(B):
        h_b, c_b = h[b].copy(), c[b].copy()
        for t in range(T):
            if not mask[b, t]:
                continue
            before = h_b.copy()
            for n in range(H):
                i, f, g, o = (u[b, t, k * H + n] + sum(before[m] * U[m, k * H + n] for m in range(H)) for k in range(4))
                c_b[n] = logistic(f) * c_b[n] + logistic(i) * np.tanh(g)
                h_b[n] = logistic(o) * np.tanh(c_b[n])
            y[b, t] = h_b
    return y


@pytest.mark.parametrize("mask", [np.ones((B, T), bool), MASK])
def test_lstm_is_the_loop_written_out(mask):
    np.testing.assert_allclose(lstm(X, U, H0, C0, mask)[0], lstm_by_hand(X, U, H0, C0, mask), rtol=1e-12)


def test_gru_is_the_loop_written_out():
    u, h = X[..., : 3 * H], H0.copy()
    expected = np.zeros((B, T, H))
    for t in range(T):
        v = h @ V + BIAS
        r, z = logistic(u[:, t, :H] + v[:, :H]), logistic(u[:, t, H : 2 * H] + v[:, H : 2 * H])
        new = (1 - z) * np.tanh(u[:, t, 2 * H :] + r * v[:, 2 * H :]) + z * h
        h = np.where(MASK[:, t, None], new, h)
        expected[:, t] = np.where(MASK[:, t, None], new, 0)
    np.testing.assert_allclose(gru(u, V, BIAS, H0, MASK)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("t", [1, T - 1])
def test_the_future_changes_nothing_before_it(t):
    later = X.copy()
    later[:, t:] += 1
    for before, after in [
        (lstm(X, U, H0, C0)[0], lstm(later, U, H0, C0)[0]),
        (gru(X[..., 3:], V, BIAS, H0)[0], gru(later[..., 3:], V, BIAS, H0)[0]),
    ]:
        np.testing.assert_array_equal(before[:, :t], after[:, :t])
        assert (before[:, t:] != after[:, t:]).all()


def test_an_open_forget_gate_keeps_the_cell_and_a_closed_one_drops_it():
    u, still = np.zeros((1, 1, 4)), np.zeros((1, 4))
    u[..., 0], u[..., 3] = -1e4, 1e4  # nothing in, everything out
    for forget, cell in [(1e4, 0.7), (-1e4, 0)]:
        u[..., 1] = forget
        assert lstm(u, still, np.zeros((1, 1)), np.full((1, 1), 0.7))[0].item() == pytest.approx(np.tanh(cell))


def test_ten_thousand_steps_in_float32_stay_finite():
    steps = np.random.default_rng(2).normal(0, 3, size=(1, 10_000, 4 * H)).astype("f4")
    small = [v.astype("f4") for v in (U, H0[:1], C0[:1])]
    y, *saved = lstm(steps, *small)
    grads = recurrent.lstm_backward(np.ones_like(y), *saved)
    assert all(np.isfinite(v).all() and v.dtype == np.float32 for v in (y, *grads))


def test_extreme_gates_stay_finite():
    y, *saved = lstm(1e4 * X, U, H0, C0)
    assert all(np.isfinite(v).all() for v in (y, *recurrent.lstm_backward(np.ones_like(y), *saved)))


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_backwards_is_forwards_on_the_reversed_clip(name):
    x, W, b = rng.normal(size=(B, T, 5)), rng.normal(size=(5, 4 * H)), rng.normal(size=4 * H)
    states = (U, H0, C0) if name == "lstm" else (V, BIAS, H0)
    W, b = (W, b) if name == "lstm" else (W[:, : 3 * H], b[: 3 * H])
    f, back = getattr(recurrent, name), getattr(recurrent, f"{name}_backward")
    y, *saved = f(x, W, b, *states, MASK, True)
    turned, *saved_turned = f(x[:, ::-1], W, b, *states, MASK[:, ::-1])
    np.testing.assert_allclose(y, turned[:, ::-1], rtol=1e-12)
    dx, *grads = back(X[..., :H], *saved)
    dx_turned, *grads_turned = back(X[:, ::-1, :H], *saved_turned)
    for ours, theirs in zip([dx, *grads], [dx_turned[:, ::-1], *grads_turned], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
