"""Features of openSMILE (Eyben et al. 2010), CSV or ARFF: functionals or low-level descriptors."""

import re
from pathlib import Path

import numpy as np

from refmer.data.corpora.arff import read_arff
from refmer.data.corpora.tables import clips_of_streams, collect, data_files, finite, placed, step_of, stream_of
from refmer.data.delimited import numbers, read_cells
from refmer.data.labels import Label
from refmer.data.read_clip import existing

NAMES = ("name", "file", "filename", "instance_name")  # columns, in lower case
TIMES = ("frametime", "start", "timestamp")
LEFT_OUT = ("end", "frameindex")


def read(path, *, speaker=None, stream="opensmile"):
    """Read functionals (one row per clip) or low-level descriptors (many rows per clip, with their time) of openSMILE.

    openSMILE is free for research (github.com/audeering/opensmile). Its files are CSV, name;frameTime;FEATURE;... (-csvoutput,
    -lldcsvoutput; those of the package for Python have file, start, end), or ARFF (-output, -lldarffoutput), of one clip or of
    many: the column of the name says which. A row without name, or named "unknown", is of the clip after which its file is
    named.

    Parameters
    ----------
    path : path
        A file, or a folder with files at any depth.
    speaker : callable, optional
        Function of a clip's name. Default: each clip is its own speaker.
    stream : str
        Name of the stream.

    Returns
    -------
    Clips
        One stream (voice); a label for each nominal attribute of ARFF files that has values. Missing values ("?") and others
        that are not finite are 0; a warning counts them.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such path, or none of its files can be read. Single files that cannot be are named in a warning.
    """
    source, first = f"openSMILE, {path}", {}

    def read_file(file):
        features, clips, nominal = parts_of(file)
        if features != first.setdefault("features", features):
            raise ValueError(f"{file.name} has other features than the files before it")
        first.setdefault("nominal", nominal)
        return clips

    files = collect(source, data_files(path, (".csv", ".arff")), read_file)
    clips = {name: clip for clips in files.values() for name, clip in clips.items()}
    frames = finite(source, [x for x, *_ in clips.values()])
    steps = [step for _, step, *_ in clips.values() if step]
    rate = round(1 / np.median(steps), 3) if steps else 1.0
    parts = [placed(x, at) for x, (_, _, at, _) in zip(frames, clips.values(), strict=True)]
    labels = {}
    for name, classes in first["nominal"].items():
        values = [cells.get(name, "?") for *_, cells in clips.values()]
        if len(set(values) - {"?"}) > 1:
            labels[name] = Label([None if v == "?" else v for v in values], "classes", classes)
    return clips_of_streams({stream: stream_of(parts, rate, "voice", first["features"])}, clips, speaker, labels, source)


def parts_of(file):
    """Return the names of the features of a file, {clip: (x, step, number of each row, nominal cells)}, {nominal: classes}."""
    separator, nominal = ",", {}
    if file.suffix.lower() == ".arff":
        attributes, rows = read_arff(file)
        header = [name for name, _ in attributes]
        nominal = {name: kind for name, kind in attributes if isinstance(kind, tuple)}
        text = {name for name, kind in attributes if kind != "numeric"}
    else:
        header, rows, separator = read_cells(existing("csv", file), file.name)
        text = set()
    lower = [name.lower() for name in header]
    name, time = (next((lower.index(k) for k in kinds if k in lower), None) for kinds in (NAMES, TIMES))
    empty = {k for k in range(len(header)) if rows and all(row[k] == "?" for row in rows)}  # as a class that nobody gave
    kept = [
        k for k in range(len(header)) if k not in {name, time, *empty} and header[k] not in text and lower[k] not in LEFT_OUT
    ]
    if not kept or not rows:
        raise ValueError(f"{file.name} has {len(rows)} rows of {len(kept)} features; accepted: an output of openSMILE")
    x = numbers(file.name, [header[k] for k in kept], [[row[k] for k in kept] for row in rows], separator)
    owners = np.array([file.stem if name is None else clip_of(row[name], file.stem) for row in rows])
    seconds = np.arange(len(rows)) if time is None else np.array([seconds_of(row[time], separator) for row in rows])
    clips = {}
    for owner in dict.fromkeys(owners.tolist()):
        at = np.flatnonzero(owners == owner)
        cells = {k: rows[at[0]][header.index(k)] for k in nominal}
        clips[owner] = x[at], *step_of(f"{file.name} ({owner})", seconds[at]), cells
    return tuple(header[k] for k in kept), clips, nominal


def clip_of(cell, stem):
    """Return the name of the clip of a row."""
    cell = cell.strip("'\"")
    return stem if cell in ("", "?", "unknown", "noname") else Path(cell.replace("\\", "/")).stem


def seconds_of(cell, separator):
    """Return the seconds of a time, also of "0 days 00:00:01.5"."""
    if match := re.fullmatch(r"(\d+) days (\d+):(\d+):([\d.]+)", cell):
        days, hours, minutes, seconds = map(float, match.groups())
        return ((24 * days + hours) * 60 + minutes) * 60 + seconds
    return float(numbers("time", ["time"], [[cell]], separator)[0, 0])
