"""What a forward pass costs, by formula: the matrix products of one clip.

A list of products gives multiply-accumulates and the numbers that a forward keeps. Pointwise work (norms, softmax,
activations) is not counted: at the published sizes it is below a hundredth.
"""

from math import prod
from typing import NamedTuple


class Product(NamedTuple):
    """(rows, inner) @ (inner, columns), `times` times."""

    rows: int
    inner: int
    columns: int
    times: int = 1


def macs(products):
    """Multiply-accumulates."""
    return sum(p.rows * p.inner * p.columns * p.times for p in products)


def numbers(products):
    """Numbers that the products produce: what a forward keeps for its backward."""
    return sum(p.rows * p.columns * p.times for p in products)


def mlp(rows, *widths):
    """Linear maps from each width to the next."""
    return [Product(rows, n_in, n_out) for n_in, n_out in zip(widths[:-1], widths[1:], strict=True)]


def attention(T, S, width, heads):
    """T queries on S keys: four maps, q k^T and a v."""
    inside = [Product(T, width // heads, S, heads), Product(T, S, width // heads, heads)]
    return 2 * mlp(T, width, width) + 2 * mlp(S, width, width) + inside


def encoder_layer(T, S, width, hidden, heads):
    """Attention and feed-forward."""
    return attention(T, S, width, heads) + mlp(T, width, hidden, width)


def lstm(T, n_in, width, layers=1, ways=1):
    """`width` is that of one direction."""
    found = []
    for k in range(layers):
        found += ways * (mlp(T, ways * width if k else n_in, 4 * width) + [Product(1, width, 4 * width, T)])
    return found


def conv(positions, taps, n_in, n_out):
    """A convolution with `taps` = kernel size (squared in two dimensions) at so many output positions."""
    return mlp(positions, taps * n_in, n_out)


def residual(shape, widths, n_in=1):
    """The trunk of layers/residual.py on an image (H, W) or, with separated convolutions, on images (F, H, W).

    -> products, positions that are left.
    """
    conv_of = _conv2d if len(shape) == 2 else _conv2plus1d
    products, shape = conv_of(shape, n_in, widths[0], 2)
    for k, (a, b) in enumerate(zip((widths[0], *widths[:-1]), widths, strict=True)):
        first, shape = conv_of(shape, a, b, 2 if k else 1)
        second, shape = conv_of(shape, b, b, 1)
        products += first + second + mlp(prod(shape), a, b) * (k > 0)
    return products, prod(shape)


def _conv2d(shape, n_in, n_out, stride):
    shape = tuple(-(-n // stride) for n in shape)
    return conv(prod(shape), 9, n_in, n_out), shape


def _conv2plus1d(shape, n_in, n_out, stride):
    middle = 27 * n_in * n_out // (9 * n_in + 3 * n_out)
    F, *space = shape
    space, after = [-(-n // stride) for n in space], -(-F // stride)
    products = conv(F * prod(space), 9, n_in, middle) + conv(after * prod(space), 3, middle, n_out)
    return products, (after, *space)


def joint_cross_attention(T, width, hidden):
    """Two sequences of one width (layers/coattention.py)."""
    one = mlp(width, T, T) + [Product(width, T, 2 * width)] + mlp(width, T, hidden) + mlp(width, 2 * width, hidden)
    return 2 * (one + mlp(width, hidden, T))
