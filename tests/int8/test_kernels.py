"""The kernels give the bits of arithmetic.py, on every CPU that LLVM can be told to build for."""

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.errors import TypingError

from refmer.int8 import arithmetic
from refmer.int8.matrix import QuantizedMatrix
from refmer.ops.twins import AVAILABLE, kernels

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="kernels are off")
SEED = st.integers(0, 2**32 - 1)


def both(f):
    """Return f() by the kernels and by the definition."""
    with kernels(True):
        fast = f()
    with kernels(False):
        return fast, f()


@settings(max_examples=60)
@given(
    SEED,
    st.integers(0, 9) | st.integers(60, 70),
    st.integers(1, 200),
    st.integers(1, 150),
    st.booleans(),
    st.sampled_from([{}, {"per_tensor": True}, {"static": (-1.0, 2.0)}, {"static": (0.5, 2.0)}]),
)
def test_product_bias_and_relu_have_the_bits_of_the_definition(seed, m, k, n, relu, inputs):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(m, k)) * np.exp(rng.normal(0, 3, (m, 1)))).astype(np.float32)
    x[rng.random(m) < 0.1] = rng.choice([0, 5, 1e-38, -1e-40, 3e38])
    x[rng.random((m, k)) < 0.002] = rng.choice([np.nan, np.inf, -np.inf])
    W = QuantizedMatrix(rng.integers(-128, 128, (k, n), np.int8), rng.uniform(1e-3, 1, n).astype(np.float32), **inputs)
    b = rng.normal(size=n).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        fast, definition = both(lambda: W.linear(x, b, relu))
    np.testing.assert_array_equal(fast, definition)
    if not inputs.get("per_tensor"):
        assert (np.isnan(fast).all(1) == ~np.isfinite(x).all(1)).all() or np.abs(x).max() > 1e38


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
def test_the_sum_does_not_overflow_at_the_largest_depth(m):
    k = arithmetic.LARGEST_DEPTH
    W = QuantizedMatrix(np.full((k, 1), -128, np.int8), np.float32(1), static=(0, 255.0))
    x = np.full((m, k), 255, np.float32)
    np.testing.assert_array_equal(W.linear(x, None), np.float32(-255 * 128 * k))
    W = QuantizedMatrix(np.full((k, 1), -128, np.int8), np.float32(1), static=(-255.0, 0))
    np.testing.assert_array_equal(W.linear(-x, None), np.float32(255 * 128 * k))


def test_nothing_is_written_beyond_y():
    rng = np.random.default_rng(0)
    from refmer.int8 import kernels as k

    for n in (1, 15, 17, 63, 65, 130):
        q, scale = rng.integers(-127, 128, (9, n), np.int8), np.ones(n, np.float32)
        y = np.full((12, n), np.float32(7))
        rows = np.zeros((5, k.width(9)), k.UNSIGNED)
        x = rng.normal(size=(5, 9)).astype(np.float32)
        k.linear(x, 0, 0.0, 0.0, rows, k.pack(q, scale), np.zeros(n, np.float32), -np.inf, y[3:8])
        assert (y[:3] == 7).all() and (y[8:] == 7).all()


M, K, N = 5, 9, 70


def arguments():
    """Return the arguments of linear by name; those of product are a part of them."""
    from refmer.int8 import kernels as k

    q, scale = np.ones((K, N), np.int8), np.ones(N, np.float32)
    arrays = {"q": np.zeros((M, k.width(K)), k.UNSIGNED), "packed": k.pack(q, scale), "b": np.zeros(N, np.float32)}
    x, y = np.ones((M, K), np.float32), np.zeros((M, N), np.float32)
    return {"x": x, "kind": 0, "least": 0.0, "greatest": 0.0} | arrays | {"floor": -np.inf, "y": y}


@pytest.mark.parametrize("name", ["x", "q", "packed", "b", "y"])
def test_wrong_shapes_types_and_strides_are_errors(name):
    from refmer.int8 import kernels as k

    changes = {lambda a: a[1:], lambda a: np.append(a, a, 0), lambda a: a[..., 1:], lambda a: a.astype(np.float64)}
    changes |= {lambda a: np.repeat(a, 2, -1)[..., ::2]} if name != "x" else set()
    for change in changes:
        given = arguments()
        given[name] = change(given[name])
        for f in (k.linear,) if name == "x" else (k.linear, k.product):
            with pytest.raises((ValueError, TypingError), match="not fit; expected|not contiguous, or has another"):
                f(*(given[n] for n in inspect.signature(f).parameters))


def lstm_arguments():
    """Return the arguments of lstm by name."""
    from refmer.int8 import kernels as k

    B, T, H = 2, 3, 5
    states = {name: np.zeros((B, H), np.float32) for name in ("h", "c")}
    packed, b = k.pack(np.ones((H, 4 * H), np.int8), np.ones(4 * H, np.float32)), np.zeros(4 * H, np.float32)
    u, ranges = np.ones((B, T, 4 * H), np.float32), {"kind": 0, "least": 0.0, "greatest": 0.0}
    return {"u": u} | ranges | {"packed": packed, "b": b} | states | {"mask": np.ones((B, T), bool), "reverse": False}


@pytest.mark.parametrize("name", ["u", "packed", "b", "h", "c", "mask"])
def test_wrong_shapes_of_the_lstm_are_errors(name):
    from refmer.int8 import kernels as k

    assert k.lstm(*lstm_arguments().values()).shape == (2, 3, 5)
    for change in (lambda a: a[1:], lambda a: a[..., 1:], lambda a: np.append(a, a, -1)):
        given = lstm_arguments()
        given[name] = np.ascontiguousarray(change(given[name]))
        with pytest.raises(ValueError, match="do not fit; expected"):
            k.lstm(*given.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cpu", "features"),
    [("x86-64-v3", "+avx2,+fma"), ("skylake-avx512", "+avx2,+fma,+avx512f,+avx512bw,+avx512vl,+avx512dq"), ("x86-64", "+sse2")],
)
def test_cpus_without_vnni_give_the_same_bits(cpu, features):
    import platform

    from refmer.int8 import kernels as k

    if platform.machine() != "x86_64" or ("512" in cpu and k.LANES < 16):
        pytest.skip("another CPU")
    code = """
import numpy as np
from refmer.ops.twins import kernels
from refmer.int8 import kernels as k
from refmer.int8.matrix import QuantizedMatrix
assert not k.VNNI
rng = np.random.default_rng(0)
for m, K, n in [(1, 1, 1), (2, 5, 33), (3, 64, 16), (7, 131, 70), (66, 30, 17)]:
    x, b = rng.normal(size=(m, K)).astype(np.float32), rng.normal(size=n).astype(np.float32)
    for inputs in ({}, {"per_tensor": True}, {"static": (-1.0, 2.0)}):
        W = QuantizedMatrix(rng.integers(-128, 128, (K, n), np.int8), rng.uniform(0.1, 1, n).astype(np.float32), **inputs)
        fast = W.linear(x, b, True)
        with kernels(False):
            np.testing.assert_array_equal(fast, W.linear(x, b, True))
"""
    environment = os.environ | {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features, "REFMER_KERNELS": "1"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
