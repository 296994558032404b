"""A small language: sentences, words with a given valence, and a fixed vector for each word."""

import zlib
from functools import cache

import numpy as np

from refmer.data.clips import WORD_RATE

WIDTH = 16  # of a word vector
ADJECTIVES = {
    "awful": -3, "terrible": -2.5, "bad": -2, "dull": -1.2, "sad": -1.5, "odd": -0.5, "plain": 0,
    "fine": 0.8, "nice": 1.2, "good": 1.8, "lovely": 2.3, "great": 2.6, "wonderful": 3,
}  # fmt: skip
ADVERBS = {"hardly": 0.3, "rather": 0.7, "quite": 0.9, "really": 1.2}  # times the adjective's valence
NOUNS = ("film", "dinner", "meeting", "journey", "letter", "song", "game", "weather", "house", "party")


def length(seconds):
    """Return the number of words in that time, at least one."""
    return max(round(seconds * WORD_RATE), 1)


def write(rng, valence):
    """Return a sentence whose adjectives are near the valence at their positions.

    valence (T,) in [-3, 3] is the tone over time, one value per word; returns T words. The pattern "and the film was
    really good" repeats and is counted from the end, so that the shortest sentence is an adjective.
    """
    adjectives, adverbs = list(ADJECTIVES), list(ADVERBS)
    fit = np.array(list(ADJECTIVES.values()))
    words = []
    for t, target in enumerate(valence):
        from_end = (len(valence) - 1 - t) % 6
        if from_end == 0:
            words.append(adjectives[np.abs(fit - target + rng.normal(0, 0.5, len(fit))).argmin()])
        elif from_end == 1:
            words.append(adverbs[rng.integers(len(adverbs))])
        else:
            words.append({2: "was", 3: NOUNS[rng.integers(len(NOUNS))], 4: "the", 5: "and"}[from_end])
    return words


def tone(words):
    """Return the mean valence of a sentence's adjectives, each times the adverb before it; within [-3.6, 3.6]."""
    pairs = zip(["", *words], words, strict=False)
    return float(np.mean([ADVERBS.get(before, 1) * ADJECTIVES[word] for before, word in pairs if word in ADJECTIVES]))


def vectors(words):
    """Return word vectors (T, 16): random, equal for equal words, with valence along the first axis."""
    return np.stack([vector(word) for word in words])


@cache
def vector(word):
    out = np.random.default_rng(zlib.crc32(word.encode())).standard_normal(WIDTH) * 0.5
    out[0] = ADJECTIVES.get(word, 0) / 2
    return out
