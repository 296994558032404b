"""MulT with two modalities: the published sizes, and the differences from AuxFormer's main network."""

import numpy as np
import pytest

from refmer import params
from refmer.baselines import auxformer_baseline1
from refmer.baselines.mult import Config, describe, forward
from refmer.proofs import moved
from refmer.proofs.paper002 import SMALL, frames


@pytest.mark.parametrize(
    "changes, size", [({}, 358_384), ({"heads": 10}, 358_384), ({"width": 160, "heads": 10, "classes": 6}, 7_070_406)]
)
def test_the_published_sizes(changes, size):
    assert params.count(describe(Config.paper(**changes))) == size


def test_it_is_the_main_network_with_plain_residuals_and_positions_in_every_encoder():
    config = Config(**SMALL)
    p, batch = moved(describe(config)), frames(config)
    logits = forward(p, batch, config)[0]["logits"]
    same = auxformer_baseline1.Config(**SMALL, mix="off", positions_within=True)
    np.testing.assert_array_equal(auxformer_baseline1.forward(p, batch, same)[0]["logits"], logits)
    bare = auxformer_baseline1.Config(**SMALL, mix="off")
    assert not np.allclose(auxformer_baseline1.forward(p, batch, bare)[0]["logits"], logits)
