"""Training windows: consecutive steps, the same of every array."""

import numpy as np

from refmer.train.crop import one_window

S = 9
BATCH = {
    "x": np.arange(3 * S * 2.0).reshape(3, S, 2),
    "x_mask": np.arange(S) < np.array([9, 6, 2])[:, None],
    "target": np.arange(3 * S * 2.0).reshape(3, S, 2),
    "target_mask": np.arange(S) < np.array([9, 6, 2])[:, None],
    "class_count": np.ones(4),
}


def test_a_window_is_consecutive_and_the_same_in_every_array():
    rng, begins = np.random.default_rng(0), set()
    for _ in range(60):
        cut = one_window(BATCH, rng, 4)
        assert cut["x"].shape == (3, 4, 2) and cut["x_mask"].shape == (3, 4)
        np.testing.assert_array_equal(cut["x"], cut["target"])
        np.testing.assert_array_equal(np.diff(cut["x"][..., 0], axis=1), 2)
        begins |= {(i, int(b)) for i, b in enumerate(cut["x"][:, 0, 0] / 2 - S * np.arange(3))}
        np.testing.assert_array_equal(cut["x_mask"][:2], True)  # not beyond the end, where the recording is long enough
    assert begins == {(0, b) for b in range(6)} | {(1, b) for b in range(3)} | {(2, 0)}


def test_short_recordings_evaluation_and_labels_of_whole_clips_stay():
    assert one_window(BATCH, np.random.default_rng(0), S) is BATCH
    assert one_window(BATCH, None, 4) is BATCH
    labels = {k: v for k, v in BATCH.items() if k != "target_mask"} | {"target": np.eye(3)}
    cut = one_window(labels, np.random.default_rng(0), 4)
    assert cut["target"] is labels["target"] and cut["class_count"] is BATCH["class_count"]
