"""One training step of each system at its tiny size, on a batch of the bundled corpus: refmer's, and PyTorch's eager one.

PyTorch's side is torch_models/SYSTEM.py. It reads what refmer's own augmentation makes of the batch: both sides augment alike.
Beside them, one step of `Recognizer.stream`.
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
from refmer.train.fit import train_step
from refmer.warm_up import trained


class Start(NamedTuple):
    """What a training step takes."""

    system: object
    config: object
    p: object
    batch: dict
    recipe: object


WINDOW_S, HOP_S = 2.0, 0.4  # whole numbers of frames of every stream


def start(name):
    """The first batch of the bundled corpus as it is trained on, and a system with its first parameters."""
    model, clips = trained(name)
    system, few = find(name), clips[: model.recipe_.batch]
    batch = model.labelled_batch(few, clips)
    return Start(system, model.config_, params.init(system.describe(model.config_), 0), batch, model.recipe_)


def step(name, torch):
    """The Work of one system: the learning rate is 0, so the parameters stay where they begin."""
    begin = start(name)
    system, config, p, batch, recipe = begin
    rng, g, moments = np.random.default_rng(0), params.zeros_like(p), (np.zeros_like(p.vector), np.zeros_like(p.vector))
    steps = iter(range(1, 2**62))

    def ours():
        train_step(system, config, p, g, batch, moments, next(steps), 0.0, recipe, rng)

    sides = {}
    if torch is not None:
        sides = {side: torch_step(torch, name, begin, fused) for side, fused in (("torch", None), ("fused", True))}
    seen = system.augment(batch, config, rng)
    macs, _ = count(system, config, seen)
    clips = len(batch["target"])
    return Work((clips, params.count(p.description)), ours, sides, flops=3 * 2 * macs)


def torch_step(torch, name, begin, fused):
    """() -> the loss, after one update as in refmer.train.fit.train_step."""
    system, config, p, batch, recipe = begin
    module = import_module(f"torch_models.{name}")
    model = module.Model(config)
    module.load(model, params.named(p))
    model.train()
    make = torch.optim.Adam if recipe.coupled else torch.optim.AdamW
    optimizer = make(model.parameters(), lr=0.0, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=fused)
    rng = np.random.default_rng(0)

    def run():
        rows = {k: torch.from_numpy(np.ascontiguousarray(x)) for k, x in system.augment(batch, config, rng).items()}
        optimizer.zero_grad()
        value = module.loss(model(rows), rows, config)
        value.backward()
        if np.isfinite(recipe.clip):
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        return value.item()

    return run


def stream(name, size, torch):
    """The Work of one answer while frames come: to take in those of a hop, and the forward on the window that they end."""
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
    """The recognizer with the published sizes and first parameters: what it answers is noise, in the time that it takes."""
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
