"""Random arguments for the kernels of refmer/kernels/regression.py."""


def pair(rng, dtype, n):
    shape = ((n,), (3, n))[rng.integers(2)]
    x = rng.normal(size=(*shape, int(rng.integers(1, 4))))
    mask = None if rng.random() < 0.3 else rng.random(shape) > rng.choice([0.4, 1.0])  # at times no step is valid
    return [x.astype(dtype), (x + rng.normal(1, 1, x.shape)).astype(dtype), mask]


def concordance(rng, dtype, n):
    return [*pair(rng, dtype, n), int(rng.integers(2))]


ARGUMENTS = {"regression.mse": pair, "regression.ccc": concordance, "regression.ccc_loss": concordance}
FLOAT32 = {}
