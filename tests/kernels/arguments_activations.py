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


ARGUMENTS = {
    "activations.relu": forward,
    "activations.relu_backward": backward_of_output,
    "activations.sigmoid": forward,
    "activations.sigmoid_backward": backward_of_output,
    "activations.gelu": forward,
    "activations.gelu_backward": backward_of_product,
    "activations.swish": forward,
    "activations.swish_backward": backward_of_product,
    "activations.glu": glu,
    "activations.glu_backward": glu_backward,
}
FLOAT32 = {}
