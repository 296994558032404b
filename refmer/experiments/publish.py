"""How an experiment begins and ends: its protocol and corpora; its results.json, results.md and figures."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from refmer.data.files import write_text
from refmer.experiments import cells, figures, protocols
from refmer.experiments.run import load_corpora


def prepare(rows, protocol, seeds, corpora):
    """(plan, corpora, their checksums) of an experiment.

    Parameters
    ----------
    rows : {row: (system, changes to its Config)}
    protocol : str
        Name in protocols.PROTOCOLS.
    seeds : int, optional
        Default: the protocol's number.
    corpora : {kind: Clips}, optional
        Instead of the bundled ones.

    Raises
    ------
    KeyError, ValueError
        An unknown protocol; no row, or seeds below 1.
    """
    plan = protocols.find(protocol)
    plan = plan if seeds is None else replace(plan, seeds=seeds)
    if not rows or plan.seeds < 1:
        raise ValueError(f"rows are {list(rows)}, seeds {plan.seeds}; accepted: at least one of each")
    corpora = load_corpora(rows) if corpora is None else corpora
    return plan, corpora, {kind: cells.checksum(clips) for kind, clips in corpora.items()}


def provenance(plan, protocol, corpora, data):
    """What every results.json says about itself."""
    about = {
        kind: {"source": c.source, "checksum": data[kind], "clips": len(c), "speakers": len(np.unique(c.speaker))}
        for kind, c in corpora.items()
    }
    return {"data": about, "versions": cells.VERSIONS, "protocol": protocol, "seeds": list(range(plan.seeds))}


def preface(title, result):
    """The head of every results.md."""
    n = len(result["seeds"])
    over = f"mean ± standard deviation over {n} seeds, shared by all rows" if n > 1 else "one seed"
    data = "\n".join(
        f"- {kind}: {d['source']} ({d['clips']} clips, {d['speakers']} speakers, checksum {d['checksum']})"
        for kind, d in result["data"].items()
    )
    return f"""# {title}

{data}

The data are **synthetic**: the numbers compare mechanisms, they say nothing about real people and are not the published ones.
Protocol {result["protocol"]}, {over}.
"""


def publish(out, result, text, drawn):
    """Write results.json, results.md and figures/NAME.png of every figure in `drawn` {NAME: Figure}."""
    write_text(Path(out) / "results.json", cells.dump(result))
    write_text(Path(out) / "results.md", text)
    folder = Path(out) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        figures.save(figure, folder / f"{name}.png")
