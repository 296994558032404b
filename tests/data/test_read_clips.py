"""A folder of clips: all that can be read are, and what cannot be, or is there twice, is listed at the end."""

import shutil

import numpy as np
import pytest
from error_table import errors
from scipy.io import wavfile
from voice_files import write_voice

import refmer
from refmer.data import read_clips


@pytest.fixture
def folder(tmp_path):
    for name in ("s00-anger-0", "s01-fear-1"):
        wave = refmer.raw_signals(name).wave
        wavfile.write(tmp_path / f"{name}.WAV", 16000, (wave * 2**15).astype(np.int16))
    return tmp_path


def test_the_clips_of_a_folder_are_those_of_its_files(folder):
    (folder / "notes.txt").write_text("no clip")
    clips = refmer.read_clips(folder, speaker=lambda name: name[:3])
    assert clips.name.tolist() == ["s00-anger-0", "s01-fear-1"] and clips.speaker.tolist() == ["s00", "s01"]
    for k, name in enumerate(clips.name):
        alone = refmer.read_clip(folder / f"{name}.WAV").streams["logmel"]
        np.testing.assert_array_equal(clips.streams["logmel"].x[k, clips.streams["logmel"].mask[k]], alone.x[0])


def test_clips_that_cannot_be_read_are_listed_and_the_rest_is_read(folder):
    wavfile.write(folder / "silent.wav", 16000, np.zeros(16000))
    wavfile.write(folder / "s02.wav", 16000, np.zeros(0, np.int16))
    (folder / "pointer.wav").write_text("version https://git-lfs.github.com/spec/v1\n")
    (folder / "table.csv").write_text("a, b\n1, 2\n")
    (folder / "folder.wav").mkdir()
    with pytest.warns(UserWarning) as caught:
        clips = refmer.read_clips(folder)
    (message,) = [str(w.message) for w in caught]
    assert len(clips) == 2 and "5 of 7 clips of" in message
    for part in (
        "silent.wav is silent",
        "s02.wav lasts 0.000 s",
        "pointer.wav is a pointer",
        "table.csv has no line",
        "folder.wav': no such file",
    ):
        assert part in message


def test_the_same_sound_under_two_names_is_reported(folder):
    shutil.copy(folder / "s00-anger-0.WAV", folder / "video.wav")
    with pytest.warns(UserWarning, match="clips with the same sound or face.*: s00-anger-0 = video$"):
        assert len(refmer.read_clips(folder)) == 3


def test_a_folder_without_clips_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder .*none; accepted: a folder of .wav and .csv files"):
        refmer.read_clips(tmp_path / "none")
    (tmp_path / "a.wav").touch()
    with pytest.raises(ValueError, match="(?s)no clip of .* can be read.*wav a.wav is empty"):
        refmer.read_clips(tmp_path)


def test_many_clips_are_read_by_processes_and_kept(tmp_path, monkeypatch):
    for k in range(read_clips.FEW):
        write_voice(tmp_path / f"{k:02d}.wav", pitch=100 + k, seconds=0.3 + k / 100)
    (tmp_path / "damaged.wav").write_bytes(b"RIFF")
    kept = tmp_path / "new" / "kept"
    for folder, cache in ((tmp_path, kept), (".", "new/kept")):  # the same processes read in another folder
        with pytest.warns(UserWarning, match="1 of 17 clips of .*\n.*damaged.wav begins with"):
            clips = refmer.read_clips(folder, jobs=2, cache=cache)
        assert clips.name.tolist() == [f"{k:02d}" for k in range(read_clips.FEW)]
        assert len(list(kept.glob("*.npz"))) == read_clips.FEW
        for k in (0, 15):
            alone = refmer.read_clip(tmp_path / f"{k:02d}.wav").streams
            for name, s in clips[k].streams.items():
                np.testing.assert_array_equal(s.x[s.mask], alone[name].x[alone[name].mask])
        monkeypatch.chdir(tmp_path)


def test_clips_are_cut_after_some_seconds(tmp_path):
    write_voice(tmp_path / "a.wav", seconds=0.3)
    write_voice(tmp_path / "b.wav", pitch=200, seconds=1)
    whole, cut = refmer.read_clips(tmp_path), refmer.read_clips(tmp_path, seconds=0.4)
    for name, (T, frames) in {"logmel": (20, 35), "prosody": (20, 35), "mfcc": (20, 35), "layers": (10, 17)}.items():
        assert cut.streams[name].mask.shape == (2, T) and cut.streams[name].mask.sum() == frames
    np.testing.assert_array_equal(cut.streams["logmel"].x, whole.streams["logmel"].x[:, :20])


test_errors = errors(
    (lambda folder: refmer.read_clips(folder, jobs=0), "jobs is 0; accepted: integers, 1 or more or None"),
    (lambda folder: refmer.read_clips(folder, seconds=0), "seconds is 0; accepted: seconds, more than 0"),
    (lambda folder: refmer.read_clips(folder, confidence=2.0), "confidence is 2.0; accepted"),
)


def test_a_clip_without_sound_or_face_has_no_frame_of_it(tmp_path):
    write_voice(tmp_path / "a.wav")
    rows = "".join(f"{t + 1}, {t / 25:.3f}, 0.98, 1, {t / 10}\n" for t in range(10))
    (tmp_path / "b.csv").write_text("frame, timestamp, confidence, success, AU01_r\n" + rows)
    with pytest.warns(UserWarning, match="clips of .* were read with these remarks:\n.*b.csv lacks the columns"):
        clips = refmer.read_clips(tmp_path)
    frames = {name: s.mask.sum(1).tolist() for name, s in clips.streams.items()}
    assert frames == {"logmel": [20, 0], "prosody": [20, 0], "mfcc": [20, 0], "layers": [10, 0], "units": [0, 10]}
