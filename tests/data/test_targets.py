"""Labels of the targets."""

from dataclasses import replace

import numpy as np
import pytest
from error_table import errors

from refmer.data import targets
from refmer.data.clips import Stream


def test_sentiment_rounds_halves_to_even_and_clips():
    classes = targets.sentiment_class(np.array([-3.4, -2.5, -0.5, 0.5, 1.5, 2.5, 3]))
    assert classes.tolist() == [0, 1, 3, 3, 5, 5, 6]


def test_missing_labels_raise_errors(clips):
    with pytest.raises(ValueError, match="no sentiment labels"):
        targets.labels(replace(clips, sentiment=None), "sentiment")
    with pytest.raises(ValueError, match="target is 'age'; accepted: 'sentiment', 'emotion', 'votes', 'affect'"):
        targets.labels(clips, "age")


def test_labels_that_some_clips_lack_are_counted_and_can_be_left_out(clips):
    first = clips.name[0]
    for target, value, labelled in (
        ("emotion", [None, *clips.emotion[1:]], lambda c: c.emotion >= 0),
        ("sentiment", [np.nan, *clips.sentiment[1:]], lambda c: ~np.isnan(c.sentiment)),
        ("votes", np.where(np.arange(len(clips))[:, None] == 0, 0, clips.votes), lambda c: c.votes.any(1)),
    ):
        part = replace(clips, **{target: value})
        with pytest.raises(ValueError, match=f"1 of 48 clips have no {target} \\('{first}'\\); leave them out: clips\\["):
            targets.labels(part, target)
        assert len(targets.labels(part[labelled(part)], target)) == 47


def test_recordings_without_annotated_frames_are_left_to_the_mask_unless_all_are(clips):
    blank = Stream(np.zeros((48, 3, 2)), 25, np.arange(48)[:, None] > [0, 0, 0], "face")
    assert targets.labels(replace(clips, affect=blank), "affect").mask.sum() == 47 * 3
    with pytest.raises(ValueError, match="48 of 48 clips have no affect"):
        targets.labels(replace(clips, affect=replace(blank, mask=blank.mask & False)), "affect")


def test_y_takes_the_place_of_the_labels(clips):
    for target in ("emotion", "sentiment", "votes"):
        y = targets.labels(clips, target)[::-1]
        np.testing.assert_allclose(targets.labels(targets.with_labels(clips, target, y), target), y, rtol=1e-6)
    assert targets.with_labels(clips, "emotion", None) is clips


test_wrong_y_is_refused_with_a_hint = errors(
    (lambda clips: targets.with_labels(clips, "sentiment", clips.sentiment + 0.1), r"y is .*labels\(clips, 'sentiment'\)"),
    (lambda clips: targets.with_labels(clips, "sentiment", clips.emotion + 7), r"outside the classes 0..6 .*'sentiment'"),
    (lambda clips: targets.with_labels(clips, "emotion", np.eye(6)[clips.emotion]), r"y has shape \(48, 6\).*argmax"),
    (lambda clips: targets.with_labels(clips, "emotion", clips.name), "y holds names of classes; accepted: integers"),
    (lambda clips: targets.with_labels(clips, "emotion", clips.emotion[1:]), "emotion has 47 clips"),
    (lambda clips: targets.with_labels(clips, "affect", clips.emotion), "y is ndarray; accepted: None"),
)


def test_votes_become_shares_and_a_class_counts_where_it_is_above_chance(clips):
    shares = targets.labels(clips, "votes")
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(targets.above_chance(np.array([[0.5, 0.25, 0.25, 0.0]])), [[True, False, False, False]])
    counts = targets.class_count(clips, "votes", 6)
    np.testing.assert_array_equal(counts, (shares > 1 / 6).sum(0))
    np.testing.assert_array_equal(targets.class_count(clips, "emotion", 6), np.bincount(clips.emotion, minlength=6))
