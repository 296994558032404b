"""Costs by formula agree with counting."""

import numpy as np
import pytest
from counting import counted

from refmer import costs
from refmer.layers import attention, convolution, dense, recurrent
from refmer.proofs import moved

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "layer, description, shapes, products",
    [
        (dense.mlp, dense.describe_mlp(5, 7, 3), [(1, 4, 5)], costs.mlp(4, 5, 7, 3)),
        (
            lambda p, x, m: attention.attention(p, x, m, 3),
            attention.describe_attention(6),
            [(1, 4, 6), (1, 5, 6)],
            costs.attention(4, 5, 6, 3),
        ),
        (
            lambda p, x: attention.post_norm_layer(p, x, 2),
            attention.describe_encoder_layer(6, 7),
            [(1, 5, 6)],
            costs.encoder_layer(5, 5, 6, 7, 2),
        ),
        (recurrent.lstm, recurrent.describe_lstm(5, 3, 2, True), [(1, 4, 5)], costs.lstm(4, 5, 3, 2, 2)),
        (lambda p, x: convolution.conv1d(p, x, 3), convolution.describe_conv1d(5, 2, 3), [(1, 7, 5)], costs.conv(7, 3, 5, 2)),
    ],
)
def test_formulas_agree_with_counting(layer, description, shapes, products):
    found = counted(layer, moved(description), *(RNG.normal(size=shape) for shape in shapes))
    assert found == (costs.macs(products), costs.numbers(products))
