"""Labels: their kinds, what is missing, and the targets of training."""

from dataclasses import replace

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st

from refmer.data import labels
from refmer.data.labels import SENTIMENT, Label


@pytest.mark.parametrize(
    "values, kind, names, targets",
    [
        (["sad", "happy", None, "sad", ""], "classes", ("happy", "sad"), [1, 0, 0, 1, 0]),
        (np.array([True, False]), "classes", ("False", "True"), [1, 0]),
        ([True, None, False], "classes", ("False", "True"), [1, 0, 0]),
        ([0, 2, 1, -1], "classes", ("0", "1", "2"), [0, 2, 1, 0]),
        (np.array([1, 3, 5, 3]), "classes", ("1", "3", "5"), [0, 1, 2, 1]),
        ([1.5, 2, np.nan], "regression", ("value",), [[1.5], [2], [0]]),
        (np.array([[1, 3], [0, 0]]), "votes", ("0", "1"), [[0.25, 0.75], [0, 0]]),
        (np.array([[1.0, 3.0], [np.nan, 0]]), "regression", ("0", "1"), [[1, 3], [0, 0]]),
        (np.ones((3, 1)), "regression", ("value",), [[1], [1], [1]]),
    ],
)
def test_kind_and_names_follow_from_the_values(values, kind, names, targets):
    label = Label(values)
    assert (label.kind, label.names) == (kind, names) and label.targets.tolist() == targets


def test_levels_are_rounded_halves_to_even_and_missing_ones_are_kept():
    label = Label([-3, -2.5, -0.5, 0.5, 1.5, 2.5, 3, np.nan], "ordinal", SENTIMENT)
    assert label.targets.tolist() == [0, 1, 3, 3, 5, 5, 6, 0] and label.present.tolist() == [True] * 7 + [False]
    assert Label([1, 5, 3], "ordinal").names == tuple("12345") and Label([1, 5, 3], "ordinal").targets.tolist() == [0, 4, 2]
    assert Label(["low", "high"], "ordinal", ("low", "mid", "high")).targets.tolist() == [0, 2]
    assert Label([-1, 2], "ordinal").names == ("-1", "0", "+1", "+2")


@given(st.lists(st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=4), min_size=2, max_size=5))
def test_steps_without_label_are_masked(sequences):
    label = Label(sequences, "classes", ("a", "b"), rate=2.0)
    assert label.over_time and label.present.shape == (len(sequences), max(map(len, sequences)))
    for row, present, texts in zip(label.values, label.present, sequences, strict=True):
        assert present.tolist() == [k < len(texts) and texts[k] != "" for k in range(len(present))]
        assert [label.names[v] for v in row[present]] == [v for v in texts if v]


def test_values_over_time_are_padded_and_keep_their_mask():
    label = Label([np.ones((2, 3)), np.full((4, 3), np.nan)], rate=25, names=list("vad"))
    assert label.values.shape == (2, 4, 3) and label.mask.tolist() == [[True, True, False, False], [False] * 4]
    given = Label(np.ones((2, 3, 1)), rate=1, mask=np.array([[True, False, True]] * 2))
    assert given.mask.sum() == 4 and given.kind == "regression" and given[1:].mask.shape == (1, 3)
    assert not label.targets[1].any()


def test_parts_of_a_label_are_joined(clips):
    for name, label in clips.labels.items():
        both = labels.joined(name, [label[:5], None, label[5:9]], [5, 2, 4])
        assert both.describe() == label.describe() and both.present.tolist() == [True] * 5 + [False] * 2 + [True] * 4
        np.testing.assert_array_equal(both.values[7:], label.values[5:9])
    short, long = Label([[1.0]], rate=1.0), Label([[1.0, 2, 3]], rate=1.0)
    assert labels.joined("a", [short, None, long], [1, 1, 1]).mask.sum(1).tolist() == [1, 0, 3]


test_wrong_values_are_refused = errors(
    (lambda clips: Label([6], "classes", list("abcdef")), r"values has labels \[6\] outside the classes 0..5"),
    (lambda clips: Label([True], "classes", ("a",)), "values is 'True'; accepted: a, or their indices"),
    (lambda clips: Label([0.5], "classes", ("a",)), "values is 0.5; accepted"),
    (lambda clips: Label(["joy"], "classes", ("sad",)), "values is 'joy'; accepted: sad"),
    (lambda clips: Label([0], names=("a", "a")), "names is .* accepted: different names"),
    (lambda clips: Label([0], names="ab"), "names is 'ab'; accepted: names"),
    (lambda clips: Label(["good"], "ordinal", SENTIMENT), "values is 'good'; accepted: numbers"),
    (lambda clips: Label([3.1], "ordinal", SENTIMENT), "values has 3.1; accepted: -3 to 3"),
    (lambda clips: Label([[1, -1]], "votes"), r"votes is \[1, -1\] in row 0; accepted: numbers of raters"),
    (lambda clips: Label([[np.nan, 1]], "votes"), r"votes is \[nan, 1.0\] in row 0"),
    (lambda clips: Label([["a", "b"]], "votes"), "values is <U1 of shape .*; accepted: numbers"),
    (lambda clips: Label([[1], [1, 2]], "votes"), "values is no table of numbers"),
    (lambda clips: Label([[1, 2]], "votes", ("a",)), r"votes has shape \(1, 2\); accepted: \(N, 1\)"),
    (lambda clips: Label([1.0, np.inf]), "values has infinity; accepted: finite"),
    (lambda clips: Label([[1.0, 2]], names=("a",)), "names is .*accepted: 2, one for each dimension"),
    (lambda clips: Label([0], "smell"), "kind is 'smell'; accepted: 'classes', 'votes'"),
    (lambda clips: Label([0], rate=0), "rate is 0; accepted"),
    (lambda clips: Label([0, 1], mask=[True, False]), "mask is given without rate"),
    (lambda clips: Label([0, 1], rate=1.0), r"values has parts of shape \(\); accepted: \(T, ...\)"),
    (
        lambda clips: Label(np.zeros((2, 3)), rate=1.0, mask=np.ones((2, 2))),
        r"mask is float64 \(2, 2\); accepted: bool \(2, 3\)",
    ),
    (lambda clips: labels.label_of(replace(clips, labels={}), "sentiment"), "no sentiment labels .*; they have none"),
    (lambda clips: labels.label_of(clips, "age"), "no age labels .*; they have intended, votes, emotion, sentiment"),
    (
        lambda clips: labels.label_of(
            clips.with_labels(turns=Label(np.zeros((48, 3)), rate=1, mask=np.zeros((48, 3), bool))), "turns"
        ),
        "48 of 48 clips have no turns",
    ),
)


def test_labels_that_some_clips_lack_are_counted_and_can_be_left_out(clips):
    first = clips.name[0]
    for name, missing in (("emotion", -1), ("sentiment", np.nan), ("votes", 0)):
        label = clips.labels[name]
        values = np.where((np.arange(48) == 0).reshape(-1, *[1] * (label.values.ndim - 1)), missing, label.values)
        part = clips.with_labels(**{name: Label(values, label.kind, label.names)})
        with pytest.raises(ValueError, match=f"1 of 48 clips have no {name} \\('{first}'\\); leave them out: clips\\["):
            labels.label_of(part, name)
        assert len(labels.label_of(part[part.labels[name].present], name)) == 47


def test_y_takes_the_place_of_the_labels(clips):
    for name in ("emotion", "sentiment", "votes"):
        y = clips.labels[name].targets[::-1]
        np.testing.assert_allclose(labels.with_label(clips, name, y).labels[name].targets, y, rtol=1e-6)
    assert labels.with_label(clips, "emotion", None) is clips
    assert labels.with_label(clips, "new", np.arange(48) % 3).labels["new"].kind == "classes"
    assert labels.with_label(clips.with_labels(age=np.ones(48)), "age", np.arange(48.0)).age.tolist() == list(range(48))


test_wrong_y_is_refused_with_a_hint = errors(
    (lambda clips: labels.with_label(clips, "sentiment", clips.sentiment + 0.1), r"y is .*clips.labels\['sentiment'\]"),
    (lambda clips: labels.with_label(clips, "sentiment", clips.emotion + 7), r"outside the classes 0..6 .*'sentiment'"),
    (lambda clips: labels.with_label(clips, "emotion", np.eye(6)[clips.emotion]), r"has shape \(48, 6\).*argmax"),
    (lambda clips: labels.with_label(clips, "emotion", clips.name), "y holds names of classes; accepted: integers"),
    (lambda clips: labels.with_label(clips, "emotion", clips.emotion[1:]), "emotion has 47 clips"),
    (
        lambda clips: labels.with_label(clips.with_labels(turns=Label(np.zeros((48, 2)), rate=1)), "turns", clips.emotion),
        "y is ndarray; accepted: None",
    ),
)


def test_votes_become_shares_and_a_class_counts_where_it_is_above_chance(clips):
    shares = clips.labels["votes"].targets
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(labels.above_chance(np.array([[0.5, 0.25, 0.25, 0.0]])), [[True, False, False, False]])
    np.testing.assert_array_equal(labels.soft_targets(clips.labels["emotion"]), np.eye(6)[clips.emotion])


def test_a_regression_is_scaled_by_its_labelled_clips():
    mean, sd = Label(np.array([[1.0, 5], [3, 5], [np.nan, 9]])).scaling
    assert mean.tolist() == [2, 5] and sd.tolist() == [1, 1]
