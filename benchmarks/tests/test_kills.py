"""Kills: damage is noticed, whole files pass, options are checked."""

import random

import pytest
from error_table import errors

import kills
from kills import Job

HALF = "import time; f = open('x', 'w'); f.write('half'); f.flush(); time.sleep(1); f.write('whole')"
WHOLE = "import time, os; open('x.part', 'w').write('whole'); time.sleep(1); os.replace('x.part', 'x')"


@pytest.mark.parametrize("code, whole", [(HALF, "0"), (WHOLE, "4")])
def test_files_written_by_halves_are_noticed(monkeypatch, code, whole):
    monkeypatch.setitem(kills.JOBS, "own", Job(("-c", code), old=("x",)))
    monkeypatch.setitem(kills.DISTURBANCES, "own", (kills.Bench.kill, "own"))
    monkeypatch.setattr(kills.random.Random, "uniform", lambda self, low, high: 0.6 * high)
    row, _, *wrong = kills.run(4, ["own"]).splitlines()[1:]
    assert row.split()[:3] == ["own", "killed", "4"] and row.split()[5] == whole
    assert ("own, killed: ['x']" in wrong) == (code == HALF) and (wrong == ["Nothing was wrong."]) == (code == WHOLE)


@pytest.mark.slow
def test_a_folder_of_clips_survives(monkeypatch):
    assert kills.run(2, ["save_folder"]).endswith("Nothing was wrong.")


def test_damage_always_changes_the_bytes():
    choose = random.Random(0)
    assert all(kills.damaged(content, choose) != content for content in [b"a", b"abc"] * 50)


test_wrong_options_are_named = errors(
    (kills.run, 0, "kills is 0; accepted: 1 or more"), (kills.run, 1, ["tea"], "no rows are called tea; accepted: compare")
)
