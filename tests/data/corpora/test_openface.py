"""A folder of files of OpenFace 2."""

import numpy as np
import pytest
from error_table import errors

from refmer.data.corpora import openface
from refmer.data.openface import ALL, FEATURES

FIRST = ("frame", "face_id", "timestamp", "confidence", "success")


def write(path, n=10, columns=ALL, **options):
    rng = np.random.default_rng(len(path.stem))
    first = {"frame": range(1, n + 1), "face_id": [0] * n, "timestamp": np.arange(n) / 25}
    first |= {"confidence": [0.98] * n, "success": [1] * n} | options
    x = np.abs(rng.normal(size=(n, len(columns)))).round(3)
    rows = [[*(first[k][t] for k in FIRST), *x[t]] for t in range(n)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\r\n".join(", ".join(map(str, row)) for row in [[*FIRST, *columns], *rows]) + "\r\n", encoding="utf-8-sig")
    return x


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "actor1" / "a.csv")
    write(tmp_path / "actor2" / "bb.CSV", 20)
    return tmp_path


@pytest.mark.parametrize("columns, width", [("units", 49), ("all", 709), ("paper", 713)])
def test_columns_are_units_all_or_those_of_the_paper(folder, columns, width):
    clips = openface.read(folder, columns=columns)
    stream = clips.streams["units"]
    assert stream.x.shape == (2, 20, width) and stream.sense == "face" and stream.rate == 25
    assert stream.mask.sum(1).tolist() == [10, 20] and clips.name.tolist() == clips.speaker.tolist() == ["a", "bb"]
    assert stream.features[: len(FEATURES)] == FEATURES if columns == "units" else stream.features[-709:] == ALL


def test_all_features_are_those_of_the_file(folder):
    x = write(folder / "actor1" / "a.csv")
    stream = openface.read(folder / "actor1" / "a.csv", columns="all").streams["units"]
    np.testing.assert_allclose(stream.x[0], x, atol=2e-3)


def test_files_of_one_name_in_two_folders_are_two_clips(folder):
    write(folder / "actor2" / "a.csv", 12)
    clips = openface.read(folder, speaker=lambda name: name.split("/")[0])
    assert clips.name.tolist() == ["actor1/a", "actor2/a", "bb"] and clips.speaker[0] == "actor1"


def test_frames_without_a_face_are_masked_and_damaged_files_named(folder):
    write(folder / "actor1" / "ccc.csv", 10, success=[1] * 5 + [0] * 5)
    (folder / "actor1" / "x.csv").write_text("frame,timestamp\n1,0\n")
    with pytest.warns(UserWarning, match="(?s)1 of 4 clips of OpenFace.*are left out.*x.csv has no line with names of columns"):
        clips = openface.read(folder)
    assert clips.streams["units"].mask[1].tolist()[:10] == [True] * 5 + [False] * 5


test_errors = errors(
    (lambda folder: openface.read(folder, columns="most"), "columns is 'most'; accepted: 'units', 'all', 'paper'"),
    (lambda tmp_path: openface.read(tmp_path), "has no files that end in .csv; accepted: a folder of such files"),
)
test_missing = errors(
    (lambda tmp_path: openface.read(tmp_path / "none"), "no file or folder .*none; accepted: files that end in .csv"),
    error=FileNotFoundError,
)
