"""Checks of switches and of the fields of a dataclass, with one form of message."""

import math
from dataclasses import fields
from types import NoneType
from typing import get_args

import numpy as np

# (function that accepts a value, description of the accepted values); by type: of a field that declares no range
RANGES = {
    int: (lambda x: x >= 1, "integers, 1 or more"),
    float: (lambda x: 0 <= x < math.inf, "finite numbers, 0 or more"),
    bool: (lambda x: True, "True or False"),
    str: (lambda x: True, "strings"),
}
ABOVE_0 = (lambda x: 0 < x < math.inf, "finite numbers above 0")
FROM_0 = (lambda x: x >= 0, "integers, 0 or more")
RATE = (lambda x: 0 <= x < 1, "numbers from 0 to below 1")
SHARE = (lambda x: 0 <= x <= 1, "numbers from 0 to 1")
HALF = (lambda x: 0 <= x <= 0.5, "numbers from 0 to 0.5")
SEED = (lambda x: 0 <= x < 2**32, "integers from 0 to 2**32 - 1")
SECONDS = (lambda x: 0 < x <= 3600, "seconds, more than 0, up to 3600")


def choose(name, value, accepted):
    """Return `accepted[value]`, or `value` itself where `accepted` is no mapping.

    Raises
    ------
    ValueError
        If the value is not accepted; the message names the accepted values.
    """
    if not isinstance(value, (str, int, float, tuple, NoneType)) or value not in tuple(accepted):
        raise ValueError(f"{name} is {value!r}; accepted: {', '.join(map(repr, accepted))}")
    return accepted[value] if isinstance(accepted, dict) else value


def check_fields(instance, switches, ranges):
    """Check all fields of a frozen dataclass: NumPy scalars become Python's, and lists, as JSON has them, tuples.

    A field has one of the values `switches[name]`, or else the type of its annotation, within `ranges[name]` or RANGES.

    Raises
    ------
    ValueError
        The message names the field, its value and the accepted values.
    """
    for field in fields(instance):
        name, value = field.name, plain(getattr(instance, field.name))
        if name in switches:
            choose(name, value, switches[name])
        else:
            value = typed(name, value, field.type, ranges.get(name))
        object.__setattr__(instance, name, value)


def plain(value):
    """Return NumPy scalars and arrays as Python has them."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


def typed(name, value, kind, within=None):
    """Return the value of a field of type `kind`: int, float, bool, str, one of them or None, or a tuple[X, ...]."""
    kind, *rest = get_args(kind) or (kind,)
    if value is None and NoneType in rest:
        return None
    accepts, text = within or RANGES[kind]
    if Ellipsis in rest:
        text = f"a tuple of {text}"
    is_tuple = isinstance(value, (list, tuple)) and Ellipsis in rest
    values = [float(x) if kind is float and type(x) is int else x for x in map(plain, value if is_tuple else [value])]
    if is_tuple != (Ellipsis in rest) or not all(type(x) is kind and accepts(x) for x in values):
        raise ValueError(f"{name} is {value!r}; accepted: {text}{' or None' if NoneType in rest else ''}")
    return tuple(values) if is_tuple else values[0]
