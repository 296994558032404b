"""Every kernel agrees with its NumPy definition; arguments that no kernel takes run the definition."""

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.arguments import ARGUMENTS, FLOAT32

import refmer.kernels
import refmer.ops
from refmer.ops import activations, norms, pooling
from refmer.ops.optimizers import adamw
from refmer.ops.twins import AVAILABLE, TWINS, kernels, twin

PARTS_OF_KERNELS = ("gemm", "scalar", "vectors")  # called inside kernels only; test_parts.py tests them
for path in Path(refmer.ops.__path__[0]).glob("*.py"):
    import_module(f"refmer.ops.{path.stem}")  # fills TWINS
needs_kernels = pytest.mark.skipif(not AVAILABLE, reason="kernels are off")


def kernel_modules():
    return [
        import_module(f"refmer.kernels.{m.name}")
        for m in iter_modules(refmer.kernels.__path__)
        if m.name not in PARTS_OF_KERNELS
    ]


def test_every_kernel_has_a_definition_of_the_same_signature_and_every_twin_a_test():
    for module in kernel_modules():
        name = module.__name__.rpartition(".")[2]
        for label, kernel in vars(module).items():
            if getattr(kernel, "__module__", "") == module.__name__ and not label.startswith("_"):
                definition = TWINS[f"{name}.{label}"]
                assert inspect.signature(getattr(kernel, "py_func", kernel)) == inspect.signature(definition)
                assert "Gain" in kernel.__doc__
    assert set(ARGUMENTS) == set(TWINS)


@needs_kernels
@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("dtype", [pytest.param(np.float64, marks=pytest.mark.slow), np.float32])  # each has to be compiled
@settings(max_examples=10)
@given(seed=st.integers(0, 99), n=st.integers(1, 70))
def test_a_kernel_agrees_with_its_definition(name, dtype, seed, n):
    module, _, function = name.partition(".")
    f = getattr(import_module(f"refmer.ops.{module}"), function)
    bound = 1e-14 if dtype == np.float64 else FLOAT32.get(name, 1e-6)
    results = []
    for on in (False, True):
        arguments = ARGUMENTS[name](np.random.default_rng(seed), dtype, n)
        with kernels(on):
            result = f(*arguments)
        results.append([a for a in [*arguments, *(result if isinstance(result, tuple) else [result])] if is_number(a)])
    for ours, theirs in zip(*results, strict=True):
        assert np.shape(theirs) == np.shape(ours)
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=bound * np.abs(ours).max(initial=1))


def is_number(a):
    return isinstance(a, np.ndarray | np.number | float)


@needs_kernels
@pytest.mark.parametrize("lead", [(), (3,), (3, 2), (2, 1, 3, 2)], ids=str)
def test_leading_axes_reach_a_kernel_as_one_and_come_back(lead):
    rng, (T, C) = np.random.default_rng(0), (4, 5)
    x, mask = rng.normal(size=(*lead, T, C)).astype("f4"), rng.random((*lead, T)) < 0.6
    gamma, beta = rng.normal(size=(2, C)).astype("f4")
    calls = ((activations.relu, (x,)), (norms.layer_norm, (x, gamma, beta)), (pooling.masked_mean, (x, mask)))
    for f, arguments in calls:
        results = []
        for on in (False, True):
            with kernels(on):
                results.append(f(*arguments))
        for ours, theirs in zip(*(r if isinstance(r, tuple) else (r,) for r in results), strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(theirs, ours, atol=1e-6)
        kernel = getattr(import_module(f"refmer.kernels.{f.__module__.rpartition('.')[2]}"), f.__name__)
        assert {signature[0].ndim for signature in kernel.signatures} == {len(f.contract.terms[0].dims)}


@needs_kernels
def test_complex_and_mixed_arguments_run_the_definition(monkeypatch):
    calls = []

    def adamw(x, scale=2.0):
        calls.append(x.dtype)
        return x * scale

    adamw.__module__ = "refmer.ops.optimizers"
    monkeypatch.delitem(TWINS, "optimizers.adamw")
    choose = twin("x (N), scale float")(adamw)
    for x in (np.zeros(3, complex), np.zeros(3, np.float16), np.ma.zeros(3)):
        choose(x)
    assert len(calls) == 3


@needs_kernels
def test_the_type_of_an_argument_may_bring_its_own_version(monkeypatch):
    class Own:
        dtype, shape = np.dtype("f4"), (3,)
        __twins__ = {"adamw": lambda x, z=0: NotImplemented if z else "own"}

    def adamw(x, z=0):
        return "definition"

    adamw.__module__ = "refmer.ops.optimizers"
    monkeypatch.delitem(TWINS, "optimizers.adamw")
    f = twin("x (N), z int")(adamw)
    assert [f(Own()), f(Own(), 2), f(np.zeros(0))] == ["own", "definition", "definition"]
    with kernels(False):
        assert f(Own()) == "definition"


def test_adamw_follows_loshchilov_and_hutter():
    x, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    theta, first, second = x.copy(), np.zeros(2), np.zeros(2)
    for t, grad in enumerate(np.array([[0.5, -1.0], [0.1, 3.0], [-2.0, 0.0]]), 1):
        adamw(x, grad, m, v, t, 0.1, decay=0.05)
        first = 0.9 * first + 0.1 * grad
        second = 0.999 * second + 0.001 * grad**2
        step = (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        theta = theta - 0.1 * (step + 0.05 * theta)
    np.testing.assert_allclose(x, theta, rtol=1e-12)


def test_without_kernels_twins_are_plain_functions_and_numba_is_never_imported():
    code = (
        "import sys, numpy as np; from refmer.ops import dense, twins; from refmer.ops.optimizers import adamw\n"
        "x = np.ones(3)\n"
        "with twins.kernels(True): adamw(x, x.copy(), x.copy(), x.copy(), 1, .1); assert not twins.kernels_on()\n"
        "assert 'numba' not in sys.modules and x[0] < 1\n"
        "assert dense.linear(np.ones((2, 3)), np.ones((3, 4)), np.zeros(4))[0].shape == (2, 4)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"REFMER_KERNELS": "0", "PYTHONPATH": ":".join(sys.path)})
