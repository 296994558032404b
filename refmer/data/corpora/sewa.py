"""SEWA, and other recordings of the AVEC challenges, with labels over time (Kossaifi et al. 2021; Ringeval et al. 2019)."""

from pathlib import Path

import numpy as np

from refmer.data.clips import Clips
from refmer.data.corpora.tables import collect, data_files, finite, placed, remark, sense_of, shared
from refmer.data.corpora.timed import read_timed
from refmer.data.labels import Label
from refmer.data.read_clip import filled

PARTS = {"train": 34, "devel": 14, "test": 16}  # German recordings of AVEC 2017
PUBLISHED = [f"{part.title()}_DE_{k:02d}" for part, n in PARTS.items() for k in range(1, n + 1)]


def read(path, *, labels="labels", speaker=None):
    """Read recordings with arousal, valence and liking over time.

    SEWA is asked for at db.sewaproject.eu, with an end user licence for research. Layout: a folder of labels and one folder for
    each stream, with files of the same names (Train_DE_01.csv): columns name;timestamp;arousal;valence;liking, or
    name;frameTime;FEATURE;..., a row per time step (0.1 s). Published: 34, 14 and 16 recordings in AVEC 2017.

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
        A recording each. Streams by the names of their folders; missing features are 0, a warning counts them. Labels
        "affect", a regression over time whose dimensions are the columns, and "part" (train, devel, test) where names begin so.

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
    remarks = {f"recordings without {kind}": [name for name in names if name not in tables[kind]] for kind in kinds}
    remark("SEWA", {"recordings of AVEC 2017 missing": [name for name in PUBLISHED if name not in names]} | remarks)
    streams = {}
    for kind in kinds:
        features, rate = shared(kind, tables[kind])
        x = dict(zip(tables[kind], finite(f"{source}, {kind}", [t[2] for t in tables[kind].values()]), strict=True))
        parts = [placed(x[name], tables[kind][name][3]) if name in x else () for name in names]
        streams[kind] = filled(parts, rate, sense_of(kind), features)
    dimensions, rate = shared(labels, tables[labels])
    values = [np.zeros((0, len(dimensions)))] * len(names)
    for name, (_, _, x, at) in tables[labels].items():
        values[names.index(name)] = np.full((at[-1] + 1, x.shape[1]), np.nan)
        values[names.index(name)][at] = x
    given = {"affect": Label(values, "regression", dimensions, rate)}
    if set(parts := [name.split("_")[0].lower() for name in names]) <= set(PARTS):
        given["part"] = Label(parts, names=[part for part in PARTS if part in parts])
    return Clips(streams, names, [speaker(name) for name in names] if callable(speaker) else None, given, source=source)


def rows_of(file):
    """Return the names of the columns of a file, its rate, its rows (n, D), and the time step of each."""
    features, clips, _ = read_timed(file)
    x, step, at, _ = next(iter(clips.values()))
    if step is None or len(clips) > 1:
        raise ValueError(f"{file.name} has no times; accepted: a column timestamp or frameTime, 2 rows or more of one name")
    return features, round(1 / step, 3), x, at
