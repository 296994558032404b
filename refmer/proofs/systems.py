"""Cases of whole systems: every switch, in training (dropout and batch statistics on) and in evaluation."""

from dataclasses import replace

import numpy as np

from refmer.baselines import concatenation
from refmer.proofs import Case, moved
from refmer.systems import BASELINES, find, openface_adaptive

B, K = 5, 4


def cases():
    return three_node_cases() + concatenation_cases()


def vectors():
    """Segment means of three modalities, the audio of one clip missing."""
    rng = np.random.default_rng(1)
    batch = {}
    for m, width in zip(("visual", "audio", "text"), (7, 3, 2), strict=True):
        batch[m], batch[f"{m}_mask"] = rng.normal(size=(B, width)), np.arange(B) != (3 if m == "audio" else -1)
    return batch


def system_cases(name, config, batch, variant, zero=(), truth=None):
    """The forward with a random gradient from above, in evaluation and in training, and the loss on what it gives.

    truth: target and class_count of the batch (default: soft targets of K classes); `zero` is about the parameters.
    """
    system, rng = find(name), np.random.default_rng(2)
    truth = truth or {"target": rng.dirichlet(np.ones(K), B), "class_count": rng.integers(1, 9, K).astype(float)}

    def evaluation(p, batch):
        return system.forward(p, batch, config)

    def training(p, batch):
        return system.forward(p, batch, config, np.random.default_rng(3))

    found, _ = evaluation(moved(system.describe(config)), batch)
    used = system.loss(found, truth, config)[2].keys()

    def loss(out):
        kind = next(iter(out.values())).real.dtype
        data = {k: x.astype(kind) if x.dtype.kind == "f" else x for k, x in (found | truth).items()}
        value, _, dout = system.loss(data | out, data, config)
        return value, lambda dy: {k: dy * d for k, d in dout.items()}

    common = {"description": system.describe(config), "zero": zero, "directions": True}
    kind = {"kind": "baseline" if name in BASELINES else "system"}
    return [
        Case(name, evaluation, (batch,), variant=f"{variant}, evaluation", **common, **kind),
        Case(name, training, (batch,), variant=f"{variant}, training", **common, **kind),
        Case(name, loss, ({k: found[k] for k in used},), variant=f"{variant}, loss", **kind),
    ]


def three_node_cases():
    config = openface_adaptive.Config(
        visual=7, audio=3, text=2, classes=K, width=6, heads=2, layers=2, hidden=8, head=9, gate_hidden=11, dropout=0.2
    )
    switches = [
        {},
        {"gate": False},
        {"gate_text": True},
        {"modality_embedding": True},
        {"hide_missing": True},
        {"head_dropout": 0.4},
        {"gamma": 0.5},
        {"literal_focal": False},
        {"balanced": False},
        {"transformer": False},
        {"modalities": ("audio",)},
    ]
    found = []
    for change in switches:
        changed = replace(config, **change)
        variant = ", ".join(f"{k}={v}" for k, v in change.items()) or "default"
        zero = ()
        if changed.transformer:  # softmax ignores a constant in the scores; with a single key it ignores the query too
            zero = ("layers.*.key.*", "layers.*.query.*") if len(changed.modalities) == 1 else ("layers.*.key.b",)
        batch = {k: v for k, v in vectors().items() if k.removesuffix("_mask") in changed.modalities}
        found += system_cases("openface_adaptive", changed, batch, variant, zero)
    return found


def concatenation_cases():
    config = concatenation.Config(visual=7, audio=3, text=2, classes=K, hidden=6)
    batch = {k: v for k, v in vectors().items() if not k.endswith("_mask")}
    return system_cases("concatenation", config, batch, "default")
