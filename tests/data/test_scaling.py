"""Scaling of streams: units, and the bound."""

import numpy as np
import pytest

from refmer.data.clips import Stream
from refmer.data.read import load_samples
from refmer.data.scaling import BOUND, moments, scaling, standardise


@pytest.mark.parametrize("kind", ["clips", "recordings"])
def test_no_stream_exceeds_the_bound_on_any_split_and_images_stay_far_below_it(kind):
    clips = load_samples(kind)
    for seed in range(3):
        train, test = clips.split(by="speaker", test_size=0.25, seed=seed)
        for name, stream in train.streams.items():
            x = standardise(name, test.streams[name], *scaling(stream)).x
            assert np.abs(x).max() <= (8 if name == "frames" else BOUND)
            assert 0.5 < x[test.streams[name].mask].std() < 2


def test_pixels_share_a_unit_and_other_features_have_each_their_own():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 50, (4, 6, 3, 3)).astype(np.uint8)
    x[..., 0, 0] = 7  # constant in training
    mean, sd = scaling(Stream(x))
    assert (sd == sd[0, 0]).all() and sd[0, 0] == pytest.approx(np.sqrt(x.reshape(24, 9).var(0).mean()))
    np.testing.assert_allclose(mean, x.mean((0, 1)))
    mean, sd = scaling(Stream(x.astype(np.float32)))
    assert sd[0, 0] == 1  # constant
    np.testing.assert_allclose(sd.ravel()[1:], x.std((0, 1)).ravel()[1:], rtol=1e-6)
    assert moments(Stream(x.astype(np.float32)))[1][0, 0] == 0


def test_a_feature_that_training_hardly_knows_is_moved_to_the_bound():
    x = np.zeros((1, 1000, 1), np.float32)
    x[0, 0] = 1
    unit = scaling(Stream(x))
    assert standardise("flag", Stream(np.ones((1, 1, 1), np.float32)), *unit).x.item() == BOUND
