"""Intervals, tests and verdicts by published values and by simulation."""

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from refmer.evaluate.statistics import (
    bootstrap_interval,
    detectable_effect,
    draws_interval,
    equivalence_test,
    holm,
    paired_test,
    spread,
    standard_error,
    verdicts,
)

A, B = np.array([0.772, 0.770, 0.775, 0.769, 0.774]), np.array([0.734, 0.740, 0.731, 0.738, 0.736])
seeds = st.lists(st.integers(-9, 9), min_size=2, max_size=7).map(np.array)


def test_spread_is_that_of_a_sample():
    assert spread([1.0, 2.0, 6.0]) == {"mean": 3, "sd": pytest.approx(7**0.5), "values": [1, 2, 6]}
    assert spread([4.0])["sd"] is None


def test_the_interval_of_a_mean_is_about_two_standard_errors_to_each_side():
    x = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap_interval(lambda i: x[i].mean(), len(x), repeats=2000)
    error = x.std() / 20
    assert low == pytest.approx(x.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(x.mean() + 1.96 * error, abs=0.15 * error)
    again = [bootstrap_interval(lambda i: x[i].mean(), len(x), 50, seed=3) for _ in range(2)]
    assert again[0] == again[1]


def test_the_interval_over_draws_is_of_the_scores_themselves():
    assert draws_interval(np.arange(201) / 200) == pytest.approx((0.025, 0.975))
    assert draws_interval(np.arange(201) / 200, coverage=0.5) == pytest.approx((0.25, 0.75))
    assert draws_interval([0.3]) == (0.3, 0.3)


def test_the_test_of_paper_002():
    result, expected = paired_test(A - B), stats.ttest_rel(A, B, alternative="greater")
    assert result["t"] == pytest.approx(14.0483245) and result["t"] == pytest.approx(expected.statistic)
    assert result["p"] == pytest.approx(7.4489e-5, rel=1e-4) and result["p"] == pytest.approx(expected.pvalue)
    assert result["df"] == 4
    assert paired_test(B - A)["p"] == pytest.approx(1 - expected.pvalue)  # swapped
    assert stats.t.isf(0.05, 19) == pytest.approx(1.7291328)


def test_the_correction_for_overlapping_splits():
    effects = np.random.default_rng(1).normal(0.3, size=20)
    plain, corrected = paired_test(effects), paired_test(effects, 0.15 / 0.70)
    assert corrected["t"] / plain["t"] == pytest.approx(0.43496, abs=5e-6) and corrected["p"] > plain["p"]
    assert corrected["p"] == pytest.approx(stats.t.sf(0.43496 * plain["t"], 19), rel=1e-4)
    assert standard_error(2.0, 20, 0.15 / 0.70) ** 2 == pytest.approx(4 * (1 / 20 + 3 / 14))


def test_equal_effects_prove_no_more_than_their_signs():
    assert paired_test([0.1 + 0.2, 0.3, 0.3]) == {"t": None, "df": 2, "p": 0.125}
    assert paired_test([-1, -1])["p"] == paired_test([0, 0])["p"] == 1


@given(seeds, st.floats(0, 0.5))
def test_p_values_are_probabilities_and_sides_complement_each_other(effects, ratio):
    up, down = paired_test(effects, ratio), paired_test(-effects, ratio)
    assert 0 <= up["p"] <= 1
    if up["t"] is not None:
        assert up["p"] + down["p"] == pytest.approx(1) and up["t"] == pytest.approx(-down["t"])


def test_holm_by_hand_and_its_properties():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    assert holm([0.03]) == [0.03] and holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_lies_between_none_and_bonferroni_and_keeps_the_order(p):
    p, adjusted = np.array(p), holm(p)
    assert (adjusted >= p).all() and (adjusted <= np.minimum(len(p) * p, 1) + 1e-15).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()


@pytest.mark.parametrize(("n", "ratio", "alpha", "power"), [(5, 0, 0.05, 0.8), (3, 0.3, 0.05, 0.9), (7, 0.2, 0.025, 0.8)])
def test_the_detectable_effect_is_found_with_its_power(n, ratio, alpha, power):
    rng, repeats = np.random.default_rng(n), 20000
    effects = rng.normal(size=(repeats, n)) + np.sqrt(ratio) * rng.normal(size=(repeats, 1))  # overlap: a shared error
    effects += detectable_effect(1.0, n, ratio, alpha, power)
    t = effects.mean(1) / standard_error(effects.std(1, ddof=1), n, ratio)
    assert (t > stats.t.isf(alpha, n - 1)).mean() == pytest.approx(power, abs=0.015)


def test_the_detectable_effect_of_twenty_seeds():
    assert detectable_effect(1.0, 20) == pytest.approx(0.577, abs=5e-4)  # G*Power, one-tailed, one sample
    assert detectable_effect(3.0, 20, 3 / 14) == pytest.approx(3 * detectable_effect(1.0, 20) / 0.43496, rel=1e-4)
    assert detectable_effect(0.0, 4) == 0
    assert detectable_effect(1.0, 2, alpha=0.001) > detectable_effect(1.0, 2)


def test_equivalence_is_the_worse_of_two_one_sided_tests():
    effects = A - B
    assert equivalence_test(effects, 0.05) == pytest.approx(stats.ttest_1samp(effects, 0.05, alternative="less").pvalue)
    assert equivalence_test(-effects, 0.05) == pytest.approx(equivalence_test(effects, 0.05))
    assert equivalence_test(effects, 0.03) > 0.5 > equivalence_test(effects, 0.05)
    assert equivalence_test([0.0] * 5, 0.5) == 2**-5


def test_a_claim_holds_is_reversed_or_undecided():
    effects = A - B  # mean .0362, sd .0058

    def verdict(values, *args, **kwargs):
        return verdicts({"it": values}, *args, **kwargs)["it"]["verdict"]

    assert verdict(effects, 0.01) == "holds" and verdict(-effects, 0.01) == "reversed"
    assert verdict(effects, 0.01, "less") == "reversed" and verdict(-effects, 0.01, "less") == "holds"
    assert verdict(effects, 0.04) == verdict(-effects, 0.04) == "undecided"  # sure, but too small
    assert verdict(effects + [0.2, 0, -0.3, 0.1, 0], 0.0) == "undecided"  # large, but not sure
    assert verdict(effects, 0.05, "equal") == "holds" and verdict(effects, 0.03, "equal") == "reversed"
    assert verdict(-effects, 0.03, "equal") == "reversed" and verdict(effects, 0.037, "equal") == "undecided"
    assert verdict(effects, 0.01, test_per_train=10.0) == "undecided"
    assert verdict([1.0, 1.0], 0.5) == "undecided" and verdict([1.0] * 5, 0.5) == "holds"


def test_a_verdict_shows_what_it_rests_on():
    effects = np.random.default_rng(2).normal(0.1, size=6)
    result = verdicts({"it": effects}, 0.02, test_per_train=0.3)["it"]
    error = effects.std(ddof=1) * np.sqrt(1 / 6 + 0.3)
    assert result["effect"] == spread(effects.tolist()) and result["p"] == paired_test(effects, 0.3)["p"]
    expected = stats.t.interval(0.95, 5, effects.mean(), error)
    assert result["interval"] == pytest.approx(expected) and result["p_reversed"] == pytest.approx(1 - result["p"])
    assert result["detectable"] == pytest.approx(detectable_effect(effects.std(ddof=1), 6, 0.3))
    equal = verdicts({"it": effects}, 0.02, "equal", 0.3)["it"]
    assert equal["detectable"] == pytest.approx(detectable_effect(effects.std(ddof=1), 6, 0.3, power=0.9))
    assert verdicts({"it": [0.5, 0.5]}, 0.02)["it"]["detectable"] is None


def test_several_contrasts_share_one_level():
    strong = A - B
    weak = np.array([0.03, 0.01, 0.04, -0.005, 0.02])  # p .035
    alone, both = verdicts({"weak": weak}, 0.001), verdicts({"weak": weak, "weaker": weak - 0.001, "strong": strong}, 0.001)
    assert alone["weak"]["verdict"] == "holds" and both["weak"]["verdict"] == "undecided"
    assert both["strong"]["verdict"] == "holds" and list(both) == ["weak", "weaker", "strong"]
    raw = [paired_test(x)["p"] for x in (weak, weak - 0.001, strong)]
    assert [both[name]["p"] for name in both] == pytest.approx(holm(raw).tolist())
    assert both["weak"]["detectable"] == pytest.approx(detectable_effect(weak.std(ddof=1), 5, alpha=0.05 / 3))


test_errors_name_the_cause = errors(
    (spread, [], "values have shape"),
    (bootstrap_interval, len, 0, "n is 0"),
    *((draws_interval, *bad, "between 0 and 1") for bad in (([], 0.95), ([1.0], 0), ([1.0], 1))),
    *((holm, bad, "accepted: a list") for bad in ([0.1, np.nan], [1.1], [[0.1]])),
    *((detectable_effect, *bad, "accepted: n > 1") for bad in ((1.0, 1), (-1, 5), (np.nan, 5))),
    *((detectable_effect, 1.0, 5, 0.0, *bad, "accepted: n > 1") for bad in ((0, 0.8), (0.05, 1), (0.9, 0.8))),
    (equivalence_test, A, 0, "margin is 0"),
    *((verdicts, *bad, "direction is") for bad in (({}, 0, "less"), ({"a": A}, -1, "less"), ({"a": A}, 0, "more"))),
    (verdicts, {"a": A}, np.nan, "less", "direction is"),
    *((verdicts, {"a": bad}, 0, "at least two seeds") for bad in ([1.0], [1.0, np.nan], [[1.0, 2.0]])),
    (paired_test, A, -1, "test_per_train is -1"),
)
