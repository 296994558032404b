"""The laws of the attention of TLAB (paper 003)."""

import numpy as np
import pytest

from refmer import params
from refmer.layers import tlab
from refmer.ops.attention import banded, key_mask
from refmer.proofs import moved

B, T, C = 2, 6, 4
rng = np.random.default_rng(1)
RECURRENT, CONVOLVED = rng.normal(size=(B, T, C)), rng.normal(size=(B, T, C))
VALID = np.arange(T) < np.array([[4], [T]])
P, CODE = moved(tlab.describe_tlab(C)), moved(tlab.describe_tlab_code(C))


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
    assert (a_local > 0).all()  # every step looks at every other
    order = rng.permutation(T)  # and where a step stands makes no difference: nothing local about that
    turned, _ = tlab.tlab(P, RECURRENT[:, order], CONVOLVED[:, order])
    np.testing.assert_allclose(turned, maps()[2][:, order], rtol=1e-10)


def test_a_band_makes_it_local():
    near = banded(T, T, 1)
    a_local = maps(band=1)[1]
    assert not a_local[:, ~near].any() and (a_local[:, near] > 0).all()
    a_local = maps(VALID, 1)[1]
    assert not a_local[:, ~near].any() and not a_local[0, :, 4:].any()


@pytest.mark.parametrize("form", ["paper", "band", "code"])
def test_padding_changes_nothing(form):
    def run(recurrent, convolved, valid=None):
        if form == "code":
            return tlab.tlab_code(CODE, recurrent, convolved, 2, None if valid is None else key_mask(valid))[0]
        return tlab.tlab(P, recurrent, convolved, valid, 1 if form == "band" else None)[0]

    y = run(RECURRENT, CONVOLVED, VALID)
    other = [np.where(VALID[..., None], x, 9.0) for x in (RECURRENT, CONVOLVED)]
    np.testing.assert_allclose(run(*other, VALID)[VALID], y[VALID], rtol=1e-11)
    np.testing.assert_allclose(run(RECURRENT[:1, :4], CONVOLVED[:1, :4]), y[:1, :4], rtol=1e-11)


def test_a_clip_of_nothing_gives_zero_and_takes_no_gradient():
    y, backward = tlab.tlab(P, RECURRENT, CONVOLVED, np.array([[True] * T, [False] * T]))
    dx = backward(np.ones_like(y), params.zeros_like(P))
    assert not y[1].any() and not any(d[1].any() for d in dx)


def test_the_code_adds_the_queries_and_counts_what_was_published():
    trace = {}
    tlab.tlab_code(CODE, RECURRENT, CONVOLVED, trace=trace)
    assert trace["attention"].shape == (B, 2, T, T)
    assert params.count(tlab.describe_tlab_code(512)) == 1_051_648
    assert params.count(tlab.describe_tlab(512)) == 3 * 512 * 512


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="recurrent has .* convolved"):
        tlab.tlab(P, RECURRENT, CONVOLVED[:, 1:])
    with pytest.raises(ValueError, match=r"mask has shape \(2, 1, 5\)"):
        tlab.tlab(P, RECURRENT, CONVOLVED, VALID[:, 1:])
