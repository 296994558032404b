"""Clips of a corpus: streams of the senses, labels from raters, and identifiers of the speakers."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import numpy as np

from refmer.choices import choose

EMOTIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
SENSES = ("voice", "face", "words", "body")
WORD_RATE = 2.5  # words per second, where nothing times them


@dataclass(frozen=True)
class Stream:
    """One signal of one sense for N clips.

    Parameters
    ----------
    x : array (N, T, ...)
        Raw features, zero where `mask` is False (padding at the end, frames that are missing). Like `mask`, it may stay on
        disk (`refmer.load_folder`).
    rate : float
        Frames per second; frame t is centred at (t + 0.5) / rate seconds.
    mask : bool array (N, T)
        True where the clip has a frame.
    sense : str
        "voice", "face", "words" or "body": a corruption of that sense changes all its streams.
    features : tuple of str, optional
        Names along the last axis.
    """

    x: np.ndarray
    rate: float
    mask: np.ndarray
    sense: str
    features: tuple = ()

    def __post_init__(self):
        choose("sense", self.sense, SENSES)
        if self.x.ndim < 3:
            raise ValueError(f"a stream's x has shape {self.x.shape}; accepted: (N, T, ...) with at least 3 axes")
        if self.mask.dtype != bool or self.mask.shape != self.x.shape[:2]:
            raise ValueError(f"mask is {self.mask.dtype} {self.mask.shape}; accepted: bool {self.x.shape[:2]}, like the stream")
        # streams on disk are checked when they are read
        if isinstance(self.x, np.ndarray) and self.x.dtype.kind == "f" and not np.isfinite(self.x).all():
            n = int((~np.isfinite(self.x)).any(axis=tuple(range(1, self.x.ndim))).sum())
            raise ValueError(f"a {self.sense} stream has NaN or infinite features in {n} clips; accepted: finite values")
        if self.x.dtype.kind not in "fu":
            raise ValueError(f"a {self.sense} stream has dtype {self.x.dtype}; accepted: floating or unsigned integer")
        if not self.rate > 0:
            raise ValueError(f"rate is {self.rate}; accepted: a positive number of frames per second")
        if self.features and len(self.features) != self.x.shape[-1]:
            raise ValueError(f"{len(self.features)} feature names for {self.x.shape[-1]} features")

    def __getitem__(self, index):
        return replace(self, x=self.x[index], mask=self.mask[index])

    def read(self, index):
        """Return the clips at an index, in memory even where this stream is on disk."""
        return replace(self, x=np.asarray(self.x[index]), mask=np.asarray(self.mask[index]))


@dataclass(frozen=True)
class Clips:
    """N clips: streams, labels and ground truth. Labels that a corpus lacks are None.

    Parameters
    ----------
    streams : dict of str to Stream
        By name: "logmel", "mfcc", "layers", "prosody" (voice), "units", "frames" (face), "words", "body".
    name, speaker : arrays (N,)
        Identifiers; splits keep speakers apart.
    intended : int array (N,), optional
        Index into `classes` of the emotion that was acted.
    votes : array (N, K), optional
        Number of raters who chose each class.
    emotion : int array (N,), optional
        Plurality of the votes; a tie goes to the intended class if it is among the tied ones, else to the first.
    sentiment : array (N,), optional
        From -3 (very negative) to 3 (very positive).
    affect : Stream, optional
        Valence and arousal (N, T, 2) in [-1, 1] over time.
    truth : dict of str to array (N, ...)
        Ground truth of a synthetic corpus: "lag" (s), "shown_voice", "shown_face".
    classes : tuple of str
        Names of the K emotions.
    source : str
        Origin of the data, as reports print it.
    raw : callable, optional
        raw(name) returns the sound (with every sound added to it) and the clean frames of a clip, as a
        `synthetic.synthesize.RawSignals`. Synthetic clips have it until a corruption changes the features of their voice.
    """

    streams: dict
    name: np.ndarray
    speaker: np.ndarray
    intended: np.ndarray | None = None
    votes: np.ndarray | None = None
    emotion: np.ndarray | None = None
    sentiment: np.ndarray | None = None
    affect: Stream | None = None
    truth: dict = field(default_factory=dict)
    classes: tuple = EMOTIONS
    source: str = "unknown source"
    raw: Callable | None = None

    def __post_init__(self):
        n = len(self.name)
        for label, value in (
            [("stream " + k, s.x) for k, s in self.streams.items()]
            + [(k, getattr(self, k)) for k in ("speaker", "intended", "votes", "emotion", "sentiment")]
            + list(self.truth.items())
        ):
            if value is not None and len(value) != n:
                raise ValueError(f"{label} has {len(value)} clips, but there are {n} names; accepted: one entry per clip")
        for label in ("intended", "emotion"):
            value = getattr(self, label)
            if value is not None and n and not ((value >= 0) & (value < len(self.classes))).all():
                bad = sorted(set(np.unique(value).tolist()) - set(range(len(self.classes))))
                raise ValueError(f"{label} has labels {bad} outside the classes 0..{len(self.classes) - 1}")
        if self.votes is not None and self.votes.shape[1:] != (len(self.classes),):
            raise ValueError(f"votes has shape {self.votes.shape}; accepted: (N, {len(self.classes)}), a column per class")
        if self.sentiment is not None and not (np.abs(self.sentiment) <= 3).all():
            raise ValueError("sentiment has values outside [-3, 3] or NaN")

    @property
    def shape(self):
        """(N,), since scikit-learn's splitters and scorers index clips as they index arrays."""
        return (len(self.name),)

    def __len__(self):
        return len(self.name)

    def __repr__(self):
        streams = ", ".join(f"{k} {s.x.shape[1:]} at {s.rate:g} Hz" for k, s in self.streams.items())
        return f"Clips({len(self)} clips of {len(np.unique(self.speaker))} speakers; {streams}; {self.source})"

    def __getitem__(self, index):
        """Return the clips at an int, slice, bool array, int array or (index, ...); an int keeps the clip axis."""
        if isinstance(index, tuple):
            index = index[0]
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"clip {index} of {len(self)}")
            index = slice(index, index + 1) if index != -1 else slice(index, None)
        elif not isinstance(index, slice):
            index = np.asarray(index)
            if index.size == 0:
                index = index.astype(int)
        part = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, dict):
                value = {k: v[index] for k, v in value.items()}
            elif isinstance(value, (np.ndarray, Stream)):
                value = value[index]
            part[f.name] = value
        return Clips(**part)

    def with_streams(self, **streams):
        """Return the same clips with some streams replaced or added."""
        return replace(self, streams={**self.streams, **streams})

    def split(self, by="speaker", test_size=0.25, seed=0):
        """Return two disjoint parts, (train, test): no speaker (or, with by="name", no clip) is in both.

        Parameters
        ----------
        by : "speaker" or "name"
        test_size : float in (0, 1)
            Share of the speakers (or clips) in the second part.
        seed : int

        Returns
        -------
        train, test : Clips

        Raises
        ------
        ValueError
            If there are fewer than two speakers (or clips), or an argument is out of range.
        """
        from sklearn.model_selection import GroupShuffleSplit

        choose("by", by, ("speaker", "name"))
        if not 0 < test_size < 1:
            raise ValueError(f"test_size is {test_size}; accepted: a share between 0 and 1")
        groups = getattr(self, by)
        if len(np.unique(groups)) < 2:
            raise ValueError(
                f"cannot split {len(self)} clips of {len(np.unique(groups))} {by}: at least 2 are needed, "
                f"so that no {by} is in both parts"
            )
        splitter = GroupShuffleSplit(1, test_size=test_size, random_state=seed)
        train, test = next(splitter.split(groups, groups=groups))
        assert not set(groups[train]) & set(groups[test])
        return self[train], self[test]
