"""EmoDB: the letter of a name is the emotion's German word."""

import pytest
from voice_files import write_voice

import refmer


def test_the_letters_are_those_of_german_words(tmp_path):
    letters = {"W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral"}
    for k, letter in enumerate(letters):
        write_voice(tmp_path / "wav" / f"{('03', '11')[k % 2]}a0{1 + k % 2}{letter}a.wav", pitch=100 + 10 * k)
    write_voice(tmp_path / "wav" / "03a01Xa.wav")
    with pytest.warns(
        UserWarning, match=r"^EmoDB.*: 7 of 535 clips; 2 of 10 speakers; speakers missing \(8\): '08'.*'03a01Xa.wav'"
    ):
        clips = refmer.read_data(f"emodb:{tmp_path}")
    read = {name[5]: clips.labels["emotion"].names[k] for name, k in zip(clips.name, clips.emotion, strict=True)}
    assert read == letters
    assert clips.speaker.tolist() == ["03"] * 4 + ["11"] * 3
    assert [clips.labels["sentence"].names[k] for k in clips.sentence] == ["a01"] * 4 + ["a02"] * 3
    assert clips.streams["prosody"].x.shape == (7, 20, 6)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no file of a name as expected; accepted: a folder of 03a01Fa.wav"):
        refmer.read_data(f"emodb:{tmp_path}")
