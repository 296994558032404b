"""The table of times: measurement, text and JSON.

The sides of a row are "numpy" (the definitions), "kernel" (the default of refmer), and where PyTorch is importable "torch" and,
with an optimizer, "fused" (PyTorch with its fused AdamW).
"""

import json
from contextlib import nullcontext
from statistics import median
from time import perf_counter, sleep
from typing import NamedTuple

from threadpoolctl import threadpool_limits
from tqdm import tqdm

import hardware
from cases import CASES
from integer import INTEGER
from refmer.data.files import write_text
from refmer.ops.twins import kernels
from refmer.text import table
from steps import PUBLISHED, STEPS, STREAMS

SECONDS = {False: 1.6, True: 12.0}  # for a row; True: a training step
QUICK = {False: 0.15, True: 1.5}
ROUNDS = 9  # that the seconds are divided into
LEAST_ROUNDS = 3
REST = 0.06  # seconds between sides with several threads, after which spinning pools sleep
LEAST = 5e-6  # seconds: the cost of a call from Python; a lower limit means nothing
GUIDE = """\
Medians of calls in turn with the other columns, forward and backward, float32; CPU time with one thread, else wall time.
NumPy: the definitions; kernel: the default of refmer; PyTorch: eager, with autograd. "limit" is the kernels' share of the
machine's best rate: the multiply-adds of matrix products at the rate of a large one ("product"), or the bytes at the rate of
copying as many ("copy"), whichever takes longer; empty if that is below 5 us, the cost of a call.
Ratios above 1: the kernels are faster.
Shapes: lstm (B, T, D, H), conv1d (B, C, T), attention (B, T, C, heads), step (clips, parameters), stream (frames,
parameters).
A step is one of refmer.train.fit on the bundled corpus: augmentation (in NumPy for PyTorch too), forward, loss, backward,
clipping, AdamW (Adam, where the recipe couples the decay), at rate 0, so that every call does the same work. One of a
published size ("step:raver:paper", only if named) reads noise in the shape of published clips; images have nine patches,
AuxFormer's token is the mean, and the residual of TLAB-JCA its input, as in the tiny sizes: PyTorch's models have no other.
In rows with ":fused" PyTorch has its fused optimizer. A stream is one step of Recognizer.stream (forward only), every 0.4 s
of frames on a window of 2 s. int8 is at batch 1: a chain of six layers beside ONNX Runtime (dynamic quantization), and the
prediction of a system for one clip beside that in float32, both in the column of PyTorch. Kernels have one thread; BLAS and
PyTorch have the threads stated."""


class Row(NamedTuple):
    """Seconds of one call by side; least seconds of the machine, and the bound: "product", "copy" or ""."""

    name: str
    shape: tuple
    seconds: dict
    best: float | None
    bound: str


def bench(threads=1, quick=False, only=None):
    """Measure the rows of the table.

    Parameters
    ----------
    threads : int
        Of BLAS and of PyTorch; the kernels have one.
    quick : bool
        Half a minute instead of two.
    only : iterable of str, optional
        Names of rows: "lstm", "step:raver", ... Default: all but the published sizes, which take minutes each.

    Returns
    -------
    list of Row

    Raises
    ------
    ValueError
        If a row does not exist, or `threads` is below 1.
    """
    if threads < 1:
        raise ValueError(f"threads is {threads}; accepted: 1 or more")
    cases = [*CASES, *STEPS, *STREAMS, *INTEGER, *PUBLISHED]
    names = list(dict.fromkeys(c.name for c in cases))
    if unknown := set(only or ()) - set(names):
        raise ValueError(f"no rows are called {', '.join(sorted(unknown))}; accepted: {', '.join(names)}")
    cases = [c for c in cases if (c not in PUBLISHED if only is None else c.name in only)]
    torch, budget, rows = pytorch(threads), QUICK if quick else SECONDS, []
    with threadpool_limits(threads), tqdm(total=len(cases), desc="bench", unit="row", disable=None) as bar:
        for c in cases:
            work = c.make(torch)
            sides = {"numpy": work.ours, "kernel": work.ours} | work.torch
            seconds = medians(sides, budget[c.name.startswith("step:")], threads)
            rows += parts(c.name, work, seconds, threads)
            bar.update()
    return rows


def pytorch(threads):
    """Return PyTorch with so many threads, or None if it cannot be imported."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(threads)
    return torch


def medians(sides, seconds, threads):
    """Return {side: seconds of one call}, medians of blocks of calls in turn, the order reversed each round.

    Two untimed calls precede each block. Rounds go on until `seconds` have passed, for LEAST_ROUNDS at least.
    """
    now, rest = hardware.clock(threads), REST if threads > 1 else 0.0
    calls = {side: calls_in(seconds / ROUNDS / len(sides), side, f) for side, f in sides.items()}
    times, order, end = {side: [] for side in sides}, list(sides), perf_counter() + seconds
    while len(times[order[0]]) < LEAST_ROUNDS or perf_counter() < end:
        for side in order:
            sleep(rest)
            times[side].append(block(side, sides[side], calls[side], now, warm=2))
        order.reverse()
    return {side: median(values) for side, values in times.items()}


def block(side, f, calls, now, warm):
    """Return the seconds per call of a block of calls."""
    with kernels(False) if side == "numpy" else nullcontext():
        for _ in range(warm):
            f()
        start = now()
        for _ in range(calls):
            f()
        return (now() - start) / calls


def calls_in(seconds, side, f):
    """Return the number of calls, at least 1, that take so many seconds of wall time."""
    block(side, f, 1, perf_counter, warm=2)  # compiles
    return max(1, round(seconds / block(side, f, 3, perf_counter, warm=0)))


def parts(name, work, seconds, threads):
    """Return the Row of a case; with a fused optimizer also NAME:fused, with its time in PyTorch's place."""
    ours = {side: seconds[side] for side in ("numpy", "kernel")}
    limit = limits(work, threads)
    rows = [Row(name, work.shape, ours | {"torch": seconds.get("torch")}, *limit)]
    if "fused" in seconds:
        rows.append(Row(f"{name}:fused", work.shape, ours | {"torch": seconds["fused"]}, *limit))
    return rows


def limits(work, threads):
    """Return (least seconds of the machine, "product" or "copy"), or (None, "") if they are below the cost of a call."""
    product = work.flops / hardware.product_rate(threads) if work.flops else 0.0
    copy = work.bytes / hardware.copy_rate(int(work.bytes), threads) if work.bytes else 0.0
    best = max(product, copy)
    return (best, "product" if product >= copy else "copy") if best >= LEAST else (None, "")


def as_json(rows, threads):
    """Return a JSON list; times in seconds, null without PyTorch."""
    entries = [
        {
            "name": row.name,
            "shape": row.shape,
            "threads": threads,
            **{f"{side}_s": s for side, s in row.seconds.items()},
            "ratio_to_torch": ratio(row, "torch"),
        }
        for row in rows
    ]
    return json.dumps(entries, indent=1)


def ratio(row, side):
    """Return the time of a side over that of the kernel, or None."""
    return None if row.seconds[side] is None else row.seconds[side] / row.seconds["kernel"]


def as_text(rows, threads):
    """Return the machine, the table, and the meaning of its columns."""
    head = ["", "shape", "NumPy", "kernel", "PyTorch", "NumPy/kernel", "PyTorch/kernel", "limit", ""]
    body = []
    for row in rows:
        times = [duration(row.seconds[side]) for side in ("numpy", "kernel", "torch")]
        ratios = ["-" if r is None else f"{r:.2f}" for r in (ratio(row, "numpy"), ratio(row, "torch"))]
        share = "" if row.best is None else f"{row.best / row.seconds['kernel']:.0%}"
        body.append([row.name, " x ".join(map(str, row.shape)), *times, *ratios, share, row.bound])
    product, copy = hardware.product_rate(threads), hardware.copy_rate(2**28, threads)
    rates = f"limits     {product / 1e9:.0f} GF/s (product of matrices of 1024), {copy / 1e9:.1f} GB/s (copy of 128 MB)"
    lines = [*hardware.describe(threads), rates, "", table(head, body, range(2, 8), markdown=False), "", GUIDE]
    if hardware.version_of("torch") == "-":
        lines.append("PyTorch is not installed: its columns are empty. `pip install torch` fills them.")
    return "\n".join(lines)


def duration(seconds):
    """Return a time in microseconds or milliseconds, three digits."""
    if seconds is None:
        return "-"
    number, unit = (seconds * 1e6, "us") if seconds < 1e-3 else (seconds * 1e3, "ms")
    return f"{number:.{max(0, 2 - len(str(int(number))) + 1)}f} {unit}"


def main(threads=1, quick=False, as_list=False, out=None, only=None):
    """`python benchmarks`."""
    rows = bench(threads, quick, only)
    text = (as_json if as_list else as_text)(rows, threads)
    print(text)
    if out is not None:
        write_text(out, text + "\n")
