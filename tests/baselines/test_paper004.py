"""Baselines of paper 004: the fusions of SFAV, the steps of Transformer-LSTM, the shared blocks and classifiers of VAVL."""

from dataclasses import replace

import numpy as np
import pytest

from refmer import params
from refmer.baselines import sfav, transformer_lstm, vavl
from refmer.baselines.sfav import FUSIONS, describe_frame_attention, frame_attention
from refmer.data.clips import Stream
from refmer.proofs import moved
from refmer.proofs.paper004 import sequences

SFAV = sfav.Config(audio=3, visual=5, classes=4, blocks=(8, 6, 6, 4), heads=2, hidden=9)
LSTM = transformer_lstm.Config(audio=3, visual=5, classes=4, width=8, heads=2, layers=1, hidden=9)
VAVL = vavl.Config(
    audio=3, visual=5, classes=4, narrow=7, width=8, heads=2, hidden=9, kernel=3, own=1, shared=2, head_hidden=(6,)
)
BATCH, STEPS = sequences((3,), (5,)), sequences((3,), (5,), (7, 7))
CROSS = 4 * (4 * 4 + 4) + 4 * 9 + 9 + 9 * 4 + 4 + 4 * 4  # of width 4: attention, feed-forward, two norms


def answer(batch, fusion):
    config, trace = replace(SFAV, fusion=fusion), {}
    return sfav.forward(moved(sfav.describe(config)), batch, config, trace=trace)[0]["logits"], trace


def test_the_fusions_differ_by_their_layer_and_its_place():
    sizes = {fusion: params.count(sfav.describe(replace(SFAV, fusion=fusion))) for fusion in FUSIONS}
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


def test_modality_dropout_of_sfav_is_off_by_default():
    assert sfav.augment(BATCH, SFAV, np.random.default_rng(0)) is BATCH
    changed = sfav.augment(BATCH, replace(SFAV, modality_dropout=0.4), np.random.default_rng(0))
    assert (changed["audio_mask"].any(1) < BATCH["audio_mask"].any(1)).any()


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
    with pytest.raises(ValueError, match="x has shape .* where heads = 3"):
        frame_attention(P, X, MEMORY, 3)


def logits(batch, config=LSTM):
    return transformer_lstm.forward(moved(transformer_lstm.describe(config)), batch, config)[0]["logits"]


@pytest.mark.parametrize("m", ["audio", "visual"])
def test_masked_frames_do_not_change_the_logits_and_valid_frames_do(m):
    hidden = np.where(STEPS[f"{m}_mask"][..., None], STEPS[m], 7.0)
    np.testing.assert_allclose(logits(STEPS | {m: hidden}), logits(STEPS), rtol=1e-12)
    assert np.abs(logits(STEPS | {m: STEPS[m] + 1}) - logits(STEPS))[0].max() > 1e-3


def test_steps_without_a_valid_modality_are_skipped():
    gap = np.arange(7) != 6
    lost = STEPS | {f"{m}_mask": STEPS[f"{m}_mask"] & gap for m in ("audio", "visual")}
    shorter = {k: x[:, :6] for k, x in STEPS.items()}
    np.testing.assert_allclose(logits(lost), logits(shorter), rtol=1e-10)


def test_attention_across_modalities_is_a_switch():
    trace, without = {}, replace(LSTM, cross=False)
    transformer_lstm.forward(moved(transformer_lstm.describe(LSTM)), STEPS, LSTM, trace=trace)
    assert trace["audio.cross.attention"].shape == trace["visual.cross.attention"].shape == (5, 2, 7, 7)
    assert (trace["audio.cross.attention"][4] == 0).all()  # clip 4 has no face
    assert "attend" not in transformer_lstm.describe(without)["audio"]


@pytest.mark.parametrize("rate, fps, steps", [(50.0, None, 8), (50.0, 5.0, 2), (40.0, None, 10), (12.5, None, 15)])
def test_both_modalities_of_transformer_lstm_have_one_rate_and_one_number_of_steps(rate, fps, steps):
    sound, face = Stream(np.ones((2, 15, 3)), rate), Stream(np.ones((2, 7, 5)), 25.0)
    batch = transformer_lstm.inputs({"audio": sound, "visual": face}, replace(LSTM, fps=fps))
    assert batch["audio"].shape == (2, steps, 3) and batch["visual"].shape == (2, steps, 5)
    assert batch["audio"][batch["audio_mask"]].all() and not batch["visual"][~batch["visual_mask"]].any()


def test_the_published_widths_of_vavl():
    config = vavl.Config.paper()
    assert (config.narrow, config.width, config.own, config.shared) == (50, 512, 3, 2)
    tree = vavl.describe(config)
    assert params.count(tree["audio"]["narrow"]) == 1024 * 50 and params.count(tree["visual"]["narrow"]) == 1408 * 50
    assert len(tree["audio"]["blocks"]) == len(tree["visual"]["blocks"]) == 3 and len(tree["shared"]["blocks"]) == 2


def test_one_modality_changes_its_own_logits_and_the_common_ones_only():
    p, other = moved(vavl.describe(VAVL)), BATCH | {"audio": BATCH["audio"] + 1}
    first, second = vavl.forward(p, BATCH, VAVL)[0], vavl.forward(p, other, VAVL)[0]
    np.testing.assert_array_equal(first["logits_visual"], second["logits_visual"])
    assert np.abs(first["logits_audio"] - second["logits_audio"])[:3].min() > 0
    assert np.abs(first["logits"] - second["logits"])[:3].min() > 0
    np.testing.assert_array_equal(first["logits"][3], second["logits"][3])  # clip 3 has no sound


def test_both_modalities_have_gradients_in_the_shared_blocks():
    p, g = moved(vavl.describe(VAVL)), {}
    out, backward = vavl.forward(p, BATCH, VAVL)
    for m in ("audio", "visual"):
        g[m] = params.zeros_like(p)
        backward({k: x if k == f"logits_{m}" else 0 * x for k, x in out.items()}, g[m])
        assert np.abs(g[m].shared.blocks[1].attend.value.W).max() > 0
    assert np.abs(g["audio"].visual.blocks[0].attend.value.W).max() == 0


def test_the_loss_is_the_weighted_sum_of_three_cross_entropies():
    out, _ = vavl.forward(moved(vavl.describe(VAVL)), BATCH, VAVL)
    truth = {"target": np.eye(4)[[0, 1, 2, 3, 0]], "class_count": np.ones(4)}
    for weight in (1.0, 0.5):
        value, terms, dout = vavl.loss(out, truth, replace(VAVL, unimodal=weight))
        both, audio, visual = terms.values()
        assert list(terms)[0] == "cross_entropy" and value == pytest.approx(both + weight * (audio + visual), rel=1e-12)
        assert set(dout) == set(out)
    alone = replace(VAVL, unimodal=0.0)
    assert set(vavl.forward(moved(vavl.describe(alone)), BATCH, alone)[0]) == {"logits"}
    assert params.count(vavl.describe(VAVL)) - params.count(vavl.describe(alone)) == 2 * (8 * 6 + 6 + 6 * 4 + 4)


@pytest.mark.parametrize(
    "system, change, message",
    [
        (sfav, {"fusion": "early"}, "fusion is 'early'; accepted: 'late', 'intermediate', 'attention'"),
        (sfav, {"blocks": (3, 4)}, r"blocks is \(3, 4\); accepted: 4 widths"),
        (sfav, {"modality_dropout": 0.7}, "modality_dropout is 0.7; accepted: numbers from 0 to 0.5"),
        (transformer_lstm, {"fps": 0}, "fps is 0; accepted: finite numbers above 0"),
        (vavl, {"unimodal": -1}, "unimodal is -1; accepted: finite numbers, 0 or more"),
    ],
)
def test_a_wrong_switch_is_named(system, change, message):
    with pytest.raises(ValueError, match=message):
        system.Config(**change)
