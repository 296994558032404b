"""The encoders of papers 001 and 003. (Padding: test_padding.py.)"""

import numpy as np
import pytest

from refmer import params
from refmer.layers import convolution, encoders
from refmer.proofs import moved

rng = np.random.default_rng(1)


@pytest.mark.parametrize("T, steps", [(1, 1), (2, 1), (5, 2), (8, 2), (9, 3)])
def test_sound_leaves_a_quarter_of_the_steps(T, steps):
    p = params.init(encoders.describe_sound_encoder(40, 6), 0)
    valid = np.ones((2, T), bool)
    y, _ = encoders.sound_encoder(p, rng.normal(size=(2, T, 40)).astype("f4"), valid)
    assert y.shape == (2, steps, 6) and encoders.sound_mask(valid).shape == (2, steps)


def test_face_and_words_keep_every_step():
    p = params.init(encoders.describe_face_encoder(6), 0)
    assert encoders.face_encoder(p, rng.normal(size=(2, 5, 12, 11)).astype("f4"))[0].shape == (2, 5, 6)
    p = params.init(encoders.describe_sequence_encoder(7, 6), 0)
    assert encoders.sequence_encoder(p, rng.normal(size=(2, 5, 7)).astype("f4"))[0].shape == (2, 5, 6)


def test_sizes_at_the_width_of_our_reading():
    d = 128
    assert params.count(encoders.describe_sound_encoder(40, d)) == 5 * 40 * d + 5 * d * d + 3 * d * d + 3 * d
    assert params.count(encoders.describe_face_encoder(d)) == 9 * d + 2 * 9 * d * d + 3 * d * d + 4 * d
    assert params.count(encoders.describe_sequence_encoder(40, d)) == 3 * 40 * d + 3 * d * d + 2 * d


def test_the_patch_encoder_separates_a_mouth_from_a_brow_and_the_mean_over_the_image_does_not():
    high, low = np.zeros((2, 1, 1, 48, 48))
    high[0, 0, 16:19, 20:28] = low[0, 0, 24:27, 20:28] = 1.0  # the same bar, 8 rows (a multiple of the strides) further down
    apart, mean = moved(encoders.describe_patch_encoder((48, 48), 8)), moved(encoders.describe_face_encoder(8))
    differs = np.abs(encoders.patch_encoder(apart, high)[0] - encoders.patch_encoder(apart, low)[0]).max()
    same = np.abs(encoders.face_encoder(mean, high)[0] - encoders.face_encoder(mean, low)[0]).max()
    assert differs > 0.1 and same < 1e-12


def test_padding_of_the_patch_encoder_changes_nothing_and_gives_zero():
    p, x = moved(encoders.describe_patch_encoder((5, 7), 3)), rng.normal(size=(2, 4, 5, 7))
    mask = np.array([[True, True, False, False], [True] * 4])
    y = encoders.patch_encoder(p, x, mask)[0]
    assert (y[0, 2:] == 0).all()
    np.testing.assert_allclose(encoders.patch_encoder(p, x[:1, :2])[0], y[:1, :2], rtol=1e-12)


def test_shapes_of_the_residual_encoders():
    p = params.init(encoders.describe_resnet([4, 8, 6]), 0)
    assert encoders.resnet(p, rng.normal(size=(2, 13, 20, 1)).astype("f4"))[0].shape == (2, 6)
    p = params.init(encoders.describe_r2plus1d([4, 8, 6]), 0)
    frames = rng.normal(size=(2, 8, 24, 24, 1)).astype("f4")
    assert encoders.r2plus1d_map(p, frames)[0].shape == (2, 1 * 3 * 3, 6)  # 8 frames: three halvings leave one, 24 pixels 3


def test_patches_tell_a_mouth_from_a_brow_and_the_mean_of_a_residual_map_does_not():
    high, low = np.zeros((2, 1, 1, 48, 48))
    high[..., 16:19, 20:28] = low[..., 24:27, 20:28] = 1.0  # the same bar, 8 rows further down
    p, shared = moved(encoders.describe_patches((1, 48, 48), 5)), moved(encoders.describe_r2plus1d([5]))
    means = [encoders.patches(p, x)[0].mean(1) for x in (high, low)]
    same = [encoders.r2plus1d_map(shared, x[..., None])[0].mean(1) for x in (high, low)]
    assert np.abs(means[0] - means[1]).max() > 0.1 and np.abs(same[0] - same[1]).max() < 1e-12


@pytest.mark.parametrize("h, w, sizes", [(6, 9, [6] * 9), (5, 1, [2, 2, 2, 3, 3, 3, 2, 2, 2])])
def test_patches_cover_every_pixel_also_where_three_does_not_divide_a_side(h, w, sizes):
    tree = encoders.describe_patches((2, h, w), 4)
    assert [m["W"].shape for m in tree["maps"]] == [(2 * n, 4) for n in sizes]
    p, x = moved(tree), rng.normal(size=(1, 2, h, w))
    y, backward = encoders.patches(p, x)
    assert y.shape == (1, 9, 4) and (y >= 0).all()
    assert (backward(np.ones_like(y), params.zeros_like(p)) != 0).any((0, 1)).all()


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


def test_the_residual_encoder_of_silence_stays_finite():
    p = params.init(encoders.describe_resnet([4, 8]), 0)
    g = params.zeros_like(p)
    y, backward = encoders.resnet(p, np.zeros((2, 9, 10, 1), "f4"))
    assert np.isfinite(y).all() and np.isfinite(backward(np.ones_like(y), g)).all() and np.isfinite(g.vector).all()
