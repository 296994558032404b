"""AuxFormer: the published sizes, its ablations, and laws of the whole system."""

from dataclasses import replace

import numpy as np
import pytest

import refmer
from refmer import params
from refmer.layers import auxformer as networks
from refmer.ops.activations import softmax
from refmer.proofs import moved
from refmer.proofs.paper002 import CODE, SMALL, frames
from refmer.systems import auxformer
from refmer.systems.auxformer import Config, augment, describe, forward, loss

SMALL = Config(**SMALL, auxiliary_hidden=(8, 9))
BATCH = frames(SMALL)


def outputs(config, batch=BATCH, p=None):
    return forward(moved(describe(config)) if p is None else p, batch, config)[0]


def padded(batch, audio, visual):
    """The batch with this many masked frames of noise at the end."""
    longer, noise = {}, np.random.default_rng(4).normal(size=(len(batch["audio"]), 9, 9))
    for m, more in (("audio", audio), ("visual", visual)):
        longer[m] = np.concatenate([batch[m], noise[:, :more, : batch[m].shape[-1]]], 1)
        longer[f"{m}_mask"] = np.pad(batch[f"{m}_mask"], [(0, 0), (0, more)])
    return longer


@pytest.mark.parametrize(
    "changes, size",
    [
        ({}, 7_054_748),
        ({"classes": 6}, 7_055_532),
        ({"audio_conv": False}, 7_037_848),
        ({"mix": "fixed"}, 7_054_748 - 10),  # one scalar a layer
        ({"token": "prepended"}, 7_054_748 + 2 * 130),
        ({"within": "off"}, 7_054_748 - 2 * 1_022_715),
    ],
)
def test_the_published_sizes(changes, size):
    assert params.count(describe(Config.paper(**changes))) == size


OTHERS = [{"scale": "keys"}, {"causal": "off"}, {"token": "mean"}, {"within": "lstm"}, {"positions": "off"}]


@pytest.mark.parametrize("audio, visual", [(0, 4), (5, 0), (2, 7)])
@pytest.mark.parametrize("change", [{}, *OTHERS, {"token": "prepended"}, {"within": "gru"}], ids=str)
def test_padding_of_one_modality_or_both_changes_nothing(change, audio, visual):
    config = replace(SMALL, **change)
    out, longer = outputs(config), outputs(config, padded(BATCH, audio, visual))
    for name in out:
        np.testing.assert_allclose(longer[name], out[name], rtol=1e-10)


@pytest.mark.parametrize("change", [{"causal": "padded"}, {"token": "last"}, {"hide_padding": False, "causal": "off"}], ids=str)
def test_padding_changes_the_outputs_of_the_authors_code(change):
    config = replace(SMALL, **change)
    assert not np.allclose(outputs(config, padded(BATCH, 0, 1))["logits"], outputs(config)["logits"])


def test_a_clip_cut_to_its_own_lengths_has_the_same_logits_as_in_the_batch():
    together = outputs(SMALL)["logits"]
    for i in range(len(together)):
        alone = {}
        for m in auxformer.MODALITIES:
            mask = BATCH[f"{m}_mask"][i : i + 1]
            end = max(mask[0].nonzero()[0].max(initial=0) + 1, 1)
            alone |= {m: BATCH[m][i : i + 1, :end], f"{m}_mask": mask[:, :end]}
        np.testing.assert_allclose(outputs(SMALL, alone)["logits"][0], together[i], rtol=1e-10)


MORE = [{"mix": "fixed"}, {"mix": "off"}, {"within": "off"}, {"positions_within": True}, {"average": "probabilities"}]


@pytest.mark.parametrize("change", [*({k: v} for k, v in CODE.items()), *OTHERS, *MORE], ids=str)
def test_every_switch_changes_the_logits(change):
    batch = BATCH | {"audio": np.where(BATCH["audio"][..., :1] > 1, 0, BATCH["audio"])}  # some valid frames are zeros
    assert not np.allclose(outputs(replace(SMALL, **change), batch)["logits"], outputs(SMALL, batch)["logits"], atol=1e-3)


def test_positions_make_the_order_of_frames_matter_to_the_cross_encoders():
    config = replace(SMALL, causal="off", within="off", token="mean")
    full = {k: np.ones_like(x) if k.endswith("_mask") else x for k, x in BATCH.items()}
    turned = {k: x[:, ::-1] for k, x in full.items()}
    bare = replace(config, positions="off")
    np.testing.assert_allclose(outputs(bare, turned)["av"], outputs(bare, full)["av"], rtol=1e-10)
    assert not np.allclose(outputs(config, turned)["av"], outputs(config, full)["av"])
    maps = []
    for batch in (full, full | {"visual": turned["visual"]}):
        forward(moved(describe(config)), batch, config, trace=(trace := {}))
        maps.append(trace["main.audio.cross.layers.0.attention"])
    assert not np.allclose(maps[1][..., ::-1], maps[0], atol=1e-3)  # keys have positions too


def test_literal_positions_leave_out_a_modality_that_is_zero():
    p, zero = moved(describe(SMALL)), BATCH | {"audio": np.zeros_like(BATCH["audio"])}
    masked = zero | {"audio_mask": np.zeros_like(BATCH["audio_mask"])}
    literal, valid = (replace(SMALL, **CODE | {"positions": rule}) for rule in ("literal", "valid"))
    np.testing.assert_allclose(outputs(literal, zero, p)["av"], outputs(valid, masked, p)["av"], rtol=1e-10)


def test_an_auxiliary_network_depends_on_its_own_modality_alone_and_runs_one_encoder_three_times():
    other = BATCH | {"audio": BATCH["audio"] + 1}
    before, after = outputs(SMALL), outputs(SMALL, other)
    np.testing.assert_array_equal(after["visual"], before["visual"])
    assert not np.allclose(after["audio"], before["audio"]) and not np.allclose(after["av"], before["av"])
    trace = {}
    forward(moved(describe(SMALL)), BATCH, SMALL, trace=trace)
    assert len(trace["auxiliary.visual.layers.0.attention"]) == networks.PASSES == 3


def test_a_trace_holds_maps_and_the_logits_of_three_networks():
    trace = {}
    forward(moved(describe(SMALL)), BATCH, SMALL, trace=trace)
    shapes = {k: np.shape(v) for k, v in trace.items()}
    assert shapes == {
        "main.audio.cross.layers.0.attention": (5, 2, 5, 3),
        "main.audio.within.layers.0.attention": (5, 2, 5, 5),
        "main.visual.cross.layers.0.attention": (5, 2, 3, 5),
        "main.visual.within.layers.0.attention": (5, 2, 3, 3),
        "auxiliary.audio.layers.0.attention": (3, 5, 2, 5, 5),
        "auxiliary.visual.layers.0.attention": (3, 5, 2, 3, 3),
        "av.logits": (5, 4),
        "audio.logits": (5, 4),
        "visual.logits": (5, 4),
    }
    # the first clip has no first frame: the keys of its first query are all masked
    np.testing.assert_allclose(trace["main.audio.cross.layers.0.attention"][1:].sum(-1), 1, rtol=1e-12)
    within = trace["main.visual.within.layers.0.attention"]
    assert (np.triu(within, 1) == 0).all()  # causal
    assert (trace["main.visual.cross.layers.0.attention"][3] == 0).all()  # no frame attends to the missing voice


def test_a_prepended_token_attends_to_every_valid_frame():
    config, trace = replace(SMALL, token="prepended"), {}
    forward(moved(describe(config)), BATCH, config, trace=trace)
    attends = trace["main.visual.within.layers.0.attention"][:, 0, 0] > 0
    np.testing.assert_array_equal(attends[:, 1:], BATCH["visual_mask"])


def test_the_output_is_the_mean_of_logits_or_of_probabilities():
    out = outputs(SMALL)
    np.testing.assert_allclose(out["logits"], np.mean([out[n] for n in auxformer.NETWORKS], 0), rtol=1e-12)
    out = outputs(replace(SMALL, average="probabilities"))
    probabilities = [softmax(out[n]) for n in auxformer.NETWORKS]
    np.testing.assert_allclose(softmax(out["logits"]), np.mean(probabilities, 0), rtol=1e-12)


def test_a_loss_with_weight_zero_trains_nothing_of_its_network():
    truth = {"target": np.eye(4)[[0, 1, 2, 3, 0]], "class_count": np.ones(4)}
    config = replace(SMALL, weights=(0.0, 0.4, 0.6))
    p = moved(describe(config))
    out, backward = forward(p, BATCH, config)
    value, terms, dout = loss(out, truth, config)
    assert list(terms) == ["av", "audio", "visual"]
    assert value == pytest.approx(0.4 * terms["audio"] + 0.6 * terms["visual"], rel=1e-12)
    g = params.zeros_like(p)
    backward(dout, g)
    assert not g.main.head.out.W.any() and not g.main.audio.cross.norm.gamma.any()
    assert g.auxiliary.head.out.W.any() and g.audio.project.W.any()


def test_the_optimized_training_takes_one_modality_from_two_fifths_of_a_batch():
    rng = np.random.default_rng(0)
    batch = {m: np.ones((30, 4, 2), np.float32) for m in auxformer.MODALITIES}
    batch |= {f"{m}_mask": np.ones((30, 4), bool) for m in auxformer.MODALITIES}
    changed = augment(batch, SMALL, rng)
    audio, visual = (~changed[f"{m}_mask"].any(1) for m in auxformer.MODALITIES)
    assert audio.sum() == visual.sum() == 6 and not (audio & visual).any()
    assert not changed["audio"][audio].any() and changed["audio"][~audio].all()
    lost = {tuple(augment(batch, replace(SMALL, training="batch"), rng)["audio_mask"].any(1)) for _ in range(40)}
    assert lost == {(True,) * 30, (False,) * 30}
    assert augment(batch, replace(SMALL, training="standard"), rng) is batch


def test_a_saved_recognizer_keeps_its_switches(clips, tmp_path):
    config = {"weights": [0.5, 0.25, 0.25], "fps": 1.5, "token": "prepended"}
    model = refmer.Recognizer("auxformer", config=config, epochs=1).fit(clips, progress=False)
    model.save(tmp_path / "a.npz")
    again = refmer.load_recognizer(tmp_path / "a.npz")
    assert again.config_ == model.config_ and again.config_.weights == (0.5, 0.25, 0.25)
    np.testing.assert_array_equal(again.predict_proba(clips[:3]), model.predict_proba(clips[:3]))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"token": "first"}, "token is 'first'; accepted: 'last_valid', 'last', 'mean', 'prepended'"),
        ({"causal": True}, "causal is True; accepted: 'clip', 'padded', 'off'"),
        ({"positions": "on"}, "positions is 'on'; accepted: 'valid', 'literal', 'off'"),
        ({"scale": "heads"}, "scale is 'heads'; accepted: 'width', 'keys'"),
        ({"mix": "on"}, "mix is 'on'; accepted: 'off', 'fixed', 'learned'"),
        ({"within": "rnn"}, "within is 'rnn'; accepted: 'attention', 'lstm', 'gru', 'off'"),
        ({"training": "clip"}, "training is 'clip'; accepted: 'sample', 'batch', 'standard'"),
        ({"average": "mean"}, "average is 'mean'; accepted: 'logits', 'probabilities'"),
        ({"task": "affect"}, "task is 'affect'; accepted: 'classes'"),
        ({"weights": (0.5, 0.5)}, r"weights is \(0.5, 0.5\); accepted: three numbers"),
        ({"weights": (1.0, 1.0, 1.0)}, "with sum 1"),
        ({"heads": 4}, "width is 6 and heads 4; accepted"),
        ({"fps": 0}, "fps is 0; accepted: finite numbers above 0"),
        ({"audio_conv": False}, "audio_conv is False with audio 5 and width 6; accepted: audio = width"),
    ],
)
def test_a_wrong_switch_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        describe(replace(SMALL, **change))
