"""Scores by their published definitions."""

import numpy as np
import pytest

from refmer.evaluate.metrics import acc2_has0, acc2_non0, classification, regression, votes


def test_the_two_conventions_of_acc2_differ_as_published():
    y, prediction = [0, 0, 0, 1, 2, -1, -2, 0.5], [-0.1, 0.2, 0, 0.7, -0.3, -0.8, 0.4, 0.1]
    assert acc2_has0(y, prediction) == 0.625 and acc2_non0(y, prediction) == pytest.approx(0.6)
    assert np.isnan(acc2_non0([0, 0], [1, -1]))


def test_weighted_f1_does_not_swap_its_arguments():
    y, p = np.array([1] * 8 + [0] * 2), np.array([1] * 5 + [0] * 5)
    assert classification(y, p, ("a", "b"), "emotion")["weighted_f1"] == pytest.approx(0.7296703)


def test_scores_of_a_small_case():
    y, p = np.array([0, 1, 0, 2, 1]), np.array([0, 1, 1, 1, 1])
    scores = classification(y, p, ("a", "b", "c"), "emotion")
    assert scores["n"] == 5 and scores["accuracy"] == 0.6
    assert scores["confusion"] == [[1, 1, 0], [0, 2, 0], [0, 1, 0]]
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert "acc2_has0" not in scores and "acc2_has0" in classification(y, p, "abcdefg", "sentiment")


def test_votes_are_scored_per_label_and_per_clip():
    y = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]], bool)
    answer = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0]], bool)
    scores = votes(y, answer)
    assert scores["n"] == 3 and scores["sample_precision"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert scores["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3) and scores["micro_f1"] == pytest.approx(2 * 2 / (4 + 3))


def test_concordance_is_over_valid_steps_with_population_moments():
    y, answer = (
        np.array([[[3, 3], [-0.5, -0.5], [2, 2], [7, 7], [9, 9]]]),
        np.array([[[2.5, 3], [0, -0.5], [2, 2], [8, 7], [0, 0]]]),
    )
    scores = regression(y, answer, np.array([[True] * 4 + [False]]))
    assert scores["ccc_valence"] == pytest.approx(0.9767891683) and scores["ccc_arousal"] == pytest.approx(1)
    assert scores["ccc"] == pytest.approx((0.9767891683 + 1) / 2)
