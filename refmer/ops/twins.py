"""Twins: a NumPy function that says what is meant, and its compiled double in refmer/kernels that makes it fast.

`@twin` on `ops/norms.py: layer_norm` names `kernels/norms.py: layer_norm` as the double, looked up when first needed. The
double runs if kernels are on and every floating argument is a plain array of one dtype, float32 or float64; everything else
(complex above all: the proof) runs the definition. REFMER_KERNELS=0 turns kernels off, and then numba is never imported.
"""

import os
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from inspect import signature

import numpy as np

TWINS = {}  # "module.function" -> the NumPy definition
_on = os.environ.get("REFMER_KERNELS", "1") != "0"


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
    kernel = None

    @wraps(definition)
    def choose(*args, **kwargs):
        nonlocal kernel
        if not (_on and _plain([*args, *kwargs.values()])):
            return definition(*args, **kwargs)
        if kernel is None:
            kernel = getattr(import_module(f"refmer.kernels.{module}"), name)
        # every argument by position: numba takes 50 us to fill in a default itself
        rest = [kwargs.get(parameter.name, parameter.default) for parameter in parameters[len(args) :]]
        return kernel(*map(_contiguous, [*args, *rest]))

    choose.definition = definition
    return choose


def _plain(values):
    """Whether a kernel can take these: floating arrays of one dtype, float32 or float64, and no subclass."""
    arrays = [v for v in values if isinstance(v, np.ndarray)]
    dtypes = {v.dtype for v in arrays if v.dtype.kind not in "biu"}
    return len(dtypes) <= 1 and all(d in ("f4", "f8") for d in dtypes) and all(type(v) is np.ndarray for v in arrays)


def _contiguous(value):
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) and value.ndim else value
