"""Multiply-accumulates and memory of a forward pass, counted by running it on arrays without memory.

Parameters and inputs are zeros that are broadcast from one number; a matrix product records its shape and is not computed.
Pointwise operations (norms, softmax, activations) are not counted: at the published sizes they are below one percent.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from refmer import params


class Product(NamedTuple):
    """A matrix product: the path of its weight (of two activations: of the last weight before), its work, its result."""

    path: str
    macs: int
    shape: tuple


class Counted(np.ndarray):
    """An array whose matrix products are recorded in `products` instead of computed. `path`: of the weight that made it."""

    products = None
    path = ""

    def __array_finalize__(self, source):
        self.path = getattr(source, "path", "")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        paths = [x.path for x in reversed(inputs) if getattr(x, "path", "")]
        inputs = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        if ufunc is np.matmul:
            a, b = inputs
            shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *a.shape[-2:-1], *b.shape[-1:][: b.ndim - 1])
            Counted.products.append(Product(paths[0] if paths else "", prod(shape) * a.shape[-1], shape))
            return zeros(shape, *paths[:1])
        if "out" in kwargs:
            kwargs["out"] = tuple(x.view(np.ndarray) for x in kwargs["out"])
        return counted(getattr(ufunc, method)(*inputs, **kwargs), *paths[:1])

    def __array_function__(self, func, types, args, kwargs):
        return counted(super().__array_function__(func, types, args, kwargs))


def zeros(shape, path=""):
    """Return zeros (shape) in the memory of one number, whose products are recorded."""
    return counted(np.broadcast_to(np.float32(0), shape), path)


def counted(y, path=""):
    """Return a result of NumPy; a floating array becomes an array whose products are recorded."""
    if not (isinstance(y, np.ndarray) and y.dtype.kind == "f"):
        return y
    y = y.view(Counted)
    y.path = path
    return y


def products(system, config, batch):
    """Return the matrix products of one forward pass, a list of `Product`. Arguments as in `count`."""
    Counted.products = []
    p = params.grow(system.describe(config), lambda path, leaf: zeros(leaf.shape, path))
    batch = {key: zeros(x.shape) if x.dtype.kind == "f" else x for key, x in batch.items()}
    with np.errstate(all="ignore"):
        system.forward(p, batch, config)
    return Counted.products


def count(system, config, batch):
    """Count the matrix products of one forward pass.

    Parameters
    ----------
    system : System
        As `refmer.systems.find` returns it.
    config : Config
    batch : dict of arrays
        The values of floating arrays are not used.

    Returns
    -------
    macs, numbers : int
        Multiply-accumulates, and numbers in the results of the products, which a forward keeps for its backward.
    """
    made = products(system, config, batch)
    return sum(x.macs for x in made), sum(prod(x.shape) for x in made)


def example(system, config):
    """Return the batch of one published clip, all values zero and all frames valid."""
    batch = {}
    for name, shape in system.example(config).items():
        batch[name] = np.broadcast_to(np.float32(0), (1, *shape))
        batch[f"{name}_mask"] = np.ones((1, *shape[:-1])[:2], bool)
    return batch
