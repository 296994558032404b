"""A folder of any kind that refmer reads."""

import numpy as np
import pytest
from error_table import errors
from scipy.io import wavfile

import refmer
from refmer.data.corpora import folder

WAVE = (9000 * np.sin(np.cumsum(np.linspace(0.05, 0.07, 8000)))).astype(np.int16)


def test_a_folder_that_was_saved(tmp_path):
    clips = refmer.Clips({"vgg": np.ones((3, 4))}, labels={"answer": ["yes", "no", "yes"]})
    refmer.save_folder(clips, tmp_path / "saved")
    assert folder.read(tmp_path / "saved").labels["answer"].names == ("no", "yes")


def test_a_folder_with_a_table(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    (tmp_path / "clips.csv").write_text("name,vgg\na,a.npy\n")
    assert folder.read(tmp_path, rates={"vgg": 5}).streams["vgg"].rate == 5


def test_sounds_in_folders_by_class(tmp_path):
    for k, place in enumerate(("anger", "fear")):
        (tmp_path / place).mkdir()
        wavfile.write(tmp_path / place / "a.WAV", 16000, np.roll(WAVE, 4000 * k))
    clips = folder.read(tmp_path)
    assert clips.name.tolist() == ["anger/a", "fear/a"] == clips.speaker.tolist()
    assert clips.labels["emotion"].names == ("anger", "fear") and clips.emotion.tolist() == [0, 1]


def test_sounds_without_classes(tmp_path):
    wavfile.write(tmp_path / "a.wav", 16000, WAVE)
    clips = folder.read(tmp_path, speaker="me")
    assert clips.speaker.tolist() == ["me"] and not clips.labels and clips.streams["logmel"].x.any()


test_errors = errors((lambda tmp_path: folder.read(tmp_path), "has no clips; accepted: one that refmer.save_folder wrote"))
test_missing = errors((lambda: folder.read("none"), "no folder none; accepted: one that"), error=FileNotFoundError)


@pytest.mark.parametrize("reader", ["table", "folder"])
def test_data_are_read_by_the_name_of_the_reader(tmp_path, reader):
    from refmer.data.corpora import read_data

    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    (tmp_path / "clips.csv").write_text("name,vgg\na,a.npy\n")
    path = tmp_path / "clips.csv" if reader == "table" else tmp_path
    assert read_data(f"{reader}:{path}").name.tolist() == ["a"]
