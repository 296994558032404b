"""Run an experiment: train each row once per seed, measure it, keep each result, write tables and figures.

A cell is the smallest result, one JSON file, named by a hash of everything that it depends on (system, config, corruption,
seed, checksum of the data, versions): a run that is stopped loses nothing that it has finished. A report is a function of the
sorted cells alone: it contains no times, paths or numbers of jobs.
"""

import hashlib
import json
import pickle
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import refmer
from refmer.data.clips import Stream
from refmer.data.corpora import read_data
from refmer.data.files import write_text
from refmer.data.folder import Rows
from refmer.data.labels import Label
from refmer.data.synthetic.synthesize import IDLE
from refmer.experiments import EXPERIMENTS, protocols, style
from refmer.experiments.data import corpus_with, labelled, load_corpora, sensed
from refmer.experiments.rows import check, learning, narrowed, readable
from refmer.linear import LinearReference
from refmer.recognizer import Recognizer

VERSIONS = {"refmer": refmer.__version__} | {name: version(name) for name in ("numpy", "scipy", "numba", "scikit-learn")}
CHUNK = 256  # clips that are read at a time


@dataclass(frozen=True)
class Setup:
    """The rows of a run, its protocol and corpora."""

    rows: dict  # {row: (system, changes to its Config)}
    plan: protocols.Protocol  # with the number of seeds of this run
    protocol: str  # its name
    corpora: dict  # {"clips", "recordings": Clips}
    data: dict  # their checksums
    quick: bool
    jobs: int
    options: dict  # the experiment's own
    streams: dict | None = None  # that the user chose, by modality

    @property
    def target(self):
        """The target of the first row."""
        return next(iter(self.rows.values()))[1]["target"]

    @property
    def clips(self):
        """The corpus of the first row."""
        return self.corpora[corpus_with(self.corpora, self.target)]

    @property
    def label(self):
        """The label of the first row."""
        return self.clips.labels[self.target]


def run(
    name,
    out,
    seeds=None,
    quick=False,
    jobs=1,
    protocol=None,
    corpora=None,
    label=None,
    streams=None,
    groups=None,
    scheduler=None,
    speakers=None,
    **options,
):
    """Run an experiment: compute the cells that are missing, write its tables and figures.

    Parameters
    ----------
    name : str
        Name in refmer.experiments.EXPERIMENTS.
    out : str or path
        Folder for results.json, results.md, figures/ and cells/; finished cells are not computed again.
    seeds : int, optional
        Seeds 0..seeds-1: each draws its own split, initial parameters and disturbances, the same for all rows. Default: that
        of a protocol that is named, else of the experiment, else of its protocol.
    quick : bool
        The experiment's smallest run: one or two seeds, few rows or levels, the bundled corpora.
    jobs : int
        Processes on this machine; the results are the same bytes for any number.
    protocol : str, optional
        Name in protocols.PROTOCOLS: how to split and repeat. Default: that of the experiment.
    corpora : dict of str to Clips, or str, optional
        Data by any name, or NAME:PATH as `refmer.read_data` reads them, instead of the synthetic corpora. Clips without a label
        that is learned are left out, with a warning.
    label : str, optional
        The label that all rows learn. Default: the only one of the data, else that of each row.
    streams : dict, optional
        Streams that the systems read, by modality, as of `Recognizer`. A default row that cannot read the data is left out,
        with a warning.
    groups : str, optional
        What splits keep apart: "speaker", "name" or a label of classes. Default: that of the protocol.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers are used instead of local processes.
    speakers : int, optional
        Synthetic corpora of so many speakers (seed 0), see `refmer.load_samples`. Default: 200 of clips, 80 of recordings.
    **options
        The experiment's own, see the function `rows` of its module: rows (systems and baselines, NAME or NAME@LABEL), system
        (of "ablate"), ids (of "claims").

    Returns
    -------
    dict
        The contents of results.json.

    Raises
    ------
    KeyError, ValueError, OSError
        An unknown experiment, row, label or protocol, no row, too few seeds, jobs below 1, a folder that cannot be written;
        data that no row can read, or whose labels or senses the experiment does not accept.
    """
    if name not in EXPERIMENTS:
        raise KeyError(f"no experiment is called {name!r}; accepted: {', '.join(EXPERIMENTS)}")
    experiment, own = EXPERIMENTS[name], EXPERIMENTS[name].module
    own_seeds = experiment.seeds if protocol is None else None
    protocol = experiment.protocol if protocol is None else protocol
    plan = protocols.find(protocol)
    defaults = (n for n in (seeds, own_seeds, plan.seeds) if n is not None)
    plan = replace(plan, seeds=experiment.quick_seeds if quick else next(defaults))
    if plan.seeds < experiment.least_seeds or jobs < 1:
        raise ValueError(f"seeds is {plan.seeds}, jobs is {jobs}; accepted: at least {experiment.least_seeds} and 1")
    if speakers is not None and corpora is not None:
        raise ValueError(f"speakers is {speakers}; accepted: of the synthetic corpora, without other data")
    corpora = {"data": read_data(corpora)} if isinstance(corpora, str) else corpora
    rows = learning(own.rows(quick, **options), corpora, label)
    corpora = load_corpora(rows, quick, speakers) if corpora is None else of_rows(corpora, rows)
    if experiment.senses and streams:
        corpora = {name: sensed(clips, streams) for name, clips in corpora.items()}
    check(experiment, rows, corpora)
    rows = readable(rows, corpora, streams, named=options.get("rows") not in (None, ("all",)))
    plan = plan if groups is None else replace(plan, by=groups)
    for clips in corpora.values():
        clips.groups(plan.by)  # an error before any training
    data = {kind: checksum(clips) for kind, clips in corpora.items()}
    setup = Setup(rows, plan, protocol, corpora, data, quick, jobs, options, streams)
    models = [
        [cell(setup, row, *resolved, seed, **kind) for kind in kinds]
        for row, resolved, kinds in own.trainings(setup)
        for seed in range(plan.seeds)
    ]
    result = own.summary(setup, execute(models, own.measure, corpora, out, jobs, scheduler, name))
    write_text(Path(out) / "results.json", dump(result))
    write_text(Path(out) / "results.md", own.markdown(result))
    (Path(out) / "figures").mkdir(parents=True, exist_ok=True)
    for title, figure in own.draw(result).items():
        style.save(figure, Path(out) / "figures" / f"{re.sub('[^A-Za-z0-9_-]', '_', title)}.png")
    return result


def of_rows(corpora, rows):
    """The corpora that have a label of the rows, of each the clips that have them all."""
    used = {}
    for label in dict.fromkeys(changes["target"] for _, changes in rows.values()):
        name = corpus_with(corpora, label)
        used[name] = labelled(used.get(name, corpora[name]), label)
    return used


def checksum(clips):
    """SHA-256 over all streams and labels of clips, 16 hexadecimal digits."""
    digest = hashlib.sha256()

    def add(name, value):
        if isinstance(value, Stream):
            add(name + ".x", value.x)
            add(name + ".mask", value.mask)
            digest.update(f"{name}{value.rate}{value.sense}".encode())
        elif isinstance(value, Label):
            add(name, value.values)
            add(name + ".mask", value.mask)
            digest.update(f"{name}{value.describe()}".encode())
        elif isinstance(value, dict):
            for key in sorted(value):
                add(f"{name}.{key}", value[key])
        elif isinstance(value, np.ndarray | Rows):
            digest.update(f"{name}{value.dtype}{value.shape}".encode())
            for start in range(0, len(value), CHUNK):
                digest.update(np.ascontiguousarray(value[start : start + CHUNK]).tobytes())

    add("", vars(clips))
    return digest.hexdigest()[:16]


def cell(setup, row, system, changes, seed, **kind):
    """One cell: everything that its result depends on. kind: the measurement."""
    corpus = corpus_with(setup.corpora, changes["target"])
    common = {"row": row, "system": system, "config": changes, "seed": seed, "corpus": corpus, "data": setup.data[corpus]}
    common |= {} if setup.streams is None else {"streams": setup.streams}
    return common | {"protocol": vars(setup.plan) | {"seeds": None}} | kind  # the number of seeds changes no cell


def path_of(folder, cell):
    """The file of a cell."""
    text = json.dumps(cell | {"versions": VERSIONS}, sort_keys=True)
    return Path(folder) / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.json"


def read(folder, cell):
    """The result of a cell, or None if it has none yet or, with a warning, if its file is damaged."""
    path = path_of(folder, cell)
    try:
        content = path.read_text()
        result = json.loads(content)["result"]
        if content == record(cell, result):
            return result
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    warnings.warn(f"{path} is damaged: its cell is computed again", stacklevel=2)
    return None


def write(folder, cell, result):
    """Keep the result of a cell."""
    write_text(path_of(folder, cell), record(cell, result))


def record(cell, result):
    """The file of a cell as text, with the SHA-256 of its result."""
    digest = hashlib.sha256(dump(result).encode()).hexdigest()
    return dump({"cell": cell, "versions": VERSIONS, "result": result, "sha256": digest})


def dump(value):
    """JSON with sorted keys: the same value, the same bytes."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def execute(models, measure, corpora, out, jobs, scheduler, name):
    """[(cell, result)] of all cells in order, computed where they are missing.   models: lists of cells that share a model."""
    folder = Path(out) / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [[c for c in model if read(folder, c) is None] for model in models]
    missing = [model for model in missing if model]
    done = len(models) - len(missing)
    with tqdm(total=len(models), initial=done, desc=name, unit="model", disable=None) as bar, pool(jobs, scheduler) as spread:
        for results in spread(train_and_measure, [(read_by(model[0], corpora), model, measure) for model in missing]):
            for c, result in results:
                write(folder, c, result)
            bar.update()
    return [(c, read(folder, c)) for model in models for c in model]


def read_by(cell, corpora):
    """The clips of a cell, with the streams that its model needs."""
    return narrowed(corpora[cell["corpus"]], cell["system"], cell["config"], cell.get("streams"))


@contextmanager
def pool(jobs, scheduler):
    """A function (f, list of arguments) -> results as they come, on local processes or on a Dask cluster."""
    if scheduler is None:
        with warnings.catch_warnings():  # a worker that has compiled kernels is taken for one that leaks, and replaced
            warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
            spread = Parallel(n_jobs=jobs, return_as="generator_unordered", idle_worker_timeout=IDLE)
            try:
                yield lambda f, calls: spread(delayed(f)(*call) for call in calls)
            except pickle.PicklingError as error:
                room = "/dev/shm, or JOBLIB_TEMP_FOLDER"
                raise OSError(f"the corpus did not reach the workers; accepted: room for it in {room}, or 1 job") from error
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
        if first["system"] == LinearReference.system:
            model = LinearReference(**first["config"]).fit(train, plan.by)
        else:
            model = Recognizer(first["system"], config=first["config"], seed=first["seed"], streams=first.get("streams"))
            model.fit(train, dev=dev, progress=False)
        return [(c, measure(model, c, train, test)) for c in model_cells]
