"""CREMA-D: votes by channel, ties, clips that lack a sound, a row or a face."""

import pytest
from error_table import errors
from voice_files import write_bytes, write_voice

import refmer

NAMES = ("1001_DFA_ANG_XX", "1001_IEO_HAP_LO", "1002_TIE_SAD_XX")
VOTES = {  # block -> A, D, F, H, N, S of each clip
    "1": ((8, 2, 0, 0, 0, 0), (0, 0, 0, 1, 9, 0), (0, 0, 0, 0, 9, 1)),
    "2": ((7, 3, 0, 0, 0, 0), (0, 0, 0, 9, 1, 0), (0, 0, 9, 0, 0, 1)),
    "3": ((4, 5, 0, 0, 1, 0), (0, 0, 5, 5, 0, 0), (0, 4, 0, 0, 4, 2)),
}
COLUMNS = '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"'


def tabulated(names=NAMES):
    rows = [
        f'"{block}{k + 1:05d}",{",".join(map(str, counts[k % 3]))},"{name}",10,0.5,"N"'
        for block, counts in VOTES.items()
        for k, name in enumerate(names)
    ]
    return "\r\n".join([COLUMNS, *rows, ""]).encode("utf-8-sig")


@pytest.fixture
def corpus(tmp_path):
    for k, name in enumerate(NAMES):
        write_voice(tmp_path / "AudioWAV" / f"{name}.{'WAV' if k else 'wav'}", pitch=120 + 30 * k)
    write_bytes(tmp_path / "processedResults" / "tabulatedVotes.csv", tabulated())
    return tmp_path


def read(corpus, **options):
    with pytest.warns(UserWarning, match="^CREMA-D is not as published: [0-9]+ of 7442 clips; [0-9] of 91 speakers") as caught:
        clips = refmer.read_data(f"crema_d:{corpus}", **options)
    return clips, str(caught[0].message)


def words(clips, label):
    return [clips.labels[label].names[k] if k >= 0 else None for k in clips.labels[label].values]


@pytest.mark.parametrize(
    "channel, emotion",
    [
        ("voice", ["anger", "neutral", "neutral"]),
        ("face", ["anger", "happiness", "fear"]),
        ("multimodal", ["disgust", "happiness", "disgust"]),
    ],
)
def test_the_emotion_has_most_votes_of_a_tie_the_intended_one_or_the_first(corpus, channel, emotion):
    clips, _ = read(corpus, channel=channel)
    assert words(clips, "emotion") == emotion
    assert clips.votes.tolist() == [list(row) for row in VOTES[{"voice": "1", "face": "2", "multimodal": "3"}[channel]]]
    assert words(clips, "intended") == ["anger", "happiness", "sadness"]
    assert words(clips, "level") == ["unspecified", "low", "unspecified"] and words(clips, "sentence") == ["DFA", "IEO", "TIE"]
    assert clips.speaker.tolist() == ["1001", "1001", "1002"] and clips.streams["logmel"].x.shape == (3, 20, 40)


def test_a_summary_has_answers_but_no_votes(corpus):
    (corpus / "processedResults" / "tabulatedVotes.csv").unlink()
    lines = (
        '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"',
        *(
            f'"{k}","{name}","N","70","F","70","{vote}","60"'
            for k, (name, vote) in enumerate(zip(NAMES, ("D", "F:H", "D:N"), strict=True))
        ),
    )
    write_bytes(corpus / "summaryTable.csv", "\n".join(lines).encode())
    clips, _ = read(corpus)
    assert words(clips, "emotion") == ["disgust", "happiness", "disgust"] and "votes" not in clips.labels
    clips, _ = read(corpus, channel="face", voice=False)
    assert words(clips, "emotion") == ["fear"] * 3 and not clips.streams


def test_without_a_table_the_intended_emotion_is_left(corpus):
    (corpus / "processedResults" / "tabulatedVotes.csv").unlink()
    clips, _ = read(corpus)
    assert set(clips.labels) == {"intended", "level", "sentence"} and len(clips) == 3


def test_labels_alone_need_no_sound(corpus):
    clips, _ = read(corpus / "processedResults", voice=False)
    assert words(clips, "emotion") == ["disgust", "happiness", "disgust"] and not clips.streams


def test_clips_without_a_sound_or_a_row_are_left_out_and_named(corpus):
    write_voice(corpus / "AudioWAV" / "1003_DFA_DIS_XX.wav", pitch=220)
    write_voice(corpus / "AudioWAV" / "notes of 1003.wav")
    table = tabulated((NAMES[0], "1009_MTI_NEU_XX", "odd"))
    write_bytes(corpus / "processedResults" / "tabulatedVotes.csv", table)
    clips, message = read(corpus)
    assert clips.name.tolist() == [NAMES[0]]
    for part in (
        "files with other names, left out (1): 'notes of 1003.wav'",
        "files without a row of the table, left out (3): '1001_IEO_HAP_LO', '1002_TIE_SAD_XX', '1003_DFA_DIS_XX'",
        "a row of the table without a file (2): '1009_MTI_NEU_XX', 'odd'",
    ):
        assert part in message


def test_the_face_of_a_clip_has_its_name(corpus, tmp_path):
    rows = "".join(f"{t + 1}, {t / 25:.3f}, 0.98, 1, {t / 10}, 0.5\n" for t in range(10))
    header = "frame, timestamp, confidence, success, AU01_r, AU12_r\n"
    write_bytes(tmp_path / "faces" / f"{NAMES[1]}.csv", (header + rows).encode())
    with pytest.warns(UserWarning) as caught:
        clips = refmer.read_data(f"crema_d:{corpus}", openface=tmp_path / "faces")
    assert "clips without a CSV of OpenFace (2)" in str(caught[0].message) and "lacks the columns" in str(caught[1].message)
    assert clips.streams["units"].features == ("AU01_r", "AU12_r")
    assert (
        clips.streams["units"].mask.sum(1).tolist() == [0, 10, 0] and clips.streams["logmel"].mask.sum(1).tolist() == [20] * 3
    )
    with pytest.warns(UserWarning):
        assert refmer.read_data(f"crema_d:{corpus}", openface=tmp_path / "faces", voice=False).name.tolist() == [NAMES[1]]


def broken(corpus, old, new):
    table = corpus / "processedResults" / "tabulatedVotes.csv"
    table.write_bytes(table.read_bytes().replace(old, new))
    return refmer.read_data(f"crema_d:{corpus}")


test_errors = errors(
    (lambda corpus: refmer.read_data(f"crema_d:{corpus}", channel="both"), "channel is 'both'; accepted: 'voice', 'face'"),
    (
        lambda tmp_path: refmer.read_data(f"crema_d:{tmp_path}"),
        "has no file of a name as expected; accepted: a folder of 1001_DFA",
    ),
    (
        lambda tmp_path: refmer.read_data(f"crema_d:{tmp_path}", voice=False),
        "has no votes; accepted: a folder with tabulatedVotes.csv or summaryTable.csv",
    ),
    (lambda corpus: broken(corpus, b'"H"', b'"h"'), "file tabulatedVotes.csv lacks the columns H; accepted: fileName, A, D"),
    (lambda corpus: broken(corpus, b"4,5,", b"4,x,"), "file tabulatedVotes.csv: .*'x'; accepted: numbers of raters in A, D"),
    (
        lambda corpus: broken(corpus, b'0,0,4,2,"1002_TIE_SAD_XX",10,0.5,"N"', b"0"),
        "file tabulatedVotes.csv: line 10 has 4 cells, the first 11",
    ),
)
test_missing_folder = errors(
    (lambda tmp_path: refmer.read_data(f"crema_d:{tmp_path / 'none'}", voice=False), "no folder .*none"),
    error=FileNotFoundError,
)
