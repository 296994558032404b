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
        (lambda: replace(UNITS, mask=UNITS.mask.astype(int)), "mask is int64"),
        (lambda: replace(UNITS, sense="smell"), "sense is 'smell'; accepted: 'voice', 'face'"),
        (lambda: replace(UNITS, rate=0.0), "rate is 0.0"),
        (lambda: replace(UNITS, x=UNITS.x[:, :, 0]), r"shape \(7, 5\)"),
        (lambda: replace(UNITS, x=UNITS.x.astype(complex)), "complex128"),
        (lambda: replace(UNITS, features=("a",)), "1 feature names for 3"),
        (lambda: make(emotion=np.full(7, 6)), r"emotion has labels \[6\] outside the classes 0..5"),
        (lambda: make(emotion=np.zeros(6, int)), "emotion has 6 clips, but there are 7 names"),
        (lambda: make(votes=np.zeros((7, 5))), r"votes has shape \(7, 5\)"),
        (lambda: make(sentiment=np.full(7, 3.1)), "sentiment has values outside"),
        (lambda: make()[7], "clip 7 of 7"),
        (lambda: make().split(by="age"), "by is 'age'"),
        (lambda: make().split(test_size=1), "test_size is 1"),
        (lambda: make()[[0, 4]].split(), "2 clips of 1 speaker: at least 2"),
    ],
)
def test_wrong_arguments_raise_errors(broken, message):
    with pytest.raises((ValueError, IndexError), match=message):
        broken()


def test_repr_summarises_clips_and_streams():
    assert "7 clips of 4 speakers; units (5, 3) at 25 Hz" in repr(make())
