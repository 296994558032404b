"""Curves against the strength of a disturbance: levels, reference lines, summaries, resumption, bytes, figures."""

import json

import numpy as np
import pytest
from error_table import errors

from refmer.data.corrupt import corrupt
from refmer.evaluate import robustness
from refmer.experiments import curves, protocols, style
from refmer.experiments.run import run
from refmer.recognizer import Recognizer

pytestmark = pytest.mark.slow

ROWS = ("openface_adaptive@emotion", "concatenation@emotion")


@pytest.fixture(scope="module")
def done(clips, tmp_path_factory):
    """Quick curves of two rows, in their folder."""
    out = tmp_path_factory.mktemp("curves")
    return out, run("curves", out, rows=ROWS, quick=True, corpora={"clips": clips})


def test_every_sweep_has_its_levels_senses_rows_and_figure(done):
    out, result = done
    assert json.loads((out / "results.json").read_text()) == result
    assert {k: tuple(s["levels"]) for k, s in result["sweeps"].items()} == {k: s.shown for k, s in curves.SWEEPS.items()}
    for kind, sweep in result["sweeps"].items():
        assert tuple(sweep["senses"]) == curves.SWEEPS[kind].senses
        for rows in sweep["senses"].values():
            assert tuple(rows) == ROWS
            assert all(len(s["values"]) == 2 for y in rows.values() for s in y["scores"])
    assert {p.stem for p in (out / "figures").iterdir()} == set(curves.SWEEPS)
    text = (out / "results.md").read_text()
    reads = "concatenation@emotion: reads face, voice, words"
    for part in ("**synthetic**", reads, "2 seeds", "test clips: 12, 12", "| 10 dB"):
        assert part in text, part


def test_the_levels_are_those_of_the_papers():
    assert [round(100 * s) for s in curves.SWEEPS["missing"].levels] == [*range(0, 91, 10), *range(95, 101)]
    for sweep in curves.SWEEPS.values():
        assert set(sweep.shown) <= set(sweep.levels) and sweep.shown[0] == sweep.levels[0]


def test_scores_are_those_of_the_trained_row_under_the_corruption(done, clips):
    sweeps = done[1]["sweeps"]
    train, dev, test = protocols.find("default").split(clips, 1)
    model = Recognizer("concatenation", config={"target": "emotion"}, seed=1).fit(train, dev=dev, progress=False)
    for kind, sense, k, amount in (("missing", "face", 3, 1.0), ("gaussian", "voice", 2, 4.0), ("white", "voice", 2, -10.0)):
        broken = corrupt(test, sense, kind, amount, scale_from=train, seed=1)
        score = sweeps[kind]["senses"][sense][ROWS[1]]["scores"][k]["values"][1]
        assert score == pytest.approx(model.score(broken)), kind
    clean = {sweeps[kind]["senses"]["voice"][ROWS[1]]["scores"][0]["values"][1] for kind in sweeps}
    assert clean == {model.score(test)}  # every curve begins with the same models on clean clips


def test_the_reference_line_is_the_network_of_the_sense_that_is_left(done, clips):
    assert set(done[1]["alone"]) == {"face", "voice"}
    train, dev, test = protocols.find("default").split(clips, 0)
    config = {"target": "emotion", "modality": "visual"}
    face = Recognizer("unimodal", config=config, seed=0).fit(train, dev=dev, progress=False)
    assert done[1]["alone"]["voice"]["values"][0] == pytest.approx(face.score(test))
    assert face.score(corrupt(test, "voice", "missing", 1.0)) == face.score(test)


def test_summaries_of_known_curves():
    scores = np.array([[0.9, 0.7, 0.1], [0.8, 0.8, 0.4]])
    baseline = np.array([[0.6, 0.5, 0.2], [0.7, 0.6, 0.3]])
    values = curves.summaries(scores, (0.0, 0.5, 1.0), baseline)
    np.testing.assert_allclose(values["auc_robustness"]["values"], [0.6, 0.7])
    np.testing.assert_allclose(values["drop"]["values"], [0.8, 0.4])
    np.testing.assert_allclose(values["effective_vs_baseline"]["values"], [-0.5, 0.1], atol=1e-12)
    np.testing.assert_allclose(values["gain_under_noise"]["values"], [-0.1, 0.1])
    noisy = curves.summaries(scores, (None, 10.0, 0.0), None)  # an SNR falls; the clean level has no place on its axis
    np.testing.assert_allclose(noisy["auc_robustness"]["values"], robustness.auc_robustness(scores[:, 1:], [0, 1]))
    np.testing.assert_allclose(noisy["drop"]["values"], [0.8, 0.4])
    assert noisy["gain_under_noise"] is None


def test_the_last_row_is_the_baseline_of_the_summaries(done):
    rows = done[1]["sweeps"]["missing"]["senses"]["face"]
    ours, base = ([s["mean"] for s in rows[row]["scores"]] for row in ROWS)
    assert rows[ROWS[0]]["gain_under_noise"]["mean"] == pytest.approx(ours[-1] - base[-1])
    assert rows[ROWS[1]]["gain_under_noise"] is None and rows[ROWS[1]]["drop"]["mean"] == pytest.approx(base[0] - base[-1])


def test_the_figure_of_missing_frames_has_both_reference_lines_units_and_n(done):
    figure = curves.chart("missing", done[1])
    for ax, sense in zip(figure.axes, ("face", "voice"), strict=True):
        heights = {line.get_label(): line.get_ydata()[0] for line in ax.lines}
        assert heights["unimodal network of what is left"] == pytest.approx(100 * done[1]["alone"][sense]["mean"])
        assert heights[f"{ROWS[0]}, complete data"] == heights[ROWS[0]]
        assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "50", "90", "100"]
    assert "accuracy, emotion (%)" in figure.axes[0].get_ylabel()
    assert "2 seeds, 12 test clips each" in figure.get_supxlabel() and "(%)" in figure.get_supxlabel()
    assert [t.get_text() for t in curves.chart("gaussian", done[1]).axes[0].get_xticklabels()] == [
        "0\nclean",
        "1\n+0",
        "4\n-12",
    ]


def test_other_targets_have_no_unimodal_line(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "SWEEPS", {"missing": curves.SWEEPS["missing"]._replace(senses=("face",), shown=(0.0, 1.0))})
    result = run("curves", tmp_path, rows=("concatenation@votes",), quick=True, corpora={"clips": clips})
    assert result["alone"] == {} and result["headline"] == "macro_f1"
    assert "unimodal" not in (tmp_path / "results.md").read_text()
    assert "macro F1, votes (%)" in curves.chart("missing", result).axes[0].get_ylabel()


test_errors_name_the_cause = errors(
    (
        lambda tmp_path: run("curves", tmp_path, quick=True, rows=("auxformer", "raver")),
        "the rows learn emotion, votes; accepted: rows of one label, as NAME@LABEL",
    ),
    (lambda tmp_path: run("curves", tmp_path, quick=True, rows=("tlab_jca",)), "tlab_jca learns affect, a label of regression"),
)


def test_rows_have_looks_of_their_own():
    looks = [tuple(style.look(i).values()) for i in range(20)]
    assert len(set(looks)) == 20
