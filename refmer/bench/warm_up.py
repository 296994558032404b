"""`refmer warm-up`: every kernel compiled ahead, by using it."""

from importlib import import_module
from pkgutil import iter_modules
from time import perf_counter

import numpy as np
from tqdm import tqdm

from refmer.baselines import BASELINES
from refmer.bench.cases import CASES
from refmer.bench.steps import trained
from refmer.check import as_layer, narrow
from refmer.ops import twins
from refmer.proofs import all_cases
from refmer.quantize import quantize
from refmer.systems import SYSTEMS


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
    for case in CASES:
        case.make(None).ours()
    for case in all_cases():
        if case.kind == "op":
            y, backward = as_layer(case.f, *narrow(case.inputs), **narrow(case.options))
            backward(np.ones_like(y))
    compiled, cached = counts()
    print(
        f"{len(twins.TWINS)} kernels and the integer ones, float32: {compiled} variants compiled, "
        f"{cached} read from the cache, {perf_counter() - begin:.1f} s"
    )


def counts():
    """(variants compiled, variants read from the cache) of everything compiled here, in this process."""
    folder = import_module("refmer.kernels").__path__
    modules = [import_module(f"refmer.kernels.{part.name}") for part in iter_modules(folder)]
    modules.append(import_module("refmer.quantize.kernels"))
    functions = [f for m in modules for f in vars(m).values() if getattr(f, "__module__", "") == m.__name__]
    found = [f.stats for f in functions if hasattr(f, "stats") and f.stats.cache_path]
    return tuple(sum(sum(getattr(s, which).values()) for s in found) for which in ("cache_misses", "cache_hits"))
