"""Executed notebooks of percent scripts, each in a kernel of its own, several at a time."""

import hashlib
import tempfile

import nbformat
from joblib import Parallel, delayed
from nbclient import NotebookClient

from refmer.notebooks import notebook


def executed(scripts, cache, basis):
    """Return {name: executed notebook} of {name: script}; kept in the folder `cache` until a script or `basis` changes."""
    cache.mkdir(parents=True, exist_ok=True)
    kept = {
        name: cache / f"{hashlib.sha256((basis + script).encode()).hexdigest()[:32]}.ipynb" for name, script in scripts.items()
    }
    new = [name for name in scripts if not kept[name].exists()]
    for name, text in zip(new, Parallel(-1)(delayed(execute)(scripts[name]) for name in new), strict=True):
        kept[name].write_text(text, "utf-8")
    for path in set(cache.iterdir()) - set(kept.values()):
        path.unlink()
    return {name: path.read_text("utf-8") for name, path in kept.items()}


def execute(script):
    """Return a percent script as an executed notebook; one that raises, raises here."""
    cells = nbformat.reads(notebook(script), as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(cells, timeout=3600, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    return nbformat.writes(cells)
