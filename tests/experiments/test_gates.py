"""Trust over time: corrupted windows, times to fall, detection; the experiment."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refmer.experiments import gates
from refmer.experiments.run import run
from refmer.recognizer import Recognizer

ENDS = 0.5 + 0.1 * np.arange(56)
SPAN = (2.0, 3.0)


def trusting(level, start=2.2, stop=3.0, clips=3):
    """Gates of 0.8 that are at `level` on windows that end from start to stop."""
    return np.where((ENDS > start - 1e-9) & (ENDS < stop + 1e-9), level, 0.8) * np.ones((clips, 1))


def test_a_gate_that_falls_during_the_disturbance_detects_it():
    result = gates.detection(trusting(0.1), ENDS, SPAN)
    assert [result[k] for k in ("before", "during", "after")] == pytest.approx([0.8, 0.1, 0.8])
    assert result["fall"] == pytest.approx(0.2) and result["auroc"] == 1


def test_windows_that_lie_partly_in_the_span_are_neither_clean_nor_corrupted():
    partly = ((ENDS > 2.05) & (ENDS < 2.45)) | ((ENDS > 3.05) & (ENDS < 3.45))
    alpha = np.where(partly, 0.0, trusting(0.7))
    partial, plain = (gates.detection(a, ENDS, SPAN) | {"fall": None} for a in (alpha, trusting(0.7)))
    assert partial == plain


@pytest.mark.parametrize("alpha", [trusting(0.41), trusting(0.0, 5.0, 5.5), trusting(0.0, 0.6, 0.8) * 0 + 0.8])
def test_a_gate_that_does_not_fall_below_half_never_falls(alpha):
    assert gates.detection(alpha, ENDS, SPAN)["fall"] is None


def test_a_gate_that_trusts_what_is_broken_has_an_auroc_below_half():
    assert gates.detection(trusting(0.9, 2.5), ENDS, SPAN)["auroc"] == 0
    assert gates.detection(trusting(0.8), ENDS, SPAN)["auroc"] == 0.5


@given(st.integers(0, 999), st.integers(1, 5))
def test_auroc_is_the_share_of_pairs_in_order(seed, clips):
    alpha = np.random.default_rng(seed).integers(0, 9, (clips, len(ENDS))) / 9
    broken = alpha[:, (ENDS > 2.45) & (ENDS < 3.05)].reshape(-1, 1)
    clean = alpha[:, (ENDS < 2.05) | (ENDS > 3.45)].reshape(1, -1)
    expected = np.mean((broken < clean) + 0.5 * (broken == clean))
    assert gates.detection(alpha, ENDS, SPAN)["auroc"] == pytest.approx(expected)


def test_windows_that_do_not_fit_the_span_are_an_error():
    with pytest.raises(ValueError, match="accepted: some before, inside and after it"):
        gates.detection(trusting(0.1), ENDS, (2.0, 2.3))


def test_the_curve_is_a_summary_of_the_gates(clips):
    model = Recognizer("openface_adaptive", epochs=1).fit(clips, progress=False)
    ends, alpha = gates.alphas(model, gates.synthetic_scene(clips))
    curve = gates.curve(ends, alpha)
    assert curve["n"] == 24 and curve["time"] == pytest.approx(ends)
    for modality in ("visual", "audio"):
        np.testing.assert_allclose(curve[modality]["mean"], alpha[modality].mean(0))
        np.testing.assert_allclose(curve[modality]["sd"], alpha[modality].std(0, ddof=1))


@pytest.fixture(scope="module")
def done(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("gates")
    return out, run("gates", out, quick=True, corpora={"clips": clips})


def test_the_command_reports_both_gates(done, clips):
    out, result = done
    assert list(result["gates"]) == list(gates.ROWS) and result["detection"].keys() == gates.ROWS.keys()
    for row, detection in result["detection"].items():
        assert result["gates"][row]["models"] == 1 and set(detection) == {"visual", "audio"}
        for detected in detection.values():
            assert len(detected["fall"]) == len(detected["auroc"]["values"]) == 1 and 0 <= detected["auroc"]["mean"] <= 1
    assert json.loads((out / "results.json").read_text()) == result
    text = (out / "results.md").read_text()
    assert "**synthetic**" in text and clips.source in text and "AUROC" in text
    assert all(f"| {how} | face covered (2 to 3 s)" in re.sub(" +", " ", text) for how in gates.ROWS.values())
    assert (out / "figures" / "gates.png").exists()


def test_each_seed_has_its_time_to_fall():
    assert gates.fallen([0.2, None, 0.4]) == "0.2, never, 0.4"
