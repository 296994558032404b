"""Sub-sequences: the frames of a stream in each, and the valid ones."""

import numpy as np
import pytest

from refmer.data import inputs
from refmer.data.clips import Stream


def stream(T, rate=25, valid=None, N=2, shape=(3,), sense="voice"):
    x = np.arange(N * T * np.prod(shape), dtype=np.float32).reshape(N, T, *shape) + 1
    mask = np.arange(T) < np.array([T if valid is None else v for v in (valid or [T] * N)])[:, None]
    return Stream(np.where(mask.reshape(N, T, *[1] * len(shape)), x, 0), rate, mask, sense)


def test_sub_sequences_hold_the_frames_of_their_time():
    s = stream(10, rate=5, valid=[10, 7])
    x, present, valid = inputs.sub_sequences(s, 0.8)  # 4 frames each
    assert x.shape == (2, 3, 4, 3)
    np.testing.assert_array_equal(x[:, :2].reshape(2, 8, 3), s.x[:, :8])
    np.testing.assert_array_equal(x[0, 2, :2], s.x[0, 8:])
    assert (x[0, 2, 2:] == 0).all() and present[0, 2].tolist() == [True, True, False, False]
    assert valid.tolist() == [[True, True, True], [True, True, False]]  # half a sub-sequence counts, none does not
    assert inputs.sub_sequences(stream(8, rate=5, valid=[6, 5]), 0.8)[2].tolist() == [[True, True], [True, False]]


def test_sampled_frames_lie_at_even_distances():
    s = stream(32, rate=25)
    x, _, _ = inputs.sub_sequences(s, 0.64, sampled=4)
    np.testing.assert_array_equal(x[:, 0], s.x[:, [2, 6, 10, 14]])
    assert inputs.sub_sequences(s, 0.64, sampled=16)[0].shape == (2, 2, 16, 3)


def test_streams_of_other_rates_are_cut_at_the_same_times():
    fine, coarse = inputs.sub_sequences(stream(1042, 50), 0.64)[0], inputs.sub_sequences(stream(521, 25), 0.64)[0]
    assert fine.shape[1:3] == (33, 32) and coarse.shape[1:3] == (33, 16)
    odd = inputs.sub_sequences(stream(20, 2.5), 1.0)[0]  # 2.5 frames in a second: begins at 0, 2, 5, 8, ...
    assert odd.shape[1:3] == (8, 2)
    np.testing.assert_array_equal(odd[0, :3, 0, 0], stream(20, 2.5).x[0, [0, 2, 5], 0])


def test_more_padding_adds_sub_sequences_that_do_not_count():
    s = stream(40, valid=[40, 17])
    long = Stream(np.pad(s.x, ((0, 0), (0, 60), (0, 0))), 25, np.pad(s.mask, ((0, 0), (0, 60))), "voice")
    for result, expected in zip(inputs.sub_sequences(long, 0.64), inputs.sub_sequences(s, 0.64), strict=True):
        np.testing.assert_array_equal(result[:, : expected.shape[1]], expected)
        assert not result[:, expected.shape[1] :].any()


def test_means_are_over_the_present_frames():
    s = stream(10, rate=5, valid=[10, 7])
    mean, valid = inputs.sub_sequence_means(s, 0.8)
    np.testing.assert_allclose(mean[0, 2], s.x[0, 8:].mean(0))
    np.testing.assert_allclose(mean[1, 1], s.x[1, 4:7].mean(0))
    assert not mean[1, 2].any() and not valid[1, 2] and mean.dtype == np.float32


@pytest.mark.parametrize("sampled", [0, 17])
def test_impossible_samples_raise_errors(sampled):
    with pytest.raises(ValueError, match=rf"0.64 s at 25 Hz are 16 frames, sampled is {sampled}"):
        inputs.sub_sequences(stream(40), 0.64, sampled)


def test_sound_and_face_are_thinned_and_end_together():
    streams = {"audio": stream(100, 50, shape=(5,)), "visual": stream(40, 25, shape=(6, 4), sense="face")}
    batch = inputs.sound_and_face(streams, 0.64, 2, every=5, coarse=2)
    shapes = inputs.sound_and_face_shapes(streams, 0.64, 2, every=5, coarse=2)
    assert shapes == ((6, 5), (2, 3, 2))
    assert batch["audio"].shape[2:] == shapes[0] and batch["visual"].shape[2:] == shapes[1]
    assert {x.shape[1] for x in batch.values()} == {4}
    np.testing.assert_allclose(batch["audio"][:, 0, 1], streams["audio"].x[:, 5:10].mean(1))
    np.testing.assert_allclose(batch["visual"][:, 0, 0, 0, 0], streams["visual"].x[:, 4, :2, :2].mean((1, 2)))
    assert batch["visual_mask"].tolist() == [[True, True, True, False]] * 2  # 40 frames: the third is half full


def test_frames_that_last_longer_than_a_step_count_in_each_of_their_steps():
    x, present, valid = inputs.sub_sequences(stream(2, rate=1.0, shape=(1,)), 0.4)  # frames of 1 s, steps of 0.4 s
    assert x[0, :, 0, 0].tolist() == [1, 1, 1, 2, 2] and present.all() and valid.all()


def test_streams_of_a_modality_become_one_at_the_slowest_rate():
    a, b = stream(10, 10.0, shape=(2,)), stream(4, 5.0, valid=[4, 3], shape=(1, 3))
    both = inputs.joined([a, b])
    assert both.rate == 5.0 and both.x.shape == (2, 5, 5)
    np.testing.assert_allclose(both.x[0, 1, :2], a.x[0, 2:4].mean(0))
    np.testing.assert_allclose(both.x[1, :4, 2:], b.x[1, :, 0])
    assert both.mask.all() and not both.x[:, 4, 2:].any()  # filled
    assert inputs.joined([b]).x.shape == b.x.shape


@pytest.mark.parametrize("fps, every", [(None, 1), (5.0, 2), (3.0, 3), (2.5, 4), (99.0, 1)])
def test_frames_are_averaged_to_the_rate_of_the_config(fps, every):
    s = stream(9, 10.0, valid=[9, 4], shape=(2, 2))
    x, mask = inputs.thinned(s, fps)
    assert x.shape == (2, -(-9 // every), 2, 2)
    np.testing.assert_allclose(x[0, 0], s.x[0, :every].mean(0))
    np.testing.assert_array_equal(mask.sum(1), [-(-9 // every), -(-4 // every)])


@pytest.mark.parametrize("context", [0, 2])
def test_windows_of_steps_hold_the_step_and_the_ones_before_it(context):
    s = stream(6, 2.0, valid=[6, 5], shape=(1,))
    rows, steps = np.array([0, 1, 0]), np.array([2, 2, 0])
    window = inputs.windows_of_steps(s, 1.0, context, rows, steps)
    assert window.x.shape == (3, 2 * (context + 1), 1)
    assert window.x[0, -2:, 0].tolist() == [5, 6] and window.mask[1, -2:].tolist() == [True, False]
    assert window.x[2, -2:, 0].tolist() == [1, 2] and not window.mask[2, :-2].any()
    if context:
        assert window.x[0, :, 0].tolist() == [1, 2, 3, 4, 5, 6]
