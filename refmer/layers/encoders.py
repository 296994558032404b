"""The convolutional encoders of paper 001 (OF-CMAER-CAT, section III; sizes are ours, the paper gives none).

Each takes a stream with its mask (B, T) and returns (B, T', C). Masked frames count as 0 in every convolution along time and
give 0, so padding changes no valid output. T' = T, but for sound: two poolings by 2 leave ceil(ceil(T / 2) / 2) steps, whose
mask is `sound_mask`.
"""

import numpy as np

from refmer.layers.convolution import conv1d, conv2d, conv2plus1d, describe_conv1d, describe_conv2d, describe_conv2plus1d, hide
from refmer.layers.dense import describe_layer_norm, describe_linear, layer_norm, linear
from refmer.layers.sequence import max_pool1d, mean_positions
from refmer.ops.activations import relu, relu_backward
from refmer.ops.convolution import thin_mask


def describe_sound_encoder(n_in, width):
    return {
        "conv1": describe_conv1d(n_in, width, 5),
        "conv2": describe_conv1d(width, width, 5),
        "conv3": describe_conv1d(width, width, 3),
    }


def sound_mask(mask):
    """The mask of what sound_encoder gives.   (B, T) -> (B, T')."""
    return _halved(_halved(mask))


def _halved(mask):
    return None if mask is None else thin_mask(mask, 2, 2)


def sound_encoder(p, x, mask=None):
    """Log-mel: twice max_pool2(relu(conv5(x))), then conv3.   x (B, T, mel) -> (B, T', C)."""
    half = _halved(mask)
    h, back1 = _conv_relu_pool(p.conv1, x, mask)
    h, back2 = _conv_relu_pool(p.conv2, h, half)
    z, back3 = conv1d(p.conv3, h, 3, mask=_halved(half))
    y, back_hide = hide(z, _halved(half))
    return y, lambda dy, g: back1(back2(back3(back_hide(dy), g.conv3), g.conv2), g.conv1)


def _conv_relu_pool(p, x, mask):
    z, back_conv = conv1d(p, x, 5, mask=mask)
    r = relu(z)
    y, back_pool = max_pool1d(r, 2, mask=mask)
    return y, lambda dy, g: back_conv(relu_backward(back_pool(dy), r), g)


def describe_face_encoder(width):
    return {
        "images": [describe_conv2d(width if k else 1, width, 3) for k in range(3)],
        "time": describe_conv1d(width, width, 3),
    }


def face_encoder(p, x, mask=None):
    """Frames: per frame three times relu(conv 3x3, stride 2), mean over space; then conv3 over time.   x (B, T, h, w)."""
    B, T = x.shape[:2]
    h, backs = x.reshape(B * T, *x.shape[2:], 1), []
    for part in p.images:
        z, back = conv2d(part, h, 3, 2)
        h = relu(z)
        backs.append((back, h))
    vectors, back_mean = mean_positions(h)  # (B T, C)
    z, back_time = conv1d(p.time, vectors.reshape(B, T, -1), 3, mask=mask)
    y, back_hide = hide(z, mask)

    def backward(dy, g):
        dh = back_mean(back_time(back_hide(dy), g.time).reshape(vectors.shape))
        for (back, r), part in reversed(list(zip(backs, g.images, strict=True))):
            dh = back(relu_backward(dh, r), part)
        return dh.reshape(x.shape)

    return y, backward


def describe_sequence_encoder(n_in, width):
    return {"conv1": describe_conv1d(n_in, width, 3), "conv2": describe_conv1d(width, width, 3)}


def sequence_encoder(p, x, mask=None):
    """Body or words: conv3(relu(conv3(x))).   x (B, T, D) -> (B, T, C)."""
    z, back1 = conv1d(p.conv1, x, 3, mask=mask)
    r = relu(z)
    z, back2 = conv1d(p.conv2, r, 3, mask=mask)
    y, back_hide = hide(z, mask)
    return y, lambda dy, g: back1(relu_backward(back2(back_hide(dy), g.conv2), r), g.conv1)


def describe_layout_encoder(size, width):
    """size (height, width) of a frame, halved twice."""
    h, w = (-(-n // 4) for n in size)
    return {
        "images": [describe_conv2d(width if k else 1, width, 3) for k in range(2)],
        "time": describe_conv1d(h * w * width, width, 3),
    }


def layout_encoder(p, x, mask=None):
    """Per frame relu(conv 3x3, stride 2), twice, all positions side by side; then conv3 over time.   x (B, T, h, w)."""
    B, T = x.shape[:2]
    h, backs = x.reshape(B * T, *x.shape[2:], 1), []
    for part in p.images:
        z, back = conv2d(part, h, 3, 2)
        h = relu(z)
        backs.append((back, h))
    z, back_time = conv1d(p.time, h.reshape(B, T, -1), 3, mask=mask)  # (B, T, h' w' C)
    y, back_hide = hide(z, mask)

    def backward(dy, g):
        dh = back_time(back_hide(dy), g.time).reshape(h.shape)
        for (back, r), part in reversed(list(zip(backs, g.images, strict=True))):
            dh = back(relu_backward(dh, r), part)
        return dh.reshape(x.shape)

    return y, backward


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
