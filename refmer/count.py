"""Multiply-accumulates and memory of a forward pass, counted by running it on arrays without memory.

Parameters and inputs are zeros that are broadcast from one number; a matrix product records its shape and is not computed.
Pointwise operations (norms, softmax, activations) are not counted: at the published sizes they are below one percent.
"""

from math import prod

import numpy as np

from refmer import params


class Counted(np.ndarray):
    """An array whose matrix products are counted in `count` instead of computed."""

    count = None  # [multiply-accumulates, numbers produced]

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        inputs = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        if ufunc is np.matmul:
            a, b = inputs
            shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *a.shape[-2:-1], *b.shape[-1:][: b.ndim - 1])
            Counted.count[0] += prod(shape) * a.shape[-1]
            Counted.count[1] += prod(shape)
            return zeros(shape)
        if "out" in kwargs:
            kwargs["out"] = tuple(x.view(np.ndarray) for x in kwargs["out"])
        return counted(getattr(ufunc, method)(*inputs, **kwargs))

    def __array_function__(self, func, types, args, kwargs):
        return counted(super().__array_function__(func, types, args, kwargs))


def zeros(shape):
    """Return zeros (shape) in the memory of one number, whose products are counted."""
    return np.broadcast_to(np.float32(0), shape).view(Counted)


def counted(y):
    """Return a result of NumPy; a floating array becomes an array whose products are counted."""
    return y.view(Counted) if isinstance(y, np.ndarray) and y.dtype.kind == "f" else y


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
    Counted.count = [0, 0]
    description = system.describe(config)
    p = params.grow(description, lambda path, leaf: zeros(leaf.shape))
    batch = {key: zeros(x.shape) if x.dtype.kind == "f" else x for key, x in batch.items()}
    with np.errstate(all="ignore"):
        system.forward(p, batch, config)
    return tuple(Counted.count)


def example(system, config):
    """Return the batch of one published clip, all values zero and all frames valid."""
    batch = {}
    for name, shape in system.example(config).items():
        batch[name] = np.broadcast_to(np.float32(0), (1, *shape))
        batch[f"{name}_mask"] = np.ones((1, *shape[:-1])[:2], bool)
    return batch
