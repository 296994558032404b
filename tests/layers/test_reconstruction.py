"""Laws of the reconstruction term: mse of the decoder."""

import numpy as np
import pytest

from refmer.layers.cmaer import describe_reconstruction, reconstruction
from refmer.ops.losses import mse, mse_backward
from refmer.proofs import moved

B, C, M, D = 4, 6, 3, 2
rng = np.random.default_rng(1)
H, P = rng.normal(size=(B, C)), moved(describe_reconstruction(C, M, D))
TARGET, AVAILABLE = rng.normal(size=(B, M, D)), rng.random((B, M)) > 0.4


def test_it_is_zero_where_the_decoder_is_right_and_the_mean_square_elsewhere():
    right = (H @ P.W + P.b).reshape(B, M, D)
    decoded, _ = reconstruction(P, H, M)
    assert mse(decoded, right)[0] == 0
    assert mse(decoded, right + 0.5)[0] == pytest.approx(0.25, rel=1e-12)


def test_a_missing_modality_is_no_target():
    decoded, _ = reconstruction(P, H, M)
    loud = np.where(AVAILABLE[..., None], TARGET, 1e3)
    (value, *saved), (other, *others) = mse(decoded, TARGET, AVAILABLE), mse(decoded, loud, AVAILABLE)
    assert value == other > 0
    np.testing.assert_array_equal(mse_backward(1.0, *saved), mse_backward(1.0, *others))
