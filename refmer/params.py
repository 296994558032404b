"""Parameters: a description, one flat vector of values, and a tree of views into it.

A description is a nest of dicts and lists of `Leaf`. `init` stores the leaves one after another in two flat vectors, `vector`
(learned) and `state` (running statistics: neither counted, nor decayed, nor differentiated), and returns a tree of views:
`p.attend.query.W` is a part of `p.vector`. An optimizer is a few lines on these vectors.
"""

from collections.abc import Callable
from functools import partial
from math import prod
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np


class Leaf(NamedTuple):
    """One array of a description: its shape, its initial values `init(rng, shape)`, and True for state (no parameter)."""

    shape: tuple
    init: Callable
    state: bool = False


class Tree(SimpleNamespace):
    """Arrays and subtrees as attributes, lists of subtrees. The root also has `description`, `vector` and `state`.

    A tree with quantized matrices has `description` alone: it cannot be trained.
    """

    def __reduce__(self):  # a copy and a pickle are views of one vector again
        if "vector" in vars(self):
            return view, (self.description, self.vector, self.state)
        return super().__reduce__()


def zeros(rng, shape):
    """Return zeros."""
    return np.zeros(shape)


def ones(rng, shape):
    """Return ones."""
    return np.ones(shape)


def xavier(rng, shape):
    """Draw uniformly from +-sqrt(6 / (fan_in + fan_out)) for W (in, out) (Glorot and Bengio 2010)."""
    bound = (6 / (shape[0] + shape[-1])) ** 0.5
    return rng.uniform(-bound, bound, shape)


def normal(sd):
    """Return an initializer: Gaussian with mean 0 and the given standard deviation."""
    return partial(_draw, "normal", 0, sd)


def uniform(low, high):
    """Return an initializer: uniform in [low, high)."""
    return partial(_draw, "uniform", low, high)


def _draw(distribution, first, second, rng, shape):
    return getattr(rng, distribution)(first, second, shape)


def walk(description, path=""):
    """Yield every (path, leaf) of a description in the order of the flat vectors; paths are dotted: "layers.0.ffn.W"."""
    if isinstance(description, Leaf):
        yield path, description
        return
    items = description.items() if isinstance(description, dict) else enumerate(description)
    for name, part in items:
        yield from walk(part, f"{path}.{name}" if path else str(name))


def count(description):
    """Return the number of parameters, without allocating them."""
    return sum(prod(leaf.shape) for _, leaf in walk(description) if not leaf.state)


def where(description, chosen):
    """Return the bool vector of the parameters for whose leaves `chosen(path, leaf)` is true, state left out."""
    return np.concatenate(
        [np.full(prod(leaf.shape), bool(chosen(path, leaf))) for path, leaf in walk(description) if not leaf.state]
    )


def view(description, vector, state):
    """Return the tree of views into the two flat vectors."""
    if not isinstance(description, dict) or {"description", "vector", "state"} & set(description):
        raise ValueError("the root of a description is a dict without the keys 'description', 'vector' and 'state'")
    position = {False: 0, True: 0}

    def cut(path, leaf):
        flat, start = state if leaf.state else vector, position[leaf.state]
        position[leaf.state] = end = start + prod(leaf.shape)
        return flat[start:end].reshape(leaf.shape)

    tree = grow(description, cut)
    if (len(vector), len(state)) != (position[False], position[True]):
        raise ValueError(
            f"vectors of {len(vector)} parameters and {len(state)} state values for a description of "
            f"{position[False]} and {position[True]}"
        )
    tree.description, tree.vector, tree.state = description, vector, state
    return tree


def grow(part, make, path=""):
    """Return the tree of a description with the leaves `make(path, leaf)`, called in the order of `walk`."""
    if isinstance(part, Leaf):
        return make(path, part)
    before = f"{path}." if path else ""
    if isinstance(part, dict):
        return Tree(**{name: grow(sub, make, f"{before}{name}") for name, sub in part.items()})
    return [grow(sub, make, f"{before}{i}") for i, sub in enumerate(part)]


def init(description, seed, dtype=np.float32):
    """Return a tree with initial values.

    Each leaf has its own generator, seeded by (seed, path): ablations of a system have the same initial values in the parts
    that they share.

    Parameters
    ----------
    description : nest of dict, list and Leaf
    seed : int
        Not negative.
    dtype : floating dtype

    Returns
    -------
    Tree
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}; accepted: integers from 0")
    values = {False: [np.zeros(0)], True: [np.zeros(0)]}
    for path, leaf in walk(description):
        rng = np.random.default_rng([seed, *path.encode()])
        values[leaf.state].append(leaf.init(rng, leaf.shape).ravel())
    return view(description, *(np.concatenate(values[kind]).astype(dtype) for kind in (False, True)))


def like(p, vector, state=None):
    """Return a tree of the same description with another vector (and state)."""
    return view(p.description, vector, p.state if state is None else state)


def zeros_like(p):
    """Return a tree of zeros of the same shapes and dtype, to which a backward adds its gradients."""
    return like(p, np.zeros_like(p.vector), np.zeros_like(p.state))


def get(p, path):
    """Return the array at a dotted path."""
    for name in path.split("."):
        p = p[int(name)] if isinstance(p, list) else getattr(p, name)
    return p


def named(p):
    """Return {path: array} of all leaves, state included, as files hold them."""
    return {path: get(p, path) for path, _ in walk(p.description)}


def from_named(description, arrays, dtype=np.float32):
    """Return the tree with the leaves `arrays[path]`; with quantized matrices among them, a tree without vectors.

    Raises
    ------
    ValueError
        If a name is missing or unknown, or an array does not have the shape of its leaf or is not finite.
    """
    leaves = dict(walk(description))
    if set(leaves) != set(arrays):
        missing, unknown = sorted(set(leaves) - set(arrays))[:3], sorted(set(arrays) - set(leaves))[:3]
        raise ValueError(f"parameters do not fit: missing {missing}, unknown {unknown}")
    for path, leaf in leaves.items():
        if arrays[path].shape != tuple(leaf.shape):
            raise ValueError(f"parameter {path} has shape {arrays[path].shape}; accepted: {tuple(leaf.shape)}")
        if isinstance(arrays[path], np.ndarray) and not np.isfinite(arrays[path]).all():
            raise ValueError(f"parameter {path} is not finite")
    if not all(isinstance(x, np.ndarray) for x in arrays.values()):
        tree = grow(description, lambda path, leaf: arrays[path])
        tree.description = description
        return tree
    flat = {
        kind: np.concatenate([np.zeros(0)] + [arrays[k].ravel() for k, leaf in leaves.items() if leaf.state == kind])
        for kind in (False, True)
    }
    return view(description, flat[False].astype(dtype), flat[True].astype(dtype))
