"""The tutorials run, and each uses only names that it or an earlier one introduces."""

import ast
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "tutorials"
TUTORIALS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
KERNEL = FOLDER.parent / "docs/kernels/how_a_kernel_is_made.py"


@pytest.mark.slow
@pytest.mark.parametrize("path", [*TUTORIALS, KERNEL], ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    env = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, path], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("path", [p for p in TUTORIALS if p.name < "21"], ids=lambda path: path.stem)
def test_it_ends_in_its_exercise(path):
    assert (FOLDER / "exercises" / path.name).exists()
    assert f"exercise file `{path.name}`" in path.read_text().split("# ## On your own\n")[1]


def test_the_numbers_have_no_gap():
    assert [path.name[:2] for path in TUTORIALS] == [f"{n:02}" for n in range(1, len(TUTORIALS) + 1)]


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_it_uses_introduced_names(path):
    earlier, known = (set().union(*map(introduced, paths)) for paths in ([p for p in TUTORIALS if p < path], needed(path)))
    here, uses = introduced(path), used(path)
    assert uses <= known | here, f"not introduced on this page or one that it needs: {sorted(uses - known - here)}"
    assert here <= uses, f"introduced, but not used: {sorted(here - uses)}"
    assert not here & earlier, f"introduced before: {sorted(here & earlier)}"


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_it_has_the_parts_of_a_tutorial(path):
    text = path.read_text()
    assert text.count("\n") >= 100
    for part in ("# **After this page** you can ", "# **Time.** ", "# **You need** ", "# ## On your own\n"):
        assert part in text
    lessons = [int(n) for n in re.findall(r"^ *# Lesson (\d+):", text, re.M)]
    assert lessons == list(range(1, len(lessons) + 1)) and len(lessons) >= 3
    assert {m.split(".")[0] for m in imported(path)} <= ALLOWED.get(path.stem[3:], set()) | {"refmer", "numpy", "matplotlib"}


ALLOWED = {  # the clock, the compiler and the source, where they are the topic; files of one's own
    "auxformer": {"inspect"},
    "fast_kernels": {"time", "math", "numba"},
    "int8_by_hand": {"time"},
    "your_own_clip": {"tempfile", "pathlib", "wave", "csv", "scipy"},
    "your_own_data": {"tempfile", "pathlib", "csv", "sklearn"},
}


def needed(path):
    """Return the tutorials that a page names under "You need", and those that they need."""
    paragraph = re.search(r"^# \*\*You need\*\* (.*?)^(#$|# \*\*|#? *%%)", path.read_text(), re.M | re.S)[1]
    numbers = re.match(r"tutorials? ((?:\d+(?:, | and )?)+)", paragraph)
    direct = [p for p in TUTORIALS if numbers and p.name[:2] in {f"{int(n):02}" for n in re.findall(r"\d+", numbers[1])}]
    assert all(p < path for p in direct), f"{path.stem} needs a later page"
    return {*direct, *(p for d in direct for p in needed(d))}


def introduced(path):
    """Return the names of refmer in the header's list."""
    listed = re.search(r"^# Introduces:(.*?)^#$", path.read_text(), re.M | re.S)
    return set(re.findall(r"`([\w.]+)`", listed[1]))


def imported(path):
    """Yield the imported modules."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def used(path):
    """Return the full names of the functions and classes of refmer that the code uses."""
    tree, alias = ast.parse(path.read_text()), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "refmer":
            alias |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            alias |= {name.asname or name.name: name.name for name in node.names if name.name.split(".")[0] == "refmer"}
    return {name for node in ast.walk(tree) if (name := resolve(node, alias))}


def resolve(node, alias):
    """Return the full name of a name or a chain of attributes, up to the first that is no module."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in alias:
        return None
    name, parts = alias[node.id].split(".")[0], alias[node.id].split(".")[1:] + parts
    value = import_module(name)
    while isinstance(value, ModuleType) and parts:
        name = f"{name}.{parts.pop(0)}"
        value = member(name)
    return None if isinstance(value, ModuleType) and not callable(value) else name


def member(name):
    """Return the value of a full name: an attribute of its parent, or a module that is not yet imported."""
    above, _, last = name.rpartition(".")
    parent = import_module(above)
    return getattr(parent, last) if hasattr(parent, last) else import_module(name)
