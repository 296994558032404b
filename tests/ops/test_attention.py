"""Laws of attention weights and masks."""

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st

from refmer.ops import attention as at


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 6), st.sampled_from(list(at.SCALES)), st.integers(0, 99))
def test_rows_sum_to_one_and_ignore_a_shift_of_the_logits(T, S, D, scale, seed):
    q, k, shift = draw(seed, (2, T, D), (2, S, D), (1, 1, D))
    a = at.attention_weights(q, k, scale=scale)[0]
    np.testing.assert_allclose(a.sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(at.attention_weights(q, k + shift, scale=scale)[0], a, rtol=1e-9)  # adds q shift to a whole row


@given(st.integers(1, 7), st.integers(0, 99))
def test_the_order_of_keys_is_the_order_of_weights(S, seed):
    q, k = draw(seed, (2, 3, 5), (2, S, 5))
    order = np.random.default_rng(seed).permutation(S)
    a, b = at.attention_weights(q, k)[0], at.attention_weights(q, k[:, order])[0]
    np.testing.assert_allclose(b, a[..., order], rtol=1e-12)


def test_scales_are_the_roots_of_head_width_and_of_the_keys_that_may_be_seen():
    q, k = draw(1, (2, 3, 4), (2, 5, 4))
    valid = np.array([[True, True, True, False, False], [True] * 5])
    masked = at.attention_weights(q, k, valid[:, None], "keys")[0]
    for b, n in enumerate((3, 5)):  # written out, clip by clip
        e = np.exp(q[b] @ k[b, :n].T / np.sqrt(n))
        np.testing.assert_allclose(masked[b, :, :n], e / e.sum(-1, keepdims=True), rtol=1e-12)
    e = np.exp(q @ k.swapaxes(1, 2) / 2)
    np.testing.assert_allclose(at.attention_weights(q, k)[0], e / e.sum(-1, keepdims=True), rtol=1e-12)
    np.testing.assert_array_equal(at.attention_weights(q, k, scale="keys")[0][1], masked[1])


def test_a_causal_mask_takes_no_key_out_of_the_count():
    q, k = draw(1, (2, 5, 4), (2, 5, 4))
    last = at.attention_weights(q, k, at.causal(5, 5), "keys")[0][:, -1]
    np.testing.assert_allclose(last, at.attention_weights(q, k, scale="keys")[0][:, -1], rtol=1e-12)


@pytest.mark.parametrize("scale", at.SCALES)
def test_an_empty_row_is_zero_with_zero_gradient(scale):
    q, k = draw(1, (2, 3, 4), (2, 5, 4))
    mask = np.ones((2, 3, 5), bool)
    mask[1], mask[0, 2] = False, False
    a, *saved = at.attention_weights(q, k, mask, scale)
    dq, dk = at.attention_weights_backward(np.ones_like(a), *saved)
    assert not a[1].any() and not a[0, 2].any() and not dq[1].any() and not dk[1].any() and not dq[0, 2].any()
    np.testing.assert_allclose(a[0, :2].sum(-1), 1)


def test_it_stays_finite_in_float32():
    q, k = np.float32([[[1e2], [-1e2]]]), np.float32([[[1e2], [-1e2], [0]]])  # logits of +-1e4
    a, *saved = at.attention_weights(q, k)
    np.testing.assert_allclose(a, [[[1, 0, 0], [0, 1, 0]]], atol=1e-6)
    assert all(np.isfinite(d).all() for d in at.attention_weights_backward(np.ones_like(a), *saved))
    long = at.attention_weights(q, np.zeros((1, 10_000, 1), "f4"))[0]
    np.testing.assert_allclose(long, 1e-4, rtol=1e-5)


def test_attend_is_the_weights_times_the_values_in_every_head(on):
    q, k, v = draw(1, (2, 3, 6), (2, 5, 6), (2, 5, 6))
    mask = at.causal(3, 5)[None, None] & (np.arange(5) < [[5], [0]])[:, None, None]  # the second clip has nothing left
    a = at.attention_weights(at.split_heads(q, 2), at.split_heads(k, 2), mask)[0]
    y, *saved = at.attend(q, k, v, 2, 3**-0.5, mask)
    gradients = at.attend_backward(np.ones_like(y), *saved)
    np.testing.assert_allclose(y, at.merge_heads(a @ at.split_heads(v, 2)), rtol=1e-12, atol=1e-15)
    assert not y[1].any() and not any(d[1].any() for d in gradients) and all(d[0].any() for d in gradients)


@pytest.mark.parametrize("T", [3, 40])
def test_not_a_number_stays_in_its_row(on, T):
    q, k, v = draw(1, (1, T, 4), (1, 5, 4), (1, 5, 4))
    q[0, 1, 0] = np.nan
    y = at.attend(q, k, v, 2, 0.5)[0]
    assert np.isnan(y[0, 1, :2]).all() and np.isnan(y).sum() == 2


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 7))
def test_masks_equal_their_loops(T, S, width):
    np.testing.assert_array_equal(at.causal(T, S), [[s <= t + S - T for s in range(S)] for t in range(T)])
    np.testing.assert_array_equal(at.banded(T, S, width), [[abs(t - s) <= width for s in range(S)] for t in range(T)])


@given(st.integers(0, 7), st.integers(0, 7), st.integers(0, 3))
def test_between_two_sequences_only_the_valid_lengths_count(n_q, n_k, padding):
    T, S = max(n_q, 1) + padding, max(n_k, 1) + 2 * padding
    mask = at.causal_between(np.arange(T)[None] < n_q, np.arange(S)[None] < n_k)
    assert mask.shape == (1, 1, T, S)
    np.testing.assert_array_equal(mask[0, 0], [[s <= t + abs(n_q - n_k) for s in range(S)] for t in range(T)])
    assert mask.any(-1).all()  # no row is all masked


def test_a_hole_is_no_end_and_each_clip_has_its_own_lengths():
    queries = np.array([[True, False, True], [True, False, False]])
    mask = at.causal_between(queries, np.ones((2, 3), bool))[:, 0]
    np.testing.assert_array_equal(mask, [np.tri(3), np.tri(3, k=2)])


def test_masks_combine():
    valid = np.array([[True, True, False]])
    both = at.key_mask(valid) & at.causal(3, 3) & at.banded(3, 3, 1)
    np.testing.assert_array_equal(both[0, 0], [[True, False, False], [True, True, False], [False, True, False]])
    assert at.key_mask(np.ones((2, 5), bool)).shape == (2, 1, 1, 5)


Q, K = np.ones((2, 3, 4)), np.ones((2, 5, 4))


test_wrong_arguments_are_named_by_kernel_and_definition = pytest.mark.usefixtures("on")(
    errors(
        (lambda: at.attention_weights(Q, K, scale="root"), "scale is 'root'; accepted: 'width', 'keys'"),
        (lambda: at.attention_weights(Q, K, np.ones((2, 1, 6), bool)), r"mask has shape \(2, 1, 6\)"),
        (lambda: at.attention_weights(Q, K, np.ones((2, 1, 6), bool), "keys"), r"mask has shape \(2, 1, 6\)"),
        (lambda: at.attend(Q, K, K, 2, 0.5, np.ones((2, 1, 1, 6), bool)), r"mask has shape \(2, 1, 1, 6\)"),
        (lambda: at.key_mask(np.ones((2, 3))), "valid has dtype float64; expected bool"),
        (lambda: at.key_mask(np.ones(3, bool)), r"valid has shape \(3,\); expected \(B, S\)"),
        (lambda: at.banded(3, 3, -1), "width is -1"),
    )
)
