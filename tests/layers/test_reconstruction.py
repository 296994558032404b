"""Laws of the reconstruction term."""

import numpy as np
import pytest

from refmer import params
from refmer.layers.reconstruction import describe_reconstruction, reconstruction
from refmer.proofs import moved

B, C, M, D = 4, 6, 3, 2
rng = np.random.default_rng(1)
H, P = rng.normal(size=(B, C)), moved(describe_reconstruction(C, M, D))
TARGET, AVAILABLE = rng.normal(size=(B, M, D)), rng.random((B, M)) > 0.4


def test_it_is_zero_where_the_decoder_is_right_and_the_mean_square_elsewhere():
    right = (H @ P.W + P.b).reshape(B, M, D)
    assert reconstruction(P, H, right)[0] == 0
    assert reconstruction(P, H, right + 0.5)[0] == pytest.approx(0.25, rel=1e-12)


def test_a_missing_modality_is_no_target():
    value, backward = reconstruction(P, H, TARGET, AVAILABLE)
    g = params.zeros_like(P)
    dh = backward(1.0, g)
    loud = np.where(AVAILABLE[..., None], TARGET, 1e3)
    other, backward = reconstruction(P, H, loud, AVAILABLE)
    h = params.zeros_like(P)
    np.testing.assert_array_equal(backward(1.0, h), dh)
    np.testing.assert_array_equal(h.vector, g.vector)
    assert other == value


@pytest.mark.parametrize("shape", [(B, M * D), (B, M, D + 1), (2 * B, M, 1)])
def test_a_target_of_another_shape_is_named(shape):
    with pytest.raises(ValueError, match="target has shape"):
        reconstruction(P, H, np.ones(shape))
