"""SFAV: its three fusions, and their places."""

from dataclasses import replace

import numpy as np
import pytest

from refmer import params
from refmer.baselines.sfav import FUSIONS, Config, augment, describe, describe_frame_attention, forward, frame_attention
from refmer.proofs import moved
from refmer.proofs.paper004 import sequences

SMALL = Config(audio=3, visual=5, classes=4, blocks=(8, 6, 6, 4), heads=2, hidden=9)
BATCH = sequences((3,), (5,))
CROSS = 4 * (4 * 4 + 4) + 4 * 9 + 9 + 9 * 4 + 4 + 4 * 4  # of width 4: attention, feed-forward, two norms


def answer(batch, fusion):
    config, trace = replace(SMALL, fusion=fusion), {}
    return forward(moved(describe(config)), batch, config, trace=trace)[0]["logits"], trace


def test_the_fusions_differ_by_their_layer_and_its_place():
    sizes = {fusion: params.count(describe(replace(SMALL, fusion=fusion))) for fusion in FUSIONS}
    base = sizes["late"] - 2 * CROSS
    assert sizes["attention"] - base == 2 * 2 * 6 * 6  # one map for queries, one for keys, each way
    assert sizes["intermediate"] - base == 2 * (4 * (36 + 6) + 6 * 9 + 9 + 9 * 6 + 6 + 24)
    assert FUSIONS == {"late": 4, "intermediate": 2, "attention": 2}


@pytest.mark.parametrize("fusion", FUSIONS)
def test_either_modality_moves_the_answer_and_hidden_frames_do_not(fusion):
    first, _ = answer(BATCH, fusion)
    for m in ("audio", "visual"):
        second, _ = answer(BATCH | {m: BATCH[m] + 1}, fusion)
        assert np.abs(first - second)[0].max() > 1e-3
        masked, _ = answer(BATCH | {m: np.where(BATCH[f"{m}_mask"][..., None], BATCH[m], 7.0)}, fusion)
        np.testing.assert_allclose(masked, first, rtol=1e-12)
    longer = {k: np.concatenate([x, 0 * x if x.dtype.kind == "f" else x & False], 1) for k, x in BATCH.items()}
    np.testing.assert_allclose(answer(longer, fusion)[0], first, rtol=1e-10)


def test_attention_weighs_the_frames_by_the_attention_of_the_other_modality():
    _, trace = answer(BATCH, "attention")
    w = trace["audio.frames"]
    assert w.shape == (5, 7)
    np.testing.assert_allclose(w[:3].sum(1), BATCH["visual_mask"][:3].sum(1), rtol=1e-12)  # one per query frame
    assert (w[~BATCH["audio_mask"]] == 0).all()
    assert (w[4] == 0).all()  # clip 4 has no face: no query, and all sound has weight 0


def test_modality_dropout_is_off_by_default():
    assert augment(BATCH, SMALL, np.random.default_rng(0)) is BATCH
    changed = augment(BATCH, replace(SMALL, modality_dropout=0.4), np.random.default_rng(0))
    assert (changed["audio_mask"].any(1) < BATCH["audio_mask"].any(1)).any()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"fusion": "early"}, "fusion is 'early'; accepted: 'late', 'intermediate', 'attention'"),
        ({"blocks": (3, 4)}, r"blocks is \(3, 4\); accepted: 4 widths"),
        ({"target": "affect"}, "target is 'affect'; accepted"),
        ({"modality_dropout": 0.7}, "modality_dropout is 0.7; accepted: 0 to 0.5"),
    ],
)
def test_a_wrong_switch_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


B, T, S, C, E, H = 2, 3, 5, 6, 4, 2
rng = np.random.default_rng(1)
X, MEMORY = rng.normal(size=(B, T, C)), rng.normal(size=(B, S, E))
X_VALID = np.array([[True, True, False], [True] * T])
VALID = np.array([[True] * S, [True, True, False, False, False]])
P = moved(describe_frame_attention(C, E, 8))


def run(x, memory, x_valid=None, valid=None):
    trace = {}
    y, _ = frame_attention(P, x, memory, H, x_valid, valid, trace)
    return y, trace["frames"]


def test_a_frame_is_multiplied_by_the_sum_of_its_weights_over_all_queries():
    y, w = run(X, MEMORY)
    q, k = ((z @ m.W).reshape(B, -1, H, 4).swapaxes(1, 2) for z, m in ((X, P.query), (MEMORY, P.key)))
    e = np.exp(q @ k.swapaxes(-1, -2) / 2)
    np.testing.assert_allclose(w, (e / e.sum(-1, keepdims=True)).sum(2).mean(1), rtol=1e-11)
    np.testing.assert_allclose(y, w[..., None] * MEMORY, rtol=1e-12)


def test_weights_sum_to_the_number_of_valid_queries_and_masked_frames_get_none():
    _, w = run(X, MEMORY, X_VALID, VALID)
    np.testing.assert_allclose(w.sum(-1), X_VALID.sum(-1), rtol=1e-12)
    assert not w[~VALID].any()


def test_padding_of_frame_attention_changes_nothing():
    y, _ = run(X, MEMORY, X_VALID, VALID)
    other = np.where(X_VALID[..., None], X, 9.0), np.where(VALID[..., None], MEMORY, 9.0)
    np.testing.assert_allclose(run(*other, X_VALID, VALID)[0], y, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(run(X[:1, :2], MEMORY[:1])[0], y[:1], rtol=1e-11)
    np.testing.assert_allclose(run(X[1:], MEMORY[1:, :2])[0], y[1:, :2], rtol=1e-11)


def test_without_a_valid_key_y_is_zero():
    assert not run(X, MEMORY, None, np.zeros((B, S), bool))[0].any()


def test_bad_input_of_frame_attention_is_named():
    with pytest.raises(ValueError, match=r"mask has shape \(2, 1, 2, 1\)"):
        run(X, MEMORY, X_VALID[:, 1:])
    with pytest.raises(ValueError, match="a width of 8 does not divide into 3 heads"):
        frame_attention(P, X, MEMORY, 3)
