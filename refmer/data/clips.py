"""Clips of a corpus: streams of the senses, labels from raters, and identifiers of the speakers."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import numpy as np

from refmer.choices import ABOVE_0, SEED, choose, plain, typed
from refmer.data.arrays import codes, column, frames, identifiers, is_list, names, names_in, numbers, table

EMOTIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
UNLABELLED = {"intended": -1, "emotion": -1, "votes": 0, "sentiment": np.nan}  # the label of a clip without one
SENSES = ("voice", "face", "words", "body")
WORD_RATE = 2.5  # words per second, where nothing times them


@dataclass(frozen=True)
class Stream:
    """One signal of one sense for N clips.

    Parameters
    ----------
    x : array (N, T, ...)
        Raw features, zero where `mask` is False (padding at the end, frames that are missing). Like `mask`, it may stay on
        disk (`refmer.load_folder`). A list of N arrays (T, ...) of different lengths is padded. Signed integers become float32.
    rate : float
        Frames per second; frame t is centred at (t + 0.5) / rate seconds.
    mask : bool array (N, T), optional
        True where the clip has a frame; 0 and 1 will do. None: everywhere but in the padding of a list.
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
        features = names("features", self.features)
        values = typed("rate", plain(self.rate), float, ABOVE_0), *frames(self.x, self.mask), features
        for name, value in zip(("rate", "x", "mask", "features"), values, strict=True):
            object.__setattr__(self, name, value)
        # streams on disk are checked when they are read
        if isinstance(self.x, np.ndarray) and self.x.dtype.kind == "f" and not np.isfinite(self.x).all():
            n = int((~np.isfinite(self.x)).any(axis=tuple(range(1, self.x.ndim))).sum())
            raise ValueError(f"a {self.sense} stream has NaN or infinite features in {n} clips; accepted: finite values")
        if self.features and len(self.features) != self.x.shape[-1]:
            raise ValueError(f"features has {len(self.features)} names; accepted: {self.x.shape[-1]}, the width of the stream")

    def __getitem__(self, index):
        return replace(self, x=self.x[index], mask=self.mask[index])

    def read(self, index):
        """Return the clips at an index, in memory even where this stream is on disk."""
        return replace(self, x=np.asarray(self.x[index]), mask=np.asarray(self.mask[index]))


@dataclass(frozen=True)
class Clips:
    """N clips: streams, labels and ground truth. Labels that a corpus lacks are None.

    Labels may be lists, arrays (N,) or (N, 1), or columns of a table. `emotion` and `intended` may hold names of classes, which
    become indices. A label that some clips lack is None, NaN or -1 there (of `votes`: a row of zeros); it is kept as -1 or NaN,
    and training and scores refuse these clips.

    Parameters
    ----------
    streams : dict of str to Stream
        By name: "logmel", "mfcc", "layers", "prosody" (voice), "units", "frames" (face), "words", "body".
    name, speaker : arrays (N,)
        Identifiers, integers or strings; splits keep speakers apart.
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
    classes : tuple of str, optional
        Names of the K emotions. Default: the sorted names in `emotion` and `intended` or, where these hold numbers, EMOTIONS.
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
    classes: tuple | None = None
    source: str = "unknown source"
    raw: Callable | None = None

    def __post_init__(self):
        if not isinstance(self.streams, dict) or not all(isinstance(s, Stream) for s in self.streams.values()):
            raise TypeError(f"streams is {type(self.streams).__name__}; accepted: a dict of name to refmer.Stream")
        kinds = ("affect", Stream | None, "a refmer.Stream"), ("truth", dict, "a dict"), ("source", str, "a string")
        for label, kind, text in kinds:
            if not isinstance(value := getattr(self, label), kind):
                raise TypeError(f"{label} is {type(value).__name__}; accepted: {text}")
        classes = self.classes
        if classes is None:
            classes = sorted(names_in("intended", self.intended) | names_in("emotion", self.emotion)) or EMOTIONS
        self._set("classes", names("classes", classes))
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes is {self.classes}; accepted: different names")
        for label in ("name", "speaker"):
            self._set(label, identifiers(label, getattr(self, label)))
        for label in ("intended", "emotion"):
            if getattr(self, label) is not None:
                self._set(label, codes(label, getattr(self, label), self.classes))
        if self.sentiment is not None:
            self._set("sentiment", numbers("sentiment", self.sentiment))
        if self.votes is not None:
            self._set("votes", table("votes", self.votes))
        self._check()

    def _set(self, label, value):
        object.__setattr__(self, label, value)

    def _check(self):
        n, K = len(self), len(self.classes)
        lengths = {f"stream {k}": s.x for k, s in self.streams.items()} | {"affect": self.affect and self.affect.x}
        lengths |= {f"truth {k}": x for k, x in self.truth.items()}
        for label, value in (lengths | {k: getattr(self, k) for k in ("speaker", *UNLABELLED)}).items():
            if value is not None and (size := (np.shape(value) or (0,))[0]) != n:
                raise ValueError(f"{label} has {size} clips, but there are {n} names; accepted: one entry per clip")
        if self.votes is not None and self.votes.shape[1] != K:
            raise ValueError(f"votes has shape {self.votes.shape}; accepted: (N, {K}), a column per class")
        if self.votes is not None and (wrong := ~(np.isfinite(self.votes) & (self.votes >= 0)).all(1)).any():
            name, row = self.name[wrong][0], self.votes[wrong][0].tolist()
            raise ValueError(f"votes is {row} for clip {name}; accepted: numbers of raters, 0 or more")
        if self.sentiment is not None and (wrong := np.abs(self.sentiment) > 3).any():
            raise ValueError(f"sentiment is {self.sentiment[wrong][0]} for clip {self.name[wrong][0]}; accepted: -3 to 3")
        if self.affect is not None and self.affect.x.shape[2:] != (2,):
            raise ValueError(f"affect has shape {self.affect.x.shape}; accepted: (N, T, 2), valence and arousal")

    @property
    def shape(self):
        """(N,), since scikit-learn's splitters and scorers index clips as they index arrays."""
        return (len(self.name),)

    def __len__(self):
        return len(self.name)

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "clips are no array; accepted: Recognizer, Pipeline, cross_val_score, GridSearchCV and others that index clips. "
            "Estimators that make one array of their input, as BaggingClassifier does, are not supported"
        )

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
            index = column("index", index)
            if index.dtype.kind not in "biu":
                values = [plain(value) for value in index.tolist()]
                if {type(value) for value in values} not in ({int}, {bool}, set()):
                    raise IndexError(f"index is {index}; accepted: an int, a slice, an array of bool or int")
                index = np.array(values)
            index = index if index.size else index.astype(int)
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

    @staticmethod
    def concatenate(parts):
        """Join several Clips into one, in memory.

        A stream is padded to its longest clip; clips of a part without it have no frame of it. A label that a part lacks is -1,
        NaN, a row of zeros (votes) or no frame (affect) in its clips; truth that a part lacks is left out.

        Parameters
        ----------
        parts : iterable of Clips
            With the same classes; streams of one name have the same rate, sense, features and shape of a frame.

        Returns
        -------
        Clips

        Raises
        ------
        TypeError
            If a part is not Clips.
        ValueError
            If there is no part, or parts differ.
        """
        parts = [checked(part) for part in parts] if is_list(parts) or isinstance(parts, Clips) else []
        if not parts:
            raise ValueError("parts is empty or no list; accepted: at least one Clips")
        if len({part.classes for part in parts}) > 1:
            raise ValueError(
                f"the parts have the classes {[part.classes for part in parts]}; accepted: the same, given as classes="
            )
        sizes, labels = [len(part) for part in parts], {}
        for label, missing in UNLABELLED.items():
            shape = (len(parts[0].classes),) if label == "votes" else ()
            values = [getattr(part, label) for part in parts]
            if any(value is not None for value in values):
                columns = [np.full((n, *shape), missing) if v is None else v for n, v in zip(sizes, values, strict=True)]
                labels[label] = np.concatenate(columns)
        for label in ("name", "speaker"):
            labels[label] = [entry for part in parts for entry in getattr(part, label).tolist()]
        streams = {name: joined(name, [p.streams.get(name) for p in parts], sizes) for part in parts for name in part.streams}
        affect = [part.affect for part in parts]
        return Clips(
            streams,
            **labels,
            affect=joined("affect", affect, sizes) if any(affect) else None,
            truth={k: np.concatenate([p.truth[k] for p in parts]) for k in parts[0].truth if all(k in p.truth for p in parts)},
            classes=parts[0].classes,
            source="; ".join(dict.fromkeys(part.source for part in parts)),
            raw=parts[0].raw if all(part.raw is parts[0].raw for part in parts) else None,
        )

    def split(self, by="speaker", test_size=0.25, seed=0):
        """Return two disjoint parts, (train, test): no speaker (or, with by="name", no clip) is in both.

        Parameters
        ----------
        by : "speaker" or "name"
        test_size : float in (0, 1)
            Share of the speakers (or clips) in the second part.
        seed : int or None
            None: another split each time.

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
        seed = typed("seed", plain(seed), int | None, SEED)
        test_size = typed("test_size", plain(test_size), float, (lambda x: 0 < x < 1, "shares between 0 and 1"))
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


def checked(clips):
    """Return clips; raise TypeError, which shows how to make them, for anything else."""
    if not isinstance(clips, Clips):
        raise TypeError(
            f"clips is {type(clips).__name__}; accepted: refmer.Clips, as load_samples, read_clip, ... return. Made of "
            'arrays x (N, T, D), speaker, emotion (N,): Clips({"words": Stream(x, rate, None, "words")}, name=range(N), '
            "speaker=speaker, emotion=emotion)"
        )
    return clips


def joined(name, streams, sizes):
    """Return the stream of several parts with these numbers of clips; None: a part without it."""
    given = [s for s in streams if s is not None]
    kinds = {(s.x.shape[2:], s.rate, s.sense, s.features): None for s in given}
    if len(kinds) > 1:
        raise ValueError(f"stream {name} is {' and '.join(map(str, kinds))}; accepted: one shape, rate, sense and features")
    T, start = max(s.x.shape[1] for s in given), 0
    x = np.zeros((sum(sizes), T, *given[0].x.shape[2:]), np.result_type(*(s.x.dtype for s in given)))
    mask = np.zeros(x.shape[:2], bool)
    for s, n in zip(streams, sizes, strict=True):
        if s is not None:
            x[start : start + n, : s.x.shape[1]], mask[start : start + n, : s.x.shape[1]] = s.x, s.mask
        start += n
    return replace(given[0], x=x, mask=mask)
