"""Grade every exercise of this folder with pytest: one test for each case."""

from functools import cache
from pathlib import Path

import pytest

from refmer.exercises.grade import grade, named
from refmer.exercises.pages import find

grade = cache(grade)
CASES = [(path, case) for path in sorted(Path(__file__).parent.glob("[0-9][0-9]_*.py")) for case in find(path).table.CASES]


@pytest.mark.parametrize("path, case", CASES, ids=[f"{path.stem}: {named(case)}" for path, case in CASES])
def test_exercise(path, case):
    outcome = next(o for o in grade(path).outcomes if o.case == case)
    if outcome.share < 1:
        pytest.fail("\n".join([named(case), *outcome.lines]), pytrace=False)
