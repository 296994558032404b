"""The fit loop: batches, forward, loss, backward, clipping, Adam; the result is the best epoch on the development set."""

import os
import sys
import time

import numpy as np
from threadpoolctl import threadpool_limits

from refmer import params
from refmer.ops.optimizers import adamw, clip_norm
from refmer.train.schedules import SCHEDULES

MOMENTUM = 0.1  # of batch norm's running statistics
LARGE = 1_000_000  # parameters; below, a second BLAS thread slows training by 1 to 9 %, measured on the five tiny systems
CHUNK = 64  # clips in one forward pass of evaluation


class Lazy(dict):
    """A batch of targets with inputs made by `inputs(index)` for the rows that are taken: one mini-batch in memory."""

    def __init__(self, inputs, targets=()):
        super().__init__(targets)
        self.inputs = inputs

    def __or__(self, targets):
        return Lazy(self.inputs, {**self, **targets})


def take(batch, index):
    """Return rows of a batch; `class_count` has no rows."""
    inputs = batch.inputs(index) if isinstance(batch, Lazy) else {}
    return inputs | {k: x if k == "class_count" else x[index] for k, x in batch.items()}


def fit(system, config, train, dev, recipe, seed, progress=None):
    """Train a system.

    Parameters
    ----------
    system : System
        As `refmer.systems.find` returns it.
    config : Config
        Of the system.
    train, dev : dict of arrays
        The batch that `inputs` of the system returns, and the targets; a `Lazy` batch makes its inputs each time.
    recipe : Recipe
    seed : int
        Seed of the initial parameters, the order of the clips, dropout and augmentation.
    progress : callable, optional
        Function of an entry of the history, called after each epoch.

    Returns
    -------
    p : Tree
        Parameters of the epoch with the smallest development loss.
    history : list of dict
        epoch (from 1), lr, train_loss, dev_loss.

    Raises
    ------
    FloatingPointError
        If a loss is not finite.
    """
    rng = np.random.default_rng([seed, 1])
    p = params.init(system.describe(config), seed)
    g, moments = params.zeros_like(p), (np.zeros_like(p.vector), np.zeros_like(p.vector))
    best, history = None, []
    with threadpool_limits(1 if len(p.vector) < LARGE else None):
        for epoch in range(1, recipe.epochs + 1):
            lr = SCHEDULES[recipe.schedule](recipe, history)
            loss = train_epoch(system, config, p, g, train, moments, epoch, lr, recipe, rng)
            entry = {"epoch": epoch, "lr": lr, "train_loss": loss, "dev_loss": evaluate(system, config, p, dev)}
            if not np.isfinite([entry["train_loss"], entry["dev_loss"]]).all():
                raise FloatingPointError(
                    f"the loss is {entry['train_loss']} in epoch {epoch}: try a learning rate below {recipe.lr}"
                )
            history.append(entry)
            if progress:
                progress(entry)
            if best is None or entry["dev_loss"] < best[0]["dev_loss"]:
                best = entry, p.vector.copy(), p.state.copy()
            elif epoch - best[0]["epoch"] >= recipe.patience:
                break
    return params.like(p, *best[1:]), history


def train_epoch(system, config, p, g, train, moments, epoch, lr, recipe, rng):
    """Train on all clips once, in a new order; return the mean loss. The first epoch is 1."""
    n, total = len(train["target"]), 0.0
    order, step = rng.permutation(n), (epoch - 1) * -(-n // recipe.batch)
    for start in range(0, n, recipe.batch):
        step += 1
        rows = order[start : start + recipe.batch]
        total += len(rows) * train_step(system, config, p, g, take(train, rows), moments, step, lr, recipe, rng)
    return total / n


def train_step(system, config, p, g, batch, moments, step, lr, recipe, rng):
    """Update p once, with its gradient in g; return the loss of the batch."""
    batch = system.augment(batch, config, rng)
    out, backward = system.forward(p, batch, config, rng)
    value, _, dout = system.loss(out, batch, config)
    g.vector[:], g.state[:] = 0, 0
    backward(dout, g)
    clip_norm(g.vector, recipe.clip)
    if recipe.coupled:
        g.vector += recipe.weight_decay * p.vector
    decay = 0.0 if recipe.coupled else recipe.weight_decay
    adamw(p.vector, g.vector, *moments, step, lr, *recipe.betas, decay=decay)
    p.state += MOMENTUM * g.state
    return float(value)


def evaluate(system, config, p, batch):
    """Return the loss of a batch without dropout: the mean over chunks of nearly equal size, at most CHUNK clips."""
    n, total = len(batch["target"]), 0.0
    bounds = np.linspace(0, n, -(-n // CHUNK) + 1).astype(int)
    for start, stop in zip(bounds, bounds[1:], strict=False):
        part = take(batch, slice(start, stop))
        out, _ = system.forward(p, part, config)
        total += (stop - start) / n * float(system.loss(out, part, config)[0])
    return float(total)


def announce(system, config, batch, recipe, seed):
    """Print memory and time of training on a batch of all clips; MemoryError if the parameters do not fit."""
    n = params.count(system.describe(config))
    need, memory = 5 * 4 * n, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # p, g, m, v and the best p
    text = f"{system.name}: {n:,} parameters, {need / 1e6:.0f} MB to train without activations"
    if need > memory:
        raise MemoryError(f"{text}; this machine has {memory / 1e6:.0f} MB. Use size='tiny' or smaller widths")
    p, part = params.init(system.describe(config), seed), take(batch, slice(recipe.batch))
    epoch = step_seconds(system, config, p, part, recipe) * len(batch["target"]) / len(part["target"])
    print(f"{text}; about {epoch:.1f} s an epoch, at most {recipe.epochs} epochs", file=sys.stderr)


def step_seconds(system, config, p, batch, recipe):
    """Return the seconds of one step of training on a batch, after a step that compiles. p changes."""
    g, moments, rng = params.zeros_like(p), (np.zeros_like(p.vector), np.zeros_like(p.vector)), np.random.default_rng(0)
    for step in (1, 2):
        start = time.perf_counter()
        train_step(system, config, p, g, batch, moments, step, recipe.lr, recipe, rng)
    return time.perf_counter() - start
