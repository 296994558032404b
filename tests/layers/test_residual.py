"""The residual encoders in place of paper 003's backbones."""

import numpy as np

from refmer import params
from refmer.layers import convolution, encoders
from refmer.proofs import moved

rng = np.random.default_rng(1)


def test_shapes():
    p = params.init(encoders.describe_resnet([4, 8, 6]), 0)
    assert encoders.resnet(p, rng.normal(size=(2, 13, 20, 1)).astype("f4"))[0].shape == (2, 6)
    p = params.init(encoders.describe_r2plus1d([4, 8, 6]), 0)
    frames = rng.normal(size=(2, 8, 24, 24, 1)).astype("f4")
    places, _ = encoders.r2plus1d_map(p, frames)
    assert places.shape == (2, 1 * 3 * 3, 6)  # 8 frames: three halvings leave one, 24 pixels 3
    np.testing.assert_allclose(encoders.r2plus1d(p, frames)[0], places.mean(1), rtol=1e-5)


def test_a_block_whose_branch_is_zero_is_the_relu_of_its_input():
    p = moved(encoders.describe_residual_block(4, 4, convolution.describe_conv2d))
    p.norm2.gamma[:] = p.norm2.beta[:] = 0
    x = rng.normal(size=(2, 5, 6, 4))
    np.testing.assert_array_equal(encoders.residual_block(p, x, convolution.conv2d)[0], np.where(x > 0, x, 0))


def test_the_skip_has_a_map_only_where_shapes_differ():
    describe = convolution.describe_conv2d
    assert "skip" not in encoders.describe_residual_block(4, 4, describe)
    assert encoders.describe_residual_block(4, 4, describe, 2)["skip"]["W"].shape == (4, 4)
    assert encoders.describe_residual_block(4, 5, describe)["skip"]["W"].shape == (4, 5)


def test_silence_stays_finite():
    p = params.init(encoders.describe_resnet([4, 8]), 0)
    g = params.zeros_like(p)
    y, backward = encoders.resnet(p, np.zeros((2, 9, 10, 1), "f4"))
    assert np.isfinite(y).all() and np.isfinite(backward(np.ones_like(y), g)).all() and np.isfinite(g.vector).all()
