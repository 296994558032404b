"""Standard against optimized training: trainings, scores, the tests over seeds, tables, boxes or dots."""

import json

import numpy as np
import pytest
from scipy import stats

from refmer.data.corrupt import corrupt
from refmer.evaluate.statistics import holm, paired_test, spread
from refmer.experiments import missing, protocols
from refmer.experiments.run import run
from refmer.recognizer import Recognizer

pytestmark = pytest.mark.slow

ROWS = ("raver@emotion", "sfav", "mult")


@pytest.fixture(scope="module")
def done(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("missing")
    return out, run("missing", out, rows=ROWS, quick=True, corpora={"clips": clips})


def invented(rows, seeds, rng):
    """Random results of so many seeds."""
    score = {
        row: {
            t: {c: {m: spread(rng.random(seeds).tolist()) for m in missing.METRICS} for c in missing.CONDITIONS}
            for t in missing.NETWORK
        }
        for row in rows
    }
    return {
        "scores": score,
        "alone": {},
        "seeds": list(range(seeds)),
        "target": "emotion",
        "data": {},
        "test_clips": [48] * seeds,
    }


def test_what_is_reported(done):
    out, result = done
    assert json.loads((out / "results.json").read_text()) == result
    assert tuple(result["scores"]) == ROWS[:2] and tuple(result["alone"]) == ("without face", "without voice")
    for by in result["scores"].values():
        assert tuple(by) == ("standard", "optimized")
        assert all(tuple(conditions) == tuple(missing.CONDITIONS) for conditions in by.values())
    assert list(result["tests"]) == ["optimized - standard", "raver@emotion - other, both optimized"]
    assert [len(contrasts) for contrasts in result["tests"].values()] == [6, 3]
    text = (out / "results.md").read_text()
    headings = ("## macro F1 (%)", "## micro F1 (%)", "p, corrected", "| unimodal")
    for part in ("**synthetic**", "Protocol 002", "2 seeds", *headings):
        assert part in text, part
    assert (out / "figures" / "missing.png").is_file()


@pytest.mark.parametrize("training, switch", [("standard", "off"), ("optimized", "sample")])
def test_scores_are_those_of_the_training_and_the_condition(done, clips, training, switch):
    train, dev, test = protocols.find("002").split(clips, 0)
    config = {"target": "emotion", "modality_dropout": switch}
    model = Recognizer("raver", config=config, seed=0).fit(train, dev=dev, progress=False)
    for condition, sense in (("complete", None), ("without face", "face"), ("without voice", "voice")):
        broken = test if sense is None else corrupt(test, sense, "missing", 1.0)
        truth, scores = model.scores(model.predict(broken), test), done[1]["scores"]["raver@emotion"][training][condition]
        assert scores["macro_f1"]["values"][0] == pytest.approx(truth["macro_f1"])
        assert scores["micro_f1"]["values"][0] == pytest.approx(truth["accuracy"])


@pytest.mark.parametrize("condition, modality", [("without face", "audio"), ("without voice", "visual")])
def test_the_unimodal_network_is_that_of_the_sense_that_is_left(done, clips, condition, modality):
    train, dev, test = protocols.find("002").split(clips, 1)
    model = Recognizer("unimodal", config={"target": "emotion", "modality": modality}, seed=1).fit(
        train, dev=dev, progress=False
    )
    assert done[1]["alone"][condition]["micro_f1"]["values"][1] == pytest.approx(model.score(test))


def test_tests_are_paired_one_tailed_and_corrected():
    plan, seeds = protocols.find("002"), 7
    scores = invented(("a", "b"), seeds, np.random.default_rng(0))["scores"]
    for by in scores.values():  # an effect that is neither certain nor lost
        better = by["optimized"]["complete"]["macro_f1"]
        by["optimized"]["complete"]["macro_f1"] = spread([v + 0.8 for v in better["values"]])
    results = missing.tests(scores, plan)
    contrasts = results["optimized - standard"]
    pairs = {
        f"{row}, {c}": [scores[row][t][c]["macro_f1"]["values"] for t in ("optimized", "standard")]
        for row in "ab"
        for c in missing.CONDITIONS
    }
    assert set(contrasts) == set(pairs)
    for name, (ours, theirs) in pairs.items():
        assert contrasts[name]["p_plain"] == pytest.approx(stats.ttest_rel(ours, theirs, alternative="greater").pvalue)
        assert contrasts[name]["effect"]["mean"] == pytest.approx(np.mean(ours) - np.mean(theirs))
    corrected = holm([paired_test(np.subtract(*pair), 0.15 / 0.7)["p"] for pair in pairs.values()])
    np.testing.assert_allclose([contrasts[name]["p"] for name in pairs], corrected)
    assert 1e-4 < corrected.min() < 0.9
    first = results["a - other, both optimized"]["b, complete"]["effect"]["values"]
    a, b = (scores[row]["optimized"]["complete"]["macro_f1"]["values"] for row in "ab")
    np.testing.assert_allclose(first, np.subtract(a, b))
    assert list(missing.tests({"a": scores["a"]}, plan)) == ["optimized - standard"]


@pytest.mark.parametrize("seeds, boxes", [(3, 0), (4, 4)])
def test_boxes_from_four_seeds_on_dots_below(seeds, boxes):
    result = invented(("auxformer", "mult"), seeds, np.random.default_rng(1)) | {
        "alone": {"without face": {"macro_f1": spread([0.25])}}
    }
    figure = missing.draw(result)["missing"]
    assert [len(ax.patches) for ax in figure.axes] == [boxes] * 3
    dots = [line for line in figure.axes[0].lines if line.get_label().endswith("training")]
    assert sum(len(line.get_ydata()) for line in dots) == (0 if boxes else 2 * 2 * seeds)
    dashed = [line.get_ydata()[0] for line in figure.axes[1].lines if line.get_linestyle() == "--"]
    assert dashed == [25.0]
    assert f"{seeds} seeds, 48 test clips each" in figure.get_supxlabel() and "(%)" in figure.axes[0].get_ylabel()


def test_one_seed_has_no_tests_and_finished_cells_are_kept(done, clips, monkeypatch):
    out, result = done
    monkeypatch.setattr("refmer.experiments.run.train_and_measure", lambda *call: pytest.fail("trained again"))
    assert run("missing", out, rows=ROWS, quick=True, corpora={"clips": clips}) == result
    one = run("missing", out, rows=ROWS[:2], seeds=1, corpora={"clips": clips})
    assert "tests" not in one and "p, corrected" not in (out / "results.md").read_text()
    run("missing", out, rows=ROWS, quick=True, corpora={"clips": clips})  # leaves the folder as it was


def test_a_row_without_two_trainings_is_named(clips, tmp_path):
    message = "concatenation@emotion: no standard and optimized training; accepted: auxformer, raver"
    with pytest.raises(ValueError, match=message):
        run("missing", tmp_path, rows=("auxformer", "concatenation@emotion"), corpora={"clips": clips})
