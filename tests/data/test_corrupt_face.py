"""Corruptions of the face: changed images, and units as far as they remain visible."""

from dataclasses import replace

import numpy as np
import pytest

import refmer
from refmer.data import corrupt_face
from refmer.data.clips import Clips, Stream
from refmer.data.openface import FEATURES

AMOUNTS = {"hand": 0.4, "blur": 0.06, "dim": 0.6, "flicker": 0.5, "turn": 40.0}
column = FEATURES.index


def corrupted(clips, kind, amount, **options):
    """(clean, broken) units (frames, F) and frames (frames, h, w), float."""
    broken = refmer.corrupt(clips, "face", kind, amount, **options)
    return [[c.streams[k].x[c.streams[k].mask].astype(float) for c in (clips, broken)] for k in ("units", "frames")]


def correlation(x, y):
    """Correlation of each feature before and after."""
    return np.array([np.corrcoef(a, b)[0, 1] if a.std() and b.std() else 0.0 for a, b in zip(x.T, y.T, strict=True)])


@pytest.mark.parametrize("kind, amount", AMOUNTS.items())
def test_masks_dtypes_and_ranges_stay(clips, kind, amount):
    broken = refmer.corrupt(clips, "face", kind, amount)
    for name in ("units", "frames"):
        s, b = clips.streams[name], broken.streams[name]
        np.testing.assert_array_equal(s.mask, b.mask)
        assert b.x.dtype == s.x.dtype and (b.x != s.x).any() and not b.x[~b.mask].any()
    x = broken.streams["units"].x[..., :17]
    assert x.min() >= 0 and x.max() <= 5
    assert set(np.unique(broken.streams["units"].x[..., 17:35])) == {0, 1}


def test_a_hand_over_the_mouth_hides_the_mouth(clips):
    (x, y), (before, after) = corrupted(clips, "hand", 0.4)
    np.testing.assert_array_equal(before[:, :14], after[:, :14])
    assert (before[:, 15:20] != after[:, 15:20]).mean() > 0.9
    for unit in ("AU01", "AU04", "AU05", "AU09"):
        np.testing.assert_array_equal(x[:, column(unit + "_r")], y[:, column(unit + "_r")])
    for unit in ("AU12", "AU15", "AU17", "AU25"):
        assert abs(correlation(x, y)[column(unit + "_r")]) < 0.1
    np.testing.assert_array_equal(x[:, -8:], y[:, -8:])  # gaze is visible


def test_hidden_features_are_drawn_from_the_reference(clips):
    train = clips[clips.intended == 3]  # happy
    (x, y), _ = corrupted(clips[clips.intended == 0], "hand", 1.0, scale_from=train)
    expected = train.streams["units"]
    smile, pose = column("AU12_r"), column("pose_Tx")
    assert y[:, pose].mean() == pytest.approx(expected.x[expected.mask][:, pose].mean(), abs=1)
    assert y[:, smile].mean() > x[:, smile].mean() + 1


@pytest.mark.parametrize("kind, weak, strong", [("hand", 0.2, 0.9), ("blur", 0.02, 0.09), ("dim", 0.2, 0.8), ("turn", 20, 70)])
def test_a_larger_amount_is_worse_for_tracker_and_image(clips, kind, weak, strong):
    less, more = corrupted(clips, kind, weak), corrupted(clips, kind, strong)
    assert correlation(*less[0])[:17].mean() > correlation(*more[0])[:17].mean() + 0.1
    assert np.abs(less[1][1] - less[1][0]).mean() < np.abs(more[1][1] - more[1][0]).mean()


def test_light(clips):
    _, (before, after) = corrupted(clips, "dim", 0.6)
    np.testing.assert_allclose(after, 0.4 * before, atol=0.51)
    broken = refmer.corrupt(clips, "face", "flicker", 0.5, seed=1)
    s, b = clips.streams["frames"], broken.streams["frames"]
    grey = b.x[..., :2, :2].mean((2, 3))[s.mask] / s.x[..., :2, :2].mean((2, 3))[s.mask]  # the background, never white
    assert np.log(grey).std() == pytest.approx(0.5, rel=0.2) and b.x.max() == 255
    steady = np.abs(np.log(grey)) < 0.05
    (x, y), _ = corrupted(clips, "flicker", 0.5, seed=1)
    assert np.abs(x - y)[steady, :17].mean() < 0.3 * np.abs(x - y)[~steady, :17].mean()


def test_a_blur_spreads_grey_and_keeps_its_sum(clips):
    point = np.zeros((1, 1, 24, 24), np.float32)
    point[0, 0, 11, 11] = 1
    stream = Stream(point, 25.0, np.ones((1, 1), bool), "face")
    y = corrupt_face.repaint(stream, "blur", 0.06, np.ones((1, 1))).x[0, 0].astype(float)
    at = np.arange(24) - 11
    assert y.sum() == pytest.approx(1, abs=1e-3)
    assert np.sqrt((y.sum(0) * at**2).sum()) == pytest.approx(0.06 * 24, rel=0.03)


def test_a_turned_head_moves_its_middle_and_its_pose(clips):
    x = np.zeros((1, 1, 3, 24), np.float32)
    x[..., 11:13] = 1
    angle = np.deg2rad(30)
    at = (corrupt_face.turn(x, angle)[0, 0, 0] * np.arange(24)).sum() / corrupt_face.turn(x, angle)[0, 0, 0].sum()
    assert at == pytest.approx(11.5 + corrupt_face.HEAD * 12 * np.sin(angle), abs=0.3)
    np.testing.assert_allclose(corrupt_face.turn(x, 0.0), x, atol=1e-5)
    mirrored = corrupt_face.turn(x[..., ::-1], -angle)[..., ::-1]
    np.testing.assert_allclose(mirrored, corrupt_face.turn(x, angle), atol=1e-5)
    (u, v), _ = corrupted(clips, "turn", 30.0)
    np.testing.assert_allclose((v - u)[:, column("pose_Ry")], angle, atol=1e-5)
    np.testing.assert_array_equal(u[:, column("pose_Tx")], v[:, column("pose_Tx")])


@pytest.mark.parametrize(
    "name, features, message",
    [
        ("embedding", FEATURES, "hand cannot be applied to embedding; accepted: the face streams frames and units"),
        ("units", (), "the units have no feature names"),
        ("units", ("ear_x", *FEATURES[1:]), "feature 'ear_x' has no place in the face; accepted: names that begin with AU01"),
    ],
)
def test_streams_that_cannot_be_corrupted_raise_errors(clips, name, features, message):
    bad = Clips({name: replace(clips.streams["units"], features=features)}, clips.name, clips.speaker)
    with pytest.raises(ValueError, match=message):
        refmer.corrupt(bad, "face", "hand", 0.5)


def test_images_without_units_are_corrupted(clips):
    only = Clips({"frames": clips.streams["frames"]}, clips.name, clips.speaker)
    assert list(refmer.corrupt(only, "face", "turn", 9.0).streams) == ["frames"]
