"""RAVDESS: names of files become labels; what is missing, odd, twice or damaged is named."""

import pytest
from error_table import errors
from voice_files import write_bytes, write_voice

import refmer
from refmer.data.corpora.ravdess import published

NAMES = ("03-01-06-01-02-01-12", "03-01-01-01-01-02-02", "03-01-08-02-02-02-24", "03-02-05-02-01-01-12")


@pytest.fixture
def corpus(tmp_path):
    for k, name in enumerate(NAMES):
        ending = "WAV" if k == 1 else "wav"
        write_voice(tmp_path / "RAVDESS speech" / f"Actor_{name[-2:]}" / f"{name}.{ending}", pitch=120 + 10 * k)
    return tmp_path / "RAVDESS speech"


def test_the_fields_of_a_name_are_labels(corpus):
    with pytest.warns(UserWarning, match="^RAVDESS is not as published: 3 of 1440 clips; 3 of 24 speakers; published files"):
        clips = refmer.read_data(f"ravdess:{corpus}")
    assert clips.name.tolist() == [NAMES[1], NAMES[0], NAMES[2]] and clips.speaker.tolist() == ["02", "12", "24"]
    label = {k: [x.names[v] for v in x.values] for k, x in clips.labels.items()}
    assert label["emotion"] == ["neutral", "fear", "surprise"] and label["intensity"] == ["normal", "normal", "strong"]
    assert label["statement"] == ["kids", "dogs", "dogs"] and label["repetition"] == ["second", "first", "second"]
    alone = refmer.read_clip(corpus / "Actor_02" / f"{NAMES[1]}.WAV").streams
    assert set(clips.streams) == {"logmel", "prosody", "mfcc", "layers"}
    for name, s in clips[0].streams.items():
        assert (s.x[s.mask] == alone[name].x[alone[name].mask]).all()


@pytest.mark.parametrize("channel, n", [("song", 1), ("both", 4)])
def test_song_is_another_channel(corpus, channel, n):
    with pytest.warns(UserWarning, match="RAVDESS is not as published"):
        clips = refmer.read_data(f"ravdess:{corpus}", channel=channel)
    assert len(clips) == n and "song" in [clips.labels["channel"].names[k] for k in clips.channel]


def test_files_that_are_odd_twice_or_damaged_are_named_and_the_rest_is_read(corpus):
    write_voice(corpus / "copies" / f"{NAMES[2]}.wav")
    write_voice(corpus / "Actor_12" / "03-01-06.wav")
    write_bytes(corpus / "Actor_12" / "03-01-04-01-01-01-12.wav", b"RIFF")
    write_bytes(corpus / "Actor_12" / "._03-01-04-01-01-01-12.wav", b"hidden")
    with pytest.warns(UserWarning) as caught:
        clips = refmer.read_data(f"ravdess:{corpus}")
    published, unread = (str(w.message) for w in caught)
    assert len(clips) == 3
    assert published.endswith(f"left out (1): '03-01-06.wav'; second copies of a file, left out (1): '{NAMES[2]}.wav'")
    assert "1 of 4 clips of RAVDESS are left out:\nwav 03-01-04-01-01-01-12.wav begins with b'RIFF'" in unread


def test_the_published_names_are_as_many_as_the_published_files():
    assert len(published(("01",))) == 1440 and len(published(("02",))) == 1012
    assert {name[-2:] for name in published(("01",))} - {name[-2:] for name in published(("02",))} == {"18"}


test_errors = errors(
    (
        lambda corpus: refmer.read_data(f"ravdess:{corpus}", channel="face"),
        "channel is 'face'; accepted: 'speech', 'song', 'both'",
    ),
    (
        lambda tmp_path: refmer.read_data(f"ravdess:{tmp_path}"),
        "has no file of a name as expected; accepted: a folder of 03-01-06",
    ),
    (
        lambda corpus: refmer.read_data(f"ravdess:{corpus / 'Actor_02'}", channel="song"),
        "Actor_02 has no song; accepted: a folder of 03-02-06-01-02-01-12.wav",
    ),
)
test_missing_folder = errors(
    (lambda tmp_path: refmer.read_data(f"ravdess:{tmp_path / 'none'}"), "no folder .*none"), error=FileNotFoundError
)
