"""The five systems, one file per paper.

A system is a module with

- `Config`: a frozen dataclass of widths and switches, with `Config.tiny(**changes)` and `Config.paper(**changes)`; its
  `target` names what is learned (data/targets.py);
- `RECIPE`, the name of its paper's training recipe (train/recipes.py);
- `streams(config)`, the names of the streams it reads; `widths(streams, config)`, the Config fields that follow from them; and
  `inputs(streams, config) -> batch`, plain arrays with one row per clip, made once from the standardised streams;
- `describe(config)`, `forward(p, batch, config, rng=None, trace=None) -> out, backward` with `backward(dout, g) -> dbatch`,
  and `loss(out, batch, config) -> value, terms, dout`; `augment(batch, config, rng)` changes a training batch.
- `VARIANTS`, its published sizes: {label: (changes to Config.paper(), published number of parameters or None)}; and
  `costs(config, frames=...)`, the matrix products of one clip (refmer/costs.py) and the numbers in its input, for so many
  frames {key of the batch: T} (default: those of a published clip).
- A regression also has `target(affect, config)`, the batch's target and target_mask.

`out` holds "logits" (B, K) (and "probabilities", where they are no softmax of them), or "affect" (B, T, 2). The first of the
loss's `terms` is the main one.
"""

from importlib import import_module

from refmer.baselines import BASELINES

_NAMES = ("openface_adaptive", "of_cmaer_cat", "auxformer", "tlab_jca", "raver")
SYSTEMS = {name: f"refmer.systems.{name}" for name in _NAMES}


def find(name):
    """The module of a system or baseline.

    Raises
    ------
    KeyError
        If there is none of that name; the message lists all names.
    """
    known = SYSTEMS | BASELINES
    if name not in known:
        raise KeyError(f"no system is called {name!r}; accepted: {', '.join(known)}")
    return import_module(known[name])
