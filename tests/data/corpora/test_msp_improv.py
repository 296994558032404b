"""MSP-IMPROV: the emotion of a turn, the votes of its raters and its affect come from the evaluation text."""

import numpy as np
import pytest
from error_table import errors
from voice_files import write_bytes, write_voice

import refmer

TURNS = {
    "S01A-F01-P-FM01": "N; A:2.500000; V:3.000000; D:3.250000 ; N:4.000000;",
    "S01A-F01-S-MM02": "X; A:3.000000; V:2.000000; D:NaN ; N:NaN;",
    "S14S-M06-T-FF01": "S; A:4.000000; V:1.500000; D:2.000000 ; N:4.000000;",
    "S14S-M06-R-FF02": "O; A:4.000000; V:2.500000; D:2.000000 ; N:4.000000;",
}
RATERS = {
    "S01A-F01-P-FM01": (("R-1", "Neutral"), ("R_2", "Neutral"), ("R3", "Happy"), ("R3", "Angry")),
    "S01A-F01-S-MM02": (("R-1", "Angry"), ("R_2", "Happy")),
    "S14S-M06-T-FF01": (("R-1", "Sad"), ("R_2", "Sad"), ("R3", "Other")),
    "S14S-M06-R-FF02": (("R-1", "Other"),),
}


def evaluations(turns=TURNS):
    parts = [
        [f"UTD-IMPROV-{name}.avi; {line}"]
        + [f"{rater}; {answer}; {answer},Other (bored; a bit): A:3.0; V:3.0; D:3.0; N:3.0;" for rater, answer in RATERS[name]]
        for name, line in turns.items()
    ]
    return "\r\n\r\n".join("\r\n".join(part) for part in parts).encode("utf-8-sig")


@pytest.fixture
def corpus(tmp_path):
    for k, name in enumerate(TURNS):
        folder = tmp_path / "Audio" / f"session{name[7]}" / name[:4] / name[9]
        write_voice(folder / f"MSP-IMPROV-{name}.{'WAV' if k else 'wav'}", pitch=120 + 30 * k)
    write_bytes(tmp_path / "Evalution.txt", evaluations())
    return tmp_path


def read(corpus, **options):
    with pytest.warns(UserWarning, match="^MSP-IMPROV is not as published: [0-9]+ of 8438 clips; 2 of 12 speakers") as caught:
        clips = refmer.read_data(f"msp_improv:{corpus}", **options)
    return clips, str(caught[0].message)


def test_the_labels_are_those_of_the_evaluations(corpus):
    clips, _ = read(corpus)
    clips = clips[[clips.name.tolist().index(f"MSP-IMPROV-{name}") for name in TURNS]]
    emotion = clips.labels["emotion"]
    assert emotion.names == ("anger", "happiness", "neutral", "sadness", "other") and emotion.values.tolist() == [2, -1, 3, 4]
    assert clips.labels["votes"].names == emotion.names
    assert clips.votes.tolist() == [[0, 1, 2, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 2, 1], [0, 0, 0, 0, 1]]
    assert clips.labels["affect"].names == ("valence", "arousal", "dominance")
    np.testing.assert_array_equal(clips.affect[[0, 2]], [[3, 3.5, 3.25], [1.5, 2, 2]])
    assert clips.labels["affect"].present.tolist() == [True, False, True, True]
    assert clips.speaker.tolist() == ["F01", "F01", "M06", "M06"]
    label = {k: [x.names[v] for v in x.values] for k, x in clips.labels.items() if k in ("intended", "scenario", "sentence")}
    assert label["intended"] == ["anger", "anger", "sadness", "sadness"] and label["sentence"] == ["S01", "S01", "S14", "S14"]
    assert label["scenario"] == ["natural", "improvised", "target", "read"]
    assert clips.streams["mfcc"].mask.sum(1).tolist() == [20] * 4


def test_four_classes_leave_out_other_and_no_agreement(corpus):
    clips, _ = read(corpus, classes=4)
    assert clips.labels["emotion"].names == ("anger", "happiness", "neutral", "sadness")
    assert sorted(clips.emotion.tolist()) == [2, 3]


def test_turns_without_a_sound_or_an_evaluation_are_named(corpus):
    first, *rest = TURNS
    write_bytes(corpus / "Evalution.txt", evaluations({name: TURNS[name] for name in TURNS if name != first}))
    write_voice(corpus / "Audio" / "noise.wav")
    next(corpus.rglob(f"*{rest[-1]}.WAV")).unlink()
    clips, message = read(corpus)
    assert len(clips) == 2 and "files with other names, left out (1): 'noise.wav'" in message
    assert f"files without an evaluation, left out (1): 'MSP-IMPROV-{first}'" in message
    assert f"an evaluation without a file (1): 'MSP-IMPROV-{rest[-1]}'" in message


def without_evaluations(corpus):
    write_bytes(corpus / "Evalution.txt", b"")
    return refmer.read_data(f"msp_improv:{corpus}")


test_errors = errors(
    (without_evaluations, r"no clip that can be read: 0 of 8438 clips; 0 of 12 speakers; files without an evaluation.* \(4\)"),
    (lambda corpus: refmer.read_data(f"msp_improv:{corpus}", classes=6), "classes is 6; accepted: None, 4"),
    (lambda tmp_path: refmer.read_data(f"msp_improv:{tmp_path}"), "has no file of a name as expected; .* MSP-IMPROV-S01A"),
    (
        lambda corpus: refmer.read_data(f"msp_improv:{corpus / 'Audio'}"),
        "Audio has no Evalution.txt; accepted: a folder with it",
    ),
)
