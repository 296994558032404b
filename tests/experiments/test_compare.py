"""The main job: reproducible, resumable, the same with any number of jobs; its report and figures."""

import copy
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from refmer.cli import main
from refmer.evaluate.statistics import spread
from refmer.experiments import compare, gates, protocols, references, report
from refmer.experiments import run as runs
from refmer.experiments.run import run
from refmer.recognizer import Recognizer

ROWS = ("openface_adaptive", "openface_adaptive@no-gate", "concatenation@votes")
PLAN = replace(protocols.find("default"), seeds=1)


def cells_of(clips, row):
    data = {"clips": runs.checksum(clips)}
    setup = runs.Setup(compare.rows(True, [row]), PLAN, "default", {"clips": clips}, data, quick=True, jobs=1, options={})
    kinds = compare.trainings(setup)[0][-1]
    return [runs.cell(setup, row, *setup.rows[row], 0, **kind) for kind in kinds]


@pytest.fixture(scope="module")
def done(clips, tmp_path_factory):
    """A quick comparison of two rows, in its folder."""
    out = tmp_path_factory.mktemp("compare")
    return out, run("compare", out, rows=ROWS, quick=True, corpora={"clips": clips})


def test_it_reports_every_row_and_corruption(done, clips):
    out, result = done
    assert list(result["tasks"]) == ["sentiment", "votes"] and result["columns"] == [
        "clean",
        "face noise (standardised)",
        "no face",
    ]
    task = result["tasks"]["sentiment"]
    assert set(task["rows"]) == {*ROWS[:2], "linear", "best_sense"} and task["task"] == "ordinal"
    accuracy = [by["clean"]["accuracy"]["mean"] for by in task["rows"].values()]
    assert accuracy == sorted(accuracy, reverse=True)  # ranked within the task
    assert json.loads((out / "results.json").read_text()) == result
    assert np.sum(task["confusion"]["openface_adaptive"]) == task["test_clips"][0] == 12
    text = (out / "results.md").read_text()
    assert "**synthetic**" in text and "What the gate gains" in text and clips.source in text and "Acc-7" in text
    names = {"compare.png", "compare-worst.png", "confusion-sentiment.png", "gates.png"}
    assert {p.name for p in (out / "figures").iterdir()} == names
    for key in ("refmer", "numpy"):
        assert result["versions"][key]


def test_references_have_the_columns_and_metrics_of_the_systems(done):
    for task in done[1]["tasks"].values():
        system = next(iter(task["streams"]))
        for reference in ("linear", "best_sense"):
            columns = task["rows"][reference]
            assert list(columns) == done[1]["columns"] and set(columns["clean"]) == set(task["rows"][system]["clean"])
        headline = next(iter(compare.metrics_of(task["task"], task["classes"])))
        assert task["rows"]["linear"]["clean"] == task["own_linear"][system]  # of the streams of the best system
        for row in task["streams"]:
            ours, linear = task["rows"][row]["clean"][headline], task["own_linear"][row][headline]
            assert task["over"]["linear"][row]["effect"]["values"] == np.subtract(ours["values"], linear["values"]).tolist()
        assert 0.7 < task["ceiling"] < 1


def test_a_system_below_the_linear_model_on_its_streams_is_marked(done):
    result = copy.deepcopy(done[1])
    task = result["tasks"]["sentiment"]
    for row, effect in zip(task["streams"], (0.02, -0.02), strict=True):
        task["over"]["linear"][row]["effect"]["mean"] = effect
    above, below = task["streams"]
    text = compare.markdown(result)
    assert f"| {below} (below) " in text and f"| {above} (below)" not in text
    assert "linear (prosody, units, words, mfcc)" in text and "best sense (" in text


def test_over_is_paired_by_seed_and_of_one_seed_the_difference():
    one = references.over({"a": (spread([0.5]), spread([0.4]))}, 0.4)
    assert one["a"]["effect"]["mean"] == pytest.approx(0.1) and "p" not in one["a"]
    several = references.over({"a": (spread([0.5, 0.6, 0.7]), spread([0.4, 0.51, 0.6]))}, 0.4)["a"]
    assert several["p"] < 0.05 < several["p_reversed"] and several["effect"]["sd"] < 0.01


@pytest.mark.slow
def test_the_same_bytes_again_with_two_jobs(done, clips, tmp_path):
    run("compare", tmp_path, rows=ROWS, quick=True, corpora={"clips": clips}, jobs=2)
    for name in ("results.json", "results.md", "figures/compare.png", "figures/gates.png"):
        assert (tmp_path / name).read_bytes() == (done[0] / name).read_bytes(), name


def test_finished_cells_are_not_computed_again_and_lost_ones_are(done, clips, monkeypatch):
    out, result = done
    trained = []
    real = runs.train_and_measure
    monkeypatch.setattr(runs, "train_and_measure", lambda *call: trained.append(call) or real(*call))
    assert run("compare", out, rows=ROWS, quick=True, corpora={"clips": clips}) == result and not trained
    cell = cells_of(clips, ROWS[1])[1]
    runs.path_of(out / "cells", cell).unlink()
    assert run("compare", out, rows=ROWS, quick=True, corpora={"clips": clips}) == result and len(trained) == 1


def test_a_cell_depends_on_everything_that_names_it(clips):
    cell = cells_of(clips, ROWS[0])[0]
    paths = {runs.path_of("", cell | change) for change in ({}, {"seed": 1}, {"config": {"gate": False}}, {"data": "x"})}
    assert len(paths) == 4
    assert runs.checksum(clips) != runs.checksum(clips[1:])


def test_means_and_deviations_over_seeds():
    two = spread([0.2, 0.4])
    assert (two["mean"], two["sd"]) == (pytest.approx(0.3), pytest.approx(np.sqrt(0.02)))
    assert report.percent(two) == "30.0 ± 14.1" and report.percent(spread([0.25]), signed=True) == "+25.0"
    values = {
        row: {c: {"accuracy": spread(v)} for c, v in by.items()}
        for row, by in {
            compare.GATED: {"clean": [0.5, 0.7], "noise": [0.4, 0.5]},
            compare.UNGATED: {"clean": [0.4, 0.5], "noise": [0.1, 0.4]},
        }.items()
    }
    gain = compare.gate_gain(values, ["clean", "noise"])["noise"]
    np.testing.assert_allclose(gain["gain"]["values"], [0.3, 0.1])
    np.testing.assert_allclose(gain["beyond_clean"]["values"], [0.2, -0.1])


def test_figures_carry_units_and_numbers(done):
    _, result = done
    sentiment, votes, _ = compare.grid(result).axes
    assert re.match(r"sentiment: Acc-7 \(%\)\n\d seeds? of 12 test clips; constant answer ", sentiment.get_title("left"))
    assert "macro F1 (%)" in votes.get_title("left")
    assert [t.get_text().replace("\n", " ") for t in votes.get_xticklabels()] == result["columns"]
    cells, task = {t.get_text() for t in sentiment.texts}, result["tasks"]["sentiment"]
    assert {compare.shown(task, by["clean"]["accuracy"]["mean"]) for by in task["rows"].values()} <= cells
    for ax, task in zip(compare.slopes(result).axes, result["tasks"].values(), strict=True):
        broken = ax.get_xticklabels()[1].get_text()
        assert len(ax.texts) == sum(by[broken] is not None for by in task["rows"].values())
    label = gates.draw(result)["gates"].get_supxlabel()
    assert "(s)" in label and "n = 24 " in label


@pytest.mark.filterwarnings("ignore:no training clip is of the classes")  # few clips
def test_a_sense_that_is_not_used_is_marked_so(clips, tmp_path):
    cell = cells_of(clips, "openface_adaptive")[0] | {"corruption": {"sense": "body", "kind": "missing", "amount": 1.0}}
    train, _, test = PLAN.split(clips, 0)
    model = Recognizer("concatenation", epochs=1).fit(train, progress=False)
    assert compare.score(model, cell, train, test, 0) == {"unused": True}
    assert compare.entry(None, "accuracy", report.percent) == "="


@pytest.mark.slow
def test_protocol_004_gives_intervals_over_clips_and_over_draws(clips, tmp_path, monkeypatch):
    monkeypatch.setitem(protocols.PROTOCOLS, "004", replace(protocols.PROTOCOLS["004"], bootstrap=100))  # 1000 take a while
    result = run("compare", tmp_path, rows=("concatenation@votes",), quick=True, protocol="004", corpora={"clips": clips})
    row = result["tasks"]["votes"]["rows"]["concatenation@votes"]
    for column, draws in (("clean", False), ("face noise (standardised)", True), ("no face", False)):
        low, high = row[column]["over_clips"]
        assert low <= row[column]["macro_f1"]["mean"] <= high and low < high
        assert ("over_draws" in row[column]) == draws
    assert "clips" in compare.entry(row["clean"], "macro_f1", report.percent)


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_exits_with_130(tmp_path):
    command = [sys.executable, "-m", "refmer", "compare", "--quick", "--seeds", "30", "--jobs", "1", "--out", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            deadline = time.monotonic() + 300
            while not list(tmp_path.glob("cells/*.json")) and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 130 and "stopped; finished results are kept" in error
    cells = list(tmp_path.glob("cells/*"))
    assert cells and all(json.loads(path.read_text())["result"] for path in cells)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["compare", "--quick", "--out", str(tmp_path / "file" / "out")]) == 1
    assert str(tmp_path / "file" / "out") in capsys.readouterr().err
