"""Clips of a corpus: streams of the senses, labels, and identifiers of the speakers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from refmer.choices import ABOVE_0, SEED, plain, typed
from refmer.data import labels
from refmer.data.arrays import column, frames, identifiers, is_list, listed, names
from refmer.data.labels import Label

EMOTIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
WORD_RATE = 2.5  # words per second, where nothing times them


@dataclass(frozen=True)
class Stream:
    """One signal of one sense for N clips.

    Parameters
    ----------
    x : array (N, T, ...)
        Raw features, zero where `mask` is False (padding at the end, frames that are missing). Like `mask`, it may stay on
        disk (`refmer.load_folder`). (N, D) is one frame per clip. A list of N arrays (T, ...) of different lengths is padded.
        Signed integers, bool and float16 become float32; images may be uint8.
    rate : float, default 1
        Frames per second; frame t is centred at (t + 0.5) / rate seconds.
    mask : bool array (N, T), optional
        True where the clip has a frame; 0 and 1 will do. None: everywhere but in the padding of a list.
    sense : str
        Any word, as "voice", "face", "words" or "body" in the bundled corpus: a corruption of that sense changes all its
        streams. "" becomes the name of the stream in `Clips`.
    features : tuple of str, optional
        Names along the last axis.
    """

    x: np.ndarray
    rate: float = 1.0
    mask: np.ndarray | None = None
    sense: str = ""
    features: tuple[str, ...] = ()

    def __post_init__(self):
        if not isinstance(self.sense, str) or "+" in self.sense:
            raise ValueError(f"sense is {self.sense!r}; accepted: a word, e.g. 'voice' or 'face'")
        features = names("features", self.features)
        values = typed("rate", plain(self.rate), float, ABOVE_0), *frames(self.x, self.mask), features
        for name, value in zip(("rate", "x", "mask", "features"), values, strict=True):
            object.__setattr__(self, name, value)
        # streams on disk are checked when they are read
        if isinstance(self.x, np.ndarray) and self.x.dtype.kind == "f" and not np.isfinite(self.x).all():
            n = int((~np.isfinite(self.x)).any(axis=tuple(range(1, self.x.ndim))).sum())
            raise ValueError(
                f"a {self.sense or 'new'} stream has NaN or infinite features in {n} clips; accepted: finite values"
            )
        if self.features and len(self.features) != self.x.shape[-1]:
            raise ValueError(f"features has {len(self.features)} names; accepted: {self.x.shape[-1]}, the width of the stream")

    def __getitem__(self, index):
        return replace(self, x=self.x[index], mask=self.mask[index])

    def read(self, index):
        """Return the clips at an index, in memory even where this stream is on disk."""
        return replace(self, x=np.asarray(self.x[index]), mask=np.asarray(self.mask[index]))


@dataclass(frozen=True)
class Clips:
    """N clips: streams, labels and ground truth.

    The values of a label are also an attribute: `clips.emotion` is `clips.labels["emotion"].values`.

    Parameters
    ----------
    streams : dict of str to Stream
        By name; an array or a list of arrays becomes a Stream of one frame per second. Of the bundled corpus: "logmel", "mfcc",
        "layers", "prosody" (voice), "units", "frames" (face), "words", "body".
    name, speaker : arrays (N,), optional
        Identifiers, integers or strings; splits keep speakers apart. Default: 0 to N - 1; each clip has a speaker of its own.
    labels : dict of str to Label
        By name; anything else becomes a `Label` of the kind that its values have. Of the bundled corpus: "intended", the
        emotion that was acted; "votes" of raters; "emotion", their plurality, where a tie goes to the intended class if it is
        among the tied ones, else to the first; "sentiment" from -3 to 3; "affect", valence and arousal in [-1, 1] over time. A
        label that some clips lack is kept as missing, and training and scores refuse these clips.
    truth : dict of str to array (N, ...)
        Ground truth of a synthetic corpus: "lag" (s), "shown_voice", "shown_face".
    source : str
        Origin of the data, as reports print it.
    raw : callable, optional
        raw(name) returns the sound (with every sound added to it) and the clean frames of a clip, as a
        `synthetic.synthesize.RawSignals`. Synthetic clips have it until a corruption changes the features of their voice.
    """

    streams: dict[str, Any]
    name: np.ndarray | None = None
    speaker: np.ndarray | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    truth: dict[str, Any] = field(default_factory=dict)
    source: str = "unknown source"
    raw: Callable[..., Any] | None = None

    def __post_init__(self):
        for label, kind, text in (("streams", dict, "a dict of name to refmer.Stream"), ("source", str, "a string")) + tuple(
            (label, dict, "a dict") for label in ("labels", "truth")
        ):
            if not isinstance(value := getattr(self, label), kind):
                raise TypeError(f"{label} is {type(value).__name__}; accepted: {text}")
        self._set("streams", {name: as_stream(name, s) for name, s in self.streams.items()})
        self._set("labels", {name: as_label(name, label) for name, label in self.labels.items()})
        sizes = [len(x) for x in (self.name, self.speaker) if x is not None and is_list(x)]
        sizes += [len(s.x) for s in self.streams.values()] + [len(label) for label in self.labels.values()]
        name = np.arange(sizes[0] if sizes else 0) if self.name is None else self.name
        self._set("name", identifiers("name", name))
        self._set("speaker", identifiers("speaker", self.name if self.speaker is None else self.speaker))
        if wrong := [name for name in self.labels if name in RESERVED]:
            raise ValueError(f"a label is called {wrong[0]!r}; accepted: other names than {', '.join(sorted(RESERVED))}")
        entries = {f"stream {k}": s.x for k, s in self.streams.items()} | {f"truth {k}": x for k, x in self.truth.items()}
        entries |= {k: label.values for k, label in self.labels.items()} | {"speaker": self.speaker}
        for label, value in entries.items():
            if (size := (np.shape(value) or (0,))[0]) != len(self):
                raise ValueError(f"{label} has {size} clips, but there are {len(self)} names; accepted: one entry per clip")

    def _set(self, label, value):
        object.__setattr__(self, label, value)

    def __getattr__(self, name: str) -> Any:
        labels = vars(self).get("labels", {})
        if name not in labels:
            raise AttributeError(f"these clips have no {name!r}; labels: {', '.join(labels) or 'none'}")
        return labels[name].values

    @property
    def shape(self) -> tuple[int]:
        """(N,), since scikit-learn's splitters and scorers index clips as they index arrays."""
        return (len(self.name),)

    def __len__(self) -> int:
        return len(self.name)

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "clips are no array; accepted: Recognizer, Pipeline, cross_val_score, GridSearchCV and others that index clips. "
            "Estimators that make one array of their input, as BaggingClassifier does, are not supported"
        )

    def __repr__(self) -> str:
        streams = ", ".join(f"{k} {s.x.shape[1:]} at {s.rate:g} Hz" for k, s in self.streams.items())
        labels = "".join(f"\n  {name}: {label.counts()}" for name, label in self.labels.items())
        speakers = len(np.unique(self.speaker))
        return f"Clips({len(self)} clips of {speakers} speakers; {streams or 'no streams'}; {self.source}){labels}"

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

    def with_streams(self, **streams: Any) -> Self:
        """Return the same clips with some streams replaced or added."""
        return replace(self, streams={**self.streams, **streams})

    def with_labels(self, **labels: Any) -> Self:
        """Return the same clips with some labels replaced or added."""
        return replace(self, labels={**self.labels, **labels})

    def select(self, **values: Any) -> Self:
        """Return the clips whose name, speaker or label is one of the given values.

        Parameters
        ----------
        **values
            A value or a list of values by "name", "speaker" or a label of classes or levels, whose names are accepted:
            `clips.select(speaker=["1001", "1002"], emotion="anger")`.

        Raises
        ------
        ValueError
            For an unknown label, or a value that no clip has.
        """
        chosen = np.ones(len(self), bool)
        for field_name, wanted in values.items():
            column = self.groups(field_name)
            wanted = [wanted] if isinstance(wanted, str) or not is_list(wanted) else list(wanted)
            known = {str(v) for v in column}
            if unknown := [v for v in wanted if str(v) not in known]:
                raise ValueError(f"{field_name} is {unknown[0]!r} for no clip; they have {listed(sorted(known))}")
            chosen &= np.isin(column.astype(str), [str(v) for v in wanted])
        return self[chosen]

    def groups(self, by: str | ArrayLike) -> np.ndarray:
        """Return an array (N,) of group identifiers: an array itself, "name", "speaker", or the names of a label's classes."""
        if not isinstance(by, str):
            groups = identifiers("by", by)
            if len(groups) != len(self):
                raise ValueError(f"by has {len(groups)} entries; accepted: {len(self)}, one for each clip")
            return groups
        if by in ("name", "speaker"):
            return getattr(self, by)
        label = self.labels.get(by)
        if label is None or label.over_time or label.kind not in ("classes", "ordinal"):
            accepted = [k for k, x in self.labels.items() if not x.over_time and x.kind in ("classes", "ordinal")]
            raise ValueError(f"by is {by!r}; accepted: {', '.join(['name', 'speaker', *accepted])}, or an array (N,)")
        return np.where(label.present, np.array(label.names)[label.targets], "")

    def to_frame(self) -> dict[str, np.ndarray]:
        """Return names, speakers, labels of clips (votes and regressions a column each) and seconds as a pandas DataFrame.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        import pandas

        columns = {"name": self.name, "speaker": self.speaker}
        for name, label in self.labels.items():
            if label.over_time:
                continue
            if label.kind == "classes":
                columns[name] = np.where(label.present, np.array(label.names)[label.targets], None)
            elif label.values.ndim == 1:
                columns[name] = label.values
            else:
                columns |= {f"{name}_{k}": label.values[:, i] for i, k in enumerate(label.names)}
        seconds = {f"{name}_seconds": np.asarray(s.mask).sum(1) / s.rate for name, s in self.streams.items()}
        return pandas.DataFrame(columns | seconds)

    def summary(self) -> str:
        """Return a summary as text: speakers, labels, and for each stream lengths, gaps, ranges, constant features."""
        from refmer.data.summary import summary

        return summary(self)

    @staticmethod
    def concatenate(parts: Sequence["Clips"]) -> "Clips":
        """Join several Clips into one, in memory.

        A stream is padded to its longest clip; clips of a part without it have no frame of it. A label that a part lacks is
        missing in its clips; truth that a part lacks is left out.

        Parameters
        ----------
        parts : iterable of Clips
            Streams of one name have the same rate, sense, features and shape of a frame, labels the same kind and names.

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
        sizes = [len(part) for part in parts]

        def each(kind, join):
            names = dict.fromkeys(name for part in parts for name in getattr(part, kind))
            return {name: join(name, [getattr(part, kind).get(name) for part in parts], sizes) for name in names}

        return Clips(
            each("streams", joined),
            **{label: [entry for part in parts for entry in getattr(part, label).tolist()] for label in ("name", "speaker")},
            labels=each("labels", labels.joined),
            truth={k: np.concatenate([p.truth[k] for p in parts]) for k in parts[0].truth if all(k in p.truth for p in parts)},
            source="; ".join(dict.fromkeys(part.source for part in parts)),
            raw=parts[0].raw if all(part.raw is parts[0].raw for part in parts) else None,
        )

    def split(self, by: str | ArrayLike = "speaker", test_size: float = 0.25, seed: int = 0) -> tuple[Self, Self]:
        """Return two disjoint parts, (train, test): no speaker (or clip, or other group) is in both.

        Parameters
        ----------
        by : str or array (N,)
            "speaker", "name", a label of classes, or the group of each clip.
        test_size : float in (0, 1)
            Share of the groups in the second part.
        seed : int or None
            None: another split each time.

        Returns
        -------
        train, test : Clips

        Raises
        ------
        ValueError
            If there are fewer than two groups, or an argument is out of range.
        """
        from sklearn.model_selection import GroupShuffleSplit

        seed = typed("seed", plain(seed), int | None, SEED)
        test_size = typed("test_size", plain(test_size), float, (lambda x: 0 < x < 1, "shares between 0 and 1"))
        groups, kind = self.groups(by), by if isinstance(by, str) else "group"
        if len(np.unique(groups)) < 2:
            raise ValueError(
                f"cannot split {len(self)} clips of {len(np.unique(groups))} {kind}: at least 2 are needed, "
                f"so that no {kind} is in both parts"
            )
        splitter = GroupShuffleSplit(1, test_size=test_size, random_state=seed)
        train, test = next(splitter.split(groups, groups=groups))
        assert not set(groups[train]) & set(groups[test])
        return self[train], self[test]


def as_stream(name, stream):
    """Return a stream with a sense: an array or list becomes one."""
    if not isinstance(stream, Stream):
        try:
            stream = Stream(stream)
        except ValueError as error:
            raise ValueError(f"stream {name}: {error}") from error
    return stream if stream.sense else replace(stream, sense=name)


def as_label(name, label):
    """Return a Label of anything that can be one."""
    try:
        return label if isinstance(label, Label) else Label(label)
    except ValueError as error:
        raise ValueError(f"label {name}: {error}") from error


def checked(clips):
    """Return clips; raise TypeError, which shows how to make them, for anything else."""
    if not isinstance(clips, Clips):
        raise TypeError(
            f"clips is {type(clips).__name__}; accepted: refmer.Clips, as load_samples, read_table, ... return. Made of "
            'arrays x (N, D) or (N, T, D), speaker, y (N,): Clips({"words": x}, speaker=speaker, labels={"emotion": y})'
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


RESERVED = {f.name for f in fields(Clips)} | {name for name in vars(Clips) if not name.startswith("_")}
