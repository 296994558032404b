"""Files: written atomically, and checked when they are read."""

import os
import shutil
import tempfile
import zipfile
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

PACKAGE = Path(__file__).resolve().parent.parent
FileName = str | os.PathLike[str]
LARGEST = 4 * 2**30  # bytes that an npz may unfold to


@contextmanager
def replacing(path):
    """Open a binary file that replaces `path` when the block ends; a killed process leaves the old file."""
    path = Path(path).expanduser()
    check_writable(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; accepted: a file")
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as f:
            yield f
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException as error:
        os.unlink(part)
        if isinstance(error, OSError) and error.filename is None:  # a full disk
            error.filename = str(path)
        raise


@contextmanager
def replacing_folder(path):
    """Make a folder that becomes `path`, which must not exist yet, when the block ends; a killed process leaves NAME*.part."""
    path = Path(path).expanduser()
    if path.exists():
        raise FileExistsError(f"{path} exists already; accepted: a folder that does not exist yet")
    check_writable(path)
    part = tempfile.mkdtemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        yield Path(part)
        os.chmod(part, 0o755)
        os.rename(part, path)
    except BaseException:
        shutil.rmtree(part)
        raise


def check_writable(path):
    """Raise OSError before long work whose result could not be written: the folder of `path` is missing or not writable."""
    folder = Path(path).expanduser().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; accepted: a file in a folder that exists")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written")


def write_text(path, text):
    """Write a text file whole or not at all."""
    with replacing(path) as f:
        f.write(text.encode())


def write_npz(path, arrays, compressed=True):
    """Write named arrays to an npz, a path (whole or not at all) or an open file: the same arrays, the same bytes."""
    with nullcontext(path) if hasattr(path, "write") else replacing(path) as f:
        (np.savez_compressed if compressed else np.savez)(f, **arrays)


def read_npz(path, what, largest=LARGEST):
    """Return {name: array} of an npz without pickle, a path or an open file.

    what: the expected file, for errors; largest: bytes it may unfold to.
    """
    is_open = hasattr(path, "read")
    if not is_open and not (path := Path(path).expanduser()).is_file():
        raise FileNotFoundError(f"no file {path}; accepted: {what}")
    try:
        with nullcontext(path) if is_open else open(path, "rb") as f:
            start = f.tell()
            with zipfile.ZipFile(f) as z:
                size = sum(entry.file_size for entry in z.infolist())
            if size > largest:
                raise ValueError(f"it unfolds to {size} bytes, more than {largest}")
            f.seek(start)
            with np.load(f, allow_pickle=False) as z:
                return {name: z[name] for name in z.files}
    except Exception as error:  # a damaged header makes NumPy raise anything, SyntaxError and MemoryError too
        raise ValueError(f"{path} cannot be read ({error}); accepted: {what}") from error


def bundled(inside, beside, name, otherwise=""):
    """Return the folder that holds the file `name`: `inside` of an installed package, or `beside` it in a checkout."""
    places = (PACKAGE / inside, PACKAGE.parent / beside)
    for place in places:
        if (place / name).is_file():
            return place
    raise FileNotFoundError(f"no {inside} in {' or '.join(map(str, places))}; reinstall refmer{otherwise}")
