"""The temporal block of paper 003: windows, what its parts see, and what its authors' module does."""

import numpy as np
import pytest

from refmer.layers import subsequences, temporal, tlab_jca_code
from refmer.proofs import moved

B, T, C = 3, 7, 6
X = np.random.default_rng(0).normal(size=(B, T, C))
VALID = np.arange(T) < np.array([7, 4, 0])[:, None]


def test_windows_are_consecutive_and_unfold_undoes_them():
    x = np.arange(2 * 5 * 3.0).reshape(2, 5, 3)
    y, back = subsequences.fold(x, 2)
    assert y.shape == (6, 2, 3)
    np.testing.assert_array_equal(y[3:5].reshape(4, 3), x[1, :4])
    assert (y[2, 1] == 0).all()
    np.testing.assert_array_equal(subsequences.unfold(y, 2, 5)[0], x)
    np.testing.assert_array_equal(back(y), x)


@pytest.mark.parametrize("variant", temporal.PARTS)
@pytest.mark.parametrize("use", [(), ("tcn",), ("lstm",), ("attention",), ("tcn", "lstm"), ("tcn", "lstm", "attention")])
def test_what_is_not_valid_changes_nothing_and_every_combination_runs(variant, use):
    p = moved(temporal.describe_temporal(variant, C, use=use) | {"root": {}})
    y, _ = temporal.temporal(p, X, VALID, variant)
    other, _ = temporal.temporal(p, np.where(VALID[..., None], X, 9.0), VALID, variant)
    np.testing.assert_allclose(y, other, rtol=1e-12)
    assert y.shape == X.shape and np.isfinite(y).all()
    alone, _ = temporal.temporal(p, X[1:2, :4], VALID[1:2, :4], variant)
    np.testing.assert_allclose(y[1:2, :4], alone, rtol=1e-12, atol=1e-14)


def test_without_any_part_the_block_is_the_identity_and_without_attention_a_sum():
    p = moved(temporal.describe_temporal("paper", C))
    one = {name: temporal.temporal(_only(p, name), X, VALID, "paper")[0] for name in ("tcn", "lstm")}
    both, _ = temporal.temporal(_only(p, "tcn", "lstm"), X, VALID, "paper")
    np.testing.assert_allclose(both, one["tcn"] + one["lstm"], rtol=1e-12)
    np.testing.assert_array_equal(temporal.temporal(_only(p), X, VALID, "paper")[0], np.where(VALID[..., None], X, 0))


def _only(p, *names):
    from types import SimpleNamespace

    return SimpleNamespace(**{name: getattr(p, name) for name in names})


def test_the_lstm_of_the_equations_sees_the_past_only_and_the_module_both_ways():
    later = X.copy()
    later[:, 5] += 1
    every = np.ones((B, T), bool)
    for variant, untouched in (("paper", True), ("code", False)):
        p = moved(temporal.describe_temporal(variant, C, use=("lstm",)))
        first, second = (temporal.temporal(p, x, every, variant)[0][:, :5] for x in (X, later))
        assert np.allclose(first, second, rtol=1e-12) == untouched


def test_the_authors_module_gives_vectors_of_length_one_and_learns_its_start():
    p = moved(tlab_jca_code.describe_lstm_module(C, 4))
    y, _ = tlab_jca_code.lstm_module(p, X)
    assert y.shape == (B, T, 4)
    np.testing.assert_allclose((y * y).sum(-1), 1, rtol=1e-12)
    p.start[...] += 1
    assert np.abs(tlab_jca_code.lstm_module(p, X)[0] - y).max() > 1e-3
