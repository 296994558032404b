"""The command line."""

import ast
import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import refmer
from refmer.cli import STOPPED, corrupted, main, parser, stopped_by_ctrl_c
from refmer.experiments import EXPERIMENTS
from refmer.notebooks import notebook


def test_module_and_version():
    done = subprocess.run([sys.executable, "-m", "refmer", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"refmer {refmer.__version__}"


def test_help_is_a_page_that_names_every_command():
    text = parser().format_help()
    assert text.count("\n") < 60 and max(map(len, text.split("\n"))) <= 130
    for command in ("compare", "train", "evaluate", "params", "check", "warm-up"):
        assert command in text


def test_train_then_evaluate_on_other_speakers(tmp_path, capsys):
    path = str(tmp_path / "m.npz")
    assert main(["train", "concatenation", "--epochs", "3", "--label", "emotion", "--out", path]) == 0
    assert "216 clips of 18 speakers (synthetic corpus), label emotion" in capsys.readouterr().out
    scores = {}
    for corrupt in ([], ["--corrupt", "face:missing:1"], ["--corrupt", "voice:gaussian:2:raw", "--corrupt", "face:gaussian:1"]):
        assert main(["evaluate", path, *corrupt]) == 0
        out = capsys.readouterr().out
        assert "72 clips of 6 speakers not in its training (synthetic corpus)" in out
        scores[tuple(corrupt)] = float(out.split("accuracy")[1].split()[0])
    assert len(set(scores.values())) > 1 and np.isfinite(list(scores.values())).all()


UNREADABLE = ("face", "face:missing:half", "face:missing:1:raw:more")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["evaluate", "gone.npz"], "no file gone.npz"),
        (["train", "wave", "--out", "m.npz"], "no system is called 'wave'; accepted: openface_adaptive"),
        (["train", "concatenation", "--out", "no/such/m.npz"], "no folder no/such"),
        (["train", "concatenation", "--label", "age", "--out", "m.npz"], "label is 'age'; accepted: sentiment, emotion"),
        (["compare", "--systems", "a,b"], "no system is called 'a'"),
        (["ablate", "concatenation"], "concatenation"),
        *((["evaluate", "saved", "--corrupt", text], f"--corrupt is '{text}'; accepted: SENSE:") for text in UNREADABLE),
    ],
)
def test_errors_are_one_line_and_status_1(model, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    model.save("saved")
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and not list(tmp_path.glob("*.npz"))


def test_bursty_losses_of_both_senses_can_be_written(clips):
    broken = corrupted(clips, "voice+face:bursty:0.05,0.45:raw", None, 3)
    expected = refmer.corrupt(clips, "voice+face", "bursty", (0.05, 0.45), space="raw", seed=3)
    for name, s in expected.streams.items():
        np.testing.assert_array_equal(broken.streams[name].x, s.x)


BUSY = """
import os, time
from joblib import Parallel, delayed
from refmer.cli import stopped_by_ctrl_c
with stopped_by_ctrl_c():
    Parallel(2)(delayed(os.getpid)() for _ in range(4))
    print("ready", flush=True)
    while True:
        try:
            time.sleep(1)
        except KeyboardInterrupt:  # as LLVM's callbacks do
            pass
"""


def test_ctrl_c_ends_a_process_that_loses_it_and_its_workers():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", BUSY], text=True, env=environment, **pipes) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=300)  # until the workers have ended too: the pipe is theirs as well
        finally:
            process.kill()
    assert (process.returncode, error) == (130, STOPPED)


def test_the_handler_of_ctrl_c_is_restored(monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "")  # kept as it is
    before = signal.getsignal(signal.SIGINT)
    with stopped_by_ctrl_c():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before and signal.set_wakeup_fd(-1) == -1


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
    assert set(options) <= own | {"protocol"}
    arguments = parser().parse_args([name, *(["raver"] if "system" in options else []), "--quick"])
    assert arguments.out == (EXPERIMENTS[name].folder or f"refmer-{name}") and arguments.quick


@pytest.mark.slow
def test_an_experiment_runs_from_its_command(tmp_path, capsys):
    assert main(["gates", "--quick", "--jobs", "1", "--out", str(tmp_path)]) == 0
    assert "synthetic" in capsys.readouterr().out and (tmp_path / "figures" / "gates.png").exists()


def test_tutorials_are_listed_and_copied_without_overwriting(tmp_path, capsys):
    paths = sorted((Path(__file__).parents[1] / "tutorials").glob("[0-9][0-9]_*.py"))
    assert main(["tutorials", "--out", str(tmp_path / "mine")]) == 0
    out = capsys.readouterr().out
    assert paths and all(path.name in out for path in paths) and "1. One layer" in out
    copies = tmp_path / "mine"
    assert all((copies / path.name).read_text() == path.read_text() for path in paths)
    for path in paths[1:]:
        (copies / path.name).unlink()
    (copies / paths[0].name).write_text("edited")
    assert main(["tutorials", "--out", str(copies)]) == 1
    assert f"already holds {paths[0].name}" in capsys.readouterr().err
    assert [path.read_text() for path in copies.iterdir()] == ["edited"]


def test_tutorials_are_copied_as_notebooks(tmp_path, capsys):
    paths = sorted((Path(__file__).parents[1] / "tutorials").glob("[0-9][0-9]_*.py"))
    assert main(["tutorials", "--out", str(tmp_path), "--notebooks"]) == 0
    for path in paths:
        cells = json.loads((tmp_path / f"{path.stem}.ipynb").read_text())["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        assert ast.dump(ast.parse("\n".join(code))) == ast.dump(ast.parse(path.read_text()))
        text = [line for cell in cells if cell["cell_type"] == "markdown" for line in cell["source"]]
        assert text[0].startswith("# ") and not [line for line in text[1:] if line.startswith("# ")]
        assert len({cell["id"] for cell in cells}) == len(cells)
    assert main(["tutorials", "--notebooks"]) == 1
    assert "--notebooks needs --out DIR" in capsys.readouterr().err
    with pytest.raises(ValueError, match="begins with 'import"):
        notebook("import refmer\n")
