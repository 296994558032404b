"""Recognizer: a system behind the interface of a scikit-learn estimator, from clips to answers."""

import json
import os
import sys
import time
from dataclasses import asdict, fields, replace

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

import refmer
from refmer import params
from refmer.data import targets
from refmer.data.files import read_npz, write_npz
from refmer.data.folder import Rows
from refmer.data.scaling import scaling, standardise
from refmer.evaluate import metrics
from refmer.int8.files import folded, restored, stored
from refmer.ops.activations import softmax
from refmer.systems import find
from refmer.train.fit import CHUNK, Lazy, fit, take, train_step
from refmer.train.recipes import RECIPES

SIZES = ("tiny", "paper")
FORMAT = "refmer recognizer 1"
HEADLINES = {"classes": "accuracy", "votes": "macro_f1", "regression": "ccc"}


class Recognizer(BaseEstimator):
    """Train, ask, explain, save one of the systems.

    Parameters
    ----------
    system : str
        Name of a system or baseline: see `refmer.systems`.
    size : "tiny" or "paper"
        A size that trains in seconds, or the published one.
    config : dict, optional
        Fields of the system's Config to change, e.g. {"gate": False}; widths come from the clips.
    seed : int
        Of initial parameters, order of clips, dropout, and the development speakers.

    Attributes
    ----------
    history_ : list of dict
        Per epoch: epoch, lr, train_loss, dev_loss.
    classes_ : array (K,)
        0..K-1; `class_names_` has their names.
    config_, recipe_, p_, scaling_, speakers_
        What fit chose and learned; `speakers_` are all speakers it has seen.
    quantized_ : dict
        How it was made small; only there if `refmer.quantize` made it.
    rates_ : dict of str to float
        Frames per second of each stream it reads, as in training; missing if the file is of a version that did not keep them.
    """

    def __init__(self, system, size="tiny", config=None, seed=0):
        self.system = system
        self.size = size
        self.config = config
        self.seed = seed

    def fit(self, clips, y=None, dev=None, epochs=None, progress=True):
        """Train on clips.

        Parameters
        ----------
        clips : Clips
            Those of `refmer.load_folder` are read a mini-batch at a time: they may be larger than memory.
        y : ignored
            The labels are in the clips; scikit-learn passes this.
        dev : Clips, optional
            Development set, whose loss chooses the epoch that is kept. Default: 15 % of the speakers of `clips`, by seed.
        epochs : int, optional
            At most so many; default: the recipe's.
        progress : bool
            Show a bar (never in a pipe).

        Returns
        -------
        Recognizer
            Itself.

        Raises
        ------
        ValueError
            Empty clips, a single speaker and no `dev`, missing labels or streams, an unknown size, system or field.
        """
        system = self._system()
        if len(clips) == 0:
            raise ValueError("no clips to fit on; accepted: at least one batch of labelled clips")
        config = self.config_of(system)
        names = targets.class_names(clips, config.target)
        targets.labels(clips, config.target)
        self.speakers_ = np.unique(clips.speaker if dev is None else np.concatenate([clips.speaker, dev.speaker]))
        if dev is None:
            clips, dev = clips.split(by="speaker", test_size=0.15, seed=self.seed)
        self.class_names_, self.classes_ = tuple(names), np.arange(len(names))
        self.recipe_ = RECIPES[system.RECIPE][self.size]
        if epochs is not None:
            if epochs < 1:
                raise ValueError(f"epochs is {epochs}; accepted: 1 or more")
            self.recipe_ = replace(self.recipe_, epochs=epochs)
        streams = self.streams_of(clips, config)
        self.scaling_ = {name: scaling(s) for name, s in streams.items()}
        self.rates_ = {name: float(s.rate) for name, s in streams.items()}
        self.config_ = replace(config, **system.widths(streams, config), classes=len(names))
        batches = [self.labelled_batch(part, clips) for part in (clips, dev)]
        if self.size == "paper":
            self._announce(system, batches[0])
        with tqdm(total=self.recipe_.epochs, desc=self.system, unit="epoch", disable=None if progress else True) as bar:

            def show(entry):
                bar.update()
                bar.set_postfix(loss=f"{entry['train_loss']:.3f}", dev=f"{entry['dev_loss']:.3f}")

            self.p_, self.history_ = fit(system, self.config_, *batches, self.recipe_, self.seed, show)
        vars(self).pop("quantized_", None)
        return self

    def predict_proba(self, clips):
        """Probabilities (N, K) of the classes (of votes: expected shares).

        Raises
        ------
        ValueError
            For a regression, which has none.
        """
        self._check_probabilities()
        return probabilities(self.outputs(clips))

    def predict(self, clips):
        """The answers.

        Returns
        -------
        Classes: int array (N,), indices into `class_names_`. Votes: bool array (N, K), the classes above chance. Affect: array
        (N, T, 2), valence and arousal of T sub-sequences.
        """
        check_is_fitted(self)
        if self.task == "regression":
            return self.outputs(clips)["affect"]
        p = self.predict_proba(clips)
        return targets.above_chance(p) if self.task == "votes" else p.argmax(1)

    def score(self, clips, y=None):
        """The headline metric of the task: accuracy of classes (Acc-7 of sentiment), macro F1 of votes, mean CCC of affect."""
        return self.scores(self.predict(clips), clips)[HEADLINES[self.task]]

    def scores(self, answer, clips):
        """All scores of answers, as `predict` gives them, to the labels of clips: a dict by name (evaluate/metrics.py)."""
        label, task = targets.labels(clips, self.config_.target), self.task
        if task == "regression":
            truth = find(self.system).target(label, self.config_)
            return metrics.regression(truth["target"], answer, truth["target_mask"])
        if task == "votes":
            return metrics.votes(targets.above_chance(label), answer)
        return metrics.classification(label, answer, self.class_names_, self.config_.target)

    def explain(self, clips):
        """Named intermediates of the system: gates (N, 1), attention maps (N, H, T, S); what occurs R times is (N, R, ...)."""
        traces = []
        self.outputs(clips, traces)
        traces = [stacked(trace) for trace in traces]
        return {name: np.concatenate([t[name] for t in traces]) for name in traces[0]}

    def stream(self, window_s=2.0, hop_s=0.1, patience_s=0.25):
        """Answer while frames still come, on a sliding window: `stream.push({"units": frames, ...})`.

        Parameters
        ----------
        window_s, hop_s : float
            Seconds that an answer looks back, and from one answer to the next.
        patience_s : float
            How long a step waits for a stream that is behind the others before its frames count as missing.

        Returns
        -------
        Stream
            See `refmer.stream.Stream.push`; probabilities and gates are those of `predict_proba` and `explain` on the window.

        Raises
        ------
        ValueError
            Not fitted, a regression, no known rates (an old file), window_s or hop_s not positive, patience_s negative.
        """
        from refmer.stream import Stream

        self._check_probabilities()
        if not hasattr(self, "rates_"):
            raise ValueError("this recognizer's file has no frame rates, as earlier versions did not keep them: fit it again")
        return Stream(self, window_s, hop_s, patience_s)

    def save(self, path):
        """Write an npz: parameters by name, scaling, and a JSON text of everything else. Read it with `refmer.load_recognizer`.

        A quantized recognizer is written as it is: 8-bit arrays and their scales.
        """
        check_is_fitted(self)
        meta = {
            "format": FORMAT,
            "refmer": refmer.__version__,
            "numpy": np.__version__,
            "system": self.system,
            "size": self.size,
            "config": self.config,
            "seed": self.seed,
            "config_": asdict(self.config_),
            "recipe_": asdict(self.recipe_),
            "class_names_": self.class_names_,
            "speakers_": self.speakers_.tolist(),
            "history_": self.history_,
        }
        if hasattr(self, "rates_"):
            meta["rates_"] = self.rates_
        if hasattr(self, "quantized_"):
            meta["quantized_"] = self.quantized_
        arrays = {f"p/{path}": x for path, x in stored(params.named(self.p_)).items()}
        arrays |= {f"scaling/{name}": np.stack(pair) for name, pair in self.scaling_.items()}
        write_npz(path, {"meta": np.array(json.dumps(meta)), **arrays})

    def _system(self):
        if self.size not in SIZES:
            raise ValueError(f"size is {self.size!r}; accepted: {', '.join(SIZES)}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; accepted: integers from 0 to 2**32 - 1")
        return find(self.system)

    def config_of(self, system):
        """The Config of this size with the given fields, widths still the published ones."""
        changes = dict(self.config or {})
        accepted = [field.name for field in fields(system.Config)]
        if unknown := set(changes) - set(accepted):
            raise ValueError(f"{self.system} has no {sorted(unknown)}; accepted: {', '.join(accepted)}")
        return getattr(system.Config, self.size)(**changes)

    def streams_of(self, clips, config):
        wanted = find(self.system).streams(config)
        missing = [name for name in wanted if name not in clips.streams]
        if missing:
            raise ValueError(f"{self.system} needs the streams {', '.join(wanted)}; these clips lack {', '.join(missing)}")
        return {name: clips.streams[name] for name in wanted}

    def batch(self, clips):
        """Standardised streams, as the system reads them: made at once, or when rows are taken if the clips are on disk."""
        if len(clips) == 0:
            raise ValueError("no clips; accepted: at least one")
        streams = self.streams_of(clips, self.config_)

        def inputs(index):
            read = {k: s if index is None else s.read(index) for k, s in streams.items()}
            return find(self.system).inputs({k: standardise(k, s, *self.scaling_[k]) for k, s in read.items()}, self.config_)

        return Lazy(inputs) if any(isinstance(s.x, Rows) for s in streams.values()) else inputs(None)

    def labelled_batch(self, clips, train):
        """Return `batch(clips)` and what the loss needs beside the output; `class_count` (K,) is that of the clips `train`."""
        target, K = self.config_.target, len(self.classes_)
        if self.task == "regression":
            truth = find(self.system).target(targets.labels(clips, target), self.config_)
        else:
            truth = {"target": targets.soft_targets(clips, target, K), "class_count": targets.class_count(train, target, K)}
        return self.batch(clips) | truth

    @property
    def task(self):
        """The kind of label that was learned: "classes", "votes" or "regression"."""
        return targets.task_of(self.config_.target)

    def outputs(self, clips, traces=None):
        """The system's output for clips, in evaluation; with a list, also the trace of every chunk."""
        check_is_fitted(self)
        batch, outs = self.batch(clips), []
        for start in range(0, len(clips), CHUNK):
            trace = None if traces is None else {}
            out, _ = find(self.system).forward(self.p_, take(batch, slice(start, start + CHUNK)), self.config_, trace=trace)
            outs.append(out)
            if traces is not None:
                traces.append(trace)
        return {name: np.concatenate([out[name] for out in outs]) for name in outs[0]}

    def _check_probabilities(self):
        check_is_fitted(self)
        if self.task == "regression":
            raise ValueError(f"{self.system} learned {self.config_.target}, a regression without probabilities: use predict")

    def _announce(self, system, batch):
        """Memory and time of a published size before it starts; refuses what does not fit."""
        n = params.count(system.describe(self.config_))
        need, there = 5 * 4 * n, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # p, g, m, v and the best p
        text = f"{self.system}: {n:,} parameters, {need / 1e6:.0f} MB to train without activations"
        if need > there:
            raise MemoryError(f"{text}; this machine has {there / 1e6:.0f} MB. Use size='tiny' or smaller widths")
        p, rng = params.init(system.describe(self.config_), self.seed), np.random.default_rng(0)
        g, moments = params.zeros_like(p), (np.zeros_like(p.vector), np.zeros_like(p.vector))
        rows = take(batch, slice(self.recipe_.batch))
        start = time.perf_counter()
        train_step(system, self.config_, p, g, rows, moments, 1, self.recipe_.lr, self.recipe_, rng)
        epoch = (time.perf_counter() - start) * len(batch["target"]) / len(rows["target"])
        print(f"{text}; about {epoch:.1f} s an epoch, at most {self.recipe_.epochs} epochs", file=sys.stderr)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        regression = hasattr(self, "config_") and self.task == "regression"
        tags.estimator_type = "regressor" if regression else "classifier"
        return tags


def load_recognizer(path):
    """The recognizer that `Recognizer.save` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is truncated, foreign, or its parts do not fit together.
    """
    what = "a file written by Recognizer.save or `refmer train`"
    arrays = read_npz(path, what)
    try:
        meta = json.loads(str(arrays.pop("meta")))
        if meta["format"] != FORMAT:
            raise ValueError(f"its format is {meta['format']!r}")
        model = Recognizer(meta["system"], meta["size"], meta["config"], meta["seed"])
        system = model._system()
        model.config_ = system.Config(**meta["config_"])
        model.recipe_ = replace(RECIPES[system.RECIPE][model.size], **meta["recipe_"])
        model.class_names_, model.history_ = tuple(meta["class_names_"]), meta["history_"]
        model.classes_, model.speakers_ = np.arange(len(model.class_names_)), np.array(meta["speakers_"])
        parts = {k.removeprefix("p/"): x for k, x in arrays.items() if k.startswith("p/")}
        description = system.describe(model.config_)
        if "quantized_" in meta:
            model.quantized_ = meta["quantized_"]
            description, parts = folded(description), restored(parts, model.quantized_)
        model.p_ = params.from_named(description, parts)
        model.scaling_ = {k.removeprefix("scaling/"): tuple(x) for k, x in arrays.items() if k.startswith("scaling/")}
        if "rates_" in meta:
            model.rates_ = {name: float(rate) for name, rate in meta["rates_"].items()}
            if set(model.rates_) != set(model.scaling_) or not all(0 < rate < np.inf for rate in model.rates_.values()):
                raise ValueError(f"its rates are {model.rates_}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is no recognizer ({error}); accepted: {what}") from error
    return model


def stacked(trace):
    """What occurs R times in a trace as one array (N, R, ...)."""
    return {name: np.stack(x, 1) if isinstance(x, list) else x for name, x in trace.items()}


def probabilities(out):
    """(N, K) of a system's output."""
    return out["probabilities"] if "probabilities" in out else softmax(out["logits"])
