"""Summaries of curves by the values of MultiBench's definitions and of paper 000's results."""

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st

from refmer.evaluate.robustness import auc_robustness, drop, effective_vs_baseline, gain_under_noise

F = [0.80, 0.78, 0.75, 0.71, 0.66, 0.60, 0.55, 0.50, 0.46, 0.43, 0.40]
LATE_FUSION = [0.78, 0.74, 0.70, 0.65, 0.60, 0.55, 0.50, 0.46, 0.42, 0.40, 0.38]
GATED, UNGATED = np.array([[2003, 1875], [1936, 1711]]) / 45.55  # accuracy of paper 000 in %, clean and with noise on the face
curve = st.lists(st.floats(0, 1), min_size=5, max_size=5)


def test_area_and_effective_robustness_by_multibench():
    assert auc_robustness(F, np.arange(11) / 10) == pytest.approx(0.604)
    assert effective_vs_baseline(F, LATE_FUSION) == pytest.approx(0.24)


def test_what_paper_000_calls_a_gain():
    assert drop(GATED) == pytest.approx(2.810, abs=5e-4) and drop(UNGATED) == pytest.approx(4.940, abs=5e-4)
    assert gain_under_noise(GATED, UNGATED) == pytest.approx(3.600, abs=5e-4)
    assert effective_vs_baseline(GATED, UNGATED) == pytest.approx(2.130, abs=6e-4)


@given(curve, curve, st.floats(-1, 1))
def test_only_the_equalised_gain_ignores_a_constant_lead(f, b, lead):
    f, b = np.array(f), np.array(b)
    assert effective_vs_baseline(f + lead, b) == pytest.approx(effective_vs_baseline(f, b), abs=1e-12)
    assert gain_under_noise(f + lead, b) == pytest.approx(gain_under_noise(f, b) + lead, abs=1e-12)
    assert drop(f + lead) == pytest.approx(drop(f), abs=1e-12)
    levels = [0, 0.1, 0.5, 0.6, 2]
    assert auc_robustness(f + lead, levels) == pytest.approx(auc_robustness(f, levels) + lead, abs=1e-12)


@given(curve, curve)
def test_swapping_system_and_baseline_turns_the_sign(f, b):
    for gain in (effective_vs_baseline, gain_under_noise):
        assert gain(f, b) == pytest.approx(-gain(b, f))


def test_area_is_the_mean_over_unequal_steps():
    assert auc_robustness([1.0, 0.5, 0.0], [10, 20, 50]) == pytest.approx((0.75 * 10 + 0.25 * 30) / 40)
    assert auc_robustness([0.3, 0.3], [0, 90]) == pytest.approx(0.3)


def test_seeds_are_kept_apart():
    f, b = np.stack([F, LATE_FUSION, F]), np.stack([LATE_FUSION, LATE_FUSION, F])
    np.testing.assert_allclose(effective_vs_baseline(f, b), [0.24, 0, 0], atol=1e-12)
    np.testing.assert_allclose(gain_under_noise(f, b), [0.02, 0, 0], atol=1e-12)
    np.testing.assert_allclose(drop(f), [0.4, 0.4, 0.4])
    assert auc_robustness(f, np.arange(11)).shape == (3,)


test_errors_name_the_cause = errors(
    *((drop, bad, "scores have shape") for bad in ([0.5], 0.5, [0.5, np.nan])),
    (effective_vs_baseline, F, GATED, r"\(11,\) and \(2,\)"),
    *((auc_robustness, GATED, levels, "accepted: 2 ascending numbers") for levels in ([0, 0], [1, 0], [0, 1, 2])),
)
