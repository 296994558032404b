"""The protocol of a system: the base of its `Config`, and the default of every function that its module does not define.

A module of refmer/systems or refmer/baselines defines

- `Config(Config)`: a frozen dataclass of widths and switches with `TINY` and `PAPER`, the fields in which these sizes differ
  from its defaults, `ACCEPTED`, the values of its switches, and `RANGES`, of fields whose range is not that of their type in
  choices.py; `target` names the label that is learned (data/labels.py);
- `MODALITIES`: {modality: usual names of its streams};
- `RECIPE`: the name of a training recipe (train/recipes.py);
- `VARIANTS`: its published sizes, {label: (changes to Config.paper(), published number of parameters or None)};
- `example(config)`: {key of the batch: shape of one published clip}, masks aside (count.py);
- `describe(config)`: the tree of parameters (params.py);
- `forward(p, batch, config, rng=None, trace=None) -> out, backward` with `backward(dout, g) -> dbatch`;

and, where it differs from the default of `System`: `modalities`, `widths`, `inputs`, `augment`, `copied`, and
`loss(out, batch, config) -> value, terms, dout`.

`out` holds "logits" (B, K), of a regression its K values (and "probabilities", where they are no softmax of them). Where the
Config has a field `over_time`, and it is True, they are (B, S, K): one row for every step of a label over time. Every other
system learns such a label from the window of each step. The first of the loss's `terms` is the main one.
"""

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from refmer.choices import ABOVE_0, FROM_0, RATE, SECONDS, check_fields
from refmer.data.inputs import flat, sequences, width
from refmer.data.labels import UNLABELLED
from refmer.ops.activations import softmax
from refmer.ops.losses import cross_entropy, cross_entropy_backward, mse, mse_backward
from refmer.train.augment import mixup


@dataclass(frozen=True)
class Config:
    """The base of every Config: each field is checked for its type and range; lists, as JSON has them, become tuples.

    Parameters
    ----------
    task : "classes", "votes", "ordinal" or "regression"
        The kind of the label; like the widths, it follows from the clips.
    seconds : float
        Duration of a step of a label over time, at least that of the label's own steps.
    context : int
        Earlier steps that are read with each step of a label over time, by systems that read a clip as a whole.
    """

    TINY: ClassVar[dict] = {}
    PAPER: ClassVar[dict] = {}
    ACCEPTED: ClassVar[dict] = {}
    RANGES: ClassVar[dict] = {}

    task: str = "classes"
    seconds: float = 0.64
    context: int = 0

    def __post_init__(self):
        ranges = {field.name: RATE for field in fields(self) if "drop" in field.name}
        ranges |= {"seconds": SECONDS, "context": FROM_0} | {f.name: ABOVE_0 for f in fields(self) if f.name.endswith("fps")}
        check_fields(self, {"task": tuple(UNLABELLED)} | self.ACCEPTED, ranges | self.RANGES)
        if "heads" in vars(self) and "width" in vars(self) and self.width % self.heads:
            raise ValueError(f"width is {self.width} and heads {self.heads}; accepted: a width that divides into the heads")

    @classmethod
    def tiny(cls, **changes):
        """Return the size that trains in seconds on the bundled corpus."""
        return cls(**cls.TINY | changes)

    @classmethod
    def paper(cls, **changes):
        """Return the published size."""
        return cls(**cls.PAPER | changes)


class System:
    """A system: everything that its module defines, and a default for what it does not define."""

    def __init__(self, module):
        self.name = module.__name__.rpartition(".")[2]
        vars(self).update({name: value for name, value in vars(module).items() if not name.startswith("_")})

    def __repr__(self):
        return f"System({self.name!r})"

    def __getattr__(self, name):  # without a definition or a default
        raise AttributeError(f"system {vars(self).get('name')!r} does not define {name!r}; see refmer/systems/protocol.py")

    def modalities(self, config):
        """Return {modality: usual names of its streams} of all modalities, or of `config.modalities`."""
        return {m: self.MODALITIES[m] for m in getattr(config, "modalities", self.MODALITIES)}

    def widths(self, streams, config):
        """Return the Config fields that follow from the streams {modality: Stream}."""
        return {m: width(s) for m, s in streams.items()}

    def inputs(self, streams, config):
        """Return the batch of standardised streams {modality: Frames}: NAME (B, T, D), NAME_mask (B, T) of each modality."""
        return {k: x if k.endswith("_mask") else flat(x) for k, x in sequences(streams, config).items()}

    def augment(self, batch, config, rng):
        """Return a training batch after mixup, where the Config has its parameter `mixup`."""
        return mixup(batch, rng, config.mixup) if getattr(config, "mixup", 0) else batch

    def copied(self, config):
        """Return the modalities of which training has corrupted copies (data/copies.py), with NAME_state (B,) in the batch."""
        return ()

    def loss(self, out, batch, config):
        """Return the cross-entropy with soft `target` (B, K) or, of a regression, the squared error; its terms and gradient."""
        if config.task == "regression":
            return squared_error(out, batch, {"logits": 1.0})
        value, *saved = cross_entropy(out["logits"], batch["target"], np.ones_like(batch["class_count"]))
        return value, {"cross_entropy": value}, {"logits": cross_entropy_backward(1.0, *saved)}


def squared_error(out, batch, weights, masks=None):
    """L = sum_m weights[m] mean (out[m] - target)^2: of a regression, in place of cross-entropies.

    out[m], target (B, K) or (B, S, K); masks {m: (B,)}: the rows that count, default: those of `target_mask`, or all.
    """
    value, dout = 0.0, {}
    for name, weight in weights.items():
        mask = batch.get("target_mask") if masks is None else masks[name]
        term, *saved = mse(out[name], batch["target"], mask)
        value, dout[name] = value + weight * term, mse_backward(weight, *saved)
    return value, {"squared_error": value}, dout


def probabilities(out):
    """Return the probabilities (B, K) in a system's output."""
    return out["probabilities"] if "probabilities" in out else softmax(out["logits"])
