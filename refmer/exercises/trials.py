"""Trials: the arguments on which a student's function is called, and their right results."""

import inspect
from typing import NamedTuple

import numpy as np

from refmer.exercises import diagnose
from refmer.exercises.case import Case


class Trial(NamedTuple):
    """One call of a function and its right result; `kind` is "main", "ones" (as upstream) or "alone" (the first clip)."""

    case: Case
    kind: str
    arguments: tuple
    expected: tuple
    sizes: dict


def trials_of(exercise, seed):
    """Return {function: [Trial]}."""
    ours, trials = exercise.ours(), {f: [] for f in exercise.graded}
    for i, case in enumerate(exercise.table.CASES):
        rng = np.random.default_rng([seed, i])
        letters = [name for name in inspect.signature(case.draw).parameters if len(name) == 1]
        sizes = dict(zip(letters, rng.permutation(np.arange(3, 11)).tolist(), strict=False))
        arguments = tuple(case.draw(rng, ours, **sizes))
        run = getattr(ours, case.function)
        expected, names = outputs(run(*copied(arguments))), exercise.parameters(case.function)
        trials[case.function].append(Trial(case, "main", arguments, expected, sizes))
        if case.level == "hard":
            continue
        ones = [np.ones_like(a) if n.startswith("dy") else a for n, a in zip(names, arguments, strict=False)]
        if any(n.startswith("dy") for n in names):
            trials[case.function].append(Trial(case, "ones", tuple(ones), outputs(run(*copied(ones))), sizes))
        alone = [a[:1] if np.ndim(a) and len(a) == sizes.get("B") else a for a in arguments]
        result = attempt(run, alone)
        if result and any(of_clips(b, sizes) and diagnose.agrees(a, b[:1]) for a, b in zip(result, expected, strict=True)):
            trials[case.function].append(Trial(case, "alone", tuple(alone), result, sizes))
    return trials


def of_clips(array, sizes):
    """Return whether the first axis of an array is that of the clips."""
    return array.ndim > 0 and len(array) == sizes.get("B")


def outputs(result):
    """Return the outputs of a function as a tuple of arrays."""
    return tuple(map(np.asarray, result if isinstance(result, tuple) else (result,)))


def attempt(run, arguments):
    """Return the outputs of a function, or None if it fails."""
    try:
        with np.errstate(all="ignore"):
            return outputs(run(*copied(arguments)))
    except Exception:  # of a mutated function, or one that is given another shape
        return None


def copied(arguments):
    """Return the arguments with arrays copied."""
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
