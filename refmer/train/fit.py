"""The fit loop: batches, forward, loss, backward, clipping, Adam; the result is the best epoch, or the last."""

import os
import sys
import time

import numpy as np
from threadpoolctl import threadpool_limits

from refmer import params
from refmer.ops.optimizers import adamw, clip_norm
from refmer.train.batches import CHUNK, ordered, shuffled, take
from refmer.train.schedules import SCHEDULES

MOMENTUM = 0.1  # of batch norm's running statistics
LARGE = 1_000_000  # parameters; below, a second BLAS thread slows training by 1 to 9 %, measured on the five tiny systems


class Training:
    """The state of training: parameters p, gradients g, the moments of Adam, the number of steps, a generator."""

    def __init__(self, system, config, p, recipe, rng):
        self.system, self.config, self.p, self.recipe, self.rng = system, config, p, recipe, rng
        self.g, self.steps = params.zeros_like(p), 0
        self.moments = np.zeros_like(p.vector), np.zeros_like(p.vector)
        self.gates = np.flatnonzero(params.where(p.description, lambda path, leaf: in_gate(path)))
        matrices = params.where(p.description, lambda path, leaf: len(leaf.shape) > 1 and not in_gate(path))
        self.decayed = 1.0 if recipe.decayed == "all" else matrices.astype(p.vector.dtype)

    def epoch(self, batch, lr):
        """Train on all rows of a batch once, in a new order; return the mean loss."""
        total = 0.0
        for part in shuffled(batch, self.recipe.batch, self.rng):
            total += len(part["target"]) * self.step(part, lr)
        return total / len(batch["target"])

    def step(self, batch, lr):
        """Update p once; return the loss of the batch."""
        p, g, recipe = self.p, self.g, self.recipe
        batch = self.system.augment(batch, self.config, self.rng)
        out, backward = self.system.forward(p, batch, self.config, self.rng)
        value, _, dout = self.system.loss(out, batch, self.config)
        g.vector[:], g.state[:] = 0, 0
        backward(dout, g)
        clip_norm(g.vector, recipe.clip)
        if recipe.coupled:
            g.vector += recipe.weight_decay * p.vector
        elif recipe.weight_decay:
            p.vector *= 1 - lr * recipe.weight_decay * self.decayed
        self.steps += 1
        before = p.vector[self.gates]
        adamw(p.vector, g.vector, *self.moments, self.steps, lr, *recipe.betas, decay=0.0)
        p.vector[self.gates] += (recipe.gate_rate - 1) * (p.vector[self.gates] - before)
        p.state += MOMENTUM * g.state
        return float(value)


def in_gate(path):
    """Return True for the path of a parameter of a gate."""
    return "gate" in path.split(".")


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
        Parameters of the epoch that `recipe.keep` names.
    history : list of dict
        epoch (from 1), lr, train_loss, dev_loss.

    Raises
    ------
    FloatingPointError
        If a loss is not finite.
    """
    p = params.init(system.describe(config), seed)
    training = Training(system, config, p, recipe, np.random.default_rng([seed, 1]))
    best, history = None, []
    with threadpool_limits(1 if len(p.vector) < LARGE else None):
        for epoch in range(1, recipe.epochs + 1):
            lr = SCHEDULES[recipe.schedule](recipe, history)
            loss = training.epoch(train, lr)
            entry = {"epoch": epoch, "lr": lr, "train_loss": loss, "dev_loss": evaluate(system, config, p, dev)}
            if not np.isfinite([entry["train_loss"], entry["dev_loss"]]).all():
                raise FloatingPointError(
                    f"the loss is {entry['train_loss']} in epoch {epoch}: try a learning rate below {recipe.lr}"
                )
            history.append(entry)
            if progress:
                progress(entry)
            if best is None or recipe.keep == "last" or entry["dev_loss"] < best[0]["dev_loss"]:
                best = entry, p.vector.copy(), p.state.copy()
            elif epoch - best[0]["epoch"] >= recipe.patience:
                break
    return params.like(p, *best[1:]), history


def evaluate(system, config, p, batch):
    """Return the loss of a batch without dropout: the mean over chunks of nearly equal size, at most CHUNK clips."""
    n, total = len(batch["target"]), 0.0
    bounds = np.linspace(0, n, -(-n // CHUNK) + 1).astype(int)
    for _, part in ordered(batch, bounds.tolist()):
        out, _ = system.forward(p, part, config)
        total += len(part["target"]) / n * float(system.loss(out, part, config)[0])
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
    training = Training(system, config, p, recipe, np.random.default_rng(0))
    training.step(batch, recipe.lr)
    start = time.perf_counter()
    training.step(batch, recipe.lr)
    return time.perf_counter() - start
