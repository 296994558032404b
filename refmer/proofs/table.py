"""`refmer check`: prove every backward on this machine, and print the table of proofs.

One row per op, layer, system and baseline: its number of parameters, the worst relative error of its gradient over all its
cases (refmer/proofs), and, where it has a compiled twin, the distance of kernel and definition in float64. A function with a
backward that has no case is a row that fails.
"""

import json
import sys
from importlib import import_module

import numpy as np
from tqdm import tqdm

from refmer import params
from refmer.check import TOLERANCE
from refmer.ops import twins
from refmer.ops.twins import TWINS, kernels
from refmer.proofs import all_cases
from refmer.proofs.required import unproven
from refmer.text import table

KINDS = ("op", "layer", "system", "baseline")


def main(as_json=False, out=None):
    """Run all proofs and print one row for each op, layer, system and baseline.

    Parameters
    ----------
    as_json : bool
        Print a list of {"name", "kind", "parameters", "worst_relative_error", "kernel_error", "passed"} instead of the table.
        An error is null without a kernel, or if the case did not run.
    out : text stream, default standard output

    Returns
    -------
    int
        The exit status: 0 if every row passed, else 1.
    """
    out = sys.stdout if out is None else out
    cases = all_cases()
    rows, problems = prove(tqdm(cases, desc="proofs", disable=None))
    for kind, file, name in unproven(cases):
        rows.append(_row(name, kind) | {"passed": False})
        problems[f"{kind} {name}"] = f"no proof case: {file}: {name}"
    if as_json:
        print(json.dumps(rows, indent=1), file=out)
    else:
        print(as_text(rows, problems), file=out)
    return 0 if rows and all(row["passed"] for row in rows) else 1


def prove(cases):
    """Return rows, sorted by kind and name, and {label of a case: its errors}. A row holds the worst of its cases."""
    rows, problems = {}, {}
    for case in cases:
        row = rows.setdefault((KINDS.index(case.kind), case.name), _row(case.name, case.kind))
        try:
            if case.description is not None:
                row["parameters"] = max(row["parameters"], params.count(case.description))
            failed = _judge(row, "worst_relative_error", case.errors()) | _judge(row, "kernel_error", kernel_errors(case))
        except Exception as error:  # an exception inside a case is a failing row, not the end of the table
            failed = {type(error).__name__: " ".join(str(error).split())[:150]}
        if failed:
            row["passed"] = False
            problems[f"{case.kind} {case.label}"] = failed
    return [rows[key] for key in sorted(rows)], problems


def _row(name, kind):
    errors = {"worst_relative_error": None, "kernel_error": None}
    return {"name": name, "kind": kind, "parameters": 0} | errors | {"passed": True}


def _judge(row, key, errors):
    """Raise row[key] to the worst of the errors; return those that fail (nan: a gradient that vanishes unnamed)."""
    finite = [float(e) for e in errors.values() if np.isfinite(e)]
    row[key] = max(finite + [row[key]] if row[key] is not None else finite, default=None)
    return {path: float(e) for path, e in errors.items() if not e < TOLERANCE}


def kernel_errors(case):
    """Return {function: relative distance of its kernel from its definition} on the inputs of an op, backward included.

    Empty without a kernel, and where kernels are off since import.
    """
    if case.kind != "op" or not twins.AVAILABLE:
        return {}
    module, name = case.f.__module__, case.f.__name__
    with kernels(False):
        result = case.f(*case.inputs, **case.options)
        y, *saved = result if isinstance(result, tuple) else (result, result)
    dy = np.random.default_rng(0).normal(size=np.shape(y))
    errors = {}
    for twin, args, options in ((name, case.inputs, case.options), (f"{name}_backward", (dy, *saved), {})):
        if f"{module.rpartition('.')[2]}.{twin}" in TWINS:
            f = getattr(import_module(module), twin)
            with kernels(True):
                fast = f(*args, **options)
            with kernels(False):
                errors[twin] = _distance(fast, f(*args, **options))
    return errors


def _distance(fast, slow):
    """Return the largest difference, relative to the largest value, over the arrays that two calls return."""
    if not isinstance(slow, tuple):
        fast, slow = (fast,), (slow,)
    worst = 0.0
    for a, b in zip(fast, slow, strict=True):
        if isinstance(b, (np.ndarray, np.floating)):
            worst = max(worst, float(np.abs(np.subtract(a, b, dtype=float)).max(initial=0) / (np.abs(b).max(initial=0) or 1)))
    return worst


def as_text(rows, problems):
    """Return the rows in columns, then the errors of each failed case, then the number of rows that passed."""
    lines = []
    for row in rows:
        errors = ["-" if row[key] is None else f"{row[key]:.1e}" for key in ("worst_relative_error", "kernel_error")]
        lines.append((row["name"], row["kind"], f"{row['parameters']:,}", *errors, "" if row["passed"] else "FAILED"))
    head = ("name", "kind", "parameters", "worst relative error", "kernel error", "")
    text = [table(head, lines, right=(2, 3, 4), markdown=False)]
    text += [f"FAILED {label}: {error}" for label, error in problems.items()]
    passed = sum(row["passed"] for row in rows)
    return "\n".join([*text, f"{passed} of {len(rows)} passed (tolerance {TOLERANCE:g})"])
