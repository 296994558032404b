"""Baseline 1 of paper 002: the published size; it is AuxFormer's main network."""

import numpy as np
import pytest

from refmer import params
from refmer.baselines.auxformer_baseline1 import Config, describe, forward
from refmer.proofs.paper002 import SMALL, frames
from refmer.systems import auxformer, find


@pytest.mark.parametrize("changes, size", [({}, 4_776_994), ({"classes": 6}, 4_777_516)])
def test_the_published_sizes(changes, size):
    assert params.count(describe(Config.paper(**changes))) == size


def test_with_the_same_seed_its_logits_are_those_of_auxformers_main_network():
    alone, whole = Config(**SMALL), auxformer.Config(**SMALL)
    batch = frames(alone)
    logits = forward(params.init(describe(alone), 3), batch, alone)[0]["logits"]
    main = auxformer.forward(params.init(auxformer.describe(whole), 3), batch, whole)[0]["av"]
    np.testing.assert_array_equal(logits, main)


@pytest.mark.parametrize("name", ["auxformer_baseline1", "mult", "parthasarathy", "sfav", "transformer_lstm"])
def test_the_default_loss_is_the_unweighted_cross_entropy(name):
    truth = {"target": np.eye(4)[[0, 1, 2, 3, 0]], "class_count": np.array([9.0, 1, 1, 1])}
    value, terms, _ = find(name).loss({"logits": np.zeros((5, 4))}, truth, None)
    assert value == terms["cross_entropy"] == pytest.approx(np.log(4), rel=1e-12)
