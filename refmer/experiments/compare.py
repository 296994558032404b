"""The main job: train systems on speaker-disjoint splits, break their inputs, and report what is left."""

import numpy as np

from refmer import systems
from refmer.data import targets
from refmer.data.corrupt import corrupt
from refmer.evaluate.statistics import bootstrap_interval, draws_interval
from refmer.experiments import figures, report
from refmer.experiments.gates import gates
from refmer.experiments.publish import prepare, publish
from refmer.experiments.run import cell, execute, resolve
from refmer.recognizer import HEADLINES

ROWS = (*systems.SYSTEMS, "openface_adaptive@no-gate", "concatenation")  # each on its own task
EMOTION = ("openface_adaptive@emotion", "raver@emotion", "tlab_jca@emotion")  # the others have it for their own
CORRUPTIONS = {  # column of the table -> arguments of corrupt
    "clean": None,
    "face noise (standardised)": {"sense": "face", "kind": "gaussian", "amount": 2.0},
    "face noise (raw)": {"sense": "face", "kind": "gaussian", "amount": 2.0, "space": "raw"},
    "no face": {"sense": "face", "kind": "missing", "amount": 1.0},
    "no voice": {"sense": "voice", "kind": "missing", "amount": 1.0},
    "no words": {"sense": "words", "kind": "missing", "amount": 1.0},
    "90 % of both lost": {"sense": "voice+face", "kind": "missing", "amount": 0.9},
}
QUICK = ("clean", "face noise (standardised)", "no face")


def compare(out, rows=None, seeds=None, quick=False, jobs=1, protocol="default", corpora=None, scheduler=None):
    """Train every row on every seed, evaluate it under every corruption, write tables and figures.

    Parameters
    ----------
    out : str or path
        Folder for results.json, results.md, figures/ and cells/; cells that are there already are not computed again.
    rows : sequence of str, optional
        Systems and baselines; `name@target` learns another target ("concatenation@votes"), and run.ABLATIONS has more.
        Default: all systems on their own tasks and, unless `quick`, on emotion.
    seeds : int, optional
        Seeds 0..seeds-1: each draws its own split, initial parameters and noise. Default: the protocol's number.
    quick : bool
        One seed and two corruptions.
    jobs : int
        Processes; the results are the same bytes for any number.
    protocol : str
        Name in protocols.PROTOCOLS: how to split and repeat.
    corpora : dict, optional
        {"clips": Clips, "recordings": Clips} instead of the bundled ones.
    scheduler : str, optional
        Address of a Dask scheduler to run on instead of local processes.

    Returns
    -------
    dict
        What results.json holds.

    Raises
    ------
    KeyError, ValueError, OSError
        An unknown row or protocol, seeds or jobs below 1, a folder that cannot be written.
    """
    rows = (ROWS if quick else ROWS + EMOTION) if rows is None else rows
    plan, corpora, data = prepare({row: resolve(row) for row in rows}, protocol, 1 if quick else seeds, corpora)
    columns = QUICK if quick else tuple(CORRUPTIONS)
    models = [cells_of(row, plan, columns, seed, data) for row in rows for seed in range(plan.seeds)]
    found = execute(models, measure, corpora, out, jobs, scheduler, "train and break")
    result = report.summary(found, corpora, data, columns, plan, protocol)
    publish(out, result, report.markdown(result), figures.draw(result))
    return result


def cells_of(row, plan, columns, seed, data):
    """The cells of one trained model: one for each corruption, and one for its gates over time if it is the gated system."""
    system, changes = resolve(row)
    kinds = [{"kind": "scores", "column": column, "corruption": CORRUPTIONS[column]} for column in columns]
    kinds += [{"kind": "gates"}] if row == "openface_adaptive" else []
    return [cell(row, system, changes, plan, seed, data, **kind) for kind in kinds]


def measure(model, cell, train, test):
    """The result of one cell."""
    if cell["kind"] == "gates":
        return gates(model, train)
    return score(model, cell, train, test, cell["protocol"]["bootstrap"])


def score(model, cell, train, test, bootstrap):
    """Scores under the corruption of a cell, next to a constant answer; {"unused": True} if the broken sense is not used."""
    corruption, target = cell["corruption"], model.config_.target
    used = {test.streams[name].sense for name in systems.find(model.system).streams(model.config_)}
    if corruption is not None and not used & set(corruption["sense"].split("+")):
        return {"unused": True}

    def broken(draw):
        if corruption is None:
            return test
        return corrupt(test, **corruption, scale_from=train, seed=cell["seed"] + draw)

    headline = HEADLINES[targets.task_of(target)]
    answer = model.predict(broken(0))
    found = model.scores(answer, test) | {"headline": headline, "target": target, "classes": list(model.class_names_)}
    found["constant"] = model.scores(constant_answer(train, test, target, answer), test)[headline]
    if bootstrap:
        found["over_clips"] = bootstrap_interval(lambda i: model.scores(answer[i], test[i])[headline], len(test), bootstrap)
        if corruption is not None and (corruption["kind"], corruption["amount"]) != ("missing", 1.0):  # that draws nothing
            draws = [model.scores(model.predict(broken(draw)), test)[headline] for draw in range(bootstrap // 50)]
            found["over_draws"] = draws_interval(draws)
    return found


def constant_answer(train, test, target, answer):
    """The same answer for everyone: the most frequent class, the classes that are above chance on average, or 0."""
    if targets.task_of(target) == "regression":
        return np.zeros_like(answer)
    label = targets.labels(train, target)
    if target == "votes":
        return np.broadcast_to(targets.above_chance(label.mean(0, keepdims=True)), answer.shape)
    return np.full(len(test), np.bincount(label).argmax())
