"""Random arguments for the kernels of refmer/kernels/losses.py."""

import numpy as np


def pair(rng, dtype, n):
    """Logits, at times extreme, and targets: one-hot, or soft with rows that need not sum to 1."""
    B, K = int(rng.integers(1, 9)), n
    logits = (rng.normal(size=(B, K)) * 10.0 ** rng.integers(-2, 3)).astype(dtype)
    target = np.eye(K)[rng.integers(0, K, B)] if rng.random() < 0.5 else rng.random((B, K))
    return [logits, target.astype(dtype)]


def weighted(rng, dtype, n):
    return [*pair(rng, dtype, n), rng.uniform(0.5, 2, n).astype(dtype)]


def focal(rng, dtype, n):
    return [*weighted(rng, dtype, n), float(rng.choice([0.0, 0.5, 2.0])), bool(rng.integers(2))]


def sigmoid_focal(rng, dtype, n):
    return [*pair(rng, dtype, n), float(rng.choice([0.25, -1.0])), float(rng.choice([0.0, 0.5, 2.0]))]


def steps(rng, dtype, n):
    shape = ((n,), (3, n))[rng.integers(2)]
    x = rng.normal(size=(*shape, int(rng.integers(1, 4))))
    mask = None if rng.random() < 0.3 else rng.random(shape) > rng.choice([0.4, 1.0])  # at times no step is valid
    return [x.astype(dtype), (x + rng.normal(1, 1, x.shape)).astype(dtype), mask]


def concordance(rng, dtype, n):
    return [*steps(rng, dtype, n), int(rng.integers(2))]


ARGUMENTS = {
    "losses.mse": steps,
    "losses.ccc": concordance,
    "losses.ccc_loss": concordance,
    "losses.cross_entropy": weighted,
    "losses.sample_weighted_cross_entropy": weighted,
    "losses.binary_cross_entropy": weighted,
    "losses.focal": focal,
    "losses.sigmoid_focal": sigmoid_focal,
}
FLOAT32 = {}
