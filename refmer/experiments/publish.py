"""How an experiment begins and ends: its protocol and corpora; its results.json, results.md and figures."""

from dataclasses import replace
from pathlib import Path

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


def publish(out, result, text, drawn):
    """Write results.json, results.md and figures/NAME.png of every figure in `drawn` {NAME: Figure}."""
    write_text(Path(out) / "results.json", cells.dump(result))
    write_text(Path(out) / "results.md", text)
    folder = Path(out) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        figures.save(figure, folder / f"{name}.png")
