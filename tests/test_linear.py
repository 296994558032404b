"""The linear reference: what it reads, how it chooses, and its answers for every kind of label."""

from dataclasses import replace

import numpy as np
import pytest

import refmer
from refmer.data.labels import Label
from refmer.linear import LinearReference
from refmer.recognizer import Recognizer


def vectors(n=120, seed=0):
    """Clips of 12 speakers; "good" shows three classes, "bad" is noise of the same shape."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    good = np.eye(3)[y][:, None] + 0.3 * rng.standard_normal((n, 7, 3))
    streams = {"good": refmer.Stream(good.astype(np.float32)), "bad": refmer.Stream(rng.standard_normal((n, 7, 3)))}
    labels = {
        "answer": Label(y, "classes"),
        "level": Label(y.astype(float), "ordinal", ("0", "1", "2")),
        "votes": Label(np.eye(3)[y] * 8 + 1, "votes"),
        "value": Label(y + 0.5, "regression"),
        "track": Label(np.repeat(y[:, None, None] + 0.5, 7, 1), "regression", rate=1.0),
    }
    return refmer.Clips(streams, speaker=np.arange(n) % 12, labels=labels)


@pytest.mark.parametrize("target", ["answer", "level", "votes", "value", "track"])
def test_it_learns_every_kind_of_label_and_its_answers_are_those_of_a_recognizer(target):
    clips = vectors()
    train, test = clips[:90], clips[90:]
    model = LinearReference(target, 1.0, [["good"]]).fit(train)
    system = Recognizer("concatenation", label=target, epochs=1, streams={"visual": "good", "audio": "bad", "text": "bad"})
    other = system.fit(train, progress=False).predict(test)
    answer = model.predict(test)
    assert np.reshape(answer, other.shape).dtype.kind == other.dtype.kind
    scores = model.scores(answer, test)
    assert set(scores) == set(system.scores(other, test))
    assert max(scores.get(name, 0) for name in ("accuracy", "macro_f1", "ccc")) > 0.85


def test_the_best_sense_is_chosen_on_training_clips_alone():
    clips = vectors()
    model = LinearReference("answer", 1.0, [["bad"], ["good"]]).fit(clips[:90])
    assert model.streams_ == {"all": ("good",)} and list(model.streams_of(clips)) == ["good"]
    labels = clips.labels | {
        "answer": Label(np.roll(clips.answer, 1) * (np.arange(120) >= 90) + clips.answer * (np.arange(120) < 90))
    }
    again = LinearReference("answer", 1.0, [["bad"], ["good"]]).fit(replace(clips, labels=labels)[:90])
    np.testing.assert_array_equal(model.predict(clips), again.predict(clips))


def test_it_reads_mean_and_deviation_of_valid_frames_and_answers_without_any():
    clips = vectors(12)
    mask = np.ones((12, 7), bool)
    mask[0], mask[1, 3:] = False, False
    clips = clips.with_streams(good=refmer.Stream(clips.streams["good"].x, mask=mask))
    model = LinearReference("answer", 1.0, [["good"]]).fit(clips[1:])
    x, (mean, sd) = clips.streams["good"].x[1, :3], model.scaling_["good"]
    features = model.features(clips)
    np.testing.assert_allclose(features[1], np.concatenate([((x - mean) / sd).mean(0), (x / sd).std(0)]), rtol=1e-4, atol=1e-5)
    assert np.isnan(features[0]).all()
    assert model.predict(clips)[0] in range(3)


def test_a_single_class_is_the_answer():
    clips = vectors(24)
    clips = clips.select(answer=1)
    assert set(LinearReference("answer", 1.0, [["good"]]).fit(clips).predict(clips)) == {1}
