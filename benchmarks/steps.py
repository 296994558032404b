"""One training step of each system at its tiny size, on a batch of the bundled corpus, by refmer and by eager PyTorch.

PyTorch's side is torch_models/SYSTEM.py; refmer augments the batch for both sides. STREAMS time one step of
`Recognizer.stream`.
"""

from copy import copy
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import NamedTuple

import numpy as np

from cases import Case, Work
from refmer import params
from refmer.count import count, example
from refmer.systems import SYSTEMS, find
from refmer.train.fit import Training
from refmer.warm_up import trained


class Start(NamedTuple):
    """The arguments of a training step."""

    system: object
    config: object
    p: object
    batch: dict
    recipe: object


WINDOW_S, HOP_S = 2.0, 0.4  # whole numbers of frames of every stream


def start(name):
    """Return the first training batch of the bundled corpus, and a system with its initial parameters."""
    model, clips = trained(name)
    system, few = find(name), clips[: model.recipe_.batch]
    batch = model.labelled_batch(few, clips)
    return Start(system, model.config_, params.init(system.describe(model.config_), 0), batch, model.recipe_)


def step(name, torch):
    """Return the Work of a training step; the learning rate is 0, so that the parameters stay the same."""
    begin = start(name)
    system, config, p, batch, recipe = begin
    training = Training(system, config, p, recipe, np.random.default_rng(0))
    sides = {}
    if torch is not None:
        updates = import_module("torch_models.training").updates
        steps = {"torch": updates(name, *begin[:3], recipe), "fused": updates(name, *begin[:3], recipe, fused=True)}
        sides = {side: partial(update, batch) for side, update in steps.items()}
    macs, _ = count(system, config, system.augment(batch, config, np.random.default_rng(0)))
    clips = len(batch["target"])
    return Work((clips, params.count(p.description)), lambda: training.step(batch, 0.0), sides, flops=3 * 2 * macs)


def stream(name, size, torch):
    """Return the Work of one step of a stream: writing the frames of a hop, and the forward on the window."""
    model, clips = trained(name, every=6)
    if size == "paper":
        model = at_paper_size(model, clips)
    answers = model.stream(WINDOW_S, HOP_S)
    hop = {k: clips.streams[k].x[0, : round(HOP_S * rate)] for k, rate in model.rates_.items()}
    while not answers.push(hop):
        pass
    system = find(name)
    macs, _ = count(system, model.config_, example(system, model.config_))
    shape = sum(answers.counts.values()), params.count(model.p_.description)
    return Work(shape, lambda: answers.push(hop), {}, flops=2 * macs)


def at_paper_size(model, clips):
    """Return the recognizer with the published sizes and initial parameters: its predictions are noise, its time is real."""
    system, K, target = find(model.system), model.config_.classes, model.config_.target
    large, config = copy(model), system.Config.paper(classes=K, target=target)
    large.config_ = replace(config, **system.widths(model.streams_of(clips, config), config))
    large.p_ = params.init(system.describe(large.config_), 0)
    return large


STEPS = [Case(f"step:{name}", partial(step, name)) for name in SYSTEMS]
STREAMS = [
    Case(f"stream:openface_adaptive{label}", partial(stream, "openface_adaptive", size))
    for label, size in (("", "tiny"), (":paper", "paper"))
]
