"""Twins: a NumPy function that defines an operation, and its compiled double in refmer/kernels that makes it fast.

`@twin(contract)` on `ops/norms.py: layer_norm` names `kernels/norms.py: layer_norm` as the double, imported at its first call.
The contract (ops/contracts.py) is checked before either. The double runs if kernels are on, every floating array is a plain one
of the same dtype, float32 or float64, and the rest are plain numbers or None; everything else (complex above all: the proof)
runs the definition. With REFMER_KERNELS=0 (or NUMBA_DISABLE_JIT=1) at import numba is never imported.
"""

import os
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from itertools import combinations

import numpy as np

from refmer.ops.contracts import Contract, documented

TWINS = {}  # "module.function" -> the NumPy definition
SCALARS = {bool, int, float, type(None)}
REAL = np.integer, np.floating
# without its compiler, numba would run the kernels' loops in Python
AVAILABLE = os.environ.get("REFMER_KERNELS", "1") != "0" and os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
_on = AVAILABLE


def kernels_on():
    """Return True if kernels are on."""
    return _on


@contextmanager
def kernels(on):
    """Turn kernels on or off inside a block: `with kernels(False): ...`. Kernels that were off at import stay off."""
    global _on
    before, _on = _on, on and AVAILABLE
    try:
        yield
    finally:
        _on = before


def overridable(text):
    """Let the type of an argument bring its own version of a function, as NumPy's __array_function__ does, with kernels on.

    `type(value).__twins__` maps names of functions to such versions; one that returns NotImplemented declines the call. `text`
    is the contract of the arguments.
    """

    def decorate(definition):
        checked = Contract(definition, text)

        @wraps(definition)
        def choose(*args, **kwargs):
            checked.check(*args, **kwargs)
            return _run(definition, args, kwargs)

        return documented(choose, checked)

    return decorate


def twin(text):
    """Mark a NumPy function that has a kernel of the same module, name and signature; `text` is the contract of both."""

    def decorate(definition):
        checked = Contract(definition, text)
        module, name = definition.__module__.rpartition(".")[2], definition.__name__
        TWINS[f"{module}.{name}"] = definition
        parameters = tuple(checked.parameters.values())
        defaults = tuple(p.default for p in parameters)
        written = any(term.kind == "written" for term in checked.terms)
        floats = {term.name for term in checked.terms if term.kind == "float" or "number" in term.others}
        floating = tuple(name in floats for name in checked.parameters)
        kernel = None

        @wraps(definition)
        def choose(*args, **kwargs):
            nonlocal kernel
            checked.check(*args, **kwargs)
            if _on:
                values = args if len(args) == len(parameters) else _positional(args, kwargs, parameters, defaults)
                ready = None if written and not _separate(values) else _ready(values, floating)
                if ready is not None:
                    if kernel is None:
                        kernel = getattr(import_module(f"refmer.kernels.{module}"), name)
                    return kernel(*ready)
            return _run(definition, args, kwargs)

        return documented(choose, checked)

    return decorate


def _run(definition, args, kwargs):
    """Call the version that the type of an argument brings, with kernels on, or the definition."""
    for value in args if _on else ():
        own = getattr(type(value), "__twins__", {}).get(definition.__name__)
        if own and (result := own(*args, **kwargs)) is not NotImplemented:
            return result
    return definition(*args, **kwargs)


def _positional(args, kwargs, parameters, defaults):
    """All arguments in order: numba takes 50 us to fill in a default itself."""
    if not kwargs:
        return args + defaults[len(args) :]
    return (*args, *(kwargs.get(p.name, p.default) for p in parameters[len(args) :]))


def _ready(values, floating):
    """The values, arrays contiguous and writable (one variant of a kernel), or None if a kernel cannot take them.

    `floating` is True for each argument that a kernel takes as a float, if it is a number.
    """
    ready, dtype = [], None
    for value, is_float in zip(values, floating, strict=False):
        kind = type(value)
        if kind is np.ndarray:
            char = value.dtype.char
            if char in "fd" and value.dtype.isnative:
                if char != (dtype or char):
                    return None
                dtype = char
            elif char != "?":
                return None
            if not value.size:  # kernels assume at least one row, step and feature
                return None
            if not value.flags.carray:
                value = value.copy()
        elif kind in SCALARS:
            value = float(value) if is_float and kind is int else value
        elif is_float and isinstance(value, REAL):
            value = float(value)
        elif isinstance(value, np.integer):
            value = int(value)
        else:
            return None
        ready.append(value)
    return ready


def _separate(values):
    """Return True if the arrays can be modified in place: contiguous, writable, none of them in the memory of another."""
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    return all(a.flags.carray for a in arrays) and not any(np.may_share_memory(a, b) for a, b in combinations(arrays, 2))
