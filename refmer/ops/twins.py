"""Twins: a NumPy function that defines an operation, and its compiled double in refmer/kernels that makes it fast.

`@twin(contract)` on `ops/norms.py: layer_norm` names `kernels/norms.py: layer_norm` as the double, imported at its first call.
The contract (ops/contracts.py) is checked before either. The double runs if kernels are on, every floating array is a plain one
of the same dtype, float32 or float64, and the rest are plain numbers or None; everything else (complex above all: the proof)
runs the definition, or the version that the type of an argument brings, as with NumPy's __array_function__: the functions in
`type(value).__twins__` by name; one that returns NotImplemented declines the call. With REFMER_KERNELS=0 (or
NUMBA_DISABLE_JIT=1) at import numba is never imported.
"""

import os
from contextlib import contextmanager
from functools import partial, wraps
from importlib import import_module
from itertools import combinations
from types import SimpleNamespace

import numpy as np

from refmer.ops.contracts import Contract, documented

TWINS = {}  # "module.function" -> the NumPy definition
# without its compiler, numba would run the kernels' loops in Python
AVAILABLE = os.environ.get("REFMER_KERNELS", "1") != "0" and os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
SWITCH = SimpleNamespace(on=AVAILABLE)


def kernels_on():
    """Return True if kernels are on."""
    return SWITCH.on


@contextmanager
def kernels(on):
    """Turn kernels on or off inside a block: `with kernels(False): ...`. Kernels that were off at import stay off."""
    before, SWITCH.on = SWITCH.on, on and AVAILABLE
    try:
        yield
    finally:
        SWITCH.on = before


def twin(text):
    """Mark a NumPy function that has a kernel of the same module, name and signature; `text` is the contract of both."""

    def decorate(definition):
        checked = Contract(definition, text)
        module, name = definition.__module__.rpartition(".")[2], definition.__name__
        TWINS[f"{module}.{name}"] = definition

        def first(*values):
            kernel, scope = getattr(import_module(f"refmer.kernels.{module}"), name), call.__globals__
            result = kernel(*values)
            scope["kernel"], scope["restore"] = kernel, restoration(definition, checked, result)
            return result

        given = ", ".join(checked.parameters)
        steps = [f"if not switch.on: return definition({given})", *conversion(checked, f"return other({given})")]
        scope = {"switch": SWITCH, "definition": definition, "other": partial(_other, definition), "kernel": first}
        scope |= {"separate": _separate, "ndarray": np.ndarray, "FLOAT32": np.dtype("f4"), "FLOAT64": np.dtype("f8")}
        call = checked.define(steps, **scope)
        return documented(wraps(definition)(call), checked)

    return decorate


def _other(definition, *args):
    """Call the version that the type of an argument brings, or the definition."""
    for value in args:
        own = getattr(type(value), "__twins__", {}).get(definition.__name__)
        if own and (result := own(*args)) is not NotImplemented:
            return result
    return definition(*args)


def conversion(checked, otherwise):
    """Return the statements that call the kernel with the arguments of a twin, all in order (numba takes 50 us for a default).

    Arrays become contiguous and writable, the axes "..." of a contract one axis, numbers Python's: one variant of a kernel for
    each dtype. They are put back in the results, if they are not one axis already. `otherwise` is the statement for arguments
    that a kernel cannot take: an array is empty or of a subclass, or floating arrays are not all float32 or all float64.
    """
    arrays = [term.name for term in checked.terms if term.dims is not None]
    written = any(term.kind == "written" for term in checked.terms)
    lines = [f"if not separate(({', '.join(arrays)})): {otherwise}"] if written else []
    dtype, values = None, {name: name for name in checked.parameters}
    lines.append("lead = None")
    for term in checked.terms:
        x, z = term.name, f"{term.name}_"
        values[x] = z
        if term.dims is None:
            lines.append(f"{z} = {x} if {x}.__class__ is {term.kind} else {term.kind}({x})")
            continue
        wrong = f"type({x}) is not ndarray or not {x}.size"
        if term.kind != "bool":
            wrong += f" or {x}.dtype != {dtype}" if dtype else f" or {x}.dtype != FLOAT32 and {x}.dtype != FLOAT64"
            dtype = dtype or f"{x}.dtype"
        steps = [f"if {wrong}: {otherwise}", f"{z} = {x} if {x}.flags.carray else {x}.copy()"]
        if term.dims[:1] == ("...",):
            rank = len(term.dims)
            cut, own = f"[:{1 - rank}]" * (rank > 1), "".join(f", {x}.shape[{i}]" for i in range(1 - rank, 0))
            steps.append(f"if {x}.ndim != {rank}: lead = {x}.shape{cut}; {z} = {z}.reshape(-1{own})")
        if "number" in term.others:
            steps = [f"if {x}.__class__ in CLASSES['float']: {z} = float({x})", "else:", *("    " + step for step in steps)]
        if "None" in term.others:
            steps = [f"{z} = None", f"if {x} is not None:", *("    " + step for step in steps)]
        lines += steps
    lines.append(f"result = kernel({', '.join(values.values())})")
    return [*lines, "return result if lead is None else restore(result, lead)"]


def restoration(definition, checked, result):
    """Return the function of the results of a kernel and the axes `lead` that puts these back, where a result has them.

    The contract of the backward tells it of saved arrays.
    """
    if result.__class__ is not tuple:
        return lambda y, lead: y.reshape(lead + y.shape[1:])
    leading = checked.leading
    if backward := getattr(import_module(definition.__module__), f"{definition.__name__}_backward", None):
        dims = {term.name: term.dims or () for term in backward.contract.terms}
        leading = leading + [dims.get(name, ())[:1] == ("...",) for name in list(backward.contract.parameters)[1:]]
    names = [f"r{i}" for i in range(len(result))]
    parts = [f"{r}.reshape(lead + {r}.shape[1:])" if has else r for r, has in zip(names, leading, strict=False)]
    scope = {}
    exec(f"def restore(results, lead):\n    {', '.join(names)}, = results\n    return {', '.join(parts)},", scope)
    return scope["restore"]


def _separate(values):
    """Return True if the arrays can be modified in place: contiguous, writable, none of them in the memory of another."""
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    return all(a.flags.carray for a in arrays) and not any(np.may_share_memory(a, b) for a, b in combinations(arrays, 2))
