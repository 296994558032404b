"""Files are written whole or not at all, and checked when they are read."""

import errno
import io
import struct
import zipfile

import numpy as np
import pytest

from refmer.data.files import read_npz, replacing, write_npz, write_text


def test_the_same_arrays_are_the_same_bytes(tmp_path):
    for name in "ab":
        write_npz(tmp_path / name, {"x": np.arange(5), "text": np.array("é")})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    np.testing.assert_array_equal(read_npz(tmp_path / "a", "test")["x"], np.arange(5))


def test_a_stopped_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "a", "old")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a") as f:
        f.write(b"new")
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and (tmp_path / "a").read_text() == "old"


def test_paths_are_expanded_and_open_files_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_npz("~/a.npz", {"x": np.arange(5)})
    write_npz(f := io.BytesIO(), {"x": np.arange(5)})
    assert (tmp_path / "a.npz").read_bytes() == f.getvalue()
    f.seek(0)
    for source in ("~/a.npz", f):
        np.testing.assert_array_equal(read_npz(source, "test")["x"], np.arange(5))


@pytest.mark.parametrize(
    "path, message", [("", r"\d is a folder; accepted: a file"), ("none/a.npz", "no folder .*none; accepted")]
)
def test_a_path_that_cannot_be_written_is_named(tmp_path, path, message):
    with pytest.raises(OSError, match=message) as error:
        write_npz(tmp_path / path, {"x": np.arange(5)})
    assert ".part" not in str(error.value) and not list(tmp_path.iterdir())


def npz(x):
    np.savez_compressed(f := io.BytesIO(), x=x)
    return f.getvalue()


def hostile(text):
    """An npz whose array has a header of its own."""
    with zipfile.ZipFile(f := io.BytesIO(), "w") as z:
        z.writestr("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
    return f.getvalue()


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "No data|zip"),
        (b"hello", "zip"),
        (npz(np.arange(1000))[:-40], "zip"),
        (npz(np.array([{}], dtype=object)), "pickle"),
        (npz(np.zeros(100_000, np.uint8)), "unfolds to 100128 bytes"),
        (hostile("(" * 9000), ""),
        (hostile("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,)}"), "allocate"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    (tmp_path / "f.npz").write_bytes(content)
    with pytest.raises(ValueError, match=rf"f.npz cannot be read \(.*{message}.*accepted: a test file"):
        read_npz(tmp_path / "f.npz", "a test file", largest=50_000)
    with pytest.raises(FileNotFoundError, match="no file .*gone.npz; accepted: a test file"):
        read_npz(tmp_path / "gone.npz", "a test file")


def test_a_full_disk_leaves_the_old_file_and_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="No space left on device: .*a.txt"), replacing(path) as f:
        f.write(b"new")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
