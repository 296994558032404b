"""A linear model on the mean and deviation of the frames of the same streams: the reference that a system has to beat."""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline

from refmer.data import labels
from refmer.data.inputs import Frames, fitted, flat, sub_sequence_means
from refmer.data.scaling import scaling, standardise
from refmer.reader import PART, Reader

FOLDS = 3
SHRINKAGE = ("auto", 0.3)  # "auto": the formula of Ledoit and Wolf
ALPHA = tuple(float(x) for x in np.logspace(0, 4, 9))


@dataclass(frozen=True)
class Settings:
    """The label, and the seconds of its steps if it is over time."""

    target: str
    seconds: float
    over_time: bool = True


class LinearReference(Reader, BaseEstimator):
    """Linear discriminant analysis (classes, levels) or ridge regression (shares of votes, numbers) of scikit-learn.

    It reads the mean and the standard deviation over the valid standardised frames of a clip, or of each step of a label over
    time; without any, those of training. Shrinkage and penalty, and with several `candidates` the streams, are chosen by
    cross-validation over groups of the training clips. Ridge regression varies less than its label; its answers are not
    rescaled.

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
        streams = {name: clips.streams[name] for names in self.candidates for name in names}
        self.features_ = {name: s.features for name, s in streams.items()}
        self.scaling_ = {name: scaling(s) for name, s in streams.items()}
        fitted = []
        for names in self.candidates:
            self.streams_ = {"all": tuple(names)}
            fitted.append((*self._fit(clips, label, clips.groups(by)), self.streams_))
        _, self.model_, self.streams_ = max(fitted, key=lambda entry: entry[0])
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
            parts.append(np.concatenate([self._moments(s, clips) for s in frames], -1))
        return np.concatenate(parts)

    def _moments(self, stream, clips):
        """Return mean and standard deviation over the frames of a stream, of each clip or step; nan without frames."""
        frames = [Frames(x, stream.mask, stream.rate) for x in (flat(stream.x), flat(stream.x) ** 2)]
        if self.label_["rate"] is None:
            mean, square = (f.x.sum(1) / np.maximum(f.mask.sum(1), 1)[:, None] for f in frames)
            valid = stream.mask.any(1)
        else:
            steps = self.steps_of(clips)
            (mean, valid), (square, _) = (sub_sequence_means(f, self.config_.seconds) for f in frames)
            mean, valid, square = (fitted(x, steps) for x in (mean, valid, square))
        x = np.concatenate([mean, np.sqrt(np.maximum(square - mean * mean, 0))], -1)
        x[~valid] = np.nan
        return x

    def _fit(self, clips, label, groups):
        """Return the score in cross-validation, and the model."""
        x, y, known = self.features(clips), label.targets, None
        if label.over_time:
            y, known = self.over_time(label, x.shape[1])
            groups = np.repeat(groups, x.shape[1])[known.ravel()]
            x, y = x[known], y[known] if self.task in ("votes", "regression") else y[known].argmax(-1)
        if self.task in ("classes", "ordinal"):  # the last one answers where discriminant analysis lacks classes or clips
            models = [*(LinearDiscriminantAnalysis("lsqr", shrinkage=s) for s in SHRINKAGE), DummyClassifier()]
        else:
            models = [Ridge(alpha) for alpha in ALPHA]
        pipeline = Pipeline([("fill", SimpleImputer(keep_empty_features=True)), ("model", models[0])])
        groups = groups if len(np.unique(groups)) > 1 else np.arange(len(groups))
        folds = GroupKFold(min(FOLDS, len(np.unique(groups))))
        with warnings.catch_warnings(action="ignore"):  # of failed fits, and classes with a single clip
            search = GridSearchCV(pipeline, {"model": models}, cv=folds, error_score=-1.0).fit(x, y, groups=groups)
        return search.best_score_, search.best_estimator_
