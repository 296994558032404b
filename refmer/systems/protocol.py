"""The protocol of a system: the base of its `Config`, and the default of every function that its module does not define.

A module of refmer/systems or refmer/baselines defines

- `Config(Config)`: a frozen dataclass of widths and switches with `TINY` and `PAPER`, the fields in which these sizes differ
  from its defaults, `ACCEPTED`, the values of its switches, and `RANGES`, of fields whose range is not that of their type in
  choices.py; `target` names the label that is learned (data/targets.py);
- `MODALITIES`: {modality: names of its streams};
- `RECIPE`: the name of a training recipe (train/recipes.py);
- `VARIANTS`: its published sizes, {label: (changes to Config.paper(), published number of parameters or None)};
- `example(config)`: {key of the batch: shape of one published clip}, masks aside (count.py);
- `describe(config)`: the tree of parameters (params.py);
- `forward(p, batch, config, rng=None, trace=None) -> out, backward` with `backward(dout, g) -> dbatch`;

and, where it differs from the default of `System`: `streams`, `widths`, `inputs`, `augment`, `target`, and
`loss(out, batch, config) -> value, terms, dout`.

`out` holds "logits" (B, K) (and "probabilities", where they are no softmax of them), or "affect" (B, T, 2). The first of the
loss's `terms` is the main one.
"""

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from refmer.choices import RATE, check_fields
from refmer.data.inputs import sequences, sub_sequence_means, width
from refmer.ops.activations import softmax
from refmer.ops.losses import cross_entropy, cross_entropy_backward
from refmer.train.augment import mixup


@dataclass(frozen=True)
class Config:
    """The base of every Config: each field is checked for its type and range; lists, as JSON has them, become tuples."""

    TINY: ClassVar[dict] = {}
    PAPER: ClassVar[dict] = {}
    ACCEPTED: ClassVar[dict] = {}
    RANGES: ClassVar[dict] = {}

    def __post_init__(self):
        rates = {field.name: RATE for field in fields(self) if "drop" in field.name}
        check_fields(self, self.ACCEPTED, rates | self.RANGES)
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
        """Return {modality: names of its streams} of all modalities, or of `config.modalities`."""
        return {m: self.MODALITIES[m] for m in getattr(config, "modalities", self.MODALITIES)}

    def streams(self, config):
        """Return the names of the streams of all modalities."""
        return [name for names in self.modalities(config).values() for name in names]

    def widths(self, streams, config):
        """Return the Config fields that follow from the streams."""
        return {m: width(streams, names) for m, names in self.modalities(config).items()}

    def inputs(self, streams, config):
        """Return the batch of standardised streams: NAME (B, T, ...) and NAME_mask (B, T) of every modality."""
        return sequences(streams, self.modalities(config), config)

    def augment(self, batch, config, rng):
        """Return a training batch after mixup, where the Config has its parameter `mixup`."""
        return mixup(batch, rng, config.mixup) if getattr(config, "mixup", 0) else batch

    def loss(self, out, batch, config):
        """Return the cross-entropy with soft `target` (B, K), its terms and its gradient."""
        value, *saved = cross_entropy(out["logits"], batch["target"], np.ones_like(batch["class_count"]))
        return value, {"cross_entropy": value}, {"logits": cross_entropy_backward(1.0, *saved)}

    def target(self, affect, config):
        """Return the target of a regression: the mean of each sub-sequence (B, S, 2), and its mask (B, S)."""
        return dict(zip(("target", "target_mask"), sub_sequence_means(affect, config.seconds), strict=True))


def probabilities(out):
    """Return the probabilities (B, K) in a system's output."""
    return out["probabilities"] if "probabilities" in out else softmax(out["logits"])
