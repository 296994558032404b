"""Recognizer: its interface, scikit-learn's tools on it, and its errors."""

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from error_table import errors
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score

import refmer
from refmer.data.clips import Clips
from refmer.data.files import read_npz, write_npz


def fit(clips, system="concatenation", **options):
    return refmer.Recognizer(system, **options).fit(clips, epochs=1, progress=False)


def test_probabilities_predictions_and_score_agree(model, clips):
    p = model.predict_proba(clips)
    assert p.shape == (len(clips), 6) and model.class_names_ == clips.classes
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(clips), p.argmax(1))
    assert model.score(clips) == np.mean(p.argmax(1) == clips.emotion)


def test_a_clip_has_the_same_answer_alone_and_among_others(model, clips):
    np.testing.assert_allclose(model.predict_proba(clips[3]), model.predict_proba(clips)[3:4], rtol=1e-5, atol=1e-6)


def test_longer_padding_changes_no_answer(model, clips):
    longer = {
        name: replace(s, x=np.concatenate([s.x, np.zeros_like(s.x)], 1), mask=np.concatenate([s.mask, 0 * s.mask], 1) > 0)
        for name, s in clips.streams.items()
    }
    np.testing.assert_allclose(
        model.predict_proba(clips.with_streams(**longer)), model.predict_proba(clips), rtol=1e-5, atol=1e-6
    )


def test_explain_gives_named_arrays_with_a_row_per_clip(model, clips):
    traces = model.explain(clips)
    assert {"visual.gate", "audio.gate", "layers.0.attention"} <= set(traces)
    assert all(len(x) == len(clips) for x in traces.values())


def test_the_same_seed_gives_the_same_file_and_a_loaded_model_the_same_answers(clips, tmp_path):
    for name in "ab":
        model = refmer.Recognizer("concatenation", seed=2).fit(clips, epochs=2, progress=False)
        model.save(tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = refmer.load_recognizer(tmp_path / "a.npz")
    assert again.predict_proba(clips).tobytes() == model.predict_proba(clips).tobytes()
    assert again.history_ == model.history_ and again.config_ == model.config_ and again.recipe_ == model.recipe_
    assert again.get_params() == model.get_params()


def test_an_ablation_survives_saving(clips, tmp_path):
    model = fit(clips, "openface_adaptive", config={"modalities": ("text",), "gate": False})
    model.save(tmp_path / "m.npz")
    assert (refmer.load_recognizer(tmp_path / "m.npz").predict(clips) == model.predict(clips)).all()


def test_a_development_set_of_ones_own_is_used(clips):
    speakers = np.unique(clips.speaker)
    dev = clips[clips.speaker == speakers[0]]
    model = refmer.Recognizer("concatenation").fit(clips[clips.speaker == speakers[1]], dev=dev, epochs=1, progress=False)
    assert list(model.speakers_) == list(speakers[:2])


def test_scikit_learn_clones_cross_validates_and_searches(clips):
    model = refmer.Recognizer("concatenation", config={"target": "emotion"}, seed=3)
    assert clone(model).get_params() == model.get_params()
    scores = cross_val_score(model, clips, groups=clips.speaker, cv=GroupKFold(2), params={"epochs": 1, "progress": False})
    assert scores.shape == (2,) and (scores >= 0).all()
    search = GridSearchCV(model, {"config": [{"target": "emotion", "hidden": h} for h in (4, 5)]}, cv=GroupKFold(2))
    search.fit(clips, groups=clips.speaker, epochs=1, progress=False)
    assert search.best_params_["config"]["hidden"] in (4, 5)


def words_only(clips):
    return Clips({"words": clips.streams["words"]}, clips.name, clips.speaker, sentiment=clips.sentiment)


def narrow(clips):
    s = clips.streams["units"]
    return clips.with_streams(units=replace(s, x=s.x[..., :9], features=()))


test_errors_name_the_cause = errors(
    (lambda clips: fit(clips[:0]), "no clips to fit on"),
    (lambda clips: fit(clips[clips.speaker == clips.speaker[0]]), "of 1 speaker: at least 2 are needed"),
    (lambda clips: fit(replace(clips, sentiment=None)), "no sentiment labels"),
    (lambda clips: fit(clips, size="huge"), "size is 'huge'; accepted: 'tiny', 'paper'"),
    (lambda clips: fit(clips, "wave"), "no system is called 'wave'"),
    (lambda clips: fit(clips, config={"wdith": 3}), r"no \['wdith'\]; accepted: visual"),
    (lambda clips: fit(clips, seed=-1), "seed is -1; accepted"),
    (lambda clips: refmer.Recognizer("concatenation").fit(clips, epochs=0), "epochs is 0"),
    (lambda clips: refmer.Recognizer("concatenation").predict(clips), "not fitted"),
    (lambda clips: fit(words_only(clips)), "lack units"),
    (lambda model, clips: model.predict(narrow(clips)), r"units has frames of shape \(9,\); accepted: \(49,\)"),
    (lambda model, clips: model.predict(clips[:0]), "no clips"),
    error=(ValueError, KeyError),
)


def test_files_that_are_no_recognizer_are_refused(clips, tmp_path):
    path = tmp_path / "f.npz"
    fit(clips).save(path)
    arrays, truncated = read_npz(path, ""), path.read_bytes()[:-100]
    meta = json.loads(str(arrays["meta"]))
    for content, message in (
        (truncated, "cannot be read"),
        (b"PK not really", "cannot be read"),
        ({"meta": np.array("{}")}, "'format'"),
        ({"meta": np.array(json.dumps(meta | {"format": "x"}))}, "its format is 'x'"),
        ({"meta": np.array(json.dumps(meta | {"system": "x"}))}, "no system is called 'x'"),
        ({"p/maps.0.b": arrays["p/maps.0.b"][1:]}, "parameter maps.0.b has shape"),
        ({"p/more": np.zeros(2)}, r"unknown \['more'\]"),
        ({"p/maps.0.b": arrays["p/maps.0.b"] * np.nan}, "maps.0.b .*not finite"),
    ):
        path.write_bytes(content) if isinstance(content, bytes) else write_npz(path, arrays | content)
        with pytest.raises(ValueError, match=rf"(?s)f.npz .*{message}.*accepted: a file written by Recognizer.save"):
            refmer.load_recognizer(path)
            pytest.fail(message)


def test_a_published_size_prints_memory_and_time(clips, capsys):
    fit(clips, size="paper")
    assert "parameters" in (text := capsys.readouterr().err) and "s an epoch, at most 1 epochs" in text


def test_a_size_beyond_the_memory_is_refused(clips, monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: 10)
    with pytest.raises(MemoryError, match="this machine has 0 MB"):
        fit(clips, size="paper")


DEEP = "[" * 100_000 + "]" * 100_000
UNITS = np.ones((2, 49), np.float32)


@pytest.mark.parametrize(
    "entry, change, message",
    [
        ("scaling/units", UNITS * np.nan, "scaling/units has values that are not finite in float32"),
        (
            "scaling/units",
            np.full((2, 49), 1e300),
            "scaling/units has values that are not finite in float32",
        ),
        ("scaling/units", np.full((2, 49), "a"), "scaling/units has dtype <U1; accepted: floating point"),
        ("scaling/units", np.ones((2, 49), int), "scaling/units has dtype int64"),
        ("scaling/units", UNITS + 1j, "scaling/units has dtype complex64"),
        ("scaling/units", UNITS[:1], "scaling/units has shape .1, 49.; accepted: .2, width., means and standard deviations"),
        ("scaling/units", np.float32(1), r"scaling/units has shape \(\)"),
        ("scaling/units", UNITS * 0, "standard deviations above 0"),
        ("scaling/units", UNITS[:, 1:], "its scaling has visual 48; accepted: 49, as in config_"),
        ("scaling/units", None, "it has the scaling of .*; accepted: .*'units'"),
        ("scaling/more", UNITS, "it has the scaling of .*'more'"),
        ("p/maps.0.b", np.ones(32, int), "parameter maps.0.b has dtype int64; accepted: floating point"),
        ("p/maps.0.b", np.full(32, 1e300), "parameter maps.0.b has values that are not finite in float32"),
        ("p/maps.0.b", np.full(32, "a"), "parameter maps.0.b has dtype <U1"),
        ("meta", DEEP, "recursion"),
        ("meta", {"class_names_": ["a"]}, r"class_names_ is \('a',\); accepted: 7 names"),
        ("meta", {"config_": {"layers": 10**9}}, "config_ has layers 1000000000; accepted: at most 10000"),
        ("meta", {"history_": 3}, "history_ is 3; accepted: a list of dict"),
        ("meta", {"speakers_": [1, 2]}, r"speakers_ is \[1, 2\]; accepted: a list of str"),
        ("meta", {"config": {"wdith": 3}}, "wdith"),
        ("meta", {"rates_": {"units": 25.0}}, "its rates are .*; accepted: frames per second of .*'words'"),
    ],
)
def test_a_file_with_a_wrong_entry_is_refused_by_its_name(clips, tmp_path, entry, change, message):
    fit(clips).save(path := tmp_path / "f.npz")
    arrays = read_npz(path, "")
    if isinstance(change, dict):
        change = json.dumps(json.loads(str(arrays["meta"])) | change)
    write_npz(path, {k: x for k, x in (arrays | {entry: change}).items() if x is not None})
    with pytest.raises(ValueError, match=rf"(?s)f.npz is no recognizer \(.*{message}.*accepted: a file written by"):
        refmer.load_recognizer(path)


def test_a_recognizer_is_saved_where_the_user_says(clips, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    model = fit(clips)
    model.save("~/m.npz")
    model.save(f := BytesIO())
    assert f.getvalue() == (tmp_path / "m.npz").read_bytes()
    f.seek(0)
    for source in ("~/m.npz", f):
        assert (refmer.load_recognizer(source).predict(clips) == model.predict(clips)).all()
    for path, error in ((tmp_path / "none" / "m.npz", FileNotFoundError), (tmp_path, IsADirectoryError)):
        with pytest.raises(error, match=f"{path.parent if error is FileNotFoundError else path}"):
            model.save(path)
