"""Clips: indexing, splitting, and errors."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer.data.clips import Clips, Stream


def make(n=7, t=5, **changes):
    x = np.arange(n * t * 3, dtype=np.float32).reshape(n, t, 3)
    mask = np.arange(t) < np.arange(1, n + 1)[:, None]
    fields = {
        "streams": {"units": Stream(x * mask[..., None], 25.0, mask, "face")},
        "name": np.array([f"c{i}" for i in range(n)]),
        "speaker": np.array([f"s{i % 4}" for i in range(n)]),
        "emotion": np.arange(n) % 6,
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
        (lambda: replace(UNITS, sense="smell"), "sense is 'smell'; accepted: 'voice', 'face'"),
        (lambda: replace(UNITS, rate=0.0), "rate is 0.0"),
        (lambda: replace(UNITS, x=UNITS.x[:, :, 0]), r"shape \(7, 5\)"),
        (lambda: replace(UNITS, x=UNITS.x.astype(complex)), "complex128"),
        (lambda: replace(UNITS, features=("a",)), "features has 1 names; accepted: 3"),
        (lambda: make(emotion=np.full(7, 6)), r"emotion has labels \[6\] outside the classes 0..5"),
        (lambda: replace(UNITS, x=[np.ones((3, 2)), np.ones((3, 4))]), r"parts of shape \(3, 2\), \(3, 4\); accepted"),
        (lambda: replace(UNITS, x=UNITS.x.astype(str)), "x has dtype <U32; accepted: real numbers"),
        (lambda: replace(UNITS, rate="25"), "rate is '25'; accepted: finite numbers above 0"),
        (
            lambda: make(emotion=np.eye(6)[np.zeros(7, int)]),
            r"emotion has shape \(7, 6\); accepted: .*one-hot rows: argmax\(1\)",
        ),
        (lambda: make(emotion=np.ones(7, bool)), "emotion is True; accepted: anger, .* or their indices"),
        (lambda: make(emotion=np.full(7, 0.5)), "emotion is 0.5; accepted"),
        (lambda: make(emotion=["joy"] * 7, classes=("sad",)), "emotion is 'joy'; accepted: sad"),
        (lambda: make(classes=("a", "a")), "classes is .* accepted: different names"),
        (lambda: make(sentiment=["good"] * 7), "sentiment is 'good'; accepted: numbers"),
        (lambda: make(speaker=["a", None, np.nan, *"abcd"]), "speaker is missing for 2 of 7 clips"),
        (lambda: make(speaker=None), r"speaker is None; accepted: \(N,\)"),
        (
            lambda: make(votes=np.eye(7)[:, :6] - 1),
            r"votes is \[0.0, -1.0, .* for clip c0; accepted: numbers of raters, 0 or more",
        ),
        (lambda: make(votes=[[np.nan] * 6] * 7), r"votes is \[nan, .* for clip c0"),
        (lambda: make(votes=[["a"] * 6] * 7), r"votes is <U1 of shape \(7, 6\); accepted: numbers"),
        (lambda: make(votes=[[1], [1, 2]]), "votes is no table of numbers"),
        *((lambda v=v: make(classes=v), "classes is .*; accepted: names") for v in (3, "abc", [None])),
        *((lambda v=v: replace(UNITS, features=v), "features is .*; accepted: names") for v in (None, "abc", np.array(3))),
        *((lambda v=v: replace(UNITS, sense=v), "sense is .*; accepted: 'voice'") for v in (None, np.zeros(3), ["face"])),
        (lambda: replace(UNITS, mask=[[1], [1, 2]]), "mask is no array"),
        *((lambda v=v: make()[v], "index .*; accepted") for v in (None, 1.5, ["a"], [[1], [2, 3]], np.zeros((7, 2)))),
        *((lambda v=v: make(truth=v), "truth") for v in (3, {"lag": 3}, {"lag": np.zeros(6)})),
        (lambda: make(source=3), "source is int; accepted: a string"),
        (lambda: Clips.concatenate(3), "parts is empty or no list"),
        (lambda: make(affect=UNITS), r"affect has shape \(7, 5, 3\); accepted: \(N, T, 2\)"),
        (lambda: make(streams=[UNITS]), "streams is list; accepted: a dict of name to refmer.Stream"),
        (lambda: make(affect=UNITS.x), "affect is ndarray; accepted: a refmer.Stream"),
        (lambda: np.asarray(make()), "clips are no array; accepted: .*BaggingClassifier"),
        (lambda: Clips.concatenate([]), "parts is empty"),
        (lambda: Clips.concatenate([make(), 3]), "clips is int; accepted: refmer.Clips"),
        (lambda: Clips.concatenate([make(), make(classes=list("abcdef"))]), "the parts have the classes"),
        (lambda: Clips.concatenate([make(), make(streams={"units": replace(UNITS, rate=5)})]), "stream units is .*25.0.*5.0"),
        (lambda: make().split(seed="1"), "seed is '1'; accepted"),
        (lambda: make().split(test_size="a"), "test_size is 'a'; accepted: shares between 0 and 1"),
        (lambda: make(emotion=np.zeros(6, int)), "emotion has 6 clips, but there are 7 names"),
        (lambda: make(votes=np.zeros((7, 5))), r"votes has shape \(7, 5\)"),
        (lambda: make(sentiment=np.full(7, 3.1)), "sentiment is 3.1 for clip c0; accepted: -3 to 3"),
        (lambda: make()[7], "clip 7 of 7"),
        (lambda: make().split(by="age"), "by is 'age'"),
        (lambda: make().split(test_size=1), "test_size is 1"),
        (lambda: make()[[0, 4]].split(), "2 clips of 1 speaker: at least 2"),
    ],
)
def test_wrong_arguments_raise_errors(broken, message):
    with pytest.raises((ValueError, IndexError, TypeError), match=message):
        broken()


def test_parts_are_joined_to_the_longest_and_lack_what_they_lack():
    other = make(3, 8, speaker=[0, 1, 1], emotion=None, sentiment=[1.0, 2.0, None], source="mine")
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


def test_names_of_classes_become_sorted_classes():
    clips = make(emotion=["sad", "happy", None, "sad", "angry", "", "happy"], intended=["calm"] * 7)
    assert clips.classes == ("angry", "calm", "happy", "sad")
    assert clips.emotion.tolist() == [3, 2, -1, 3, 0, -1, 2] and clips.intended.tolist() == [1] * 7
    assert make(emotion=["fear"] * 7, classes=("joy", "fear")).emotion.tolist() == [1] * 7


class Column:
    """A column of a table, as the Series of pandas: no array, but it makes one."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def __len__(self):
        return len(self.values)


@pytest.mark.parametrize("make_column", (list, np.array, Column, lambda v: np.array(v)[:, None], lambda v: np.array(v, float)))
def test_labels_may_be_any_column(make_column):
    codes = (np.arange(7) % 6).tolist()
    clips = make(emotion=make_column(codes), speaker=make_column(codes), sentiment=make_column([c / 2 for c in codes]))
    assert (
        clips.emotion.tolist() == clips.speaker.tolist() == codes
        and clips.emotion.dtype.kind == clips.speaker.dtype.kind == "i"
    )
    assert clips.sentiment.tolist() == [c / 2 for c in codes]


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
