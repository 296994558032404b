"""A folder of clips: all that can be read are, and what cannot be, or is there twice, is listed at the end."""

import shutil

import numpy as np
import pytest
from scipy.io import wavfile

import refmer


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
    with pytest.warns(UserWarning) as caught:
        clips = refmer.read_clips(folder)
    (message,) = [str(w.message) for w in caught]
    assert len(clips) == 2 and "4 of 6 clips of" in message
    for part in ("silent.wav is silent", "s02.wav lasts 0.000 s", "pointer.wav is a pointer", "table.csv has no line"):
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
