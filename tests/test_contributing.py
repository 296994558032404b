"""Each list of CONTRIBUTING.md, followed in a temporary copy: a check fails until its last step is done."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (TOP / "CONTRIBUTING.md").exists(), reason="needs a checkout"),
]


def append(path, text):
    """A step: add lines to the end of a file."""
    return lambda copy: (copy / path).write_text((copy / path).read_text() + text if (copy / path).exists() else text)


def replace(path, old, new):
    """A step: replace text that stands in a file once."""

    def step(copy):
        text = (copy / path).read_text()
        assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
        (copy / path).write_text(text.replace(old, new))

    return step


def steps(*several):
    """One step made of several edits."""
    return lambda copy: [step(copy) for step in several]


def again(path):
    """A step: copy a file under the name of a new tutorial."""

    def step(copy):
        new = path.replace("01_one_layer", "24_new").replace("one_layer", "new")
        (copy / new).write_text((copy / path).read_text().replace("01_one_layer.py", "24_new.py"))

    return step


CUBE = '''

def cube(x):
    """y = x^3."""
    return x * x * x, x


def cube_backward(dy, x):
    return 3 * dy * x * x
'''
QUARTIC = '''

@contract("prediction (N, D), target (N, D) -> L (), slope (N, D)")
def quartic(prediction, target):
    """L = mean (prediction - target)^4, and its slope."""
    error = prediction - target
    return (error**4).mean(), 4 * error**3 / error.size


@contract("dy () number or number, slope (N, D) -> dx (N, D)")
def quartic_backward(dy, slope):
    return dy * slope
'''
CASE = '''"""The proof of what is new."""

import numpy as np

from refmer.ops import {module}
from refmer.proofs import Case

X = np.random.default_rng(0).normal(size=(2, 3))


def cases():
    return [Case("{name}", {module}.{name}, {inputs}, kind="op")]
'''
KERNEL = '''

@kernel
def log_sigmoid(x):
    """Gain 1.0."""
    return x
'''
SYSTEM_CASE = '''"""The proof of what is new."""

from refmer.proofs.systems import K, system_cases, vectors
from refmer.systems import sixth


def cases():
    config = sixth.Config(visual=7, audio=3, text=2, classes=K, hidden=6)
    return system_cases("sixth", config, [{}], vectors())
'''
STRUCTURE = "tests/test_structure.py"
PROOFS = "tests/proofs/test_cases.py"
FIRST = "tutorials/01_one_layer.py"
RULES = "follows or registered or lists or used"  # of the structure
LISTS = {  # section: (files of tests that check it, names of these tests, steps)
    "An operation": (
        [STRUCTURE, PROOFS, "tests/ops/test_contracts.py"],
        f"{RULES} or has_a_case or cube or quartic or in_its_documentation",
        [
            append("refmer/ops/activations.py", CUBE),
            steps(
                replace("refmer/ops/activations.py", "def cube(", '@contract("x (...) -> y (...)")\ndef cube('),
                replace(
                    "refmer/ops/activations.py",
                    "def cube_backward(",
                    '@contract("x (...), dy (...) -> dx (...)")\ndef cube_backward(',
                ),
            ),
            append("refmer/proofs/new.py", CASE.format(module="activations", name="cube", inputs="(X,)")),
            append(
                "refmer/layers/gate.py",
                "\n\ndef _cubic(x):\n    from refmer.ops.activations import cube\n\n    return cube(x)\n",
            ),
        ],
    ),
    "A loss": (
        [STRUCTURE, PROOFS, "tests/ops/test_contracts.py"],
        f"{RULES} or has_a_case or cube or quartic or in_its_documentation",
        [
            append("refmer/ops/losses.py", QUARTIC),
            append(
                "refmer/proofs/new.py",
                CASE.format(module="losses", name="quartic", inputs="(X,)").replace(
                    'kind="op"', 'options={"target": X + 1}, kind="op"'
                ),
            ),
            replace(
                "refmer/systems/raver.py",
                "LOSSES = {\n",
                'LOSSES = {\n    "quartic": (losses.quartic, losses.quartic_backward),\n',
            ),
        ],
    ),
    "A kernel": (
        ["tests/kernels/test_twins.py"],
        "every_kernel",
        [
            replace(
                "refmer/ops/activations.py",
                '@contract("x (...) -> y (...)")\ndef log_sigmoid(x):',
                '@twin("x (...) -> y (...)")\ndef log_sigmoid(x):',
            ),
            append("refmer/kernels/activations.py", KERNEL),
            replace(
                "tests/kernels/arguments.py",
                "\nARGUMENTS = {\n",
                '\nARGUMENTS = {\n    "activations.log_sigmoid": lambda rng, dtype, n: [rng.normal(size=n).astype(dtype)],\n',
            ),
        ],
    ),
    "A system or a baseline": (
        [STRUCTURE, PROOFS, "tests/experiments/test_sizes.py", "tests/experiments/test_ablate.py"],
        f"{RULES} or has_a_case or sixth or formulas or every_rung",
        [
            lambda copy: (copy / "refmer/systems/sixth.py").write_text(
                (copy / "refmer/baselines/concatenation.py").read_text().replace('{"concatenation": ', '{"sixth": ')
            ),
            replace("refmer/systems/__init__.py", "auxformer tlab_jca raver", "auxformer tlab_jca raver sixth"),
            append("refmer/proofs/sixth.py", SYSTEM_CASE),
            replace("tests/experiments/test_sizes.py", "TABLE = {\n", 'TABLE = {\n    "sixth": (140_167, 140_032, 565_556),\n'),
            steps(
                append("README.md", "\n`refmer/systems/sixth.py`\n"),
                replace("refmer/experiments/ablate.py", "RUNGS = {", 'RUNGS = {"sixth": {"full": Rung("whole", {}, 0.5)},'),
            ),
        ],
    ),
    "An exercise": (
        ["tests/exercises/test_topics.py"],
        "new or one_layer",
        [
            steps(again(FIRST), again("tutorials/exercises/01_one_layer.py")),
            again("refmer/exercises/topics/one_layer.py"),
            again("tests/exercises/solutions/01_one_layer.py"),
        ],
    ),
    "A tutorial": (
        [STRUCTURE, "tests/test_tutorials.py"],
        "lists or parts or introduced or gap",
        [
            lambda copy: (copy / "tutorials/24_new.py").write_text(
                re.sub(r"^# Introduces:.*?^#$", "# Introduces:\n#", (copy / FIRST).read_text(), flags=re.M | re.S).replace(
                    "**You need** NumPy", "**You need** tutorial 1: NumPy"
                )
            ),
            append("README.md", "\n24 new\n"),
        ],
    ),
}


@pytest.fixture
def copy(tmp_path):
    """A copy of the checkout."""
    for name in ("refmer", "tests", "tutorials", "benchmarks", "data_samples"):
        shutil.copytree(TOP / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml"):
        shutil.copy(TOP / name, tmp_path / name)
    return tmp_path


def checks(copy, tests, names):
    """Return the end of pytest's output on the checks of the copy, and whether they passed."""
    env = os.environ | {"PYTHONPATH": str(copy), "REFMER_KERNELS": "1" if "kernels" in tests[0] else "0"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", "-k", names, *tests]
    done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True)
    return done.stdout[-3000:], done.returncode == 0


@pytest.mark.parametrize("section", LISTS)
def test_the_checks_fail_until_the_list_is_done(copy, section):
    tests, names, todo = LISTS[section]
    text = re.search(rf"^## {section}$(.*?)(?=^## )", (TOP / "CONTRIBUTING.md").read_text(), re.M | re.S)[1]
    assert len(re.findall(r"^\d\. ", text, re.M)) == len(todo)
    output, passed = checks(copy, tests, names)
    assert passed, output
    for i, step in enumerate(todo, 1):
        step(copy)
        output, passed = checks(copy, tests, names)
        assert passed == (i == len(todo)), f"after step {i}:\n{output}"
