"""The laws of the equations of TLAB-JCA (paper 003) and of the parts of its authors' code."""

from types import SimpleNamespace

import numpy as np
import pytest
from error_table import errors

from refmer import params
from refmer.layers import dense, tlab, tlab_code
from refmer.layers.convolution import describe_tcn
from refmer.layers.sequence import describe_lstm
from refmer.ops.attention import banded
from refmer.proofs import moved

B, T, C = 2, 6, 4
rng = np.random.default_rng(1)
RECURRENT, CONVOLVED = rng.normal(size=(B, T, C)), rng.normal(size=(B, T, C))
VALID = np.arange(T) < np.array([[4], [T]])
P, CODE = moved(tlab.describe_tlab(C)), moved(tlab_code.describe_tlab_code(C))
FORMS = {
    "paper": lambda *inputs: tlab.tlab(P, *inputs),
    "band": lambda *inputs: tlab.tlab(P, *inputs, band=1),
    "code": lambda *inputs: tlab_code.tlab_code(CODE, *inputs),
}


def maps(valid=None, band=None):
    trace = {}
    y, _ = tlab.tlab(P, RECURRENT, CONVOLVED, valid, band, trace)
    return trace["global"], trace["local"], y


def test_the_product_of_both_maps_stays_row_stochastic():
    for valid in (None, VALID):
        a_global, a_local, y = maps(valid)
        both = a_global @ a_local
        np.testing.assert_allclose(both.sum(-1), 1, rtol=1e-12)
        assert (both >= 0).all()
        np.testing.assert_allclose(y, both @ (CONVOLVED @ P.value.W), rtol=1e-11)


def test_the_local_map_is_the_global_one_normalised_by_columns_and_not_local():
    a_global, a_local, _ = maps()
    logits = (RECURRENT @ P.query.W) @ (CONVOLVED @ P.key.W).swapaxes(1, 2) / np.sqrt(C)
    e = np.exp(logits)
    np.testing.assert_allclose(a_global, e / e.sum(2, keepdims=True), rtol=1e-11)
    np.testing.assert_allclose(a_local.swapaxes(1, 2), e / e.sum(1, keepdims=True), rtol=1e-11)
    assert (a_local > 0).all()  # every step attends to every other
    order = rng.permutation(T)  # and its weights do not depend on where a step stands
    turned, _ = tlab.tlab(P, RECURRENT[:, order], CONVOLVED[:, order])
    np.testing.assert_allclose(turned, maps()[2][:, order], rtol=1e-10)


def test_a_band_makes_it_local():
    near = banded(T, T, 1)
    a_local = maps(band=1)[1]
    assert not a_local[:, ~near].any() and (a_local[:, near] > 0).all()
    a_local = maps(VALID, 1)[1]
    assert not a_local[:, ~near].any() and not a_local[0, :, 4:].any()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_padding_changes_nothing(form):
    y, _ = form(RECURRENT, CONVOLVED, VALID)
    other = [np.where(VALID[..., None], x, 9.0) for x in (RECURRENT, CONVOLVED)]
    np.testing.assert_allclose(form(*other, VALID)[0][VALID], y[VALID], rtol=1e-11)
    np.testing.assert_allclose(form(RECURRENT[:1, :4], CONVOLVED[:1, :4])[0], y[:1, :4], rtol=1e-11)


def test_a_clip_of_nothing_gives_zero_and_takes_no_gradient():
    y, backward = tlab.tlab(P, RECURRENT, CONVOLVED, np.array([[True] * T, [False] * T]))
    dx = backward(np.ones_like(y), params.zeros_like(P))
    assert not y[1].any() and not any(d[1].any() for d in dx)


def test_the_code_has_two_heads():
    trace = {}
    tlab_code.tlab_code(CODE, RECURRENT, CONVOLVED, trace=trace)
    assert trace["attention"].shape == (B, 2, T, T)


X = np.random.default_rng(0).normal(size=(3, 7, 6))
LENGTHS = np.arange(7) < np.array([7, 4, 0])[:, None]
PAPER = {"tcn": describe_tcn(6, [6, 6]), "lstm": describe_lstm(6, 6), "attention": tlab.describe_tlab(6)}
OF_CODE = {"lstm": tlab_code.describe_lstm_module(6, 6), "attention": tlab_code.describe_tlab_code(6)}
BLOCKS = {
    "paper": (PAPER, {}),
    "code": (PAPER | OF_CODE, {"recur": tlab_code.lstm_module, "attend": tlab_code.tlab_code}),
}


def block(variant, *names):
    """The temporal block with these parts, as a function of x and valid."""
    description, functions = BLOCKS[variant]
    p = SimpleNamespace(**{name: part for name, part in vars(moved(description)).items() if name in names})
    return lambda x, valid: tlab.temporal(p, x, valid, **functions)[0]


@pytest.mark.parametrize("variant", BLOCKS)
@pytest.mark.parametrize("use", [(), ("tcn",), ("lstm",), ("attention",), ("tcn", "lstm"), ("tcn", "lstm", "attention")])
def test_what_is_not_valid_changes_nothing_and_every_combination_runs(variant, use):
    run = block(variant, *use)
    y = run(X, LENGTHS)
    np.testing.assert_allclose(y, run(np.where(LENGTHS[..., None], X, 9.0), LENGTHS), rtol=1e-12)
    assert y.shape == X.shape and np.isfinite(y).all()
    np.testing.assert_allclose(y[1:2, :4], run(X[1:2, :4], LENGTHS[1:2, :4]), rtol=1e-12, atol=1e-14)


def test_without_any_part_the_block_is_the_identity_and_without_attention_a_sum():
    tcn, lstm, both, none = (block("paper", *use)(X, LENGTHS) for use in (["tcn"], ["lstm"], ["tcn", "lstm"], []))
    np.testing.assert_allclose(both, tcn + lstm, rtol=1e-12)
    np.testing.assert_array_equal(none, np.where(LENGTHS[..., None], X, 0))


def test_the_lstm_of_the_equations_reads_the_past_only_and_the_module_both_ways():
    later = X.copy()
    later[:, 5] += 1
    for variant, unchanged in (("paper", True), ("code", False)):
        first, second = (block(variant, "lstm")(x, np.ones((3, 7), bool))[:, :5] for x in (X, later))
        assert np.allclose(first, second, rtol=1e-12) == unchanged


def test_the_authors_module_gives_vectors_of_length_one_and_learns_its_start():
    p = moved(tlab_code.describe_lstm_module(6, 4))
    y, _ = tlab_code.lstm_module(p, X)
    assert y.shape == (3, 7, 4)
    np.testing.assert_allclose((y * y).sum(-1), 1, rtol=1e-12)
    p.start[...] += 1
    assert np.abs(tlab_code.lstm_module(p, X)[0] - y).max() > 1e-3


N, V, A = 5, 7, 3
FRAMES, SOUND = rng.normal(size=(B, T, N, V)), rng.normal(size=(B, T, A))
PLACES = moved(tlab.describe_avga(V, A, 8, 3))


def test_avga_is_a_mean_over_positions_whose_order_does_not_matter():
    trace = {}
    y, _ = tlab.avga(PLACES, FRAMES, SOUND, trace)
    a = trace["positions"]
    np.testing.assert_allclose(a.sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(y, (a[..., None] * FRAMES).sum(2) @ PLACES.out.W + PLACES.out.b, rtol=1e-12)
    np.testing.assert_allclose(tlab.avga(PLACES, FRAMES[:, :, rng.permutation(N)], SOUND)[0], y, rtol=1e-11)


def test_sound_moves_the_weights_and_equal_positions_share_them():
    trace = {}
    tlab.avga(PLACES, FRAMES, SOUND, trace)
    tlab.avga(PLACES, FRAMES, SOUND[::-1], trace)
    tlab.avga(PLACES, np.repeat(FRAMES[:, :, :1], N, 2), SOUND, trace)
    before, after, equal = trace["positions"]
    assert np.abs(before - after).max() > 1e-3
    np.testing.assert_allclose(equal, 1 / N, rtol=1e-12)


AUDIO, VISUAL = rng.normal(size=(B, T, A)), rng.normal(size=(B, T, C))
LAYERS = {
    "joint": (tlab.joint_cross_attention, moved(tlab.describe_joint_cross_attention(A, C, T, 7))),
    "dense": (tlab_code.dense_coattention, moved(tlab_code.describe_dense_coattention(A, C, T))),
}
each = pytest.mark.parametrize("layer, p", LAYERS.values(), ids=LAYERS)


@each
def test_what_lies_in_padding_changes_no_valid_output_and_no_gradient(layer, p):
    other = [np.where(VALID[..., None], x, 1e3) for x in (AUDIO, VISUAL)]
    dy = [VALID[..., None] * rng.normal(size=x.shape) for x in (AUDIO, VISUAL)]
    values = []
    for x in ((AUDIO, VISUAL), other):
        g = params.zeros_like(p)
        y, backward = layer(p, *x, VALID)
        dx = backward(dy, g)
        assert not any(d[~VALID].any() for d in dx)
        values.append([*(v[VALID] for v in y), *dx, g.vector])
    for a, b in zip(*values, strict=True):
        np.testing.assert_array_equal(a, b)


@each
def test_a_clip_alone_gives_the_same(layer, p):
    y, _ = layer(p, AUDIO, VISUAL, VALID)
    alone, _ = layer(p, AUDIO[:1], VISUAL[:1], VALID[:1])
    for a, b in zip(alone, y, strict=True):
        np.testing.assert_allclose(a, b[:1], rtol=1e-11)


def test_joint_cross_attention_written_out_in_the_letters_of_the_paper():
    layer, p = LAYERS["joint"]
    y = layer(p, AUDIO, VISUAL)[0]
    for b in range(B):
        J = np.concatenate([AUDIO[b], VISUAL[b]], -1)  # (L, d)
        for x, y_x, q in ((AUDIO[b], y[0][b], p.audio), (VISUAL[b], y[1][b], p.visual)):
            K = np.tanh(x.T @ q.correlate.W @ J / np.sqrt(A + C))  # (c, d)
            H = np.maximum(q.time.W.T @ x + q.relate.W.T @ K.T, 0)  # (k, c)
            np.testing.assert_allclose(y_x, q.expand.W.T @ H + x, rtol=1e-11)


def test_dense_coattention_written_out_with_sums_over_valid_steps():
    layer, p = LAYERS["dense"]
    y = layer(p, AUDIO, VISUAL, VALID)[0]
    for b, n in enumerate(VALID.sum(1)):
        audio, visual = AUDIO[b, :n], VISUAL[b, :n]
        q = np.concatenate([audio, visual], -1) @ p.query.W + p.query.b
        for x, y_x, m in ((audio, y[0][b, :n], p.audio), (visual, y[1][b, :n], p.visual)):
            k = x.T @ m.time.W[:n, :n] + m.time.b[:n]
            S = np.tanh(k @ q / np.sqrt(A + C))
            w = np.maximum(np.tanh((x @ m.guide.W + m.guide.b) @ S), 0)
            np.testing.assert_allclose(y_x, x + np.maximum(w @ m.out.W + m.out.b, 0), rtol=1e-11)


def test_published_sizes():
    assert params.count(tlab.describe_tlab(512)) == 3 * 512 * 512
    assert params.count(tlab_code.describe_tlab_code(512)) == 1_051_648
    assert params.count(tlab.describe_avga(512, 512, 512, 49)) == 3 * 262_656 + 2 * 25_088 + 49 == 838_193
    assert params.count(tlab_code.describe_dense_coattention(512, 512, 16)) == 2_625_056
    assert params.count(tlab.describe_joint_cross_attention(512, 512, 16, 32)) == 68_096
    assert params.count(tlab.describe_joint_cross_attention(128, 128, 16, 32)) == 18_944  # the JCA baseline's


def test_the_residual_of_the_text_is_the_input_of_the_block():
    y, block = rng.normal(size=(B, T, C)), rng.normal(size=(B, T, C))
    z, _ = tlab.input_residual(y + np.where(VALID[..., None], block, 0), block, CONVOLVED, VALID, VALID)
    np.testing.assert_allclose(z, y + np.where(VALID[..., None], CONVOLVED, 0), rtol=1e-12)


def test_windows_are_consecutive_and_unfold_undoes_them():
    x = np.arange(2 * 5 * 3.0).reshape(2, 5, 3)
    y, back = tlab.fold(x, 2)
    assert y.shape == (6, 2, 3)
    np.testing.assert_array_equal(y[3:5].reshape(4, 3), x[1, :4])
    assert (y[2, 1] == 0).all()
    np.testing.assert_array_equal(tlab.unfold(y, 2, 5)[0], x)
    np.testing.assert_array_equal(back(y), x)


H = np.random.default_rng(0).normal(size=(B * 2, 3, C))  # two clips of 5 steps in windows of 3
STEPS = np.array([[True] * 3, [True, False, False], [True, True, False], [False] * 3])
HEAD = moved(dense.describe_linear(C, 2))


def answer(over_time, pooled=False):
    z, _ = tlab.gather(H, STEPS, B, 5, over_time, pooled)
    return tlab.answer(dense.linear(HEAD, z)[0], 3, B, 5, over_time)[0]["logits"]


MEANS = np.stack([H[0].mean(0), H[1, 0], H[2, :2].mean(0), np.zeros(C)])  # of the valid steps of each window


@pytest.mark.parametrize("pooled, h", [(False, H), (True, np.repeat(MEANS, 3, 0))], ids=["step", "window"])
def test_a_step_is_answered_by_itself_or_from_the_mean_over_its_window(pooled, h):
    expected = (h @ HEAD.W + HEAD.b).reshape(B, 6, 2)[:, :5]
    np.testing.assert_allclose(answer(True, pooled), expected, rtol=1e-12)


def test_a_clip_is_answered_from_the_mean_over_all_its_valid_steps():
    means = np.stack([np.concatenate([H[0], H[1, :1]]).mean(0), H[2, :2].mean(0)])
    np.testing.assert_allclose(answer(False, pooled=True), means @ HEAD.W + HEAD.b, rtol=1e-12)


test_bad_input_is_named = errors(
    *((f, p, AUDIO[:, 1:], VISUAL[:, 1:], "audio has 5 steps, visual 5; accepted: 6") for f, p in LAYERS.values()),
    *((f, p, AUDIO, VISUAL, VALID[:, 1:], r"mask has shape \(2, 5, 1\)") for f, p in LAYERS.values()),
    (tlab.tlab, P, RECURRENT, CONVOLVED[:, 1:], "recurrent has .* convolved"),
    (tlab.tlab, P, RECURRENT, CONVOLVED, VALID[:, 1:], r"mask has shape \(2, 1, 5\)"),
)
