"""A matrix of 8-bit weights that takes the place of W in a parameter tree: `x @ W` is then an integer product."""

import threading
import weakref

import numpy as np

from refmer.ops.shapes import rows
from refmer.ops.twins import kernels_on
from refmer.quantize import arithmetic

_last = threading.local()  # the input that was quantized last: one that feeds q, k and v is quantized once


class QuantizedMatrix:
    """W (K, N) as scale * q, q int8 (K, N), scale float32 (N,) per output channel or () for all.

    Parameters
    ----------
    q : int8 array (K, N)
    scale : float32 array (N,) or ()
    static : (float, float), optional
        Least and greatest value of the inputs x, found by calibration. Default: each row of x has its own range, so that the
        answer for a clip does not depend on the others in its batch.
    per_tensor : bool
        One range for all of x, to study what that costs.

    Raises
    ------
    ValueError
        If the parts do not fit together, or K is so large that a sum of products may not fit into 32 bits.
    """

    __array_ufunc__ = None  # NumPy leaves x @ W to __rmatmul__
    ndim, dtype = 2, np.dtype(np.float32)  # what it stands for

    def __init__(self, q, scale, static=None, per_tensor=False):
        q, scale = np.asarray(q), np.asarray(scale)
        if q.dtype != np.int8 or q.ndim != 2 or scale.dtype != np.float32 or scale.shape not in ((), q.shape[1:]):
            raise ValueError(
                f"q has dtype {q.dtype} and shape {q.shape}, scale {scale.dtype} and {scale.shape}; "
                "accepted: int8 (K, N), and float32 (N,) or ()"
            )
        arithmetic.fitting_depth(len(q))
        self.q, self.scale, self.per_tensor = q, scale, per_tensor
        self.static = None if static is None else arithmetic.affine_range(*static)
        self.total = q.sum(0, dtype=np.int32)  # of each column: for the zero points
        self._packed = None

    @classmethod
    def of(cls, W, per_channel=True, clip="max", **inputs):
        """The nearest such matrix to float weights W (K, N); see arithmetic.symmetric_scale."""
        scale = arithmetic.symmetric_scale(W, clip, per_channel)
        return cls(arithmetic.symmetric(W, scale), scale, **inputs)

    @property
    def shape(self):
        return self.q.shape

    @property
    def nbytes(self):
        """Bytes of what is stored: q and scale."""
        return self.q.nbytes + self.scale.nbytes

    def dequantize(self):
        """scale * q, float32 (K, N)."""
        return self.q * self.scale

    def __rmatmul__(self, x):
        return self.linear(x, None)

    def linear(self, x, b, relu=False):
        """y = x W + b, and ReLU of it if asked for, in one pass.   x (..., K) floating -> float32 (..., N)."""
        if x.shape[-1] != len(self.q):
            raise ValueError(f"x has width {x.shape[-1]} (shape {x.shape}); accepted: {len(self.q)}, the rows of W {self.shape}")
        q, step, zero = self._quantize(x)
        b = np.zeros(self.shape[1], np.float32) if b is None else b
        if kernels_on():
            from refmer.quantize import kernels

            if self._packed is None:
                self._packed = kernels.pack(self.q)
            scale = np.broadcast_to(self.scale, self.shape[1:])
            y = kernels.product(q, step, zero, self._packed, scale, self.total, b, relu, self.shape[1])
        else:
            sums = arithmetic.accumulate(q, zero, self.q, self.total)
            y = sums.astype(np.float32) * (step[:, None] * self.scale) + b
            y = np.where(y <= 0, 0, y) if relu else y
        return y.reshape(*x.shape[:-1], -1)
