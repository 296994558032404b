"""The rules of the house (who may import whom) are kept."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import refmer

ROOT = Path(refmer.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# what each part may import, besides itself; files directly in refmer/ are parts of their own
LOWER = {
    "ops": {"kernels"},
    "kernels": set(),
    "params": set(),
    "choices": set(),
    "count": {"params"},
    "check": {"params", "ops"},
    "layers": {"params", "ops", "choices"},
    "data": {"ops", "choices"},
    "train": {"params", "ops", "data", "choices"},
    "evaluate": {"ops", "choices"},
    "systems": {"params", "ops", "layers", "data", "train", "baselines", "choices"},
    "baselines": {"params", "ops", "layers", "data", "train", "systems", "choices"},
    "int8": {"params", "choices", "ops", "layers", "systems", "baselines", "train", "data", "evaluate", "kernels"},
}


def imports(path):
    """Every imported module of a file, `refmer` itself left out."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ([f"refmer.{alias.name}" for alias in node.names] if node.module == "refmer" else [node.module])


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    found = {name.split(".")[1] for name in imports(path) if name.startswith("refmer.")}
    if part in LOWER:
        assert found <= LOWER[part] | {part}, f"{path} imports {sorted(found - LOWER[part] - {part})}"
    others = {name.split(".")[0] for name in imports(path)}
    assert "torch" not in others or False
    assert "numba" not in others or part in ("kernels", "int8", "tutorials")  # an installed package holds the tutorials


@pytest.mark.parametrize("path", sorted((ROOT / "ops").glob("*.py")), ids=lambda p: p.stem)
def test_a_backward_stands_under_its_forward(path):
    names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    for above, name in zip(["", *names], names, strict=False):
        if name.endswith("_backward") and not name.startswith("_"):
            assert above == name.removesuffix("_backward")


def test_import_loads_numpy_at_most():
    code = "import sys, refmer; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "refmer" in loaded
    assert not {"scipy", "sklearn", "numba", "matplotlib", "tqdm", "joblib", "pandas"} & set(loaded)


def test_public_names_resolve_and_others_are_named():
    for name in refmer.__all__:
        assert getattr(refmer, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Recogniser'; public names: Clips"):
        _ = refmer.Recogniser


def test_version_is_in_the_changelog():
    changelog = ROOT.parent / "CHANGELOG.md"
    if changelog.exists():  # not beside an installed package
        assert re.search(rf"^## {re.escape(refmer.__version__)}", changelog.read_text(), re.M)
