"""A matrix of 8-bit weights that replaces W in a parameter tree: `x @ W` is then an integer product."""

import threading
import weakref
from functools import cache

import numpy as np

from refmer.int8 import arithmetic
from refmer.int8.arithmetic import BY_ROW, BY_TENSOR, LARGEST_DEPTH, STATIC
from refmer.ops.dense import rows
from refmer.ops.twins import kernels_on

FLOAT32 = np.dtype(np.float32)


class _Last(threading.local):
    """The input that was quantized last: a weak reference to it, how it was quantized, and the result."""

    input = (lambda: None), None, None


_last = _Last()


class QuantizedMatrix:
    """W (K, N) as scale * q, q int8 (K, N), scale float32 (N,) per output channel or () for all.

    An input of several matrices (q, k and v) is quantized once. It is recognised by its identity, so an array must not change
    between two products with it. A row of inputs with nan or an infinity gives a row of nan.

    Parameters
    ----------
    q : int8 array (K, N)
    scale : float32 array (N,) or ()
    static : (float, float), optional
        Least and greatest value of the inputs x, from calibration (observers.py). Default: each row of x has its own range,
        so that the result for a clip does not depend on the rest of its batch.
    per_tensor : bool
        One range for all of x, to study its cost.

    Raises
    ------
    ValueError
        If the parts do not fit together, a scale is not positive and finite, the range is not finite, or K is so large that a
        sum of products may not fit into 32 bits.
    """

    __array_ufunc__ = None  # NumPy leaves x @ W to __rmatmul__
    ndim, dtype = 2, FLOAT32  # as W

    def __init__(self, q, scale, static=None, per_tensor=False):
        q, scale = np.asarray(q), np.asarray(scale)
        if q.dtype != np.int8 or q.ndim != 2 or scale.dtype != np.float32 or scale.shape not in ((), q.shape[1:]):
            raise ValueError(
                f"q has dtype {q.dtype} and shape {q.shape}, scale {scale.dtype} and {scale.shape}; "
                "accepted: int8 (K, N), and float32 (N,) or ()"
            )
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError("a scale is not a positive finite number")
        if static is not None and per_tensor:
            raise ValueError("the inputs have a static range and one per tensor; accepted: one of the two")
        if not 0 < len(q) <= LARGEST_DEPTH:
            raise ValueError(f"W has {len(q)} rows; accepted: 1 to {LARGEST_DEPTH}, whose sum of products fits into 32 bits")
        if static is not None:
            arithmetic.affine_range(*static)  # raises if it is none
        self.q, self.scale, self.static, self.per_tensor, self.shape = q, scale, static, per_tensor, q.shape
        self._range = (BY_TENSOR if per_tensor else BY_ROW, 0.0, 0.0) if static is None else (STATIC, *map(float, static))
        self._made, self._no_bias = None, np.zeros(q.shape[1], np.float32)

    @classmethod
    def of(cls, W, per_channel=True, clip="max", **inputs):
        """Quantize float weights W (K, N); see arithmetic.symmetric_scale."""
        scale = arithmetic.symmetric_scale(W, clip, per_channel)
        return cls(arithmetic.symmetric(W, scale), scale, **inputs)

    def __reduce__(self):  # without the packed weights: another machine packs in another way
        return QuantizedMatrix, (self.q, self.scale, self.static, self.per_tensor)

    @property
    def nbytes(self):
        """Bytes of q and scale."""
        return self.q.nbytes + self.scale.nbytes

    def dequantize(self):
        """scale * q, float32 (K, N)."""
        return self.q * self.scale

    def __rmatmul__(self, x):
        return self.linear(x, None)

    def linear(self, x, b, relu=False):
        """y = x W + b, or ReLU of it, in one pass.   x (..., K) -> float32 (..., N); b (N), a number or None."""
        K, N = self.shape
        x = np.asarray(x)
        if x.shape[-1:] != (K,):
            raise ValueError(f"linear: x has shape {x.shape}; expected (..., K) = (..., {K}), as W {self.shape}")
        if b is None:
            b = self._no_bias
        elif not (type(b) is np.ndarray and b.dtype == FLOAT32 and b.shape == (N,) and b.strides == (4,)):
            if np.shape(b) not in ((), (N,)):
                raise ValueError(f"linear: b has shape {np.shape(b)}; expected (N) = ({N},), as W {self.shape}, or a number")
            b = np.ascontiguousarray(np.broadcast_to(b, N), FLOAT32)
        flat = _float32(x)
        on = kernels_on()
        previous, how, q = _last.input
        if previous() is not x or how != (on, self._range):
            how, q = (on, self._range), None
        y, q = (self._by_kernel if on else self._by_definition)(flat, q, b, 0.0 if relu else -np.inf)
        _last.input = weakref.ref(x), how, q
        return y if flat is x else y.reshape(*x.shape[:-1], N)

    def _by_definition(self, x, q, b, floor):
        q = arithmetic.affine_rows(x, *self._range) if q is None else q
        return arithmetic.dequantize(arithmetic.accumulate(q[0], q[2], self.q), q[1], self.scale, b, floor), q

    def _by_kernel(self, x, q, b, floor):
        linear, product, packed, width, dtype = self._made or self._make()
        y = np.empty((len(x), self.shape[1]), FLOAT32)
        if q is None:
            q = np.empty((len(x), width), dtype)
            linear(x, *self._range, q, packed, b, floor, y)
        else:
            product(q, packed, b, floor, y)
        return y, q

    def lstm(self, u, h0, c0, mask, reverse=False):
        """ops.recurrent.lstm with this U, all steps in one call.   u (B, T, 4H), h0, c0 (B, H), mask (B, T) -> (B, T, H)."""
        B, T, H = *u.shape[:2], self.shape[0]
        expected = {
            "U": (self, (H, 4 * H)),
            "u": (u, (B, T, 4 * H)),
            "h0": (h0, (B, H)),
            "c0": (c0, (B, H)),
            "mask": (mask, (B, T)),
        }
        for name, (array, shape) in expected.items():
            if array.shape != shape:
                raise ValueError(f"lstm: {name} has shape {array.shape}; expected {shape}")
        kernels, packed = _kernels(), (self._made or self._make())[2]
        h, c = (np.array(state, FLOAT32, order="C") for state in (h0, c0))
        u, mask = np.ascontiguousarray(u, FLOAT32), np.ascontiguousarray(mask, bool)
        return kernels.lstm(u, *self._range, packed, self._no_bias, h, c, mask, reverse)

    def _make(self):
        """Pack q and scale for the kernels, at the first product."""
        kernels = _kernels()
        packed = kernels.pack(self.q, np.broadcast_to(self.scale, self.shape[1]))
        self._made = kernels.linear, kernels.product, packed, kernels.width(self.shape[0]), kernels.UNSIGNED
        return self._made


def _lstm(x, W, b, U, h0, c0, mask=None, reverse=False):
    """ops.recurrent.lstm in one call, without the states that a backward pass needs."""
    if not isinstance(U, QuantizedMatrix):
        return NotImplemented
    return (U.lstm(x @ W + b, h0, c0, np.ones(x.shape[:2], bool) if mask is None else mask, reverse),)


# what replaces ops.dense.linear and ops.recurrent.lstm (ops/twins.py)
QuantizedMatrix.__twins__ = {"linear": lambda x, W, b: (W.linear(x, b), x, W), "lstm": _lstm}


@cache  # the name of the folder is a hash of files
def _kernels():
    """Import the compiled module; its code is cached in the folder of refmer.kernels."""
    from refmer.kernels import caching

    with caching():
        from refmer.int8 import kernels
    return kernels


def _float32(x):
    """x in contiguous rows; x itself if it is one already."""
    if x.dtype == FLOAT32 and x.ndim == 2 and x.flags.c_contiguous:
        return x
    if x.dtype.kind == "c":
        raise ValueError(f"x has dtype {x.dtype}; accepted: real numbers")
    return np.ascontiguousarray(rows(x), FLOAT32)
