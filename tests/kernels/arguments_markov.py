"""Random arguments for the kernels of refmer/kernels/markov.py."""


def markov(rng, dtype, n):
    return [rng.random((7, n)).astype(dtype), rng.random((1, n)) < 0.5, float(rng.random()), float(rng.random())]


ARGUMENTS = {"markov.markov": markov}
FLOAT32 = {}
