"""OpenFace-Adaptive: the published sizes, its ablations, and laws of the whole system."""

from dataclasses import replace

import numpy as np
import pytest

from refmer import params
from refmer.ops.optimizers import adamw
from refmer.proofs import moved
from refmer.proofs.systems import vectors
from refmer.systems import find, openface_adaptive
from refmer.systems.openface_adaptive import Config, describe, forward, loss

SMALL = Config(visual=7, audio=3, text=2, classes=4, width=8, heads=2, layers=2, hidden=10, head=9, gate_hidden=5)


@pytest.mark.parametrize(
    "config, size",
    [
        (Config.paper(), 1_962_503),
        (Config.paper(width=192), 3_086_663),
        (Config.paper(gate_text=True), 1_962_503 + 8_321),
        (Config.paper(gate=False), 1_962_503 - 2 * 8_321),
    ],
)
def test_the_published_sizes(config, size):
    assert params.count(describe(config)) == size


def test_the_published_megabytes():
    assert 4 * params.count(describe(Config.paper())) == 7_850_012  # "7.9 MB"


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


def test_the_loss_of_an_untrained_model_is_near_that_of_knowing_nothing():
    out = {"logits": np.zeros((5, 4))}
    target = np.eye(4)[[0, 1, 2, 3, 0]]
    value, terms, _ = loss(out, {"target": target, "class_count": np.ones(4)}, replace(SMALL, gamma=0.0))
    assert value == terms["focal"] == pytest.approx(np.log(4), rel=1e-12)


def test_a_clip_alone_gets_the_same_answer_as_in_a_batch():
    p, batch = moved(describe(SMALL)), vectors()
    together = forward(p, batch, SMALL)[0]["logits"]
    for i in range(len(together)):
        alone = forward(p, {k: x[i : i + 1] for k, x in batch.items()}, SMALL)[0]["logits"]
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-12)


def test_a_missing_modality_that_is_hidden_changes_nothing_whatever_it_holds_and_one_that_is_not_does():
    batch = vectors()
    hidden = SMALL.__class__(**{**vars(SMALL), "hide_missing": True})
    p = moved(describe(hidden))
    other = batch | {"audio": np.where(batch["audio_mask"][:, None], batch["audio"], 9.0)}

    def first_maps(batch, config):
        trace = {}
        forward(p, batch, config, trace=trace)
        return trace["layers.0.attention"][~batch["audio_mask"]]

    for maps in (first_maps(batch, hidden), first_maps(other, hidden)):
        assert (maps[..., 1] == 0).all()  # nobody attends to the audio node
    assert (first_maps(batch, SMALL)[..., 1] > 0).all()  # a soft gate leaves the node its share


def test_explain_names_gates_and_maps_and_rows_sum_to_one():
    trace = {}
    forward(moved(describe(SMALL)), vectors(), SMALL, trace=trace)
    assert {k: v.shape for k, v in trace.items()} == {
        "visual.gate": (5, 1),
        "audio.gate": (5, 1),
        "layers.0.attention": (5, 2, 3, 3),
        "layers.1.attention": (5, 2, 3, 3),
    }
    np.testing.assert_allclose(trace["layers.1.attention"].sum(-1), 1, rtol=1e-12)
    assert (trace["visual.gate"] > 0).all() and (trace["visual.gate"] < 1).all()


def test_ablations_share_the_initial_weights_of_shared_parts():
    full, bare = (params.init(describe(replace(SMALL, gate=gate)), 3) for gate in (True, False))
    np.testing.assert_array_equal(full.visual.project.W, bare.visual.project.W)
    np.testing.assert_array_equal(full.layers[1].ffn.up.W, bare.layers[1].ffn.up.W)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"modalities": ()}, r"modalities is \(\); accepted"),
        ({"modalities": ("smell",)}, "smell"),
        ({"target": "age"}, "target is 'age'; accepted: 'sentiment', 'emotion'"),
    ],
)
def test_a_wrong_switch_is_named(change, said):
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **change)


def test_an_unknown_system_is_named_with_all_there_are():
    assert find("openface_adaptive").forward is openface_adaptive.forward
    with pytest.raises(KeyError, match="no system is called 'openface'; accepted: openface_adaptive, "):
        find("openface")
