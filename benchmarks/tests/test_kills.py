"""Kills: damage is noticed, whole files pass, options are checked."""

import os
import random

import pytest
from error_table import errors

import kills
from kills import Job

needs_groups = pytest.mark.skipif(not hasattr(os, "killpg"), reason="no groups of processes")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A bench with one job, `own`, which puts a file with "whole" in the place of x."""
    code = "from pathlib import Path; Path('x.part').write_text('whole'); Path('x.part').replace('x')"
    monkeypatch.setitem(kills.JOBS, "own", Job(("-c", code), old=("x",)))
    bench = kills.Bench(tmp_path)
    bench.measure("own")
    assert bench.expected["own"] == {"x": b"whole"}
    return bench


@pytest.mark.parametrize("content, whole", [(b"old", 1), (b"whole", 1), (b"who", 0), (b"", 0), (None, 0)])
def test_only_whole_files_pass(bench, content, whole):
    cwd = bench.prepare("own")
    (cwd / "x").write_bytes(content) if content is not None else (cwd / "x").unlink()
    (cwd / "y.part").touch()
    bench.resume("own", cwd, "killed")
    assert bench.counts["own", "killed"] == {"tried": 1, "parts left": 1, "old or new": whole, "same bytes after": 1}
    assert bench.wrong == ([] if whole else ["own, killed: ['x']"]) and not cwd.exists()
    row, _, *wrong = kills.text(bench).splitlines()[1:]
    assert row.split() == ["own", "killed", "1", "0", "1", str(whole), "1"] and wrong == (bench.wrong or ["Nothing was wrong."])


def test_other_bytes_after_the_second_run_are_wrong(bench):
    bench.expected["own"] = {"x": b"other", "z": b""}
    bench.resume("own", bench.prepare("own"), "killed")
    assert bench.counts["own", "killed"]["same bytes after"] == 0 and bench.wrong == ["own, killed: ['x', 'z']"]


@needs_groups
@pytest.mark.parametrize("seconds, ended", [(0, 0), (300, 1)])
def test_a_job_that_ends_before_the_kill_is_counted(bench, monkeypatch, seconds, ended):
    monkeypatch.setattr(bench.random, "uniform", lambda low, high: seconds)
    bench.kill("own")
    assert bench.counts["own", "killed"]["ended before"] == ended and not bench.wrong


@needs_groups
@pytest.mark.slow
def test_a_folder_of_clips_survives():
    assert kills.run(2, ["save_folder"]).endswith("Nothing was wrong.")


def test_damage_always_changes_the_bytes():
    choose = random.Random(0)
    assert all(kills.damaged(content, choose) != content for content in [b"a", b"abc"] * 50)


test_wrong_options_are_named = errors(
    (kills.run, 0, "kills is 0; accepted: 1 or more"), (kills.run, 1, ["tea"], "no rows are called tea; accepted: compare")
)
