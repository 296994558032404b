"""Labels of the targets."""

from dataclasses import replace

import numpy as np
import pytest

from refmer.data import targets


def test_sentiment_rounds_halves_to_even_and_clips():
    classes = targets.sentiment_class(np.array([-3.4, -2.5, -0.5, 0.5, 1.5, 2.5, 3]))
    assert classes.tolist() == [0, 1, 3, 3, 5, 5, 6]


def test_missing_labels_raise_errors(clips):
    with pytest.raises(ValueError, match="no sentiment labels"):
        targets.labels(replace(clips, sentiment=None), "sentiment")
    with pytest.raises(ValueError, match="target is 'age'; accepted: 'sentiment', 'emotion', 'votes', 'affect'"):
        targets.labels(clips, "age")


def test_votes_become_shares_and_a_class_counts_where_it_is_above_chance(clips):
    shares = targets.labels(clips, "votes")
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(targets.above_chance(np.array([[0.5, 0.25, 0.25, 0.0]])), [[True, False, False, False]])
    counts = targets.class_count(clips, "votes", 6)
    np.testing.assert_array_equal(counts, (shares > 1 / 6).sum(0))
    np.testing.assert_array_equal(targets.class_count(clips, "emotion", 6), np.bincount(clips.emotion, minlength=6))
