"""Conversion of labels, identifiers and frames (lists, names, columns of tables) to arrays."""

import numpy as np

from refmer.choices import plain

ONE_HOT = " (of one-hot rows: argmax(1); numbers of raters: votes)"
MISSING = ("", "nan", "none", "<na>", "nat")  # text of the entries that stand for a missing one


def identifiers(label, value):
    """Return names or speakers (N,), whole numbers or else strings; raise ValueError if one is missing."""
    array = column(label, value)
    if array.dtype.kind in "USiu":
        return array
    values, missing = entries(array)
    if missing.any():
        raise ValueError(f"{label} is missing for {missing.sum()} of {len(missing)} clips; accepted: one for each clip")
    integers = [whole(v) for v in values]
    return np.array([str(v) for v in values] if not values or None in integers else integers, None if values else str)


def codes(label, value, classes):
    """Return class labels (N,) as indices into `classes`, -1 for a clip without label.

    value: names of classes or whole numbers; None, NaN, "" and -1 are missing. ValueError for anything else.
    """
    array = column(label, value, ONE_HOT)
    if array.dtype.kind not in "iu":
        values, missing = entries(array)
        index = {name: i for i, name in enumerate(classes)}
        indices = [index.get(v) if isinstance(v, str) else whole(v) for v in values]
        if wrong := [v for v, i in zip(values, indices, strict=True) if i is None]:
            raise ValueError(f"{label} is {listed(wrong)}; accepted: {', '.join(classes)}, or their indices from 0")
        array = np.full(len(missing), -1)
        array[~missing] = indices
    if outside := set(np.unique(array).tolist()) - set(range(-1, len(classes))):
        raise ValueError(
            f"{label} has labels {sorted(outside)} outside the classes 0..{len(classes) - 1} ({', '.join(classes)}); "
            "accepted: these, -1 for a clip without label, or other `classes`"
        )
    return array


def numbers(label, value):
    """Return numbers (N,), NaN for a clip without one; raise ValueError for anything else."""
    array = column(label, value)
    if array.dtype.kind in "iuf":
        return array
    values, missing = entries(array)
    if wrong := [v for v in values if type(v) not in (int, float)]:
        raise ValueError(f"{label} is {listed(wrong)}; accepted: numbers, NaN for a clip without one")
    array = np.full(len(missing), np.nan)
    array[~missing] = values
    return array


def table(label, value):
    """Return numbers (N, K); raise ValueError for anything else."""
    try:
        array = np.asarray(value)
        array = array.astype(float) if array.dtype == object else array
    except (TypeError, ValueError) as error:
        raise ValueError(f"{label} is no table of numbers ({error}); accepted: (N, K), a column per class") from error
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise ValueError(f"{label} is {array.dtype} of shape {array.shape}; accepted: numbers (N, K), a column per class")
    return array


def names_in(label, value):
    """Return the set of the names in class labels, which are empty if these are numbers or None."""
    array = column(label, () if value is None else value, ONE_HOT)
    return set() if array.dtype.kind in "iuf" else {v for v in entries(array)[0] if isinstance(v, str)}


def names(label, value):
    """Return names as a tuple of strings; raise ValueError for anything else."""
    entries = [None] if isinstance(value, str) or not is_list(value) else [plain(entry) for entry in value]
    if not all(isinstance(entry, (str, int)) for entry in entries):
        raise ValueError(f"{label} is {value!r}; accepted: names, e.g. ('a', 'b')")
    return tuple(map(str, entries))


def is_list(value):
    """Return whether there are entries to go through."""
    return hasattr(value, "__iter__") and getattr(value, "ndim", 1) > 0


def frames(x, mask):
    """Return x (N, T, ...) and mask (N, T) of a stream as arrays, those on disk unread; raise ValueError for anything else."""
    if isinstance(x, (list, tuple)):
        parts = [_array("x", part) for part in x]
        if len({part.shape[1:] for part in parts}) != 1 or min(part.ndim for part in parts) < 1:
            raise ValueError(f"x has parts of shape {listed(p.shape for p in parts)}; accepted: (T, ...), equal but for T")
        if parts[0].ndim > 1:
            x, default = pad(parts)
            mask = default if mask is None else mask
        elif len({part.shape for part in parts}) == 1:
            x = np.array(parts)
        else:
            raise ValueError(
                f"x has parts of shape {listed(p.shape for p in parts)}; accepted: (T, ...), with an axis of features"
            )
    x = _array("x", x)
    if x.ndim < 2:
        raise ValueError(f"a stream's x has shape {x.shape}; accepted: (N, T, ...), or (N, D) as one frame per clip")
    x = x[:, None] if x.ndim == 2 else x
    if x.dtype.kind not in "fiub":
        raise ValueError(f"a stream's x has dtype {x.dtype}; accepted: real numbers")
    x = x.astype(np.float32) if x.dtype.kind in "ib" or x.dtype == np.float16 or x.dtype.kind == "u" and x.itemsize > 1 else x
    mask = np.ones(x.shape[:2], bool) if mask is None else mask
    mask = _array("mask", mask)
    if mask.dtype != bool and mask.dtype.kind in "iuf" and np.isin(mask, (0, 1)).all():
        mask = mask.astype(bool)
    if mask.dtype != bool or mask.shape != x.shape[:2]:
        raise ValueError(f"mask is {mask.dtype} {mask.shape}; accepted: bool {x.shape[:2]}, like the stream, or 0 and 1")
    return x, mask


def _array(label, value):
    """Return an array as it is, also one on disk, anything else as an array."""
    try:
        return value if isinstance(getattr(value, "dtype", None), np.dtype) and np.ndim(value) else np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{label} is no array ({error}); accepted: numbers") from error


def pad(parts):
    """Pad clips of different lengths [(T, ...)] -> (x (N, longest T, ...), mask (N, longest T)), zeros at the end."""
    return padded(np.concatenate(parts), np.array([len(part) for part in parts]))


def padded(valid, length):
    """Pad the same clips from their concatenated frames (all, ...) and lengths (N,)."""
    mask = np.arange(length.max(initial=0)) < length[:, None]
    x = np.zeros((*mask.shape, *valid.shape[1:]), valid.dtype)
    for row, part in zip(x, np.split(valid, length.cumsum()[:-1]), strict=False):
        row[: len(part)] = part
    return x, mask


def column(label, value, hint=""):
    """Return an array (N,) of anything with one entry per clip; a column (N, 1) is one too."""
    array = value if isinstance(value, np.ndarray) else np.asarray(value, object)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1:
        given = f"has shape {array.shape}" if array.ndim else f"is {value!r}"
        raise ValueError(f"{label} {given}; accepted: (N,), one entry per clip{hint}")
    return array


def entries(array):
    """Return the entries that are not missing, as Python has them, and a bool array, True where one is missing."""
    values = [plain(v) for v in array.tolist()]
    missing = np.array([str(v).strip().lower() in MISSING for v in values], bool)
    return [v for v, gone in zip(values, missing, strict=True) if not gone], missing


def whole(value):
    """Return a whole number as an int, None for anything else."""
    return int(value) if type(value) is int or (type(value) is float and value.is_integer()) else None


def listed(values):
    """Return the first different values as text."""
    texts = list(dict.fromkeys(map(repr, values)))
    return ", ".join(texts[:5]) + (", ..." if len(texts) > 5 else "")
