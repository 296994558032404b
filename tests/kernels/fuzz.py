"""Calls of every twin with arguments that follow its contract, and with wrong ones, by kernel and by definition.

python fuzz.py FIRST COUNT prints every call whose kernel and definition disagree, and then the counts of outcomes.
"""

import sys
import warnings
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np

import refmer.ops
from refmer.ops.twins import TWINS, kernels
from refmer.proofs.arguments import damage, draw

for path in Path(refmer.ops.__path__[0]).glob("*.py"):
    import_module(f"refmer.ops.{path.stem}")  # fills TWINS
NAMES = sorted(TWINS)


def call(f, values, on):
    """Return the arrays that a call returns or modifies, or the text of its error."""
    copies = {id(x): x.copy("K") for x in values.values() if isinstance(x, np.ndarray) and x.flags.writeable}
    arguments = {name: copies.get(id(x), x) for name, x in values.items()}  # arguments that share memory still do
    with kernels(on):
        try:
            result = f(**arguments)
        except (ValueError, TypeError) as error:
            return f"{type(error).__name__}: {error}"
    return [np.asarray(x) for x in (*arguments.values(), *(result if isinstance(result, tuple) else [result])) if is_number(x)]


def is_number(x):
    return isinstance(x, np.ndarray | np.number | float | int) and np.asarray(x).dtype.kind in "biufc"


def agree(ours, theirs, bound):
    """Return True if two outcomes are the same error, or the same numbers up to `bound` of the largest."""
    if isinstance(ours, str) or isinstance(theirs, str):
        return isinstance(ours, str) and ours == theirs
    return len(ours) == len(theirs) and all(
        a.shape == b.shape
        and np.allclose(a, b, rtol=bound, atol=bound * np.abs(a[np.isfinite(a)]).max(initial=1), equal_nan=True)
        for a, b in zip(ours, theirs, strict=True)
    )


def describe(outcome):
    return outcome if isinstance(outcome, str) else [x.ravel()[:3].tolist() for x in outcome]


def fuzz(seed, dtypes):
    """Make one call; return its outcome, and a text if something is wrong with it."""
    rng = np.random.default_rng(seed)
    name = NAMES[seed % len(NAMES)]
    module, _, function = name.partition(".")
    f = getattr(import_module(f"refmer.ops.{module}"), function)
    dtype = np.dtype(dtypes[rng.integers(len(dtypes))])
    values = draw(f.contract, rng, dtype, smallest=int(rng.integers(2)))
    wrong = rng.random() < 0.6
    if wrong:
        values = damage(f.contract, values, rng)
    text = f"seed {seed}: {name}({ {k: getattr(v, 'shape', v) for k, v in values.items()} })"
    print(text, file=sys.stderr, flush=True)  # the last line before a signal
    ours, theirs = (call(f, values, on) for on in (False, True))
    if not agree(ours, theirs, 1e-3 if dtype == np.float32 else 1e-9):
        return "disagreed", f"{text}\n definition: {describe(ours)}\n kernel: {describe(theirs)}"
    if not isinstance(ours, str):
        return "answered", None
    if not wrong or not any(f"{argument} " in ours for argument in values):
        return "unnamed", f"{text}\n {ours}"
    return "refused", None


if __name__ == "__main__":
    first, count = map(int, sys.argv[1:3])
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    results = [fuzz(seed, *sys.argv[3:] or ["fd"]) for seed in range(first, first + count)]
    print(*(text for _, text in results if text), dict(Counter(outcome for outcome, _ in results)), sep="\n")
