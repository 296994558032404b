"""The laws of audio-guided spatial attention."""

import numpy as np

from refmer import params
from refmer.layers import avga
from refmer.proofs import moved

B, T, N, V, A = 2, 3, 5, 6, 4
rng = np.random.default_rng(1)
FRAMES, AUDIO = rng.normal(size=(B, T, N, V)), rng.normal(size=(B, T, A))
P = moved(avga.describe_avga(V, A, 7, 3))


def test_it_is_a_mean_over_positions_whose_order_does_not_matter():
    trace = {}
    y, _ = avga.avga(P, FRAMES, AUDIO, trace)
    a = trace["positions"]
    np.testing.assert_allclose(a.sum(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(y, (a[..., None] * FRAMES).sum(2) @ P.out.W + P.out.b, rtol=1e-12)
    np.testing.assert_allclose(avga.avga(P, FRAMES[:, :, rng.permutation(N)], AUDIO)[0], y, rtol=1e-11)


def test_sound_moves_the_weights_and_equal_positions_share_them():
    trace = {}
    avga.avga(P, FRAMES, AUDIO, trace)
    avga.avga(P, FRAMES, AUDIO[::-1], trace)
    avga.avga(P, np.repeat(FRAMES[:, :, :1], N, 2), AUDIO, trace)
    before, after, equal = trace["positions"]
    assert np.abs(before - after).max() > 1e-3
    np.testing.assert_allclose(equal, 1 / N, rtol=1e-12)


def test_the_published_number_of_parameters():
    assert params.count(avga.describe_avga(512, 512, 512, 49)) == 3 * 262_656 + 2 * 25_088 + 49 == 838_193
