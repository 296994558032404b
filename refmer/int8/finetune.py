"""Quantization-aware fine-tuning: the forward uses weights rounded to 8 bits, the optimizer updates float weights.

    w' = s round(w / s)        straight through:  dL/dw = dL/dw'   (Bengio et al. 2013)

The derivative of rounding is 0 almost everywhere; taken as 1, small gradients add up in the float weights until a rounded
weight changes.
"""

from types import SimpleNamespace

import numpy as np

from refmer import params
from refmer.int8 import arithmetic
from refmer.systems import find
from refmer.train.fit import Training, evaluate

SHARE = 0.1  # of the recipe's learning rate: the weights only have to settle


def fake_quantized(p, maps, per_channel, clip):
    """Return p with every map rounded to 8 bits. The state is shared."""
    fake = params.like(p, p.vector.copy())
    for path in maps:
        W = params.get(fake, path)
        scale = arithmetic.symmetric_scale(W, clip, per_channel)
        W[:] = arithmetic.symmetric(W, scale) * scale
    return fake


def fine_tune(model, p, maps, clips, epochs, per_channel=True, clip="max"):
    """Return p after training for the loss that it has when the matrices at the paths `maps` are rounded.

    System, recipe, scaling and seed are the model's. 15 % of the speakers, as in its `fit`, select an epoch or the start.
    """
    system, config, recipe = find(model.system), model.config_, model.recipe_
    rest, kept = clips.split(by="speaker", test_size=0.15, seed=model.seed_)
    train, dev = model.training_batch(rest), model.labelled_batch(kept, rest)

    def forward(p, *rest):
        return system.forward(fake_quantized(p, maps, per_channel, clip), *rest)

    aware = SimpleNamespace(forward=forward, loss=system.loss, augment=system.augment)
    p = params.like(p, p.vector.copy(), p.state.copy())
    training = Training(aware, config, p, recipe, np.random.default_rng([model.seed_, 2]))
    best = evaluate(aware, config, p, dev), p.vector.copy(), p.state.copy()
    for _ in range(epochs):
        training.epoch(train, SHARE * recipe.lr)
        value = evaluate(aware, config, p, dev)
        if not np.isfinite(value):
            raise FloatingPointError(f"the loss is {value} in fine-tuning")
        if value < best[0]:
            best = value, p.vector.copy(), p.state.copy()
    return params.like(p, *best[1:])
