"""Scores by their published definitions."""

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score, recall_score

from refmer.evaluate import metrics
from refmer.evaluate.metrics import (
    acc2_has0,
    acc2_non0,
    acc5,
    classification,
    ordinal,
    per_class,
    regression,
    votes,
    within_one,
)

SENTIMENT = ("-3", "-2", "-1", "0", "+1", "+2", "+3")
pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=13)
AFFECT = np.array([[[3, 3], [-0.5, -0.5], [2, 2], [7, 7], [9, 9]]])
ANSWER = np.array([[[2.5, 3], [0, -0.5], [2, 2], [8, 7], [0, 0]]])
VALID = np.array([[True] * 4 + [False]])


def test_the_conventions_of_acc2_differ_as_published():
    y, prediction = [0, 0, 0, 1, 2, -1, -2, 0.5], [-0.1, 0.2, 0, 0.7, -0.3, -0.8, 0.4, 0.1]
    assert acc2_has0(y, prediction) == 0.625 and acc2_non0(y, prediction) == pytest.approx(0.6)
    assert np.isnan(acc2_non0([0, 0], [1, -1]))
    assert acc2_has0([0], [-1]) == 0
    assert acc2_non0([0, 1], [1, 1]) == 1 and acc2_non0([1, 1], [0, 1]) == 0.5  # swapped


def test_halves_are_rounded_to_even_and_ends_are_clipped():
    y = [0, 2, 2, -2, 2]
    assert acc5(y, [0.5, 1.5, 2.5, -7, 1.6]) == 1 and acc5(y, [1, 1, 3, -7, 1.6]) == pytest.approx(0.6)
    assert acc5([-3, -2, 2, 1], [-2, -3, 3, 2]) == 0.75


def test_weighted_f1_does_not_swap_its_arguments():
    y, p = np.array([1] * 8 + [0] * 2), np.array([1] * 5 + [0] * 5)
    assert classification(y, p, ("a", "b"))["weighted_f1"] == pytest.approx(0.7296703)
    assert classification(p, y, ("a", "b"))["weighted_f1"] == pytest.approx(0.6703297)


def test_uar_does_not_swap_its_arguments():
    y, p = np.array([0, 1, 0, 0, 1, 0]), np.array([0, 1, 0, 0, 0, 1])
    assert classification(y, p, "ab")["uar"] == 0.625
    y[1] = 0
    assert classification(y, p, "ab")["uar"] == pytest.approx((3 / 5 + 0) / 2)
    assert classification(p, y, "ab")["uar"] == pytest.approx((3 / 4 + 0) / 2)
    # MulT's weighted accuracy (TP N/P + TN) / (2 N) is the same
    assert classification(y, p, "ab")["uar"] == pytest.approx((0 * 5 / 1 + 3) / (2 * 5))


def test_scores_of_a_small_case():
    y, p = np.array([0, 1, 0, 2, 1]), np.array([0, 1, 1, 1, 1])
    scores = classification(y, p, ("a", "b", "c"))
    assert scores["n"] == 5 and scores["accuracy"] == 0.6
    assert scores["confusion"] == [[1, 1, 0], [0, 2, 0], [0, 1, 0]]
    assert scores["f1_per_class"] == pytest.approx([2 / 3, 2 / 3, 0])
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert scores["macro_precision"] == pytest.approx((1 + 2 / 4 + 0) / 3)
    assert scores["f1_range"] == pytest.approx(2 / 3) and scores["f1_sd"] == pytest.approx(np.sqrt(4 / 27))
    assert "acc2_has0" not in scores


@given(pairs)
def test_scores_of_classes_are_those_of_scikit_learn(drawn):
    y, p = np.array(drawn).T
    scores, present = ordinal(y, p, SENTIMENT, -3), {"labels": np.unique(y), "zero_division": 0}
    assert scores["uar"] == pytest.approx(recall_score(y, p, average="macro", **present))
    assert scores["macro_f1"] == pytest.approx(f1_score(y, p, average="macro", **present))
    assert scores["macro_precision"] == pytest.approx(precision_score(y, p, average="macro", **present))
    assert scores["weighted_f1"] == pytest.approx(f1_score(y, p, average="weighted", zero_division=0))
    assert scores["accuracy"] == np.mean(y == p) == pytest.approx(f1_score(y, p, average="micro"))
    if np.isin(p, y).all() and len(np.unique(y)) > 1:
        assert scores["uar"] == pytest.approx(balanced_accuracy_score(y, p))
    assert scores["mae"] == pytest.approx(np.abs(y - p).mean())
    assert scores["accuracy"] <= scores["acc5"] and scores["accuracy"] <= scores["within_one"]


def test_scores_of_sentiment_are_of_the_classes_minus_3_to_3():
    y, p = np.array([0, 1, 3, 3, 4, 6]), np.array([1, 3, 2, 3, 6, 5])
    scores = ordinal(y, p, SENTIMENT, -3)
    assert scores["accuracy"] == pytest.approx(1 / 6) and scores["acc5"] == pytest.approx(3 / 6)
    assert scores["within_one"] == within_one(y, p) == pytest.approx(4 / 6)
    assert scores["acc2_has0"] == pytest.approx(4 / 6) and scores["acc2_non0"] == 1
    assert scores["mae"] == pytest.approx((1 + 2 + 1 + 0 + 2 + 1) / 6)


def test_classes_that_do_not_occur_are_left_out_of_macro_scores():
    y, p = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1])
    scores = classification(y, p, "abcd")
    assert scores["uar"] == pytest.approx((2 / 3 + 1) / 2) and scores["macro_precision"] == 1
    assert scores["f1_per_class"] == pytest.approx([0.8, 1, 0, 0]) and scores["f1_range"] == pytest.approx(0.2)
    single = classification(y[:3], p[:3], "abcd")
    assert single["macro_f1"] == pytest.approx(0.8) and single["f1_range"] == single["f1_sd"] == 0


def test_the_spread_over_emotions_is_that_of_paper_004():
    def of(*f1):
        inequality = metrics.spread_over_classes({"f1": np.array(f1), "support": np.ones(6)})
        return inequality["f1_range"], inequality["f1_sd"]

    assert of(0.796, 0.669, 0.733, 0.736, 0.805, 0.922) == pytest.approx((0.253, 0.0865), abs=5e-5)  # RAVER
    assert of(0.789, 0.669, 0.735, 0.726, 0.815, 0.900) == pytest.approx((0.231, 0.0808), abs=5e-5)  # VAVL


def test_votes_are_scored_per_label_and_per_clip():
    y = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]], bool)
    answer = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 1, 1]], bool)
    scores = votes(y, answer)
    assert scores["n"] == 4 and scores["sample_precision"] == pytest.approx((1 + 0.5 + 0 + 0.5) / 4)
    assert scores["f1_per_class"] == pytest.approx([1, 0.8, 0])
    assert scores["macro_f1"] == pytest.approx(1.8 / 3) and scores["micro_f1"] == pytest.approx(2 * 3 / (5 + 5))
    assert scores["weighted_f1"] == pytest.approx((1 + 3 * 0.8 + 0) / 5)
    assert scores["macro_precision"] == pytest.approx(2 / 3) and scores["macro_recall"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    swapped = votes(answer, y)
    assert swapped["sample_precision"] == pytest.approx((0.5 + 1 + 0 + 1) / 4)
    assert swapped["macro_precision"] == scores["macro_recall"]
    nobody = votes(np.zeros((2, 3), bool), answer[:2])
    assert nobody["macro_f1"] == nobody["weighted_f1"] == nobody["sample_precision"] == nobody["f1_sd"] == 0


def test_concordance_is_over_valid_steps_with_the_moments_asked_for():
    scores = regression(AFFECT, ANSWER, VALID)
    assert scores["ccc_valence"] == pytest.approx(0.9767891683) and scores["ccc_arousal"] == pytest.approx(1)
    assert scores["ccc"] == pytest.approx((0.9767891683 + 1) / 2)
    assert scores["mae"] == pytest.approx((0.5 + 0.5 + 0 + 1) / 8)
    assert regression(AFFECT, ANSWER, VALID, ddof=1)["ccc_valence"] == pytest.approx(0.9777347532)


def test_concordance_is_pooled_and_averaged_over_recordings_with_valid_steps():
    apart = np.concatenate([AFFECT, AFFECT + 100, AFFECT]), np.concatenate([ANSWER, ANSWER + 100, 0 * ANSWER])
    valid = np.concatenate([VALID, VALID, VALID & False])
    scores = regression(*apart, valid)
    assert scores["ccc_recordings"] == pytest.approx(regression(AFFECT, ANSWER, VALID)["ccc"])
    assert scores["ccc"] > 0.999  # most of the pooled variance lies between recordings


def test_concordance_of_published_rows():
    y = np.array([[[0, 1], [1, 1], [0.5, 0.2]]])
    answer = np.array([[[0.1, 0.5], [0.9, 0.9], [0.5, 0.2]]])
    everyone = np.ones((1, 3), bool)
    scores = regression(y, answer, everyone)
    assert scores["ccc_valence"] == pytest.approx(0.97560976)  # rows of equal means do not tell the forms apart ...
    assert regression(y, answer, everyone, ddof=1)["ccc_valence"] == pytest.approx(0.97560976)
    row = regression(y[..., ::-1], np.array([[[0.1, 1], [0.9, 0.9], [0.5, 0.2]]])[..., ::-1], everyone)
    assert row["ccc_valence"] == pytest.approx(0.98765432)  # ... rows of different means do: .98901099 with ddof 1
    moved = regression(y + 0.1, y, everyone)
    variance = y[..., 0].var()
    assert moved["ccc_valence"] == pytest.approx(variance / (variance + 0.1**2 / 2))
    assert regression(y, np.ones_like(y), everyone)["ccc"] == 0  # constant


PAIRS = [acc2_has0, acc2_non0, acc5, within_one]
test_errors_name_the_cause = errors(
    *((score, [], [], r"y has shape \(0,\)") for score in PAIRS),
    *((score, [1, 0], [1], r"y has shape \(2,\), the answer \(1,\)") for score in PAIRS),
    *((score, [1, 0], [1, np.nan], "y or the answer contains nan") for score in PAIRS),
    (classification, [0, 1], [0, 3], "abc", "class 3; accepted: 0 to 2"),
    (per_class, [0, -1], [0, 0], 3, "class -1"),
    (votes, [True, False], [True, True], r"accepted: \(N, K\)"),
    (per_class, [0, 1], ["a", "b"], 3, "the answer <U1; accepted: numbers"),
    (per_class, [0, 1], [[0], [0, 1]], 3, "y or the answer is no array"),
    (regression, AFFECT, ANSWER, VALID[0], r"mask bool \(5,\), 2 names; accepted: \(N, K\), or \(N, T, K\) and bool \(N, T\)"),
    (regression, AFFECT, ANSWER, ~VALID & VALID, "at least one clip"),
)
