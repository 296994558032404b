"""The mechanism of each paper at work, beside its control: a figure, and numbers that are above 0 if it does what it is for.

A module per paper defines
ROWS: {row: (system, changes to its Config)};
measure(model, train, test, seed) -> {name: number};
NUMBERS: {text: (function, ((row, name), ...))}, the function from the values of the seeds (n,) to effects (n,);
NOTE: what is measured, in a sentence or two;   draw(values, caption) -> Figure, from {(row, name): spread}.
The gate of paper 000 has an experiment of its own, `gates`.
"""

import numpy as np

from refmer.evaluate.statistics import spread, verdicts
from refmer.experiments import report
from refmer.experiments.mechanisms import paper001, paper002, paper003, paper004
from refmer.experiments.rows import with_target
from refmer.text import table

PAPERS = {"001": paper001, "002": paper002, "003": paper003, "004": paper004}


def rows(quick):
    """The models of all papers."""
    return {row: with_target(*resolved) for paper in PAPERS.values() for row, resolved in paper.ROWS.items()}


def trainings(setup):
    """Each row with the measures of its paper."""
    return [(row, setup.rows[row], [{"kind": k}]) for k, paper in PAPERS.items() for row in paper.ROWS]


def measure(model, cell, train, test):
    """The numbers of one trained model."""
    return PAPERS[cell["kind"]].measure(model, train, test, cell["seed"]) | {"n": len(test)}


def summary(setup, results):
    """For each paper its values by row, and its numbers with interval and verdict, adjusted over them (Holm)."""
    papers = {}
    for k, paper in PAPERS.items():
        seeds = {}
        for cell, result in results:
            if cell["kind"] == k:
                seeds.setdefault(cell["row"], []).append(result)
        values = {row: {name: [r[name] for r in each] for name in each[0]} for row, each in seeds.items()}
        clips = next(iter(values.values()))["n"]
        effects = {
            text: function(*(np.array(values[row][name]) for row, name in operands))
            for text, (function, operands) in paper.NUMBERS.items()
        }
        papers[k] = {
            "rows": {row: {name: spread(v) for name, v in by.items() if name != "n"} for row, by in values.items()},
            "numbers": verdicts(effects, 0.0, test_per_train=setup.plan.test_per_train),
            "test_clips": clips,
        }
    return report.provenance(setup) | {"papers": papers}


def markdown(result):
    """results.md: a table of numbers per paper."""
    text = report.preface("The mechanisms, seen", result)
    text += """
An effect above 0 says that the mechanism does what it is for, beyond its control. Effects are paired by seed, in the unit of
the score (0.01 is a point); 95 % intervals are corrected for splits that overlap (Nadeau and Bengio), p for the numbers of a
paper (Holm). Detectable: the effect that would be found in 80 % of repetitions.
"""
    for k, paper in result["papers"].items():
        text += f"""
## Paper {k}

{PAPERS[k].NOTE} Test set: {report.counts(paper["test_clips"])} clips.

{table_of_numbers(paper["numbers"])}
"""
    return text


def table_of_numbers(numbers):
    """The numbers of a paper with their verdicts."""
    head = ["number", "effect", "95 % interval", "p", "p reversed", "detectable", "verdict"]
    return table(head, [[name, *entries(x)] for name, x in numbers.items()])


def entries(x):
    """The entries of one number in its table."""
    low, high = x["interval"]
    detectable = "-" if x["detectable"] is None else f"{x['detectable']:.3f}"
    effect, interval = f"{x['effect']['mean']:+.3f}", f"[{low:+.3f}, {high:+.3f}]"
    return [effect, interval, f"{x['p']:.3f}", f"{x['p_reversed']:.3f}", detectable, x["verdict"]]


def draw(result):
    """A figure per paper."""
    figures = {}
    for k, paper in result["papers"].items():
        values = {(row, name): v for row, by in paper["rows"].items() for name, v in by.items()}
        n, seeds = report.counts(paper["test_clips"]), len(result["seeds"])
        caption = f"mean and standard deviation over {seeds} seeds, {n} test clips each ({report.origin(result)})"
        figures[f"mechanism-{k}"] = PAPERS[k].draw(values, caption)
    return figures
