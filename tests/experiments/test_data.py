"""Data of the user in every command: other streams, labels and senses; tables say where the data are from."""

import json
from dataclasses import replace

import numpy as np
import pytest
from error_table import errors

import refmer
from refmer.cli import main, parser
from refmer.experiments import EXPERIMENTS, compare, data, protocols, report, rows
from refmer.experiments.run import Setup, checksum, run

STREAMS = {"visual": "gestures", "audio": ["pitch", "timbre"], "text": "glove"}
OPTION = "visual=gestures,audio=pitch+timbre,text=glove"
SENSES = {"gestures": "face", "pitch": "voice", "timbre": "voice", "glove": "words"}
SHAPES = {"gestures": (10.0, 5), "pitch": (20.0, 4), "timbre": (20.0, 3), "glove": (2.5, 2)}  # frames per second, features
SOURCE = "interviews of a school"


def interviews(senses=SENSES):
    """36 clips of 3.5 to 4 s, 6 speakers, 3 moods that every stream shows, and an age."""
    rng = np.random.default_rng(3)
    mood = np.arange(36) % 3
    seconds = rng.uniform(3.5, 4, 36)
    streams = {
        name: refmer.Stream(
            [rng.normal(size=(int(rate * t), width)) + k for t, k in zip(seconds, mood, strict=True)],
            rate,
            sense=senses.get(name, ""),
        )
        for name, (rate, width) in SHAPES.items()
    }
    labels = {"mood": np.array(["calm", "glad", "sad"])[mood], "age": refmer.Label(rng.normal(40, 9, 36), "regression")}
    return refmer.Clips(streams, speaker=np.repeat(list("abcdef"), 6), labels=labels, source=SOURCE)


@pytest.fixture(scope="module")
def own():
    return interviews()


@pytest.fixture(scope="module")
def given(own, tmp_path_factory):
    """The same on disk, as --data names it."""
    folder = tmp_path_factory.mktemp("own") / "clips"
    refmer.save_folder(own, folder)
    return f"folder:{folder}"


ROWS = {
    "compare": "concatenation,auxformer@emotion",
    "curves": "auxformer,concatenation@emotion",
    "packet-loss": "sfav",
    "missing": "parthasarathy",
    "calibration": "concatenation@votes",
    "gates": None,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_every_experiment_reads_data_and_says_which(given, tmp_path, capsys, name):
    command = [name, "--data", given, "--label", "mood", "--streams", OPTION, "--quick", "--jobs", "1", "--out", str(tmp_path)]
    assert main([*command, *(["--systems", ROWS[name]] if ROWS[name] else [])]) == 0
    text = capsys.readouterr().out
    assert f"- data: {SOURCE} (36 clips, 6 speakers" in text and "synthetic" not in text and "split by speaker" in text
    result = json.loads((tmp_path / "results.json").read_text())
    assert list(result["data"]) == ["data"] and "emotion" not in json.dumps(result) and "votes" not in json.dumps(result)
    assert list((tmp_path / "figures").glob("*.png"))
    for path in (tmp_path / "cells").iterdir():
        cell = json.loads(path.read_text())["cell"]
        assert cell["config"]["target"] == "mood" and cell["streams"]["audio"] == ["pitch", "timbre"]


def test_the_experiments_that_read_data_are_those():
    assert set(ROWS) == {name for name, e in EXPERIMENTS.items() if e.data}


def test_scores_are_those_of_a_recognizer_with_these_streams_and_groups(own, tmp_path):
    result = run(
        *("compare", tmp_path),
        **dict(quick=True, corpora={"mine": own}, rows=("concatenation",), label="age", streams=STREAMS, groups="name"),
    )
    rest, test = own.split(by="name", test_size=0.25, seed=0)
    train, dev = rest.split(by="name", test_size=0.15, seed=0)
    model = refmer.Recognizer("concatenation", label="age", streams=STREAMS).fit(train, dev=dev, progress=False)
    score = result["tasks"]["age"]["rows"]["concatenation"]["clean"]["ccc"]["mean"]
    assert score == pytest.approx(model.score(test)) and result["by"] == "name"
    assert "split by name" in (tmp_path / "results.md").read_text() and result["tasks"]["age"]["task"] == "regression"


def test_gates_are_measured_on_the_longer_half_of_the_test_clips(own, tmp_path):
    results = run("gates", tmp_path, quick=True, corpora={"mine": own}, label="mood", streams=STREAMS)["gates"]
    result = results["openface_adaptive"]
    frames = own.streams["pitch"].mask.sum(1)  # the stream of the most frames a second
    _, test = own.split(by="speaker", test_size=0.25, seed=0)
    assert result["n"] == (test.streams["pitch"].mask.sum(1) >= np.median(frames)).sum() < len(test)
    assert result["time"][-1] <= np.median(frames) / 20 < result["time"][-1] + 0.4  # a frame of the slowest stream
    spans = [result["disturbed"][m]["span"] for m in ("visual", "audio")]
    np.testing.assert_allclose(spans, np.array([[2, 3], [4, 5]]) / 6 * np.median(frames) / 20)


def over_time(kind):
    """8 recordings of 6 to 8 s, with a label every 0.2 s that both streams show: numbers, or whether they are above 0."""
    rng = np.random.default_rng(5)
    va = [rng.normal(size=(int(5 * t), 2)).cumsum(0) / 3 for t in rng.uniform(6, 8, 8)]
    streams = {
        name: refmer.Stream([v.repeat(2, 0) + rng.normal(size=(2 * len(v), 2)) for v in va], 10.0)
        for name in ("visual", "audio")
    }
    values = va if kind == "regression" else [(v[:, 0] > 0).astype(int) for v in va]
    return refmer.Clips(streams, labels={"curve": refmer.Label(values, kind, ("falls", "rises"), rate=5.0)}, source=SOURCE)


@pytest.mark.slow
def test_labels_over_time_are_compared_and_calibrated(tmp_path):
    few = {"quick": True, "streams": {"visual": "visual", "audio": "audio"}, "rows": ("concatenation", "tlab_jca")}
    for kind, headline in (("regression", "ccc"), ("classes", "accuracy")):
        result = run("compare", tmp_path / kind, corpora={"mine": over_time(kind)}, **few)
        for row in result["tasks"]["curve"]["rows"].values():
            assert row["clean"][headline]["mean"] > result["tasks"]["curve"]["constant"]["mean"]
    assert "CCC falls" in (tmp_path / "regression" / "results.md").read_text()
    result = run("calibration", tmp_path / "c", corpora={"mine": over_time("classes")}, **few)
    assert set(result["tasks"]["curve"]["rows"]) == {"concatenation", "tlab_jca", "base rates"}


@pytest.mark.filterwarnings("ignore:no training clip is of the classes")
def test_a_score_without_a_value_is_left_out(own, tmp_path):
    neutral = own.with_labels(tone=refmer.Label(np.zeros(36), "ordinal", ("-1", "0", "+1")))
    few = {"quick": True, "rows": ("concatenation",), "corpora": {"mine": neutral}, "label": "tone", "streams": STREAMS}
    scores = run("compare", tmp_path / "a", **few)["tasks"]["tone"]["rows"]["concatenation"]["clean"]
    assert "acc2_has0" in scores and "acc2_non0" not in scores
    scores = run("packet-loss", tmp_path / "b", **few)["scores"]["concatenation"]["none"]
    assert "acc2_has0" in scores and "acc2_non0" not in scores


def test_metrics_are_called_by_levels_and_dimensions():
    assert report.metrics_of("ordinal", ["bad", "fair", "good"])["accuracy"] == "Acc-3"
    assert report.metrics_of("regression", ["age"]) == {"ccc": "CCC"}
    assert report.metrics_of("regression", ["a", "b"]) == {"ccc": "mean CCC", "ccc_a": "CCC a", "ccc_b": "CCC b"}


def columns(clips, quick=False):
    learned = {"concatenation": ("concatenation", {"target": "mood"})}
    plan = protocols.find("default")
    return compare.corruptions(Setup(learned, plan, "default", {"mine": clips}, {}, quick, 1, {}, STREAMS))


def test_corruptions_are_those_of_the_senses_that_are_read(own):
    assert columns(own) == compare.CORRUPTIONS
    other = columns(interviews({"gestures": "hands", "pitch": "throat", "timbre": "throat"}))
    noise, gone = ([column for column in other if part in column] for part in ("noise", "no "))
    assert noise == [f"{s} noise (standardised)" for s in ("glove", "hands", "throat")]
    assert gone == ["no glove", "no hands", "no throat"] and other["90 % of all lost"]["sense"] == "glove+hands+throat"
    assert list(columns(interviews({}), quick=True)) == ["clean", "gestures noise (standardised)", "no gestures"]


def test_rows_that_become_equal_are_dropped_and_each_keeps_its_own_label_without_one(own):
    three = {name: rows.resolve(name) for name in ("raver", "openface_adaptive@no-gate", "raver@emotion")}
    assert list(rows.learning(three, label="votes")) == ["raver", "openface_adaptive@no-gate"]
    assert rows.learning(three) == three
    one = replace(own, labels={"mood": own.labels["mood"]})
    assert {c["target"] for _, c in rows.learning(three, {"mine": one}).values()} == {"mood"}


def test_a_default_row_that_cannot_read_the_data_is_left_out_with_a_warning(own):
    resolved = {name: (name, {"target": "mood"}) for name in ("concatenation", "auxformer")}
    two = {m: STREAMS[m] for m in ("visual", "text")}
    with pytest.warns(UserWarning, match="auxformer is left out: auxformer needs for audio"):
        assert list(rows.readable(resolved, {"mine": interviews({})}, two, named=False)) == ["concatenation"]


def test_clips_without_the_label_are_left_out_with_a_warning(own):
    part = own.with_labels(mood=["calm", None, *(["sad"] * 34)])
    with pytest.warns(UserWarning, match="1 of 36 clips have no mood and are left out"):
        assert data.labelled(part, "mood").name.tolist() == [0, *range(2, 36)]


def test_streams_that_name_no_sense_take_that_of_their_modality(own):
    senses = {name: s.sense for name, s in data.sensed(interviews({"timbre": "throat"}), STREAMS).streams.items()}
    assert senses == SENSES | {"timbre": "throat"}


def test_the_checksum_is_of_features_and_labels_in_memory_and_on_disk(own, given):
    assert checksum(refmer.read_data(given)) == checksum(own)
    older = own.with_labels(age=refmer.Label(own.age + 1, "regression"))
    louder = own.with_streams(pitch=replace(own.streams["pitch"], x=own.streams["pitch"].x * 2))
    renamed = own.with_labels(mood=replace(own.labels["mood"], names=("a", "b", "c")))
    assert len({checksum(clips) for clips in (own, older, louder, renamed, interviews({}))}) == 5


def test_train_evaluate_and_quantize_keep_groups_apart(own, given, tmp_path, capsys):
    file, folder = str(tmp_path / "m.npz"), str(tmp_path / "work")
    here = ["--data", given, "--groups", "mood"]
    learned = ["--label", "age", "--streams", OPTION, "--epochs", "1", "--out", file]
    assert main(["train", "concatenation", *here, *learned]) == 0
    assert f"24 clips of 2 moods ({SOURCE}), label age" in capsys.readouterr().out
    model = refmer.load_recognizer(file)
    assert (
        len(model.speakers_) == 2
        and set(model.speakers_) < {"calm", "glad", "sad"}
        and model.streams
        == STREAMS
        | {
            "visual": ["gestures"],
            "text": ["glove"],
        }
    )
    assert main(["evaluate", file, *here, "--corrupt", "voice:missing:0.5"]) == 0
    assert f"age, on 12 clips of 1 moods not in its training ({SOURCE})" in capsys.readouterr().out
    assert main(["quantize", file, *here, "--folds", "3", "--seeds", "1", "--jobs", "1", "--folder", folder]) == 0
    text = capsys.readouterr().out
    assert f"This file on 36 clips ({SOURCE})" in text and "Trained again, 3 times" in text and "synthetic" not in text


def test_inspect_prints_the_summary(own, given, capsys):
    assert main(["inspect", given]) == 0
    assert capsys.readouterr().out.strip() == own.summary().strip()


def test_the_commands_take_the_same_options():
    for command in (*ROWS, "train x --out y"):
        args = parser().parse_args([*command.split(), "--data", "a:b", "--label", "c", "--groups", "d", "--streams", OPTION])
        assert args.streams == {"visual": ["gestures"], "audio": ["pitch", "timbre"], "text": ["glove"]}
        assert (args.data, args.label, args.groups) == ("a:b", "c", "d")
    for command in ("evaluate", "quantize"):
        args = parser().parse_args([command, "x.npz", "--data", "a:b", "--groups", "d"])
        assert (args.data, args.groups) == ("a:b", "d")


def on(name, clips, **options):
    """Run an experiment on clips; nothing is trained."""
    run(name, "nowhere", quick=True, corpora={"mine": clips}, **{"streams": STREAMS, "label": "mood"} | options)


OTHER = interviews({"gestures": "hands", "pitch": "throat", "timbre": "throat"})
SHORT = interviews()
SHORT = SHORT.with_streams(**{k: replace(s, x=s.x[:, : int(2 * s.rate)], mask=None) for k, s in SHORT.streams.items()})
test_errors_name_what_is_accepted = errors(
    (
        lambda: on("compare", OTHER, label=None),
        r"label is 'sentiment', which .*; accepted: mood \(classes\), age \(regression\)",
    ),
    (lambda: on("compare", OTHER, label="x"), "label is 'x', which these data lack; accepted: mood"),
    (lambda: on("curves", OTHER, label="age"), "auxformer learns age, a label of regression; accepted by curves: classes"),
    (lambda: on("compare", OTHER, rows=("mult",), streams={}), "mult needs for audio the streams"),
    (lambda: on("missing", OTHER), "missing takes away voice and face, but no stream has the sense voice; these have hands"),
    (lambda: on("compare", OTHER, groups="age"), "by is 'age'; accepted: name, speaker, mood"),
    (lambda: on("gates", SHORT, streams={"text": "glove"}), "streams are given for text; accepted for gates over time: also"),
    (
        lambda: on("gates", over_time("classes"), label="curve", streams={"audio": "audio"}),
        "curve is a label over time; accepted for gates",
    ),
    (lambda: on("gates", SHORT), "half of the clips have at most 2 s; accepted for gates over time: 3 s"),
)


def test_a_recognizer_that_knows_all_speakers_is_not_evaluated(own, given, tmp_path, capsys):
    model = refmer.Recognizer("concatenation", label="mood", streams=STREAMS, epochs=1).fit(own, progress=False)
    model.save(tmp_path / "m.npz")
    assert main(["evaluate", str(tmp_path / "m.npz"), "--data", given]) == 1
    assert "was trained on all 6 speakers of these data: none is left" in capsys.readouterr().err


BOTH = rows.resolve_all(["concatenation", "tlab_jca"])


def test_the_default_corpora_are_large_and_those_of_quick_runs_are_bundled(monkeypatch):
    monkeypatch.setattr(data, "load_samples", lambda kind, speakers: speakers)
    assert data.load_corpora(BOTH) == {"clips": 200, "recordings": 80}
    assert data.load_corpora(BOTH, quick=True) == {"clips": None, "recordings": None}
    assert data.load_corpora(BOTH, True, 7) == data.load_corpora(BOTH, speakers=7) == {"clips": 7, "recordings": 7}


def test_speakers_are_of_the_synthetic_corpora(own, tmp_path):
    with pytest.raises(ValueError, match="speakers is 9; accepted: of the synthetic corpora, without other data"):
        run("compare", tmp_path, corpora={"data": own}, speakers=9)


@pytest.mark.slow
def test_results_state_how_many_clips_of_how_many_speakers_were_trained_and_tested_on(tmp_path):
    assert main(["gates", "--speakers", "8", "--seeds", "2", "--jobs", "1", "--out", str(tmp_path)]) == 0
    stated = json.loads((tmp_path / "results.json").read_text())["data"]["clips"]
    assert (stated["clips"], stated["speakers"]) == (96, 8)
    assert [stated[part] for part in ("training", "development", "test")] == [[60, 60], [12, 12], [24, 24]]
    text = (tmp_path / "results.md").read_text()
    assert "(96 clips, 8 speakers: 60 training, 12 development, 24 test; checksum " in text


@pytest.mark.parametrize("system", ["auxformer", "openface_adaptive", "raver", "tlab_jca", "of_cmaer_cat"])
@pytest.mark.parametrize(
    "sense, kind, amount",
    [("face", "gaussian", 2.0), ("voice+face", "missing", 0.9), ("face", "hand", 0.5), ("voice", "peaks", 0.0)],
)
def test_what_a_model_reads_is_broken_the_same_among_the_streams_that_it_does_not_read(clips, system, sense, kind, amount):
    few = clips[:5]
    narrow = rows.narrowed(few, system, {"target": "emotion"}, None)
    assert {s.sense for s in narrow.streams.values()} == {"face", "voice", "words", "body"}
    broken, whole = (refmer.corrupt(x, sense, kind, amount, scale_from=x, seed=3) for x in (narrow, few))
    for names in rows.streams_read(system, {"target": "emotion"}, few, None).values():
        for name in names:
            np.testing.assert_array_equal(broken.streams[name].x, whole.streams[name].x)
            np.testing.assert_array_equal(broken.streams[name].mask, whole.streams[name].mask)


def test_a_model_gets_no_stream_that_nothing_needs(clips):
    kept = {name: set(rows.narrowed(clips, name, {"target": "emotion"}, None).streams) for name in ("raver", "tlab_jca")}
    fastest = {"logmel", "units", "words", "body"}
    assert kept == {"raver": fastest | {"layers"}, "tlab_jca": fastest | {"frames"}}
