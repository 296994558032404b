"""`refmer warm-up`: compile every kernel ahead of its first use."""

import warnings
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from time import perf_counter

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from refmer.check import as_layer, narrow
from refmer.data.read import load_samples
from refmer.experiments.data import corpus_of
from refmer.experiments.rows import resolve
from refmer.int8 import QuantizedMatrix, quantize
from refmer.ops import twins
from refmer.ops.markov import markov
from refmer.proofs import all_cases
from refmer.recognizer import Recognizer
from refmer.systems import BASELINES, SYSTEMS

corpus, cases = lru_cache(load_samples), lru_cache(all_cases)


def main():
    """Run every proof of an op, in parallel processes; then train, predict and quantize every system once.

    Prints the number of compiled variants.
    """
    if not twins.kernels_on():
        print("kernels are off (REFMER_KERNELS=0 or NUMBA_DISABLE_JIT=1): nothing to compile")
        return
    import_module("refmer.kernels").ANNOUNCER.printed = True  # the progress bar replaces its line
    begin = perf_counter()
    modules = [part.name for part in iter_modules(import_module("refmer.kernels").__path__)]
    jobs = [*(delayed(run_ops)(module) for module in modules), delayed(run_integers)()]
    parts = list(tqdm(Parallel(-1, return_as="generator")(jobs), "operations", len(jobs), unit="module", disable=None))
    for name in tqdm((*SYSTEMS, *BASELINES), desc="systems", unit="system", disable=None):
        model, clips = trained(name, every=3)
        model.predict(clips[:2])
        if name in SYSTEMS:
            quantize(model).predict(clips[:2])
    markov(np.zeros((2, 1)), np.zeros((1, 1), bool), 0.5, 0.5)  # of corruptions, in float64
    compiled, read = (set().union(*sets) for sets in zip(variants(), *parts, strict=True))
    print(
        f"{len(twins.TWINS)} kernels and the integer ones, float32: {len(compiled)} variants compiled, "
        f"{len(read - compiled)} read from the cache, {perf_counter() - begin:.1f} s"
    )
    reached = {name for name, _ in compiled | read}
    if unreached := [name for name in twins.TWINS if f"refmer.kernels.{name}" in functions().keys() - reached]:
        print(f"not compiled: {', '.join(unreached)}")


def run_ops(module):
    """Run the proofs of the ops of a module forward and backward in float32; return variants()."""
    for case in cases():
        if case.kind == "op" and case.f.__module__ == f"refmer.ops.{module}":
            y, backward = as_layer(case.f, *narrow(case.inputs), **narrow(case.options))
            backward(np.ones_like(y))
    return variants()


def run_integers():
    """Run the integer products; return variants()."""
    matrix, x = QuantizedMatrix.of(np.ones((2, 8), np.float32)), np.ones((1, 2), np.float32)
    for _ in range(2):  # the second product reads the input that the first quantized
        matrix.linear(x, None)
    matrix.lstm(np.ones((1, 1, 8), np.float32), x, x, np.ones((1, 1), bool))
    return variants()


def trained(name, every=1):
    """Train for one epoch on every `every`-th clip of the bundled corpus; return the recognizer and these clips."""
    _, changes = resolve(name)
    clips = corpus(corpus_of(changes["target"]))[::every]
    with warnings.catch_warnings(action="ignore"):  # of classes that these clips lack
        return Recognizer(name, config=changes, epochs=1).fit(clips, progress=False), clips


def variants():
    """Return two sets of (function, signature): the variants of kernels that this process compiled, and read from the cache."""
    counters = [(name, f.stats.cache_misses, f.stats.cache_hits) for name, f in functions().items()]
    return [{(name, str(args)) for name, *both in counters for args in both[i]} for i in range(2)]


def functions():
    """Return {name: function} of all compiled functions whose code is cached."""
    folder = import_module("refmer.kernels").__path__
    modules = [import_module(f"refmer.kernels.{part.name}") for part in iter_modules(folder)]
    modules.append(import_module("refmer.int8.kernels"))
    found = [f for m in modules for f in vars(m).values() if getattr(f, "__module__", "") == m.__name__]
    return {f"{f.__module__}.{f.__name__}": f for f in found if hasattr(f, "stats") and f.stats.cache_path}
