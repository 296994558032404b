"""Numba twins of the slowest operations: same file, function and signature as in refmer.ops (see ops/twins.py).

This is not where to start: read the definitions in refmer/ops first. A kernel computes the same numbers faster. It does not
check its arguments: the contract of the operation does, before the call, and the axes "..." of the contract reach a kernel, and
leave it, as one axis. It differs
from its definition by at most 1e-14 of the largest entry in float64 and 1e-6 in float32, unless it states another "Error". Its
"Gain" is the time of the definition over that of the kernel at sizes of the systems, in float32 on one thread unless stated.

Nothing compiles at import: a kernel compiles at its first call, and its machine code is cached on disk for later processes.
"""

import hashlib
import os
import pickle
import sys
import tempfile
import warnings
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from multiprocessing import parent_process
from pathlib import Path
from pkgutil import iter_modules
from stat import S_ISDIR

import numba
from numba import config
from numba.core import event
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps

from refmer.cache import is_writable, users_folder

HERE = Path(__file__).absolute().parent
njit = partial(numba.njit, error_model="numpy")  # a division by 0 is that of NumPy: Python's check would end the vectors


class Announcer(event.Listener):
    """Print one line on stderr when the first kernel of a process compiles; workers of the process print nothing."""

    printed = False

    def on_start(self, event):
        ours = event.data["dispatcher"].py_func.__module__.startswith("refmer.")
        if ours and not self.printed and parent_process() is None:
            self.printed = True
            line = "refmer: compiling kernels for this machine, once (refmer warm-up does it ahead)"
            print(line, file=sys.stderr, flush=True)

    def on_end(self, event):
        pass


class Code(CompileResultCacheImpl):
    """Compiled code in a file with its SHA-256: damaged code must not run."""

    def reduce(self, result):
        content = dumps(super().reduce(result))
        return hashlib.sha256(content).digest(), content

    def rebuild(self, target_context, entry):
        digest, content = entry
        if hashlib.sha256(content).digest() != digest:
            raise ValueError("its SHA-256 differs")
        return super().rebuild(target_context, pickle.loads(content))


class Cache(FunctionCache):
    """The cached variants of a kernel; an entry that cannot be read or written costs a warning and a compilation."""

    _impl_class = Code

    def load_overload(self, signature, target_context):
        try:
            result = super().load_overload(signature, target_context)
            # two processes that write at once can mix up two variants
            if result is None or result.signature.args == tuple(signature):
                return result
        except Exception:  # whatever pickle makes of damaged bytes
            pass
        warnings.warn(f"the kernel cache {self.cache_path} is damaged: kernels are compiled again", stacklevel=2)
        with suppress(OSError):
            self.flush()

    def save_overload(self, signature, result):
        try:
            super().save_overload(signature, result)
        except OSError as error:
            warnings.warn(f"the kernel cache {self.cache_path} cannot be written ({error.strerror})", stacklevel=2)


@contextmanager
def caching():
    """Cache the code of kernels that are decorated inside the block in `cache_folder()`, or nowhere if that is None."""
    before = config.CACHE_DIR, Dispatcher.enable_caching
    folder = cache_folder()
    # with caching and no folder, numba would raise an error
    Dispatcher.enable_caching = lambda self: folder and setattr(self, "_cache", Cache(self.py_func))
    config.CACHE_DIR = str(folder or "")
    try:
        yield
    finally:
        config.CACHE_DIR, Dispatcher.enable_caching = before


def cache_folder():
    """Return the first writable folder of: NUMBA_CACHE_DIR, beside the kernels, the user's cache, a temporary one; or None.

    Its name is a hash of all kernel files: numba recompiles a kernel when its own file changes, not when an imported one does.
    """
    sources = sorted(HERE.glob("*.py"))
    if not sources:  # not installed as plain files: numba cannot check its cache
        return None
    content = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    for place in (given_folder, lambda: HERE / "__pycache__", users_folder, temporary_folder):
        if (parent := place()) and is_writable(folder := Path(parent, f"refmer-{content}")):
            return folder
    return None


def given_folder():
    """Return NUMBA_CACHE_DIR, or an empty text."""
    return config.CACHE_DIR and os.path.abspath(config.CACHE_DIR)


def temporary_folder():
    """Return a temporary folder private to this user, or None: write access to a cache is enough to run code."""
    user = getattr(os, "getuid", lambda: None)()
    try:
        folder = Path(tempfile.gettempdir(), "refmer" if user is None else f"refmer-{user}")
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    # without user numbers (Windows), every user has an own temporary folder
    private = user is None or (S_ISDIR(status.st_mode) and status.st_uid == user and not status.st_mode & 0o077)
    return folder if private else None


ANNOUNCER = Announcer()
event.register("numba:compile", ANNOUNCER)
with caching():
    for part in iter_modules(__path__):
        import_module(f"{__name__}.{part.name}")
