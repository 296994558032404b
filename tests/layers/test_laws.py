"""What the layers promise beyond their gradients (those: tests/test_proofs.py)."""

import numpy as np
import pytest

from refmer import params
from refmer.layers import attention, dense
from refmer.ops.attention import key_mask
from refmer.proofs import moved

B, T, S, C, H = 2, 3, 5, 6, 2
rng = np.random.default_rng(1)
X, MEMORY = rng.normal(size=(B, T, C)), rng.normal(size=(B, S, C))
VALID = np.array([[True, True, True, False, False], [False] * 5])  # one clip short, one with nothing left


def test_dropout_keeps_the_mean_and_is_the_identity_without_a_generator():
    y, _ = dense.dropout(np.random.default_rng(0), np.ones((300, 301)), 0.3)
    assert y.mean() == pytest.approx(1, abs=0.01)
    assert dense.dropout(None, X, 0.3)[0] is X
    with pytest.raises(ValueError, match="dropout rate is 1"):
        dense.dropout(None, X, 1)


def test_batch_norm_moves_its_running_statistics_only_through_g():
    p = moved(dense.describe_batch_norm(C))
    g = params.zeros_like(p)
    x = rng.normal(3, 2, size=(50, C))
    _, backward = dense.batch_norm(p, x, rng=rng)
    backward(np.zeros_like(x), g)
    p.state += 1.0 * g.state
    np.testing.assert_allclose(p.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(p.var, x.var(0, ddof=1), rtol=1e-12)


def test_attention_ignores_what_is_masked_and_the_order_of_keys():
    p = moved(attention.describe_attention(C))
    y, _ = attention.attention(p, X, MEMORY, H, key_mask(VALID))
    other = np.where(VALID[:, :, None], MEMORY, 1e3)
    np.testing.assert_allclose(attention.attention(p, X, other, H, key_mask(VALID))[0], y, rtol=1e-12)
    order = np.random.default_rng(2).permutation(S)
    y, _ = attention.attention(p, X, MEMORY, H)
    np.testing.assert_allclose(attention.attention(p, X, MEMORY[:, order], H)[0], y, rtol=1e-12)


def test_a_wrong_width_is_named():
    with pytest.raises(ValueError, match="x has width 6 .* accepted: 4"):
        dense.linear(moved(dense.describe_linear(4, 3)), X)
