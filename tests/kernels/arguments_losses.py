"""Random arguments for the kernels of refmer/kernels/losses.py."""

import numpy as np


def classes(rng, dtype, n):
    """Logits, sometimes extreme, targets, one-hot or soft with rows of any sum, and weights."""
    B, K = int(rng.integers(1, 9)), n
    logits = (rng.normal(size=(B, K)) * 10.0 ** rng.integers(-2, 3)).astype(dtype)
    target = np.eye(K)[rng.integers(0, K, B)] if rng.random() < 0.5 else rng.random((B, K))
    return [logits, target.astype(dtype), rng.uniform(0.5, 2, n).astype(dtype)]


def focal(rng, dtype, n):
    return [*classes(rng, dtype, n), float(rng.choice([0.0, 0.5, 2.0])), bool(rng.integers(2))]


def steps(rng, dtype, n):
    shape = ((n,), (3, n))[rng.integers(2)]
    x = rng.normal(size=(*shape, int(rng.integers(1, 4))))
    mask = None if rng.random() < 0.3 else rng.random(shape) > rng.choice([0.4, 1.0])  # sometimes no step is valid
    return [x.astype(dtype), (x + rng.normal(1, 1, x.shape)).astype(dtype), mask]


def concordance(rng, dtype, n):
    return [*steps(rng, dtype, n), int(rng.integers(2))]


ARGUMENTS = {"losses.mse": steps, "losses.ccc": concordance, "losses.ccc_loss": concordance, "losses.focal": focal}
ARGUMENTS |= {f"losses.{name}": classes for name in ("cross_entropy", "sample_weighted_cross_entropy", "binary_cross_entropy")}
FLOAT32 = {}
