"""Labels of the targets."""

from dataclasses import replace

import numpy as np
import pytest

from refmer.data import targets


def test_sentiment_rounds_halves_to_even_and_clips():
    np.testing.assert_array_equal(
        targets.sentiment_class(np.array([-3.4, -2.5, -0.5, 0.5, 1.5, 2.5, 3])), [0, 1, 3, 3, 5, 5, 6]
    )


def test_labels_that_are_not_there_are_named(clips):
    with pytest.raises(ValueError, match="no sentiment labels"):
        targets.labels(replace(clips, sentiment=None), "sentiment")
    with pytest.raises(ValueError, match="target is 'age'; accepted: sentiment, emotion"):
        targets.labels(clips, "age")
