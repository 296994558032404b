"""MATLAB files of COVAREP."""

import numpy as np
import pytest
from error_table import errors
from scipy.io import savemat

from refmer.data.corpora import covarep


def write(path, n, seed=0, **changes):
    x = np.random.default_rng(seed).normal(size=(n, 74))
    path.parent.mkdir(exist_ok=True)
    savemat(path, {"features": x, "names": np.array([covarep.NAMES], object)} | changes)
    return x


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "a.mat", 5)
    write(tmp_path / "more" / "b.MAT", 8, 1)
    return tmp_path


def test_features_names_and_rate(folder):
    clips = covarep.read(folder, speaker=str.upper)
    stream = clips.streams["covarep"]
    assert (
        stream.x.shape == (2, 8, 74) and stream.mask.sum(1).tolist() == [5, 8] and (stream.rate, stream.sense) == (100, "voice")
    )
    assert stream.features == covarep.NAMES and clips.speaker.tolist() == ["A", "B"]
    np.testing.assert_array_equal(stream.x[0, :5], write(folder / "a.mat", 5).astype(np.float32))


def test_values_that_are_not_finite_are_zero_and_counted(folder):
    x = write(folder / "a.mat", 5)
    x[0, :3] = -np.inf, np.nan, np.inf
    write(folder / "a.mat", 5, features=x)
    with pytest.warns(UserWarning, match="COVAREP, .*: 3 values are missing or not finite, and read as 0"):
        assert not covarep.read(folder).streams["covarep"].x[0, 0, :3].any()


def test_a_file_without_names_has_those_of_covarep(tmp_path):
    savemat(tmp_path / "a.mat", {"features": np.ones((3, 74))})
    assert covarep.read(tmp_path).streams["covarep"].features == covarep.NAMES


def test_damaged_and_foreign_files_are_named_together(folder):
    whole = (folder / "a.mat").read_bytes()
    (folder / "cut.mat").write_bytes(whole[:-2000])
    (folder / "hdf.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(600))
    (folder / "text.mat").write_text("no mat file")
    savemat(folder / "other.mat", {"x": np.ones((2, 3))})
    savemat(folder / "narrow.mat", {"features": np.ones((2, 3))})
    with pytest.warns(UserWarning) as caught:
        assert len(covarep.read(folder)) == 2
    (message,) = [str(w.message) for w in caught]
    assert "5 of 7 files" in message and "narrow.mat has other features" in message and "x (2, 3)" in message
    for name in ("cut", "hdf", "text", "other"):
        assert f"{name}.mat cannot be read" in message
    assert "up to version 7 with `features`" in message


test_errors = errors((lambda tmp_path: covarep.read(tmp_path), "has no files that end in .mat"))
