"""Random arguments for the kernels of refmer/kernels/dense.py."""


def linear_backward(rng, dtype, n):
    return [rng.normal(size=size).astype(dtype) for size in ((3, n, 7), (3, n, 19), (19, 7))]


def dropout(rng, dtype, n):
    return [rng.normal(size=(2, n, 5)).astype(dtype), int(rng.integers(2**63)), float(rng.uniform(0, 0.999))]


def kept(rng, dtype, n):
    return [n, int(rng.integers(2**63)), float(rng.uniform(0, 0.999))]


ARGUMENTS = {"dense.kept": kept, "dense.linear_backward": linear_backward, "dense.dropout": dropout}
FLOAT32 = {}
