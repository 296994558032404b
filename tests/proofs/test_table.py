"""`refmer check`: a table of all proofs; a wrong backward fails, and so does a missing proof."""

import io
import json

import numpy as np
import pytest

from refmer.layers import dense
from refmer.ops import activations, losses, norms, twins
from refmer.proofs import Case, all_cases, basics, table
from refmer.proofs import losses as loss_cases

X = np.random.default_rng(0).normal(size=(2, 3))


def run(monkeypatch, cases, as_json=True, missing=()):
    monkeypatch.setattr(table, "all_cases", lambda: cases)
    monkeypatch.setattr(table, "unproven", lambda cases: list(missing))
    out = io.StringIO()
    status = table.main(as_json, out)
    return status, json.loads(out.getvalue()) if as_json else out.getvalue()


def few():
    return basics.cases() + loss_cases.cases()


def test_rows_have_the_documented_fields_and_pass(monkeypatch):
    status, rows = run(monkeypatch, few())
    assert [row["name"] for row in rows if not row["passed"]] == []
    assert status == 0 and len(rows) == len({(c.kind, c.name) for c in few()})
    for row in rows:
        assert list(row) == ["name", "kind", "parameters", "worst_relative_error", "kernel_error", "passed"]
        assert row["passed"] is True and row["kind"] in table.KINDS and 0 < row["worst_relative_error"] < 1e-12
    linear = next(row for row in rows if (row["kind"], row["name"]) == ("layer", "linear"))
    assert linear["parameters"] == 6 * 7 + 7


def test_the_table_names_every_row_and_counts_them(monkeypatch):
    status, text = run(monkeypatch, few(), as_json=False)
    assert status == 0
    assert {line.split()[0] for line in text.splitlines()[1:-1]} == {case.name for case in few()}
    assert text.splitlines()[-1].startswith(f"{len({(c.kind, c.name) for c in few()})} of ")


def off_by_a_little(dy, y):
    return dy * (1 - y * y) * (1 + 1e-11)


def reversed_sign(dy, c, logp):
    return -losses.log_softmax_backward(-dy * c, logp)


def without_the_mean(dy, z, rstd, gamma):
    dz = dy * gamma
    return rstd * (dz - z * (dz * z).mean(-1, keepdims=True)), (dy * z).sum((0, 1)), dy.sum((0, 1))


def writes_into_dy(dy, y):
    dy *= 1 - y * y
    dy += 0.5
    return dy


WRONG = {
    "sign": (losses, "cross_entropy_backward", reversed_sign, "cross_entropy"),
    "a missing term": (norms, "layer_norm_backward", without_the_mean, "layer_norm"),
    "the last digits": (activations, "tanh_backward", off_by_a_little, "tanh"),
    "a factor": (losses, "mse_backward", lambda dy, error, scale: scale * dy * error, "mse"),
    "a shape": (activations, "glu_backward", lambda dy, a, s: dy * s, "glu"),
    "a transposed gradient": (norms, "l2_normalise_backward", lambda dy, y, r: dy.swapaxes(0, 1), "l2_normalise"),
    "an exception": (activations, "gelu_backward", lambda dy, x, below: dy @ x, "gelu"),
    "nan": (activations, "swish_backward", lambda dy, x, s: dy * np.nan, "swish"),
    "zero": (activations, "log_sigmoid_backward", lambda dy, y: 0 * dy, "log_sigmoid"),
    "the dtype": (activations, "sigmoid_backward", lambda dy, y: dy * y * (1 - y) * np.float64(1), "sigmoid"),
    "writing into dy": (activations, "tanh_backward", writes_into_dy, "tanh"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_broken_backward_fails_and_is_named(monkeypatch, kind):
    module, function, wrong, name = WRONG[kind]
    cases = [case for case in few() if case.kind == "op"]
    monkeypatch.setattr(module, function, wrong)
    status, rows = run(monkeypatch, cases)
    assert status == 1
    failed = {row["name"] for row in rows if not row["passed"]}
    assert name in failed and len(failed) < 4  # the others pass
    status, text = run(monkeypatch, cases, as_json=False)
    assert status == 1 and any(line.startswith(f"FAILED op {name}") for line in text.splitlines())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda back, dy, g: 2 * back(dy, g),
        lambda back, dy, g: (back(dy, g), g.b.__imul__(2))[0],
        lambda back, dy, g: (back(dy, g), g.W.fill(1))[0],
        lambda back, dy, g: back(dy, g).T,
    ],
    ids=["input", "doubles earlier gradients", "overwrites", "transposes"],
)
def test_a_broken_layer_fails_and_is_named(monkeypatch, wrong):
    def broken(p, x):
        y, back = dense.linear(p, x)
        return y, lambda dy, g: wrong(back, dy, g)

    cases = [Case("good", dense.linear, (X,), dense.describe_linear(3, 4))]
    cases.append(Case("broken", broken, (X,), dense.describe_linear(3, 4)))
    status, rows = run(monkeypatch, cases)
    assert status == 1 and [row["name"] for row in rows if not row["passed"]] == ["broken"]


def test_one_bad_variant_fails_the_row(monkeypatch):
    cases = [Case("relu", activations.relu, (X,)), Case("relu", lambda x: 1 / 0, (X,), variant="of zero")]
    status, rows = run(monkeypatch, [cases[0], Case(**{**vars(cases[0]), "inputs": ("text",), "variant": "of text"})])
    assert status == 1 and len(rows) == 1 and rows[0]["worst_relative_error"] < 1e-12
    status, rows = run(monkeypatch, cases)
    assert [(row["kind"], row["passed"], row["worst_relative_error"] is None) for row in rows] == [
        ("op", True, False),
        ("layer", False, True),
    ]


def test_nothing_proven_is_a_failure(monkeypatch):
    assert run(monkeypatch, [])[0] == 1


def test_a_function_without_a_case_fails_and_is_named(monkeypatch):
    cases, missing = [Case("relu", activations.relu, (X,))], [("layer", "layers/dense.py", "frobnicate")]
    status, rows = run(monkeypatch, cases, missing=missing)
    assert status == 1 and [(row["name"], row["kind"], row["passed"]) for row in rows[1:]] == [("frobnicate", "layer", False)]
    status, text = run(monkeypatch, cases, as_json=False, missing=missing)
    assert status == 1 and "FAILED layer frobnicate: no proof case: layers/dense.py: frobnicate" in text.splitlines()


@pytest.mark.parametrize("error", [0.0, 1e-15, 1e-6, np.nan])
@pytest.mark.parametrize("which", ["tanh", "tanh_backward"])
def test_the_kernel_is_compared_with_its_definition(monkeypatch, error, which):
    monkeypatch.setattr(twins, "AVAILABLE", True)
    definition = getattr(activations, which)

    def choose(*args):
        return definition(*args) * (1 + error * twins.kernels_on())

    choose.__module__, choose.__name__, choose.definition = definition.__module__, which, definition
    monkeypatch.setattr(activations, which, choose)
    monkeypatch.setitem(twins.TWINS, f"activations.{which}", definition)
    case = Case("tanh", activations.tanh, (X,))
    status, rows = run(monkeypatch, [case])
    assert status == (0 if error < 1e-12 else 1)
    if np.isfinite(error):
        assert rows[0]["kernel_error"] == pytest.approx(error, rel=1e-3, abs=3e-16)
    monkeypatch.setattr(twins, "AVAILABLE", False)
    assert run(monkeypatch, [case])[1][0]["kernel_error"] is None


def test_at_least_seventy_ops_and_layers_are_proven():
    assert len({(case.kind, case.name) for case in all_cases() if case.kind in ("op", "layer")}) >= 70
