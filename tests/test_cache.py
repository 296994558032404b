"""The user's cache folder: an own variable comes before those of the platform, and what cannot be written is no cache."""

import os

import pytest

from refmer.cache import is_writable, users_folder

HERE = os.path.abspath(os.sep)


@pytest.mark.parametrize(
    "environment, folder",
    [
        ({"REFMER_CACHE": "own", "XDG_CACHE_HOME": os.path.join(HERE, "x")}, os.path.abspath("own")),
        ({"XDG_CACHE_HOME": os.path.join(HERE, "x"), "LOCALAPPDATA": os.path.join(HERE, "y")}, os.path.join(HERE, "x")),
        ({"LOCALAPPDATA": os.path.join(HERE, "y")}, os.path.join(HERE, "y")),
        ({"XDG_CACHE_HOME": "not absolute"}, None),
    ],
)
def test_the_folder_is_that_of_the_first_variable(environment, folder, monkeypatch):
    for name in ("REFMER_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, environment.get(name, ""))
    assert users_folder() == folder


def test_a_folder_is_made_and_a_file_is_none(tmp_path):
    assert is_writable(tmp_path / "a" / "b") and list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    assert not is_writable(tmp_path / "file") and not is_writable(tmp_path / "file" / "inside")
