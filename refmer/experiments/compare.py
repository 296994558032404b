"""The main job: train systems on speaker-disjoint splits, break their inputs, and report what is left."""

from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from refmer.data import targets
from refmer.data.corrupt import corrupt
from refmer.data.files import write_text
from refmer.data.read import load_samples
from refmer.evaluate.metrics import classification
from refmer.experiments import cells, figures, report
from refmer.experiments.gates import gates
from refmer.recognizer import Recognizer

ROWS = {  # row of the table -> system, changes to its Config
    "openface_adaptive": ("openface_adaptive", {}),
    "openface_adaptive@no-gate": ("openface_adaptive", {"gate": False}),
    "concatenation": ("concatenation", {}),
}
CORRUPTIONS = {  # column of the table -> arguments of corrupt
    "clean": None,
    "face noise (standardised)": {"sense": "face", "kind": "gaussian", "amount": 2.0},
    "face noise (raw)": {"sense": "face", "kind": "gaussian", "amount": 2.0, "space": "raw"},
    "no face": {"sense": "face", "kind": "missing", "amount": 1.0},
    "no voice": {"sense": "voice", "kind": "missing", "amount": 1.0},
    "no words": {"sense": "words", "kind": "missing", "amount": 1.0},
}
QUICK = ("clean", "face noise (standardised)", "no face")


def compare(out, rows=tuple(ROWS), seeds=3, quick=False, jobs=1, clips=None):
    """Train every row on every seed, evaluate it under every corruption, write tables and figures.

    Parameters
    ----------
    out : str or path
        Folder for results.json, results.md, figures/ and cells/; cells that are there already are not computed again.
    rows : sequence of str
        Names in ROWS.
    seeds : int
        Seeds 0..seeds-1: each draws its own split by speaker (25 % test), initial parameters and noise.
    quick : bool
        One seed and two corruptions.
    jobs : int
        Processes; the results are the same bytes for any number.
    clips : Clips, optional
        Default: the bundled corpus.

    Returns
    -------
    dict
        What results.json holds.

    Raises
    ------
    KeyError, ValueError, OSError
        An unknown row, seeds or jobs below 1, a folder that cannot be written.
    """
    unknown = [row for row in rows if row not in ROWS]
    if unknown or not rows:
        raise KeyError(f"no system is called {', '.join(unknown) or 'nothing'}; accepted: {', '.join(ROWS)}")
    if seeds < 1 or jobs < 1:
        raise ValueError(f"seeds is {seeds} and jobs {jobs}; accepted: 1 or more")
    seeds, columns = (1, QUICK) if quick else (seeds, tuple(CORRUPTIONS))
    folder = Path(out) / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    clips = load_samples() if clips is None else clips
    data = cells.checksum(clips)
    wanted = {(row, seed): plan(row, columns, seed, data) for row in rows for seed in range(seeds)}
    missing = [key for key, plans in wanted.items() if any(cells.read(folder, c) is None for c in plans)]
    work = (delayed(train_and_break)(clips, wanted[key], folder) for key in missing)
    bar = tqdm(total=len(wanted), initial=len(wanted) - len(missing), desc="train and break", unit="model", disable=None)
    with bar:
        for _ in Parallel(n_jobs=jobs, return_as="generator_unordered")(work):
            bar.update()
    found = [(cell, cells.read(folder, cell)) for plans in wanted.values() for cell in plans]
    result = report.summary(found, clips, data, columns)
    write_text(Path(out) / "results.json", cells.dump(result))
    write_text(Path(out) / "results.md", report.markdown(result))
    figures.draw(result, Path(out) / "figures")
    return result


def plan(row, columns, seed, data):
    """The cells of one trained model: one for each corruption, and one for its gates over time if it has gates."""
    system, config = ROWS[row]
    common = {"row": row, "system": system, "config": config, "seed": seed, "data": data}
    plans = [common | {"kind": "scores", "column": column, "corruption": CORRUPTIONS[column]} for column in columns]
    if row == "openface_adaptive":
        plans.append(common | {"kind": "gates"})
    return plans


def train_and_break(clips, plans, folder):
    """Train the model of some cells and write those that are missing."""
    first = plans[0]
    with threadpool_limits(1):
        train, test = clips.split(by="speaker", test_size=0.25, seed=first["seed"])
        model = Recognizer(first["system"], config=first["config"], seed=first["seed"]).fit(train, progress=False)
        for cell in plans:
            if cells.read(folder, cell) is None:
                result = gates(model, train) if cell["kind"] == "gates" else score(model, cell, train, test)
                cells.write(folder, cell, result)


def score(model, cell, train, test):
    """Scores of a model on test clips under the corruption of a cell, next to always saying the most frequent class."""
    target = model.config_.target
    y, usual = targets.labels(test, target), np.bincount(targets.labels(train, target)).argmax()
    if cell["corruption"] is not None:
        scale = {"scale_from": train} if cell["corruption"]["kind"] == "gaussian" else {}
        test = corrupt(test, **cell["corruption"], **scale, seed=cell["seed"])
    scores = classification(y, model.predict(test), model.class_names_, target)
    return scores | {"majority": float(np.mean(y == usual)), "target": target, "classes": list(model.class_names_)}
