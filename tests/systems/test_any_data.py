"""Every system and baseline learns any label from any streams."""

from dataclasses import replace

import numpy as np
import pytest
from error_table import errors

import refmer
from refmer import Clips, Label, Recognizer, Stream
from refmer.data.inputs import assign
from refmer.systems import BASELINES, SYSTEMS

NAMES = [*SYSTEMS, *BASELINES]
N = 10
RNG = np.random.default_rng(0)


def ragged(T, *shape):
    return [RNG.normal(size=(int(t), *shape)) for t in RNG.integers(T // 2, T + 1, N)]


def silent(s, clip):
    """The stream without any frame of one clip."""
    mask = s.mask & (np.arange(N) != clip)[:, None]
    return replace(s, mask=mask, x=np.where(mask.reshape(mask.shape + (1,) * (s.x.ndim - 2)), s.x, 0))


STREAMS = {
    "vgg": silent(Stream(ragged(16, 7), 10.0, sense="face"), 3),
    "egemaps": silent(Stream(ragged(40, 5), 25.0, sense="voice"), 4),
    "glove": Stream(RNG.normal(size=(N, 3)), sense="words"),
    "images": silent(Stream(ragged(16, 8, 9), 8.0, sense="face"), 3),
    "layers": Stream(ragged(20, 4, 5), 10.0, sense="voice"),
    "mfcc": Stream(ragged(40, 6), 20.0, sense="voice"),
}
INDEX = np.arange(N)
LABELS = {
    "two": INDEX % 2,
    "seven": Label(INDEX % 7 - 3, "ordinal", ("-3", "-2", "-1", "0", "+1", "+2", "+3")),
    "eight": [*"abcdefghab"],
    "votes": RNG.integers(0, 3, (N, 4)) + 3 * np.eye(4, dtype=int)[INDEX % 4],
    "pad": Label(RNG.normal(5, 2, (N, 3)), names=("pleasure", "arousal", "dominance")),
    "one": RNG.normal(size=N),
    "course": Label([RNG.normal(size=(k, 2)) for k in INDEX % 2 + 1], rate=1.0),
    "turns": Label([[*"abc"][: k + 1] for k in INDEX % 2 + 1], rate=1.5),
    "answers": Label(RNG.integers(1, 4, (N, 2, 4)), "votes", rate=1.0),
}
CLIPS = Clips(STREAMS, speaker=INDEX % 5, labels=LABELS)
VECTORS = {"visual": "vgg", "audio": "egemaps", "text": "glove"}


def trained(name, label="two", streams=VECTORS, clips=CLIPS, **options):
    """The recognizer after one epoch; the third stream of Leader-Follower is "mfcc", not text."""
    streams = streams | ({"mfcc": "glove"} if name == "leader_follower" else {})
    return Recognizer(name, label=label, streams=streams, **{"epochs": 1} | options).fit(clips, dev=clips, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("name", NAMES)
def test_three_streams_of_vectors_are_enough_for_any_label(name, label, tmp_path):
    model, truth = trained(name, label), CLIPS.labels[label]
    assert np.isfinite([*model.history_[0].values(), model.score(CLIPS)]).all()
    assert model.task == truth.kind and model.class_names_ == truth.names
    answer, K = model.predict(CLIPS), len(truth.names)
    steps = (model.steps_of(CLIPS),) if truth.over_time else ()
    assert answer.shape == (N, *steps) + ((K,) if K > 1 and truth.kind in ("votes", "regression") else ())
    if truth.kind != "regression":
        np.testing.assert_allclose(model.predict_proba(CLIPS).sum(-1), 1, rtol=1e-4)
    model.save(tmp_path / "m.npz")
    np.testing.assert_array_equal(refmer.load_recognizer(tmp_path / "m.npz").predict(CLIPS), answer)
    assert all(len(x) == 2 and np.isfinite(x).all() for x in model.explain(CLIPS[3:5]).values())


SHAPES = {
    "images": VECTORS | {"visual": "images"},
    "layers": VECTORS | {"audio": "layers"},
    "several rates": VECTORS | {"audio": ["egemaps", "mfcc"]},
    "several shapes": VECTORS | {"visual": ("images", "vgg"), "audio": ["layers", "mfcc"]},
}


@pytest.mark.parametrize("streams", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_streams_have_any_shape_and_several_are_one_modality(name, streams, tmp_path):
    model = trained(name, streams=streams)
    assert np.isfinite([*model.history_[0].values()]).all()
    model.save(tmp_path / "m.npz")
    np.testing.assert_array_equal(refmer.load_recognizer(tmp_path / "m.npz").predict(CLIPS), model.predict(CLIPS))


def test_streams_are_found_by_name_by_modality_and_by_sense():
    usual = {"visual": ("units",), "audio": ("prosody", "mfcc")}
    face, voice, other = Stream(np.ones((2, 3)), sense="face"), Stream(np.ones((2, 3)), sense="voice"), Stream(np.ones((2, 3)))

    def chosen(given=(), **streams):
        return assign("raver", usual, dict(given), streams)

    assert chosen(units=other, prosody=other, mfcc=other, visual=other) == usual
    assert chosen(a=face, b=face, visual=other, audio=other) == {"visual": ("visual",), "audio": ("audio",)}
    assert chosen(a=face, b=voice, c=other) == {"visual": ("a",), "audio": ("b",)}
    assert chosen({"audio": ["c", "b"]}, a=face, b=voice, c=voice)["audio"] == ("c", "b")
    assert chosen({"visual": "b"}, a=face, b=voice, units=face)["visual"] == ("b",)


def model_of(**options):
    return Recognizer("openface_adaptive", epochs=1, **{"label": "two"} | options).fit(CLIPS, progress=False)


def without(*names):
    return Clips({k: s for k, s in STREAMS.items() if k not in names}, labels=LABELS)


test_errors_name_the_stream_or_label = errors(
    (
        lambda: model_of(),
        "openface_adaptive needs for visual the streams units; .* have vgg .face., .*streams={'visual': 'NAME'}",
    ),
    (
        lambda: trained("raver", clips=without("vgg")),
        r"raver needs for visual the streams vgg; .*have egemaps \(voice\), glove",
    ),
    (lambda: trained("raver", streams={"visual": []}), r"needs for visual the streams \(none\)"),
    (
        lambda: model_of(streams={"face": "vgg"}),
        "streams is {'face': 'vgg'}; accepted: a dict with names of streams for visual, ",
    ),
    (lambda: model_of(streams="vgg"), "streams is 'vgg'; accepted: a dict"),
    (lambda: model_of(streams=VECTORS, label="three"), "no three labels .*they have two, seven"),
    (
        lambda: model_of(streams=VECTORS, config={"target": "eight"}),
        "label is 'two', and target 'eight' in config; accepted: one",
    ),
    (lambda: trained("raver").predict(without("vgg")), "raver needs the streams egemaps, vgg; these clips lack vgg"),
    (
        lambda: trained("raver").score(CLIPS.with_labels(two=LABELS["eight"])),
        "the label of these clips is .*'h'.*accepted: .*'1'",
    ),
    (lambda: trained("raver", "course").stream(), "raver learned course, a regression without probabilities"),
    (lambda: trained("raver", "turns").stream(), "raver learned turns, a label over time; accepted: a label of clips"),
    (
        lambda: trained("raver", "course").fit(CLIPS, y=INDEX),
        r"accepted: None, as the label over time is in clips.labels\['course",
    ),
)
