"""One training step of each system, by refmer and by eager PyTorch: STEPS at its tiny size, on a batch of the bundled corpus;
PUBLISHED at its published size, on noise in the shape of published clips.

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
from refmer.data.inputs import joined
from refmer.systems import SYSTEMS, find
from refmer.train.fit import Training
from refmer.train.recipes import RECIPES
from refmer.warm_up import trained


class Start(NamedTuple):
    """The arguments of a training step."""

    system: object
    config: object
    p: object
    batch: dict
    recipe: object


WINDOW_S, HOP_S = 2.0, 0.4  # whole numbers of frames of every stream
CLIPS = dict.fromkeys(SYSTEMS, 32) | {"raver": 2}  # of a published step: raver has 363 million parameters
SWITCHES = {  # whose published values the PyTorch models do not have
    "of_cmaer_cat": ("face",),
    "auxformer": ("token",),
    "tlab_jca": ("face_encoder", "bands_as_channels", "residual"),
}


def tiny(name):
    """Return the first training batch of the bundled corpus, and a system with its initial parameters."""
    model, clips = trained(name)
    system, few = find(name), clips[: model.recipe_.batch]
    batch = model.labelled_batch(few, clips)
    return Start(system, model.config_, params.init(system.describe(model.config_), 0), batch, model.recipe_)


def published(name):
    """Return a batch of noise, and a system of the published size with the switches of SWITCHES as in the tiny size."""
    system, clips, rng = find(name), CLIPS[name], np.random.default_rng(0)
    switches = {switch: getattr(system.Config.tiny(), switch) for switch in SWITCHES.get(name, ())}
    config, batch = system.Config.paper(**switches), {}
    for key, x in example(system, config).items():
        shape = (clips, *x.shape[1:])
        batch[key] = np.ones(shape, bool) if x.dtype == bool else rng.standard_normal(shape, np.float32)
    if config.task == "regression":
        valid = batch["audio_mask"]
        batch |= {"target": rng.uniform(-1, 1, (*valid.shape, config.classes)).astype("f4"), "target_mask": valid}
    else:
        target = np.eye(config.classes, dtype=np.float32)[np.arange(clips) % config.classes]
        batch |= {"target": target, "class_count": np.full(config.classes, clips, np.float32)}
    return Start(system, config, params.init(system.describe(config), 0), batch, RECIPES[system.RECIPE]["paper"])


def step(name, torch, start=tiny):
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
    system, learned = find(model.system), model.config_
    large, config = copy(model), system.Config.paper(classes=learned.classes, target=learned.target, task=learned.task)
    frames = {m: joined([clips.streams[name].read(slice(1)) for name in names]) for m, names in model.streams_.items()}
    large.config_ = replace(config, **system.widths(frames, config))
    large.p_ = params.init(system.describe(large.config_), 0)
    return large


STEPS = [Case(f"step:{name}", partial(step, name)) for name in SYSTEMS]
PUBLISHED = [Case(f"step:{name}:paper", partial(step, name, start=published)) for name in SYSTEMS]
STREAMS = [
    Case(f"stream:openface_adaptive{label}", partial(stream, "openface_adaptive", size))
    for label, size in (("", "tiny"), (":paper", "paper"))
]
