"""Cells: the smallest results of an experiment, one JSON file each: a run that is stopped loses nothing it has finished.

A cell is named by a hash of everything its result depends on (system, config, corruption, seed, checksum of the data,
versions).
A report is a function of the sorted cells alone: it holds no times, paths or numbers of jobs.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

import refmer
from refmer.data.clips import Stream
from refmer.data.files import write_text

VERSIONS = {"refmer": refmer.__version__} | {name: version(name) for name in ("numpy", "scipy", "numba", "scikit-learn")}


def checksum(clips):
    """SHA-256 over all streams and labels of clips, 16 hexadecimal digits."""
    digest = hashlib.sha256()

    def add(name, value):
        if isinstance(value, Stream):
            add(name + ".x", value.x)
            add(name + ".mask", value.mask)
        elif isinstance(value, dict):
            for key in sorted(value):
                add(f"{name}.{key}", value[key])
        elif isinstance(value, np.ndarray):
            digest.update(f"{name}{value.dtype}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())

    add("", vars(clips))
    return digest.hexdigest()[:16]


def path_of(folder, cell):
    """The file of a cell: `cell` is a dict of what its result depends on."""
    text = json.dumps(cell | {"versions": VERSIONS}, sort_keys=True)
    return Path(folder) / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.json"


def read(folder, cell):
    """The result of a cell, or None if it has none yet."""
    try:
        return json.loads(path_of(folder, cell).read_text())["result"]
    except FileNotFoundError:
        return None


def write(folder, cell, result):
    """Keep the result of a cell."""
    write_text(path_of(folder, cell), dump({"cell": cell, "versions": VERSIONS, "result": result}))


def dump(value):
    """JSON with sorted keys: the same value, the same bytes."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
