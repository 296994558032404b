"""The training of each paper: `paper` as stated there (or in its authors' code, where noted); `tiny` is ours."""

from dataclasses import dataclass, replace

from refmer.choices import ABOVE_0, RATE, check_fields
from refmer.train.schedules import SCHEDULES


@dataclass(frozen=True)
class Recipe:
    """An optimizer, its schedule and a stopping rule.

    Parameters
    ----------
    lr : float
        Learning rate of the first epoch.
    epochs, batch : int
    updates : int, optional
        Largest number of updates of the parameters: where an epoch has many, there are fewer epochs.
    schedule : "constant", "cosine", "step" or "plateau"
        See train/schedules.py. Cosine ends at `floor`; step multiplies by `factor` from epoch `start` (from 1) every `every`
        epochs; plateau multiplies by `factor` after `every` epochs without a better development loss.
    weight_decay : float
        Decoupled decay of AdamW; with `coupled`, L2 of Adam (added to the gradient).
    betas : (float, float)
    clip : float
        Largest norm of the gradient.
    decayed : "all" or "matrices"
        Parameters that the decoupled decay shrinks: all, or arrays of two and more axes outside gates.
    gate_rate : float
        Factor on the learning rate of the parameters of gates.
    patience : int
        Epochs without a better development loss before training stops.
    keep : "best" or "last"
        The epoch that is kept: the one with the smallest development loss, or the last one (`patience` is not used).
    """

    lr: float
    epochs: int
    schedule: str = "constant"
    floor: float = 0.0
    factor: float = 1.0
    start: int = 1
    every: int = 1
    batch: int = 32
    updates: int | None = None
    weight_decay: float = 0.0
    coupled: bool = False
    decayed: str = "all"
    gate_rate: float = 1.0
    betas: tuple[float, ...] = (0.9, 0.999)
    clip: float = float("inf")
    patience: int = 20
    keep: str = "best"

    def __post_init__(self):
        clip = (lambda x: x > 0, "numbers above 0, infinity too")
        choices = {"schedule": SCHEDULES, "decayed": ("all", "matrices"), "keep": ("best", "last")}
        check_fields(self, choices, {"lr": ABOVE_0, "clip": clip, "betas": RATE, "gate_rate": ABOVE_0})

    def on(self, clips):
        """Return the recipe with the epochs that `updates` allows on this number of training clips, at least one."""
        if self.updates is None:
            return self
        return replace(self, epochs=min(self.epochs, max(self.updates // -(-clips // self.batch), 1)))


LAST = {"schedule": "cosine", "floor": 1e-5, "clip": 1.0, "keep": "last"}
DECAY = LAST | {"weight_decay": 1.0, "decayed": "matrices"}
PAPER_000 = Recipe(5e-5, 200, "cosine", floor=1e-6, weight_decay=0.01, clip=1.0, patience=200)
RECIPES = {
    "paper-000": {  # rate and cosine from the paper, the rest from its authors' code
        "paper": PAPER_000,
        "tiny": Recipe(2e-3, 24, gate_rate=10.0, **DECAY),
    },
    "baselines": {  # of paper 000, which names no training of theirs: more epochs, as they see no copies
        "paper": PAPER_000,
        "tiny": Recipe(2e-3, 60, **DECAY),
    },
    "paper-001": {  # Adam, early stopping; epochs and patience are not stated
        "paper": Recipe(lr=1e-4, epochs=100, weight_decay=1e-4, coupled=True),
        "tiny": Recipe(4e-3, 40, updates=576, **DECAY),
    },
    "paper-002": {  # decay and clipping from the authors' code
        "paper": Recipe(lr=7.25e-4, epochs=25, schedule="plateau", factor=0.1, every=5, clip=0.8),
        "tiny": Recipe(2e-3, 30, batch=16, updates=960, **LAST | {"clip": 0.8}),
    },
    "paper-003": {
        "paper": Recipe(1e-4, 30, "step", factor=0.9, start=15, every=5, batch=16, weight_decay=1e-5, coupled=True),
        "tiny": Recipe(4e-3, 60, batch=16, updates=960, **DECAY | {"weight_decay": 0.3}),
    },
    "paper-004": {
        "paper": Recipe(lr=1e-5, epochs=60, weight_decay=5e-7, betas=(0.95, 0.999)),
        "tiny": Recipe(2e-3, 30, batch=16, updates=960, betas=(0.95, 0.999), **DECAY),
    },
}
