"""Calibration of systems: scores of probabilities, base rates, and the difference between Brier score and calibration."""

import json

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st

from refmer.evaluate.calibration import brier_labels
from refmer.experiments import calibration as experiment
from refmer.experiments.run import run
from refmer.ops.activations import softmax
from refmer.recognizer import Recognizer

pytestmark = pytest.mark.slow

ROWS = ("concatenation@votes", "concatenation@emotion")


@pytest.fixture(scope="module")
def done(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("calibration")
    return out, run("calibration", out, rows=ROWS, seeds=2, corpora={"clips": clips})


def test_every_target_has_its_rows_and_base_rates(done, clips):
    out, result = done
    assert list(result["tasks"]) == ["votes", "emotion"] and result["seeds"] == [0, 1]
    for target, task in result["tasks"].items():
        assert set(task["rows"]) == {f"concatenation@{target}", experiment.BASE} and task["test_clips"] == [12, 12]
        means = [value["brier"]["mean"] for value in task["rows"].values()]
        assert means == sorted(means)
        for value in task["rows"].values():
            assert sum(value["curve"]["count"]) == 2 * 12 * len(task["classes"])
            np.testing.assert_allclose(np.mean([v["mean"] for v in value["brier_per_class"]]), value["brier"]["mean"])
            np.testing.assert_allclose(np.mean([v["mean"] for v in value["ece_per_class"]]), value["ece"]["mean"])
    assert json.loads((out / "results.json").read_text()) == result
    text = (out / "results.md").read_text()
    assert "**synthetic**" in text and "A low Brier score is not calibration" in text and "votes: F1 per class" in text
    assert {path.name for path in (out / "figures").iterdir()} == {"reliability.png", "classes.png"}


def test_labels_of_votes_are_those_above_chance(clips, model):
    votes = Recognizer("concatenation", label="votes", epochs=1).fit(clips, progress=False)
    y, known = experiment.truth(votes, clips)
    np.testing.assert_array_equal(y, clips.votes / clips.votes.sum(1, keepdims=True) > 1 / 6)
    y, known = experiment.truth(model, clips)
    np.testing.assert_array_equal(y.argmax(1), clips.emotion)
    assert known.all() and (y.sum(1) == 1).all()


def test_a_cell_holds_the_models_probabilities_and_the_training_shares(model, clips):
    train, test = clips[:31], clips[31:]
    result = experiment.measure(model, {}, train, test)
    np.testing.assert_allclose(result["p"], model.predict_proba(test), rtol=1e-6)
    np.testing.assert_allclose(result["base"][3], np.bincount(train.emotion, minlength=6) / 31)
    assert np.sum(result["y"]) == len(test) == 17
    assert result["f1"] == model.scores(model.predict(test), test)["f1_per_class"]


def answers(y, p):
    return {
        "task": "votes",
        "classes": ["a", "b"],
        "y": y,
        "p": p,
        "base": np.full((len(y), 2), 0.5).tolist(),
        "f1": [0.5, 0.25],
    }


def test_a_lower_brier_score_with_a_worse_calibration_is_pointed_out():
    """Timid and right (Brier .09, ECE .3) against even odds on an even set (Brier .25, ECE 0)."""
    y = [[1, 0], [0, 1]] * 5
    sure = answers(y, [[0.7, 0.3], [0.3, 0.7]] * 5)
    task = experiment.task_summary({"timid": [sure]})
    assert task["rows"]["timid"]["brier"]["mean"] == pytest.approx(0.09)
    assert task["rows"]["timid"]["ece"]["mean"] == pytest.approx(0.3)
    assert task["rows"][experiment.BASE]["brier"]["mean"] == pytest.approx(0.25)
    assert task["rows"][experiment.BASE]["ece"]["mean"] == pytest.approx(0)
    assert experiment.disagreement(task) == ("timid", experiment.BASE)
    assert "timid has the lower Brier score and yet a higher ECE than base rates" in experiment.section("votes", task)
    right = experiment.task_summary({"certain": [answers(y, y)]})
    assert experiment.disagreement(right) is None


@pytest.mark.parametrize("kind, printed", [("votes", True), ("classes", False)])
def test_published_scores_stand_beside_votes_only(kind, printed):
    task = experiment.task_summary({"raver": [answers([[1, 0], [0, 1]], [[0.7, 0.3], [0.3, 0.7]]) | {"task": kind}]})
    assert ("0.119" in experiment.section("mood", task)) == printed


@given(st.integers(2, 7), st.integers(1, 9), st.integers(0, 999))
def test_no_softmax_comes_below_its_floor(K, N, seed):
    rng = np.random.default_rng(seed)
    y = rng.random((N, K)) < rng.random()
    floor = experiment.softmax_floor(y)
    assert brier_labels(y, softmax(rng.normal(scale=3, size=(N, K)))) >= floor - 1e-12
    best = np.where(y.any(1, keepdims=True), y / np.maximum(y.sum(1, keepdims=True), 1), 1 / K)
    assert brier_labels(y, best) == pytest.approx(floor)


def test_figures_name_rows_units_and_numbers(done):
    figure = experiment.curves(done[1])
    panels = [ax for ax in figure.axes if ax.get_visible()]
    assert (
        len(panels) == 4
        and "Brier" in panels[0].get_title()
        and "24 test clips (synthetic corpus, 2 seeds)" in figure.get_supxlabel()
    )
    figure = experiment.classes(done[1])
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == done[1]["tasks"]["votes"]["classes"]
    assert "2 seeds, 12 test clips each (synthetic corpus)" in figure.get_supxlabel()


test_what_is_wrong_is_named = errors(
    (
        lambda tmp_path: run("calibration", tmp_path, quick=True, rows=("tlab_jca",)),
        "tlab_jca learns affect, a label of regression; accepted by calibration: classes, votes, ordinal",
    ),
)
