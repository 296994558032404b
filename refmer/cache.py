"""The user's cache folder, for compiled kernels and for corpora that were made."""

import os
import tempfile


def users_folder():
    """Return REFMER_CACHE, else the cache folder of the platform's user, or None."""
    if own := os.environ.get("REFMER_CACHE"):
        return os.path.abspath(own)
    folder = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/.cache")
    return folder if os.path.isabs(folder) else None  # no home: "~" stays


def is_writable(folder):
    """Make a folder; return True if a file can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True
