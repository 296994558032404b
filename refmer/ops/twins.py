"""Twins: a NumPy function that defines an operation, and its compiled double in refmer/kernels that makes it fast.

`@twin(contract)` on `ops/norms.py: layer_norm` names `kernels/norms.py: layer_norm` as the double, imported at its first call.
The contract (ops/contracts.py) is checked before either. The double runs if kernels are on, every floating array is a plain one
of the same dtype, float32 or float64, and the rest are plain numbers or None; everything else (complex above all: the proof)
runs the definition, or the version that the type of an argument brings, as with NumPy's __array_function__: the functions in
`type(value).__twins__` by name; one that returns NotImplemented declines the call. With REFMER_KERNELS=0 (or NUMBA_DISABLE_JIT=1) at import numba is never imported.
"""

import os
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from itertools import combinations

import numpy as np

from refmer.ops.contracts import Contract, documented

TWINS = {}  # "module.function" -> the NumPy definition
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


def twin(text):
    """Mark a NumPy function that has a kernel of the same module, name and signature; `text` is the contract of both."""

    def decorate(definition):
        checked = Contract(definition, text)
        module, name = definition.__module__.rpartition(".")[2], definition.__name__
        TWINS[f"{module}.{name}"] = definition
        convert, kernel, restore = conversion(checked), None, None

        @wraps(definition)
        def choose(*args, **kwargs):
            nonlocal kernel, restore
            checked.check(*args, **kwargs)
            if _on and (converted := convert(*args, **kwargs)) is not None:
                if kernel is None:
                    kernel, restore = getattr(import_module(f"refmer.kernels.{module}"), name), restoration(definition, checked)
                lead, values = converted
                result = kernel(*values)
                return result if lead is None else restore(result, lead)
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


def conversion(checked):
    """Return the function from the arguments of a twin to those of its kernel, all in order (numba takes 50 us for a default).

    Arrays become contiguous and writable, the axes "..." of a contract one axis, numbers Python's: one variant of a kernel for
    each dtype. It returns the axes "...", None where they are one axis already, and the arguments; or None if a kernel cannot
    take them: an array is empty or of a subclass, or floating arrays are not all float32 or all float64.
    """
    arrays = [term.name for term in checked.terms if term.dims is not None]
    lines = [f"if not separate(({', '.join(arrays)})): return None"] if any(t.kind == "written" for t in checked.terms) else []
    dtype = None
    lines.append("lead = None")
    for term in checked.terms:
        x = term.name
        if term.dims is None:
            lines.append(f"if {x}.__class__ is not {term.kind}: {x} = {term.kind}({x})")
            continue
        wrong = f"type({x}) is not ndarray or not {x}.size"
        if term.kind != "bool":
            wrong += f" or {x}.dtype != {dtype}" if dtype else f" or {x}.dtype != FLOAT32 and {x}.dtype != FLOAT64"
            dtype = dtype or f"{x}.dtype"
        steps = [f"if {wrong}: return None", f"if not {x}.flags.carray: {x} = {x}.copy()"]
        if term.dims[:1] == ("...",):
            rank = len(term.dims)
            cut, own = f"[:{1 - rank}]" * (rank > 1), "".join(f", {x}.shape[{i}]" for i in range(1 - rank, 0))
            steps.append(f"if {x}.ndim != {rank}: lead = {x}.shape{cut}; {x} = {x}.reshape(-1{own})")
        if "number" in term.others:
            steps = [f"if {x}.__class__ in CLASSES['float']: {x} = float({x})", *("el" + step for step in steps)]
        lines += [f"if {x} is not None:", *("    " + step for step in steps)] if "None" in term.others else steps
    lines.append(f"return lead, ({''.join(f'{name}, ' for name in checked.parameters)})")
    return checked.define(lines, separate=_separate, ndarray=np.ndarray, FLOAT32=np.dtype("f4"), FLOAT64=np.dtype("f8"))


def restoration(definition, checked):
    """Return the function of the results of a kernel and the axes `lead` that puts these back, where a result has them.

    The contract of the backward tells it of saved arrays.
    """
    leading, backward = checked.leading, getattr(import_module(definition.__module__), f"{definition.__name__}_backward", None)
    if backward:
        dims = {term.name: term.dims or () for term in backward.contract.terms}
        leading = leading + [dims.get(name, ())[:1] == ("...",) for name in list(backward.contract.parameters)[1:]]

    def restore(result, lead):
        if result.__class__ is not tuple:
            return result.reshape(lead + result.shape[1:])
        return tuple([a.reshape(lead + a.shape[1:]) if has else a for a, has in zip(result, leading, strict=False)])

    return restore


def _separate(values):
    """Return True if the arrays can be modified in place: contiguous, writable, none of them in the memory of another."""
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    return all(a.flags.carray for a in arrays) and not any(np.may_share_memory(a, b) for a, b in combinations(arrays, 2))
