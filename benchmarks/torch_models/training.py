"""Training steps of the PyTorch models, as refmer.train.fit.Training makes them."""

from importlib import import_module

import numpy as np
import torch

from refmer import params


def updates(name, system, config, p, recipe, lr=0.0, fused=None):
    """Return batch -> the loss, after one update of the PyTorch model of a system; refmer augments the batch."""
    module = import_module(f"torch_models.{name}")
    model = module.Model(config)
    module.load(model, params.named(p))
    model.train()
    make = torch.optim.Adam if recipe.coupled else torch.optim.AdamW
    optimizer = make(model.parameters(), lr=lr, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=fused)
    rng = np.random.default_rng(0)

    def update(batch):
        rows = {k: torch.from_numpy(np.ascontiguousarray(x)) for k, x in system.augment(batch, config, rng).items()}
        optimizer.zero_grad()
        value = module.loss(model(rows), rows, config)
        value.backward()
        if np.isfinite(recipe.clip):
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        return value.item()

    return update
