"""Random arguments for the kernels of refmer/kernels/convolution.py."""

import numpy as np

from refmer.ops import convolution
from refmer.ops.twins import kernels


def shapes(rng, n):
    size, stride, dilation = (int(k) for k in rng.integers(1, 5, 3))
    before, after = (int(k) for k in rng.integers(0, 4, 2))
    reach = dilation * (size - 1)
    return size, stride, dilation, before, after + max(0, reach + 1 - n - before - after)  # a window fits


def conv1d(rng, dtype, n):
    size, *rest = shapes(rng, n)
    C, E = (int(k) for k in rng.integers(1, 40, 2))
    mask = [None, rng.random((3, n)) < 0.6, np.zeros((3, n), bool)][rng.integers(3)]
    x, W, b = (rng.normal(size=s).astype(dtype) for s in ((3, n, C), (size * C, E), E))
    return [x, W, b, mask, size, *rest]


def conv2d(rng, dtype, n):
    size, stride, _, before, after = shapes(rng, min(n, 6))
    C, E = (int(k) for k in rng.integers(1, 20, 2))
    x, W, b = (rng.normal(size=s).astype(dtype) for s in ((2, n, 6, C), (size * size * C, E), E))
    return [x, W, b, size, stride, before, after]


def depthwise_conv1d(rng, dtype, n):
    x, _, _, mask, size, *rest = conv1d(rng, dtype, n)
    return [x, *(rng.normal(size=s).astype(dtype) for s in ((size, x.shape[2]), x.shape[2])), mask, *rest]


def backward(forward):
    def make(rng, dtype, n):
        with kernels(False):
            y, *saved = getattr(convolution, forward.__name__)(*forward(rng, dtype, n))
        return [rng.normal(size=y.shape).astype(dtype), *saved]

    return make


ARGUMENTS = {f"convolution.{f.__name__}": f for f in (conv1d, conv2d, depthwise_conv1d)}
ARGUMENTS |= {f"{name}_backward": backward(f) for name, f in ARGUMENTS.items()}
FLOAT32 = {"convolution.conv2d_backward": 3e-6}  # sums over a thousand places
