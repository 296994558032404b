"""Labels: what raters or a corpus say about clips, and the targets of training made of it."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from refmer.choices import ABOVE_0, choose, plain, typed
from refmer.data.arrays import ONE_HOT, codes, column, entries, is_list, listed, names, names_in, numbers, pad, table, whole

SENTIMENT = ("-3", "-2", "-1", "0", "+1", "+2", "+3")
UNLABELLED = {"classes": -1, "votes": 0, "ordinal": np.nan, "regression": np.nan}  # kind -> value of a clip without label


@dataclass(frozen=True)
class Label:
    """One label of N clips, with one value per clip or, with `rate`, one per time step.

    Parameters
    ----------
    values : array, list or column of a table
        By kind. "classes": (N,) names or indices. "votes": (N, K) numbers of raters who chose each class. "ordinal": (N,)
        numbers on a scale of whole numbers. "regression": (N,) or (N, K). With `rate`: (N, T) or (N, T, K), or a list of N
        arrays of different lengths. Missing for a clip: None, NaN, "", -1 (classes), a row of zeros (votes).
    kind : {"classes", "votes", "ordinal", "regression"}, optional
        Default: classes for text and whole numbers, votes for whole numbers (N, K), else regression.
    names : tuple of str, optional
        Of the K classes, levels or dimensions. Default: the sorted values; levels from the least to the greatest; "0", "1", ...
    rate : float, optional
        Time steps per second, of a label over time.
    mask : bool array (N, T), optional
        False for a step without label.
    """

    values: np.ndarray
    kind: str | None = None
    names: tuple[Any, ...] | None = None
    rate: float | None = None
    mask: np.ndarray | None = None

    def __post_init__(self):
        rate = typed("rate", plain(self.rate), float | None, ABOVE_0)
        values, mask = (self.values, None) if rate is None else steps(self.values, self.mask)
        shape = None if rate is None else mask.shape
        flat = values if rate is None else values[mask]
        kind = kind_of(flat) if self.kind is None else choose("kind", self.kind, tuple(UNLABELLED))
        flat, labels = READ[kind](flat, None if self.names is None else names("names", self.names))
        if len(set(labels)) != len(labels):
            raise ValueError(f"names is {labels}; accepted: different names")
        if rate is not None:
            values = np.full((*shape, *flat.shape[1:]), UNLABELLED[kind], flat.dtype)
            values[mask] = flat
            mask = mask.copy()
            mask[mask] = is_present(kind, flat)
        elif self.mask is not None:
            raise ValueError("mask is given without rate; accepted: both, for a label over time")
        entries = {"values": flat if rate is None else values, "kind": kind, "names": labels, "rate": rate, "mask": mask}
        for name, value in entries.items():
            object.__setattr__(self, name, value)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return changed(self, values=self.values[index], mask=None if self.mask is None else self.mask[index])

    @property
    def over_time(self):
        """True for a label with a value per time step."""
        return self.rate is not None

    @property
    def present(self):
        """True for a clip (N,), or time step (N, T), with label."""
        return is_present(self.kind, self.values) if self.mask is None else self.mask

    @property
    def targets(self):
        """Targets of training, with which predictions are compared.

        -> int (N,) of classes and levels; float32 (N, K), the shares of the votes, or the values of a regression; over time
        (N, T) or (N, T, K), 0 where no label is.
        """
        values, present = self.values, self.present
        if self.kind == "classes":
            return np.where(present, values, 0)
        if self.kind == "ordinal":  # halves to even (numpy.round), as MulT and MMSA do
            return np.round(np.where(present, values, lowest(self.names))).astype(int) - lowest(self.names)
        if self.kind == "votes":
            return (values / np.maximum(values.sum(-1, keepdims=True), 1e-9)).astype(np.float32)
        values = values if values.ndim == present.ndim + 1 else values[..., None]
        return np.where(present[..., None], values, 0).astype(np.float32)

    @property
    def scaling(self):
        """Mean and standard deviation (K,) of the dimensions of a regression; of other labels 0 and 1."""
        K = len(self.names)
        if self.kind != "regression":
            return np.zeros(K, np.float32), np.ones(K, np.float32)
        values = self.targets[self.present]
        sd = values.std(0)
        return values.mean(0), np.where(sd > 1e-6, sd, 1).astype(np.float32)

    def counts(self):
        """Return the numbers of labelled clips (or time steps) by class, or the range of a regression, as text."""
        targets, present = self.targets[self.present], f"{self.present.sum()} clips"
        if self.over_time:
            present = f"{self.present.sum()} steps at {self.rate:g} Hz"
        if not len(targets):
            return f"{self.kind}, none"
        if self.kind == "regression":
            ranges = zip(self.names, targets.min(0), targets.max(0), strict=True)
            return f"regression, {present}, " + ", ".join(f"{name} {low:.3g} to {high:.3g}" for name, low, high in ranges)
        count = targets.sum(0).round(1) if self.kind == "votes" else np.bincount(targets, minlength=len(self.names))
        return f"{self.kind}, {present}, " + ", ".join(f"{name} {n:g}" for name, n in zip(self.names, count, strict=True))

    def describe(self):
        """Return the label as JSON has it, without values."""
        return {"kind": self.kind, "names": list(self.names), "rate": self.rate}


def changed(label, **entries):
    """Return a label of the same kind with other values, unchecked."""
    new = object.__new__(Label)
    for name, value in (vars(label) | entries).items():
        object.__setattr__(new, name, value)
    return new


def steps(values, mask):
    """Return values (N, T, ...) over time and their mask (N, T); a list of sequences is padded."""
    if not isinstance(values, np.ndarray) and is_list(values):
        parts = [np.asarray(part) for part in values]
        if len({part.shape[1:] for part in parts}) > 1 or 0 in {part.ndim for part in parts}:
            raise ValueError(f"values has parts of shape {listed(p.shape for p in parts)}; accepted: (T, ...), equal but for T")
        values, default = pad(parts)
        mask = default if mask is None else mask
    if np.ndim(values) < 2:
        raise ValueError(f"values has shape {np.shape(values)}; accepted over time: (N, T) or (N, T, K)")
    mask = np.ones(values.shape[:2], bool) if mask is None else np.asarray(mask)
    if mask.dtype != bool or mask.shape != values.shape[:2]:
        raise ValueError(f"mask is {mask.dtype} {mask.shape}; accepted: bool {values.shape[:2]}, like the values")
    return values, mask


def kind_of(values):
    """Return the kind that values (N,) or (N, K) have, if none is given."""
    array = np.asarray(values, None if isinstance(values, np.ndarray) else object)
    if array.ndim == 2 and array.shape[1] > 1:
        return "votes" if np.asarray(values).dtype.kind in "iu" else "regression"
    given = entries(column("values", array))[0] if array.dtype.kind not in "iu" else []
    return "regression" if any(isinstance(v, float) for v in given) else "classes"


def lowest(levels):
    """Return the number of the first level of an ordinal label: that of its name, or 0."""
    try:
        return int(levels[0])
    except ValueError:
        return 0


def _read_classes(values, given):
    truths = entries(column("values", values, ONE_HOT))[0]
    if truths and all(isinstance(v, bool) for v in truths):  # False and True become names
        values = [str(plain(v)) for v in column("values", values)]
    if given is None and not (given := tuple(sorted(names_in("values", values)))):
        integers = {whole(plain(v)) for v in entries(column("values", values))[0]} - {None, -1}
        given = tuple(map(str, sorted(integers)))
        if integers and sorted(integers) != list(range(len(integers))):
            index = {v: i for i, v in enumerate(sorted(integers))}
            values = [index.get(whole(plain(v)), -1) if v not in ("", None) else -1 for v in column("values", values).tolist()]
    return codes("values", values, given), given


def _read_votes(values, given):
    array = table("values", values)
    given = tuple(map(str, range(array.shape[1]))) if given is None else given
    if array.shape[1] != len(given):
        raise ValueError(f"votes has shape {array.shape}; accepted: (N, {len(given)}), a column per class")
    if (wrong := ~(np.isfinite(array) & (array >= 0)).all(1)).any():
        at = np.flatnonzero(wrong)[0]
        raise ValueError(f"votes is {array[at].tolist()} in row {at}; accepted: numbers of raters, 0 or more")
    return array, given


def _read_ordinal(values, given):
    if given:
        index = {name: lowest(given) + i for i, name in enumerate(given)}
        values = [index.get(v, v) if isinstance(v, str) else v for v in column("values", values).tolist()]
    array = numbers("values", values)
    array = array.astype(float) if array.dtype.kind != "f" else array
    if given is None:
        known = array[np.isfinite(array)]
        low, high = (int(np.round(x)) for x in (known.min(), known.max())) if len(known) else (0, 0)
        given = tuple(f"{k:+d}" if low < 0 and k else str(k) for k in range(low, high + 1))
    low = lowest(given)
    if (wrong := (array < low) | (array > low + len(given) - 1)).any():
        raise ValueError(f"values has {array[wrong][0]:g}; accepted: {low} to {low + len(given) - 1}, the scale of {given}")
    return array, given


def _read_regression(values, given):
    array = np.asarray(values, None if isinstance(values, np.ndarray) else object)
    array = numbers("values", values) if array.ndim < 2 else table("values", values)
    array = array.astype(np.float32) if array.dtype.kind in "biu" else array
    if np.isinf(array).any():
        raise ValueError("values has infinity; accepted: finite numbers, NaN for a clip without label")
    K = 1 if array.ndim == 1 else array.shape[1]
    given = given or (("value",) if K == 1 else tuple(map(str, range(K))))
    if len(given) != K:
        raise ValueError(f"names is {given}; accepted: {K}, one for each dimension")
    return array, given


READ = {"classes": _read_classes, "votes": _read_votes, "ordinal": _read_ordinal, "regression": _read_regression}


def is_present(kind, values):
    """Return where values (N,) or (N, K) are a label: bool (N,)."""
    if kind == "classes":
        return values >= 0
    if kind == "votes":
        return values.any(-1)
    return ~np.isnan(values.reshape(len(values), -1)).any(1)


def joined(name, labels, sizes):
    """Return the label of several parts with these numbers of clips; None: a part without it."""
    given = [label for label in labels if label is not None]
    if len({(x.kind, x.names, x.rate, x.values.shape[1:][x.over_time :]) for x in given}) > 1:
        raise ValueError(f"label {name} is {' and '.join(str(x.describe()) for x in given)}; accepted: one kind, names, rate")
    first, start = given[0], 0
    shape = (sum(sizes), *first.values.shape[1:])
    if first.over_time:
        shape = (shape[0], max(x.values.shape[1] for x in given), *shape[2:])
    values = np.full(shape, UNLABELLED[first.kind], np.result_type(*(x.values.dtype for x in given)))
    mask = np.zeros(shape[:2], bool) if first.over_time else None
    for label, n in zip(labels, sizes, strict=True):
        if label is not None:
            place = (slice(start, start + n), slice(label.values.shape[1])) if first.over_time else slice(start, start + n)
            values[place] = label.values
            if first.over_time:
                mask[place] = label.mask
        start += n
    return changed(first, values=values, mask=mask)


def label_of(clips, name):
    """Return a label of clips; raise ValueError if they, or some of them, lack it."""
    if name not in clips.labels:
        raise ValueError(f"these clips have no {name} labels ({clips.source}); they have {', '.join(clips.labels) or 'none'}")
    label = clips.labels[name]
    missing = np.full(len(clips), not label.present.any()) if label.over_time else ~label.present
    if missing.any():
        some, labelled = listed(clips.name[missing].tolist()), f"clips[clips.labels[{name!r}].present]"
        raise ValueError(f"{missing.sum()} of {len(clips)} clips have no {name} ({some}); leave them out: {labelled}")
    return label


def with_label(clips, name, y):
    """Return clips whose label `name` is y, as `Label.targets` has it; None: the one that they have.

    Raises
    ------
    ValueError
        If y are no labels of these clips.
    """
    if y is None:
        return clips
    label = clips.labels.get(name)
    try:
        if label is not None and label.over_time:
            raise ValueError(f"y is {type(y).__name__}; accepted: None, as the label over time is in clips.labels[{name!r}]")
        if np.ndim(y) < 2 and (label is None or label.kind != "regression") and names_in("y", y):
            raise ValueError("y holds names of classes; accepted: integers, as predict returns them")
        if label is None:
            return clips.with_labels(**{name: y})
        if label.kind == "ordinal":
            y = codes("y", y, label.names)
            y = np.where(y < 0, np.nan, y + float(lowest(label.names)))
        return clips.with_labels(**{name: Label(y, label.kind, label.names)})
    except ValueError as error:
        raise ValueError(f"{error}. As y give clips.labels[{name!r}].targets, or None") from error


def plurality(votes, intended):
    """Return the answer with most votes (..., K); a tie goes to the intended class if it is among them, else to the first."""
    most = votes == votes.max(-1, keepdims=True)
    meant = np.take_along_axis(most, intended[..., None], -1)[..., 0]
    return np.where(meant, intended, most.argmax(-1))


def above_chance(shares):
    """Return True for the classes (..., K) with a share strictly above 1 / K (paper 004, IV)."""
    return shares > 1 / shares.shape[-1]


def soft_targets(label):
    """Return the targets of a loss (..., K) float32: one-hot classes, the shares of the votes, the values of a regression."""
    targets = label.targets
    return np.eye(len(label.names), dtype=np.float32)[targets] if targets.dtype.kind == "i" else targets


def warn_of_absent(count, names):
    """Warn of classes without training clips; raise ValueError if there is no other."""
    absent = [name for name, n in zip(names, count, strict=True) if not n]
    if len(absent) == len(names):
        raise ValueError("votes of no training clip have a class above chance; accepted: raters who agree on some clips")
    if absent:
        text = f"no training clip is of the classes {', '.join(absent)}: they have weight 0 in the loss and are not learned"
        warnings.warn(text, stacklevel=3)
