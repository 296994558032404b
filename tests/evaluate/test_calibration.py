"""Brier scores and calibration errors by their published values."""

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from refmer.evaluate.calibration import brier_labels, ece_macro, ece_positive, ece_top_label, reliability

probability = st.floats(0, 1)
# scikit-learn issue 10883: A is perfectly calibrated, B is not, and yet B has the better Brier score
Y12 = np.array([0, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 1])
A12 = np.array([0, 0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 0.75, 0.75, 1])
B12 = np.array([0, 0.25, 0.25, 0.25, 0.75, 0.5, 0.5, 0.25, 0.75, 0.75, 0.75, 1])


def softmax_rows(n, k):
    p = np.random.default_rng(n * k).random((n, k))
    return p / p.sum(1, keepdims=True)


def test_brier_over_labels_as_in_paper_004():
    y, p = np.array([[1, 1, 0, 0, 0, 0]]), np.array([[0.75, 0.25, 0, 0, 0, 0]])
    assert brier_labels(y, p) == pytest.approx(0.1041667, abs=5e-8)
    assert 6 * brier_labels(y, p) == pytest.approx(0.625)


@given(st.integers(1, 7), st.integers(2, 5))
def test_brier_is_the_mean_squared_error_and_that_of_scikit_learn(n, k):
    y, p = np.arange(n) % k, softmax_rows(n, k)
    binary = y == 0
    assert brier_labels(binary, p[:, 0]) == pytest.approx(np.mean((p[:, 0] - binary) ** 2))
    assert brier_labels(binary, p[:, 0]) == pytest.approx(brier_score_loss(binary, p[:, 0], labels=[0, 1]))
    if k > 2:
        assert k * brier_labels(np.eye(k)[y], p) == pytest.approx(brier_score_loss(y, p, labels=range(k)))


def test_brier_is_no_measure_of_calibration_alone():
    assert brier_labels(Y12, A12) == pytest.approx(1 / 6) and ece_positive(Y12, A12, 12) == pytest.approx(0)
    assert brier_labels(Y12, B12) == pytest.approx(1 / 12) and ece_positive(Y12, B12, 12) == pytest.approx(1 / 6)


def test_the_edges_are_closed():
    assert ece_positive([1, 0], [0.95, 1.0], 10) == pytest.approx(0.475)  # .525 with a hidden bin for 1
    assert ece_positive([0, 1], [0.0, 1.0]) == 0 and ece_positive([1, 0], [0.0, 1.0]) == 1
    assert [x.tolist() for x in reliability([1, 0, 1], [0, 0.5, 1], 2)] == [[2, 1], [0.25, 1], [0.5, 1]]


def test_errors_of_a_small_case_in_three_norms():
    y, p = [0, 0, 1, 1, 1], [0.25, 0.25, 0.55, 0.75, 0.75]
    count, confidence, frequency = reliability(y, p, 2)
    gap = np.abs(frequency - confidence)
    assert ece_positive(y, p, 2) == pytest.approx(0.29)
    assert np.sqrt(np.average(gap**2, weights=count)) == pytest.approx(0.2918, abs=5e-5)
    assert gap.max() == pytest.approx(0.3167, abs=5e-5)


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(arrays(int, n, elements=st.integers(0, 1)), arrays(float, n, elements=probability))
    )
)
def test_the_curve_is_that_of_scikit_learn_and_counts_everyone(drawn):
    y, p = drawn
    count, confidence, frequency = reliability(y, p, 7)
    assert count.sum() == len(y) and (count > 0).all()
    if len(np.unique(y)) == 2:
        expected = calibration_curve(y, p, n_bins=7)
        np.testing.assert_allclose([frequency, confidence], expected, atol=1e-12)
    assert 0 <= ece_positive(y, p, 7) <= 1
    assert ece_positive(1 - y, 1 - p, 1) == pytest.approx(ece_positive(y, p, 1))


def test_positive_frequency_and_top_label_are_two_numbers():
    y, p = np.array([0, 1, 1, 0, 0]), np.array([0.1, 0.2, 0.9, 0.3, 0.6])  # P(1)
    both = np.stack([1 - p, p], 1)
    # confidences .9 .8 .9 .7 .6, right 1 0 1 1 0: by bins (.6-.7] 2, (.7-.8] 1, (.8-.9] 2
    assert ece_top_label(y, both) == pytest.approx(((0.6 - 0) + (1 - 0.7) + 0.8 + 2 * 0.1) / 5)
    assert ece_positive(y, p) == pytest.approx((0.1 + 0.8 + 0.1 + 0.3 + 0.6) / 5)


def test_several_labels_are_averaged_also_those_that_never_occur():
    y = np.array([[1, 0, 0], [0, 0, 1], [1, 0, 1], [1, 0, 0]])
    p = np.array([[0.9, 0.2, 0.3], [0.2, 0.2, 0.8], [0.6, 0.2, 0.9], [0.7, 0.2, 0.6]])
    assert ece_macro(y, p) == pytest.approx(np.mean([ece_positive(y[:, k], p[:, k]) for k in range(3)]))
    assert ece_positive(y[:, 1], p[:, 1]) == pytest.approx(0.2)


P, LABELS = softmax_rows(2, 3), [brier_labels, ece_positive, reliability]
test_errors_name_the_cause = errors(
    *((score, [0.9, 0.1], [1, 0], r"y goes from 0.1 to 0.9; accepted: 0 and 1") for score in LABELS),  # swapped
    *((score, [1, 0], [-0.5, 0], "p goes from -0.5") for score in LABELS),
    *((score, [1, 0], [np.nan, 0], "p goes from nan") for score in LABELS),
    *((score, [], [], r"y has shape \(0,\)") for score in LABELS),
    *((score, [1], [1, 0], r"y has shape \(1,\), p \(2,\)") for score in LABELS),
    (ece_top_label, [0, 3], P, "y goes from 0 to 3"),
    (ece_top_label, P, [0, 1], r"y has shape \(2, 3\), p \(2,\)"),  # swapped
    (ece_top_label, [0.0, 1.0], P, "float64; accepted: ints"),
    (ece_positive, [1], [1], 0, "bins is 0"),
    (ece_positive, [[1, 0]], [[1, 0]], r"y has shape \(1, 2\)"),
    (ece_macro, [1], [1], r"accepted: \(N, K\)"),
)
