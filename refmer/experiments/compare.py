"""The main job: train systems on speaker-disjoint splits, break their inputs, and report what is left."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from refmer import systems
from refmer.data import targets
from refmer.data.corrupt import corrupt
from refmer.data.files import write_text
from refmer.data.read import load_samples
from refmer.evaluate.statistics import bootstrap_interval, draws_interval
from refmer.experiments import cells, figures, protocols, report
from refmer.experiments.gates import gates
from refmer.recognizer import HEADLINES, Recognizer

ABLATIONS = {"openface_adaptive@no-gate": {"gate": False}}
ROWS = (*systems.SYSTEMS, "openface_adaptive@no-gate", "concatenation", "openface_adaptive@emotion")
CORRUPTIONS = {  # column of the table -> arguments of corrupt
    "clean": None,
    "face noise (standardised)": {"sense": "face", "kind": "gaussian", "amount": 2.0},
    "face noise (raw)": {"sense": "face", "kind": "gaussian", "amount": 2.0, "space": "raw"},
    "no face": {"sense": "face", "kind": "missing", "amount": 1.0},
    "no voice": {"sense": "voice", "kind": "missing", "amount": 1.0},
    "no words": {"sense": "words", "kind": "missing", "amount": 1.0},
}
QUICK = ("clean", "face noise (standardised)", "no face")


def compare(out, rows=ROWS, seeds=None, quick=False, jobs=1, protocol="default", corpora=None):
    """Train every row on every seed, evaluate it under every corruption, write tables and figures.

    Parameters
    ----------
    out : str or path
        Folder for results.json, results.md, figures/ and cells/; cells that are there already are not computed again.
    rows : sequence of str
        Systems and baselines; `name@target` learns another target ("auxformer@votes"), and ABLATIONS has more.
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

    Returns
    -------
    dict
        What results.json holds.

    Raises
    ------
    KeyError, ValueError, OSError
        An unknown row or protocol, seeds or jobs below 1, a folder that cannot be written.
    """
    plan = protocols.find(protocol)
    plan = replace(plan, seeds=1 if quick else plan.seeds if seeds is None else seeds)
    if not rows or plan.seeds < 1 or jobs < 1:
        raise ValueError(f"rows are {list(rows)}, seeds {plan.seeds}, jobs {jobs}; accepted: at least one of each")
    rows = {row: resolve(row) for row in rows}
    folder = Path(out) / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    needed = {protocols.corpus_of(config["target"]) for _, config in rows.values()}
    corpora = {kind: load_samples(kind) if corpora is None else corpora[kind] for kind in sorted(needed)}
    data = {kind: cells.checksum(clips) for kind, clips in corpora.items()}
    columns = QUICK if quick else tuple(CORRUPTIONS)
    models = [cells_of(row, *rows[row], plan, columns, seed, data) for row in rows for seed in range(plan.seeds)]
    missing = [model for model in models if any(cells.read(folder, cell) is None for cell in model)]
    work = (delayed(train_and_break)(corpora[model[0]["corpus"]], model, folder) for model in missing)
    with tqdm(total=len(models), initial=len(models) - len(missing), desc="train and break", unit="model", disable=None) as bar:
        for _ in Parallel(n_jobs=jobs, return_as="generator_unordered")(work):
            bar.update()
    found = [(cell, cells.read(folder, cell)) for model in models for cell in model]
    result = report.summary(found, corpora, data, columns, protocol)
    write_text(Path(out) / "results.json", cells.dump(result))
    write_text(Path(out) / "results.md", report.markdown(result))
    figures.draw(result, Path(out) / "figures")
    return result


def resolve(row):
    """(system, changes to its Config with its target) of a row."""
    name, _, variant = row.partition("@")
    if row in ABLATIONS:
        changes = ABLATIONS[row]
    elif variant and variant not in targets.TASKS:
        known = f"NAME, NAME@TARGET with {', '.join(targets.TASKS)}; {', '.join(ABLATIONS)}"
        raise KeyError(f"no row is called {row!r}; accepted: {known}")
    else:
        changes = {"target": variant} if variant else {}
    config = systems.find(name).Config.tiny(**changes)
    return name, {"target": config.target} | changes


def cells_of(row, system, config, plan, columns, seed, data):
    """The cells of one trained model: one for each corruption, and one for its gates over time if it is the gated system."""
    corpus = protocols.corpus_of(config["target"])
    common = {"row": row, "system": system, "config": config, "seed": seed, "corpus": corpus, "data": data[corpus]}
    common |= {"protocol": vars(plan) | {"seeds": None}}  # how many seeds there are changes no cell
    found = [common | {"kind": "scores", "column": column, "corruption": CORRUPTIONS[column]} for column in columns]
    return found + ([common | {"kind": "gates"}] if row == "openface_adaptive" else [])


def train_and_break(clips, model_cells, folder):
    """Train the model of some cells and write those that are missing."""
    first = model_cells[0]
    plan = protocols.Protocol(**first["protocol"])
    with threadpool_limits(1):
        train, dev, test = plan.split(clips, first["seed"])
        model = Recognizer(first["system"], config=first["config"], seed=first["seed"]).fit(train, dev=dev, progress=False)
        for cell in model_cells:
            if cells.read(folder, cell) is None:
                result = gates(model, train) if cell["kind"] == "gates" else score(model, cell, train, test, plan.bootstrap)
                cells.write(folder, cell, result)


def score(model, cell, train, test, bootstrap):
    """Scores under the corruption of a cell, next to a constant answer; {"unused": True} if the broken sense is not used."""
    corruption, target = cell["corruption"], model.config_.target
    used = {test.streams[name].sense for name in systems.find(model.system).streams(model.config_)}
    if corruption is not None and corruption["sense"] not in used:
        return {"unused": True}

    def broken(draw):
        if corruption is None:
            return test
        scale = {"scale_from": train} if corruption["kind"] == "gaussian" else {}
        return corrupt(test, **corruption, **scale, seed=cell["seed"] + draw)

    headline = HEADLINES[targets.task_of(target)]
    answer = model.predict(broken(0))
    found = model.scores(answer, test) | {"headline": headline, "target": target, "classes": list(model.class_names_)}
    found["constant"] = model.scores(constant_answer(train, test, target, answer), test)[headline]
    if bootstrap:
        found["over_clips"] = bootstrap_interval(lambda i: model.scores(answer[i], test[i])[headline], len(test), bootstrap)
        if corruption is not None and (corruption["kind"] == "gaussian" or corruption["amount"] < 1):  # what is drawn at random
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
