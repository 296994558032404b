"""Random arguments for the kernels of refmer/kernels/norms.py."""

import numpy as np


def rows(rng, dtype, n):
    """(..., n), not centred."""
    return (rng.normal(size=((5,), (3, 4), (2, 3, 2))[rng.integers(3)] + (n,)) + rng.normal()).astype(dtype)


def parameters(rng, dtype, n):
    return [rng.normal(size=n).astype(dtype) for _ in range(2)]


def layer_norm(rng, dtype, n):
    return [rows(rng, dtype, n), *parameters(rng, dtype, n)]


def layer_norm_backward(rng, dtype, n):
    z = rows(rng, dtype, n)
    rstd = rng.uniform(0.5, 2, z.shape[:-1] + (1,)).astype(dtype)
    return [rng.normal(size=z.shape).astype(dtype), z, rstd, rng.normal(size=n).astype(dtype)]


def batch_norm(rng, dtype, n):
    return [rng.normal(1, 1, (int(rng.integers(2, 40)), n)).astype(dtype), *parameters(rng, dtype, n)]


def batch_norm_backward(rng, dtype, n):
    z = batch_norm(rng, dtype, n)[0]
    return [rng.normal(size=z.shape).astype(dtype), z, *np.abs(parameters(rng, dtype, n))]


def moments(rng, dtype, n):
    return batch_norm(rng, dtype, n)[:1]


def l2_normalise(rng, dtype, n):
    x = rows(rng, dtype, n)
    x[0] = 0
    return [x]


def l2_normalise_backward(rng, dtype, n):
    y = rows(rng, dtype, n)
    return [rng.normal(size=y.shape).astype(dtype), y, rng.uniform(0.5, 2, y.shape[:-1] + (1,)).astype(dtype)]


FUNCTIONS = layer_norm, layer_norm_backward, batch_norm, batch_norm_backward, moments, l2_normalise, l2_normalise_backward
ARGUMENTS = {f"norms.{f.__name__}": f for f in FUNCTIONS}
FLOAT32 = {"norms.batch_norm_backward": 3e-6}  # sums over up to 40 clips, in another order
