"""The parts of an exercise: cases to be computed, mistakes to be recognised, laws that a result obeys."""

from collections.abc import Callable
from typing import NamedTuple

LEVELS = ("forward", "backward", "hard")


class Case(NamedTuple):
    """One call of one function.

    `draw(rng, ours, B, T, ...)` returns the arguments: sizes are the parameters with names of one capital letter, pairwise
    different numbers; `ours` has the functions of the tutorial as attributes.
    """

    level: str
    function: str
    draw: Callable
    about: str = ""  # of a hard case: what is hard


class Mistake(NamedTuple):
    """A mutation of a function of the tutorial: `old`, which stands in its source once, becomes `new`."""

    name: str
    function: str
    old: str
    new: str
    says: str  # what is wrong, as a student reads it, without a full stop
    section: str  # heading of the tutorial under which it is explained


class Law(NamedTuple):
    """A number that is 0 in every right result; `says` has a place for the largest one, "its rows sum to {:.2g}"."""

    function: str
    output: str
    value: Callable
    says: str
