"""Twins: a NumPy function that defines an operation, and its compiled double in refmer/kernels that makes it fast.

`@twin` on `ops/norms.py: layer_norm` names `kernels/norms.py: layer_norm` as the double, imported at its first call. The
double runs if kernels are on, every floating array is a plain one of the same dtype, float32 or float64, and the rest are
plain numbers or None; everything else (complex above all: the proof) runs the definition. With REFMER_KERNELS=0 (or
NUMBA_DISABLE_JIT=1) at import the decorators return the definition itself, and numba is never imported.
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


def overridable(definition):
    """Let the type of an argument bring its own version of a function, as NumPy's __array_function__ does, with kernels on.

    `type(value).__twins__` maps names of functions to such versions; one that returns NotImplemented declines the call.
    """
    if not AVAILABLE:
        return definition
    name = definition.__name__

    @wraps(definition)
    def choose(*args, **kwargs):
        for value in args if _on else ():
            own = getattr(type(value), "__twins__", {}).get(name)
            if own and (result := own(*args, **kwargs)) is not NotImplemented:
                return result
        return definition(*args, **kwargs)

    return choose


def twin(definition):
    """Mark a NumPy function that has a kernel of the same module, name and signature."""
    module = definition.__module__.rpartition(".")[2]
    name = definition.__name__
    TWINS[f"{module}.{name}"] = definition
    if not AVAILABLE:
        return definition
    parameters = tuple(signature(definition).parameters.values())
    defaults = tuple(p.default for p in parameters)
    otherwise, kernel = overridable(definition), None

    @wraps(definition)
    def choose(*args, **kwargs):
        nonlocal kernel
        if _on:
            ready = _ready(args if len(args) == len(parameters) else _positional(args, kwargs, parameters, defaults))
            if ready is not None:
                if kernel is None:
                    kernel = getattr(import_module(f"refmer.kernels.{module}"), name)
                return kernel(*ready)
        return otherwise(*args, **kwargs)

    return choose


def _positional(args, kwargs, parameters, defaults):
    """All arguments in order: numba takes 50 us to fill in a default itself."""
    if not kwargs:
        return args + defaults[len(args) :]
    rest = parameters[len(args) :]
    if not kwargs.keys() <= {p.name for p in rest}:
        return (object,)  # a wrong call: the definition raises
    return (*args, *(kwargs.get(p.name, p.default) for p in rest))


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
