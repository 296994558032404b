"""Transformer-LSTM: two modalities step by step, and the last valid step."""

from dataclasses import replace

import numpy as np
import pytest

from refmer.baselines.transformer_lstm import Config, describe, forward, inputs
from refmer.data.clips import Stream
from refmer.proofs import moved
from refmer.proofs.paper004 import sequences

SMALL = Config(audio=3, visual=5, classes=4, width=8, heads=2, layers=1, hidden=9)
BATCH = sequences((3,), (5,), (7, 7))


def logits(batch, config=SMALL):
    return forward(moved(describe(config)), batch, config)[0]["logits"]


@pytest.mark.parametrize("m", ["audio", "visual"])
def test_masked_frames_do_not_change_the_logits_and_valid_frames_do(m):
    hidden = np.where(BATCH[f"{m}_mask"][..., None], BATCH[m], 7.0)
    np.testing.assert_allclose(logits(BATCH | {m: hidden}), logits(BATCH), rtol=1e-12)
    assert np.abs(logits(BATCH | {m: BATCH[m] + 1}) - logits(BATCH))[0].max() > 1e-3


def test_steps_without_a_valid_modality_are_skipped():
    gap = np.arange(7) != 6
    lost = BATCH | {f"{m}_mask": BATCH[f"{m}_mask"] & gap for m in ("audio", "visual")}
    shorter = {k: x[:, :6] for k, x in BATCH.items()}
    np.testing.assert_allclose(logits(lost), logits(shorter), rtol=1e-10)


def test_attention_across_modalities_is_a_switch():
    trace, without = {}, replace(SMALL, cross=False)
    forward(moved(describe(SMALL)), BATCH, SMALL, trace=trace)
    assert trace["audio.cross.attention"].shape == trace["visual.cross.attention"].shape == (5, 2, 7, 7)
    assert (trace["audio.cross.attention"][4] == 0).all()  # clip 4 has no face
    assert "attend" not in describe(without)["audio"]


def streams(audio_rate=50.0):
    def stream(T, D, rate, sense):
        return Stream(np.ones((2, T, D)), rate, np.ones((2, T), bool), sense)

    names = {"prosody": (15, 2, audio_rate, "voice"), "mfcc": (15, 1, audio_rate, "voice"), "units": (7, 5, 25.0, "face")}
    return {name: stream(*arguments) for name, arguments in names.items()}


def test_both_modalities_have_one_rate_and_one_number_of_steps():
    batch = inputs(streams(), replace(SMALL, audio_every=2, visual_every=1))
    assert batch["audio"].shape == (2, 7, 3) and batch["visual"].shape == (2, 7, 5)  # ceil(15 / 2) = 8 is cut to 7
    with pytest.raises(ValueError, match="audio_every and visual_every are .*accepted: one rate for both"):
        inputs(streams(audio_rate=40.0), replace(SMALL, audio_every=2, visual_every=1))


def test_a_wrong_target_is_named():
    with pytest.raises(ValueError, match="target is 'affect'; accepted: 'emotion', 'votes', 'sentiment'"):
        Config(target="affect")
