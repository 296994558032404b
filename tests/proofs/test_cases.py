"""Every backward is the derivative of its forward, in every element (systems: along random directions), to 1e-12."""

import pytest

from refmer.check import TOLERANCE
from refmer.proofs import all_cases
from refmer.proofs.required import unproven

CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.label}")
def test_backward_is_the_derivative(case):
    errors = case.errors()
    assert errors
    for path, error in errors.items():
        assert error < TOLERANCE, f"{case.label}: {path} is off by {error:.1e}"


def test_everything_that_has_a_backward_has_a_case():
    assert unproven(CASES) == []


OP = "def frobnicate(x):\n    return x\n\n\ndef frobnicate_backward(dy, y):\n    return dy\n"
LAYER = "def frobnicate(p, x):\n    return x, lambda dy, g: dy\n"
NESTED = "def frobnicate(p, x):\n    def undo(dy, g):\n        return dy\n\n    return x, undo\n"
HANDED_ON = "def frobnicate(p, x):\n    y, back_y = linear(p, x)\n    return y, back_y\n"
DESCRIBED = "def describe_frobnicate():\n    return {}\n\n\ndef frobnicate(p, x):\n    return linear(p, -x)\n"
SYSTEM = "def forward(p, batch, config, rng=None, trace=None):\n    return batch, lambda dout, g: dout\n"
ADDED = [
    ("op", "ops/new.py", OP),
    *(("layer", "layers/new.py", source) for source in (LAYER, NESTED, HANDED_ON, DESCRIBED)),
    ("system", "systems/frobnicate.py", SYSTEM),
    ("baseline", "baselines/frobnicate.py", SYSTEM),
]


@pytest.mark.parametrize("kind, file, source", ADDED)
def test_a_function_without_a_case_is_named(tmp_path, kind, file, source):
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(source)
    assert unproven(CASES, tmp_path) == [(kind, file, "frobnicate")]
    (tmp_path / file).write_text(source.replace("def ", "def _"))
    assert unproven(CASES, tmp_path) == []


def test_a_name_in_two_files_needs_two_cases(tmp_path):
    for file in ("dense", "gate"):
        (tmp_path / "layers").mkdir(exist_ok=True)
        (tmp_path / f"layers/{file}.py").write_text(LAYER.replace("frobnicate", "linear"))
    assert unproven(CASES, tmp_path) == [("layer", f"layers/{file}.py", "linear") for file in ("dense", "gate")]
