"""`refmer warm-up`: every kernel compiled ahead, by using it."""

from importlib import import_module
from time import perf_counter

from tqdm import tqdm

from refmer.baselines import BASELINES
from refmer.bench.cases import CASES
from refmer.bench.steps import trained
from refmer.ops import twins
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
    for case in CASES:
        case.make(None).ours()
    compiled, cached = counts()
    print(
        f"{len(twins.TWINS)} kernels, float32: {compiled} variants compiled, {cached} read from the cache, "
        f"{perf_counter() - begin:.1f} s"
    )


def counts():
    """(variants compiled, variants read from the cache) of all kernels, in this process."""
    found = [kernel_of(name).stats for name in twins.TWINS]
    return tuple(sum(sum(getattr(s, which).values()) for s in found) for which in ("cache_misses", "cache_hits"))


def kernel_of(name):
    """The kernel of a twin, by its name in TWINS."""
    module, function = name.split(".")
    return getattr(import_module(f"refmer.kernels.{module}"), function)
