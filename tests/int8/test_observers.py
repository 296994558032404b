"""Ranges from calibration."""

import numpy as np
from error_table import errors

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


test_errors_name_the_cause = errors(
    *((f, None, np.array(x), "empty or not finite") for f in OBSERVERS.values() for x in ([1.0, np.nan], [np.inf], [])),
    (percentile, None, FIRST, 0, "share is 0"),
    (moving_average, None, FIRST, 1, "momentum is 1"),
)
