"""Clips in a folder of .npy files, whose streams stay on disk: for corpora larger than memory."""

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.lib.mixins import NDArrayOperatorsMixin

from refmer.data.clips import Clips, Stream
from refmer.data.files import FileName, replacing_folder
from refmer.data.labels import Label

FORMAT = "refmer clips folder 2"
INDEX = "clips.json"
LARGEST_INDEX = 2**20  # bytes
WHAT = "a folder written by refmer.save_folder"


class Rows(NDArrayOperatorsMixin):
    """Rows of an array on disk. Indexing rows reads nothing; np.asarray and all other operations of arrays read them.

    Parameters
    ----------
    array : np.memmap (N, ...)
    index : int array (n,), optional
        Indices of the rows; default: all.
    """

    def __init__(self, array, index=None):
        self.array = array
        self.index = np.arange(len(array)) if index is None else index

    shape = property(lambda self: self.index.shape + self.array.shape[1:])
    ndim = property(lambda self: self.array.ndim)
    dtype = property(lambda self: self.array.dtype)

    def __len__(self):
        return len(self.index)

    def __repr__(self):
        return f"Rows({self.shape} {self.dtype} of {self.array.filename})"

    def __getitem__(self, index):
        if isinstance(index, tuple) or np.ndim(index) > 1:  # more than rows
            return np.asarray(self)[index]
        rows = self.index[index]
        return Rows(self.array, rows) if np.ndim(rows) else np.array(self.array[rows])

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("rows on disk cannot be read without a copy")
        return np.array(self.array[self.index], dtype=dtype, subok=False)

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return getattr(ufunc, method)(*(np.asarray(x) if isinstance(x, Rows) else x for x in inputs), **options)

    def __getattr__(self, name):
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(f"rows on disk have no {name}")
        return getattr(np.asarray(self), name)


def save_folder(clips: Clips, path: FileName) -> None:
    """Write clips to a new folder, whole or not at all; `refmer.load_folder` reads it.

    Parameters
    ----------
    clips : Clips or iterable of Clips
        An iterable, for example a generator, is written part by part: memory holds one part at a time. The parts have the same
        labels and streams (shapes except for the number of clips, rates, senses). `Clips.raw` is not saved.
    path : str or path
        A folder that does not exist yet.

    Raises
    ------
    FileExistsError
        If `path` exists.
    ValueError
        If no clips are given, parts differ, or a stream's name is not an identifier.
    OSError
        If the folder cannot be written.
    """
    meta, files, labels, n = None, {}, {}, 0
    with replacing_folder(path) as folder, ExitStack() as stack:
        for part in [clips] if isinstance(clips, Clips) else clips:
            meta = meta or describe(part)
            if describe(part) != meta:
                raise ValueError(f"a part is {part!r}; accepted: all parts like the first")
            for name, x in stream_files(part).items():
                if name not in files:
                    files[name] = stack.enter_context(open(folder / f"{name}.npy", "wb"))
                    write_header(files[name], x, 0)
                for rows in chunks(x):
                    np.ascontiguousarray(x[rows]).tofile(files[name])
            for name, x in label_files(part).items():
                labels.setdefault(name, []).append(x)
            n += len(part)
        if n == 0:
            raise ValueError("no clips to save; accepted: at least one")
        for name, x in stream_files(part).items():
            files[name].seek(0)
            write_header(files[name], x, n)  # as long as before: NumPy leaves room for the first axis to grow
        for name, parts in labels.items():
            np.save(folder / f"{name}.npy", np.concatenate(parts), allow_pickle=False)
        (folder / INDEX).write_text(json.dumps(meta, indent=1))


def load_folder(path: FileName) -> Clips:
    """Load clips from a folder: labels into memory, streams stay on disk until their rows are read.

    `Recognizer.fit` reads them a mini-batch at a time (and all of them once, in chunks, for mean and sd), `predict` in chunks;
    split and indexing by clips read nothing. Everything else converts them to arrays with np.asarray(stream.x).

    Parameters
    ----------
    path : str or path
        A folder that `refmer.save_folder` wrote.

    Returns
    -------
    Clips
        Features are checked to be finite when they are read.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If a file of it is missing, truncated or foreign, or its parts do not fit together.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        raise FileNotFoundError(f"no folder {path}; accepted: {WHAT}")
    try:
        if (path / INDEX).stat().st_size > LARGEST_INDEX:
            raise ValueError(f"{INDEX} has more than {LARGEST_INDEX} bytes")
        meta = json.loads((path / INDEX).read_text())
        if meta["format"] != FORMAT:
            raise ValueError(f"its format is {meta['format']!r}")
        check_names([*meta["streams"], *meta["truth"], *meta["labels"]])
        return Clips(
            {name: read_stream(path, f"stream-{name}", about) for name, about in meta["streams"].items()},
            *(np.array(mapped(path, name)) for name in ("name", "speaker")),
            {name: read_label(path, name, **about) for name, about in meta["labels"].items()},
            {name: np.array(mapped(path, f"truth-{name}")) for name in meta["truth"]},
            str(meta["source"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError, OSError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read ({type(error).__name__}: {error}); accepted: {WHAT}") from error


def describe(clips):
    """Return the properties that all parts of a corpus share, as JSON stores them."""
    check_names([*clips.streams, *clips.truth, *clips.labels])
    return {
        "format": FORMAT,
        "source": clips.source,
        "labels": {name: label.describe() for name, label in clips.labels.items()},
        "truth": list(clips.truth),
        "streams": {name: describe_stream(s) for name, s in clips.streams.items()},
    }


def describe_stream(stream):
    about = {"rate": float(stream.rate), "sense": stream.sense, "features": list(stream.features)}
    return about | {"shape": list(stream.x.shape[1:]), "dtype": stream.x.dtype.str}


def check_names(names):
    """Raise ValueError for a name that is not safe as the name of a file."""
    for name in names:
        if not name.isidentifier():
            raise ValueError(f"a stream, label or truth is called {name!r}; accepted: letters, digits and _")


def label_files(clips):
    """Return {name of a file: array} of the labels and the truth."""
    files = {"name": clips.name, "speaker": clips.speaker} | {f"truth-{name}": x for name, x in clips.truth.items()}
    for name, label in clips.labels.items():
        files |= {f"label-{name}": label.values} | ({f"label-{name}-mask": label.mask} if label.over_time else {})
    return files


def stream_files(clips):
    """Return {name of a file: array or Rows} of all streams."""
    return {f"stream-{name}{key}": x for name, s in clips.streams.items() for key, x in (("", s.x), ("-mask", s.mask))}


def chunks(x, numbers=2**20):
    """Return slices of rows that together cover x, each with about `numbers` numbers."""
    step = max(1, numbers // max(1, int(np.prod(x.shape[1:]))))
    return (slice(start, start + step) for start in range(0, len(x), step))


def write_header(file, x, n):
    """Write the header of an .npy file of n rows like those of x."""
    npy.write_array_header_1_0(file, {"descr": npy.dtype_to_descr(x.dtype), "fortran_order": False, "shape": (n, *x.shape[1:])})


def mapped(path, name):
    """Return the array of a file, read-only and on disk. Refuses pickles and files shorter than their header."""
    try:
        return npy.open_memmap(path / f"{name}.npy", mode="r")
    except (ValueError, OSError) as error:
        raise ValueError(f"{name}.npy: {error}") from error


def read_label(path, name, kind, names, rate):
    values, mask = (
        None if key is None else np.array(mapped(path, key)) for key in (f"label-{name}", rate and f"label-{name}-mask")
    )
    return Label(values, kind, tuple(names), rate, mask)


def read_stream(path, name, about):
    x, mask = (Rows(mapped(path, file)) for file in (name, f"{name}-mask"))
    stream = Stream(x, float(about["rate"]), mask, about["sense"], tuple(about["features"]))
    if describe_stream(stream) != about:
        raise ValueError(f"{name}.npy is {x.dtype} {x.shape}; {INDEX} says {about['dtype']} {about['shape']}")
    return stream
