"""Laws of the terms of paper 001's loss."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer.ops import losses
from refmer.ops.activations import softmax, softmax_backward

few = settings(deadline=None, max_examples=25, derandomize=True)


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


@few
@given(st.integers(0, 99), st.integers(1, 4), st.integers(2, 3), st.floats(0.05, 2))
def test_info_nce_equals_its_loops(seed, B, M, tau):
    rng = np.random.default_rng(seed)
    features, available = rng.normal(size=(B, M, 5)), rng.random((B, M)) > 0.3
    assert info_nce(features, available, tau) == pytest.approx(by_loops(features, available, tau), rel=1e-11, abs=1e-13)
    assert info_nce(features, temperature=tau) == pytest.approx(
        by_loops(features, np.ones((B, M), bool), tau), rel=1e-11, abs=1e-13
    )


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
    other = np.where(available[..., None], features, rng.normal(size=(4, 3, 5)))
    assert info_nce(other, available) == pytest.approx(value, rel=1e-12)
    gone = np.where(available[..., None], features, 0)
    assert info_nce(gone, available) == pytest.approx(value, rel=1e-12)
    assert (losses.info_nce_backward(1.0, *saved)[~available] == 0).all()


def test_info_nce_without_a_pair_is_zero():
    value, *saved = losses.info_nce(np.ones((3, 2, 4), "f4"), np.array([[True, False]] * 3))
    dx = losses.info_nce_backward(1.0, *saved)
    assert value == 0 and (dx == 0).all() and dx.dtype == np.float32


def test_info_nce_stays_finite_at_a_temperature_of_one_in_ten_thousand():
    features = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("f4")
    value, *saved = losses.info_nce(features, temperature=1e-4)
    assert np.isfinite(value) and np.isfinite(losses.info_nce_backward(1.0, *saved)).all()


@pytest.mark.parametrize(
    "shape, options, said",
    [
        ((3, 2, 4), {"temperature": 0}, "temperature is 0"),
        ((3, 2, 4), {"temperature": -0.1}, "temperature is -0.1"),
        ((3, 2, 4), {"temperature": np.nan}, "temperature is nan"),
        ((0, 2, 4), {}, "features have shape"),
        ((3, 1, 4), {}, "two modalities"),
        ((3, 4), {}, "features have shape"),
        ((3, 2, 4), {"available": np.ones((2, 3), bool)}, r"shape \(2, 3\)"),
        ((3, 2, 4), {"available": np.ones((3, 2))}, "float64"),
    ],
)
def test_info_nce_names_what_does_not_fit(shape, options, said):
    with pytest.raises(ValueError, match=said):
        losses.info_nce(np.ones(shape), **options)


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


@pytest.mark.parametrize("shape", [(0, 3), (3,)])
def test_weights_of_another_shape_are_named(shape):
    with pytest.raises(ValueError, match="weight has shape"):
        losses.weight_entropy(np.ones(shape))
