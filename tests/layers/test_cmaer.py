"""The laws of cross-modal alignment, of the weights of modalities and of the decoder (paper 001)."""

import numpy as np
import pytest
from error_table import errors

from refmer import params
from refmer.layers import cmaer
from refmer.ops.losses import mse, mse_backward
from refmer.proofs import moved

B, C = 3, 4
rng = np.random.default_rng(1)
STREAMS = {name: rng.normal(size=(B, n, C)) for name, n in {"sound": 3, "face": 5, "body": 2}.items()}
AVAILABLE = np.array([[True, True, True], [True, True, False], [False] * 3])  # all, without body, none
ALIGN, WEIGH = moved(cmaer.describe_cmaa(C, 5)), moved(cmaer.describe_awom(C, 5))
H, DECODER = rng.normal(size=(4, 6)), moved(cmaer.describe_reconstruction(6, 3, 2))


def run(streams, valid=None, available=None, trace=None):
    aligned, back_aligned = cmaer.cmaa(ALIGN, streams, valid, available, trace)
    (h, w), back_weighed = cmaer.awom(WEIGH, streams, aligned, valid, available, trace)

    def backward(dh, dw):
        dstreams, daligned = back_weighed((dh, dw), params.zeros_like(WEIGH))
        dx = back_aligned(daligned, params.zeros_like(ALIGN))
        return {name: dstreams[name] + dx[name] for name in streams}

    return aligned, h, w, backward


def test_alignment_is_the_sum_over_partners_written_out():
    aligned = cmaer.cmaa(ALIGN, STREAMS)[0]
    mean = {name: x.mean(1) for name, x in STREAMS.items()}
    for i, x in STREAMS.items():
        e = {j: np.exp(((mean[i] @ ALIGN.compatibility.W) * mean[j]).sum(-1)) for j in STREAMS if j != i}
        mixed = 0
        for j in e:
            logits = (x @ ALIGN.query.W) @ (STREAMS[j] @ ALIGN.key.W).swapaxes(1, 2) / np.sqrt(C)
            a = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
            mixed = mixed + (e[j] / sum(e.values()))[:, None, None] * (a @ (STREAMS[j] @ ALIGN.value.W) @ ALIGN.out.W)
        up, down = ALIGN.gate.maps
        gate = 1 / (1 + np.exp(-(np.maximum(np.concatenate([x, mixed], -1) @ up.W + up.b, 0) @ down.W + down.b)))
        r = x + gate * mixed
        z = (r - r.mean(-1, keepdims=True)) / np.sqrt(r.var(-1, keepdims=True) + 1e-5)
        np.testing.assert_allclose(aligned[i], ALIGN.norm.gamma * z + ALIGN.norm.beta, rtol=1e-9)


def test_weights_come_from_means_and_variances():
    h, w = cmaer.awom(WEIGH, STREAMS, STREAMS)[0]
    up, down = WEIGH.score.maps
    stats = np.stack([np.concatenate([x.mean(1), x.var(1)], -1) for x in STREAMS.values()], 1)
    e = np.exp(np.maximum(stats @ up.W + up.b, 0) @ down.W + down.b)[..., 0]
    np.testing.assert_allclose(w, e / e.sum(1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(h, sum(w[:, [i]] * x.mean(1) for i, x in enumerate(STREAMS.values())), rtol=1e-12)


def test_masking_after_the_softmax_and_dividing_is_the_masked_softmax():
    full, masked = run(STREAMS)[2], run(STREAMS, available=AVAILABLE)[2]
    literal = AVAILABLE * full / ((AVAILABLE * full).sum(1, keepdims=True) + 1e-300)  # eq. (10)
    np.testing.assert_allclose(masked, literal, rtol=1e-12)


def test_what_is_not_available_has_weight_zero_and_changes_nothing():
    trace = {}
    aligned, h, w, _ = run(STREAMS, available=AVAILABLE, trace=trace)
    assert w[1, 2] == 0 and not w[2].any() and not h[2].any()
    np.testing.assert_allclose(w.sum(1), [1, 1, 0], rtol=1e-12)
    np.testing.assert_array_equal(trace["weights"], w)
    assert not trace["compatibility"][1, :, 2].any() and not trace["compatibility"][1, 2].any()
    assert not trace["compatibility"][2].any()
    np.testing.assert_allclose(trace["compatibility"][1, :2].sum(-1), 1, rtol=1e-12)
    other = {name: x.copy() for name, x in STREAMS.items()}
    other["body"][1:] = 1e3
    changed = run(other, available=AVAILABLE)
    np.testing.assert_array_equal(changed[1], h)
    np.testing.assert_array_equal(changed[2], w)
    for name, y in aligned.items():
        np.testing.assert_array_equal(changed[0][name][1:], y[1:])


def test_what_is_not_available_takes_no_gradient():
    *_, h, w, backward = run(STREAMS, available=AVAILABLE)
    dx = backward(np.ones_like(h), rng.normal(size=w.shape))
    assert not dx["body"][1:].any() and not any(d[2].any() for d in dx.values())
    assert dx["face"][1].any() and dx["body"][0].any()


def test_an_available_modality_without_a_valid_step_is_absent():
    valid = {name: np.ones(x.shape[:2], bool) for name, x in STREAMS.items()}
    valid["body"][1] = False
    silent, absent = run(STREAMS, valid), run(STREAMS, available=np.array([[True] * 3, [True, True, False], [True] * 3]))
    np.testing.assert_allclose(silent[1], absent[1], rtol=1e-12)
    np.testing.assert_allclose(silent[2], absent[2], rtol=1e-12)


def test_padding_and_the_rest_of_the_batch_change_nothing():
    padded = {name: np.concatenate([x, np.full((B, 2, C), 9.0)], 1) for name, x in STREAMS.items()}
    valid = {name: np.broadcast_to(np.arange(x.shape[1]) < x.shape[1] - 2, x.shape[:2]) for name, x in padded.items()}
    aligned, h, w, backward = run(STREAMS)
    aligned2, h2, w2, backward2 = run(padded, valid)
    np.testing.assert_allclose(h2, h, rtol=1e-9)
    np.testing.assert_allclose(w2, w, rtol=1e-9)
    dx, dx2 = backward(np.ones_like(h), w), backward2(np.ones_like(h), w)
    for name, x in STREAMS.items():
        T = x.shape[1]
        np.testing.assert_allclose(aligned2[name][:, :T], aligned[name], rtol=1e-9)
        np.testing.assert_allclose(dx2[name][:, :T], dx[name], rtol=1e-8, atol=1e-12)
        assert not dx2[name][:, T:].any()
        np.testing.assert_allclose(run({n: z[1:2] for n, z in STREAMS.items()})[0][name], aligned[name][1:2], rtol=1e-9)


def test_constant_streams_and_huge_scores_stay_finite_in_float32():
    flat = {name: np.full(x.shape, 1e4, "f4") for name, x in STREAMS.items()}
    align, weigh = (params.init(d, 0) for d in (cmaer.describe_cmaa(C, 5), cmaer.describe_awom(C, 5)))
    aligned, back_aligned = cmaer.cmaa(align, flat)
    (h, w), back = cmaer.awom(weigh, flat, aligned)
    dstreams, daligned = back((np.ones_like(h), np.ones_like(w)), params.zeros_like(weigh))
    dx = back_aligned(daligned, params.zeros_like(align))
    arrays = [*aligned.values(), h, w, *dstreams.values(), *daligned.values(), *dx.values()]
    assert all(np.isfinite(v).all() and v.dtype == np.float32 for v in arrays)


def test_the_loss_of_the_decoder_is_zero_where_it_is_right_and_the_mean_square_elsewhere():
    right = (H @ DECODER.W + DECODER.b).reshape(4, 3, 2)
    decoded, _ = cmaer.reconstruction(DECODER, H, 3)
    assert mse(decoded, right)[0] == 0
    assert mse(decoded, right + 0.5)[0] == pytest.approx(0.25, rel=1e-12)


def test_a_missing_modality_is_no_target_of_the_decoder():
    decoded, _ = cmaer.reconstruction(DECODER, H, 3)
    available, target = rng.random((4, 3)) > 0.4, rng.normal(size=(4, 3, 2))
    (value, *saved), (other, *others) = (
        mse(decoded, t, available) for t in (target, np.where(available[..., None], target, 1e3))
    )
    assert value == other > 0
    np.testing.assert_array_equal(mse_backward(1.0, *saved), mse_backward(1.0, *others))


test_bad_input_is_named = errors(
    (lambda: cmaer.cmaa(ALIGN, {"face": STREAMS["face"]}), r"streams are \['face'\]; accepted: at least two"),
    (lambda: run(STREAMS, available=AVAILABLE[:2]), r"available has dtype bool, shape \(2, 3\); accepted: bool, \(3, 3\)"),
    (
        lambda: run(STREAMS, {name: np.ones((B, 5), bool) for name in STREAMS}),
        r"valid\['sound'\] has dtype bool and shape \(3, 5\); accepted: bool, \(3, 3\)",
    ),
    (
        lambda: run(STREAMS, {"face": np.ones((B, 5), bool)}),
        r"valid names \['face'\], streams are \['body', 'face', 'sound'\]",
    ),
)
