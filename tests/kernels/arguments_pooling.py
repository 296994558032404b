"""Random arguments for the kernels of refmer/kernels/pooling.py."""

from refmer.ops import pooling
from refmer.ops.twins import kernels


def masked(rng, dtype, n):
    shape = [(3, 5, 7), (2, 3, 5, 7)][rng.integers(2)]
    x = rng.integers(-9, 9, (*shape[:-2], n, shape[-1])).astype(dtype)  # with equals
    mask = rng.random(x.shape[:-1]) < 0.5
    mask[0] = False
    return [x, mask]


def statistics(rng, dtype, n):
    a = rng.random((3, n)) / n  # of another sum than 1
    a[0] = 0
    x = rng.normal(size=(3, n, 5))
    x[1, :, :2] = 1  # constant: below the floor
    return [x.astype(dtype), a.astype(dtype)]


def backward(name, forward):
    def make(rng, dtype, n):
        with kernels(False):
            y, *saved = getattr(pooling, name)(*forward(rng, dtype, n))
        return [rng.normal(size=y.shape).astype(dtype), *saved]

    return make


FORWARD = {"masked_mean": masked, "masked_max": masked, "statistics": statistics}
ARGUMENTS = {f"pooling.{name}": make for name, make in FORWARD.items()}
ARGUMENTS |= {f"pooling.{name}_backward": backward(name, make) for name, make in FORWARD.items()}
FLOAT32 = {}
