"""Encoders of sound, face and sequences: those of paper 001, and residual ones in place of the backbones of paper 003.

The encoders of paper 001 (section III; sizes are ours, the paper gives none) take a stream with its mask (B, T) and return
(B, T', C). Masked frames count as 0 in every convolution along time and give 0, so padding changes no valid output. T' = T, but
for sound: two poolings by 2 leave ceil(ceil(T / 2) / 2) steps, whose mask is `sound_mask`. The encoders of paper 003 take
sub-sequences, each of which is an input by itself.
"""

import numpy as np

from refmer.layers.convolution import conv1d, conv2d, conv2plus1d, describe_conv1d, describe_conv2d, describe_conv2plus1d, hide
from refmer.layers.dense import describe_layer_norm, describe_linear, layer_norm, linear, optional, stack
from refmer.layers.sequence import max_pool1d, mean_positions
from refmer.ops.activations import relu, relu_backward
from refmer.ops.contracts import closure
from refmer.ops.convolution import thin_mask

GRID = 3  # patches along each side of an image


def describe_sound_encoder(n_in, width):
    return {
        "conv1": describe_conv1d(n_in, width, 5),
        "conv2": describe_conv1d(width, width, 5),
        "conv3": describe_conv1d(width, width, 3),
    }


@closure
def sound_encoder(p, x, mask=None):
    """Log-mel: twice max_pool2(relu(conv5(x))), then conv3.   x (B, T, mel) -> (B, T', C)."""
    half = _halved(mask)
    h, back1 = _conv_relu_pool(p.conv1, x, mask)
    h, back2 = _conv_relu_pool(p.conv2, h, half)
    y, back3 = _conv3(p.conv3, h, _halved(half))
    return y, lambda dy, g: back1(back2(back3(dy, g.conv3), g.conv2), g.conv1)


def sound_mask(mask):
    """The mask of the output of sound_encoder.   (B, T) -> (B, T')."""
    return _halved(_halved(mask))


def _halved(mask):
    return None if mask is None else thin_mask(mask, 2, 2)


def _conv_relu_pool(p, x, mask):
    z, back_conv = conv1d(p, x, 5, mask=mask)
    r = relu(z)
    y, back_pool = max_pool1d(r, 2, mask=mask)
    return y, lambda dy, g: back_conv(relu_backward(back_pool(dy), r), g)


def _conv3(p, x, mask):
    """conv3(x), 0 where not valid."""
    z, back_conv = conv1d(p, x, 3, mask=mask)
    y, back_hide = hide(z, mask)
    return y, lambda dy, g: back_conv(back_hide(dy), g)


def describe_sequence_encoder(n_in, width):
    return {"conv1": describe_conv1d(n_in, width, 3), "conv2": describe_conv1d(width, width, 3)}


@closure
def sequence_encoder(p, x, mask=None):
    """Physiology or words: conv3(relu(conv3(x))).   x (B, T, D) -> (B, T, C)."""
    z, back1 = conv1d(p.conv1, x, 3, mask=mask)
    r = relu(z)
    y, back2 = _conv3(p.conv2, r, mask)
    return y, lambda dy, g: back1(relu_backward(back2(dy, g.conv2), r), g.conv1)


describe_projection = describe_linear


@closure
def projection(p, x, mask=None):
    """x W + b of each frame, 0 where not valid: in place of an encoder.   x (B, T, ...) -> (B, T, C)."""
    z, back_map = linear(p, x.reshape(*x.shape[:2], -1))
    y, back_hide = hide(z, mask)
    return y, lambda dy, g: back_map(back_hide(dy), g).reshape(x.shape)


def describe_face_encoder(width):
    return {
        "images": [describe_conv2d(width if k else 1, width, 3) for k in range(3)],
        "time": describe_conv1d(width, width, 3),
    }


@closure
def face_encoder(p, x, mask=None):
    """Per frame three times relu(conv 3x3, stride 2), mean over positions; then conv3 over time.   x (B, T, h, w)."""
    h, back_images = stack(_conv_relu, p.images, x.reshape(-1, *x.shape[2:], 1))  # (B T, h', w', C)
    vectors, back_mean = mean_positions(h)  # (B T, C)
    y, back_time = _conv3(p.time, vectors.reshape(*x.shape[:2], -1), mask)

    def backward(dy, g):
        dvectors = back_time(dy, g.time).reshape(vectors.shape)
        return back_images(back_mean(dvectors), g.images).reshape(x.shape)

    return y, backward


def _conv_relu(p, x, i):
    z, back = conv2d(p, x, 3, 2)
    r = relu(z)
    return r, lambda dr, g: back(relu_backward(dr, r), g)


def describe_patch_encoder(size, width):
    """size (height, width) of a frame."""
    return {
        "image": describe_patches((1, *size), width),
        "time": describe_conv1d(GRID * GRID * width, width, 3),
    }


@closure
def patch_encoder(p, x, mask=None):
    """Per frame `patches`, all positions side by side; then conv3 over time.   x (B, T, h, w)."""
    h, back_image = patches(p.image, x.reshape(-1, 1, *x.shape[2:]))  # (B T, N, C)
    y, back_time = _conv3(p.time, h.reshape(*x.shape[:2], -1), mask)
    return y, lambda dy, g: back_image(back_time(dy, g.time).reshape(h.shape), g.image).reshape(x.shape)


@closure
def thin(x, stride):
    """Every stride-th position along each axis between batch and channels.   x (B, ..., C)."""
    every = (slice(None),) + (slice(None, None, stride),) * (x.ndim - 2)

    def backward(dy):
        dx = np.zeros(x.shape, dy.dtype)
        dx[every] = dy
        return dx

    return x[every], backward


def describe_residual_block(n_in, n_out, describe, stride=1):
    skip = {} if n_in == n_out and stride == 1 else {"skip": describe_linear(n_in, n_out)}
    return {
        "conv1": describe(n_in, n_out, 3),
        "norm1": describe_layer_norm(n_out),
        "conv2": describe(n_out, n_out, 3),
        "norm2": describe_layer_norm(n_out),
    } | skip


@closure
def residual_block(p, x, conv, stride=1):
    """y = relu(LN(conv(relu(LN(conv(x))))) + skip(x)), the first convolution and the skip with a stride.   x (B, ..., C)."""
    z, back_conv1 = conv(p.conv1, x, 3, stride)
    n1, back_norm1 = layer_norm(p.norm1, z)
    r1 = relu(n1)
    z, back_conv2 = conv(p.conv2, r1, 3)
    n2, back_norm2 = layer_norm(p.norm2, z)
    skip, back_thin = thin(x, stride)
    skip, back_skip = optional(p, "skip", linear, skip)
    y = relu(n2 + skip)

    def backward(dy, g):
        ds = relu_backward(dy, y)  # y = relu(s), s = n2 + skip
        dr1 = back_conv2(back_norm2(ds, g.norm2), g.conv2)
        dx = back_conv1(back_norm1(relu_backward(dr1, r1), g.norm1), g.conv1)
        return dx + back_thin(back_skip(ds, g))

    return y, backward


def _describe_trunk(widths, n_in, describe):
    blocks = [describe_residual_block(a, b, describe, 2) for a, b in zip(widths[:-1], widths[1:], strict=True)]
    first = describe_residual_block(widths[0], widths[0], describe)
    return {"stem": describe(n_in, widths[0], 3), "norm": describe_layer_norm(widths[0]), "blocks": [first, *blocks]}


def _trunk(p, x, conv):
    """Stem with stride 2, a block with stride 1, then one with stride 2 per further width.   x (B, ..., 1) -> (B, ..., C)."""
    z, back_stem = conv(p.stem, x, 3, 2)
    n, back_norm = layer_norm(p.norm, z)
    r = relu(n)
    y, back_blocks = stack(lambda q, x, i: residual_block(q, x, conv, 2 if i else 1), p.blocks, r)
    return y, lambda dy, g: back_stem(back_norm(relu_backward(back_blocks(dy, g.blocks), r), g.norm), g.stem)


def describe_resnet(widths, n_in=1):
    """Widths of the stem and first block, then of each further block."""
    return _describe_trunk(widths, n_in, describe_conv2d)


@closure
def resnet(p, x):
    """A vector for each log-mel window: residual blocks, then the mean over all positions.   x (B, T, mel, 1) -> (B, C)."""
    z, back_trunk = _trunk(p, x, conv2d)
    y, back_mean = mean_positions(z)
    return y, lambda dy, g: back_trunk(back_mean(dy), g)


def describe_r2plus1d(widths, n_in=1):
    """Widths of the stem and first block, then of each further block."""
    return _describe_trunk(widths, n_in, describe_conv2plus1d)


@closure
def r2plus1d_map(p, x):
    """Frames to a vector per position of space, and of time where frames are left.   x (B, T, h, w, 1) -> (B, N, C).

    Audio-guided attention (AVGA of paper 003) weighs these positions.
    """
    z, back_trunk = _trunk(p, x, conv2plus1d)
    return z.reshape(len(z), -1, z.shape[-1]), lambda dy, g: back_trunk(dy.reshape(z.shape), g)


def describe_patches(shape, width):
    """shape (F, h, w) of the images of a sub-sequence."""
    images = np.zeros(shape)
    return {"maps": [describe_linear(images[place].size, width) for place in _places(shape)]}


@closure
def patches(p, x):
    """relu(x_n W_n + b_n) of each of N = GRID^2 patches, from all images side by side.   x (B, F, h, w) -> (B, N, C).

    A map of its own for each position keeps what is where.
    """
    places = _places(x.shape)
    z, backs = zip(*(linear(q, x[place].reshape(len(x), -1)) for q, place in zip(p.maps, places, strict=True)), strict=True)
    y = relu(np.stack(z, 1))

    def backward(dy, g):
        dz, dx = relu_backward(dy, y), np.zeros(x.shape, dy.dtype)
        for n, place in enumerate(places):
            dx[place] += backs[n](dz[:, n], g.maps[n]).reshape(dx[place].shape)
        return dx

    return y, backward


def _places(shape):
    """Indices of the patches of images (..., h, w); neighbours share pixels where GRID does not divide a side."""
    rows, columns = ([slice(i * n // GRID, -(-(i + 1) * n // GRID)) for i in range(GRID)] for n in shape[-2:])
    return [(..., r, c) for r in rows for c in columns]


def encode_sound(p, x, valid, channels=False, skip=False):
    """A vector for every log-mel window, 0 where not valid.   x (B, S, F, mel), valid (B, S) -> (B, S, C).

    The window is an image (F, mel), or a sequence (F, 1) with the bands as `channels`: a small ResNet that ends with the mean
    over an image finds patterns, but not their frequencies. `skip`: what is not valid is not computed either.
    """
    F, mel = x.shape[2:]
    return _each(resnet, p, x, (F, 1, mel) if channels else (F, mel, 1), valid, skip)


def encode_face(p, x, valid, kind, skip=False):
    """A map of N positions for the images of every sub-sequence, 0 where not valid.   x (B, S, F, h, w) -> (B, S, N, C)."""
    if kind == "patches":
        return _each(patches, p, x, x.shape[2:], valid, skip)
    return _each(r2plus1d_map, p, x, (*x.shape[2:], 1), valid, skip)


def _each(layer, p, x, shape, valid, skip):
    """layer(p, .) on sub-sequences of this shape: on those that are valid (but one at least), or on all."""
    B, S = x.shape[:2]
    rows = np.flatnonzero(valid) if skip and valid.any() else np.arange(1 if skip else B * S)
    y, back = layer(p, x.reshape(B * S, *shape)[rows])
    mask = valid.reshape(-1, *[1] * (y.ndim - 1))[rows]
    full = np.zeros((B * S, *y.shape[1:]), y.dtype)
    full[rows] = np.where(mask, y, 0)

    def backward(dy, g):
        dx = np.zeros((B * S, *shape), dy.dtype)
        dx[rows] = back(np.where(mask, dy.reshape(full.shape)[rows], 0), g)
        return dx.reshape(x.shape)

    return full.reshape(B, S, *y.shape[1:]), backward
