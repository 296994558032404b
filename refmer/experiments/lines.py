"""What the experiments on one task share: rows that learn the same target, their results by row, headings and figure parts."""

from dataclasses import dataclass

from refmer import systems
from refmer.data import targets
from refmer.experiments import figures, protocols
from refmer.experiments.publish import prepare
from refmer.experiments.report import preface, provenance
from refmer.experiments.run import resolve


@dataclass(frozen=True)
class Setup:
    """Rows that learn one target, on one corpus, by one protocol.

    Parameters
    ----------
    rows : dict
        {row: (system, changes to its Config)}.
    target : str
        What all of them learn: "emotion", "sentiment" or "votes".
    plan : protocols.Protocol
    protocol : str
        Its name.
    corpora, data : dict
        The clips and their checksums, by kind.
    """

    rows: dict
    target: str
    plan: protocols.Protocol
    protocol: str
    corpora: dict
    data: dict


def setup(rows, protocol, seeds, corpora):
    """The Setup of an experiment: rows NAME or NAME@TARGET, the rest as for `publish.prepare`.

    Raises
    ------
    KeyError, ValueError
        As `prepare`; an unknown row, rows that learn different targets or no classes.
    """
    rows = {row: resolve(row) for row in rows}
    plan, corpora, data = prepare(rows, protocol, seeds, corpora)
    learned = sorted({changes["target"] for _, changes in rows.values()})
    if len(learned) > 1 or targets.task_of(learned[0]) == "regression":
        raise ValueError(f"the rows learn {', '.join(learned)}; accepted: one of emotion, sentiment, votes (as NAME@TARGET)")
    return Setup(rows, learned[0], plan, protocol, corpora, data)


def about(setup, found):
    """What every results.json says of where its numbers come from."""
    clips = setup.corpora[protocols.corpus_of(setup.target)]
    tested = {cell["seed"]: result["n"] for cell, result in found}
    return provenance(setup.plan, setup.protocol, setup.corpora, setup.data) | {
        "test_clips": [tested[seed] for seed in sorted(tested)],
        "target": setup.target,
        "rows": {row: {"system": s, "config": c, "senses": senses(s, c, clips)} for row, (s, c) in setup.rows.items()},
    }


def senses(system, changes, clips):
    """The senses that a system reads, sorted."""
    module = systems.find(system)
    return sorted({clips.streams[name].sense for name in module.streams(module.Config.tiny(**changes))})


def gather(found, *keys):
    """{row: {cell[key], or a tuple of several: [result of each seed]}}, from cells that come in the order of seeds."""
    table = {}
    for cell, result in found:
        name = cell[keys[0]] if len(keys) == 1 else tuple(cell[key] for key in keys)
        table.setdefault(cell["row"], {}).setdefault(name, []).append(result)
    return table


def heading(title, result):
    """The beginning of results.md: what was run on what, and what each row reads."""
    rows = "\n".join(f"- {row}: reads {', '.join(about['senses'])}" for row, about in result["rows"].items())
    return f"""{preface(title, result)}Target {result["target"]}; test clips: {", ".join(map(str, result["test_clips"]))}.
Each seed has its own split and its own draw of what is disturbed, the same for all rows.

{rows}
"""


def look(i):
    """Colour and marker of the i-th row, the same in every figure."""
    n = len(figures.COLOURS)
    return {"color": figures.COLOURS[i % n], "marker": figures.MARKS[(i // n + i) % len(figures.MARKS)]}


def measured(result):
    """How often, on how many clips: "3 seeds, 48 to 72 test clips each"."""
    n = result["test_clips"]
    clips = f"{min(n)}" if min(n) == max(n) else f"{min(n)} to {max(n)}"
    return f"{len(n)} seeds, {clips} test clips each" if len(n) > 1 else f"one seed, {clips} test clips"
