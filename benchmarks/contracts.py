"""Time of the check of an operation's arguments: `python benchmarks --contracts`."""

from statistics import median
from time import process_time
from timeit import repeat

import numpy as np

from fuzz import functions
from refmer.proofs.arguments import draw
from refmer.text import table

CALLS, REPEATS = 2000, 9


def run():
    """Return the table of all contracts, the slowest first: microseconds of one check, the median of 9 runs."""
    rows = []
    for f in functions():
        values = draw(f.contract, np.random.default_rng(0), np.float32)
        values = [values.get(name, p.default) for name, p in f.contract.parameters.items()]
        check = f.contract.check
        seconds = (
            median(repeat(lambda check=check, values=values: check(*values), timer=process_time, number=CALLS, repeat=REPEATS))
            / CALLS
        )
        rows.append([f"{f.__module__.rpartition('.')[2]}.{f.__name__}", seconds * 1e6])
    rows.sort(key=lambda row: -row[1])
    return table(["operation", "us a check"], [[name, f"{us:.2f}"] for name, us in rows], [1], markdown=False)
