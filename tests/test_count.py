"""Counting: products are counted in the forward itself, and not computed."""

from types import SimpleNamespace

import numpy as np
import pytest

from refmer import count, params
from refmer.layers import attention, convolution, dense, sequence


@pytest.mark.parametrize(
    "a, b, macs, shape",
    [
        ((2, 3), (3, 5), 30, (2, 5)),
        ((7, 2, 3), (3, 5), 210, (7, 2, 5)),
        ((7, 1, 2, 3), (4, 3, 5), 840, (7, 4, 2, 5)),
        ((3,), (3, 5), 15, (5,)),
        ((2, 3), (3,), 6, (2,)),
    ],
)
def test_a_product_has_the_shape_of_matmul(a, b, macs, shape):
    count.Counted.products = []
    y = count.zeros(a) @ count.zeros(b)
    assert y.shape == (np.zeros(a) @ np.zeros(b)).shape == shape and count.Counted.products == [("", macs, shape)]
    assert y.base is not None and y.strides == (0,) * y.ndim


# B = 1: T queries, S keys, width C, hidden width F
@pytest.mark.parametrize(
    "layer, description, shape, macs",
    [
        (lambda p, x: dense.mlp(p, x), dense.describe_mlp(5, 7, 3), (4, 5), 4 * (5 * 7 + 7 * 3)),
        (lambda p, x: attention.attention(p, x, x, 3), attention.describe_attention(6), (4, 6), 4 * 4 * 6 * 6 + 2 * 4 * 4 * 6),
        (
            lambda p, x: sequence.lstm(p, x),
            sequence.describe_lstm(5, 3, 2, True),
            (4, 5),
            2 * 4 * (5 * 12 + 3 * 12) + 2 * 4 * (6 * 12 + 3 * 12),
        ),
        (lambda p, x: convolution.conv1d(p, x, 3), convolution.describe_conv1d(5, 2, 3), (7, 5), 7 * 3 * 5 * 2),
    ],
    ids=["mlp", "attention", "lstm", "conv1d"],
)
def test_layers_are_counted_as_their_equations_say(layer, description, shape, macs):
    system = SimpleNamespace(describe=lambda config: description, forward=lambda p, batch, config: layer(p, batch["x"]))
    assert count.count(system, None, {"x": np.ones((1, *shape))})[0] == macs


def test_a_product_is_counted_for_the_weight_that_made_it():
    def forward(p, batch, config):
        u = dense.mlp(p.first, batch["x"])[0]
        return attention.attention(p.second, u, u, 3)

    tree = {"first": dense.describe_mlp(5, 7, 6), "second": attention.describe_attention(6)}
    system = SimpleNamespace(describe=lambda config: tree, forward=forward)
    made = count.products(system, None, {"x": np.ones((1, 4, 5))})
    assert [(x.path.split(".")[0], x.macs) for x in made[:2]] == [("first", 4 * 5 * 7), ("first", 4 * 7 * 6)]
    assert {x.path.split(".")[0] for x in made[2:]} == {"second"} and made[-1].shape[-2:] == (4, 6)


def test_no_parameter_is_allocated(monkeypatch):
    monkeypatch.setattr(params, "init", lambda *args: pytest.fail("parameters were made"))
    tree = dense.describe_linear(10**6, 10**6)
    system = SimpleNamespace(describe=lambda config: tree, forward=lambda p, batch, config: dense.linear(p, batch["x"]))
    assert count.count(system, None, {"x": np.ones((1, 10**6))})[0] == 10**12
