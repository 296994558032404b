"""Contracts of operations, the errors that they raise, and the checks of closures."""

import ast
import inspect
import pickle
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from error_table import errors
from hypothesis import given, settings
from hypothesis import strategies as st

import refmer.ops
from refmer import params
from refmer.ops.activations import relu, softmax_rows
from refmer.ops.attention import attend, split_heads
from refmer.ops.contracts import ARRAY, Contract, contract
from refmer.ops.convolution import conv1d, conv1d_backward
from refmer.ops.dense import dropout, linear, linear_backward
from refmer.ops.losses import ccc, cross_entropy
from refmer.ops.optimizers import clip_norm
from refmer.ops.recurrent import lstm
from refmer.ops.twins import kernels
from refmer.proofs import all_cases, moved
from refmer.proofs.arguments import draw
from refmer.proofs.required import ROOT, required

OWN_CHECKS = {"outer_with_ones", "outer_with_ones_backward"}  # any number of parts
OPERATIONS = {
    f"{path.stem}.{name}": function
    for path in sorted(Path(refmer.ops.__path__[0]).glob("*.py"))
    for name, function in vars(import_module(f"refmer.ops.{path.stem}")).items()
    if hasattr(function, "contract") and function.__module__ == f"refmer.ops.{path.stem}"
}


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def recurrence(W=(34, 8), x=(3, 4, 34), mask=None, **options):
    return lstm(ones(*x), ones(*W), ones(8), ones(2, 8), ones(3, 2), ones(3, 2), mask, **options)


test_a_broken_contract_names_argument_given_and_expected = errors(
    (lambda: recurrence(W=(31, 8)), r"^lstm: W has shape \(31, 8\); expected \(D, 4H\) = \(34, 8\)$"),
    (lambda: recurrence(x=(3, 34)), r"^lstm: x has shape \(3, 34\); expected \(B, T, D\)$"),
    (lambda: recurrence(x=(3, 0, 34)), r"^lstm: x has shape \(3, 0, 34\); .* where T >= 1$"),
    (lambda: recurrence(mask=ones(3, 4)), r"^lstm: mask has dtype float32; expected bool, shape \(B, T\) or None$"),
    (lambda: recurrence(reverse=None), "^lstm: reverse is None; expected bool$"),
    (lambda: linear([[1, 2]], ones(2, 3), ones(3)), r"^linear: x is list; expected an array \(..., D\)$"),
    (lambda: linear(ones(2, 5), ones(5, 3), ones(4)), r"^linear: b has shape \(4,\); expected \(E\) = \(3\) or number$"),
    (lambda: linear(ones(2, 5, dtype=int), ones(5, 3), ones(3)), "^linear: x has dtype int64; expected floating"),
    (lambda: linear_backward(ones(9, 3), ones(2, 5), ones(5, 3)), r"^linear_backward: dy has shape \(9, 3\); .* \(2, 3\)$"),
    (lambda: split_heads(ones(2, 3, 6), 4), r"x has shape \(2, 3, 6\); expected .* = \(2, 3, 4\) where heads = 4$"),
    (lambda: attend(*[ones(2, 5, 6)] * 3, 2, "a"), r"^attend: c is str; expected an array .* or number"),
    (lambda: attend(*[ones(2, 5, 6)] * 3, 2, 0.5, rate=1.5), "^attend: rate is 1.5; expected float from 0 below 1$"),
    (
        lambda: attend(*[ones(2, 5, 6)] * 3, 2, 0.5, ones(3, 1, 1, 5, dtype=bool)),
        r"mask has shape .* \(2 or 1, 2 or 1, 5 or 1, 5 or 1\)",
    ),
    (lambda: conv1d(ones(2, 3, 4), ones(20, 6), ones(6), None, 5, 1, 1, 0, 0), r"x has shape \(2, 3, 4\); .* where S >= 1"),
    (lambda: softmax_rows(ones(5, 3), ones(2, 3, dtype=bool)), "x has shape .* where mask is None or"),
    (lambda: ccc(ones(3, 2), ones(3, 2), ddof=2), "^ccc: ddof is 2; expected int from 0 to 1$"),
    (lambda: cross_entropy(ones(2, 3), ones(2, 3), ones(3)[None]), r"weight has shape \(1, 3\); expected \(K\) = \(3\)"),
    (lambda: dropout(ones(3), 0, np.nan), "^dropout: rate is nan; expected float from 0 below 1$"),
    (lambda: clip_norm(np.broadcast_to(1.0, 3), 1), "^clip_norm: grad is read-only; expected an array that can be written"),
    (lambda: relu(2.0), r"^relu: x is float; expected an array \(...\)$"),
)


def test_a_derived_size_is_the_length_of_the_output():
    y, *saved = conv1d(ones(2, 9, 4), ones(12, 6), ones(6), None, 3, 2, 1, 1, 1)
    with pytest.raises(ValueError, match=r"dy has shape \(2, 9, 6\); expected \(B, S, E\) = \(2, 5, 6\)"):
        conv1d_backward(ones(2, 9, 6), *saved)
    assert y.shape == (2, 5, 6)


def test_wrong_calls_are_type_errors_of_the_function():
    with pytest.raises(TypeError, match=r"linear\(\) missing 1 required positional argument: 'b'"):
        linear(ones(2, 3), ones(3, 4))


@pytest.mark.parametrize("text", ["x (B", "y (B)", "x (B) strings", "x (B) -> y (B) where C > 0"])
def test_a_contract_that_cannot_be_read_is_an_error_at_import(text):
    with pytest.raises((TypeError, AssertionError)):
        contract(text)(lambda x: x)


def test_every_operation_with_a_backward_has_a_contract_in_its_documentation():
    for kind, path, name in required(ROOT):
        for label in (name, f"{name}_backward") if kind == "op" else ():
            if label not in OWN_CHECKS:
                function = OPERATIONS[f"{path.stem}.{label}"]
                assert function.contract.text in function.__doc__
                pickle.dumps(function)


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"convolution.windows_backward"}))  # it needs the index of windows
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_an_operation_returns_the_shapes_of_its_contract(name, seed):
    f = OPERATIONS[name]
    values = draw(f.contract, np.random.default_rng(seed))
    with kernels(False), np.errstate(all="ignore"):
        result = f(**values)
    left, _, right = f.contract.text.partition(" -> ")
    outputs, _, where = right.partition(" where ")
    terms = [part for part in outputs.replace("), ", ");").replace("bool, ", "bool;").split(";") if ARRAY.fullmatch(part)]
    terms = [f"result{i} {term[term.index('(') :]}" for i, term in enumerate(terms)]
    results = dict(
        zip((f"result{i}" for i in range(len(terms))), result if isinstance(result, tuple) else (result,), strict=False)
    )

    def probe():
        """Stand for a function of the arguments and the results."""

    parameters = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in (*f.contract.parameters, *results)]
    probe.__signature__ = inspect.Signature(parameters)
    text = f"{', '.join([left, *terms])} -> y where {where}"
    defaults = {n: p.default for n, p in f.contract.parameters.items()}
    Contract(probe, text).check(**defaults | values | results)


# closures
LAYERS = [(kind, path, name) for kind, path, name in required(ROOT) if kind != "op"]


def test_every_layer_and_system_checks_the_gradient_that_it_receives():
    for kind, path, name in LAYERS:
        label = name if kind == "layer" else "forward"
        (f,) = (n for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef) and n.name == label)
        # `sequences` returns pairs of an array and its mask; `sequence` checks each
        assert label == "sequences" or "closure" in {d.id for d in f.decorator_list if isinstance(d, ast.Name)}, (path, label)


NAMES = {name for _, _, name in LAYERS}
OPS = {name for kind, _, name in required(ROOT) if kind == "op"}  # proven through an adapter of the same name
CASES = {
    case.label: case
    for case in all_cases()
    if case.name.rpartition(".")[2] in NAMES - (OPS if case.description is None else set())
    and not case.variant.endswith("loss")
}


@pytest.mark.parametrize("label", CASES)
def test_a_gradient_of_another_shape_is_refused(label):
    case = CASES[label]
    p = None if case.description is None else moved(case.description)
    with kernels(False):
        y, backward = case.f(*case.inputs) if p is None else case.f(p, *case.inputs)
        g = () if p is None else (params.zeros_like(p),)
        with pytest.raises(ValueError, match=r"dy.* has shape .*; expected"):
            backward(reshaped(y), *g)


def reshaped(y):
    """Return a nest of gradients whose arrays have one axis more."""
    if isinstance(y, dict):
        return {name: reshaped(part) for name, part in y.items()}
    return type(y)(map(reshaped, y)) if isinstance(y, (tuple, list)) else np.ones((2, *y.shape))
