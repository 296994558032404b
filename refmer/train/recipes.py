"""How each paper trains. `paper` is what it states (or its authors' code does, where that is said); `tiny` is ours."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """An optimizer, its schedule and when to stop.

    Parameters
    ----------
    lr : float
        Learning rate of the first epoch.
    epochs, batch : int
    schedule : "constant", "cosine", "step" or "plateau"
        See train/schedules.py. Cosine ends at `floor`; step multiplies by `factor` from epoch `start` (from 1) every `every`
        epochs; plateau multiplies by `factor` after `every` epochs without a better development loss.
    weight_decay : float
        AdamW's decoupled decay, or with `coupled` Adam's L2 (added to the gradient).
    betas : (float, float)
    clip : float
        Largest norm of the gradient.
    patience : int
        Epochs without a better development loss before stopping; the best epoch's parameters are kept.
    """

    lr: float
    epochs: int
    schedule: str = "constant"
    floor: float = 0.0
    factor: float = 1.0
    start: int = 1
    every: int = 1
    batch: int = 32
    weight_decay: float = 0.0
    coupled: bool = False
    betas: tuple = (0.9, 0.999)
    clip: float = float("inf")
    patience: int = 20

    def __post_init__(self):
        object.__setattr__(self, "betas", tuple(self.betas))  # a list, where it comes from JSON


def _adamw_cosine(**changes):
    return Recipe(
        **{"schedule": "cosine", "floor": 1e-5, "weight_decay": 0.01, "clip": 1.0, "epochs": 60, "lr": 2e-3} | changes
    )


RECIPES = {
    "paper-000": {  # the paper gives the rate and the cosine, its authors' code the rest
        "paper": _adamw_cosine(lr=5e-5, floor=1e-6, epochs=200, patience=200),
        "tiny": _adamw_cosine(),
    },
    "paper-001": {  # Adam, early stopping; how many epochs and what patience are not stated
        "paper": Recipe(lr=1e-4, epochs=100, weight_decay=1e-4, coupled=True),
        "tiny": Recipe(lr=2e-3, epochs=30, weight_decay=1e-4, coupled=True, clip=1.0, patience=8),
    },
    "paper-002": {  # decay and clipping from the authors' code
        "paper": Recipe(lr=7.25e-4, epochs=25, schedule="plateau", factor=0.1, every=5, clip=0.8),
        "tiny": Recipe(lr=2e-3, epochs=25, schedule="plateau", factor=0.1, every=5, clip=0.8, patience=8),
    },
    "paper-003": {
        "paper": Recipe(
            lr=1e-4, epochs=30, schedule="step", factor=0.9, start=15, every=5, batch=16, weight_decay=1e-5, coupled=True
        ),
        "tiny": Recipe(
            lr=5e-3,
            epochs=20,
            schedule="step",
            factor=0.9,
            start=15,
            every=5,
            batch=4,
            weight_decay=1e-5,
            coupled=True,
            clip=1.0,
            patience=8,
        ),
    },
    "paper-004": {
        "paper": Recipe(lr=1e-5, epochs=60, weight_decay=5e-7, betas=(0.95, 0.999)),
        "tiny": Recipe(lr=2e-3, epochs=30, weight_decay=5e-7, betas=(0.95, 0.999), clip=1.0, patience=8),
    },
}
