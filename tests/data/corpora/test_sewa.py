"""Recordings with labels over time, as AVEC has them."""

import numpy as np
import pytest
from error_table import errors

from refmer.data.corpora import sewa

pytestmark = pytest.mark.filterwarnings("ignore:SEWA is not as published")
RECORDINGS = {"Train_DE_01": 6, "Devel_DE_01": 4, "Test_DE_01": 5}


def write(path, columns, x, times=None, time="timestamp", separator=";"):
    path.parent.mkdir(exist_ok=True)
    times = np.arange(len(x)) / 10 if times is None else times
    lines = [["name", time, *columns]] + [[f"'{path.stem}'", f"{t:.2f}", *row] for t, row in zip(times, x, strict=True)]
    path.write_text("\r\n".join(separator.join(map(str, line)) for line in lines) + "\r\n", encoding="utf-8-sig")


def values(n, width):
    return (np.arange(n * width).reshape(n, width) / 100).round(2)


@pytest.fixture
def folder(tmp_path):
    for name, n in RECORDINGS.items():
        if not name.startswith("Test"):
            write(tmp_path / "labels" / f"{name}.csv", ["arousal", "valence", "liking"], values(n, 3))
        write(tmp_path / "audio_features_egemaps" / f"{name}.CSV", ["F0", "jitter"], values(n, 2), time="frameTime")
        write(tmp_path / "visual_features_FAUs" / f"{name}.csv", ["AU1", "AU2", "AU4"], values(n, 3), separator=",")
    return tmp_path


def test_streams_and_labels_over_time(folder):
    clips = sewa.read(folder)
    assert clips.name.tolist() == ["Devel_DE_01", "Test_DE_01", "Train_DE_01"]
    assert {k: (s.sense, s.rate, s.features) for k, s in clips.streams.items()} == {
        "audio_features_egemaps": ("voice", 10, ("F0", "jitter")),
        "visual_features_FAUs": ("face", 10, ("AU1", "AU2", "AU4")),
    }
    affect = clips.labels["affect"]
    assert (affect.kind, affect.names, affect.rate) == ("regression", ("arousal", "valence", "liking"), 10)
    assert affect.mask.sum(1).tolist() == [4, 0, 6]
    np.testing.assert_allclose(affect.values[2, :6], values(6, 3))
    np.testing.assert_allclose(clips.streams["visual_features_FAUs"].x[0, :4], values(4, 3))
    assert clips.select(part="devel").name.tolist() == ["Devel_DE_01"] and clips.labels["part"].names == (
        "train",
        "devel",
        "test",
    )


def test_steps_that_are_left_out_are_masked(folder):
    write(folder / "labels" / "Train_DE_01.csv", ["arousal", "valence", "liking"], values(3, 3), [0, 0.1, 0.4])
    assert sewa.read(folder).labels["affect"].mask[2].tolist() == [True, True, False, False, True]


def test_decimal_commas_and_missing_values(folder):
    text = "name;timestamp;arousal;valence;liking\nx;0,0;0,5;;1\nx;0,1;-0,25;0,5;nan\nx;0,2;1;1;1\n"
    (folder / "labels" / "Train_DE_01.csv").write_text(text)
    affect = sewa.read(folder).labels["affect"]
    assert affect.mask[2].tolist() == [False, False, True, False] and affect.values[2, 2].tolist() == [1, 1, 1]


def test_a_damaged_file_is_named_and_the_rest_is_read(folder):
    (folder / "visual_features_FAUs" / "Train_DE_01.csv").write_text("name;timestamp;AU1;AU2;AU4\nx;0;1;2;3\nx;0.1;1;two;3\n")
    with pytest.warns(UserWarning, match="(?s)1 of 3 files.*Train_DE_01.csv: column AU2 of row 2 is 'two'; accepted: numbers"):
        clips = sewa.read(folder)
    assert clips.streams["visual_features_FAUs"].mask.any(1).tolist() == [True, True, False]


def test_recordings_and_streams_that_are_missing_are_named(folder):
    (folder / "visual_features_FAUs" / "Train_DE_01.csv").unlink()
    with pytest.warns(
        UserWarning, match="AVEC 2017 missing .61.: 'Train_DE_02'.*; recordings without visual.* .1.: 'Train_DE_01'$"
    ):
        sewa.read(folder)


def rewritten(folder, text):
    for file in (folder / "labels").iterdir():
        file.write_text(text)
    return sewa.read(folder)


test_errors = errors(
    (
        lambda folder: rewritten(folder, "name;arousal\nx;1\nx;2\n"),
        "has no times; accepted: a column timestamp or frameTime, 2 rows",
    ),
    (lambda folder: rewritten(folder, "name;timestamp;a\nx;0;1\n"), "has no times; accepted: a column"),
    (lambda folder: rewritten(folder, "name;timestamp;a\nx;0;1\nx;0;2\n"), "times do not rise, or are missing"),
    (lambda folder: rewritten(folder, "name;timestamp;a\nx;0;1\nx;.1;2\nx;.2;2\nx;.35;2\n"), "accepted: whole steps"),
    (lambda folder: rewritten(folder, ""), "has 0 rows of 0 features; accepted: at least one of each"),
)
test_missing = errors(
    (lambda tmp_path: sewa.read(tmp_path), "no folder .*labels; accepted: a folder of labels and one for each stream"),
    error=FileNotFoundError,
)
