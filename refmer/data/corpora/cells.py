"""Parts of the reader of tables: labels of columns, and the frames of a file."""

import numpy as np

from refmer.choices import choose
from refmer.data.delimited import number, read_lines, read_numbers
from refmer.data.files import read_npz
from refmer.data.labels import UNLABELLED, Label
from refmer.data.openface import FACE_RATE, read_face
from refmer.data.read_clip import existing

ENDINGS = (".wav", ".npy", ".npz", ".csv")
CONFIDENCE = 0.7  # of a face of OpenFace


def ending(cells):
    """Return the ending that marks a column of files, or None."""
    endings = [next((e for e in ENDINGS if cell.lower().endswith(e)), None) for cell in cells if cell]
    return endings[0] if endings and None not in endings else None


def frames_of(path):
    """Return the frames x (T, ...) of a file, where they are present (T,), their rate (None: not said) and features."""
    existing("file", path)
    rate, mask, features = None, None, ()
    if path.suffix.lower() == ".npy":
        try:
            x = np.load(path, mmap_mode="r", allow_pickle=False)  # not larger than the file
        except Exception as error:  # a damaged header makes NumPy raise anything, SyntaxError and TokenError too
            raise ValueError(f"it cannot be read ({error}); accepted: an array without pickle") from error
    elif path.suffix.lower() == ".npz":
        arrays = read_npz(path, "an .npz of one array, or of x, rate and mask")
        if "x" not in arrays and len(arrays) != 1:
            raise ValueError(f"it has the arrays {', '.join(arrays)}; accepted: one, or x, rate and mask")
        x, mask = arrays.get("x", next(iter(arrays.values()))), arrays.get("mask")
        rate = float(arrays["rate"]) if "rate" in arrays else None
    else:
        first = list(zip(read_lines(path, path.name), range(2), strict=False))[-1][0][1]
        if {"confidence", "success"} <= set(first):
            return *(face := read_face(path, CONFIDENCE))[:2], float(FACE_RATE), face[2]
        features, x = read_numbers(path, path.name)
    if x.dtype.kind not in "biuf" or x.ndim < 1 or 0 in x.shape[1:]:
        raise ValueError(f"it is {x.dtype} of shape {x.shape}; accepted: numbers (T, D), (D,) or (T, H, W)")
    x = x[None] if x.ndim == 1 else x
    if bad := int((~np.isfinite(x)).sum()):
        raise ValueError(f"{bad} of its values are not finite; accepted: finite numbers, in an .npz also a mask (T,)")
    present = np.ones(len(x), bool) if mask is None else mask.astype(bool)
    if present.shape != x.shape[:1]:
        raise ValueError(f"its mask has shape {present.shape}; accepted: {x.shape[:1]}, one for each frame")
    return x if x.dtype == np.uint8 else x.astype(np.float32), present, rate, features


def label_groups(table, labels):
    """Return {label: (kind, columns)} of the columns of a table that are no streams, as the argument `labels` has it."""
    groups = {}
    if "votes" not in labels and "votes" not in table and any(column.startswith("votes_") for column in table):
        labels = labels | {"votes": "votes"}
    for label, kind in labels.items():
        if isinstance(kind, (list, tuple)):
            groups[label] = "regression", [choose(f"a column of labels[{label!r}]", column, tuple(table)) for column in kind]
            continue
        choose(f"labels[{label!r}]", kind, (*UNLABELLED, "ignore"))
        columns = [label] if label in table else [column for column in table if column.startswith(f"{label}_")]
        if not columns:
            raise ValueError(f"labels has {label!r}, which is no column and begins none; accepted: {', '.join(table)}")
        groups[label] = kind, columns
    taken = {column for _, columns in groups.values() for column in columns}
    groups |= {column: (None, [column]) for column in table if column not in taken}
    return {label: group for label, group in groups.items() if group[0] != "ignore"}


def label_of(label, kind, columns, table, separator, names):
    """Return the Label of one column, or of several that are its classes or dimensions; None of empty ones."""
    if not any(cell for column in columns for cell in table[column]):
        return None
    if len(columns) == 1 and kind != "votes":
        return Label(values_of(table[columns[0]], separator), kind)
    values = np.array([[number(cell, separator) for cell in table[column]] for column in columns])
    for column, row in np.argwhere(np.isnan(values)):
        if cell := table[columns[column]][row]:
            raise ValueError(f"column {columns[column]} of clip {names[row]} is {cell!r}; accepted: numbers")
    values = np.nan_to_num(values) if kind == "votes" else values
    return Label(values.T, kind, [column.removeprefix(f"{label}_") for column in columns])


def values_of(cells, separator):
    """Return cells as whole numbers, else as numbers, else as text; None for an empty one."""
    x = [number(cell, separator) for cell in cells if cell]
    if not np.isfinite(x).all():
        return [cell or None for cell in cells]
    kind = int if all(v.is_integer() for v in x) and not any(set(".,") & set(cell) for cell in cells) else float
    return [kind(number(cell, separator)) if cell else None for cell in cells]
