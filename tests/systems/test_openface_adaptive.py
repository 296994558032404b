"""OpenFace-Adaptive: the published sizes, its ablations, and laws of the whole system."""

import types
from dataclasses import replace

import numpy as np
import pytest

from refmer import Recognizer, corrupt, params
from refmer.ops.optimizers import adamw
from refmer.proofs import moved
from refmer.proofs.systems import vectors
from refmer.systems import System, find, openface_adaptive
from refmer.systems.openface_adaptive import Config, describe, forward, loss

SMALL = Config(visual=7, audio=3, text=2, classes=4, width=8, heads=2, layers=2, hidden=10, head=9, gate_hidden=5)


PUBLISHED = 1_962_503  # 7,850,012 bytes, "7.9 MB"
SIZES = [
    ({}, PUBLISHED),
    ({"width": 192}, 3_086_663),
    ({"gate_text": True}, PUBLISHED + 8_321),
    ({"gate": False}, PUBLISHED - 2 * 8_321),
]


@pytest.mark.parametrize("changes, size", SIZES)
def test_the_published_sizes(changes, size):
    assert params.count(describe(Config.paper(**changes))) == size


def test_it_overfits_eight_clips():
    rng = np.random.default_rng(0)
    batch = {m: rng.normal(size=(8, getattr(SMALL, m))).astype(np.float32) for m in SMALL.modalities}
    batch |= {"target": np.eye(4, dtype=np.float32)[np.arange(8) % 4], "class_count": np.ones(4, np.float32)}
    config, p = replace(SMALL, dropout=0.0), params.init(describe(SMALL), 0)
    m, v = np.zeros_like(p.vector), np.zeros_like(p.vector)
    for step in range(1, 301):
        out, backward = forward(p, batch, config)
        value, _, dout = loss(out, batch, config)
        g = params.zeros_like(p)
        backward(dout, g)
        adamw(p.vector, g.vector, m, v, step, 1e-2, decay=0.0)
    assert value < 1e-4


def test_the_loss_of_equal_logits_is_log_K():
    truth = {"target": np.eye(4)[[0, 1, 2, 3, 0]], "class_count": np.ones(4)}
    value, terms, _ = loss({"logits": np.zeros((5, 4))}, truth, replace(SMALL, gamma=0.0))
    assert value == terms["focal"] == pytest.approx(np.log(4), rel=1e-12)


def test_a_clip_alone_gets_the_same_answer_as_in_a_batch():
    p, batch = moved(describe(SMALL)), vectors()
    together = forward(p, batch, SMALL)[0]["logits"]
    for i in range(len(together)):
        alone = forward(p, {k: x[i : i + 1] for k, x in batch.items()}, SMALL)[0]["logits"]
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-12)


def test_hide_missing_masks_the_node_of_a_missing_modality():
    batch = vectors()
    hidden, p = replace(SMALL, hide_missing=True), moved(describe(SMALL))
    other = batch | {"audio": np.where(batch["audio_mask"][:, None], batch["audio"], 9.0)}

    def first_maps(batch, config):
        trace = {}
        forward(p, batch, config, trace=trace)
        return trace["layers.0.attention"][~batch["audio_mask"]]

    for maps in (first_maps(batch, hidden), first_maps(other, hidden)):
        assert (maps[..., 1] == 0).all()  # no node attends to audio
    assert (first_maps(batch, SMALL)[..., 1] > 0).all()  # with a soft gate the node has a share


def test_the_reliability_term_is_zero_slope_where_the_gates_say_the_states_and_needs_them():
    told, batch = replace(SMALL, reliability=2.0), vectors()
    out, _ = forward(moved(describe(SMALL)), batch, told)
    truth = {"target": np.eye(4)[[0, 1, 2, 3, 0]], "class_count": np.ones(4)}
    alpha = 1 / (1 + np.exp(-out["scores"]))  # (B, 2)
    states = {"visual_state": alpha[:, 0], "audio_state": np.full(5, 0.5)}
    masks = {f"{m}_mask": batch[f"{m}_mask"] for m in ("visual", "audio")}
    plain, _, without = loss(out, truth, told)
    value, terms, dout = loss(out, truth | states | masks, told)
    assert value == pytest.approx(plain + terms["reliability"]) and "scores" not in without
    state = np.where(batch["audio_mask"], 0.5, 0)  # a missing modality has none
    np.testing.assert_allclose(dout["scores"][:, 0], 0, atol=1e-15)
    np.testing.assert_allclose(dout["scores"][:, 1], 2.0 * (alpha[:, 1] - state) / 10, rtol=1e-12)  # alpha - r


def test_told_of_broken_sensors_the_gates_close_and_trained_as_in_the_paper_they_do_not(clips):
    broken = {"visual": corrupt(clips, "face", "hand", 1.0), "audio": corrupt(clips, "voice", "white", 0.0)}
    for reliability, closes in ((1.0, True), (0.0, False)):
        model = Recognizer("openface_adaptive", config={"reliability": reliability}, label="emotion", epochs=60)
        whole = model.fit(clips, dev=clips, progress=False).explain(clips)
        for modality, part in broken.items():
            alpha, after = (x[f"{modality}.gate"].mean() for x in (whole, model.explain(part)))
            assert (after < alpha / 2) == closes


def test_explain_names_gates_and_maps_and_rows_sum_to_one():
    trace = {}
    forward(moved(describe(SMALL)), vectors(), SMALL, trace=trace)
    gates, maps = (f"{m}.gate" for m in ("visual", "audio")), (f"layers.{i}.attention" for i in range(2))
    assert {k: v.shape for k, v in trace.items()} == dict.fromkeys(gates, (5, 1)) | dict.fromkeys(maps, (5, 2, 3, 3))
    np.testing.assert_allclose(trace["layers.1.attention"].sum(-1), 1, rtol=1e-12)
    assert (trace["visual.gate"] > 0).all() and (trace["visual.gate"] < 1).all()


def test_ablations_share_the_initial_weights_of_shared_parts():
    full, bare = (params.init(describe(replace(SMALL, gate=gate)), 3) for gate in (True, False))
    np.testing.assert_array_equal(full.visual.project.W, bare.visual.project.W)
    np.testing.assert_array_equal(full.layers[1].ffn.up.W, bare.layers[1].ffn.up.W)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"modalities": ()}, r"modalities is \(\); accepted"),
        ({"modalities": ("smell",)}, "smell"),
        ({"task": "age"}, "task is 'age'; accepted: 'classes', 'votes', 'ordinal', 'regression'"),
    ],
)
def test_a_wrong_switch_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_an_unknown_system_is_named_with_all_names():
    with pytest.raises(KeyError, match="no system is called 'openface'; accepted: openface_adaptive, "):
        find("openface")


def test_a_system_has_a_name_the_functions_of_its_module_and_defaults():
    system = find("openface_adaptive")
    assert repr(system) == "System('openface_adaptive')" and system.forward is openface_adaptive.forward
    assert system.modalities(Config(modalities=("audio",))) == {"audio": ("prosody", "mfcc")}
    with pytest.raises(AttributeError, match="system 'types' does not define 'describe'"):
        System(types).describe(None)
