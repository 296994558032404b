"""From standardised streams to the arrays that a system reads: one row per clip, made once, before training."""

import numpy as np


def width(streams, names):
    """Number of features of some streams side by side."""
    return sum(streams[name].x.shape[-1] for name in names)


def segment_means(streams, names):
    """The mean frame of each clip, streams side by side.

    streams: masked frames are zero. -> means (N, D), zero where there is no frame; present (N,) bool.
    """
    parts = [streams[name] for name in names]
    means = [s.x.sum(1) / np.maximum(s.mask.sum(1), 1)[:, None].astype(s.x.dtype) for s in parts]
    return np.concatenate(means, -1), np.any([s.mask.any(1) for s in parts], 0)


def side_by_side(streams, names, every=1):
    """Streams of one rate as one sequence.

    streams: standardised, masked frames are zero; every: frames that are averaged into one (those that are there). Streams of
    different lengths are cut to the shortest. -> x (N, T, D), mask (N, T), False where none of `every` frames is there.
    """
    T = min(streams[name].x.shape[1] for name in names)
    x = np.concatenate([streams[name].x[:, :T].reshape(*streams[name].x[:, :T].shape[:2], -1) for name in names], -1)
    mask = np.any([streams[name].mask[:, :T] for name in names], 0)
    if every == 1:
        return x, mask
    fill = -T % every
    x, mask = np.pad(x, ((0, 0), (0, fill), (0, 0))), np.pad(mask, ((0, 0), (0, fill)))
    x, mask = x.reshape(len(x), -1, every, x.shape[-1]), mask.reshape(len(mask), -1, every)
    return x.sum(2) / np.maximum(mask.sum(2), 1)[..., None].astype(x.dtype), mask.any(2)
