"""Laws and published values of the losses."""

from functools import partial

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st

from refmer.ops import losses
from refmer.ops.activations import softmax, softmax_backward

CLASSES = [losses.cross_entropy, losses.sample_weighted_cross_entropy, losses.binary_cross_entropy, losses.focal]
STEPS = [losses.mse, losses.ccc, losses.ccc_loss]
CREMA_D = [1067, 1222, 1180, 1230, 672, 2071]  # anger, disgust, fear, happy, sad, neutral
TARGET, PREDICTION = np.array([[3, -0.5, 2, 7]]).T, np.array([[2.5, 0, 2, 8]]).T
FEATURES = np.ones((3, 2, 4))
KERAS = np.array([[0, 1, 0.5], [1, 1, 0.2]]).T, np.array([[0.1, 0.9, 0.5], [1, 0.9, 0.2]]).T


def backward_of(f):
    return getattr(losses, f"{f.__name__}_backward")


def drawn(seed, B=5, K=4):
    rng = np.random.default_rng(seed)
    return 2 * rng.normal(size=(B, K)), rng.dirichlet(np.ones(K), B), rng.uniform(0.5, 2, K)


@pytest.mark.parametrize("K", [2, 6, 7])
def test_the_loss_before_training_is_the_logarithm_of_the_number_of_classes(K):
    target, one = np.random.default_rng(0).dirichlet(np.ones(K), 3), np.ones(K)
    for f in (losses.cross_entropy, losses.sample_weighted_cross_entropy):
        assert f(np.zeros((3, K)), target, one)[0] == pytest.approx(np.log(K), rel=1e-12)
    assert losses.binary_cross_entropy(np.zeros((3, K)), target, one)[0] == pytest.approx(np.log(2), rel=1e-12)


@given(st.integers(0, 99))
def test_focal_with_gamma_zero_is_cross_entropy(seed):
    logits, target, weight = drawn(seed)
    for literal in (True, False):
        focal = losses.focal(logits, target, weight, gamma=0.0, literal=literal)[0]
        assert focal == pytest.approx(losses.cross_entropy(logits, target, weight)[0], rel=1e-12)


@given(st.integers(0, 99))
def test_two_classes_are_one_sigmoid(seed):
    x, y = np.random.default_rng(seed).normal(size=(2, 5, 1))
    y = (y > 0).astype(float)
    pair = np.concatenate([x, np.zeros_like(x)], 1), np.concatenate([y, 1 - y], 1), np.ones(2)
    assert losses.cross_entropy(*pair)[0] == pytest.approx(losses.binary_cross_entropy(x, y, np.ones(1))[0], rel=1e-12)


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


@pytest.mark.parametrize(
    "n, beta, effective, digits",
    [
        (2, 0.5, 1.5, 1e-7),
        (10, 0.9, 6.5132156, 1e-7),
        *((3, beta, 1 + beta + beta**2, 1e-14) for beta in (0.3, 1 - 1e-9, 1 - 1e-12)),  # (1 - b^3) / (1 - b), divided out
    ],
)
def test_equation_3_is_the_inverse_of_the_effective_number(n, beta, effective, digits):
    w = losses.class_balanced_weights([n], beta, normalise=False)[0]
    assert w == pytest.approx(1 / effective, rel=digits)


@pytest.mark.parametrize("beta", (0, 0.5, 0.999, 1))
@pytest.mark.parametrize("normalise", (True, False))
def test_a_class_without_clips_has_weight_0_and_the_others_the_weights_that_they_have_alone(beta, normalise):
    w = losses.class_balanced_weights([9, 0, 3, 0], beta, normalise)
    np.testing.assert_array_equal(w[[1, 3]], 0)
    np.testing.assert_array_equal(w[[0, 2]], losses.class_balanced_weights([9, 3], beta, normalise))


@pytest.mark.parametrize("literal", (True, False))
def test_the_gradient_of_the_focal_loss_is_finite_with_a_weight_of_0(on, literal):
    logits, weight = np.array([[0.5, -0.2, 0.1], [0.0, 9.0, -9.0]]), np.array([1.0, 0.0, 2.0])
    soft = np.array([[0.2, 0.5, 0.3], [0.0, 1.0, 0.0]])
    value, slope = losses.focal(logits, soft, weight, literal=literal)
    assert np.isfinite(value) and np.isfinite(slope).all() and (slope[1] == 0).all()


def test_class_balanced_weights_reach_their_limits():
    n = np.array([3, 700, 20000])
    np.testing.assert_allclose(losses.class_balanced_weights(n, 0), 1)
    np.testing.assert_allclose(losses.class_balanced_weights(n, 1e-12), 1, rtol=1e-11)
    np.testing.assert_allclose(losses.class_balanced_weights(n, 1, normalise=False), 1 / n, rtol=1e-12)
    np.testing.assert_allclose(losses.class_balanced_weights(n, 1 - 1e-13, normalise=False), 1 / n, rtol=1e-8)


def test_the_weight_of_a_clip_is_not_the_weight_of_a_class_where_raters_disagree():
    logits, _, weight = drawn(0)
    hard, soft = np.eye(4)[[0, 1, 2, 3, 0]], np.full((5, 4), 0.25)
    per_class, per_clip = losses.cross_entropy, losses.sample_weighted_cross_entropy
    assert per_clip(logits, hard, weight)[0] == pytest.approx(per_class(logits, hard, weight)[0], rel=1e-12)
    assert abs(per_clip(logits, soft, weight)[0] / per_class(logits, soft, weight)[0] - 1) > 0.01


@pytest.mark.parametrize("f", CLASSES)
def test_losses_survive_logits_of_ten_thousand(f):
    logits, target = np.float32([[1e4, -1e4], [-1e4, 1e4]]), np.float32([[1, 0], [1, 0]])
    loss, *saved = f(logits, target, np.ones(2, "f4"))
    dlogits = backward_of(f)(1.0, *saved)
    assert loss >= 1e4 / 2 and loss.dtype == dlogits.dtype == np.float32
    assert (dlogits[0] == 0).all() and np.isfinite(dlogits).all() and (np.sign(dlogits[1]) != [1, -1]).all()


def test_balanced_weights_average_to_one_over_the_clips():
    counts = np.array([3.0, 1, 0, 1, 0])
    weight = losses.balanced_weights(counts)
    assert (counts * weight).sum() / counts.sum() == pytest.approx(1) and weight[2] == weight[4] == 0
    assert weight[1] == pytest.approx(3 * weight[0])


@pytest.mark.parametrize("f", CLASSES)
def test_one_logit_of_nan_makes_the_loss_nan(f, on):
    logits, target, weight = (x.astype(np.float32) for x in drawn(0))
    logits[2, 1] = np.nan
    loss, *saved = f(logits, target, weight)
    assert np.isnan(loss) and np.isnan(backward_of(f)(1.0, *saved)[2, 1])


@pytest.mark.parametrize("p, ce, fl", [(0.5, 0.693147, 0.173287), (0.9, 0.105361, 0.00105361)])
def test_focal_loss_has_the_values_of_lin_2017(p, ce, fl):
    logits, target, one = np.log([[p, 1 - p]]), np.array([[1.0, 0]]), np.ones(2)
    assert losses.cross_entropy(logits, target, one)[0] == pytest.approx(ce, rel=1e-5)
    assert losses.focal(logits, target, one)[0] == pytest.approx(fl, rel=1e-5)
    assert losses.focal(logits, target, one, gamma=0.0)[0] == pytest.approx(ce, rel=1e-5)


def test_the_modulating_factor_ignores_the_class_weight_but_in_the_authors_code():
    logits, target, weight = np.zeros((1, 2)), np.array([[1.0, 0]]), np.array([2.0, 1])
    assert losses.focal(logits, target, weight)[0] == pytest.approx(0.346574, rel=1e-5)
    assert losses.focal(logits, target, weight, literal=False)[0] == pytest.approx(0.779791, rel=1e-5)


def test_losses_stay_finite_for_certain_answers():
    logits, target, one = np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([[1.0, 0], [1.0, 0]]), np.ones(2)
    for gamma in (0.0, 0.5, 2.0):
        loss, *saved = losses.focal(logits, target, one, gamma)
        assert np.isfinite(loss) and np.isfinite(losses.focal_backward(1.0, *saved)).all()


def ccc(x, y, **options):
    return losses.ccc(x, y, **options)[0]


def mixed(x, y):
    """A wrong form in public code: mean covariance over unbiased variances."""
    covariance = ((x - x.mean(0)) * (y - y.mean(0))).mean(0)
    return 2 * covariance / (x.var(0, ddof=1) + y.var(0, ddof=1) + (x.mean(0) - y.mean(0)) ** 2)


@pytest.mark.parametrize("ddof, expected", [(0, 0.9767891683), (1, 0.9777347532)])
def test_ccc_of_torchmetrics_example(ddof, expected):
    assert ccc(PREDICTION, TARGET, ddof=ddof) == pytest.approx(expected, rel=1e-9)


def test_ccc_of_keras_example_is_the_population_form():
    np.testing.assert_allclose(ccc(*KERAS), [0.97560976, 0.98765432], rtol=1e-7)
    np.testing.assert_allclose(ccc(*KERAS, ddof=1)[1], 0.98901099, rtol=1e-7)
    assert ccc(*KERAS)[0] == pytest.approx(ccc(*KERAS, ddof=1)[0], rel=1e-12)  # equal means do not tell the forms apart


@pytest.mark.parametrize("n, expected", [(4, 0.75), (32, 0.96875)])
def test_ccc_never_mixes_its_moments(n, expected):
    x, _ = steps(0, n)
    np.testing.assert_allclose(mixed(x, x), expected, rtol=1e-12)
    for ddof in (0, 1):
        np.testing.assert_allclose(ccc(x, x, ddof=ddof), 1, rtol=1e-12)


def test_the_wrong_forms_differ():
    """The sample form, mixed moments, correlation, and the sum of two losses are not Lin's definition or eq. 16."""
    x, y = steps(3)
    right = ccc(x, y)
    pearson = [np.corrcoef(x[:, d], y[:, d])[0, 1] for d in range(2)]
    for wrong in (ccc(x, y, ddof=1), mixed(x, y), pearson):
        assert (abs(wrong - right) > 1e-3).all()
    assert (1 - right).sum() == pytest.approx(2 * losses.ccc_loss(x, y)[0], rel=1e-12)


@given(st.integers(0, 99), st.integers(3, 20), st.sampled_from([0, 1]))
def test_ccc_is_symmetric_and_bounded_by_pearson(seed, n, ddof):
    x, y = steps(seed, n)
    rho = ccc(x, y, ddof=ddof)
    np.testing.assert_allclose(ccc(y, x, ddof=ddof), rho, rtol=1e-12)
    pearson = [abs(np.corrcoef(x[:, d], y[:, d])[0, 1]) for d in range(2)]
    assert (abs(rho) <= np.array(pearson) + 1e-12).all()


@given(st.integers(0, 99), st.floats(-5, 5), st.sampled_from([0, 1]))
def test_ccc_under_a_shift_has_a_closed_form(seed, shift, ddof):
    x, _ = steps(seed)
    s2 = x.var(0, ddof=ddof)
    np.testing.assert_allclose(ccc(x, x + shift, ddof=ddof), s2 / (s2 + shift**2 / 2), rtol=1e-10)


@given(st.integers(0, 99), st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_ccc_ignores_a_change_of_units_of_both(seed, scale, shift):
    x, y = steps(seed)
    np.testing.assert_allclose(ccc(scale * x + shift, scale * y + shift), ccc(x, y), rtol=1e-6)


@given(st.integers(0, 99), st.sampled_from([0, 1]))
def test_masked_steps_are_as_if_they_were_not_there(seed, ddof):
    x, y = steps(seed, 12)
    mask = np.random.default_rng(seed).random(12) > 0.4
    mask[:3] = True
    loud = np.where(mask[:, None], x, 1e3)
    shape, of_shape = (3, 4, 2), {"mask": mask.reshape(3, 4)}
    for f, options in ((losses.ccc, {"ddof": ddof}), (losses.ccc_loss, {"ddof": ddof}), (losses.mse, {})):
        masked, *saved = f(loud.reshape(shape), y.reshape(shape), **of_shape | options)
        alone, *saved_alone = f(x[mask], y[mask], **options)
        np.testing.assert_allclose(masked, alone, rtol=1e-12)
        backward = backward_of(f)
        dx = backward(np.ones_like(masked), *saved).reshape(12, 2)
        np.testing.assert_allclose(dx[mask], backward(np.ones_like(alone), *saved_alone), rtol=1e-10, atol=1e-15)
        assert (dx[~mask] == 0).all()


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("x, y", [(0.1, 0.1), (0.1, 0.3), (0.1, None), (None, 0.1)])
def test_constant_inputs_have_no_concordance_and_no_nan(x, y, ddof):
    varied = np.random.default_rng(0).normal(size=(7, 1))
    x, y = (varied if v is None else np.full((7, 1), v) for v in (x, y))
    rho, *saved = losses.ccc(x, y, ddof=ddof)
    dx = losses.ccc_backward(np.ones(1), *saved)
    assert rho == 0 and np.isfinite(dx).all()
    if x is not varied and y is not varied:
        assert (dx == 0).all()  # no prediction near a constant agrees better with a constant, to first order
    if y is varied:
        assert (dx != 0).any()  # a model that starts constant can learn


@pytest.mark.parametrize("ddof", [0, 1])
def test_one_step_and_no_step_have_no_concordance(ddof):
    x, y = np.array([[[1.0, 2]], [[3, 4]]]), np.array([[[5.0, 6]], [[7, 8]]])
    for mask in (np.array([[True], [False]]), np.zeros((2, 1), bool)):
        rho, *saved = losses.ccc(x, y, mask, ddof)
        assert (rho == 0).all() and (losses.ccc_backward(np.ones(2), *saved) == 0).all()


def test_a_variance_of_1e_12_beside_a_mean_of_one_is_seen():
    x, _ = steps(0)
    np.testing.assert_allclose(ccc(1 + 1e-6 * x, 1 + 1e-6 * x), 1, rtol=1e-12)
    small = (1e-6 * x).astype("f4")
    np.testing.assert_allclose(ccc(small, small), 1, rtol=1e-6)


def test_ten_thousand_steps_in_float32_keep_their_digits():
    x, y = steps(0, 10_000)
    narrow = ccc((x + 10).astype("f4"), (y + 10).astype("f4"))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, ccc(x, y), rtol=1e-4)


def test_mse_is_the_mean_of_squares_and_zero_without_steps():
    assert losses.mse(PREDICTION, TARGET)[0] == pytest.approx(0.375)
    value, *saved = losses.mse(PREDICTION, TARGET, np.zeros(4, bool))
    assert value == 0 and (losses.mse_backward(1.0, *saved) == 0).all()


def steps(seed, n=9, D=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, D))
    return x, 0.5 * x + rng.normal(1, 1, (n, D))


def info_nce(*args, **options):
    return losses.info_nce(*args, **options)[0]


def by_loops(features, available, tau):
    """Equations 15-17 by the reading of the docstring, one clip and one pair at a time."""
    unit = features / np.linalg.norm(features, axis=-1, keepdims=True)
    B, M, _ = features.shape
    terms = []
    for n in range(B):
        for i in range(M):
            for j in range(M):
                if i != j and available[n, i] and available[n, j]:
                    s = {m: unit[n, i] @ unit[m, j] / tau for m in range(B) if available[m, j]}
                    terms.append(np.log(sum(np.exp(v) for v in s.values())) - s[n])
    return np.mean(terms) if terms else 0


@given(st.integers(0, 99), st.integers(1, 4), st.integers(2, 3), st.floats(0.05, 2))
def test_info_nce_equals_its_loops(seed, B, M, tau):
    rng = np.random.default_rng(seed)
    features, available = rng.normal(size=(B, M, 5)), rng.random((B, M)) > 0.3
    for mask in (available, None):
        expected = by_loops(features, np.ones((B, M), bool) if mask is None else mask, tau)
        assert info_nce(features, mask, tau) == pytest.approx(expected, rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_info_nce_of_identical_pairs(tau):
    B = 4
    apart = np.repeat(np.eye(5)[:B, None], 3, axis=1)  # modalities agree, clips are orthogonal
    assert info_nce(apart, temperature=tau) == pytest.approx(np.log1p((B - 1) * np.exp(-1 / tau)), rel=1e-10)
    assert info_nce(np.ones((B, 3, 5)), temperature=tau) == pytest.approx(np.log(B), rel=1e-12)  # all the same: a guess
    assert info_nce(apart[:1], temperature=tau) == pytest.approx(0, abs=1e-12)  # one clip: no other to confuse it with


def test_info_nce_ignores_the_length_of_features_and_what_is_missing():
    rng = np.random.default_rng(0)
    features, available = rng.normal(size=(4, 3, 5)), rng.random((4, 3)) > 0.3
    assert not available.all()
    value, *saved = losses.info_nce(features, available)
    assert info_nce(7 * features, available) == pytest.approx(value, rel=1e-12)
    for missing in (rng.normal(size=(4, 3, 5)), 0):
        other = np.where(available[..., None], features, missing)
        assert info_nce(other, available) == pytest.approx(value, rel=1e-12)
    assert (losses.info_nce_backward(1.0, *saved)[~available] == 0).all()


def test_info_nce_without_a_pair_is_zero():
    value, *saved = losses.info_nce(np.ones((3, 2, 4), "f4"), np.array([[True, False]] * 3))
    dx = losses.info_nce_backward(1.0, *saved)
    assert value == 0 and (dx == 0).all() and dx.dtype == np.float32


def test_info_nce_stays_finite_at_a_temperature_of_one_in_ten_thousand():
    features = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("f4")
    value, *saved = losses.info_nce(features, temperature=1e-4)
    assert np.isfinite(value) and np.isfinite(losses.info_nce_backward(1.0, *saved)).all()


def test_the_entropy_has_the_sign_of_the_text_unless_asked_for_the_printed_one():
    """Going down the gradient spreads the weights; with the sign as printed, it concentrates them."""
    scores = np.array([[1.0, 0, -1]])

    def after_descent(literal):
        s = scores.copy()
        for _ in range(200):
            w = softmax(s)
            _, *saved = losses.weight_entropy(w, literal)
            s -= softmax_backward(losses.weight_entropy_backward(1.0, *saved), w)
        return softmax(s).max()

    start = softmax(scores).max()
    assert after_descent(False) < 0.4 < start < 0.99 < after_descent(True)


@pytest.mark.parametrize("M", [2, 3])
def test_the_entropy_of_equal_and_of_certain_weights(M):
    assert losses.weight_entropy(np.full((5, M), 1 / M))[0] == pytest.approx(-np.log(M), rel=1e-6)
    assert losses.weight_entropy(np.full((5, M), 1 / M), literal=True)[0] == pytest.approx(np.log(M), rel=1e-6)
    for dtype in ("f4", "f8"):
        value, *saved = losses.weight_entropy(np.eye(M, dtype=dtype))
        assert value == pytest.approx(0, abs=1e-7) and np.isfinite(losses.weight_entropy_backward(1.0, *saved)).all()


def refused(functions, message, *shapes, **options):
    """The rows of the errors of functions of arrays of ones."""
    return [(partial(f, **options), *map(np.ones, shapes), message) for f in functions]


test_wrong_arguments_are_named = errors(
    *refused(CLASSES, "logits have shape", (0, 3), (0, 3), 3),
    *refused(CLASSES, "logits have shape", 3, 3, 3),
    *refused(CLASSES, r"target has shape \(2, 4\)", (2, 3), (2, 4), 3),
    *refused(CLASSES, "target", (2, 3), 3, 3),
    *refused(CLASSES, r"weight has shape \(2,\)", (2, 3), (2, 3), 2),
    *refused(CLASSES[3:], "gamma is -1", (2, 3), (2, 3), 3, gamma=-1),
    *refused(STEPS, "prediction has shape", (0, 2), (0, 2)),
    *refused(STEPS, "prediction has shape", 3, 3),
    *refused(STEPS, r"target has shape \(4, 2\)", (3, 2), (4, 2)),
    *refused(STEPS, "mask has", (3, 2), (3, 2), mask=np.ones(4, bool)),
    *refused(STEPS, "float64", (3, 2), (3, 2), mask=np.ones(3)),
    *refused(STEPS[1:], "ddof is 2", (3, 2), (3, 2), ddof=2),
    *((losses.info_nce, FEATURES, None, tau, f"temperature is {tau}") for tau in (0, -0.1, np.nan)),
    (losses.info_nce, np.ones((0, 2, 4)), "features have shape"),
    (losses.info_nce, np.ones((3, 1, 4)), "two modalities"),
    (losses.info_nce, np.ones((3, 4)), "features have shape"),
    (losses.info_nce, FEATURES, np.ones((2, 3), bool), r"shape \(2, 3\)"),
    (losses.info_nce, FEATURES, np.ones((3, 2)), "float64"),
    (losses.weight_entropy, np.ones((0, 3)), "weight has shape"),
    (losses.weight_entropy, np.ones(3), "weight has shape"),
    *((losses.class_balanced_weights, counts, 0.9, "counts are") for counts in ([0, 0], [3, -1], [3, np.nan], [])),
    *((losses.class_balanced_weights, [3, 4], beta, f"beta is {beta}") for beta in (1.1, -0.1, np.nan)),
)
