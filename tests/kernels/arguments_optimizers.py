"""Random arguments for the kernels of refmer/kernels/optimizers.py."""


def adamw(rng, dtype, n):
    x, grad, m, v = (rng.normal(size=n).astype(dtype) for _ in range(4))
    return [x, grad, m, v * v, int(rng.integers(1, 1000)), 1e-2]


ARGUMENTS = {"optimizers.adamw": adamw}
FLOAT32 = {}
