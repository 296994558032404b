"""Twins: a NumPy function that says what is meant, and its compiled double in refmer/kernels that makes it fast.

`@twin` on `ops/norms.py: layer_norm` names `kernels/norms.py: layer_norm` as the double, looked up when first needed. The
double runs if kernels are on, every floating array is a plain one of the same dtype, float32 or float64, and the rest are
plain numbers or None; everything else (complex above all: the proof) runs the definition. REFMER_KERNELS=0 turns kernels
off, and then numba is never imported.
"""

import os
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from inspect import signature

import numpy as np

TWINS = {}  # "module.function" -> the NumPy definition
SCALARS = {bool, int, float, type(None)}
# without its compiler, numba would run the kernels' loops in Python
_on = os.environ.get("REFMER_KERNELS", "1") != "0" and os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"


def kernels_on():
    """Whether kernels are on."""
    return _on


@contextmanager
def kernels(on):
    """Turn kernels on or off for a while: `with kernels(False): ...`."""
    global _on
    before, _on = _on, on
    try:
        yield
    finally:
        _on = before


def twin(definition):
    """Mark a NumPy function that has a kernel of the same module, name and signature."""
    module = definition.__module__.rpartition(".")[2]
    name = definition.__name__
    parameters = tuple(signature(definition).parameters.values())
    TWINS[f"{module}.{name}"] = definition
    defaults, kernel = tuple(p.default for p in parameters), None

    @wraps(definition)
    def choose(*args, **kwargs):
        nonlocal kernel
        if _on:
            ready = _ready(args if len(args) == len(parameters) else _positional(args, kwargs, parameters, defaults))
            if ready is not None:
                if kernel is None:
                    kernel = getattr(import_module(f"refmer.kernels.{module}"), name)
                return kernel(*ready)
        return definition(*args, **kwargs)

    return choose


def _positional(args, kwargs, parameters, defaults):
    """All arguments in order: numba takes 50 us to fill in a default itself."""
    if not kwargs:
        return args + defaults[len(args) :]
    rest = parameters[len(args) :]
    values = [kwargs[p.name] if p.name in kwargs else p.default for p in rest]
    named = sum(p.name in kwargs for p in rest)
    return (*args, *values) if named == len(kwargs) else (None, object)  # a wrong call: the definition raises


def _ready(values):
    """The values with every array contiguous, or None if a kernel cannot take them."""
    ready, dtype = [], None
    for value in values:
        kind = type(value)
        if kind is np.ndarray:
            char = value.dtype.char
            if char in "fd" and value.dtype.isnative:
                if char != (dtype or char):
                    return None
                dtype = char
            elif value.dtype.kind not in "biu":
                return None
            if not value.flags.c_contiguous:
                value = np.ascontiguousarray(value)
        elif isinstance(value, np.floating):
            value = float(value)
        elif kind not in SCALARS:
            return None
        ready.append(value)
    return ready
