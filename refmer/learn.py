"""The tutorials: a list of them, and a copy to work in."""

import shutil
from pathlib import Path

from refmer.data.read import bundled

FIRST = "01_one_layer.py"


def tutorials():
    """[(path, title)] in order."""
    folder = bundled("tutorials", "tutorials", FIRST)
    return [(path, path.read_text().splitlines()[1].removeprefix("# # ")) for path in sorted(folder.glob("[0-9][0-9]_*.py"))]


def copy(out):
    """Copy all tutorials into a folder, which is made.

    Raises
    ------
    FileExistsError
        If one of them is there already: somebody may have worked in it.
    """
    out = Path(out)
    there = [path.name for path, _ in tutorials() if (out / path.name).exists()]
    if there:
        raise FileExistsError(f"{out} already holds {there[0]}; accepted: a folder without the tutorials")
    out.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(path, out / path.name)) for path, _ in tutorials()]
