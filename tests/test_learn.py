"""The tutorials are listed, and copied without overwriting."""

import pytest

from refmer import cli, learn


def test_they_are_listed_and_copied(tmp_path, capsys):
    assert cli.main(["tutorials", "--out", str(tmp_path / "mine")]) == 0
    out = capsys.readouterr().out
    assert all(path.name in out and title[0].isdigit() for path, title in learn.tutorials())
    for path, _ in learn.tutorials():
        assert (tmp_path / "mine" / path.name).read_text() == path.read_text()


def test_nobody_s_work_is_overwritten(tmp_path):
    (tmp_path / learn.FIRST).write_text("mine")
    with pytest.raises(FileExistsError, match=f"already holds {learn.FIRST}"):
        learn.copy(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [learn.FIRST]
