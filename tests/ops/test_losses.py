"""Laws and published values of the classification losses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer.ops import losses
from refmer.ops.twins import kernels

few = settings(deadline=None, max_examples=25, derandomize=True)
CREMA_D = [1067, 1222, 1180, 1230, 672, 2071]  # anger, disgust, fear, happy, sad, neutral


def drawn(seed, B=5, K=4):
    rng = np.random.default_rng(seed)
    return 2 * rng.normal(size=(B, K)), rng.dirichlet(np.ones(K), B), rng.uniform(0.5, 2, K)


@pytest.mark.parametrize("K", [2, 6, 7])
def test_the_loss_before_training_is_the_logarithm_of_the_number_of_classes(K):
    target, one = np.random.default_rng(0).dirichlet(np.ones(K), 3), np.ones(K)
    for f in (losses.cross_entropy, losses.sample_weighted_cross_entropy):
        assert f(np.zeros((3, K)), target, one)[0] == pytest.approx(np.log(K), rel=1e-12)
    assert losses.binary_cross_entropy(np.zeros((3, K)), target, one)[0] == pytest.approx(np.log(2), rel=1e-12)


@few
@given(st.integers(0, 99))
def test_focal_with_gamma_zero_is_cross_entropy(seed):
    logits, target, weight = drawn(seed)
    for literal in (True, False):
        focal = losses.focal(logits, target, weight, gamma=0.0, literal=literal)[0]
        assert focal == pytest.approx(losses.cross_entropy(logits, target, weight)[0], rel=1e-12)
    focal = losses.sigmoid_focal(logits, target, alpha=-1, gamma=0.0)[0]
    assert focal == pytest.approx(losses.binary_cross_entropy(logits, target, np.ones(4))[0], rel=1e-12)


@few
@given(st.integers(0, 99))
def test_two_classes_are_one_sigmoid(seed):
    x, y = np.random.default_rng(seed).normal(size=(2, 5, 1))
    y = (y > 0).astype(float)
    pair = np.concatenate([x, np.zeros_like(x)], 1), np.concatenate([y, 1 - y], 1), np.ones(2)
    one = np.ones(1)
    assert losses.cross_entropy(*pair)[0] == pytest.approx(losses.binary_cross_entropy(x, y, one)[0], rel=1e-12)
    assert losses.focal(*pair)[0] == pytest.approx(losses.sigmoid_focal(x, y, alpha=-1)[0], rel=1e-12)


@pytest.mark.parametrize("p, ce, factor", [(0.5, 0.693147, 4), (0.9, 0.105361, 100), (0.968, 0.032523, 976.6)])
def test_sigmoid_focal_has_the_values_of_lin_2017(p, ce, factor):
    logit = np.log(p / (1 - p))
    for y, sign, alpha in ((1.0, 1, 0.25), (0.0, -1, 0.75)):  # alpha weighs positives, 1 - alpha negatives
        x, y = np.array([[sign * logit]]), np.array([[y]])
        assert losses.sigmoid_focal(x, y, alpha=-1, gamma=0.0)[0] == pytest.approx(ce, rel=1e-4)
        assert losses.sigmoid_focal(x, y, alpha=-1)[0] == pytest.approx(ce / factor, rel=1e-4)
        assert losses.sigmoid_focal(x, y)[0] == pytest.approx(alpha * ce / factor, rel=1e-4)


@pytest.mark.parametrize(
    "beta, expected",
    [
        (0.9, [1, 1, 1, 1, 1, 1]),
        (0.999, [1.017812, 0.946554, 0.963817, 0.943415, 1.364354, 0.764047]),
        (0.9999, [1.041351, 0.916204, 0.946864, 0.910602, 1.621582, 0.563397]),
        (1, [1.043863, 0.911458, 0.943899, 0.905530, 1.657442, 0.537808]),
    ],
)
def test_class_balanced_weights_of_crema_d(beta, expected):
    w = losses.class_balanced_weights(CREMA_D, beta)
    np.testing.assert_allclose(w, expected, atol=6e-7)
    assert w.sum() == pytest.approx(6, rel=1e-12)


def test_class_balanced_weights_at_one_percent():
    w = losses.class_balanced_weights(CREMA_D, 0.99)
    np.testing.assert_allclose(w[[4, 5]], [1.000967, 0.999799], atol=6e-7)


@pytest.mark.parametrize("n, beta, effective", [(2, 0.5, 1.5), (10, 0.9, 6.5132156)])
def test_equation_3_is_the_inverse_of_the_effective_number(n, beta, effective):
    assert 1 / losses.class_balanced_weights([n], beta, normalise=False)[0] == pytest.approx(effective, rel=1e-7)


@pytest.mark.parametrize("beta", [0.3, 1 - 1e-9, 1 - 1e-12])
def test_class_balanced_weights_keep_their_digits_near_one(beta):
    w = losses.class_balanced_weights([3], beta, normalise=False)[0]
    assert w == pytest.approx(1 / (1 + beta + beta**2), rel=1e-14)  # (1 - b^3) / (1 - b), divided out


def test_class_balanced_weights_reach_their_limits():
    n = np.array([3, 700, 20000])
    np.testing.assert_allclose(losses.class_balanced_weights(n, 0), 1)
    np.testing.assert_allclose(losses.class_balanced_weights(n, 1e-12), 1, rtol=1e-11)
    np.testing.assert_allclose(losses.class_balanced_weights(n, 1, normalise=False), 1 / n, rtol=1e-12)
    np.testing.assert_allclose(losses.class_balanced_weights(n, 1 - 1e-13, normalise=False), 1 / n, rtol=1e-8)


@pytest.mark.parametrize(
    "counts, beta, said",
    [
        ([3, 0], 0.9, "counts are"),
        ([3, -1], 0.9, "counts"),
        ([3, np.nan], 0.9, "counts"),
        ([], 0.9, "counts"),
        ([3, 4], 1.1, "beta is 1.1"),
        ([3, 4], -0.1, "beta"),
        ([3, 4], np.nan, "beta"),
    ],
)
def test_class_balanced_weights_name_what_does_not_fit(counts, beta, said):
    with pytest.raises(ValueError, match=said):
        losses.class_balanced_weights(counts, beta)


def test_the_weight_of_a_clip_is_not_the_weight_of_a_class_where_raters_disagree():
    logits, _, weight = drawn(0)
    hard, soft = np.eye(4)[[0, 1, 2, 3, 0]], np.full((5, 4), 0.25)
    per_class, per_clip = losses.cross_entropy, losses.sample_weighted_cross_entropy
    assert per_clip(logits, hard, weight)[0] == pytest.approx(per_class(logits, hard, weight)[0], rel=1e-12)
    assert abs(per_clip(logits, soft, weight)[0] / per_class(logits, soft, weight)[0] - 1) > 0.01


@pytest.mark.parametrize("name", ["cross_entropy", "sample_weighted_cross_entropy", "binary_cross_entropy", "focal"])
def test_losses_survive_logits_of_ten_thousand(name):
    logits, target = np.float32([[1e4, -1e4], [-1e4, 1e4]]), np.float32([[1, 0], [1, 0]])
    loss, *saved = getattr(losses, name)(logits, target, np.ones(2, "f4"))
    dlogits = getattr(losses, f"{name}_backward")(1.0, *saved)
    assert loss >= 1e4 / 2 and loss.dtype == dlogits.dtype == np.float32
    assert (dlogits[0] == 0).all() and np.isfinite(dlogits).all() and (np.sign(dlogits[1]) != [1, -1]).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_sigmoid_focal_survives_logits_of_ten_thousand(gamma):
    logits, target = np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([[1.0, 0], [1, 0]])
    loss, *saved = losses.sigmoid_focal(logits, target, gamma=gamma)
    dlogits = losses.sigmoid_focal_backward(1.0, *saved)
    assert loss == pytest.approx(1e4 / 4) and np.isfinite(dlogits).all()
    np.testing.assert_allclose(dlogits, [[0, 0], [-0.25 / 4, 0.75 / 4]])


@pytest.mark.parametrize("name", ["cross_entropy", "sample_weighted_cross_entropy", "binary_cross_entropy", "focal"])
@pytest.mark.parametrize(
    "logits, target, weight, said",
    [
        ((0, 3), (0, 3), 3, "logits have shape"),
        ((3,), (3,), 3, "logits have shape"),
        ((2, 3), (2, 4), 3, r"target has shape \(2, 4\)"),
        ((2, 3), (3,), 3, "target"),
        ((2, 3), (2, 3), 2, r"weight has shape \(2,\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(name, logits, target, weight, said):
    with pytest.raises(ValueError, match=said):
        getattr(losses, name)(np.ones(logits), np.ones(target), np.ones(weight))


def test_focal_parameters_out_of_range_are_named():
    logits, target, weight = drawn(0)
    with pytest.raises(ValueError, match="gamma is -1"):
        losses.focal(logits, target, weight, gamma=-1)
    with pytest.raises(ValueError, match="gamma is -1"):
        losses.sigmoid_focal(logits, target, gamma=-1)
    with pytest.raises(ValueError, match="alpha is 1.5"):
        losses.sigmoid_focal(logits, target, alpha=1.5)


def test_balanced_weights_average_to_one_over_the_clips():
    counts = np.array([3.0, 1, 0, 1, 0])
    weight = losses.balanced_weights(counts)
    assert (counts * weight).sum() / counts.sum() == pytest.approx(1) and weight[2] == weight[4] == 0
    assert weight[1] == pytest.approx(3 * weight[0])


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("name", ["cross_entropy", "sample_weighted_cross_entropy", "binary_cross_entropy", "focal"])
def test_one_logit_of_nan_makes_the_loss_nan(name, on):
    logits, target, weight = (x.astype(np.float32) for x in drawn(0))
    logits[2, 1] = np.nan
    with kernels(on):
        loss, *saved = getattr(losses, name)(logits, target, weight)
    assert np.isnan(loss) and np.isnan(getattr(losses, f"{name}_backward")(1.0, *saved)[2, 1])
