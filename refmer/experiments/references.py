"""The linear models that rows are compared with, the paired test against them, and the ceiling of the synthetic corpora."""

import numpy as np

from refmer import systems
from refmer.data.synthetic import raters
from refmer.data.synthetic.signals import sentiment_ceiling
from refmer.evaluate.statistics import spread, verdicts
from refmer.experiments import report
from refmer.experiments.data import corpus_with, is_synthetic

LINEAR, BEST_SENSE = "linear", "best_sense"  # rows of each label
BELOW = "(below)"  # mark of a row whose mean is below that of the linear model of its own streams
CEILINGS = ("emotion", "intended", "votes", "sentiment")


def rows(setup):
    """Yield (name, ("linear", arguments)): for each label a model of the streams of each row, and one of the best sense."""
    read, labels = streams(setup), dict.fromkeys(changes["target"] for _, changes in setup.rows.values())
    for label in labels:
        of_label = [row for row in setup.rows if setup.rows[row][1]["target"] == label]
        clips = setup.corpora[corpus_with(setup.corpora, label)]
        sets = dict.fromkeys(read[row] for row in of_label)
        senses = dict.fromkeys(part for names in sets for part in by_sense(clips, names))
        yield from ((name(names), own(setup, of_label[0], names)) for names in sets)
        yield BEST_SENSE, own(setup, of_label[0], *senses)


def own(setup, row, *candidates):
    """("linear", arguments) of a model that learns what a row does, from streams (several candidates: the best)."""
    system, changes = setup.rows[row]
    label = setup.corpora[corpus_with(setup.corpora, changes["target"])].labels[changes["target"]]
    seconds = systems.find(system).Config.tiny(**changes).seconds
    seconds = max(seconds, 1 / label.rate) if label.over_time else seconds
    return LINEAR, {"target": changes["target"], "seconds": seconds, "candidates": [list(names) for names in candidates]}


def name(names):
    """The name of a linear model of these streams, among those of the same label."""
    return f"{LINEAR} on {', '.join(names)}"


def streams(setup):
    """{row: names of the streams that it reads, in the order of the clips}."""
    return {row: report.streams(setup, *resolved) for row, resolved in setup.rows.items()}


def by_sense(clips, names):
    """Names of streams, apart by sense."""
    parts = {}
    for stream in names:
        parts.setdefault(clips.streams[stream].sense, []).append(stream)
    return [tuple(part) for part in parts.values()]


def over(pairs, test_per_train):
    """Each row's score minus its reference, paired by seed, as `verdicts` has it; of one seed the difference alone."""
    effects = {row: np.subtract(ours["values"], reference["values"]) for row, (ours, reference) in pairs.items()}
    if len(next(iter(effects.values()))) == 1:
        return {row: {"effect": spread(values.tolist())} for row, values in effects.items()}
    return verdicts(effects, 0.0, test_per_train=test_per_train)


def ceiling(clips, label):
    """The best score that what the senses show allows to expect, where the data are synthetic and it is known; else None."""
    if not is_synthetic(clips.source) or label not in CEILINGS:
        return None
    return sentiment_ceiling(clips.truth) if label == "sentiment" else raters.ceiling(label)
