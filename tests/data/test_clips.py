"""Clips: indexing, splitting, and errors."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer.data.clips import EMOTIONS, Clips, Stream
from refmer.data.labels import Label


def make(n=7, t=5, **changes):
    x = np.arange(n * t * 3, dtype=np.float32).reshape(n, t, 3)
    mask = np.arange(t) < np.arange(1, n + 1)[:, None]
    fields = {
        "streams": {"units": Stream(x * mask[..., None], 25.0, mask, "face")},
        "name": np.array([f"c{i}" for i in range(n)]),
        "speaker": np.array([f"s{i % 4}" for i in range(n)]),
        "labels": {"emotion": Label(np.arange(n) % 6, names=EMOTIONS)},
        "truth": {"lag": np.arange(n) / 10},
    }
    return Clips(**fields | changes)


@settings(max_examples=100)
@given(
    st.one_of(st.integers(-7, 6), st.slices(7), st.lists(st.integers(-7, 6)), st.lists(st.booleans(), min_size=7, max_size=7))
)
def test_indexing_takes_the_same_clips_from_everything(index):
    clips, positions = make(), np.arange(7)
    expected = np.atleast_1d(positions[np.array(index, dtype=int) if isinstance(index, list) and not index else index])
    for part in (clips[index], clips[index, ...]):
        assert part.shape == (len(expected),)
        np.testing.assert_array_equal(part.name, clips.name[expected])
        np.testing.assert_array_equal(part.streams["units"].x, clips.streams["units"].x[expected])
        np.testing.assert_array_equal(part.truth["lag"], clips.truth["lag"][expected])


@settings(max_examples=100)
@given(st.integers(0, 99), st.sampled_from(["speaker", "name"]))
def test_split_keeps_groups_apart_and_loses_no_clip(seed, by):
    clips = make()
    train, test = clips.split(by=by, test_size=0.3, seed=seed)
    assert not set(getattr(train, by)) & set(getattr(test, by))
    assert sorted([*train.name, *test.name]) == sorted(clips.name)


UNITS = make().streams["units"]


@pytest.mark.parametrize(
    "broken, message",
    [
        (lambda: replace(UNITS, x=np.where(UNITS.x == 33, np.nan, UNITS.x)), "NaN or infinite features in 1 clips"),
        (lambda: replace(UNITS, mask=UNITS.mask[:, :3]), r"mask is bool \(7, 3\); accepted: bool \(7, 5\)"),
        (lambda: replace(UNITS, mask=UNITS.mask.astype(int) * 2), "mask is int64"),
        (lambda: replace(UNITS, rate=0.0), "rate is 0.0"),
        (lambda: replace(UNITS, x=UNITS.x.astype(complex)), "complex128"),
        (lambda: replace(UNITS, features=("a",)), "features has 1 names; accepted: 3"),
        (lambda: replace(UNITS, x=[np.ones((3, 2)), np.ones((3, 4))]), r"parts of shape \(3, 2\), \(3, 4\); accepted"),
        (lambda: replace(UNITS, x=UNITS.x.astype(str)), "x has dtype <U32; accepted: real numbers"),
        (lambda: replace(UNITS, rate="25"), "rate is '25'; accepted: finite numbers above 0"),
        (lambda: make(speaker=["a", None, np.nan, *"abcd"]), "speaker is missing for 2 of 7 clips"),
        *((lambda v=v: replace(UNITS, features=v), "features is .*; accepted: names") for v in (None, "abc", np.array(3))),
        *((lambda v=v: replace(UNITS, sense=v), "sense is .*; accepted: a word") for v in (None, np.zeros(3), ["face"], "a+b")),
        (lambda: replace(UNITS, mask=[[1], [1, 2]]), "mask is no array"),
        *((lambda v=v: make()[v], "index .*; accepted") for v in (None, 1.5, ["a"], [[1], [2, 3]], np.zeros((7, 2)))),
        *((lambda v=v: make(truth=v), "truth") for v in (3, {"lag": 3}, {"lag": np.zeros(6)})),
        (lambda: make(source=3), "source is int; accepted: a string"),
        (lambda: Clips.concatenate(3), "parts is empty or no list"),
        (lambda: replace(UNITS, x=[np.ones(2), np.ones(3)]), r"parts of shape \(2,\), \(3,\); accepted.*axis of features"),
        (lambda: replace(UNITS, x=np.ones(7)), r"shape \(7,\); accepted: .*one frame per clip"),
        (lambda: make(labels={"emotion": np.zeros(6, int)}), "emotion has 6 clips, but there are 7 names"),
        (lambda: make(labels={"split": np.zeros(7, int)}), "a label is called 'split'"),
        (lambda: make(labels={"a": np.ones((7, 2, 2))}), "label a: "),
        (lambda: make(streams={"a": np.ones(7)}), "stream a: "),
        (lambda: make(labels=3), "labels is int; accepted: a dict"),
        (lambda: make().smell, "these clips have no 'smell'; labels: emotion"),
        (lambda: make().select(speaker="s9"), "speaker is 's9' for no clip; they have 's0', 's1'"),
        (lambda: make().select(age=3), "by is 'age'; accepted: name, speaker, emotion, or an array"),
        (lambda: make().split(by=[1, 2]), "by has 2 entries; accepted: 7"),
        (lambda: make(streams=[UNITS]), "streams is list; accepted: a dict of name to refmer.Stream"),
        (lambda: np.asarray(make()), "clips are no array; accepted: .*BaggingClassifier"),
        (lambda: Clips.concatenate([]), "parts is empty"),
        (lambda: Clips.concatenate([make(), 3]), "clips is int; accepted: refmer.Clips"),
        (
            lambda: Clips.concatenate([make(), make(labels={"emotion": Label(np.arange(7) % 6, names=list("abcdef"))})]),
            "label emotion is .*anger.*and.*'a'",
        ),
        (lambda: Clips.concatenate([make(), make(streams={"units": replace(UNITS, rate=5)})]), "stream units is .*25.0.*5.0"),
        (lambda: make().split(seed="1"), "seed is '1'; accepted"),
        (lambda: make().split(test_size="a"), "test_size is 'a'; accepted: shares between 0 and 1"),
        (lambda: make()[7], "clip 7 of 7"),
        (lambda: make().split(by="age"), "by is 'age'"),
        (lambda: make().split(test_size=1), "test_size is 1"),
        (lambda: make()[[0, 4]].split(), "2 clips of 1 speaker: at least 2"),
    ],
)
def test_wrong_arguments_raise_errors(broken, message):
    with pytest.raises((ValueError, IndexError, TypeError, AttributeError), match=message):
        broken()


def test_parts_are_joined_to_the_longest_and_lack_what_they_lack():
    other = make(3, 8, speaker=[0, 1, 1], labels={"sentiment": Label([1.0, 2.0, None], "ordinal")}, source="mine")
    other = other.with_streams(words=Stream([np.ones((k, 2)) for k in (1, 2, 3)], 2.5, None, "words"))
    both = Clips.concatenate([make(), other])
    assert both.shape == (10,) and both.speaker[7:].tolist() == ["0", "1", "1"] and both.source == "unknown source; mine"
    assert both.emotion.tolist() == [*make().emotion, -1, -1, -1] and list(both.truth) == ["lag"]
    np.testing.assert_array_equal(both.sentiment, [*[np.nan] * 8, 1, 2][1:8] + [1, 2, np.nan])
    assert both.streams["units"].x.shape == (10, 8, 3) and both.streams["words"].mask.sum(1).tolist() == [0] * 7 + [1, 2, 3]
    for part, whole in ((make(), both[:7]), (other, both[7:])):
        for name, s in part.streams.items():
            np.testing.assert_array_equal(whole.streams[name].x[:, : s.x.shape[1]], s.x)
            assert not whole.streams[name].mask[:, s.x.shape[1] :].any()
    assert Clips.concatenate(make()).name.tolist() == make().name.tolist()  # clips one by one


class Column:
    """A column of a table, as the Series of pandas: no array, but it makes one."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def __len__(self):
        return len(self.values)


@pytest.mark.parametrize("make_column", (list, np.array, Column, lambda v: np.array(v)[:, None]))
def test_labels_and_identifiers_may_be_any_column(make_column):
    codes = (np.arange(7) % 6).tolist()
    clips = make(speaker=make_column(codes), labels={"emotion": make_column(codes)})
    assert clips.emotion.tolist() == clips.speaker.tolist() == codes
    assert clips.emotion.dtype.kind == clips.speaker.dtype.kind == "i"


def test_identifiers_of_mixed_kinds_become_strings():
    assert make(name=["a", 3, *"bcdef"], speaker=[1, "x", 2.5, 1, 1, 1, 1]).speaker[:3].tolist() == ["1", "x", "2.5"]


@pytest.mark.parametrize("mask", (None, UNITS.mask.astype(int), UNITS.mask.tolist(), UNITS.mask.astype(float)))
def test_streams_take_masks_of_0_and_1_and_integers(mask):
    stream = replace(UNITS, x=UNITS.x.astype(np.int16), mask=mask, rate=np.int64(25), features=["a", "b", "c"])
    assert stream.x.dtype == np.float32 and stream.features == ("a", "b", "c") and type(stream.rate) is float
    np.testing.assert_array_equal(stream.mask, np.ones((7, 5), bool) if mask is None else UNITS.mask)


def test_a_list_of_arrays_is_padded():
    stream = Stream([np.full((k, 2), k) for k in (3, 1)], 25, None, "face")
    assert stream.mask.tolist() == [[True] * 3, [True, False, False]] and stream.x[..., 0].tolist() == [[3, 3, 3], [1, 0, 0]]


def test_repr_summarises_clips_and_streams():
    assert "7 clips of 4 speakers; units (5, 3) at 25 Hz" in repr(make())
    assert "emotion: classes, 7 clips, anger 2, disgust 1" in repr(make())


def test_arrays_become_streams_and_labels_with_defaults():
    clips = Clips(
        {"vgg": np.ones((4, 3), np.float16), "egemaps": [np.ones((k, 2), int) for k in (1, 2, 3, 1)]},
        labels={"y": list("abca")},
    )
    assert clips.streams["vgg"].x.shape == (4, 1, 3) and clips.streams["vgg"].mask.all() and clips.streams["vgg"].rate == 1
    assert {s.sense for s in clips.streams.values()} == {"vgg", "egemaps"}
    assert {s.x.dtype for s in clips.streams.values()} == {np.dtype("f4")}
    assert clips.streams["egemaps"].mask.sum(1).tolist() == [1, 2, 3, 1]
    assert clips.name.tolist() == clips.speaker.tolist() == [0, 1, 2, 3] and clips.y.tolist() == [0, 1, 2, 0]


def test_clips_are_selected_by_name_speaker_and_label():
    clips = make()
    assert clips.select(speaker=["s0", "s1"]).name.tolist() == ["c0", "c1", "c4", "c5"]
    assert clips.select(speaker="s0", emotion=["anger", "neutral"]).name.tolist() == ["c0", "c4"]
    assert clips.select(name="c3").name.tolist() == ["c3"]


def test_split_keeps_any_groups_apart():
    clips, fields = make(), np.array([3, 3, 1, 1, 2, 2, 3])
    for by, groups in (("emotion", clips.emotion), (fields, fields), (fields.tolist(), fields)):
        train, test = clips.split(by=by, test_size=0.3)
        place = {name: i for i, name in enumerate(clips.name)}
        sides = [{groups[place[name]] for name in part.name} for part in (train, test)]
        assert len(train) + len(test) == 7 and not sides[0] & sides[1]


def test_frame_has_a_column_for_each_label():
    pandas = pytest.importorskip("pandas")
    votes = Label(np.eye(7, 2, dtype=int), "votes", ("a", "b"))
    frame = make(labels={"emotion": Label(np.arange(7) - 1, names=EMOTIONS), "votes": votes}).to_frame()
    assert isinstance(frame, pandas.DataFrame) and pandas.isna(frame.emotion[0]) and frame.emotion[1] == "anger"
    assert frame.votes_a.sum() == 1 and frame.units_seconds.tolist()[:3] == [1 / 25, 2 / 25, 3 / 25]


def test_summary_names_what_is_missing_and_constant():
    streams = {
        "units": replace(UNITS, x=UNITS.x * (1, 0, 1), mask=UNITS.mask & (np.arange(7) > 0)[:, None], features=list("abc"))
    }
    text = make(streams=streams, labels={"emotion": Label(np.arange(7) - 1, names=EMOTIONS)}).summary()
    assert "7 clips of 4 speakers (1 to 2 clips each)" in text and "1 ('b')" in text
    (emotion,), (units,) = ([line for line in text.splitlines() if name in line] for name in ("emotion", "units"))
    assert emotion.split("|")[3].strip() == "1" and units.split("|")[6].strip() == "1"
