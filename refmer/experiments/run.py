"""Models and their cells: what every experiment here shares. Train a row once per seed, measure it, keep each result.

An experiment lists cells (dicts, see cells.py) per trained model and a function that measures one of them; `execute` finds
what is missing, spreads the models over processes or a Dask cluster, and writes the results as they come.
"""

import warnings
from contextlib import contextmanager
from pathlib import Path

from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from refmer import systems
from refmer.data import targets
from refmer.data.read import load_samples
from refmer.data.synthetic.synthesize import synthesize, synthesize_recordings
from refmer.experiments import cells, protocols
from refmer.recognizer import Recognizer

ABLATIONS = {"openface_adaptive@no-gate": {"gate": False}}


def resolve(row):
    """(system, changes to its Config, with its target) of a row: NAME, NAME@TARGET, or a name in ABLATIONS.

    Raises
    ------
    KeyError
        If there is no such system, target or ablation.
    """
    name, _, variant = row.partition("@")
    if row in ABLATIONS:
        changes = ABLATIONS[row]
    elif variant and variant not in targets.TASKS:
        known = f"NAME, NAME@TARGET with {', '.join(targets.TASKS)}; {', '.join(ABLATIONS)}"
        raise KeyError(f"no row is called {row!r}; accepted: {known}")
    else:
        changes = {"target": variant} if variant else {}
    return with_target(name, changes)


def with_target(name, changes):
    """(system, changes) with the target that the system has by default, where `changes` names none."""
    return name, {"target": systems.find(name).Config.tiny(**changes).target} | changes


def load_corpora(rows, speakers=None):
    """{"clips": Clips, "recordings": Clips}, as far as the rows {row: (system, changes)} need them.

    speakers: None for the bundled corpora, or the number of speakers of larger synthetic ones (seed 0).
    """
    make = {"clips": synthesize, "recordings": synthesize_recordings}
    needed = sorted({protocols.corpus_of(changes["target"]) for _, changes in rows.values()})
    return {kind: load_samples(kind) if speakers is None else make[kind](speakers) for kind in needed}


def cell(row, system, changes, plan, seed, data, **rest):
    """One cell: everything that its result depends on. data: {kind: checksum}; rest: what is measured, `kind` among it."""
    corpus = protocols.corpus_of(changes["target"])
    common = {"row": row, "system": system, "config": changes, "seed": seed, "corpus": corpus, "data": data[corpus]}
    return common | {"protocol": vars(plan) | {"seeds": None}} | rest  # how many seeds there are changes no cell


def execute(models, measure, corpora, out, jobs=1, scheduler=None, desc="train and measure"):
    """Results of all cells, computed where they are missing.

    Parameters
    ----------
    models : list of list of cells
        Each inner list shares one trained model.
    measure : function (model, cell, train, test) -> result
        Of this library: it is called in other processes.
    corpora : {kind: Clips}
    out : str or path
        Folder of the experiment; finished cells are in its folder `cells`.
    jobs : int
        Processes on this machine.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers are used instead.

    Returns
    -------
    list of (cell, result), in the order of `models`
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; accepted: 1 or more")
    folder = Path(out) / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [[c for c in model if cells.read(folder, c) is None] for model in models]
    missing = [model for model in missing if model]
    done = len(models) - len(missing)
    with tqdm(total=len(models), initial=done, desc=desc, unit="model", disable=None) as bar, pool(jobs, scheduler) as spread:
        for results in spread(train_and_measure, [(corpora[model[0]["corpus"]], model, measure) for model in missing]):
            for found, result in results:
                cells.write(folder, found, result)
            bar.update()
    return [(c, cells.read(folder, c)) for model in models for c in model]


@contextmanager
def pool(jobs, scheduler):
    """A function (f, list of arguments) -> results as they come, on local processes or on a Dask cluster."""
    if scheduler is None:
        with warnings.catch_warnings():  # a worker that has compiled kernels is taken for one that leaks, and replaced
            warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
            yield lambda f, calls: Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(f)(*call) for call in calls)
        return
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise ValueError("a Dask cluster needs the extra: pip install 'refmer[dask]'") from error
    with Client(scheduler) as client:
        yield lambda f, calls: (future.result() for future in as_completed([client.submit(f, *c, pure=False) for c in calls]))


def train_and_measure(clips, model_cells, measure):
    """Train the model that some cells share and measure them: [(cell, result)]."""
    first = model_cells[0]
    plan = protocols.Protocol(**first["protocol"])
    with threadpool_limits(1):
        train, dev, test = plan.split(clips, first["seed"])
        model = Recognizer(first["system"], config=first["config"], seed=first["seed"]).fit(train, dev=dev, progress=False)
        return [(c, measure(model, c, train, test)) for c in model_cells]
