"""Ranges from calibration."""

import numpy as np
import pytest

from refmer.int8.observers import OBSERVERS, min_max, moving_average, percentile

FIRST, SECOND = np.array([[-1.0, 4.0], [0.0, 2.0]]), np.array([-3.0, 1.0])


def test_min_max_is_that_of_everything():
    assert min_max(min_max(None, FIRST), SECOND) == (-3, 4)


def test_percentile_leaves_the_tails():
    x = np.arange(1001.0)
    assert percentile(None, x, 100) == (0, 1000)
    assert percentile(None, x, 99) == (5, 995)
    assert percentile((-7.0, 1.0), x, 99) == (-7, 995)


def test_moving_average_is_exponential():
    ends = moving_average(None, FIRST, 0.75)
    assert ends == (-1, 4)
    assert moving_average(ends, SECOND, 0.75) == (-1.5, 3.25)


@pytest.mark.parametrize("name", OBSERVERS)
@pytest.mark.parametrize("x", [[1.0, np.nan], [np.inf], []])
def test_bad_calibration_data_is_an_error(name, x):
    with pytest.raises(ValueError, match="empty or not finite"):
        OBSERVERS[name](None, np.array(x))


def test_bad_settings_are_errors():
    with pytest.raises(ValueError, match="share is 0"):
        percentile(None, FIRST, 0)
    with pytest.raises(ValueError, match="momentum is 1"):
        moving_average(None, FIRST, 1)
