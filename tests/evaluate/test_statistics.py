"""Intervals."""

import numpy as np
import pytest

from refmer.evaluate.statistics import bootstrap_interval


def test_the_interval_of_a_mean_is_about_two_standard_errors_to_each_side():
    x = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap_interval(lambda i: x[i].mean(), len(x), repeats=2000)
    error = x.std() / 20
    assert low == pytest.approx(x.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(x.mean() + 1.96 * error, abs=0.15 * error)
    assert bootstrap_interval(lambda i: x[i].mean(), len(x), 50, seed=3) == bootstrap_interval(
        lambda i: x[i].mean(), 400, 50, 3
    )
    with pytest.raises(ValueError, match="n is 0"):
        bootstrap_interval(len, 0)
