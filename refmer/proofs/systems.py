"""Cases of whole systems: in training (dropout and batch statistics on), in evaluation, and of the loss; paper 000's own."""

from dataclasses import replace

import numpy as np

from refmer.baselines import concatenation
from refmer.proofs import Case, moved
from refmer.systems import BASELINES, find, openface_adaptive

B, K = 5, 4


def cases():
    return openface_adaptive_cases() + concatenation_cases()


def vectors():
    """Segment means of three modalities, the audio of one clip missing."""
    rng = np.random.default_rng(1)
    batch = {}
    for m, width in zip(("visual", "audio", "text"), (7, 3, 2), strict=True):
        batch[m], batch[f"{m}_mask"] = rng.normal(size=(B, width)), np.arange(B) != (3 if m == "audio" else -1)
    return batch


def system_cases(name, config, changes, batch, zero=(), truth=None, parts=(0, 1, 2)):
    """Return three cases (or those of `parts`) for every change of switches: evaluation, training, loss.

    changes: {variant: changed fields of config} or a list of changed fields. batch, zero (of parameters) and truth (target and
    class_count; default: soft targets of K classes) are values or functions of the changed config.
    """
    if not isinstance(changes, dict):
        changes = {", ".join(f"{k}={v}" for k, v in change.items()) or "default": change for change in changes}
    cases = []
    for variant, change in changes.items():
        changed = replace(config, **change)
        given = [x(changed) if callable(x) else x for x in (batch, zero, truth)]
        three = _three_cases(name, changed, variant, *given)
        cases += [three[i] for i in parts]
    return cases


def _three_cases(name, config, variant, batch, zero, truth):
    """Both forwards with a random gradient from above, and the loss of the output of the first."""
    system, rng = find(name), np.random.default_rng(2)
    truth = truth or truths(rng)

    def evaluation(p, batch):
        return system.forward(p, batch, config)

    def training(p, batch):
        return system.forward(p, batch, config, np.random.default_rng(3))

    fixed, _ = evaluation(moved(system.describe(config)), batch)
    used = system.loss(fixed, truth, config)[2].keys()

    def loss(out):
        kind = next(iter(out.values())).real.dtype
        data = {k: x.astype(kind) if x.dtype.kind == "f" else x for k, x in (fixed | truth).items()}
        value, _, dout = system.loss(data | out, data, config)
        return value, lambda dy: {k: dy * d for k, d in dout.items()}

    common = {"description": system.describe(config), "zero": zero, "directions": True}
    kind = {"kind": "baseline" if name in BASELINES else "system"}
    return [
        Case(name, evaluation, (batch,), variant=f"{variant}, evaluation", **common, **kind),
        Case(name, training, (batch,), variant=f"{variant}, training", **common, **kind),
        Case(name, loss, ({k: fixed[k] for k in used},), variant=f"{variant}, loss", **kind),
    ]


def truths(rng):
    """Soft targets of K classes and the count of each."""
    return {"target": rng.dirichlet(np.ones(K), B), "class_count": rng.integers(1, 9, K).astype(float)}


def openface_adaptive_cases():
    config = openface_adaptive.Config(
        visual=7, audio=3, text=2, classes=K, width=6, heads=2, layers=2, hidden=8, head=9, gate_hidden=11, dropout=0.2
    )
    changes = [{}, {"gate": False}, {"gate_text": True}, {"modality_embedding": True}, {"hide_missing": True}]
    changes += [{"head_dropout": 0.4}, {"gamma": 0.5}, {"literal_focal": False}, {"balanced": False}]
    changes += [{"transformer": False}, {"modalities": ("audio",)}, {"task": "regression"}, {"reliability": 0.7}]
    changes += [{"reliability": 0.7, "gate_text": True, "task": "regression"}]

    def batch(config):
        return {k: v for k, v in vectors().items() if k.removesuffix("_mask") in config.modalities}

    def truth(config):
        rng = np.random.default_rng(2)
        states = {f"{m}_state": rng.random(B) for m in openface_adaptive.copied(config)}
        return truths(rng) | {k: x for k, x in vectors().items() if k.endswith("_mask")} | states

    def zero(config):
        if not config.transformer:
            return ()
        # softmax ignores a constant in the scores; with a single key it ignores the query too
        return ("layers.*.key.*", "layers.*.query.*") if len(config.modalities) == 1 else ("layers.*.key.b",)

    return system_cases("openface_adaptive", config, changes, batch, zero, truth)


def concatenation_cases():
    config = concatenation.Config(visual=7, audio=3, text=2, classes=K, hidden=6)
    batch = {k: v for k, v in vectors().items() if not k.endswith("_mask")}
    return system_cases("concatenation", config, [{}, {"task": "regression"}], batch)
