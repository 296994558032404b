"""The corpus agrees with its data card: people's shares, aligned senses, clips that depend on their names only."""

import hashlib
import importlib.util
import re
from functools import cache
from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from refmer.data.clips import EMOTIONS, Stream
from refmer.data.labels import above_chance, plurality
from refmer.data.read import load_samples
from refmer.data.synthetic import face, raters
from refmer.data.synthetic import synthesize as module
from refmer.data.synthetic.raters import ceiling
from refmer.data.synthetic.signals import feeling, sentiment_ceiling, valences
from refmer.data.synthetic.synthesize import ALL, FEW, raw_signals, synthesize, synthesize_named, synthesize_recordings
from refmer.data.synthetic.words import tone

SAMPLES = Path(__file__).parents[2] / "data_samples"


@pytest.fixture(scope="module")
def bundled():
    return load_samples("clips")


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make", SAMPLES / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_ceilings_are_the_published_ones():
    for sense, expected in (("voice", 45.9), ("face", 69.1), ("both", 75.4)):
        assert abs(100 * ceiling("intended", sense) - expected) < 0.1  # the shares have three digits


def test_ceilings_of_the_votes_are_what_the_best_guess_reaches():
    rng = np.random.default_rng(0)
    intended = rng.integers(6, size=40_000)
    shown = [(rng.random((len(intended), 1)) > raters.SHARES[s][intended].cumsum(1)[:, :-1]).sum(1) for s in ("voice", "face")]
    votes = rng.multinomial(raters.RATERS, raters.rater_shares()[intended, *shown])
    cell = shown[0] * 6 + shown[1]
    emotion = np.eye(6)[plurality(votes, intended)]
    above = above_chance(votes / raters.RATERS)
    shares = {}
    for name, y in (("emotion", emotion), ("votes", above)):
        count = np.zeros((36, 6))
        np.add.at(count, cell, y)
        shares[name] = count / np.maximum(np.bincount(cell, minlength=36), 1)[:, None]
    accuracy = emotion[np.arange(len(cell)), shares["emotion"].argmax(1)[cell]].mean()
    assert accuracy == pytest.approx(ceiling("emotion"), abs=0.01)
    best = [max(f1_score(above[:, k], shares["votes"][cell, k] > t) for t in np.arange(0, 1, 0.1)) for k in range(6)]
    assert np.mean(best) == pytest.approx(ceiling("votes"), abs=0.01)
    for label in ("intended", "emotion", "votes"):
        assert ceiling(label, "voice") < ceiling(label, "face") < ceiling(label)


def test_the_ceiling_of_sentiment_is_what_the_guess_without_the_raters_errors_reaches(bundled):
    truth, words = bundled.truth, [tone(sentence.split()) for sentence in bundled.truth["sentence"]]
    guess = np.round(feeling(np.array(words), *valences(truth))).clip(-3, 3) + 3
    accuracy = (guess == bundled.labels["sentiment"].targets).mean()
    assert accuracy == pytest.approx(sentiment_ceiling(truth), abs=0.05)


def test_shown_emotions_follow_the_shares_to_one_clip(bundled):
    for sense in ("voice", "face"):
        count = np.zeros((6, 6))
        np.add.at(count, (bundled.intended, bundled.truth[f"shown_{sense}"]), 1)
        assert np.abs(count - 48 * raters.SHARES[sense]).max() < 1


def test_senses_are_drawn_independently_of_each_other():
    seeds = range(200)
    drawn = np.array([raters.draw_shown(seed, s, 1, 0) for seed in seeds for s in range(24)])  # disgust
    joint = np.histogram2d(*drawn.T, bins=(range(7), range(7)))[0] / len(drawn)
    assert np.abs(joint - np.outer(raters.SHARES["voice"][1], raters.SHARES["face"][1])).max() < 0.02


def test_raters_average_to_the_published_shares_and_follow_the_shown_emotions():
    p = raters.rater_shares()
    mean = np.einsum("iv,if,ivfk->ik", raters.SHARES["voice"], raters.SHARES["face"], p)
    np.testing.assert_allclose(mean, raters.SHARES["both"], atol=1e-9)
    for k in range(6):
        assert (p[:, :, k, k] > np.delete(p[..., k], k, axis=2).max(2)).all()  # a face that shows k draws votes for k


def test_raters_side_with_the_face_or_the_voice_as_often_as_on_crema_d():
    rng, n = np.random.default_rng(0), 20_000
    i = rng.integers(6, size=n)
    v, f = ((rng.random((n, 1)) > raters.SHARES[sense][i].cumsum(1)[:, :-1]).sum(1) for sense in ("voice", "face"))
    emotion = plurality(rng.multinomial(raters.RATERS, raters.rater_shares()[i, v, f]), i)
    differ = v != f
    assert abs((emotion == v)[differ].mean() - 0.196) < 0.02 and abs((emotion == f)[differ].mean() - 0.675) < 0.03


def test_ties_go_to_the_intended_class_if_it_is_among_them():
    votes = np.array([[4, 4, 2, 0, 0, 0], [4, 4, 2, 0, 0, 0], [1, 5, 4, 0, 0, 0]])
    assert plurality(votes, np.array([1, 5, 0])).tolist() == [1, 0, 1]


def test_a_subset_made_again_equals_the_bundled_corpus(bundled):
    recordings = load_samples("recordings")
    for corpus, index in ((bundled, [0, 101, 287]), (recordings, [17])):
        part = corpus[index]
        again = synthesize_named(part.name.tolist(), seed=0)
        files, made, whole = (
            c.streams | {k: Stream(x.targets, x.rate, x.mask) for k, x in c.labels.items() if x.over_time}
            for c in (part, again, corpus)
        )
        for k in files.keys() - {"mfcc", "layers"}:
            a, b = files[k].x[files[k].mask], made[k].x[made[k].mask]
            assert a.shape == b.shape, k
            if k == "frames":
                off, step = (a.astype(int) - b) / 17, 1
            else:
                step = np.ptp(whole[k].x[whole[k].mask], axis=0) / (255 if k in ("logmel", "units") else 65535) + 1e-5
                off = (a - b) / step
            assert (np.abs(off) > 0.51).mean() <= 1e-4 and np.abs(off).max() < 1.51, k
        assert list(part.labels) == list(again.labels)
        for k in ("speaker", *(k for k, label in part.labels.items() if not label.over_time)):
            np.testing.assert_array_equal(getattr(part, k), getattr(again, k))


def test_a_clip_depends_on_nothing_but_seed_and_name():
    few, more = synthesize(1, 1, seed=3), synthesize(2, 2, seed=3)
    i = more.name.tolist().index("s00-fear-0")
    T = few.streams["units"].mask[2].sum()
    assert few.name[2] == "s00-fear-0" and more.streams["units"].mask[i].sum() == T
    np.testing.assert_array_equal(few.streams["units"].x[2, :T], more.streams["units"].x[i, :T])
    other = synthesize_named(["s00-fear-0"], seed=4)
    assert not np.array_equal(other.streams["units"].x[0, :15], few.streams["units"].x[2, :15])


LENGTHS = (0.6, 1.0)
WHOLE = {make: cache(lambda make=make: make(3, 1, 5, LENGTHS)) for make in (synthesize, synthesize_recordings)}


def assert_same(a, b):
    """Streams of a, labels and truth are those of b, to the bit."""
    for name, s in a.streams.items():
        t = b.streams[name]
        assert (s.rate, s.sense, s.features, s.x.dtype) == (t.rate, t.sense, t.features, t.x.dtype)
        assert s.x.tobytes() == t.x.tobytes() and s.mask.tobytes() == t.mask.tobytes(), name
    for name in ("name", "speaker"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert list(a.labels) == list(b.labels) and list(a.truth) == list(b.truth)
    for name, label in a.labels.items():
        np.testing.assert_array_equal(label.values, b.labels[name].values)
    for name, values in a.truth.items():
        np.testing.assert_array_equal(values, b.truth[name])


@pytest.mark.parametrize("make", [synthesize, synthesize_recordings])
@given(streams=st.lists(st.sampled_from(ALL), unique=True), jobs=st.sampled_from([None, 1, 2]))
def test_streams_are_the_same_with_any_others_and_for_any_number_of_processes(make, streams, jobs):
    part = make(3, 1, 5, LENGTHS, streams, jobs)
    assert list(part.streams) == [name for name in ALL if name in streams]
    assert_same(part, WHOLE[make]())


def test_large_corpora_are_made_on_all_cores(monkeypatch):
    used = []
    monkeypatch.setattr(joblib, "Parallel", lambda jobs, **options: used.append(jobs) or (lambda calls: []))
    for n in (FEW - 1, FEW):
        assert module.make_all([f"s{i:02d}-fear-0" for i in range(n)], 0, None, ALL, None) == []  # nothing is made here
    assert used == [1, -1]


def test_frames_are_drawn_only_where_they_are_wanted(monkeypatch):
    monkeypatch.setattr(face, "draw", lambda *motion: pytest.fail("frames are drawn"))
    monkeypatch.setattr(module, "front_end", lambda *wave: pytest.fail("sound is analysed"))
    assert list(synthesize(1, 1, streams=("units", "body")).streams) == ["units", "body"]


def test_raw_signals_are_aligned_and_bounded(bundled):
    raw = raw_signals("s05-happiness-1")
    i = bundled.name.tolist().index("s05-happiness-1")
    T = bundled.streams["frames"].mask[i].sum()
    assert raw.frames.shape == (T, 24, 24) and raw.wave.shape == (T * raw.rate // raw.frame_rate,)
    assert np.abs(raw.wave).max() <= 1 and raw.wave.std() > 0.003 and not (raw.frames % 17).any()
    np.testing.assert_array_equal(raw.frames, bundled.streams["frames"].x[i, :T])
    assert bundled.streams["logmel"].mask[i].sum() == 2 * T


def test_the_mouth_leads_the_sound_by_the_lag():
    """Over recordings of one speaker, the lag with the best correlation of lips and energy is the true one."""
    r = synthesize_recordings(3, 1, seed=7, duration=(16, 16))
    names = r.streams["units"].features
    for i in range(3):
        lips = r.streams["units"].x[i, :, names.index("AU25_r")] + r.streams["units"].x[i, :, names.index("AU26_r")]
        energy = 10 ** (r.streams["prosody"].x[i, :, 2] / 20)  # 50 Hz
        lips = np.repeat(lips, 2)
        shifts = np.arange(-12, 25)
        match = [np.corrcoef(lips[30:-30], np.roll(energy, -s)[30:-30])[0, 1] for s in shifts]
        assert max(match) > 0.4 and abs(shifts[np.argmax(match)] / 50 - r.truth["lag"][i]) < 0.06


def test_lengths_lags_labels_agree_with_the_card(bundled):
    length = bundled.streams["frames"].mask.sum(1) / 25
    assert len(bundled) == 288 and length.min() >= 0.6 and length.max() <= 5 and ((length > 1.5) & (length < 3.5)).mean() > 0.6
    lag = bundled.truth["lag"]
    assert abs(lag.mean() - 0.12) < 0.015 and abs(lag.std() - 0.08) < 0.01
    assert (bundled.votes.sum(1) == 10).all()
    assert set(np.rint(bundled.sentiment)) == set(range(-3, 4))
    np.testing.assert_allclose(3 * bundled.sentiment, np.rint(3 * bundled.sentiment), atol=1e-9)
    counts = np.bincount(bundled.emotion, minlength=6)
    assert counts.min() >= 20 and counts.argmax() == EMOTIONS.index("neutral")


def test_affect_of_recordings_varies_and_annotators_follow():
    r = load_samples("recordings")
    label = r.labels["affect"]
    length = label.mask.sum(1) / label.rate
    assert len(r) >= 36 and length.min() >= 12 and length.max() <= 24 and list(r.labels) == ["affect"]
    felt, marked = r.truth["affect"][label.mask], label.values[label.mask]
    for k in range(2):
        assert 0.8 < np.corrcoef(felt[:, k], marked[:, k])[0, 1] < 0.995 and felt[:, k].std() > 0.3


def test_a_simple_classifier_comes_close_below_people(bundled, make):
    accuracy = make.machine(bundled)
    for sense in ("voice", "face", "both"):
        assert ceiling("intended", sense) - 0.08 <= accuracy[sense] <= ceiling("intended", sense), (sense, accuracy)


def test_words_and_body_do_not_correlate_with_the_emotion(bundled, make):
    y = np.eye(6)[bundled.intended] - 1 / 6
    for k in ("words", "body"):
        x = make.summary(bundled.streams[k])
        x = (x - x.mean(0)) / x.std(0)
        assert np.abs(x.T @ y / len(y)).max() < 0.12


def test_the_card_has_the_counts_and_the_checksums(bundled, make):
    card = (SAMPLES / "README.md").read_text(encoding="utf-8")
    sums = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", card, re.M))
    files = [p for p in SAMPLES.iterdir() if p.suffix in (".npz", ".wav", ".png")]
    assert {v: k for k, v in sums.items()} == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    assert make.class_table(bundled) in card and make.people_table(make.machine(bundled)) in card
    assert "synthetic" in card and "CREMA-D, Cao et al. 2014, made available under the Open Database License" in card
    assert sum(p.stat().st_size for p in SAMPLES.rglob("*") if p.is_file() and "__pycache__" not in p.parts) < 8e6


def test_one_number_is_the_length_of_all_clips():
    clips, pair = synthesize(1, 1, duration=1.2), synthesize(1, 1, duration=np.array([1.2, 1.2]))
    assert (clips.streams["units"].mask.sum(1) == 30).all() and len(clips.raw(clips.name[0]).wave) == 1.2 * 16000
    np.testing.assert_array_equal(clips.streams["logmel"].x, pair.streams["logmel"].x)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: synthesize(speakers=0), "speakers is 0"),
        (lambda: synthesize(1, takes=1.5), "takes is 1.5"),
        (lambda: synthesize(1, 1, seed=-1), "seed is -1"),
        (lambda: synthesize(1, 1, streams=("smell",)), "a stream is 'smell'; accepted: 'logmel', 'prosody', 'units', 'frames'"),
        (lambda: synthesize(1, 1, streams="units"), "streams is 'units'; accepted: names"),
        (lambda: synthesize(1, 1, jobs=0), "jobs is 0; accepted: integers, 1 or more or None"),
        (lambda: synthesize(1, 1, duration=(3, 2)), r"duration is \(3, 2\)"),
        (lambda: synthesize(1, 1, duration=0.1), "duration is 0.1; accepted: seconds, or .shortest, longest. with 0.2 <="),
        (lambda: synthesize(1, 1, duration=(1, 2, 3)), r"duration is \(1, 2, 3\)"),
        (lambda: synthesize(1, 1, duration="long"), "duration is 'long'"),
        (lambda: synthesize(1, 1, duration=("a", "b")), r"duration is \('a', 'b'\)"),
        (lambda: synthesize(1, 1, duration=float("nan")), "duration is nan"),
        (lambda: raw_signals("my-clip"), "name is 'my-clip'"),
        (lambda: synthesize_named([]), "names are"),
        (lambda: synthesize_named(["s00-fear-0", "r00-0"]), "not both"),
    ],
)
def test_bad_arguments_raise_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
