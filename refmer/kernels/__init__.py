"""Numba twins of hot operations: same file name, same function, same signature as in refmer.ops (see ops/twins.py).

Each states its oracle, its error bound and its measured gain. Nothing compiles at import; compiled code is cached on disk, and
the first kernel that really compiles says so on stderr.
"""

import hashlib
import os
import sys
import tempfile
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import parent_process
from pathlib import Path
from pkgutil import iter_modules
from stat import S_ISDIR

from numba import config
from numba.core import event
from numba.core.dispatcher import Dispatcher

HERE = Path(__file__).absolute().parent


class Announcer(event.Listener):
    """One line in a process, none in the workers that it starts: they would say it once each."""

    said = False

    def on_start(self, event):
        ours = event.data["dispatcher"].py_func.__module__.startswith("refmer.")
        if ours and not self.said and parent_process() is None:
            self.said = True
            line = "refmer: compiling kernels for this machine, once (refmer warm-up does it ahead)"
            print(line, file=sys.stderr, flush=True)

    def on_end(self, event):
        pass


@contextmanager
def caching():
    """Kernels that are decorated inside keep their compiled code in `cache_folder`; where there is none, they keep nothing."""
    before = config.CACHE_DIR, Dispatcher.enable_caching
    folder = cache_folder()
    if folder is None:  # numba would refuse to decorate
        Dispatcher.enable_caching = lambda self: None
    else:
        config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        config.CACHE_DIR, Dispatcher.enable_caching = before


def cache_folder():
    """A folder for compiled code that can be written, or None: beside the kernels, the user's, or a temporary one.

    It is named by the content of all kernels: numba notices a change in the file of a kernel, not in those it takes code from.
    """
    sources = sorted(HERE.glob("*.py"))
    if not sources:  # not installed as plain files: numba has nothing to compare its cache with
        return None
    content = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    for place in (asked_folder, beside, users_folder, temporary_folder):
        if (folder := place()) and is_writable(found := Path(folder, f"refmer-{content}")):
            return found
    return None


def asked_folder():
    """NUMBA_CACHE_DIR."""
    return config.CACHE_DIR and os.path.abspath(config.CACHE_DIR)


def beside():
    return HERE / "__pycache__"


def users_folder():
    """The user's folder for such things, or None."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/.cache")
    return folder if os.path.isabs(folder) else None  # no home: "~" stays


def is_writable(folder):
    """Whether a file can be made in a folder, which is made too."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def temporary_folder():
    """A folder of this user alone among the temporary files, or None: who can write into a cache can run code."""
    user = getattr(os, "getuid", lambda: None)()
    try:
        folder = Path(tempfile.gettempdir(), "refmer" if user is None else f"refmer-{user}")
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    # where there are no user numbers (Windows), every user has temporary files of their own
    private = user is None or (S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o077)
    return folder if private else None


ANNOUNCER = Announcer()
event.register("numba:compile", ANNOUNCER)
with caching():
    for part in iter_modules(__path__):
        import_module(f"{__name__}.{part.name}")
