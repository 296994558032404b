"""read_clip: a sound file and an OpenFace CSV written from a bundled clip are read back as its streams; errors."""

import csv

import numpy as np
import pytest
from scipy.io import wavfile
from scipy.signal import resample_poly

import refmer
from refmer.data.openface import FEATURES

NAME = "s03-anger-1"
HEADER = ["frame", " face_id", " timestamp", " confidence", " success", *(" " + column for column in FEATURES)]


@pytest.fixture(scope="module")
def bundled():
    clips = refmer.load_samples()
    return clips[np.flatnonzero(clips.name == NAME)]


def own(stream):
    """Return the valid frames of the only clip."""
    return stream.x[0][stream.mask[0]]


def write_wav(path, rate=44100, stereo=True, dtype=np.int16):
    wave = resample_poly(refmer.raw_signals(NAME).wave.astype(float), rate, 16000)
    if np.dtype(dtype).kind in "iu":
        middle = 128 if dtype is np.uint8 else 0
        wave = np.rint(0.9 * wave / np.abs(wave).max() * (np.iinfo(dtype).max - middle) + middle)
    wavfile.write(path, rate, (np.stack([wave, wave], axis=1) if stereo else wave).astype(dtype))
    return path


def write_csv(path, units, rate=25.0, header=None, change=None):
    """`change` maps (row, column of HEADER) to a text."""
    rows = [[f"{t + 1}", "0", f"{t / rate:.3f}", "0.98", "1", *(f"{v:.4f}" for v in frame)] for t, frame in enumerate(units)]
    for (t, column), text in (change or {}).items():
        rows[t][HEADER.index(column)] = text
    with open(path, "w", newline="") as f:
        csv.writer(f).writerows([header or HEADER, *rows])
    return path


@pytest.mark.parametrize(
    "rate, stereo, dtype",
    [
        (44100, True, np.int16),
        (16000, False, np.float32),
        (48000, True, np.int32),
        (22050, False, np.float64),
        (32000, True, np.uint8),
    ],
)
def test_a_sound_file_gives_the_bundled_streams(tmp_path, bundled, rate, stereo, dtype):
    """Resampling removes the highest bands: log-mel is compared below 7 kHz, where 8 bits and the stored ones allow."""
    clips = refmer.read_clip(wav=write_wav(tmp_path / "me.wav", rate, stereo, dtype))
    assert clips.name[0] == "me" and set(clips.streams) == {"logmel", "prosody", "mfcc", "layers"}
    limit = 1.0 if dtype == np.uint8 else 0.05
    for name, s in clips.streams.items():
        expected = bundled.streams[name]
        assert (s.rate, s.sense, s.features, s.x.dtype) == (expected.rate, expected.sense, expected.features, np.float32)
        assert s.mask.sum() == expected.mask.sum() and s.x.shape[2:] == expected.x.shape[2:]
    error = np.abs(own(clips.streams["logmel"]) - own(bundled.streams["logmel"]))[:, :37]
    assert np.median(error) < limit
    if dtype != np.uint8:
        assert np.median(np.abs(own(clips.streams["prosody"]) - own(bundled.streams["prosody"]))[:, 0]) < 1  # Hz


def test_an_openface_csv_gives_the_bundled_units(tmp_path, bundled):
    units = own(bundled.streams["units"])
    s = refmer.read_clip(openface_csv=write_csv(tmp_path / "me.csv", units)).streams["units"]
    assert (s.rate, s.sense, s.features) == (25, "face", FEATURES)
    assert s.mask.all() and s.x.shape[1] == len(units)
    np.testing.assert_allclose(s.x[0], np.where(np.char.endswith(FEATURES, "_c"), np.rint(units), units), atol=1e-3)


def test_thirty_frames_a_second_are_interpolated(tmp_path):
    t = (np.arange(90) + 0.5) / 30
    units = np.tile(t[:, None], (1, len(FEATURES)))
    s = refmer.read_clip(openface_csv=write_csv(tmp_path / "me.csv", units, 30.0)).streams["units"]
    assert s.x.shape == (1, 75, 49)
    continuous = [k for k, name in enumerate(FEATURES) if not name.endswith("_c")]
    np.testing.assert_allclose(s.x[0, 1:-1, continuous], np.tile((np.arange(1, 74) + 0.5) / 25, (31, 1)), atol=2e-3)


def test_frames_without_a_face_are_masked(tmp_path, bundled):
    units = own(bundled.streams["units"])
    change = {(3, " success"): "0", (3, " AU01_r"): "-nan(ind)", (7, " confidence"): "0.2"}
    path = write_csv(tmp_path / "me.csv", units, change=change)
    s = refmer.read_clip(openface_csv=path).streams["units"]
    assert np.flatnonzero(~s.mask[0]).tolist() == [3, 7] and not s.x[0, [3, 7]].any()
    assert refmer.read_clip(openface_csv=path, confidence=0.1).streams["units"].mask[0, 7]


def test_the_shorter_of_voice_and_face_is_masked_at_its_end(tmp_path, bundled):
    units = own(bundled.streams["units"])
    path = write_csv(tmp_path / "me.csv", units[:10])
    with pytest.warns(UserWarning, match=r"the sound lasts \d.\d\d s and the face 0.40 s: are they one clip"):
        clips = refmer.read_clip(write_wav(tmp_path / "me.wav"), path, np.ones((4, 16)))
    assert clips.streams["units"].mask.sum() == 10 and clips.streams["units"].x.shape[1] == len(units)
    assert clips.streams["logmel"].mask.all() and clips.streams["layers"].x.shape[1] == len(units)
    assert clips.streams["words"].rate == pytest.approx(4 / (len(units) / 25))


def test_a_trained_model_predicts_the_same_as_for_the_bundled_clip(tmp_path, bundled, model):
    words = own(bundled.streams["words"])
    path = write_csv(tmp_path / "me.csv", own(bundled.streams["units"]))
    clips = refmer.read_clip(write_wav(tmp_path / "me.wav"), path, words, speaker="me")
    np.testing.assert_allclose(model.predict_proba(clips), model.predict_proba(bundled), atol=0.05)
    with pytest.raises(ValueError, match="these clips lack .*units"):
        model.predict(refmer.read_clip(tmp_path / "me.wav", words=words))


def test_a_clip_with_little_voice_is_read_with_a_warning(tmp_path):
    speech, noise = refmer.raw_signals(NAME).wave[4000:], np.random.default_rng(0).normal(0, 3e-3, 32000)
    sigh = noise + np.pad(speech[:1200], (16000, 32000 - 17200))
    with pytest.warns(UserWarning, match=r"wav me.wav has 0.0\d s of voice in \d.\d\d s"):
        clips = refmer.read_clip(**sound(tmp_path, 0.01 * sigh))
    assert set(clips.streams) == {"logmel", "prosody", "mfcc", "layers"}


def sound(folder, wave):
    wavfile.write(folder / "me.wav", 16000, wave.astype(np.float32))
    return {"wav": folder / "me.wav"}


def content(folder, label, data):
    (folder / "me").write_bytes(data)
    return {label: folder / "me"}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (lambda f: {}, "nothing to read"),
        (lambda f: {"words": np.ones(3)}, r"words has shape \(3,\)"),
        (lambda f: {"words": np.full((2, 3), np.nan)}, "NaN or infinite values in 2 words"),
        (lambda f: {"words": [[1, 2], [3]]}, r"words is list .*; accepted: numbers \(words, width\)"),
        (lambda f: {"words": np.full((2, 3), 1e300)}, "NaN or infinite values in 2 words; accepted: finite in float32"),
        (lambda f: {"words": np.ones((2, 3)), "confidence": 2}, "confidence is 2"),
        (lambda f: {"words": np.ones((2, 3)), "confidence": [1]}, "confidence is .1.; accepted: numbers from 0 to 1"),
        (lambda f: {"wav": 3}, "wav is int; accepted: a path"),
        (lambda f: {"words": np.ones((2, 3)), "rate": 0}, "rate is 0; accepted: frames per second from 5 to 1000"),
        (lambda f: {"words": np.ones((2, 3)), "rate": "25"}, "rate is '25'"),
        (lambda f: {"wav": "none"}, "wav is .*none"),
        (lambda f: {"openface_csv": "none"}, "openface_csv is .*none"),
        (lambda f: sound(f, np.zeros(16000)), "is silent"),
        (lambda f: sound(f, np.sin(np.arange(800))), "lasts 0.050 s; accepted: 0.2 to 600 s"),
        (lambda f: sound(f, np.where(np.arange(16000) == 5, np.nan, 0.1)), "NaN, infinite"),
        (lambda f: content(f, "openface_csv", b""), "openface_csv me"),
        (lambda f: content(f, "openface_csv", b"a, b\n1, 2\n"), "openface_csv me"),
        (lambda f: content(f, "openface_csv", b"\x00\xff" * 50), "openface_csv me"),
        (lambda f: content(f, "openface_csv", (",".join(HEADER) + "\n").encode()), "openface_csv me"),
    ],
)
def test_bad_files_and_arguments_raise_errors(tmp_path, arguments, message):
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=message):
        refmer.read_clip(**arguments(tmp_path))


@pytest.mark.parametrize("length", [0, 3, 20, 40, 43])
def test_truncated_and_foreign_files_raise_errors(tmp_path, length):
    whole = write_wav(tmp_path / "whole.wav").read_bytes()
    for bad in (whole[:length], b"x" * length):
        with pytest.raises(ValueError, match="wav me"):
            refmer.read_clip(**content(tmp_path, "wav", bad))
