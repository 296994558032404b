"""Valence and arousal over time: one recording, one split for all systems, disturbed spans as in the report."""

import json

import numpy as np
import pytest

from refmer.data.synthetic.synthesize import synthesize_recordings
from refmer.evaluate import metrics
from refmer.experiments import traces
from refmer.experiments.run import run
from refmer.recognizer import Recognizer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recordings():
    """5 recordings of 5 speakers."""
    return synthesize_recordings(speakers=5, takes=1, seed=3, duration=(13.0, 15.0))


@pytest.fixture(scope="module")
def done(recordings, tmp_path_factory):
    out = tmp_path_factory.mktemp("traces")
    return out, run("traces", out, quick=True, corpora={"recordings": recordings})


def test_all_systems_answer_the_same_recording(done, recordings):
    out, result = done
    steps = len(result["recording"]["time"])
    assert set(result["traces"]) == set(traces.SYSTEMS) and list(result["scenes"]) == ["one after the other"]
    for by in result["traces"].values():
        assert set(by) == {"clean", "one after the other"}
        assert all(np.shape(part["answer"]) == (steps, 2) for part in by.values())
        assert by["clean"]["answer"] != by["one after the other"]["answer"]
    assert result["recording"]["name"] in recordings.name and result["test_recordings"] == 2
    assert json.loads((out / "results.json").read_text()) == result
    text = (out / "results.md").read_text()
    for part in ("**synthetic**", "hand on the face, 1, 4 to 8 s", "laughter on the voice, -5 dB, 9 to 12 s"):
        assert part in text, part


def test_the_concordance_shown_is_that_of_the_shown_recording(done):
    truth = np.array(done[1]["recording"]["truth"])[None]
    for by in done[1]["traces"].values():
        for part in by.values():
            answer = np.array(part["answer"])[None]
            scores = metrics.regression(truth, answer, np.ones(truth.shape[:2], bool))
            assert part["shown"] == pytest.approx(scores, rel=1e-6)


@pytest.fixture(scope="module")
def jca(recordings):
    return Recognizer("jca", epochs=1).fit(recordings, progress=False)


def test_the_truth_is_the_annotation_of_each_sub_sequence(jca, recordings):
    result = traces.measure(jca, {"corruptions": None, "seed": 0}, recordings, recordings[2:])
    truth, mask = jca.over_time(jca.labels(recordings), jca.steps_of(recordings))
    valid = mask[2]
    np.testing.assert_allclose(result["truth"], truth[2][valid])
    np.testing.assert_allclose(result["time"], 0.64 * (np.arange(valid.sum()) + 0.5))
    np.testing.assert_allclose(result["answer"], jca.predict(recordings[2:])[0][valid])
    assert result["name"] == recordings.name[2] and result["all"]["n"] == 3


def test_only_the_window_with_the_disturbed_span_is_answered_otherwise(jca, recordings):
    """JCA's maps along time reach everywhere within a window of 16 sub-sequences, 10.24 s; the next one stays clean."""
    cell = {"corruptions": traces.SCENES["both at once"], "seed": 0}
    clean, broken = (traces.measure(jca, c, recordings, recordings) for c in (cell | {"corruptions": None}, cell))
    time = np.array(clean["time"])
    changed = np.abs(np.subtract(clean["answer"], broken["answer"])).max(1) > 1e-5
    later = time > 10.24
    assert changed[(time > 5) & (time < 10)].all() and later.any() and not changed[later].any()


def test_the_sound_is_broken_first():
    for parts in traces.SCENES.values():
        assert [c["sense"] for c in parts] == ["voice", "face"]


def test_figures_have_a_panel_for_each_system_and_dimension(done):
    figure = traces.chart(done[1], "one after the other")
    assert [ax.get_title("left") for ax in figure.axes[:3]] == list(traces.SYSTEMS) and len(figure.axes) == 6
    for k, name in enumerate(traces.SYSTEMS):
        for d, dimension in enumerate(traces.DIMENSIONS):
            ax, part = figure.axes[3 * d + k], done[1]["traces"][name]["one after the other"]
            np.testing.assert_allclose(ax.lines[2].get_ydata(), np.array(part["answer"])[:, d])
            assert f"CCC {part['shown'][f'ccc_{dimension}']:.2f}" in "".join(text.get_text() for text in ax.texts)
            assert ax.get_ylim()[1] > np.abs(ax.lines[2].get_ydata()).max()
    assert "(s)" in figure.get_supxlabel() and "n = 1" in figure.get_supxlabel()
