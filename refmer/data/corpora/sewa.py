"""SEWA, and other recordings of the AVEC challenges, with labels over time (Kossaifi et al. 2021; Ringeval et al. 2019)."""

from pathlib import Path

import numpy as np

from refmer.data.clips import Clips
from refmer.data.corpora.tables import collect, data_files, finite, placed, sense_of, step_of, stream_of
from refmer.data.delimited import numbers, read_cells
from refmer.data.labels import Label
from refmer.data.read_clip import existing

TIMES = ("timestamp", "frametime", "time")
SPLITS = {"train": "train", "devel": "devel", "dev": "devel", "test": "test"}


def read(path, *, labels="labels", speaker=None):
    """Read recordings with arousal, valence and liking over time.

    SEWA is asked for at db.sewaproject.eu, with an end user licence for research. Layout: a folder of labels and one folder for
    each stream, with files of the same names (Train_DE_01.csv): columns name;timestamp;arousal;valence;liking, or
    name;frameTime;FEATURE;..., a row per time step (0.1 s). Published in AVEC 2017: 34, 14 and 16 recordings (train, devel, test).

    Parameters
    ----------
    path : path
    labels : str
        Name of the folder of labels; the others are streams of their names.
    speaker : callable, optional
        Function of a recording's name. Default: each recording is its own speaker.

    Returns
    -------
    Clips
        A recording each. Streams by the names of their folders. Labels "affect", a regression over time whose dimensions are
        the columns, and "part" (train, devel, test) where names begin so. A recording without a file of labels, as those of the
        test part, has none. Missing features are 0; a warning counts them.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such folder, or none of its files can be read. Single files that cannot be are named in a warning.
    """
    folder = Path(path).expanduser()
    if not (folder / labels).is_dir():
        raise FileNotFoundError(f"no folder {folder / labels}; accepted: a folder of labels and one for each stream")
    source = f"SEWA, {path}"
    kinds = [f.name for f in sorted(folder.iterdir()) if f.is_dir() and f.name != labels]
    tables = {kind: collect(f"{source}, {kind}", data_files(folder / kind, (".csv",)), rows_of) for kind in (labels, *kinds)}
    names = sorted(set().union(*tables.values()))
    streams = {}
    for kind in kinds:
        features, rate = shared(kind, tables[kind])
        x = dict(zip(tables[kind], finite(f"{source}, {kind}", [t[2] for t in tables[kind].values()]), strict=True))
        parts = [placed(x[name], tables[kind][name][3]) if name in x else () for name in names]
        streams[kind] = stream_of(parts, rate, sense_of(kind), features)
    dimensions, rate = shared(labels, tables[labels])
    values = [np.zeros((0, len(dimensions)))] * len(names)
    for name, (_, _, x, at) in tables[labels].items():
        values[names.index(name)] = np.full((at[-1] + 1, x.shape[1]), np.nan)
        values[names.index(name)][at] = x
    given = {"affect": Label(values, "regression", dimensions, rate)}
    if any(parts := [SPLITS.get(name.split("_")[0].lower(), "") for name in names]):
        given["part"] = Label(parts, names=[part for part in dict.fromkeys(SPLITS.values()) if part in parts])
    return Clips(streams, names, [speaker(name) for name in names] if callable(speaker) else None, given, source=source)


def rows_of(file):
    """Return the names of the columns of a file, its rate, its rows (n, D), and the time step of each."""
    header, rows, separator = read_cells(existing("csv", file), file.name)
    lower = [name.lower() for name in header]
    if (time := next((lower.index(name) for name in TIMES if name in lower), None)) is None:
        raise ValueError(f"{file.name} has the columns {', '.join(header[:5])}; accepted: a column timestamp or frameTime")
    kept = [k for k, name in enumerate(lower) if k != time and name != "name"]
    x = numbers(file.name, [header[k] for k in (time, *kept)], [[row[k] for k in (time, *kept)] for row in rows], separator)
    step, at = step_of(file.name, x[:, 0]) if len(rows) > 1 else (None, None)
    if step is None:
        raise ValueError(f"{file.name} has {len(rows)} rows; accepted: 2 or more")
    return tuple(header[k] for k in kept), round(1 / step, 3), x[:, 1:], at


def shared(kind, tables):
    """Return the names of the columns and the rate of all files of a folder."""
    kinds = {table[:2]: name for name, table in tables.items()}
    if len(kinds) > 1:
        given = "; ".join(f"{name}: {len(names)} columns, {rate:g} Hz" for (names, rate), name in kinds.items())
        raise ValueError(f"the files of {kind} differ ({given}); accepted: the same columns and time steps")
    return next(iter(kinds))
