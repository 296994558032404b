"""Laws and published values of concordance and squared error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer.ops import losses

few = settings(deadline=None, max_examples=25, derandomize=True)
TARGET, PREDICTION = np.array([[3, -0.5, 2, 7]]).T, np.array([[2.5, 0, 2, 8]]).T
KERAS = np.array([[0, 1, 0.5], [1, 1, 0.2]]).T, np.array([[0.1, 0.9, 0.5], [1, 0.9, 0.2]]).T


def ccc(x, y, **options):
    return losses.ccc(x, y, **options)[0]


def mixed(x, y):
    """The wrong form of some public code: mean covariance over unbiased variances."""
    covariance = ((x - x.mean(0)) * (y - y.mean(0))).mean(0)
    return 2 * covariance / (x.var(0, ddof=1) + y.var(0, ddof=1) + (x.mean(0) - y.mean(0)) ** 2)


def drawn(seed, n=9, D=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, D))
    return x, 0.5 * x + rng.normal(1, 1, (n, D))


@pytest.mark.parametrize("ddof, expected", [(0, 0.9767891683), (1, 0.9777347532)])
def test_ccc_of_torchmetrics_example(ddof, expected):
    assert ccc(PREDICTION, TARGET, ddof=ddof) == pytest.approx(expected, rel=1e-9)


def test_ccc_of_keras_example_is_the_population_form():
    np.testing.assert_allclose(ccc(*KERAS), [0.97560976, 0.98765432], rtol=1e-7)
    np.testing.assert_allclose(ccc(*KERAS, ddof=1)[1], 0.98901099, rtol=1e-7)
    assert ccc(*KERAS)[0] == pytest.approx(ccc(*KERAS, ddof=1)[0], rel=1e-12)  # equal means do not tell the forms apart


@pytest.mark.parametrize("n, expected", [(4, 0.75), (32, 0.96875)])
def test_ccc_never_mixes_its_moments(n, expected):
    x, _ = drawn(0, n)
    np.testing.assert_allclose(mixed(x, x), expected, rtol=1e-12)
    for ddof in (0, 1):
        np.testing.assert_allclose(ccc(x, x, ddof=ddof), 1, rtol=1e-12)


def test_the_wrong_forms_differ():
    """The sample form, mixed moments, correlation, and the sum of two losses are not Lin's definition or eq. 16."""
    x, y = drawn(3)
    right = ccc(x, y)
    pearson = [np.corrcoef(x[:, d], y[:, d])[0, 1] for d in range(2)]
    for wrong in (ccc(x, y, ddof=1), mixed(x, y), pearson):
        assert (abs(wrong - right) > 1e-3).all()
    assert (1 - right).sum() == pytest.approx(2 * losses.ccc_loss(x, y)[0], rel=1e-12)


@few
@given(st.integers(0, 99), st.integers(3, 20), st.sampled_from([0, 1]))
def test_ccc_is_symmetric_and_bounded_by_pearson(seed, n, ddof):
    x, y = drawn(seed, n)
    rho = ccc(x, y, ddof=ddof)
    np.testing.assert_allclose(ccc(y, x, ddof=ddof), rho, rtol=1e-12)
    pearson = [abs(np.corrcoef(x[:, d], y[:, d])[0, 1]) for d in range(2)]
    assert (abs(rho) <= np.array(pearson) + 1e-12).all()


@few
@given(st.integers(0, 99), st.floats(-5, 5), st.sampled_from([0, 1]))
def test_ccc_under_a_shift_has_a_closed_form(seed, shift, ddof):
    x, _ = drawn(seed)
    s2 = x.var(0, ddof=ddof)
    np.testing.assert_allclose(ccc(x, x + shift, ddof=ddof), s2 / (s2 + shift**2 / 2), rtol=1e-10)


@few
@given(st.integers(0, 99), st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_ccc_ignores_a_change_of_units_of_both(seed, scale, shift):
    x, y = drawn(seed)
    np.testing.assert_allclose(ccc(scale * x + shift, scale * y + shift), ccc(x, y), rtol=1e-6)


@few
@given(st.integers(0, 99), st.sampled_from([0, 1]))
def test_masked_steps_are_as_if_they_were_not_there(seed, ddof):
    x, y = drawn(seed, 12)
    mask = np.random.default_rng(seed).random(12) > 0.4
    mask[:3] = True
    loud = np.where(mask[:, None], x, 1e3)
    shape = (3, 4, 2)
    options = {"mask": mask.reshape(3, 4), "ddof": ddof}
    for f, kept in ((losses.ccc, {"ddof": ddof}), (losses.ccc_loss, {"ddof": ddof}), (losses.mse, {})):
        masked, *saved = f(loud.reshape(shape), y.reshape(shape), **{"mask": options["mask"]} | kept)
        alone, *saved_alone = f(x[mask], y[mask], **kept)
        np.testing.assert_allclose(masked, alone, rtol=1e-12)
        backward = getattr(losses, f"{f.__name__}_backward")
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
    x, _ = drawn(0)
    np.testing.assert_allclose(ccc(1 + 1e-6 * x, 1 + 1e-6 * x), 1, rtol=1e-12)
    small = (1e-6 * x).astype("f4")
    np.testing.assert_allclose(ccc(small, small), 1, rtol=1e-6)


def test_ten_thousand_steps_in_float32_keep_their_digits():
    x, y = drawn(0, 10_000)
    narrow = ccc((x + 10).astype("f4"), (y + 10).astype("f4"))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, ccc(x, y), rtol=1e-4)


def test_mse_is_the_mean_of_squares_and_zero_without_steps():
    assert losses.mse(PREDICTION, TARGET)[0] == pytest.approx(0.375)
    value, *saved = losses.mse(PREDICTION, TARGET, np.zeros(4, bool))
    assert value == 0 and (losses.mse_backward(1.0, *saved) == 0).all()


@pytest.mark.parametrize("f", [losses.ccc, losses.ccc_loss, losses.mse])
@pytest.mark.parametrize(
    "x, y, mask, said",
    [
        ((0, 2), (0, 2), None, "prediction has shape"),
        ((3,), (3,), None, "prediction has shape"),
        ((3, 2), (4, 2), None, r"target has shape \(4, 2\)"),
        ((3, 2), (3, 2), np.ones(4, bool), "mask has"),
        ((3, 2), (3, 2), np.ones(3), "float64"),
    ],
)
def test_shapes_that_do_not_fit_are_named(f, x, y, mask, said):
    with pytest.raises(ValueError, match=said):
        f(np.ones(x), np.ones(y), mask)


def test_another_ddof_is_named():
    with pytest.raises(ValueError, match="ddof is 2"):
        losses.ccc(PREDICTION, TARGET, ddof=2)
