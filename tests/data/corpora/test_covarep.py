"""MATLAB files of COVAREP."""

import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from refmer.data.corpora import covarep
from refmer.data.corpora.mat import read_mat


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
    assert (
        "5 of 7 files" in message
        and "narrow.mat has other features" in message
        and "it has x, of which features is no matrix" in message
    )
    for name in ("cut", "hdf", "text", "other"):
        assert f"{name}.mat cannot be read" in message
    assert "of version 5 to 7 with `features`" in message


@pytest.mark.parametrize("kind", ["f8", "f4", "i2", "u1", ">f8"])
@pytest.mark.parametrize("packed", [False, True])
def test_matrices_of_any_kind_and_packing(tmp_path, kind, packed):
    x = np.arange(6).reshape(2, 3).astype(kind)
    given = {"features": x, "names": np.array(["F0", "a name", "ü"], object), "note": "text", "s": {"a": 1}, "n": [[1]]}
    savemat(tmp_path / "a.mat", given, do_compression=packed)
    data = read_mat(tmp_path / "a.mat")
    np.testing.assert_array_equal(data["features"], x)
    assert data["names"] == ("F0", "a name", "ü") and data["note"] == "text" and data["s"] is None


@given(seed=st.integers(0, 2**32 - 1), packed=st.booleans())
def test_a_damaged_file_is_a_value_error_or_read(seed, packed):
    rng = np.random.default_rng(seed)
    stored = io.BytesIO()
    savemat(stored, {"features": np.ones((3, 4)), "names": np.array(["a", "b", "c", "d"], object)}, do_compression=packed)
    data = bytearray(stored.getvalue())
    for at in rng.integers(len(data), size=3):
        data[at] = rng.integers(256)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "x.mat"
        file.write_bytes(data[: rng.integers(len(data) + 1)] if seed % 2 else data)
        try:
            x, _ = covarep.features_of(file)
        except ValueError as error:
            assert "x.mat cannot be read" in str(error)
        else:
            assert x.ndim == 2


test_errors = errors((lambda tmp_path: covarep.read(tmp_path), "has no files that end in .mat"))
