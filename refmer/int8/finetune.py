"""Quantization-aware fine-tuning: the forward sees the weights that 8 bits can hold, the optimizer moves float ones.

    w' = s round(w / s)        straight through:  dL/dw = dL/dw'   (Bengio et al. 2013)

The derivative of rounding is 0 almost everywhere and would teach nothing; taken as 1, small gradients add up in the float
weights until they move a rounded one.
"""

from types import SimpleNamespace

import numpy as np

from refmer import params
from refmer.int8 import arithmetic
from refmer.systems import find
from refmer.train.fit import evaluate, train_epoch

SHARE = 0.1  # of the recipe's learning rate: the weights only have to settle


def fake_quantized(p, maps, per_channel, clip):
    """p with every map rounded to what 8 bits can hold. The state is shared."""
    fake = params.like(p, p.vector.copy())
    for path in maps:
        W = params.get(fake, path)
        scale = arithmetic.symmetric_scale(W, clip, per_channel)
        W[:] = arithmetic.symmetric(W, scale) * scale
    return fake


def fine_tune(model, p, maps, clips, epochs, per_channel=True, clip="max"):
    """Float parameters that are better once rounded.

    Parameters
    ----------
    model : Recognizer
        Its system, recipe, scaling and seed are used.
    p : Tree
        Where to start.
    maps : list of paths
        What will be quantized.
    clips : Clips
        Labelled; 15 % of the speakers, by the model's seed as in `fit`, choose the epoch that is kept, the start among them.
    epochs : int
    per_channel, clip
        As for `quantize`.

    Returns
    -------
    Tree
    """
    system, config, recipe = find(model.system), model.config_, model.recipe_
    parts = clips.split(by="speaker", test_size=0.15, seed=model.seed)
    train, dev = (model.labelled_batch(part, clips) for part in parts)

    def forward(p, *rest):
        return system.forward(fake_quantized(p, maps, per_channel, clip), *rest)

    aware = SimpleNamespace(forward=forward, loss=system.loss, augment=system.augment)
    rng = np.random.default_rng([model.seed, 2])
    p = params.like(p, p.vector.copy(), p.state.copy())
    g, moments = params.zeros_like(p), (np.zeros_like(p.vector), np.zeros_like(p.vector))
    best = evaluate(aware, config, p, dev), p.vector.copy(), p.state.copy()
    for epoch in range(1, epochs + 1):
        train_epoch(aware, config, p, g, train, moments, epoch, SHARE * recipe.lr, recipe, rng)
        value = evaluate(aware, config, p, dev)
        if not np.isfinite(value):
            raise FloatingPointError(f"the loss is {value} in fine-tuning")
        if value < best[0]:
            best = value, p.vector.copy(), p.state.copy()
    return params.like(p, *best[1:])
