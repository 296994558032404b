"""The encoders of paper 001: sizes in and out. (Padding: test_padding.py.)"""

import numpy as np
import pytest

from refmer import params
from refmer.layers import encoders

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
