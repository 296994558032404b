"""Malformed calls, and the table of contracts."""

import numpy as np
import pytest

import contracts
import fuzz

CALLS = {"operations": 200, "integers": 100, "gradients": 50, "config": 100, "metrics": 100, "clips": 100}
CALLS |= {"corrupt": 20, "sound": 20, "table": 20}  # "model" and "predict" train a recognizer first


@pytest.fixture
def bar():
    return fuzz.tqdm(disable=True)


@pytest.mark.parametrize("part", CALLS)
def test_malformed_calls_are_refused_or_answered(part, bar):
    outcomes, problems = fuzz.count(part, CALLS[part], bar)
    assert not problems and sum(outcomes.values()) == CALLS[part] and outcomes["refused"] > 0


def unnamed():
    raise ValueError("no")


def named():
    raise ValueError("rate is -1")


@pytest.mark.parametrize(
    "call, kind",
    [
        (unnamed, "unnamed"),
        (named, "refused"),
        (lambda: 1 / 0, "error"),
        (lambda: {"y": np.array([np.nan])}, "silent"),
        (dict, "answered"),
    ],
)
def test_outcomes_are_told_apart(call, kind):
    assert fuzz.outcome(["rate"], call)[0] == kind


@pytest.mark.parametrize("code, kind", [("os.abort()", "signal"), ("signal.raise_signal(signal.SIGALRM)", "hang")])
def test_a_child_that_dies_is_counted_and_the_next_goes_on(monkeypatch, tmp_path, code, kind, bar):
    script = tmp_path / "child.py"
    script.write_text(f"import os, signal, sys\nif sys.argv[2] == '0': {code}\nprint('[\"refused\", \"\"]')")
    monkeypatch.setattr(fuzz, "__file__", str(script))
    outcomes, problems = fuzz.count("config", 2, bar)
    assert outcomes == {kind: 1, "refused": 1} and len(problems) == 1


def test_the_table_has_every_part_and_the_sums():
    text = fuzz.run(100, ["config", "clips"])
    assert [line.split()[0] for line in text.splitlines()[1:4]] == ["config", "clips", "all"], text


def test_every_operation_is_in_the_table_of_contracts(monkeypatch):
    monkeypatch.setattr(contracts, "CALLS", 1)
    assert "recurrent.lstm_backward" in contracts.run()
