"""A quantized matrix replaces W."""

import copy
import pickle

import numpy as np
import pytest
from error_table import errors

from refmer.int8 import arithmetic
from refmer.int8.matrix import QuantizedMatrix
from refmer.ops import dense, recurrent
from refmer.ops.twins import AVAILABLE, kernels


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


W, B = normal(24, 9), normal(9)


def test_it_is_near_the_float_product(on):
    x = normal(2, 5, 24)
    for options, bound in [({}, 0.02), ({"clip": "mse"}, 0.02), ({"per_channel": False}, 0.03), ({"static": (-4, 4)}, 0.03)]:
        Q = QuantizedMatrix.of(W, **options)
        assert Q.shape == W.shape and Q.ndim == 2 and Q.dtype == np.float32 and Q.nbytes == Q.q.nbytes + Q.scale.nbytes
        exact, y = x @ W, x @ Q
        assert y.shape == exact.shape and y.dtype == np.float32
        assert np.linalg.norm(y - exact) < bound * np.linalg.norm(exact)
        assert np.abs(Q.dequantize() - W).max() < bound * np.abs(W).max()


def test_bias_and_relu_are_fused_and_layers_use_them(on):
    Q, x = QuantizedMatrix.of(W), normal(2, 5, 24)
    y = dense.linear(x, Q, B)[0]
    np.testing.assert_allclose(y, x @ Q + B, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(Q.linear(x, B, relu=True), np.where(y < 0, 0, y))
    np.testing.assert_array_equal(dense.linear(x, Q, 0.0)[0], x @ Q)


def test_a_row_does_not_depend_on_its_neighbours_except_per_tensor(on):
    x = normal(6, 24)
    louder = x.copy()
    louder[1:] *= 100
    for Q, same in [(QuantizedMatrix.of(W), True), (QuantizedMatrix.of(W, per_tensor=True), False)]:
        np.testing.assert_array_equal(x @ Q, np.concatenate([row @ Q for row in x.reshape(6, 1, 24)]) if same else x @ Q)
        assert ((x @ Q)[0] == (louder @ Q)[0]).all() == same


def test_an_input_is_quantized_once(monkeypatch):
    calls, definition = [], arithmetic.affine_rows
    monkeypatch.setattr(arithmetic, "affine_rows", lambda *a: calls.append(a) or definition(*a))
    a, b, static = QuantizedMatrix.of(W), QuantizedMatrix.of(normal(24, 5)), QuantizedMatrix.of(W, static=(-1, 1))
    with kernels(False):
        x, other = normal(3, 24), normal(3, 24, seed=1)
        first, _ = x @ a, x @ b
        assert len(calls) == 1
        other @ a, other.reshape(1, 3, 24) @ b
        assert len(calls) == 3
        other @ static, other @ a
        assert len(calls) == 5
    np.testing.assert_array_equal(x @ a, first)  # kernels keep the same numbers in another layout
    np.testing.assert_array_equal((x @ b, x @ a)[1], first)


def test_a_new_array_at_the_address_of_a_deleted_one_is_quantized_again(on):
    Q, answers = QuantizedMatrix.of(W), []
    for n in range(20):
        x = np.full((1, 24), np.float32(n))
        answers.append((x @ Q)[0, 0])
        del x
    np.testing.assert_allclose(answers, np.arange(20) * (np.ones((1, 24), np.float32) @ Q)[0, 0], rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_row_with_nan_or_infinity_gives_nan(on, bad):
    x = normal(3, 24)
    x[1, 2] = bad
    y = QuantizedMatrix.of(W).linear(x, B, relu=True)
    assert np.isnan(y[1]).all() and np.isfinite(y[[0, 2]]).all()


def test_odd_inputs(on):
    Q, x = QuantizedMatrix.of(W), normal(4, 24)
    assert (np.zeros((0, 24), np.float32) @ Q).shape == (0, 9)
    assert (np.zeros((2, 0, 24), np.float32) @ Q).shape == (2, 0, 9)
    np.testing.assert_array_equal(x[0] @ Q, (x @ Q)[0])
    np.testing.assert_array_equal(x.astype(float) @ Q, x @ Q)
    np.testing.assert_array_equal(normal(24, 4).T @ Q, np.ascontiguousarray(normal(24, 4).T) @ Q)
    np.testing.assert_array_equal(Q.linear(x, np.repeat(B, 2)[::2]), Q.linear(x, B))
    np.testing.assert_array_equal(np.full((2, 24), 3, np.float32) @ QuantizedMatrix.of(np.zeros((24, 2), np.float32)), 0)
    constant = np.full((1, 24), np.float32(3))
    np.testing.assert_allclose(constant @ Q, constant @ Q.dequantize(), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(x.tolist() @ Q, x @ Q)
    with pytest.raises(ValueError, match="x has dtype complex"):
        (x + 1j) @ Q


INT8, SCALE = np.ones((3, 2), np.int8), np.ones(2, np.float32)
ILL_TYPED = [(INT8.astype(int), SCALE), (INT8[0], SCALE), (INT8, SCALE[:1]), (INT8, SCALE.astype(float))]
test_bad_parts_are_errors = errors(
    *((QuantizedMatrix, *parts, "accepted: int8") for parts in ILL_TYPED),
    *((QuantizedMatrix, INT8, SCALE * np.float32(x), "not a positive finite number") for x in (0, -1, np.nan, np.inf)),
    (QuantizedMatrix, INT8, SCALE, (0, 1), True, "accepted: one of the two"),
    (QuantizedMatrix, INT8, SCALE, (0, np.nan), "the range is"),
    *((QuantizedMatrix, np.ones((k, 1), np.int8), SCALE[:1], f"{k} rows; accepted: 1 to 65793") for k in (0, 65794)),
    (QuantizedMatrix.of, np.full((2, 2), np.nan), "weights are not finite"),
)


Q = QuantizedMatrix.of(W)
test_shapes_that_do_not_fit_are_errors = errors(
    (lambda: normal(4, 23) @ Q, r"linear: x has shape \(4, 23\); expected \(..., K\) = \(..., 24\), as W \(24, 9\)"),
    (Q.linear, np.float32(1), None, r"linear: x has shape \(\)"),
    *((Q.linear, normal(4, 24), b, r"linear: b has shape .*; expected \(N\) = \(9,\)") for b in (B[1:], B[None], [B, B])),
)


def lstm_of(name, x):
    """Run the LSTM of B, T, H = 2, 3, 5 with another argument."""
    arguments = {
        "u": normal(2, 3, 20),
        "h0": normal(2, 5),
        "c0": normal(2, 5),
        "mask": np.ones((2, 3), bool),
        "U": normal(5, 20),
    }
    arguments[name] = x
    return QuantizedMatrix.of(arguments.pop("U")).lstm(**arguments)


MISFITS = {"u": [(2, 3, 19), (2, 3)], "h0": [(1, 5), (2, 4), (2, 5, 1)], "c0": [(1, 5), (2, 4)], "mask": [(2, 2), (1, 3)]}
test_shapes_of_an_lstm_that_do_not_fit_are_errors = errors(
    *((lstm_of, name, np.ones(x), rf"lstm: {name} has shape .*; expected \(2, ") for name, xs in MISFITS.items() for x in xs),
    (lstm_of, "U", normal(5, 24), r"lstm: U has shape \(5, 24\); expected \(5, 20\)"),
)


def test_copies_do_not_contain_the_packed_weights():
    Q = QuantizedMatrix.of(W, static=(-2, 3))
    y = normal(3, 24) @ Q
    for twin in (pickle.loads(pickle.dumps(Q)), copy.deepcopy(Q)):
        assert twin._made is None
        np.testing.assert_array_equal(normal(3, 24) @ twin, y)


@pytest.mark.skipif(not AVAILABLE, reason="kernels are off")
@pytest.mark.parametrize("options", [{}, {"per_tensor": True}, {"static": (-1, 1)}], ids=str)
def test_the_lstm_in_one_call_follows_the_definition(options):
    B, T, D, H = 3, 11, 7, 13
    x, W, b = normal(B, T, D), normal(D, 4 * H) * D**-0.5, normal(4 * H)
    u, U, h0, c0 = x @ W + b, normal(H, 4 * H) * H**-0.5, np.tanh(normal(B, H)), normal(B, H)
    mask = np.arange(T) < np.array([[T], [0], [5]])
    Q = QuantizedMatrix.of(U, **options)
    for valid in (None, mask):
        with kernels(True):
            fast = recurrent.lstm(x, W, b, Q, h0, c0, valid)[0]
            mirrored = Q.lstm(u[:, ::-1], h0, c0, np.ones((B, T), bool) if valid is None else valid[:, ::-1], reverse=True)
        with kernels(False):
            slow = recurrent.lstm(x, W, b, Q, h0, c0, valid)[0]
        np.testing.assert_allclose(fast, slow, atol=2e-3)  # a step of h, where rounding falls the other way
        assert np.median(np.abs(fast - slow)) < 1e-6
        np.testing.assert_array_equal(mirrored[:, ::-1], fast)
        assert np.abs(fast - recurrent.lstm(x, W, b, U, h0, c0, valid)[0]).max() < 0.02
