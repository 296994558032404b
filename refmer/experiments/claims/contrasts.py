"""Contrasts: scores of named rows under named conditions, and small functions from their values to an effect.

The functions take arrays (n,), a value for each seed, the seeds shared by all rows, and return the effects (n,).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Score(NamedTuple):
    """One number of one trained row: a row of models.ROWS, a condition of measures.py, a score's name."""

    row: str
    condition: str = "clean"
    name: str = "macro_f1"


class Contrast(NamedTuple):
    """effect = function(values of the scores, in order)."""

    function: Callable
    scores: tuple


def difference(a, b):
    """a - b."""
    return a - b


def beyond_clean(a, b, a_clean, b_clean):
    """(a - b) - (a_clean - b_clean): the lead under a corruption, beyond that on clean inputs."""
    return (a - b) - (a_clean - b_clean)


def trend(*scores):
    """Least-squares slope of the scores over their places 0, 1, 2, ...: less than 0 if they fall."""
    place = np.arange(len(scores)) - (len(scores) - 1) / 2
    return place @ np.array(scores) / (place @ place)


def flatter(*scores):
    """Trend of the first half of the scores - trend of the second half: above 0 if the first falls less."""
    half = len(scores) // 2
    return trend(*scores[:half]) - trend(*scores[half:])


def lead_of_means(*scores):
    """Mean of the first half of the scores - mean of the second half."""
    half = len(scores) // 2
    return np.mean(scores[:half], 0) - np.mean(scores[half:], 0)


def over_best(ours, *others):
    """ours - the other that is best on average over the seeds."""
    return ours - max(others, key=np.mean)


def steadier(ours, other):
    """|other - its median| - |ours - its median|: above 0 if ours spreads less (Brown and Forsythe 1974, paired by seed)."""
    return np.abs(other - np.median(other)) - np.abs(ours - np.median(ours))


def beyond(threshold):
    """x - threshold."""
    return lambda x: x - threshold


def loss_beyond(threshold):
    """(before - after) - threshold: how much more than the threshold is lost."""
    return lambda before, after: before - after - threshold


def neighbours(within_one, accuracy, classes=7):
    """Within-one accuracy - that of the same confusion with its classes renamed at random.

    Renaming keeps the accuracy; of the K (K - 1) kinds of error, 2 (K - 1) are between neighbours, on average
    2 / K of the errors.
    """
    return within_one - (accuracy + (1 - accuracy) * 2 / classes)


def lead(a, b, condition="clean", name="macro_f1"):
    """Contrast a - b of two rows."""
    return Contrast(difference, (Score(a, condition, name), Score(b, condition, name)))


def one(row, condition, name, function=lambda x: x):
    """Contrast of a score by itself."""
    return Contrast(function, (Score(row, condition, name),))


def gate(condition):
    """Gated - ungated, and the same minus the clean difference, in accuracy."""
    scores = tuple(Score(row, at, "accuracy") for at in (condition, "clean") for row in ("gated", "ungated"))
    return Contrast(difference, scores[:2]), Contrast(beyond_clean, scores)


def sweep(rows, conditions, function):
    """A function of the accuracies of some rows over a sweep of conditions."""
    return Contrast(function, tuple(Score(row, at, "accuracy") for row in rows for at in conditions))


def lossy_mean(a, b, conditions):
    """Mean macro F1 of a - that of b over some conditions."""
    return Contrast(lead_of_means, tuple(Score(row, at) for row in (a, b) for at in conditions))


def longer(a, b):
    """(a - b on long clips) - (a - b on short clips)."""
    return Contrast(beyond_clean, tuple(Score(row, "clean", f"macro_f1_{n}") for n in ("long", "short") for row in (a, b)))


def best_of(row, parts):
    """A row over the best of others, clean."""
    return Contrast(over_best, tuple(Score(r) for r in (row, *parts)))


class Claim(NamedTuple):
    """A line of the table of claims; direction and margin as for evaluate.statistics.verdicts."""

    id: str
    place: str  # paper and section
    text: str
    published: str  # the printed figure
    contrasts: dict  # {name: Contrast}, in the unit of the scores: of macro F1, accuracy and CCC .01 is a point; {}: not tested
    direction: str = "greater"
    margin: float = 0.01
    note: str = ""  # a restriction; of a line that is not tested, the reason
