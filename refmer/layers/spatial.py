"""Convolution over images (B, H, W, C) and over image sequences (B, T, H, W, C), channels last."""

from refmer.layers.convolution import check_taps, conv1d, describe_conv1d
from refmer.layers.dense import describe_linear
from refmer.layers.norms import describe_layer_norm, layer_norm
from refmer.ops import convolution as ops
from refmer.ops.activations import relu, relu_backward
from refmer.ops.convolution import fitting_padding


def describe_conv2d(n_in, n_out, size):
    return describe_linear(size * size * n_in, n_out)


def conv2d(p, x, size, stride=1, padding="same"):
    """y_hw = sum_ij x_(stride h + i - before, stride w + j - before) W_ij + b.   x (B, H, W, C), W (size size C, E)."""
    check_taps(p.W, x, size * size)
    for axis in (1, 2):
        before_after = fitting_padding(x, size, stride, 1, padding, axis)
    y, *saved = ops.conv2d(x, p.W, p.b, size, stride, *before_after)

    def backward(dy, g):
        dx, dW, db = ops.conv2d_backward(dy, *saved)
        g.W += dW
        g.b += db
        return dx

    return y, backward


def describe_conv2plus1d(n_in, n_out, size):
    """The width between the two makes them as large as one size^3 convolution (Tran et al. 2018, section 3.5)."""
    middle = size**3 * n_in * n_out // (size**2 * n_in + size * n_out)
    return {
        "space": describe_conv2d(n_in, middle, size),
        "norm": describe_layer_norm(middle),
        "time": describe_conv1d(middle, n_out, size),
    }


def conv2plus1d(p, x, size, stride=1):
    """A convolution over each image, norm, relu, a convolution over time; the stride counts for both.   x (B, T, H, W, C).

    Tran et al. 2018; layer norm in place of batch norm, as in all encoders here: see residual.py.
    """
    B, T = x.shape[:2]
    z, back_space = conv2d(p.space, x.reshape(B * T, *x.shape[2:]), size, stride)  # (B T, H', W', M)
    n, back_norm = layer_norm(p.norm, z)
    r = relu(n)
    H, W, M = r.shape[1:]
    lines = r.reshape(B, T, H * W, M).swapaxes(1, 2).reshape(-1, T, M)  # (B H' W', T, M)
    y, back_time = conv1d(p.time, lines, size, stride)  # (B H' W', T', E)
    steps, E = y.shape[1:]

    def backward(dy, g):
        dy = dy.reshape(B, steps, H * W, E).swapaxes(1, 2).reshape(-1, steps, E)
        dlines = back_time(dy, g.time)
        dr = dlines.reshape(B, H * W, T, M).swapaxes(1, 2).reshape(r.shape)
        return back_space(back_norm(relu_backward(dr, r), g.norm), g.space).reshape(x.shape)

    return y.reshape(B, H * W, steps, E).swapaxes(1, 2).reshape(B, steps, H, W, E), backward
