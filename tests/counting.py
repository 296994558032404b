"""Counting products while they run: the oracle of refmer/costs.py."""

import numpy as np

from refmer import params


class Counted(np.ndarray):
    """An array that notes every matrix product it takes part in, and whose results do the same."""

    found = None

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        plain = [np.asarray(x) if isinstance(x, Counted) else x for x in inputs]
        if out is not None:
            kwargs["out"] = tuple(np.asarray(o) for o in out)
        y = getattr(ufunc, method)(*plain, **kwargs)
        if ufunc is np.matmul:
            Counted.found[0] += y.size * plain[0].shape[-1]
            Counted.found[1] += y.size
        return y.view(Counted) if isinstance(y, np.ndarray) else y

    def __array_function__(self, func, types, args, kwargs):
        y = super().__array_function__(func, types, args, kwargs)  # stack, pad, where, ... keep counting
        return y.view(Counted) if type(y) is np.ndarray and y.dtype.kind == "f" else y


def counted(f, p, *inputs):
    """(multiply-accumulates, numbers produced) of the matrix products in `f(p, *inputs)`; dicts are followed."""

    def follow(x):
        if isinstance(x, dict):
            return {k: follow(v) for k, v in x.items()}
        return x.view(Counted) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x

    Counted.found = [0, 0]
    f(params.like(p, p.vector.view(Counted)), *map(follow, inputs))
    return tuple(Counted.found)
