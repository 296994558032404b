"""The proofs: small inputs for every op, layer and system on which its backward is compared with the complex step.

Each module here lists `cases()` for one part of the library; the tests and `refmer check` run them all, and fail if a function
that required.py lists has none. Sizes are small and pairwise different, so that a transposed matrix or a swapped axis fails.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from importlib import import_module
from pkgutil import iter_modules

import numpy as np

from refmer import check, params
from refmer.ops.twins import kernels


@dataclass(frozen=True)
class Case:
    """One proof: the gradient of `f` at float64 inputs and parameters; see check.gradient_errors."""

    name: str  # op, layer, system or baseline; "file.name" where two files of refmer/layers have a function of that name
    f: Callable  # an op of refmer.ops (its backward is found by name), or a layer f(p, *inputs) -> y, backward
    inputs: tuple  # float64 arrays are differentiated, everything else is passed on
    description: object = None  # the parameters of a layer, a tree of Leaf; None for an op or a layer without parameters
    variant: str = ""  # the mask, the switch or the size that this case is about
    options: dict = field(default_factory=dict)  # keyword arguments of an op: data, not differentiated
    zero: tuple = ()  # leaves whose gradient vanishes by a symmetry (see check.assert_gradient)
    directions: bool = False  # one random direction per leaf instead of every element
    kind: str = ""  # "op", "layer", "system" or "baseline"; default: "op" for a function of refmer.ops, else "layer"

    def __post_init__(self):
        if not self.kind:
            object.__setattr__(self, "kind", "op" if self.f.__module__.startswith("refmer.ops.") else "layer")

    @property
    def label(self):
        return f"{self.name} ({self.variant})" if self.variant else self.name

    def errors(self):
        """Return {path: relative error of the gradient}; see check.gradient_errors."""
        rng = np.random.default_rng(0)
        if self.kind == "op":
            return check.pair_errors(self.f, *self.inputs, rng=rng, **self.options)
        p = None if self.description is None else moved(self.description)
        return check.gradient_errors(self.f, p, *self.inputs, rng=rng, zero=self.zero, directions=self.directions)


def moved(description, seed=0):
    """Return parameters in float64 with noise added, so that no bias is 0 and no norm 1."""
    p = params.init(description, seed, np.float64)
    p.vector += np.random.default_rng(seed + 1).normal(0, 0.3, len(p.vector))
    return p


def plain(layer, *args, **options):
    """Return the layer with its data arguments given: a function of p and the differentiated inputs."""
    return wraps(layer)(lambda p, *inputs: layer(p, *inputs, *args, **options))


def seeded(layer, *args, **options):
    """Return the same with a generator that starts again at every call: the same dropout each time."""
    return wraps(layer)(lambda p, *inputs: layer(p, *inputs, *args, rng=np.random.default_rng(3), **options))


def twice(layer):
    """Return layer(p, layer(p, x)): the gradients of shared parameters add."""

    def f(p, x):
        h, back1 = layer(p, x)
        y, back2 = layer(p, h)
        return y, lambda dy, g: back1(back2(dy, g), g)

    return f


def all_cases():
    """Return every case of every module. Kernels are off: cases in float64 would compile variants that nothing else needs."""
    modules = [import_module(f"refmer.proofs.{module.name}") for module in iter_modules(__path__)]
    with kernels(False):
        return [case for module in modules if hasattr(module, "cases") for case in module.cases()]
