"""What the operations promise beyond their gradients (those: tests/test_proofs.py)."""

import numpy as np
import pytest

from refmer.ops import activations, losses
from refmer.ops.attention import banded, causal, key_mask

rng = np.random.default_rng(1)
X = rng.normal(size=(3, 5, 7))
MASK = rng.random((3, 5, 7)) > 0.4
MASK[1, 2] = False  # a row with nothing left


def test_masked_softmax_gives_zero_to_the_masked_and_to_empty_rows():
    a = activations.softmax(X, MASK)
    assert (a[~MASK] == 0).all()
    np.testing.assert_allclose(a.sum(-1), MASK.any(-1), rtol=1e-12)


def test_relu_hides_no_nan():
    np.testing.assert_array_equal(activations.relu(np.array([-1.0, 0, 2, np.nan])), [0, 0, 2, np.nan])


def test_softmax_survives_large_logits():
    a = activations.softmax(np.float32([[1e4, -1e4, 0], [-1e4, -1e4, -1e4]]))
    np.testing.assert_allclose(a, [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)


@pytest.mark.parametrize("mask, said", [(np.ones(4, bool), r"\(4,\)"), (np.ones(7), "float64")])
def test_a_mask_that_does_not_fit_is_named(mask, said):
    with pytest.raises(ValueError, match=said):
        activations.softmax(X, mask)


def test_masks_hide_what_they_say():
    np.testing.assert_array_equal(causal(2, 3), [[True, True, False], [True, True, True]])
    np.testing.assert_array_equal(banded(3, 4, 1)[0], [True, True, False, False])
    assert key_mask(np.ones((2, 5), bool)).shape == (2, 1, 1, 5)


@pytest.mark.parametrize("p, ce, fl", [(0.5, 0.693147, 0.173287), (0.9, 0.105361, 0.00105361)])
def test_focal_loss_has_the_values_of_lin_2017(p, ce, fl):
    logits, target, one = np.log([[p, 1 - p]]), np.array([[1.0, 0]]), np.ones(2)
    assert losses.cross_entropy(logits, target, one)[0] == pytest.approx(ce, rel=1e-5)
    assert losses.focal(logits, target, one)[0] == pytest.approx(fl, rel=1e-5)
    assert losses.focal(logits, target, one, gamma=0.0)[0] == pytest.approx(ce, rel=1e-5)


def test_the_modulating_factor_ignores_the_class_weight_unless_asked_for_the_authors_code():
    logits, target, weight = np.zeros((1, 2)), np.array([[1.0, 0]]), np.array([2.0, 1])
    assert losses.focal(logits, target, weight)[0] == pytest.approx(0.346574, rel=1e-5)
    assert losses.focal(logits, target, weight, literal=False)[0] == pytest.approx(0.779791, rel=1e-5)


def test_losses_stay_finite_for_certain_answers():
    logits, target, one = np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([[1.0, 0], [1.0, 0]]), np.ones(2)
    for gamma in (0.0, 0.5, 2.0):
        loss, *saved = losses.focal(logits, target, one, gamma)
        assert np.isfinite(loss) and np.isfinite(losses.focal_backward(1.0, *saved)).all()
