"""Laws of the sinusoidal positions."""

import math

import numpy as np
import pytest

from refmer.layers.sequence import sinusoidal


@pytest.mark.parametrize("width", [2, 3, 6, 7, 130])
def test_the_layout_is_that_of_fairseq(width):
    half, table = width // 2, sinusoidal(5, width)
    assert table.shape == (5, width)
    for t in range(5):
        for i in range(half):
            f = math.exp(-i * math.log(1e4) / (half - 1)) if half > 1 else 1
            assert table[t, i] == pytest.approx(math.sin((t + 1) * f), abs=1e-12)
            assert table[t, half + i] == pytest.approx(math.cos((t + 1) * f), abs=1e-12)
    assert (table[:, 2 * half :] == 0).all()


def test_slowest_and_fastest_wave_and_the_first_position():
    table = sinusoidal(3, 130)  # paper 002: 65 frequencies from 1 to 1e-4
    np.testing.assert_allclose(table[:, 0], np.sin([1, 2, 3]), rtol=1e-12)
    np.testing.assert_allclose(table[:, 64], np.sin([1e-4, 2e-4, 3e-4]), rtol=1e-12)


def test_a_step_ahead_is_a_rotation():
    """Why sinusoids: position t + k is the same linear map of position t, for every t."""
    table = sinusoidal(9, 8)
    sine, cosine = table[:, :4], table[:, 4:]
    f = np.exp(-np.arange(4) * math.log(1e4) / 3)
    ahead = sine[:-3] * np.cos(3 * f) + cosine[:-3] * np.sin(3 * f)
    np.testing.assert_allclose(ahead, sine[3:], atol=1e-12)


def test_positions_do_not_depend_on_the_length_and_differ():
    np.testing.assert_array_equal(sinusoidal(10_000, 6)[:7], sinusoidal(7, 6))
    assert len(np.unique(sinusoidal(1000, 8).round(9), axis=0)) == 1000
    assert sinusoidal(0, 4).shape == (0, 4)


@pytest.mark.parametrize("length, width", [(-1, 4), (3, 1), (3, 0)])
def test_sizes_out_of_range_are_named(length, width):
    with pytest.raises(ValueError, match=f"length is {length} and width {width}"):
        sinusoidal(length, width)
