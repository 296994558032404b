"""Baseline 4 of paper 002: one modality; its size is not the published one."""

from dataclasses import replace

import numpy as np
import pytest

from refmer import params
from refmer.baselines.unimodal import VARIANTS, Config, describe, forward, loss
from refmer.proofs import moved
from refmer.proofs.paper002 import SMALL, frames
from refmer.systems import find

SMALL = Config(**SMALL, auxiliary_hidden=(8, 9))


def test_the_published_size_is_unresolved():
    assert params.count(describe(Config.paper())) == 2_844_823 != VARIANTS["unimodal"][1] == 4_364_354
    assert params.count(describe(Config.paper(modality="audio"))) == 2_844_823 - 532_480 + 16_900


@pytest.mark.parametrize("modality, streams", [("visual", ["units"]), ("audio", ["prosody", "mfcc"])])
def test_it_reads_one_modality(modality, streams):
    config = replace(SMALL, modality=modality)
    assert find("unimodal").streams(config) == streams
    p = moved(describe(config))
    out, backward = forward(p, frames(config), config)
    assert list(backward({"logits": out["logits"]}, params.zeros_like(p))) == [modality]


def test_its_logits_and_its_loss_are_means_of_two():
    p, batch = moved(describe(SMALL)), frames(SMALL)
    out, _ = forward(p, batch, SMALL)
    np.testing.assert_allclose(out["logits"], (out["main"] + out["auxiliary"]) / 2, rtol=1e-12)
    truth = {"target": np.eye(4)[[0, 1, 2, 3, 0]], "class_count": np.ones(4)}
    value, terms, _ = loss(out, truth, SMALL)
    assert value == pytest.approx((terms["main"] + terms["auxiliary"]) / 2, rel=1e-12)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"modality": "text"}, "modality is 'text'; accepted: 'audio', 'visual'"),
        ({"mix": "none"}, "mix is 'none'; accepted: 'off', 'fixed', 'learned'"),
    ],
)
def test_a_wrong_switch_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)
