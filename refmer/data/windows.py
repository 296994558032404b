"""Sliding windows over clips."""

from dataclasses import replace

import numpy as np

from refmer.choices import ABOVE_0, plain, typed
from refmer.data.clips import Clips, checked


def windows(clips, window, hop):
    """Cut every clip into W overlapping windows of `window` seconds, one every `hop` seconds.

    -> Clips without labels, N W of them: the windows of the first clip, then those of the second; ends (W,): the second at
    which each window ends, and its prediction is available.
    """
    window, hop = (typed(name, plain(x), float, ABOVE_0) for name, x in (("window", window), ("hop", hop)))
    length = min(s.mask.shape[1] / s.rate for s in checked(clips).streams.values())
    if window > length:
        raise ValueError(f"window is {window} s, but the clips are {length:g} s long")
    ends = window + hop * np.arange(int((length - window) / hop + 1e-9) + 1)
    streams = {}
    for name, s in clips.streams.items():
        first = np.round((ends - window) * s.rate).astype(int)
        index = first[:, None] + np.arange(max(round(window * s.rate), 1))  # (W, frames)
        index = np.minimum(index, s.mask.shape[1] - 1)
        streams[name] = replace(
            s, x=s.x[:, index].reshape(-1, *index.shape[1:], *s.x.shape[2:]), mask=s.mask[:, index].reshape(-1, index.shape[1])
        )
    repeated = {label: np.repeat(getattr(clips, label), len(ends)) for label in ("name", "speaker")}
    return Clips(streams, **repeated, source=clips.source), ends
