"""`refmer params`: the size of every system and baseline, counted from its description, next to the published number."""

import json
import sys

from refmer import params, systems
from refmer.count import count, example
from refmer.systems import BASELINES
from refmer.text import table


def sizes():
    """{variant: {"parameters", "published", "parts", "macs", "memory_bytes"}} of every published size; no array is made.

    macs and memory (input, activations, weights in float32) are those of one published clip in inference (refmer/count.py).
    """
    result = {}
    for name in (*systems.SYSTEMS, *BASELINES):
        system = systems.find(name)
        for label, (changes, published) in system.VARIANTS.items():
            config = system.Config.paper(**changes)
            description = system.describe(config)
            batch = example(system, config)
            macs, numbers = count(system, config, batch)
            numbers += sum(x.size for x in batch.values() if x.dtype.kind == "f")
            n = params.count(description)
            result[label] = {
                "parameters": n,
                "published": published,
                "parts": {part: params.count(sub) for part, sub in description.items()},
                "macs": macs,
                "memory_bytes": 4 * (numbers + n),
            }
    return result


def main(as_json=False, out=None):
    """Print the sizes as a table or as JSON."""
    result, out = sizes(), out or sys.stdout
    if as_json:
        print(json.dumps(result, indent=1), file=out)
        return
    rows = []
    for label, size in result.items():
        n, published = size["parameters"], size["published"]
        verdict = "" if published is None else "exact" if n == published else f"unresolved, {n - published:+,}"
        cost = (f"{size['macs'] / 1e6:,.1f}", f"{size['memory_bytes'] / 1e6:,.1f}")
        rows.append([label, f"{n:,}", "" if published is None else f"{published:,}", verdict, *cost, parts(size["parts"])])
    print(table(["system", "parameters", "published", "match", "million MAC", "MB", "parts"], rows), file=out)


def parts(counts):
    """The parts, largest first."""
    return ", ".join(f"{part} {n:,}" for part, n in sorted(counts.items(), key=lambda item: -item[1]) if n)
