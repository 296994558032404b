"""Seeded randomness for synthetic signals: one generator per thing, and smooth random tracks."""

import zlib

import numpy as np
from scipy.signal import lfilter


def generator(seed, what, *index):
    """Return a generator for one thing, such as (0, "clip", speaker, emotion, take): independent of all others."""
    return np.random.default_rng([seed, zlib.crc32(what.encode()), *index])


def gauss_markov(rng, length, width, seconds, rate):
    """Return Gauss-Markov tracks (length, width): mean 0, variance 1, correlation exp(-t / seconds) at `rate` Hz."""
    keep = float(np.exp(-1 / (seconds * rate)))
    noise = rng.standard_normal((length, width)) * (1 - keep**2) ** 0.5
    start = keep * rng.standard_normal((1, width))  # the track begins in its steady state
    return lfilter([1], [1, -keep], noise, axis=0, zi=start)[0]
