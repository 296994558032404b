"""`refmer quantize`: pairs, their statistics, latency, report, figure."""

import numpy as np
import pytest
from scipy.stats import binom

import refmer
from refmer.cli import main
from refmer.experiments import data, quantization


@pytest.fixture(scope="module")
def small(model):
    return refmer.quantize(model)


def test_a_pair_counts_what_only_one_has_right(model, small, clips):
    result = quantization.compare(model, small, clips)
    a, b = model.predict(clips), small.predict(clips)
    assert result["same"] == (a == b).sum() and result["decisions"] == result["clips"] == len(clips)
    right = [m.score(clips) for m in (model, small)]
    assert result["scores"] == right and result["only"][1] - result["only"][0] == round(len(clips) * (right[1] - right[0]))
    assert result["worst"] == np.abs(model.outputs(clips)["logits"] - small.outputs(clips)["logits"]).max()


def test_of_votes_each_class_of_a_clip_is_a_decision(clips):
    model = refmer.Recognizer("raver", epochs=1).fit(clips, progress=False)
    result = quantization.compare(model, refmer.quantize(model), clips)
    assert result["decisions"] == 6 * len(clips)


def pair(a, b, only, same=95, worst=0.1):
    return {"clips": 100, "scores": [a, b], "worst": worst, "decisions": 100, "same": same, "only": only}


def test_statistics_of_pairs():
    result = quantization.summary([pair(0.5, 0.51, [0, 1]), pair(0.6, 0.58, [3, 1], 97, 0.3), pair(0.7, 0.7, [1, 1])], 0.25)
    assert result["scores"] == pytest.approx([0.6, 1.79 / 3]) and result["worst"] == 0.3 and result["only"] == [4, 3]
    assert result["agreement"] == pytest.approx((95 + 97 + 95) / 300)
    assert result["mcnemar"] == pytest.approx(1.0)
    assert result["change"]["effect"]["mean"] == pytest.approx(-0.01 / 3)
    low, high = result["change"]["interval"]
    assert low < -0.01 / 3 < high and result["change"]["verdict"] == "undecided"


def test_mcnemar_is_exact():
    result = quantization.summary([pair(0.5, 0.5, [9, 1]), pair(0.5, 0.5, [0, 0])], 0.25)
    assert result["mcnemar"] == pytest.approx(2 * binom.cdf(1, 10, 0.5))
    assert quantization.summary([pair(0.5, 0.5, [0, 0])] * 9, 0.25)["mcnemar"] == 1
    assert quantization.summary([pair(0.5, 0.5, [0, 0])] * 9, 0.25)["change"]["verdict"] == "holds"


def test_latency_is_of_both_at_both_sizes(model, small, clips, monkeypatch):
    monkeypatch.setattr(quantization, "BATCHES", {1: 5, 32: 3})
    times = quantization.latency(model, small, clips[:3])
    assert list(times) == [1, 32] and all(0 < median <= p99 for both in times.values() for median, p99 in both)


@pytest.mark.filterwarnings("ignore:no training clip is of the classes")  # few clips
def test_the_command_quantizes_reports_and_keeps_what_is_trained(model, clips, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(data, "load_samples", lambda kind: clips)
    monkeypatch.setattr(quantization, "BATCHES", {1: 3, 32: 2})
    model.save(tmp_path / "m.npz")
    folder = tmp_path / "work"
    command = ["quantize", str(tmp_path / "m.npz"), "--folds", "2", "--seeds", "2", "--jobs", "1", "--folder", str(folder)]
    assert main([*command, "--sensitivity"]) == 0
    printed = capsys.readouterr()
    assert "4 trainings, 1 at a time: about" in printed.err
    for word in ("head.maps.0.W", "MB (-", "McNemar", "agreement", "95 %", "points", "p99", "one map at a time"):
        assert word in printed.out, word
    assert "Trained again, 4 times" in printed.out
    small = refmer.load_recognizer(tmp_path / "m-int8.npz")
    assert small.quantized_["activations"] == "row" and (folder / "figures" / "m-int8.png").stat().st_size > 10_000
    monkeypatch.setattr(quantization, "train_and_compare", None)  # nothing is trained again
    assert main([*command, "--out", str(tmp_path / "other.npz")]) == 0
    assert (tmp_path / "other.npz").read_bytes() == (tmp_path / "m-int8.npz").read_bytes()


@pytest.mark.filterwarnings("ignore:no training clip is of the classes")  # few clips
def test_folds_part_the_speakers(clips, monkeypatch):
    calls = []
    monkeypatch.setattr(quantization, "compare", lambda model, small, test: calls.append((model, test)) or {})
    cell = {"system": "concatenation", "size": "tiny", "config": {"target": "emotion"}, "epochs": 1, "folds": 4, "options": {}}
    for fold in range(4):
        _, result = quantization.train_and_compare(clips, cell | {"seed": 0, "fold": fold})
        assert result == {"train": 36}
    assert sorted(test.speaker[0] for _, test in calls) == sorted(np.unique(clips.speaker))
    assert all(not np.isin(test.speaker, model.speakers_).any() for model, test in calls)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--folds", "1"], "folds is 1, seeds 5, jobs 1; accepted: at least 2 folds"),
        (["--folds", "9"], "folds is 9; accepted: at most 4, the number of speakers"),
        (["--out", "no/such/m.npz"], "no folder no/such"),
    ],
)
def test_errors_are_one_line(model, clips, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.setattr(data, "load_samples", lambda kind: clips)
    monkeypatch.chdir(tmp_path)
    model.save("m.npz")
    assert main(["quantize", "m.npz", "--jobs", "1", *options]) == 1
    assert message in capsys.readouterr().err


def test_a_small_file_is_not_quantized_again(small, tmp_path, capsys):
    small.save(tmp_path / "s.npz")
    assert main(["quantize", str(tmp_path / "s.npz"), "--seeds", "0"]) == 1
    assert "quantized already" in capsys.readouterr().err
