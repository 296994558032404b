"""Features of a sound are the same from the folder that keeps them, which takes nothing else for them."""

import numpy as np
import pytest
from voice_files import write_voice

from refmer.data import voice
from refmer.data.voice import kept_voice, read_voice


@pytest.fixture
def wav(tmp_path):
    return write_voice(tmp_path / "a.wav")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept"


def assert_same(a, b):
    assert set(a) == set(b) == {"logmel", "prosody"}
    for k in a:
        assert a[k].dtype == b[k].dtype and a[k].tobytes() == b[k].tobytes()


def test_kept_features_are_those_of_the_sound_and_are_not_computed_again(wav, folder, monkeypatch):
    first = kept_voice(wav, folder)
    assert_same(first, read_voice(wav))
    assert_same(kept_voice(wav, None), first)
    monkeypatch.setattr(voice, "read_voice", None)
    assert_same(kept_voice(wav.rename(wav.with_name("b.wav")), folder), first)


def test_another_sound_or_another_code_has_another_file(wav, folder, monkeypatch):
    kept_voice(wav, folder)
    kept_voice(write_voice(wav, pitch=200), folder)
    assert len(list(folder.iterdir())) == 2
    monkeypatch.setattr(voice, "code", lambda: b"changed")
    kept_voice(wav, folder)
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("damage", [lambda x: x[:100], lambda x: b"", lambda x: x[:999] + bytes([x[999] ^ 1]) + x[1000:], None])
def test_a_damaged_file_is_computed_again(wav, folder, damage):
    features = kept_voice(wav, folder)
    (file,) = folder.iterdir()
    if damage:
        file.write_bytes(damage(file.read_bytes()))
    else:
        with open(file, "wb") as f:
            np.savez(f, logmel=features["logmel"])
    assert_same(kept_voice(wav, folder), features)
    assert_same(kept_voice(wav, folder), features)
    assert len(list(folder.iterdir())) == 1


def test_a_warning_is_given_again_with_the_name_of_the_file_that_is_read(wav, folder):
    write_voice(wav, pitch=4000)
    with pytest.warns(UserWarning, match="^wav a.wav has 0.00 s of voice"):
        kept_voice(wav, folder)
    with pytest.warns(UserWarning, match="^wav b.wav has 0.00 s of voice"):
        kept_voice(wav.rename(wav.with_name("b.wav")), folder)
