"""Rows of features with the name of their clip and their time, as openSMILE and the AVEC challenges write them."""

import re
from pathlib import Path

import numpy as np

from refmer.data.corpora.arff import read_arff
from refmer.data.corpora.tables import step_of
from refmer.data.delimited import numbers, read_cells
from refmer.data.read_clip import existing

NAMES = ("name", "file", "filename", "instance_name")  # columns, in lower case
TIMES = ("frametime", "timestamp", "time", "start")
LEFT_OUT = ("end", "frameindex")


def read_timed(file):
    """Read the rows of clips from a CSV or ARFF with a column for the clip, one for the time, or neither.

    Returns
    -------
    features : tuple of str
        Names of the D columns of numbers.
    clips : dict
        Name to (x (n, D), time step in seconds or None, number of the time step of each row, {nominal: cell of the first row}).
    nominal : dict
        Classes of the nominal attributes.
    """
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
        raise ValueError(f"{file.name} has {len(rows)} rows of {len(kept)} features; accepted: at least one of each")
    x = numbers(file.name, [header[k] for k in kept], [[row[k] for k in kept] for row in rows], separator)
    owners = np.array([file.stem if name is None else clip_of(row[name], file.stem) for row in rows])
    seconds = np.arange(len(rows)) if time is None else np.array([seconds_of(row[time], separator) for row in rows])
    clips = {}
    for owner in dict.fromkeys(owners.tolist()):
        at = np.flatnonzero(owners == owner)
        cells = {k: rows[at[0]][header.index(k)] for k in nominal}
        step, places = step_of(f"{file.name} ({owner})", seconds[at])
        clips[owner] = x[at], step if time is not None else None, places, cells
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
