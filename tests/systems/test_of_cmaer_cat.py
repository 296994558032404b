"""OF-CMAER-CAT: the ladder of Table 4, availability, the terms of the loss and the signs they have."""

from dataclasses import fields, replace

import numpy as np
import pytest

import refmer
from refmer import params
from refmer.proofs import moved
from refmer.proofs.paper001 import SMALL, STEPS, WIDTHS, facts, sequences
from refmer.systems import find
from refmer.systems.of_cmaer_cat import LADDER, TEXT, Config, describe, forward, loss

SYSTEM = find("of_cmaer_cat")
BATCH = sequences({m: WIDTHS[m] for m in SMALL.modalities}, STEPS)
TRUTH = facts(BATCH)


def run(config=SMALL, batch=BATCH, rng=None):
    return forward(moved(describe(config)), batch, config, rng)[0]


def test_each_step_of_the_ladder_changes_one_field():
    configs = [Config.paper(**changes) for changes in LADDER.values()]
    steps = [
        [f.name for f in fields(Config) if getattr(a, f.name) != getattr(b, f.name)]
        for a, b in zip(configs[:-1], configs[1:], strict=True)
    ]
    assert steps == [["cmaa"], ["awom"], ["contrastive"], ["transformer"]]
    assert configs[-1] == Config.paper()


def test_each_step_of_the_ladder_adds_the_parameters_of_its_part():
    d, M, K = 128, 3, 4
    sizes = [params.count(describe(Config.paper(**changes))) for changes in LADDER.values()]
    attention = 5 * d * d + (2 * d * d + d) + (d * d + d)  # five maps; the MLP of the gate; both have the norm
    scores = (2 * d * d + d) + (d + 1)
    layer = 4 * (d * d + d) + (d * 256 + 256) + (256 * d + d) + 4 * d
    head_a, head_b = d * d + d + d * K + K, 2 * M * d + M * d * d + d + d * K + K
    transformer = M * d + 2 * layer + 2 * d + head_b - head_a
    assert np.diff(sizes).tolist() == [attention, scores, 0, transformer]


def test_parts_that_two_steps_share_start_alike():
    bare, full = (params.init(describe(Config.tiny(**LADDER[step])), 3) for step in list(LADDER)[:: len(LADDER) - 1])
    np.testing.assert_array_equal(bare.encoders.audio.conv1.W, full.encoders.audio.conv1.W)
    np.testing.assert_array_equal(bare.decoder.W, full.decoder.W)


def test_without_awom_available_modalities_have_equal_weights():
    w = run(replace(SMALL, awom=False))["weights"]
    np.testing.assert_allclose(w, [[1 / 3] * 3] * 3 + [[1 / 2, 0, 1 / 2], [1, 0, 0]], rtol=1e-12)


def test_a_missing_modality_weighs_nothing_and_the_others_sum_to_one():
    w = run()["weights"]
    assert (w[3:, 1] == 0).all() and (w[:3] > 0).all()
    np.testing.assert_allclose(w.sum(1), 1, rtol=1e-12)


@pytest.mark.parametrize("changes", [{}, {"transformer": False}])
def test_only_a_masked_attention_keeps_a_missing_modality_out(changes):
    """The bias of the sound encoder moves the features of an absent voice: with weights alone they leak through CMAA."""
    for mask_attention, leaks in ((True, False), (False, True)):
        config = replace(SMALL, mask_attention=mask_attention, **changes)
        p, other = moved(describe(config)), moved(describe(config))
        other.encoders.audio.conv3.b[:] += 1.0
        a, b = (forward(q, BATCH, config)[0] for q in (p, other))
        assert (a["weights"][3:, 1] == 0).all()
        assert (np.abs(a["logits"] - b["logits"])[3:].max(1) > 1e-6).all() == leaks


def test_without_any_modality_the_answer_is_finite():
    silent = {k: np.zeros_like(x) for k, x in BATCH.items()}
    for config in (SMALL, replace(SMALL, mask_attention=False), replace(SMALL, transformer=False)):
        out = run(config, silent)
        value, _, dout = loss(out, facts(silent), config)
        assert np.isfinite(value) and all(np.isfinite(x).all() for x in [*out.values(), *dout.values()])
        assert (out["weights"] == 0).all()


def test_padding_and_the_rest_of_the_batch_change_nothing():
    together = run()["logits"]
    longer = {k: np.pad(x, [(0, 0), (0, 3), *[(0, 0)] * (x.ndim - 2)]) for k, x in BATCH.items()}
    np.testing.assert_allclose(run(batch=longer)["logits"], together, rtol=1e-11, atol=1e-13)
    for i in range(len(together)):
        alone = run(batch={k: x[i : i + 1] for k, x in BATCH.items()})["logits"]
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-11, atol=1e-13)


def test_the_loss_is_the_weighted_sum_of_its_terms():
    out = run()
    ones = replace(SMALL, classification=1.0, contrastive=1.0, reconstruction=1.0, entropy=1.0)
    value, terms, _ = loss(out, TRUTH, SMALL)
    whole = loss(out, TRUTH, ones)[1]
    assert list(terms) == ["cross_entropy", "contrastive", "reconstruction", "entropy"]
    factors = dict(zip(terms, (1.0, 0.1, 0.1, 0.01), strict=True))
    assert value == pytest.approx(sum(factors[k] * whole[k] for k in terms), rel=1e-12)


def test_the_sign_of_the_entropy_term():
    out = run() | {"weights": np.array([[0.8, 0.1, 0.1]] * 5)}
    text, printed = (loss(out, TRUTH, replace(SMALL, literal_entropy=literal))[2]["weights"] for literal in (False, True))
    np.testing.assert_array_equal(text, -printed)
    assert (text[:, 0] > text[:, 1]).all()  # descent takes weight from the dominant modality, as the text states
    assert loss(out, TRUTH, SMALL)[1]["entropy"] < 0 < loss(out, TRUTH, replace(SMALL, literal_entropy=True))[1]["entropy"]


def test_terms_that_are_off_are_left_out():
    off = replace(SMALL, contrastive=0.0, reconstruction=0.0, entropy=0.0)
    out = run(off)
    assert list(loss(out, TRUTH, off)[1]) == ["cross_entropy"] and "decoded" not in out
    assert "entropy" not in loss(run(replace(SMALL, awom=False)), TRUTH, replace(SMALL, awom=False))[1]


def test_the_loss_of_a_perfect_decoder_is_zero_and_missing_modalities_do_not_count():
    out = run()
    decoded = np.where(TRUTH["audio_mask"].any(1)[:, None, None] | (np.arange(3) != 1)[:, None], out["means"], 9.0)
    decoded[4, 2] = 9.0 if not TRUTH["physiology_mask"][4].any() else decoded[4, 2]
    assert loss(out | {"decoded": decoded}, TRUTH, SMALL)[1]["reconstruction"] == 0


def test_explain_names_weights_and_attention():
    trace = {}
    forward(moved(describe(SMALL)), BATCH, SMALL, trace=trace)
    assert {"weights", "compatibility", "visual.gate", "attention.visual.audio", "context.layers.0.attention"} <= set(trace)
    assert trace["attention.visual.audio"].shape == (5, 4, 2)  # 7 frames of sound leave 2 steps
    assert trace["context.layers.0.attention"].shape == (5, 2, 9, 9)


def test_frames_keep_their_shape_and_thinning_averages_them(clips):
    config = Config.tiny()
    streams = {m: clips[:3].streams[name] for m, (name,) in SYSTEM.modalities(config).items()}
    assert SYSTEM.widths(streams, config) == {"visual": (24, 24), "audio": 40, "physiology": 2, "encoders": True}
    batch, frames = SYSTEM.inputs(streams, config), streams["visual"]
    n = round(frames.rate / config.visual_fps)
    assert batch["visual"].shape[2:] == (24, 24) and batch["visual"].shape[1] == -(-frames.x.shape[1] // n)
    assert frames.mask[0, :n].all()
    np.testing.assert_allclose(batch["visual"][0, 0], frames.x[0, :n].mean(0), rtol=1e-5)


def test_text_takes_the_place_of_physiology(clips):
    names = SYSTEM.modalities(Config.tiny(modalities=TEXT)).values()
    assert list(names) == [("frames",), ("logmel",), ("words",)]
    model = refmer.Recognizer("of_cmaer_cat", config={"modalities": TEXT}, epochs=1).fit(clips, progress=False)
    assert model.config_.text == 16 and set(model.batch(clips[:2])) == {f"{m}{end}" for m in TEXT for end in ("", "_mask")}
    assert model.explain(clips[:2])["weights"].shape == (2, 3)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"modalities": ("audio",)}, "two or more of visual, audio"),
        ({"modalities": ("audio", "audio")}, "each once"),
        ({"modalities": ("audio", "smell")}, "smell"),
        ({"visual_fps": 0}, "visual_fps is 0; accepted: finite numbers above 0"),
        ({"face": "maximum"}, "face is 'maximum'; accepted: 'mean', 'patches'"),
        ({"entropy": -0.01}, "entropy is -0.01; accepted: finite numbers, 0 or more"),
    ],
)
def test_a_wrong_switch_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)
