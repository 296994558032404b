"""IEMOCAP: turns or dialogues, their raters' answers, and the classes of the two protocols."""

import numpy as np
import pytest
from error_table import errors
from voice_files import write_bytes, write_voice

import refmer

DIALOGUES = {  # name -> turns: beginning, name, code, affect, answers of raters and of the actor
    "Ses01F_impro01": (
        (6.2901, "F000", "neu", "2.5000, 2.5000, 2.5000", ("Neutral;", "Neutral state;", "Frustration; Anger;"), "Anger;"),
        (14.5, "M000", "exc", "4.0000, 4.5000, 3.0000", ("Excited;", "Happiness; Excited;", "Happiness;"), "Happiness;"),
        (10.0, "F001", "xxx", "2.0000, 3.0000, 3.5000", ("Sadness;", "Anger;", "Other;"), "Sadness;"),
    ),
    "Ses05M_script01_1b": (
        (1.5, "M000", "fru", "1.5000, 3.5000, 4.0000", ("Frustration;", "Frustration;", "Anger;"), "Anger;"),
        (2.5, "F000", "hap", "4.0000, 3.0000, 3.0000", ("Happiness;", "Happiness;", "Surprise;"), "Happiness;"),
    ),
}


@pytest.fixture
def corpus(tmp_path):
    pitch = 100
    for dialogue, turns in DIALOGUES.items():
        session = tmp_path / "IEMOCAP full" / f"Session{dialogue[4]}"
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        for start, turn, code, affect, answers, own in turns:
            name, pitch = f"{dialogue}_{turn}", pitch + 20
            lines.append(f"[{start:.4f} - {start + 0.4:.4f}]\t{name}\t{code}\t[{affect}]")
            lines += [f"C-E{k + 2}:\t{answer}\t(x; y)" for k, answer in enumerate(answers)] + [f"C-{turn[0]}1:\t{own}\t()"]
            lines += ["A-E3:\tval 3; act 2; dom  2;\t()", ""]
            write_voice(session / "sentences" / "wav" / dialogue / f"{name}.wav", pitch, seconds=0.3 + pitch / 1000)
        folder = session / "dialog" / "EmoEvaluation"
        write_bytes(folder / f"{dialogue}.txt", "\r\n".join(lines).encode())
        write_bytes(folder / f"._{dialogue}.txt", b"hidden")
        write_bytes(folder / "Categorical" / f"{dialogue}_e2_cat.txt", b"another layout")
        write_bytes(session / "dialog" / "transcriptions" / f"{dialogue}.txt", b"another layout")
        write_voice(session / "dialog" / "wav" / f"{dialogue}.wav")
    return tmp_path / "IEMOCAP full"


def read(corpus, **options):
    with pytest.warns(UserWarning, match="^IEMOCAP is not as published: [0-9] of 10039 clips; 4 of 10 speakers") as caught:
        clips = refmer.read_data(f"iemocap:{corpus}", **options)
    return clips, str(caught[0].message)


def words(clips):
    label = clips.labels["emotion"]
    return [label.names[k] if k >= 0 else None for k in label.values.ravel().tolist()]


def test_a_turn_is_a_clip(corpus):
    clips, message = read(corpus)
    assert "left out" not in message
    assert [name[-4:] for name in clips.name] == ["F000", "F001", "M000", "M000", "F000"]
    assert clips.speaker.tolist() == ["Ses01F", "Ses01F", "Ses01M", "Ses05M", "Ses05F"]
    assert words(clips) == ["neutral", None, "excitement", "frustration", "happiness"]
    votes = [{k: n for k, n in zip(clips.labels["votes"].names, row, strict=True) if n} for row in clips.votes]
    assert votes[0] == {"anger": 1, "frustration": 1, "neutral": 2} and votes[2] == {"excitement": 2, "happiness": 2}
    assert votes[1] == {"anger": 1, "other": 1, "sadness": 1}
    assert clips.labels["affect"].names == ("valence", "arousal", "dominance") and clips.affect[2].tolist() == [4, 4.5, 3]
    assert clips.streams["logmel"].mask.sum(1).tolist() == [21, 23, 22, 24, 25]


def test_the_classes_of_the_protocols(corpus):
    four, _ = read(corpus, classes=4)
    assert four.labels["emotion"].names == ("anger", "happiness", "neutral", "sadness")
    assert words(four) == ["neutral", "happiness", "happiness"]
    six, _ = read(corpus, classes=6)
    assert six.labels["emotion"].names == ("anger", "excitement", "frustration", "happiness", "neutral", "sadness")
    assert words(six) == ["neutral", "excitement", "frustration", "happiness"]


def test_a_dialogue_is_a_clip_whose_steps_are_turns(corpus):
    clips, _ = read(corpus, dialogues=True, classes=4)
    turns, _ = read(corpus)
    assert clips.name.tolist() == list(DIALOGUES) and clips.speaker.tolist() == ["Ses01", "Ses05"]
    emotion = clips.labels["emotion"]
    assert emotion.rate == 1 and emotion.mask.tolist() == [[True, False, True], [False, True, False]]
    assert words(clips) == ["neutral", None, "happiness", None, "happiness", None]
    assert clips.labels["affect"].mask.tolist() == [[True] * 3, [True, True, False]]
    np.testing.assert_array_equal(clips.affect[1, :2], turns.affect[3:])
    np.testing.assert_array_equal(clips.votes[0], turns.votes[:3])
    for name, s in clips.streams.items():
        assert s.rate == 1 and s.mask.sum(1).tolist() == [3, 2] and s.features == turns.streams[name].features
        of = turns.streams[name]
        np.testing.assert_allclose(s.x[0, 1], of.x[1][of.mask[1]].mean(0), rtol=1e-5)


def test_turns_that_cannot_be_read_are_left_out_of_a_dialogue(corpus):
    write_bytes(next(corpus.rglob("Ses01F_impro01_F001.wav")), b"RIFF")
    next(corpus.rglob("Ses05M_script01_1b_M000.wav")).unlink()
    with pytest.warns(UserWarning) as caught:
        clips = refmer.read_data(f"iemocap:{corpus}", dialogues=True)
    assert "an evaluation without a file (1): 'Ses05M_script01_1b_M000'" in str(caught[0].message)
    assert "wav Ses01F_impro01_F001.wav begins with" in str(caught[1].message)
    assert clips.streams["mfcc"].mask.sum(1).tolist() == [2, 1] and words(clips) == ["neutral", "excitement", "happiness", None]


test_errors = errors(
    (lambda corpus: refmer.read_data(f"iemocap:{corpus}", classes=5), "classes is 5; accepted: None, 4, 6"),
    (
        lambda tmp_path: refmer.read_data(f"iemocap:{tmp_path}"),
        "accepted: a folder of Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
    ),
    (
        lambda corpus: refmer.read_data(f"iemocap:{corpus / 'Session1' / 'dialog'}"),
        "dialog has no file of a name as expected; accepted: a folder of Session1/sentences/wav",
    ),
)
