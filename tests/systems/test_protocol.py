"""Configs of all systems and baselines: types and ranges of their fields."""

from dataclasses import fields
from typing import get_args

import numpy as np
import pytest

from refmer.systems import BASELINES, SYSTEMS, find

WRONG = {
    int: (0, 8.0, "8", True, None),
    float: (-0.1, "0.1", None, float("nan"), True),
    bool: ("False", None, 1),
    str: (3, None),
}
WRONG[tuple] = (3, "a", (None,), (0,), None)
SAME = {int: np.int64, float: np.float64, bool: np.bool_, str: np.str_, tuple: list}  # as NumPy and JSON have it


def kind_of(field):
    """The type of a field, tuple for tuple[...]; None if None is accepted too."""
    return None if type(None) in get_args(field.type) else tuple if get_args(field.type) else field.type


@pytest.mark.parametrize("name", SYSTEMS | BASELINES)
def test_a_field_of_a_wrong_type_or_range_is_named(name):
    Config = find(name).Config
    for field in fields(Config):
        wrong = ("a value",) if field.name in ("task", *Config.ACCEPTED) else WRONG.get(kind_of(field), ("3", -1))
        for value in wrong[field.name == "context" :]:  # of earlier steps, 0 is accepted
            with pytest.raises(ValueError, match=f"^{field.name} is .*accepted: "):
                Config.tiny(**{field.name: value})
                pytest.fail(f"{field.name} = {value!r} was accepted")


@pytest.mark.parametrize("name", SYSTEMS | BASELINES)
def test_values_of_numpy_and_of_json_become_pythons(name):
    Config = find(name).Config
    tiny = Config.tiny()
    values = {field.name: getattr(tiny, field.name) for field in fields(Config)}
    config = Config(**{k: v if v is None else SAME[type(v)](v) for k, v in values.items()})
    assert config == tiny and hash(config) == hash(tiny)
    assert all(type(getattr(config, k)) is type(v) for k, v in values.items())


@pytest.mark.parametrize("name", ("openface_adaptive", "auxformer", "raver", "vavl", "transformer_lstm"))
def test_a_width_divides_into_the_heads(name):
    with pytest.raises(ValueError, match="width is 33 and heads 2; accepted: a width that divides"):
        find(name).Config.tiny(width=33, heads=2)


def test_a_rate_is_below_1():
    with pytest.raises(ValueError, match="drop_relu is 1; accepted: numbers from 0 to below 1"):
        find("auxformer").Config.tiny(drop_relu=1)


def test_integers_become_floats_where_these_are_meant():
    config = find("auxformer").Config.tiny(drop_relu=0, weights=[1, 0, 0])
    assert [type(x) for x in (config.drop_relu, *config.weights)] == [float] * 4
