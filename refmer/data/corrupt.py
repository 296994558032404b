"""Corruptions: clips -> new clips, seeded. They address a sense and hit all its streams."""

from dataclasses import replace

import numpy as np

from refmer.data.clips import SENSES

KINDS = ("gaussian", "missing")
SPACES = ("standard", "raw")
PERS = ("clip", "frame")


def corrupt(clips, sense, kind, amount, *, space="standard", scale_from=None, per="clip", span=None, seed=0):
    """Break one sense of some clips.

    Parameters
    ----------
    clips : Clips
        Left as they are.
    sense : "voice", "face", "words" or "body"
    kind : "gaussian" or "missing"
        Gaussian noise is added to the features; frames go missing, independently of each other.
    amount : float
        Standard deviation of the noise, or share of the frames that go missing (1: the whole modality; 0: nothing changes).
    space : "standard" or "raw"
        For noise: `amount` is in standard deviations of each feature over the frames of `scale_from`, or in the features' own
        units (paper 000 adds N(0, 4) to raw features: negligible for some, swamping for others). For missing frames: the mask
        becomes False, which systems read as zero after standardising, or the raw feature becomes zero and nobody is told.
    scale_from : Clips, optional
        The training clips, whose standard deviations scale the noise; needed for noise in standard space.
    per : "clip" or "frame"
        One draw of noise per clip and feature, as paper 000 (its features are segment means), or one per frame.
    span : (start, end), optional
        Seconds within which the corruption acts; default: the whole clip.
    seed : int

    Returns
    -------
    Clips

    Raises
    ------
    ValueError
        If an argument is none of the accepted ones, or the clips have no stream of that sense.
    """
    for label, value, accepted in (
        ("sense", sense, SENSES),
        ("kind", kind, KINDS),
        ("space", space, SPACES),
        ("per", per, PERS),
    ):
        if value not in accepted:
            raise ValueError(f"{label} is {value!r}; accepted: {', '.join(accepted)}")
    if not (0 <= amount < np.inf and (kind == "gaussian" or amount <= 1)):
        raise ValueError(f"amount is {amount}; accepted: {'0 or more' if kind == 'gaussian' else 'a share from 0 to 1'}")
    streams = {name: s for name, s in clips.streams.items() if s.sense == sense}
    if not streams:
        raise ValueError(f"these clips have no stream of {sense}; they have {', '.join(clips.streams)}")
    if amount == 0:
        return clips
    rng = np.random.default_rng([seed, SENSES.index(sense), KINDS.index(kind)])
    if kind == "missing":
        lost = lose(rng, streams, amount)
        return clips.with_streams(**{k: remove(s, lost[k] & within(s, span), space) for k, s in streams.items()})
    if space == "standard" and scale_from is None:
        raise ValueError("noise in standard space needs scale_from, the training clips whose standard deviations scale it")
    noisy = {}
    for name, s in streams.items():
        scale = 1.0 if space == "raw" else deviation(scale_from.streams[name])
        noisy[name] = add_noise(rng, s, amount * scale, per, within(s, span))
    return clips.with_streams(**noisy)


def lose(rng, streams, share):
    """{name: (N, T) bool} frames that go missing: drawn at the highest rate, so that all streams lose the same moments."""
    fastest = max(streams.values(), key=lambda s: s.rate * s.mask.shape[1])
    lost = rng.random(fastest.mask.shape) < share
    return {name: lost[:, moments(s, fastest)] for name, s in streams.items()}


def moments(stream, fastest):
    """Index of the fastest stream's frame in which each frame of a stream is centred, (T,)."""
    t = (np.arange(stream.mask.shape[1]) + 0.5) / stream.rate
    return np.minimum((t * fastest.rate).astype(int), fastest.mask.shape[1] - 1)


def within(stream, span):
    """(T,) bool: frames whose centre lies in the span."""
    t = (np.arange(stream.mask.shape[1]) + 0.5) / stream.rate
    return np.ones(len(t), bool) if span is None else (t >= span[0]) & (t < span[1])


def remove(stream, lost, space):
    """Zeros where frames are lost; in standard space the mask says so too."""
    x = stream.x.copy()
    x[lost] = 0
    return replace(stream, x=x, mask=stream.mask if space == "raw" else stream.mask & ~lost)


def deviation(stream):
    """Standard deviation of each feature over all frames."""
    return stream.x[stream.mask].astype(np.float64).std(0)


def add_noise(rng, stream, sd, per, where):
    """x + sd n on the frames that are there and in the span; images become floating."""
    shape = stream.x.shape if per == "frame" else (len(stream.x), 1, *stream.x.shape[2:])
    noise = (sd * rng.standard_normal(shape)).astype(np.float32)
    hit = (stream.mask & where)[(...,) + (None,) * (stream.x.ndim - 2)]
    return replace(stream, x=stream.x.astype(np.float32) + np.where(hit, noise, 0))
