"""Laws of fusion by multiplication."""

import numpy as np
from error_table import errors

from refmer import params
from refmer.layers import fusion
from refmer.ops.fusion import outer_with_ones
from refmer.proofs import moved

WIDTHS, B, R, D = {"voice": 3, "face": 2, "words": 4}, 5, 6, 7
rng = np.random.default_rng(1)
Z = {name: rng.normal(size=(B, width)) for name, width in WIDTHS.items()}


def factors(p):
    """{modality: (R, C_m + 1, D)}, the W_m,r of the paper, with the row of the 1 at the end."""
    stacked = {m: np.vstack([part.W, part.b]) for m, part in vars(p.factors).items()}
    return {m: w.reshape(len(w), -1, len(p.b)).swapaxes(0, 1) for m, w in stacked.items()}


def test_low_rank_fusion_is_tensor_fusion_with_a_weight_of_that_rank():
    p = moved(fusion.describe_low_rank_fusion(WIDTHS, R, D))
    w = factors(p)
    weight = np.einsum("rad,rbd,rcd->abcd", w["voice"], w["face"], w["words"]).reshape(-1, D)  # of the whole outer product
    expected = outer_with_ones(*Z.values())[0] @ weight + p.b
    np.testing.assert_allclose(fusion.low_rank_fusion(p, Z)[0], expected, rtol=1e-11)


def test_low_rank_fusion_finds_modalities_by_name():
    p = moved(fusion.describe_low_rank_fusion(WIDTHS, R, D))
    turned = dict(reversed(Z.items()))
    np.testing.assert_allclose(fusion.low_rank_fusion(p, turned)[0], fusion.low_rank_fusion(p, Z)[0], rtol=1e-12)


def test_low_rank_fusion_needs_far_fewer_parameters():
    widths = {"voice": 32, "face": 32, "words": 64}
    assert params.count(fusion.describe_tensor_fusion(widths, 64)) == 33 * 33 * 65 * 64 + 64
    assert params.count(fusion.describe_low_rank_fusion(widths, 4, 64)) == (33 + 33 + 65) * 4 * 64 + 64


def test_tensor_fusion_with_a_zero_vector_depends_on_the_other_modalities():
    p = moved(fusion.describe_tensor_fusion(WIDTHS, D))
    silent = Z | {"words": np.zeros((B, 4))}
    w = p.W.reshape(4, 3, 5, D)[:, :, -1].reshape(-1, D)  # the products with the 1 of words
    expected = outer_with_ones(Z["voice"], Z["face"])[0] @ w + p.b
    np.testing.assert_allclose(fusion.tensor_fusion(p, silent)[0], expected, rtol=1e-12)


VOICE, WIDE = {"voice": Z["voice"]}, {"voice": np.zeros((B, 4)), "face": np.zeros((B, 2)), "words": np.zeros((B, 2))}
test_bad_input_is_named = errors(
    (fusion.tensor_fusion, moved(fusion.describe_tensor_fusion(WIDTHS, D)), WIDE, "x has width 45 .* accepted: 60"),
    (fusion.low_rank_fusion, moved(fusion.describe_low_rank_fusion(WIDTHS, R, D)), VOICE, "z has the modalities"),
)
