"""VAVL: shared blocks, three classifiers, and the loss on them."""

from dataclasses import replace

import numpy as np
import pytest

from refmer import params
from refmer.baselines.vavl import Config, describe, forward, loss
from refmer.proofs import moved
from refmer.proofs.paper004 import sequences

SMALL = Config(audio=3, visual=5, classes=4, narrow=7, width=8, heads=2, hidden=9, kernel=3, own=1, shared=2, head_hidden=(6,))
BATCH = sequences((3,), (5,))


def test_the_published_widths():
    config = Config.paper()
    assert (config.narrow, config.width, config.own, config.shared) == (50, 512, 3, 2)
    tree = describe(config)
    assert params.count(tree["audio"]["narrow"]) == 1024 * 50 and params.count(tree["visual"]["narrow"]) == 1408 * 50
    assert len(tree["audio"]["blocks"]) == len(tree["visual"]["blocks"]) == 3 and len(tree["shared"]["blocks"]) == 2


def test_one_modality_changes_its_own_logits_and_the_common_ones_only():
    p, other = moved(describe(SMALL)), BATCH | {"audio": BATCH["audio"] + 1}
    first, second = forward(p, BATCH, SMALL)[0], forward(p, other, SMALL)[0]
    np.testing.assert_array_equal(first["logits_visual"], second["logits_visual"])
    assert np.abs(first["logits_audio"] - second["logits_audio"])[:3].min() > 0
    assert np.abs(first["logits"] - second["logits"])[:3].min() > 0
    np.testing.assert_array_equal(first["logits"][3], second["logits"][3])  # clip 3 has no sound


def test_both_modalities_have_gradients_in_the_shared_blocks():
    p, g = moved(describe(SMALL)), {}
    out, backward = forward(p, BATCH, SMALL)
    for m in ("audio", "visual"):
        g[m] = params.zeros_like(p)
        backward({k: x if k == f"logits_{m}" else 0 * x for k, x in out.items()}, g[m])
        assert np.abs(g[m].shared.blocks[1].attend.value.W).max() > 0
    assert np.abs(g["audio"].visual.blocks[0].attend.value.W).max() == 0


def test_the_loss_is_the_weighted_sum_of_three_cross_entropies():
    out, _ = forward(moved(describe(SMALL)), BATCH, SMALL)
    truth = {"target": np.eye(4)[[0, 1, 2, 3, 0]], "class_count": np.ones(4)}
    for weight in (1.0, 0.5):
        value, terms, dout = loss(out, truth, replace(SMALL, unimodal=weight))
        both, audio, visual = terms.values()
        assert list(terms)[0] == "cross_entropy" and value == pytest.approx(both + weight * (audio + visual), rel=1e-12)
        assert set(dout) == set(out)
    alone = replace(SMALL, unimodal=0.0)
    assert set(forward(moved(describe(alone)), BATCH, alone)[0]) == {"logits"}
    assert params.count(describe(SMALL)) - params.count(describe(alone)) == 2 * (8 * 6 + 6 + 6 * 4 + 4)


def test_a_wrong_switch_is_named():
    with pytest.raises(ValueError, match="unimodal is -1; accepted: 0 or more"):
        Config(unimodal=-1)
    with pytest.raises(ValueError, match="target is 'affect'; accepted: 'emotion', 'votes', 'sentiment'"):
        Config(target="affect")
