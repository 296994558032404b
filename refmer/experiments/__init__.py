"""The papers' protocols: tables, curves, claims, figures.

Each experiment has a record here, and `refmer.experiments.run.run` runs it by its name.
"""

from dataclasses import dataclass
from importlib import import_module

CLASSES = ("classes", "votes", "ordinal")
BOTH = {"data": True, "kinds": CLASSES, "one_label": True, "senses": ("voice", "face")}


@dataclass(frozen=True)
class Experiment:
    """An experiment: its command, and what it needs of `run`.

    The module of the same name ("_" for "-") defines
    rows(quick, ...) -> {row: (system, changes to its Config)}, from the experiment's own options;
    trainings(setup) -> tuples (row, (system, changes), [a dict for each measurement of the trained model]);
    measure(model, cell, train, test) -> the result of one cell, as JSON;
    summary(setup, results) -> the contents of results.json, from [(cell, result)];
    markdown(result) -> results.md;   draw(result) -> {name: Figure}.
    """

    name: str
    help: str
    options: tuple = ("rows", "protocol")  # own options on the command line
    protocol: str = "default"
    seeds: int | None = None  # without a protocol that the user names; None: the protocol's number
    least_seeds: int = 1
    quick_seeds: int = 1
    folder: str | None = None  # default folder of the command; None: refmer-NAME
    data: bool = False  # runs on data that the user names
    kinds: tuple = (*CLASSES, "regression")  # of labels that the rows may learn
    one_label: bool = False  # the same for all rows
    senses: tuple = ()  # that the clips have

    @property
    def module(self):
        """The module of the experiment's own functions, imported when it is needed."""
        return import_module(f"refmer.experiments.{self.name.replace('-', '_')}")


# fmt: off
EXPERIMENTS = {e.name: e for e in (
    Experiment("compare", "train systems, break their inputs, report what is left: the main job", folder="refmer-results",
               seeds=2, data=True),  # in minutes; differences are tested with --seeds 5
    Experiment("curves", "scores against missing frames and noise (002, Fig. 5)", quick_seeds=2, **BOTH),
    Experiment("packet-loss", "scores under bursty loss (004, Fig. 5)", quick_seeds=2, **BOTH),
    Experiment("missing", "a modality gone, standard against optimized training (002, Tables 1-2)",
               protocol="002", quick_seeds=2, **BOTH),
    Experiment("ablate", "a system without each of its parts (the papers' ablation tables)", ("system", "protocol"),
               seeds=5, quick_seeds=2),
    Experiment("calibration", "Brier score, calibration error, reliability (004, Table 4)", data=True, kinds=CLASSES),
    Experiment("gates", "trust over time while a sensor fails (000, Fig. 3)", ("protocol",), data=True),
    Experiment("traces", "valence and arousal over time (003, Figs 5 and 9)", ("protocol",)),
    Experiment("mechanisms", "what each paper's mechanism does, beside its control", ("protocol",), seeds=5, least_seeds=2,
               quick_seeds=2),
    Experiment("claims", "what five papers claim, and what holds here", (), seeds=5, least_seeds=2, quick_seeds=2),
)}
