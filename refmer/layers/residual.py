"""Small residual encoders in place of paper 003's pretrained backbones: a ResNet over log-mel, an R(2+1)D over frames.

He et al. 2016; Tran et al. 2018. The norms are layer norms over channels at each position where the originals have batch
norm: no running statistics, and a clip gives the same answer alone as in a batch.
"""

import numpy as np

from refmer.layers.dense import describe_linear, linear
from refmer.layers.norms import describe_layer_norm, layer_norm
from refmer.layers.pooling import mean_positions
from refmer.layers.spatial import conv2d, conv2plus1d, describe_conv2d, describe_conv2plus1d
from refmer.ops.activations import relu, relu_backward


def thin(x, stride):
    """Every stride-th position along each axis between batch and channels.   x (B, ..., C)."""
    kept = (slice(None),) + (slice(None, None, stride),) * (x.ndim - 2)

    def backward(dy):
        dx = np.zeros(x.shape, dy.dtype)
        dx[kept] = dy
        return dx

    return x[kept], backward


def describe_residual_block(n_in, n_out, describe, stride=1):
    skip = {} if n_in == n_out and stride == 1 else {"skip": describe_linear(n_in, n_out)}
    return {
        "conv1": describe(n_in, n_out, 3),
        "norm1": describe_layer_norm(n_out),
        "conv2": describe(n_out, n_out, 3),
        "norm2": describe_layer_norm(n_out),
    } | skip


def residual_block(p, x, conv, stride=1):
    """y = relu(LN(conv(relu(LN(conv(x))))) + skip(x)), the first convolution and the skip with a stride.   x (B, ..., C)."""
    z, back_conv1 = conv(p.conv1, x, 3, stride)
    n1, back_norm1 = layer_norm(p.norm1, z)
    r1 = relu(n1)
    z, back_conv2 = conv(p.conv2, r1, 3)
    n2, back_norm2 = layer_norm(p.norm2, z)
    kept, back_thin = thin(x, stride)
    skip, back_skip = linear(p.skip, kept) if hasattr(p, "skip") else (kept, lambda dy, g: dy)
    y = relu(n2 + skip)

    def backward(dy, g):
        ds = relu_backward(dy, y)  # y = relu(s), s = n2 + skip
        dr1 = back_conv2(back_norm2(ds, g.norm2), g.conv2)
        dx = back_conv1(back_norm1(relu_backward(dr1, r1), g.norm1), g.conv1)
        return dx + back_thin(back_skip(ds, getattr(g, "skip", None)))

    return y, backward


def _describe_trunk(widths, n_in, describe):
    blocks = [describe_residual_block(a, b, describe, 2) for a, b in zip(widths[:-1], widths[1:], strict=True)]
    first = describe_residual_block(widths[0], widths[0], describe)
    return {"stem": describe(n_in, widths[0], 3), "norm": describe_layer_norm(widths[0]), "blocks": [first, *blocks]}


def _trunk(p, x, conv):
    """Stem with stride 2, a block with stride 1, then a block with stride 2 per further width: x (B, ..., 1) -> (B, ..., C)."""
    z, back_stem = conv(p.stem, x, 3, 2)
    n, back_norm = layer_norm(p.norm, z)
    y = r = relu(n)
    backs = []
    for k, block in enumerate(p.blocks):
        y, back = residual_block(block, y, conv, 2 if k else 1)
        backs.append(back)

    def backward(dy, g):
        for back, part in reversed(list(zip(backs, g.blocks, strict=True))):
            dy = back(dy, part)
        return back_stem(back_norm(relu_backward(dy, r), g.norm), g.stem)

    return y, backward


def describe_resnet(widths, n_in=1):
    """widths: of the stem and first block, then of each further block."""
    return _describe_trunk(widths, n_in, describe_conv2d)


def resnet(p, x):
    """Log-mel windows to vectors: residual blocks, then the mean over all positions.   x (B, T, mel, 1) -> (B, C)."""
    z, back_trunk = _trunk(p, x, conv2d)
    y, back_mean = mean_positions(z)
    return y, lambda dy, g: back_trunk(back_mean(dy), g)


def describe_r2plus1d(widths, n_in=1):
    """widths: of the stem and first block, then of each further block."""
    return _describe_trunk(widths, n_in, describe_conv2plus1d)


def r2plus1d_map(p, x):
    """Frames to one vector per position (of space, and of time where frames are left): x (B, T, h, w, 1) -> (B, S, C).

    What audio-guided attention (003, AVGA) chooses from, before any pooling over space.
    """
    z, back_trunk = _trunk(p, x, conv2plus1d)
    return z.reshape(len(z), -1, z.shape[-1]), lambda dy, g: back_trunk(dy.reshape(z.shape), g)


def r2plus1d(p, x):
    """The mean of r2plus1d_map over its positions.   x (B, T, h, w, 1) -> (B, C)."""
    z, back_map = r2plus1d_map(p, x)
    y, back_mean = mean_positions(z)
    return y, lambda dy, g: back_map(back_mean(dy), g)
