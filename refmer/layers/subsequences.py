"""Sequences of sub-sequences (paper 003): encoders over each of them, and windows of as many as maps along time ask for."""

import numpy as np

from refmer.layers.encoders import describe_r2plus1d, describe_resnet, r2plus1d_map, resnet


def describe_encoders(sound, face, bands=1):
    """Widths of each encoder (layers/encoders.py); `bands` is mel where encode_sound has them as channels."""
    return {"sound": describe_resnet(sound, bands), "face": describe_r2plus1d(face)}


def encode_sound(p, x, valid, channels=False, skip=False):
    """Every log-mel window to a vector, 0 where not valid.   x (B, S, F, mel), valid (B, S) -> (B, S, C).

    As an image (F, mel), or with the bands as channels of a sequence (F, 1): a small ResNet that ends with the mean over an
    image knows patterns, but not at which frequency they were. `skip`: what is not valid is not computed either.
    """
    F, mel = x.shape[2:]
    return _each(resnet, p, x, (F, 1, mel) if channels else (F, mel, 1), valid, skip)


def encode_face(p, x, valid, skip=False):
    """The images of every sub-sequence to a map of N positions, 0 where not valid.   x (B, S, F, h, w) -> (B, S, N, C)."""
    return _each(r2plus1d_map, p, x, (*x.shape[2:], 1), valid, skip)


def _each(layer, p, x, shape, valid, skip):
    """layer(p, .) on sub-sequences of this shape: on those that are valid (but one at least), or on all."""
    B, S = x.shape[:2]
    kept = np.flatnonzero(valid) if skip and valid.any() else np.arange(1 if skip else B * S)
    y, back = layer(p, x.reshape(B * S, *shape)[kept])
    shown = valid.reshape(-1, *[1] * (y.ndim - 1))[kept]
    full = np.zeros((B * S, *y.shape[1:]), y.dtype)
    full[kept] = np.where(shown, y, 0)

    def backward(dy, g):
        dx = np.zeros((B * S, *shape), dy.dtype)
        dx[kept] = back(np.where(shown, dy.reshape(full.shape)[kept], 0), g)
        return dx.reshape(x.shape)

    return full.reshape(B, S, *y.shape[1:]), backward


def fold(x, steps):
    """Consecutive windows, the last one filled with 0.   x (B, S, ...) -> (B W, steps, ...), W = ceil(S / steps)."""
    S = x.shape[1]
    padded = np.pad(x, [(0, 0), (0, -S % steps)] + [(0, 0)] * (x.ndim - 2))
    return padded.reshape(-1, steps, *x.shape[2:]), lambda dy: dy.reshape(padded.shape)[:, :S]


def unfold(x, clips, steps):
    """What `fold` did, undone.   x (B W, T, ...) -> (B, steps, ...)."""
    long = x.reshape(clips, -1, *x.shape[2:])

    def backward(dy):
        fill = long.shape[1] - steps
        return np.pad(dy, [(0, 0), (0, fill)] + [(0, 0)] * (dy.ndim - 2)).reshape(x.shape)

    return long[:, :steps], backward
