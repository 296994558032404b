"""How each paper trains. `paper` is what it states (or its authors' code does, where that is said); `tiny` is ours."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """An optimizer, its schedule and when to stop.

    Parameters
    ----------
    lr, floor : float
        First learning rate, and the last one of the cosine.
    epochs, batch : int
    weight_decay, clip : float
        Decoupled decay (AdamW); largest norm of the gradient.
    patience : int
        Epochs without a better development loss before stopping; the best epoch's parameters are kept.
    """

    lr: float
    epochs: int
    floor: float = 0.0
    batch: int = 32
    weight_decay: float = 0.01
    clip: float = 1.0
    patience: int = 20


RECIPES = {
    "paper-000": {  # the paper gives the rate and the cosine, its authors' code the rest
        "paper": Recipe(lr=5e-5, floor=1e-6, epochs=200, patience=200),
        "tiny": Recipe(lr=2e-3, floor=1e-5, epochs=60),
    },
}
