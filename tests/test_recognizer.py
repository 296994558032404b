"""Recognizer: its interface, scikit-learn's tools on it, and its errors."""

import copy
import json
import pickle
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from error_table import errors
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import get_scorer, r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score, learning_curve, permutation_test_score
from sklearn.pipeline import Pipeline

import refmer
from refmer.data.clips import EMOTIONS, Clips, Stream
from refmer.data.files import read_npz, write_npz
from refmer.data.labels import Label
from refmer.systems import BASELINES, SYSTEMS


def fit(clips, system="concatenation", **options):
    return refmer.Recognizer(system, **{"epochs": 1} | options).fit(clips, progress=False)


def test_probabilities_predictions_and_score_agree(model, clips):
    p = model.predict_proba(clips)
    assert p.shape == (len(clips), 6) and model.class_names_ == clips.labels["emotion"].names
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
        model = refmer.Recognizer("concatenation", seed=2, epochs=2).fit(clips, progress=False)
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
    with pytest.warns(UserWarning, match="no training clip is of the classes -3, -2: they have weight 0"):
        model = refmer.Recognizer("concatenation", epochs=1).fit(clips[clips.speaker == speakers[1]], dev=dev, progress=False)
    assert list(model.speakers_) == list(speakers[:2])


@pytest.fixture(scope="module")
def even(clips):
    """The clips with emotions in turn: every class is in every fold."""
    return clips.with_labels(emotion=Label(np.arange(len(clips)) % 6, names=EMOTIONS))


def emotions(system="concatenation", **options):
    return refmer.Recognizer(system, label="emotion", epochs=1, **options)


TWO = {"cv": GroupKFold(2)}


def test_a_grid_reaches_arguments_and_fields_and_its_best_is_saved(even, tmp_path):
    grid = {"seed": np.arange(3, 5), "lr": [np.float32(1e-3)], "epochs": np.array([2]), "config__hidden": [np.int64(4)]}
    search = GridSearchCV(emotions(), grid, **TWO).fit(even, groups=even.speaker, progress=False)
    best = search.best_estimator_
    assert best.config == {"hidden": 4} and best.label == "emotion" and best.config_.hidden == 4 and len(best.history_) == 2
    assert best.recipe_.lr == best.history_[0]["lr"] == np.float32(1e-3) and best.seed_ in (3, 4)
    best.save(tmp_path / "m.npz")
    again = refmer.load_recognizer(tmp_path / "m.npz")
    assert again.predict_proba(even).tobytes() == best.predict_proba(even).tobytes() and again.get_params() == best.get_params()


def test_fields_of_the_config_are_parameters():
    model = emotions("openface_adaptive").set_params(config__gate=False, lr=0.1, config__width=8)
    assert model.config == {"gate": False, "width": 8} and model.lr == 0.1
    assert model.get_params()["config__width"] == 8 and "config__width" not in model.get_params(deep=False)
    assert clone(model).set_params(**model.get_params()).get_params() == model.get_params()
    nested = Pipeline([("m", emotions())]).set_params(m__config__hidden=3)
    assert nested["m"].config["hidden"] == 3


@pytest.mark.parametrize("scoring", (None, "accuracy", "f1_macro", "neg_log_loss"))
def test_scorers_take_the_labels_as_y(even, scoring):
    scores = cross_val_score(emotions(), even, even.emotion, groups=even.speaker, scoring=scoring, **TWO)
    assert scores.shape == (2,) and np.isfinite(scores).all()


def test_cross_validation_in_two_processes_is_that_in_one(even):
    scores = [cross_val_score(emotions(), even, groups=even.speaker, n_jobs=jobs, **TWO).tolist() for jobs in (1, 2)]
    assert scores[0] == scores[1]


def test_permuted_labels_are_learned_and_learning_curves_are_drawn(even):
    score, permuted, _ = permutation_test_score(emotions(), even, even.emotion, groups=even.speaker, n_permutations=2, **TWO)
    assert np.isfinite([score, *permuted]).all()
    y = np.random.default_rng(0).permutation(even.emotion)
    assert emotions().fit(even, y, progress=False).history_ != emotions().fit(even, progress=False).history_
    model = emotions().fit(even, y, progress=False)
    assert model.score(even, model.predict(even)) == 1
    sizes, *curves = learning_curve(emotions(), even, even.emotion, groups=even.speaker, train_sizes=[0.9, 1.0], **TWO)
    assert all(np.isfinite(curve).all() for curve in curves)


def test_sentiment_of_floats_is_no_y(even):
    with pytest.raises(ValueError, match=r"(?s)All the 2 fits failed.*y is .*clips.labels\['sentiment'\].targets"):
        cross_val_score(
            refmer.Recognizer("concatenation"), even, even.sentiment, groups=even.speaker, scoring="accuracy", **TWO
        )


@pytest.mark.parametrize("duplicate", (copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))))
@pytest.mark.parametrize("name", ("openface_adaptive", "raver", "auxformer"))
def test_copies_and_pickles_predict_the_same(fitted, clips, name, duplicate):
    assert duplicate(fitted(name)).predict_proba(clips[:4]).tobytes() == fitted(name).predict_proba(clips[:4]).tobytes()
    assert duplicate(emotions(name)).get_params() == emotions(name).get_params()


NEW = refmer.Recognizer("raver")


@pytest.mark.parametrize("method", (NEW.predict, NEW.predict_proba, NEW.score, NEW.explain, NEW.labels, NEW.save))
def test_what_needs_training_says_so(method, clips):
    with pytest.raises(NotFittedError, match="not fitted"):
        method(clips)


def test_tags_follow_the_label_and_before_training_the_usual_one(fitted):
    assert is_classifier(emotions()) and is_classifier(fitted("tlab_jca")) and is_regressor(refmer.Recognizer("tlab_jca"))


def test_without_a_seed_each_fit_has_its_own_and_keeps_it(even, tmp_path):
    model, other = (emotions(seed=None).fit(even, dev=even, progress=False) for _ in "ab")
    assert model.seed is None and model.seed_ != other.seed_ and (model.p_.vector != other.p_.vector).any()
    again = emotions(seed=model.seed_).fit(even, dev=even, progress=False)
    assert (again.p_.vector == model.p_.vector).all()
    model.save(tmp_path / "m.npz")
    assert refmer.load_recognizer(tmp_path / "m.npz").seed_ == model.seed_


@pytest.mark.parametrize("label, value", (("emotion", 2), ("votes", [0, 0, 5, 0, 0, 0])))
@pytest.mark.parametrize("name", SYSTEMS | BASELINES)
def test_clips_of_one_class_are_learned_with_a_warning(clips, name, label, value):
    alone = clips.with_labels(**{label: Label(np.repeat([value], len(clips), 0), names=EMOTIONS)})
    with pytest.warns(UserWarning, match="no training clip is of the classes anger, disgust, happiness, neutral, sadness"):
        model = refmer.Recognizer(name, label=label, epochs=1).fit(alone, progress=False)
    assert np.isfinite(model.predict_proba(clips)).all() and np.isfinite(model.history_[0]["train_loss"])


def test_another_order_of_features_is_refused_also_after_saving(model, clips, tmp_path):
    s = clips.streams["units"]
    turned = clips.with_streams(units=replace(s, x=s.x[..., ::-1], features=s.features[::-1]))
    model.save(tmp_path / "m.npz")
    for each in (model, refmer.load_recognizer(tmp_path / "m.npz")):
        with pytest.raises(ValueError, match="of stream units from place 0 on are 'gaze_angle_y', .*accepted: 'AU01_r', "):
            each.predict(turned)
    nameless = clips.with_streams(units=replace(s, features=()))
    assert model.predict(nameless).tolist() == model.predict(clips).tolist()


def test_a_fit_that_fails_leaves_no_fitted_recognizer(even):
    model = emotions().fit(even, progress=False)
    with pytest.raises(ValueError, match="lr is -1"):
        model.set_params(lr=-1).fit(even, progress=False)
    with pytest.raises(NotFittedError):
        model.predict(even)


def fit_with(**options):
    return lambda clips: fit(clips, **options)


def scaled(clips, name, factor):
    s = clips.streams[name]
    return clips.with_streams(**{name: replace(s, x=s.x * np.float32(factor))})


def words_only(clips):
    return Clips({"words": clips.streams["words"]}, clips.name, clips.speaker, {"sentiment": clips.labels["sentiment"]})


def renamed(clips):
    return clips.with_labels(emotion=Label(clips.emotion, names=tuple("abcdef")))


def narrow(clips):
    s = clips.streams["units"]
    return clips.with_streams(units=replace(s, x=s.x[..., :9], features=()))


test_errors_name_the_cause = errors(
    (lambda clips: fit(clips[:0]), "no clips to fit on"),
    (lambda clips: fit(clips[clips.speaker == clips.speaker[0]]), "of 1 speaker: at least 2 are needed"),
    (lambda clips: fit(replace(clips, labels={})), "no sentiment labels"),
    (lambda clips: fit(clips, size="huge"), "size is 'huge'; accepted: 'tiny', 'paper'"),
    (lambda clips: fit(clips, "wave"), "no system is called 'wave'"),
    (lambda clips: fit(clips, config={"wdith": 3}), r"no \['wdith'\]; accepted: task, .*visual"),
    *((fit_with(seed=seed), f"seed is {seed!r}; accepted: integers from 0 .* or None") for seed in (-1, 1.5, "3", True)),
    *((fit_with(epochs=epochs), f"epochs is {epochs!r}; accepted: integers, 1 or more") for epochs in (0, 1.5, "3")),
    *((fit_with(lr=lr), f"lr is {lr!r}; accepted: finite numbers above 0") for lr in (0, "a", np.inf)),
    *((fit_with(config=config), f"config is {config!r}; accepted: a dict") for config in ("gate", 3)),
    (lambda clips: fit(clips, config=["gate"]), r"config is \['gate'\]; accepted: a dict"),
    (lambda: refmer.Recognizer("raver", config=3).set_params(config__width=8), "config is 3; accepted: a dict"),
    (lambda: refmer.Recognizer("raver").set_params(widht=8), "Invalid parameter 'widht'"),
    (lambda clips: fit(clips, config={"classes": 3}), "classes is 3 in config; accepted: 7, as the clips have it"),
    (lambda clips: fit(clips, config={"visual": 5}), "visual is 5 in config; accepted: 49"),
    (lambda clips: fit(clips, config={"hidden": 8.0}), "hidden is 8.0; accepted: integers"),
    (lambda clips: fit(clips, ["raver"]), "no system is called"),
    (lambda clips: fit(clips.with_labels(sentiment=[np.nan, *clips.sentiment[1:]])), "1 of 48 clips have no sentiment"),
    (lambda clips: fit(clips.with_labels(votes=clips.votes * 0), "raver"), "48 of 48 clips have no votes"),
    (
        lambda clips: fit(clips.with_labels(votes=clips.votes * 0 + 1), "raver"),
        "votes of no training clip have a class above chance",
    ),
    *((fit, clips, r"clips is .*; accepted: refmer.Clips, .*Clips\({") for clips in (np.ones((3, 2)), [1], {"a": 1})),
    (lambda clips: fit(clips.streams["words"]), "clips is Stream; accepted: refmer.Clips"),
    (lambda clips: refmer.Recognizer("concatenation").fit(clips, dev=3), "clips is int; accepted"),
    (lambda clips: emotions().fit(clips, dev=renamed(clips)), "the label of these clips is .*'a', .*accepted: .*'anger'"),
    (lambda model: model.predict(None), "clips is NoneType; accepted"),
    (lambda model, clips: model.score(clips, clips.emotion[1:]), "emotion has 47 clips"),
    (lambda model, clips: model.score(renamed(clips)), "the label of these clips is .*'a', .*accepted: .*'anger'"),
    (lambda model, clips: model.predict(scaled(clips, "units", 1e20)), "stream units is .* standard deviations"),
    (lambda model, clips: model.explain(scaled(clips, "units", 1e20)), "stream units is .* standard deviations .*accepted"),
    (lambda model, clips: model.predict(scaled(clips, "prosody", 1e30)), "stream prosody is .*e"),
    (lambda clips: BaggingClassifier(emotions(), 2).fit(clips, clips.emotion), "clips are no array; accepted"),
    (lambda clips: fit(words_only(clips)), "for visual the streams units; these clips lack them and have words"),
    (lambda model, clips: model.predict(narrow(clips)), r"units has frames of shape \(9,\); accepted: \(49,\)"),
    (lambda model, clips: model.predict(clips[:0]), "no clips"),
    error=(ValueError, KeyError, TypeError),
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
        ("scaling/units", UNITS[:, 1:], "features has 49 names; accepted: 48"),
        ("scaling/words", UNITS, "its scaling has text 49; accepted: 16, as in config_"),
        ("scaling/units", None, "it has the scaling of .*; accepted: .*'units'"),
        ("scaling/more", UNITS, "it has the scaling of .*'more'"),
        ("p/maps.0.b", np.ones(32, int), "p/maps.0.b has dtype int64; accepted: floating point"),
        ("p/maps.0.b", np.full(32, 1e300), "p/maps.0.b has values that are not finite in float32"),
        ("p/maps.0.b", np.full(32, "a"), "p/maps.0.b has dtype <U1"),
        ("meta", DEEP, "recursion"),
        ("meta", {"class_names_": ["a"]}, r"class_names_ is \('a',\); accepted: 7 names"),
        ("meta", {"config_": {"layers": 10**9}}, "config_ has layers 1000000000; accepted: at most 10000"),
        ("meta", {"history_": 3}, "history_ is 3; accepted: a list of dict"),
        ("meta", {"speakers_": [1.5]}, r"speakers_ is \[1.5\]; accepted: a list of str"),
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


def test_features_that_a_clip_lacks_are_named(model, clips):
    s = clips.streams["units"]
    without_gaze = replace(s, x=s.x[..., :-2], features=s.features[:-2])
    with pytest.raises(ValueError, match="stream units lacks the features .*gaze_angle_x.*gaze_angle_y.*; accepted"):
        model.predict(clips.with_streams(units=without_gaze))


def test_an_answer_that_is_not_finite_is_an_error(model, clips):
    broken = copy.deepcopy(model)
    broken.p_.vector[:] = 1e30
    for answer in (broken.predict, broken.explain):
        with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="logits of .* is not finite; accepted"):
            answer(clips)


FACE_AND_VOICE = {"visual": "units", "audio": ["prosody", "mfcc"]}


def test_streams_and_label_are_parameters(clips):
    model = refmer.Recognizer("openface_adaptive", streams=FACE_AND_VOICE, label="emotion", epochs=1)
    twin = clone(model)
    assert twin.get_params() == model.get_params() and twin.streams == FACE_AND_VOICE and twin.label == "emotion"
    twin.set_params(label="sentiment", streams={"text": "words"}, config__width=8).fit(clips, progress=False)
    assert twin.config == {"width": 8} and twin.class_names_ == clips.labels["sentiment"].names
    assert model.fit(clips, progress=False).class_names_ == clips.labels["emotion"].names


def test_modalities_follow_from_the_streams(clips, tmp_path):
    model = fit(clips, "openface_adaptive", streams=FACE_AND_VOICE)
    assert model.config_.modalities == ("visual", "audio") and "words" not in model.scaling_
    assert model.streams_ == {"visual": ("units",), "audio": ("prosody", "mfcc")}
    model.save(tmp_path / "m.npz")
    again = refmer.load_recognizer(tmp_path / "m.npz")
    assert again.streams_ == model.streams_ and again.get_params() == model.get_params()
    assert again.predict(clips).tobytes() == model.predict(clips).tobytes()
    assert fit(clips, "raver", streams=FACE_AND_VOICE | {"text": "words"}).streams_ == model.streams_
    chosen = fit(clips, "openface_adaptive", streams=FACE_AND_VOICE, config={"modalities": ("audio", "text")})
    assert chosen.streams_ == {"audio": ("prosody", "mfcc"), "text": ("words",)}


def test_numbers_are_scored_by_scikit_learn_by_group():
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    y, speaker = 100 * x[:, 0] - 20, np.arange(60) % 4
    clips = Clips({"pose": Stream(x, sense="face")}, speaker=speaker, labels={"distance": y})
    model = refmer.Recognizer("concatenation", streams={"visual": "pose"}, label="distance", epochs=40, lr=0.02)
    scores = cross_val_score(model, clips, y, groups=speaker, scoring="r2", **TWO)
    assert scores.shape == (2,) and scores.min() > 0.5
    answer = model.fit(clips, progress=False).predict(clips)
    assert is_regressor(model) and answer.shape == y.shape
    assert get_scorer("r2")(model, clips, y) == pytest.approx(r2_score(y, answer))
    for call in (model.predict_proba, lambda clips: model.stream()):
        with pytest.raises(ValueError, match="concatenation learned distance, a regression without probabilities"):
            call(clips)
