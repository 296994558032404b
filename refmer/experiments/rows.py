"""Rows of an experiment: systems, changes to their Config, the labels that they learn and the streams that they read."""

import warnings
from dataclasses import replace

from refmer import systems
from refmer.data.gaps import fastest
from refmer.data.inputs import assign
from refmer.experiments.data import chosen, corpus_with
from refmer.linear import LinearReference
from refmer.recognizer import Recognizer

ABLATIONS = {"openface_adaptive@no-gate": {"gate": False}, "openface_adaptive@no-reliability": {"reliability": 0.0}}


def resolve(row):
    """(system, changes to its Config, with its target) of a row: NAME, NAME@LABEL, or a name in ABLATIONS."""
    name, _, label = row.partition("@")
    return with_target(name, ABLATIONS.get(row, {"target": label} if label else {}))


def with_target(name, changes):
    """(system, changes) with the system's default target where `changes` has none."""
    return name, {"target": systems.find(name).Config.tiny(**changes).target} | changes


def resolve_all(rows):
    """{row: (system, changes)} of at least one row."""
    if not rows:
        raise ValueError("rows are []; accepted: at least one")
    return {row: resolve(row) for row in rows}


def learning(rows, corpora=None, label=None):
    """Rows that learn `label`, or the only label of given corpora, or each its own; names lose @LABEL where all have one."""
    known = {name: x for clips in (corpora or {}).values() for name, x in clips.labels.items()}
    label = next(iter(known)) if label is None and len(known) == 1 else label
    result = {}
    for row, (system, changes) in rows.items():
        target = changes["target"] if label is None else label
        name = row if label is None or row in ABLATIONS else row.partition("@")[0]
        result[name] = (system, changes | {"target": target if corpora is None else chosen(known, target)})
    return result


def check(experiment, rows, corpora):
    """Raise ValueError for labels or senses that an experiment does not accept."""
    labels = {}
    for row, (_, changes) in rows.items():
        labels.setdefault(changes["target"], row)
    for label, row in labels.items():
        clips = corpora[corpus_with(corpora, label)]
        kind, senses = clips.labels[label].kind, {s.sense for s in clips.streams.values()}
        if kind not in experiment.kinds:
            raise ValueError(
                f"{row} learns {label}, a label of {kind}; accepted by {experiment.name}: {', '.join(experiment.kinds)}"
            )
        if missing := [sense for sense in experiment.senses if sense not in senses]:
            raise ValueError(
                f"{experiment.name} takes away {' and '.join(experiment.senses)}, but no stream has the sense "
                f"{missing[0]}; these have {', '.join(sorted(senses))}: see Stream(sense=...)"
            )
    if experiment.one_label and len(labels) > 1:
        raise ValueError(f"the rows learn {', '.join(labels)}; accepted: rows of one label, as NAME@LABEL")


def streams_read(system, changes, clips, streams):
    """{modality: names of the streams} that a system reads on clips; ValueError if they lack some."""
    if system == LinearReference.system:
        return dict(enumerate(changes["candidates"]))
    module = systems.find(system)
    config = Recognizer(system, config=changes, streams=streams).config_of(module)
    return assign(system, module.modalities(config), streams or {}, clips.streams)


def narrowed(clips, system, changes, streams):
    """Clips with the streams that a system reads and the fastest of each sense, whose frames are the slots of corruptions."""
    kept = {name for names in streams_read(system, changes, clips, streams).values() for name in names}
    for sense in {s.sense for s in clips.streams.values()}:
        kept.add(fastest({name: s for name, s in clips.streams.items() if s.sense == sense}))
    return replace(clips, streams={name: s for name, s in clips.streams.items() if name in kept})


def readable(rows, corpora, streams, named):
    """The rows that can read their clips; others raise ValueError if they are `named` by the user, else are left out."""
    result, errors = {}, {}
    for row, (system, changes) in rows.items():
        try:
            streams_read(system, changes, corpora[corpus_with(corpora, changes["target"])], streams)
            result[row] = (system, changes)
        except ValueError as error:
            errors[row] = error
    if errors and (named or not result):
        raise next(iter(errors.values()))
    for row, error in errors.items():
        warnings.warn(f"{row} is left out: {error}", stacklevel=3)
    return result
