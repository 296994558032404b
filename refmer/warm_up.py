"""`refmer warm-up`: every kernel compiled ahead, by using it."""

from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from time import perf_counter

import numpy as np
from tqdm import tqdm

from refmer.check import as_layer, narrow
from refmer.data.read import load_samples
from refmer.experiments.protocols import corpus_of
from refmer.experiments.run import resolve
from refmer.int8 import quantize
from refmer.ops import twins
from refmer.proofs import all_cases
from refmer.recognizer import Recognizer
from refmer.systems import BASELINES, SYSTEMS

corpus = lru_cache(load_samples)


def main():
    """Compile, and say what was done."""
    if not twins._on:
        print("kernels are off (REFMER_KERNELS=0 or NUMBA_DISABLE_JIT=1): nothing to compile")
        return
    import_module("refmer.kernels").ANNOUNCER.said = True  # the bar says it here
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
    compiled, cached = counts()
    print(
        f"{len(twins.TWINS)} kernels and the integer ones, float32: {compiled} variants compiled, "
        f"{cached} read from the cache, {perf_counter() - begin:.1f} s"
    )


def trained(name, every=1):
    """Train for one epoch on every `every`-th clip of the bundled corpus; returns the recognizer and these clips."""
    _, changes = resolve(name)
    clips = corpus(corpus_of(changes["target"]))[::every]
    return Recognizer(name, config=changes).fit(clips, epochs=1, progress=False), clips


def counts():
    """(variants compiled, variants read from the cache) of everything compiled here, in this process."""
    folder = import_module("refmer.kernels").__path__
    modules = [import_module(f"refmer.kernels.{part.name}") for part in iter_modules(folder)]
    modules.append(import_module("refmer.int8.kernels"))
    functions = [f for m in modules for f in vars(m).values() if getattr(f, "__module__", "") == m.__name__]
    found = [f.stats for f in functions if hasattr(f, "stats") and f.stats.cache_path]
    return tuple(sum(sum(getattr(s, which).values()) for s in found) for which in ("cache_misses", "cache_hits"))
