"""Corrupted copies of training clips with the states of their sensors: what a gate can learn reliability from.

A state is 1 for a clean sensor and 0 for one that tells nothing. Between them, noise of s standard deviations leaves the share
1 / (1 + s^2) of a feature's variance to the signal.
"""

from dataclasses import replace

import numpy as np

from refmer.data.clips import Clips
from refmer.data.corrupt import corrupt
from refmer.data.gaps import extent

KINDS = {  # (kind, amount) of `corrupt`: state
    ("hand", 1.0): 0.0,
    ("white", 0.0): 0.0,
    ("white", 10.0): 0.5,
    ("missing", 1.0): 0.0,
    **{("gaussian", s): 1 / (1 + s * s) for s in (0.25, 0.5, 1.0, 2.0, 3.0)},
}
WINDOW = 0.5  # seconds, of paper 000's sliding window
LEAST, MOST, REFERENCE = 512, 4096, 256  # copies; clips that noise is scaled by


def copies(clips, modalities, seed, cut=True):
    """Yield (clips, {modality: state}): copies of clips with the sensor of one modality corrupted, in each part in another way.

    There is one copy of each clip, at least LEAST and at most MOST in all. Every kind that the clips allow (white noise needs
    their waves, a hand the names of units) has an equal part; half of each are cut to a random WINDOW, if `cut`.

    Parameters
    ----------
    clips : Clips
    modalities : dict of str to tuple of str
        Names of the streams of each modality.
    seed : int
    cut : bool
    """
    rng = np.random.default_rng([seed, 2])
    order = np.resize(rng.permutation(len(clips)), np.clip(len(clips), LEAST, MOST))
    reference = in_memory(clips[order[:REFERENCE]])
    ways = [(m, way) for m in modalities for way in KINDS if broken(reference[:1], modalities[m], way, reference, seed)]
    for (modality, way), rows in zip(ways, np.array_split(order, len(ways)), strict=True):
        part, half = broken(in_memory(clips[rows]), modalities[modality], way, reference, seed), len(rows) // 2
        states = dict.fromkeys(modalities, 1.0) | {modality: KINDS[way]}
        yield from ((x, states) for x in ((part[:half], glimpses(part[half:], rng)) if cut else (part,)))


def in_memory(clips):
    """Return clips whose streams are in memory."""
    return clips.with_streams(**{name: s.read(slice(None)) for name, s in clips.streams.items()})


def broken(clips, names, way, reference, seed):
    """Return clips with these streams corrupted; None where the clips do not allow that kind."""
    own = Clips({name: clips.streams[name] for name in names}, clips.name, clips.speaker, raw=clips.raw)
    sense = "+".join(dict.fromkeys(s.sense for s in own.streams.values()))
    try:
        return clips.with_streams(**corrupt(own, sense, *way, scale_from=reference, seed=seed).streams)
    except ValueError:
        return None


def glimpses(clips, rng):
    """Return clips without the frames outside a random WINDOW of each."""
    streams, start = {}, rng.random(len(clips))
    for name, s in clips.streams.items():
        length, n = extent(s.mask).sum(1), max(round(WINDOW * s.rate), 1)
        first = np.round(start * np.maximum(length - n, 0)).astype(int)[:, None]
        at = np.arange(s.mask.shape[1])
        streams[name] = replace(s, mask=s.mask & (at >= first) & (at < first + n))
    return clips.with_streams(**streams)
