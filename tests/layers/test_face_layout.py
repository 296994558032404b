"""The face encoder that keeps the layout."""

import numpy as np

from refmer import params
from refmer.layers.encoders import describe_face_encoder, describe_layout_encoder, face_encoder, layout_encoder
from refmer.proofs import moved

RNG = np.random.default_rng(0)


def test_it_tells_a_mouth_from_a_brow_which_the_mean_over_the_image_cannot():
    high, low = np.zeros((2, 1, 1, 48, 48))
    high[0, 0, 16:19, 20:28] = low[0, 0, 24:27, 20:28] = 1.0  # the same bar, 8 rows (a multiple of the strides) further down
    kept, mean = moved(describe_layout_encoder((48, 48), 8)), moved(describe_face_encoder(8))
    apart = np.abs(layout_encoder(kept, high)[0] - layout_encoder(kept, low)[0]).max()
    same = np.abs(face_encoder(mean, high)[0] - face_encoder(mean, low)[0]).max()
    assert apart > 0.1 and same < 1e-12


def test_sizes_that_are_no_multiples_of_four():
    tree = describe_layout_encoder((5, 7), 3)
    assert params.count(tree) == (9 * 3 + 3) + (27 * 3 + 3) + (3 * 2 * 2 * 3 * 3 + 3)
    assert layout_encoder(moved(tree), RNG.normal(size=(2, 3, 5, 7)))[0].shape == (2, 3, 3)


def test_padding_changes_nothing_and_gives_zero():
    p, x = moved(describe_layout_encoder((5, 7), 3)), RNG.normal(size=(2, 4, 5, 7))
    mask = np.array([[True, True, False, False], [True] * 4])
    y = layout_encoder(p, x, mask)[0]
    assert (y[0, 2:] == 0).all()
    np.testing.assert_allclose(layout_encoder(p, x[:1, :2])[0], y[:1, :2], rtol=1e-12)
