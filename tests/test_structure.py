"""The rules of the layout are kept: who may import whom, what stands where, and that nothing is there twice or for nothing."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import refmer
from refmer import params
from refmer.count import example
from refmer.ops.twins import kernels
from refmer.systems import BASELINES, SYSTEMS, find

ROOT = Path(refmer.__file__).parent
TOP = ROOT.parent
FILES = sorted(path for path in ROOT.rglob("*.py") if "tutorials" not in path.parts)  # an installed package holds the tutorials
CHECKOUT = pytest.mark.skipif(not (TOP / "pyproject.toml").exists(), reason="needs a checkout")
# what each part may import, besides itself; files directly in refmer/ are parts; later lines may import earlier ones only
LOWER = {
    "choices": set(),
    "text": set(),
    "params": set(),
    "cache": set(),
    "kernels": {"cache"},
    "ops": {"kernels", "choices"},
    "check": {"params", "ops"},
    "layers": {"params", "ops", "choices"},
    "data": {"ops", "choices", "text", "cache"},
    "train": {"params", "ops", "data", "choices"},
    "evaluate": {"ops", "choices"},
    "count": {"params"},
    "systems": {"params", "ops", "layers", "data", "train", "choices"},
    "baselines": {"params", "ops", "layers", "data", "train", "systems", "choices"},
    "int8": {"params", "ops", "layers", "systems", "train", "data", "kernels", "choices"},
}


def imports(path):
    """The full name of every module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_name(path):
    parts = path.relative_to(TOP).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    names = set(imports(path))
    parts = {name.split(".")[1] for name in names if name.startswith("refmer.")} & {
        p.name.removesuffix(".py") for p in ROOT.iterdir()
    }
    if part in LOWER:
        assert parts <= LOWER[part] | {part}, f"{path} imports {sorted(parts - LOWER[part] - {part})}"
    others = {name.split(".")[0] for name in names}
    assert "torch" not in others
    assert "numba" not in others or part in ("kernels", "int8")


def test_no_part_is_below_itself():
    order = list(LOWER)
    for part, lower in LOWER.items():
        assert all(order.index(name) < order.index(part) for name in lower)


def test_no_modules_import_each_other_in_a_circle():
    modules = {module_name(path): path for path in FILES}
    graph = {name: {m for m in imports(path) if m in modules and m != name} for name, path in modules.items()}
    done, path = set(), []

    def visit(name):
        assert name not in path, f"circle: {' > '.join([*path[path.index(name) :], name])}"
        if name not in done:
            path.append(name)
            for other in sorted(graph[name]):
                if other != "refmer" and not name.startswith(f"{other}."):  # a package is imported before what it contains
                    visit(other)
            path.pop()
            done.add(name)

    for name in sorted(graph):
        visit(name)


@pytest.mark.parametrize("path", sorted((ROOT / "ops").glob("*.py")), ids=lambda p: p.stem)
def test_a_backward_follows_its_forward(path):
    names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    for above, name in zip(["", *names], names, strict=False):
        if name.endswith("_backward") and not name.startswith("_"):
            assert above == name.removesuffix("_backward")


@pytest.mark.parametrize("path", sorted((ROOT / "ops").glob("*.py")), ids=lambda p: p.stem)
def test_operations_do_not_ask_for_types(path):
    assert path.stem in ("twins", "contracts") or not re.search(r"\bhasattr\(", path.read_text())


@pytest.mark.parametrize("folder, names", [("systems", SYSTEMS), ("baselines", BASELINES)])
def test_every_system_file_is_registered(folder, names):
    assert {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__", "protocol"} == set(names)


@CHECKOUT
def test_the_readme_lists_every_system_and_every_tutorial():
    text = (TOP / "README.md").read_text()
    for name in SYSTEMS:
        assert f"`refmer/systems/{name}.py`" in text
    readme = text.replace("_", " ").lower()
    for path in (TOP / "tutorials").glob("[0-9][0-9]_*.py"):
        number, _, topic = path.stem.partition("_")
        assert f"{number} {topic}".replace("_", " ").lower() in readme


@CHECKOUT
def test_every_public_function_of_the_core_is_used():
    users = [*FILES, *(TOP / "tutorials").glob("*.py"), *(TOP / "benchmarks").glob("**/*.py")]
    texts = [path.read_text() for path in users if path.relative_to(TOP).parts[1] not in ("proofs", "kernels", "tests")]
    uses = Counter(re.findall(r"\w+", "\n".join(texts)))
    for part in ("ops", "layers", "systems", "baselines", "train"):
        for path in sorted((ROOT / part).glob("*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not node.name.endswith("_backward"):
                    assert uses[node.name] > 1, f"{path}: nothing uses {node.name}"


RIDDLES = re.compile(r"(What|How|Whether|Which|Who|Where|That|Nothing)\b")
WORDS = re.compile(r"\b(so-manieth|befalls?|anew|altogether|besides)\b", re.I)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_docstrings_name_what_they_describe(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text = ast.get_docstring(node) or ""
            assert not RIDDLES.match(text) and not WORDS.search(text), text


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_training_step_enters_at_most_fifteen_files(name):
    system = find(name)
    images = {"sound": (8, 5), "face": (4, 9, 7)} if name == "tlab_jca" else {}  # of one sub-sequence
    config = system.Config.tiny(**images)
    batch = example(system, config)
    p = params.init(system.describe(config), 0)
    g, files = params.zeros_like(p), set()

    def profile(frame, event, arg):
        if event == "call" and frame.f_code.co_filename.startswith(str(ROOT)):
            files.add(Path(frame.f_code.co_filename).relative_to(ROOT).as_posix())

    with kernels(False):
        sys.setprofile(profile)
        try:
            out, backward = system.forward(p, batch, config, np.random.default_rng(0))
            _, _, dout = system.loss(out, batch | truth(out), config)
            backward(dout, g)
        finally:
            sys.setprofile(None)
    files -= {"ops/twins.py", "ops/contracts.py"}  # the switch and the checks
    assert len(files) <= 15, sorted(files)


def truth(out):
    """A target and class counts for any output."""
    if out["logits"].ndim == 3:
        y = np.random.default_rng(1).normal(size=out["logits"].shape).astype(np.float32)
        return {"target": y, "target_mask": np.ones(y.shape[:2], bool)}
    K = out["logits"].shape[-1]
    return {"target": np.eye(K, dtype=np.float32)[:1], "class_count": np.ones(K, np.float32)}


def test_import_loads_numpy_at_most():
    code = "import sys, refmer; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "refmer" in loaded
    assert not {"scipy", "sklearn", "numba", "matplotlib", "tqdm", "joblib", "pandas"} & set(loaded)


def test_type_checkers_see_the_public_names():
    tree = ast.parse((TOP / "refmer/__init__.py").read_text())
    imports = [node for part in tree.body if isinstance(part, ast.If) for node in part.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: node.module.removeprefix("refmer.") for node in imports for alias in node.names}
    assert seen == refmer._HOME and (TOP / "refmer/py.typed").exists()


def test_public_names_resolve_and_others_are_named():
    for name in refmer.__all__:
        assert getattr(refmer, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Recogniser'; public names: Clips"):
        _ = refmer.Recogniser


@CHECKOUT
def test_version_is_in_the_changelog():
    assert re.search(rf"^## {re.escape(refmer.__version__)}", (TOP / "CHANGELOG.md").read_text(), re.M)
