"""The machine that a time was measured on, and its best rates."""

import os
import platform
import re
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np
from threadpoolctl import threadpool_info

SIDE = 1024  # of the square matrices whose product is the limit of arithmetic
REPEATS = 7
VECTORS = re.compile(r"fma|avx|avx2|avx512\w*|amx\w*|neon|asimd|sve2?")


def describe(threads):
    """Return lines of text: the processor, its vector instructions, the versions, the threads."""
    name, flags = processor()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    blas = {
        f"{b['internal_api']} {b['version']} ({b.get('architecture', '?')})"
        for b in threadpool_info()
        if b["user_api"] == "blas"
    }
    return [
        f"processor  {name}, {cores} cores",
        f"vectors    {' '.join(flags) or 'unknown'}",
        f"software   {', '.join(f'{p} {version_of(p)}' for p in ('numpy', 'numba', 'torch'))}; BLAS: {', '.join(sorted(blas))}",
        f"threads    {threads}",
    ]


def processor():
    """Return the processor's name and its vector instructions, from the operating system or else from NumPy."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine(), np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    name = re.search(r"^(?:model name|Hardware)\s*:\s*(.*)", text, re.M)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.*)", text, re.M)
    return name[1] if name else platform.machine(), [f for f in (flags[1].split() if flags else []) if VECTORS.fullmatch(f)]


def version_of(package):
    """Return the version of an installed package, or "-"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


def clock(threads):
    """Return the clock: CPU time for one thread, independent of other processes; wall time for more threads."""
    return process_time if threads == 1 else perf_counter


@lru_cache
def product_rate(threads):
    """Return the floating-point operations per second of NumPy's product of two float32 matrices."""
    a = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    out = np.empty_like(a)
    return 2 * SIDE**3 / typical(lambda: np.matmul(a, a, out), clock(threads))


@lru_cache
def copy_rate(size, threads):
    """Return the bytes per second, read and written, of copying half of `size` bytes to the other half."""
    a = np.ones(max(size // 2, 1), np.uint8)
    b = a.copy()
    calls = max(1, 2**22 // len(a))  # small copies many times: the clock is too coarse for one

    def copies():
        for _ in range(calls):
            np.copyto(b, a)

    return 2 * len(a) * calls / typical(copies, clock(threads))


def typical(f, now):
    """Return the median seconds of REPEATS calls, after two untimed ones."""
    times = []
    for _ in range(REPEATS + 2):
        start = now()
        f()
        times.append(now() - start)
    return median(times[2:])
