"""The command line: what a stranger types first."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

import refmer
from refmer.cli import corrupted, main, parser
from refmer.experiments import EXPERIMENTS


def test_module_and_version():
    done = subprocess.run([sys.executable, "-m", "refmer", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"refmer {refmer.__version__}"


def test_help_is_a_page_that_names_every_command():
    text = parser().format_help()
    assert text.count("\n") < 60 and max(map(len, text.split("\n"))) <= 130
    for command in ("compare", "train", "evaluate", "params", "check", "warm-up"):
        assert command in text


def test_train_then_evaluate_on_speakers_it_has_not_met(tmp_path, capsys):
    path = str(tmp_path / "m.npz")
    assert main(["train", "concatenation", "--epochs", "3", "--target", "emotion", "--out", path]) == 0
    assert "216 synthetic clips of 18 speakers" in capsys.readouterr().out
    scores = {}
    for corrupt in ([], ["--corrupt", "face:missing:1"], ["--corrupt", "voice:gaussian:2:raw", "--corrupt", "face:gaussian:1"]):
        assert main(["evaluate", path, *corrupt]) == 0
        out = capsys.readouterr().out
        assert "72 synthetic clips of 6 speakers" in out
        scores[tuple(corrupt)] = float(out.split("accuracy")[1].split()[0])
    assert len(set(scores.values())) > 1 and np.isfinite(list(scores.values())).all()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["evaluate", "gone.npz"], "no file gone.npz"),
        (["train", "wave", "--out", "m.npz"], "no system is called 'wave'; accepted: openface_adaptive"),
        (["train", "concatenation", "--out", "no/such/m.npz"], "no folder no/such"),
        (["train", "concatenation", "--target", "age", "--out", "m.npz"], "no row is called 'concatenation@age'"),
        (["compare", "--systems", "a,b"], "no system is called 'a'"),
    ],
)
def test_errors_are_one_line_and_status_1(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error and not list(tmp_path.glob("*.npz"))


@pytest.mark.parametrize("text", ["face", "face:missing:half", "face:missing:1:raw:more"])
def test_a_corruption_that_cannot_be_read_is_named(model, tmp_path, capsys, text):
    model.save(tmp_path / "m.npz")
    assert main(["evaluate", str(tmp_path / "m.npz"), "--corrupt", text]) == 1
    assert f"--corrupt is '{text}'; accepted: SENSE:KIND:AMOUNT" in capsys.readouterr().err


def test_bursty_losses_of_both_senses_can_be_written(clips):
    broken = corrupted(clips, "voice+face:bursty:0.05,0.45:raw", None, 3)
    expected = refmer.corrupt(clips, "voice+face", "bursty", (0.05, 0.45), space="raw", seed=3)
    for name, s in expected.streams.items():
        np.testing.assert_array_equal(broken.streams[name].x, s.x)


def test_wrong_usage_is_status_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["compare", "--seeds", "many"])
    assert stop.value.code == 2 and "invalid int value: 'many'" in capsys.readouterr().err


def test_params_prints_the_exact_counts(capsys):
    assert main(["params"]) == 0
    assert "1,962,503" in capsys.readouterr().out


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_takes_the_options_of_its_command(name):
    options = EXPERIMENTS[name].options
    own = set(inspect.signature(EXPERIMENTS[name].module.rows).parameters)
    assert set(options) <= own | {"protocol", "speakers"}
    arguments = parser().parse_args([name, *(["raver"] if "system" in options else []), "--quick"])
    assert arguments.out == (EXPERIMENTS[name].folder or f"refmer-{name}") and arguments.quick


def test_an_experiment_runs_from_its_command(tmp_path, capsys):
    assert main(["gates", "--quick", "--jobs", "1", "--out", str(tmp_path)]) == 0
    assert "synthetic" in capsys.readouterr().out and (tmp_path / "figures" / "gates.png").exists()
    assert main(["ablate", "concatenation", "--out", str(tmp_path)]) == 1
    assert "concatenation" in capsys.readouterr().err
