"""`refmer warm-up`: compile every kernel ahead of its first use."""

import warnings
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from time import perf_counter

import numpy as np
from tqdm import tqdm

from refmer.check import as_layer, narrow
from refmer.data.read import load_samples
from refmer.experiments.data import corpus_of
from refmer.experiments.rows import resolve
from refmer.int8 import quantize
from refmer.ops import twins
from refmer.ops.markov import markov
from refmer.proofs import all_cases
from refmer.recognizer import Recognizer
from refmer.systems import BASELINES, SYSTEMS

corpus = lru_cache(load_samples)


def main():
    """Train, predict and quantize every system once and run every proof of an op; print the number of compiled variants."""
    if not twins.kernels_on():
        print("kernels are off (REFMER_KERNELS=0 or NUMBA_DISABLE_JIT=1): nothing to compile")
        return
    import_module("refmer.kernels").ANNOUNCER.printed = True  # the progress bar replaces its line
    begin = perf_counter()
    for name in tqdm((*SYSTEMS, *BASELINES), desc="warm-up", unit="system", disable=None):
        model, clips = trained(name, every=3)
        model.predict(clips[:2])
        if name in SYSTEMS:
            quantize(model).predict(clips[:2])
    for case in all_cases():
        if case.kind == "op":
            y, backward = as_layer(case.f, *narrow(case.inputs), **narrow(case.options))
            backward(np.ones_like(y))
    markov(np.zeros((2, 1)), np.zeros((1, 1), bool), 0.5, 0.5)  # of corruptions, in float64
    result = variants()
    compiled, cached = np.sum(list(result.values()), axis=0)
    print(
        f"{len(twins.TWINS)} kernels and the integer ones, float32: {compiled} variants compiled, "
        f"{cached} read from the cache, {perf_counter() - begin:.1f} s"
    )
    if unreached := [name for name in twins.TWINS if not sum(result.get(f"refmer.kernels.{name}", (1, 0)))]:
        print(f"not compiled: {', '.join(unreached)}")


def trained(name, every=1):
    """Train for one epoch on every `every`-th clip of the bundled corpus; return the recognizer and these clips."""
    _, changes = resolve(name)
    clips = corpus(corpus_of(changes["target"]))[::every]
    with warnings.catch_warnings(action="ignore"):  # of classes that these clips lack
        return Recognizer(name, config=changes, epochs=1).fit(clips, progress=False), clips


def variants():
    """Return {function: (variants compiled, variants read from the cache)} of all kernels in this process."""
    folder = import_module("refmer.kernels").__path__
    modules = [import_module(f"refmer.kernels.{part.name}") for part in iter_modules(folder)]
    modules.append(import_module("refmer.int8.kernels"))
    functions = [f for m in modules for f in vars(m).values() if getattr(f, "__module__", "") == m.__name__]
    return {
        f"{f.__module__}.{f.__name__}": (sum(f.stats.cache_misses.values()), sum(f.stats.cache_hits.values()))
        for f in functions
        if hasattr(f, "stats") and f.stats.cache_path
    }
