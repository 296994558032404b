"""Recognizer: a system behind the interface of a scikit-learn estimator."""

from dataclasses import fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from refmer.choices import SEED, choose, plain, typed
from refmer.data import labels
from refmer.data.arrays import identifiers
from refmer.data.clips import Clips, checked
from refmer.data.files import FileName, read_npz, write_npz
from refmer.data.inputs import SENSES, assign
from refmer.data.scaling import scaling
from refmer.layers.trace import stacked
from refmer.model_file import ARGUMENTS, contents, description, restore
from refmer.reader import Reader
from refmer.stream import Stream
from refmer.systems import find
from refmer.systems.protocol import probabilities
from refmer.train import batches
from refmer.train.batches import CHUNK, take
from refmer.train.fit import announce, fit
from refmer.train.recipes import RECIPES

HEADLINES = {"classes": "accuracy", "ordinal": "accuracy", "votes": "macro_f1", "regression": "ccc"}


class Recognizer(Reader, BaseEstimator):
    """A multimodal emotion recognition system as a scikit-learn estimator.

    Scorers of scikit-learn named by a string (`scoring="accuracy"`) need the labels as y: `clips.labels[label].targets`.

    Parameters
    ----------
    system : str
        Name of a system or baseline: a key of `refmer.systems.SYSTEMS` or `BASELINES`.
    size : {"tiny", "paper"}, default "tiny"
        The size that trains in seconds, or the published one.
    config : dict, optional
        Fields of the system's Config to change, e.g. {"gate": False}. The widths of the inputs and the number of classes follow
        from the clips. `set_params` and grids of scikit-learn reach a field as `config__gate`.
    streams : dict of str to str or list of str, optional
        Streams that the system reads, by modality: {"visual": "vgg", "audio": ["egemaps", "mfcc"]}. Default for each modality:
        the streams of the bundled corpus if the clips have them, else the stream with the modality's name, else the only one of
        its sense. A system that reads any number of modalities reads those that are given; modalities that a system does not
        have are ignored, so that one dict serves several systems.
    label : str, optional
        Name of the label to learn. Default: the system's, `Config.target`.
    seed : int or None, default 0
        Seed of the initial parameters, the order of clips, dropout, and the choice of the development speakers. None: a new one
        for each fit, which `seed_` keeps.
    epochs : int, optional
        Largest number of epochs. Default: the recipe's, for the number of training clips.
    lr : float, optional
        Learning rate of the first epoch. Default: the recipe's.

    Attributes
    ----------
    history_ : list of dict
        For each epoch: epoch, lr, train_loss, dev_loss.
    classes_ : int array (K,)
        0 to K - 1.
    class_names_ : tuple of str
        Names of the classes, levels or dimensions.
    label_ : dict
        Kind, names and rate of the label.
    label_scaling_ : (array (K,), array (K,))
        Mean and standard deviation of the dimensions of a regression in training; 0 and 1 of other labels.
    streams_ : dict of str to tuple of str
        Names of the streams of each modality.
    config_ : Config
        Configuration, with the widths of the clips.
    recipe_ : Recipe
        Training recipe.
    p_ : Tree
        Parameters.
    scaling_ : dict of str to (mean, standard deviation)
        Scaling of the features of each stream, from the training clips.
    rates_ : dict of str to float
        Frames per second of each stream. Files of early versions lack it.
    features_ : dict of str to tuple of str
        Names of the features of each stream, () if the training clips have none: other clips that have names have the same.
    seed_ : int
        The seed that was used.
    speakers_ : array of str
        All speakers of the training and development clips.
    quantized_ : dict
        Options and ranges of the quantization; only of a result of `refmer.quantize`.
    """

    def __init__(
        self,
        system: str,
        size: str = "tiny",
        config: dict[str, Any] | None = None,
        seed: int = 0,
        epochs: int | None = None,
        lr: float | None = None,
        streams: dict[str, Any] | None = None,
        label: str | None = None,
    ) -> None:
        self.system = system
        self.size = size
        self.config = config
        self.seed = seed
        self.epochs = epochs
        self.lr = lr
        self.streams = streams
        self.label = label

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of the constructor; with `deep`, also the fields given in `config`, as `config__FIELD`."""
        return super().get_params(deep) | ({f"config__{k}": v for k, v in self._given().items()} if deep else {})

    def set_params(self, **params: Any) -> Self:
        """Set arguments of the constructor, or fields of `config` as `config__FIELD`; return the recognizer itself."""
        changes = {k.removeprefix("config__"): params.pop(k) for k in list(params) if k.startswith("config__")}
        super().set_params(**params)
        if changes:
            self.config = self._given() | changes
        return self

    def fit(self, clips: Clips, y: ArrayLike | None = None, dev: Clips | None = None, progress: bool = True) -> Self:
        """Train on clips.

        Parameters
        ----------
        clips : Clips
            Labelled clips. Those of `refmer.load_folder` are read one mini-batch at a time and may exceed the memory.
        y : array (N,) or (N, K), optional
            Labels in place of those in the clips, for scikit-learn: classes as `predict` returns them, or votes.
        dev : Clips, optional
            Development set, whose loss selects the epoch that is kept. Default: 15 % of the speakers of `clips`, by seed.
        progress : bool, default True
            Show a progress bar (never in a pipe).

        Returns
        -------
        Recognizer
            The fitted recognizer itself.

        Raises
        ------
        TypeError
            For clips that are no Clips.
        ValueError
            Without clips, with a single speaker and no `dev`, for labels or streams that are missing, an argument or a field of
            `config` that is not accepted or contradicts the clips.
        KeyError
            For an unknown system.

        Warns
        -----
        UserWarning
            If no training clip is of a class: its weight in the loss is 0.
        """
        for name in ("p_", "quantized_"):  # of an earlier fit
            vars(self).pop(name, None)
        system = self._system()
        config = self.config_of(system)
        clips = labels.with_label(checked(clips), config.target, y)
        if len(clips) == 0:
            raise ValueError("no clips to fit on; accepted: at least one batch of labelled clips")
        label = labels.label_of(clips, config.target)
        self.seed_ = int(np.random.default_rng().integers(2**32)) if self.seed is None else plain(self.seed)
        parts = clips.split(by="speaker", test_size=0.15, seed=self.seed_) if dev is None else (clips, checked(dev))
        self.speakers_ = np.unique(identifiers("speaker", [name for part in parts for name in part.speaker.tolist()]))
        self.label_, self.class_names_, self.classes_ = label.describe(), label.names, np.arange(len(label.names))
        self.label_scaling_ = labels.label_of(parts[0], config.target).scaling
        changes = {name: getattr(self, name) for name in ("epochs", "lr") if getattr(self, name) is not None}
        self.recipe_ = replace(RECIPES[system.RECIPE][self.size].on(len(parts[0])), **changes)
        values = {"classes": len(label.names), "task": label.kind}
        values |= {"seconds": max(config.seconds, 1 / label.rate)} if label.over_time else {}
        values |= {"over_time": label.over_time} if hasattr(config, "over_time") else {}
        config = self._following(config, values)
        self.streams_ = assign(self.system, system.modalities(config), self._given_streams(), clips.streams)
        streams = {name: parts[0].streams[name] for names in self.streams_.values() for name in names}
        self.scaling_ = {name: scaling(s) for name, s in streams.items()}
        self.rates_ = {name: float(s.rate) for name, s in streams.items()}
        self.features_ = {name: s.features for name, s in streams.items()}
        first = self.by_modality({name: s.read(slice(1)) for name, s in streams.items()})
        self.config_ = self._following(config, system.widths(first, config))
        batches = [self.training_batch(parts[0]), self.labelled_batch(parts[1], parts[0])]
        if self.task != "regression":
            labels.warn_of_absent(batches[0]["class_count"], label.names)
        if self.size == "paper":
            announce(system, self.config_, batches[0], self.recipe_, self.seed_)
        with tqdm(total=self.recipe_.epochs, desc=self.system, unit="epoch", disable=None if progress else True) as bar:

            def show(entry):
                bar.update()
                bar.set_postfix(loss=f"{entry['train_loss']:.3f}", dev=f"{entry['dev_loss']:.3f}")

            self.p_, self.history_ = fit(system, self.config_, *batches, self.recipe_, self.seed_, show)
        return self

    def predict_proba(self, clips: Clips) -> np.ndarray:
        """Return the probabilities of the classes.

        Parameters
        ----------
        clips : Clips

        Returns
        -------
        array (N, K)
            Probabilities of the classes; of votes, the expected shares.

        Raises
        ------
        ValueError
            For a regression.
        """
        self._check_probabilities()
        return probabilities(self.outputs(clips))

    def predict(self, clips: Clips) -> np.ndarray:
        """Return the predictions.

        Parameters
        ----------
        clips : Clips

        Returns
        -------
        array
            Classes and levels: int (N,), indices into `class_names_`. Votes: bool (N, K), the classes above chance. Regression:
            float (N, K), or (N,) of a single dimension. Of a label over time there is an axis of S steps of `config_.seconds`
            after N.
        """
        check_is_fitted(self)
        if self.task == "regression":
            mean, sd = self.label_scaling_
            return squeezed(self.outputs(clips)["logits"] * sd + mean)
        p = self.predict_proba(clips)
        return labels.above_chance(p) if self.task == "votes" else p.argmax(-1)

    def score(self, clips: Clips, y: ArrayLike | None = None) -> float:
        """Return the headline score of the predictions.

        Parameters
        ----------
        clips : Clips
            Labelled clips.
        y : array (N,) or (N, K), optional
            Labels in place of those in the clips, as for `fit`.

        Returns
        -------
        float
            Accuracy of classes and levels (Acc-7 of sentiment), macro F1 of votes, mean concordance (CCC) of the dimensions of
            a regression, pooled over all recordings (`scores` has the mean over recordings too).
        """
        predictions = self.predict(clips)
        return self.scores(predictions, labels.with_label(clips, self.config_.target, y))[HEADLINES[self.task]]

    def explain(self, clips: Clips) -> dict[str, np.ndarray]:
        """Return named intermediates of the forward pass.

        Parameters
        ----------
        clips : Clips

        Returns
        -------
        dict of str to array
            Gates (N, 1), attention maps (N, H, T, S), ...; an intermediate that occurs R times is (N, R, ...). Of a label over
            time that is learned from windows there is an axis of steps after N.
        """
        check_is_fitted(self)
        batch, traces = self.batch(clips), []
        for start in range(0, self.count_of(clips), CHUNK):
            trace = {}
            out, _ = find(self.system).forward(self.p_, take(batch, slice(start, start + CHUNK)), self.config_, trace=trace)
            self._check_finite(out)
            traces.append(stacked(trace))
        return {name: self.by_clip(np.concatenate([t[name] for t in traces]), clips) for name in traces[0]}

    def stream(self, window_s=2.0, hop_s=0.1, patience_s=0.25):
        """Return a stream that predicts on a sliding window while frames arrive.

        Parameters
        ----------
        window_s, hop_s : float, default 2.0, 0.1
            Length of the window, and time from one prediction to the next, in seconds.
        patience_s : float, default 0.25
            Seconds that a step waits for a stream that is behind the others; then its frames count as missing.

        Returns
        -------
        Stream
            See `refmer.stream.Stream.push`. Its results equal `predict_proba` and `explain` on the window.

        Raises
        ------
        ValueError
            For a recognizer that is not fitted, or predicts a regression or a label over time; for window_s or hop_s not
            positive, or patience_s negative.
        """
        self._check_probabilities()
        if self.label_["rate"] is not None:
            raise ValueError(f"{self.system} learned {self.config_.target}, a label over time; accepted: a label of clips")
        return Stream(self, window_s, hop_s, patience_s)

    def save(self, path: FileName) -> None:
        """Write the recognizer to a file; `refmer.load_recognizer` reads it.

        Parameters
        ----------
        path : str, path or open binary file
            An npz file: parameters by name (of a quantized recognizer the 8-bit arrays and their scales), the scaling, and
            a JSON text of everything else.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self)
        write_npz(path, contents(self))

    def _system(self):
        choose("size", self.size, ("tiny", "paper"))
        typed("seed", plain(self.seed), int | None, SEED)
        return find(self.system)

    def _given(self):
        """Return the fields of Config that the user gave."""
        if not isinstance(self.config, dict | None):
            raise ValueError(f"config is {self.config!r}; accepted: a dict of fields, e.g. {{'gate': False}}")
        return dict(self.config or {})

    def _changes(self):
        """Return the fields of Config to change: those that the user gave, and the label."""
        given = self._given()
        if self.label is not None and given.get("target", self.label) != self.label:
            raise ValueError(f"label is {self.label!r}, and target {given['target']!r} in config; accepted: one of the two")
        return given | ({} if self.label is None else {"target": self.label})

    def _given_streams(self):
        """Return the streams by modality that the user chose."""
        given = {} if self.streams is None else self.streams
        accepted = dict.fromkeys((*find(self.system).MODALITIES, *SENSES))
        if not isinstance(given, dict) or set(given) - set(accepted):
            raise ValueError(
                f"streams is {given!r}; accepted: a dict with names of streams for {', '.join(accepted)}, e.g. "
                "{'visual': 'vgg', 'audio': ['egemaps', 'mfcc']}"
            )
        return given

    def config_of(self, system):
        """Return the Config of this size with the changes of `config`; its widths are not yet those of the clips."""
        changes = self._changes()
        accepted = [field.name for field in fields(system.Config)]
        if unknown := set(changes) - set(accepted):
            raise ValueError(f"config: {self.system} has no {sorted(map(str, unknown))}; accepted: {', '.join(accepted)}")
        if "modalities" in accepted and "modalities" not in changes and self.streams:
            changes["modalities"] = tuple(m for m in system.MODALITIES if m in self._given_streams())
        return getattr(system.Config, self.size)(**changes)

    def _following(self, config, values):
        """Return the Config with the fields that follow from the clips; a value that the user gave may not differ."""
        for name in set(values) & set(self._changes()):
            if getattr(config, name) != values[name]:
                raise ValueError(f"{name} is {getattr(config, name)} in config; accepted: {values[name]}, as the clips have it")
        return replace(config, **values)

    @property
    def task(self) -> str:
        """The kind of label: "classes", "votes", "ordinal" or "regression"."""
        return (self.config_ if hasattr(self, "config_") else self.config_of(self._system())).task

    def outputs(self, clips):
        """Return the system's outputs in evaluation: "logits" (N, K), over time (N, S, K), and others that it has.

        Raises FloatingPointError for an output that is not finite.
        """
        check_is_fitted(self)
        system, batch = find(self.system), self.batch(clips)
        rows = batches.outputs(lambda part: system.forward(self.p_, part, self.config_)[0], batch, self.count_of(clips))
        self._check_finite(rows)
        return {name: self.by_clip(y, clips) for name, y in rows.items()}

    def _check_finite(self, out):
        for name, y in out.items():
            if not np.isfinite(y).all():
                raise FloatingPointError(f"{name} of {self.system} is not finite; accepted: parameters p_ of usual size")

    def _check_probabilities(self):
        check_is_fitted(self)
        if self.task == "regression":
            raise ValueError(f"{self.system} learned {self.config_.target}, a regression without probabilities: use predict")

    def __sklearn_is_fitted__(self):
        return hasattr(self, "p_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor" if self.task == "regression" else "classifier"
        return tags


def squeezed(values):
    """Return the values of a regression (..., K) without the axis of a single dimension."""
    return values[..., 0] if values.shape[-1] == 1 else values


def load_recognizer(path: FileName) -> Recognizer:
    """Read a recognizer that `Recognizer.save` wrote.

    Parameters
    ----------
    path : str, path or open binary file

    Returns
    -------
    Recognizer

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If it is truncated, of another kind, or its parts do not fit together.
    """
    accepted = "a file written by Recognizer.save or `refmer train`"
    arrays = read_npz(path, accepted)
    try:
        meta = description(arrays)
        model = Recognizer(**{name: meta[name] for name in ARGUMENTS if name in meta})
        restore(model, model._system(), meta, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"{path} is no recognizer ({error}); accepted: {accepted}") from error
    return model
