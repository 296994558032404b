"""Baselines of paper 002: their sizes, published or not reproduced, and how each differs from AuxFormer."""

import numpy as np
import pytest

from refmer import params
from refmer.baselines import auxformer_baseline1, mult, parthasarathy, unimodal
from refmer.proofs import moved
from refmer.proofs.paper002 import SMALL, frames
from refmer.systems import auxformer, find

CROSS, ALONE = parthasarathy.Config(**SMALL), unimodal.Config(**SMALL, auxiliary_hidden=(8, 9))
SIZES = [
    ("auxformer_baseline1", {}, 4_776_994),
    ("auxformer_baseline1", {"classes": 6}, 4_777_516),
    ("mult", {}, 358_384),
    ("mult", {"heads": 10}, 358_384),
    ("mult", {"width": 160, "heads": 10, "classes": 6}, 7_070_406),
    ("parthasarathy", {}, 2_731_568),  # published: 2,211,628
    ("unimodal", {}, 2_844_823),  # published: 4,364,354
    ("unimodal", {"modality": "audio"}, 2_844_823 - 532_480 + 16_900),
]


@pytest.mark.parametrize("name, changes, size", SIZES)
def test_sizes_and_which_published_ones_are_unresolved(name, changes, size):
    system = find(name)
    assert params.count(system.describe(system.Config.paper(**changes))) == size
    published = {"parthasarathy": 2_211_628, "unimodal": 4_364_354}
    assert name not in published or system.VARIANTS[name][1] == published[name] != size


@pytest.mark.parametrize("name", ["auxformer_baseline1", "mult", "parthasarathy", "sfav", "transformer_lstm"])
def test_the_default_loss_is_the_unweighted_cross_entropy(name):
    truth = {"target": np.eye(4)[[0, 1, 2, 3, 0]], "class_count": np.array([9.0, 1, 1, 1])}
    value, terms, _ = find(name).loss({"logits": np.zeros((5, 4))}, truth, find(name).Config.tiny())
    assert value == terms["cross_entropy"] == pytest.approx(np.log(4), rel=1e-12)


def test_baseline_1_has_the_logits_of_auxformers_main_network_with_the_same_seed():
    alone, whole = auxformer_baseline1.Config(**SMALL), auxformer.Config(**SMALL)
    batch = frames(alone)
    logits = auxformer_baseline1.forward(params.init(auxformer_baseline1.describe(alone), 3), batch, alone)[0]["logits"]
    main = auxformer.forward(params.init(auxformer.describe(whole), 3), batch, whole)[0]["av"]
    np.testing.assert_array_equal(logits, main)


def test_mult_is_the_main_network_with_plain_residuals_and_positions_in_every_encoder():
    config = mult.Config(**SMALL)
    p, batch = moved(mult.describe(config)), frames(config)
    logits = mult.forward(p, batch, config)[0]["logits"]
    same = auxformer_baseline1.Config(**SMALL, mix="off", positions_within=True)
    np.testing.assert_array_equal(auxformer_baseline1.forward(p, batch, same)[0]["logits"], logits)
    bare = auxformer_baseline1.Config(**SMALL, mix="off")
    assert not np.allclose(auxformer_baseline1.forward(p, batch, bare)[0]["logits"], logits)


def test_without_attention_voice_and_face_add_and_without_both_scalars_the_bias_is_left():
    p, batch = moved(parthasarathy.describe(CROSS)), frames(CROSS)
    other = {m: batch | {m: batch[m] + 1} for m in ("audio", "visual")}
    both = other["audio"] | {"visual": other["visual"]["visual"]}

    def logits(batch):
        return parthasarathy.forward(p, batch, CROSS)[0]["logits"]

    def interaction():
        return logits(both) - logits(other["audio"]) - logits(other["visual"]) + logits(batch)

    assert np.abs(interaction()).max() > 1e-3
    for part in (p.audio.cross, p.visual.cross):
        part.a[:] = 0
    np.testing.assert_allclose(interaction(), 0, atol=1e-12)
    for part in (p.audio.cross, p.visual.cross):
        part.b[:] = 0
    np.testing.assert_allclose(logits(batch), np.broadcast_to(p.out.b, (5, 4)), rtol=1e-12)


def test_parthasarathy_starts_as_a_plain_residual():
    p = params.init(parthasarathy.describe(CROSS), 0)
    assert p.audio.cross.a == p.audio.cross.b == p.visual.cross.a == p.visual.cross.b == 1


@pytest.mark.parametrize("modality, streams", [("visual", ("units",)), ("audio", ("prosody", "mfcc"))])
def test_unimodal_reads_one_modality(modality, streams):
    config = unimodal.Config(**SMALL, auxiliary_hidden=(8, 9), modality=modality)
    assert find("unimodal").modalities(config) == {modality: streams}
    p = moved(unimodal.describe(config))
    out, backward = unimodal.forward(p, frames(config), config)
    assert list(backward({"logits": out["logits"]}, params.zeros_like(p))) == [modality]


def test_the_logits_and_the_loss_of_unimodal_are_means_of_two():
    out, _ = unimodal.forward(moved(unimodal.describe(ALONE)), frames(ALONE), ALONE)
    np.testing.assert_allclose(out["logits"], (out["main"] + out["auxiliary"]) / 2, rtol=1e-12)
    truth = {"target": np.eye(4)[[0, 1, 2, 3, 0]], "class_count": np.ones(4)}
    value, terms, _ = unimodal.loss(out, truth, ALONE)
    assert value == pytest.approx((terms["main"] + terms["auxiliary"]) / 2, rel=1e-12)


@pytest.mark.parametrize(
    "system, change, message",
    [
        (parthasarathy, {"training": "none"}, "training is 'none'; accepted: 'sample', 'batch', 'standard'"),
        (unimodal, {"modality": "text"}, "modality is 'text'; accepted: 'audio', 'visual'"),
        (unimodal, {"mix": "none"}, "mix is 'none'; accepted: 'off', 'fixed', 'learned'"),
    ],
)
def test_a_wrong_switch_is_named(system, change, message):
    with pytest.raises(ValueError, match=message):
        system.Config(**change)
