"""The reference that a system has to beat: a linear model on the mean and deviation of the frames of the same streams."""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from refmer.data import labels
from refmer.data.inputs import Frames, fitted, flat, sub_sequence_means
from refmer.data.scaling import scaling, standardise
from refmer.reader import PART, Reader

FOLDS = 3
SHRINKAGE = ("auto", 0.3)  # "auto": the formula of Ledoit and Wolf
ALPHA = tuple(float(x) for x in np.logspace(0, 4, 9))


@dataclass(frozen=True)
class Settings:
    """What is learned, and the seconds of a step of a label over time."""

    target: str
    seconds: float
    over_time: bool = True


class LinearReference(Reader, BaseEstimator):
    """Linear discriminant analysis (classes, levels) or ridge regression (shares of votes, numbers) of scikit-learn.

    It reads the mean and the standard deviation over the valid frames of a clip, or of each step of a label over time.
    Shrinkage and penalty, and with several `candidates` the streams, are chosen by cross-validation over groups of the training
    clips.

    Parameters
    ----------
    target : str
        Name of the label.
    seconds : float
        Of a step of a label over time.
    candidates : list of list of str
        Names of streams; of several sets the best one is read.
    """

    system = "linear"

    def __init__(self, target, seconds, candidates):
        self.target, self.seconds, self.candidates = target, seconds, candidates

    @property
    def task(self):
        """The kind of label."""
        return self.label_["kind"]

    def fit(self, clips, by="speaker"):
        """Fit to clips, whose groups `by` cross-validation keeps apart; return the reference itself."""
        self.config_ = Settings(self.target, self.seconds)
        label = labels.label_of(clips, self.target)
        self.label_, self.class_names_ = label.describe(), label.names
        fitted = []
        for names in self.candidates:
            self._read(names, clips)
            fitted.append((*self._fit(clips, label, clips.groups(by)), names))
        _, self.model_, names = max(fitted, key=lambda entry: entry[0])
        self._read(names, clips)
        return self

    def predict(self, clips):
        """Return predictions as those of a Recognizer."""
        x = self.features(clips)
        y = self.model_.predict(x.reshape(-1, x.shape[-1]))
        y = y.reshape(*x.shape[:-1], *y.shape[1:])
        return labels.above_chance(y) if self.task == "votes" else y

    def features(self, clips):
        """Return mean and standard deviation of the standardised frames of all streams: (N, F), or (N, S, F) over time."""
        streams = self.streams_of(clips)
        parts = []
        for start in range(0, len(clips), PART):
            index = slice(start, start + PART)
            frames = [standardise(k, s.read(index), *self.scaling_[k]) for k, s in streams.items()]
            parts.append(np.concatenate([x for s in frames for x in self._moments(s, clips)], -1))
        return np.concatenate(parts)

    def _moments(self, stream, clips):
        """Return mean and standard deviation over the frames of a stream, of each clip or step; 0 without frames."""
        x = flat(stream.x)
        if self.label_["rate"] is None:
            n = np.maximum(stream.mask.sum(1), 1)[:, None]
            mean, square = x.sum(1) / n, (x * x).sum(1) / n
        else:
            steps, seconds = self.steps_of(clips), self.config_.seconds
            mean, square = (
                fitted(sub_sequence_means(Frames(y, stream.mask, stream.rate), seconds)[0], steps) for y in (x, x * x)
            )
        return mean, np.sqrt(np.maximum(square - mean * mean, 0))

    def _read(self, names, clips):
        """Read these streams from now on, scaled as in clips."""
        self.streams_ = {"all": tuple(names)}
        self.features_ = {name: clips.streams[name].features for name in names}
        self.scaling_ = {name: scaling(clips.streams[name]) for name in names}

    def _fit(self, clips, label, groups):
        """Return the score in cross-validation, and the model."""
        x, y, known = self.features(clips), label.targets, None
        if label.over_time:
            y, known = self.over_time(label, x.shape[1])
            groups = np.repeat(groups, x.shape[1])[known.ravel()]
            x, y = x[known], y[known] if self.task in ("votes", "regression") else y[known].argmax(-1)
        if self.task in ("classes", "ordinal"):
            model, grid = LinearDiscriminantAnalysis(solver="lsqr"), {"shrinkage": SHRINKAGE}
        else:
            model, grid = Ridge(), {"alpha": ALPHA}
        if len(np.unique(y)) == 1:  # one class
            return 1.0, DummyClassifier().fit(x, y)
        grid = {f"{type(model).__name__.lower()}__{name}": values for name, values in grid.items()}
        folds = GroupKFold(min(FOLDS, len(np.unique(groups))))
        with warnings.catch_warnings():  # of a class with a single clip: its deviation is 0
            warnings.filterwarnings("ignore", "Only one sample available", UserWarning)
            search = GridSearchCV(make_pipeline(StandardScaler(), model), grid, cv=folds).fit(x, y, groups=groups)
        return search.best_score_, search.best_estimator_
