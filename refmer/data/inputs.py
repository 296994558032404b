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
