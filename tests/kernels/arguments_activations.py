"""Random arguments for the kernels of refmer/kernels/activations.py."""


def draw(rng, dtype, *shape):
    """Numbers of both signs and many sizes; the first of each row is 0 or far out."""
    x = (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 2)).astype(dtype)
    x[..., 0] = rng.choice([0.0, -0.0, 100.0, -100.0])
    return x


def forward(rng, dtype, n):
    return [draw(rng, dtype, *((n,), (3, n), (2, 3, n))[rng.integers(3)])]


def backward_of_output(rng, dtype, n):
    return [draw(rng, dtype, 3, n), rng.random((3, n)).astype(dtype) - dtype(0.3)]


def backward_of_product(rng, dtype, n):
    return [draw(rng, dtype, 3, n), draw(rng, dtype, 3, n), rng.random((3, n)).astype(dtype)]


def glu(rng, dtype, n):
    return [draw(rng, dtype, *((3, 2 * n), (2, 3, 2 * n))[rng.integers(2)])]


def glu_backward(rng, dtype, n):
    return [draw(rng, dtype, 3, n), draw(rng, dtype, 3, 2 * n), rng.random((3, n)).astype(dtype)]


def softmax_rows(rng, dtype, n):
    M, each = ((5, 1), (2, 3))[rng.integers(2)]
    return [draw(rng, dtype, M * each, n), (None, rng.random((M, n)) < rng.random((M, 1)))[rng.integers(2)]]


def softmax_backward(rng, dtype, n):
    a = rng.random((2, 3, n)).astype(dtype)
    return [draw(rng, dtype, 2, 3, n), a / a.sum(-1, keepdims=True)]


ARGUMENTS = {f"activations.{f.__name__}": f for f in (glu, glu_backward, softmax_rows, softmax_backward)}
ARGUMENTS |= {f"activations.{name}": forward for name in ("relu", "sigmoid", "gelu", "swish")}
ARGUMENTS |= {f"activations.{name}_backward": backward_of_output for name in ("relu", "sigmoid")}
ARGUMENTS |= {f"activations.{name}_backward": backward_of_product for name in ("gelu", "swish")}
FLOAT32 = {}
