"""Every twin through its contract, with right and wrong arguments, in a child process: no signal, no foreign memory."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("fuzz.py")


@pytest.mark.parametrize("count, dtypes", [(500, "f"), pytest.param(5000, "fd", marks=pytest.mark.slow)])
def test_kernel_and_definition_agree_on_value_or_error(count, dtypes):
    child = subprocess.run([sys.executable, FUZZ, "0", str(count), dtypes], capture_output=True, text=True)
    assert child.returncode == 0, f"ended with {child.returncode} in {child.stderr[-2000:]}"
    *problems, outcomes = child.stdout.splitlines()
    outcomes = ast.literal_eval(outcomes)
    assert not problems and outcomes.keys() == {"answered", "refused"} and min(outcomes.values()) > count / 4, child.stdout
