"""Grading: general mistakes, files that misbehave, what teachers need, and the commands."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from refmer.cli import main
from refmer.exercises import pages
from refmer.exercises.grade import grade

SOLUTIONS = Path(__file__).parent / "solutions"
EXERCISES = pages.exercises()
LINEAR = "our_linear(x, W, b)"
PATIENT = 60.0  # seconds, where the function ends


def first(tmp_path, text, seconds=PATIENT):
    """The first outcome of a file of exercise 1 that begins with `our_linear`, and the report."""
    path = tmp_path / "mine.py"
    path.write_bytes(text if isinstance(text, bytes) else f"import numpy as np\n{text}\n".encode())
    report = grade(path, seconds=seconds)
    return report.outcomes[0], report


@pytest.mark.parametrize(
    "body, says",
    [
        ("return x @ W + b + None", r"raises TypeError: unsupported operand .* \(line 3\)"),
        ("x @ W + b", "returns None; expected: arrays"),
        ("return (x @ W + b).tolist()", "returns list; expected: arrays"),
        ("return 'y'", "returns str; expected: arrays"),
        ("return x @ W + b, b", "returns 2 values; expected: one: y"),
        ("return x @ W + b + 0j", "returns numbers of the type complex128; expected: real ones"),
        ("return np.broadcast_to(0.0, 10**8)", "returns 100,000,000 numbers"),
        ("return np.ones(10**13)", "raises MemoryError: more than 2 GB are needed"),
        ("return our_linear(x, W, b)", "raises RecursionError"),
        ("raise SystemExit(0)", "raises SystemExit: 0"),
        ("import os; os._exit(0)", r"ends the process without a result \(status 0\)"),
        ("import os; os.fork()", "raises PermissionError: another process is started; accepted: none"),
        ("import os; os.system('true')", "raises PermissionError: another process is started; accepted: none"),
        ("np.save('mine.npy', x)", "raises PermissionError: the file .*mine.npy is written or changed; accepted: none"),
        ("import os; os.remove('request.pickle')", "raises PermissionError: the file .*request.pickle is written or changed"),
        ("import torch", "raises ImportError: torch is imported; accepted: numpy and the standard library"),
        ("import refmer", "raises ImportError: refmer is imported; accepted: numpy and the standard library"),
        ("return (x @ W + b).astype('f4')", "y has the precision of float32; float64 came in"),
        ("return -(x @ W + b)", "y has the wrong sign"),
        ("return (x @ W + b) * len(b) ** -0.5", r"y is 0\.\d+ times what it should be: 1/sqrt\(E\), E = \d"),
        ("return 0 * x @ W", "y is 0 everywhere: a path is missing"),
        ("return (x @ W + b).T", r"y has the shape \(\d, \d\); expected: \(\d, \d\); it is transposed"),
        ("return (x @ W + b).sum(0)", r"y has the shape \(\d,\); expected: \(\d, \d\); it is summed over axis 0"),
        ("return x[..., None] * W + b / len(W)", r"y has the shape .*; it is not summed over axis 1"),
        ("return x @ W + b + np.inf", r"y has \d+ of \d+ elements that are nan or infinite"),
        ("y = x @ W + b; y[0] += 1; return y", "y is off by .*; wrong only at 0 of axis 0"),
        ("return x @ W + b * (1 + 1e-8)", "y is right to \\d digits only, as a difference quotient is"),
        ("y = x @ W + b; x[:] = 0; return y", "writes into its argument x"),
        ("b.sort(); return x @ W + b", "writes into its argument b"),
        ("return x @ W + b + np.random.default_rng().normal()", "gives another result when it is called again"),
        ("return x @ W + b + (len(x) == 1)", "the result of a clip depends on the other clips of the batch"),
    ],
)
def test_one_clear_line(body, says, tmp_path):
    outcome, report = first(tmp_path, f"def {LINEAR}:\n    {body}")
    assert outcome.share < 1
    assert any(re.search(says, line) for line in outcome.lines), outcome.lines


@pytest.mark.parametrize(
    "text, says",
    [
        (f"def {LINEAR}:\n    return x @ W +", "is not graded: the file is no Python, line 3: invalid syntax"),
        (b"def our_linear(x, W, b):\n    \0", "is not graded: the file is no Python"),
        (b"def our_linear(x, W, b): ...\n#" + b"x" * 2**20, "is not graded: the file is no Python, it has 1,048,6"),
        (f"def {LINEAR}: return " + "(" * 5000 + ")" * 5000, "is not graded: the file is no Python"),
        (f"def {LINEAR}:\n    return x @ W + b\n\n\n1 / 0", r"the file raises ZeroDivisionError: division by zero \(line 6\)"),
        (f"import torch\ndef {LINEAR}:\n    return x @ W + b", r"the file raises ImportError: torch is imported.* \(line 2\)"),
        ("def our_linear(x):\n    ...", "is not written yet"),
        ("our_linear = 3\ndef our_tied(x): ...", "our_linear is not defined"),
    ],
)
def test_one_clear_line_on_a_file(text, says, tmp_path):
    outcome, report = first(tmp_path, text)
    assert report.score == 0 and len(outcome.lines) == 1 and re.search(says, outcome.lines[0]), outcome.lines


@pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(100)", "while True: print('x' * 10**6)"])
def test_a_function_that_does_not_end_is_stopped(body, tmp_path):
    outcome, _ = first(tmp_path, f"def {LINEAR}:\n    {body}", seconds=1.0)
    assert "takes longer than 1 s and is stopped" in outcome.lines[0]


def test_functions_beside_one_that_does_not_end_are_graded(tmp_path):
    text = (SOLUTIONS / "01_one_layer.py").read_text() + f"\n\ndef {LINEAR}:\n    while True: pass\n"
    outcome, report = first(tmp_path, text, seconds=8.0)
    assert outcome.lines == ("takes longer than 8 s and is stopped",)
    assert [o.share for o in report.outcomes] == [0] + [1] * (len(report.outcomes) - 1)


def test_a_file_that_does_not_end_is_stopped(tmp_path):
    outcome, _ = first(tmp_path, f"def {LINEAR}: return x\nwhile True: pass", seconds=1.0)
    assert outcome.lines == ("the file takes longer than 1 s and is stopped before a function is called",)


def test_printing_is_counted_and_harmless(tmp_path):
    outcome, report = first(tmp_path, f"def {LINEAR}:\n    print('x' * 10**6)\n    return x @ W + b")
    assert outcome.share == 1 and re.match(r"The file prints \d,\d{3},\d{3} characters; they are not shown.", report.remarks[0])


def test_a_change_caught_by_the_student_is_refused_too(tmp_path):
    body = f"try:\n        open({str(tmp_path / 'new')!r}, 'w')\n    except OSError:\n        pass\n    return x @ W + b"
    outcome, _ = first(tmp_path, f"def {LINEAR}:\n    {body}")
    assert outcome.share == 1 and not (tmp_path / "new").exists()


def changed(name, old, new):
    """The text of a solution with another line."""
    text = (SOLUTIONS / f"{name}.py").read_text()
    assert text.count(old) == 1
    return text.replace(old, new)


def outcome_of(tmp_path, text, function):
    path = tmp_path / "mine.py"
    path.write_text(text)
    report = grade(path, seconds=PATIENT)
    return next(o for o in report.outcomes if o.case.function == function)


def test_a_gradient_for_an_upstream_of_ones_is_recognised(tmp_path):
    text = changed("01_one_layer", '    dx = np.einsum("be,de->bd", dy, W)', "    dy = np.ones_like(dy); dx = dy @ W.T")
    outcome = outcome_of(tmp_path, text, "our_linear_backward")
    assert outcome.lines[0] == "dx is the gradient for an upstream of ones: dy is not used."


def test_a_central_difference_is_recognised(tmp_path):
    difference = """
def our_attention_backward(dy, q, k, v, a):
    da, dz, dv, dq, dk = backward(dy, q, k, v, a)
    for i in np.ndindex(q.shape):
        e = np.zeros(q.shape)
        e[i] = 1e-5
        f = lambda q: (dy * our_attention(q, k, v, a > 0)[1]).sum()
        dq[i] = (f(q + e) - f(q - e)) / 2e-5
    return da, dz, dv, dq, dk
"""
    text = changed("07_attention", "def our_attention_backward", "def backward") + difference
    line = outcome_of(tmp_path, text, "our_attention_backward").lines[0]
    assert re.match(r"dq is right to \d+ digits only, as a difference quotient is", line)


def test_two_mistakes_are_both_named_the_first_wrong_step_first(tmp_path):
    right, wrong = "(np.diag(w) - np.outer(w, w)) @ da[b, t]\n", "w * da[b, t]\n"
    text = changed("07_attention", f"        dz[b, t] = {right}", f"        dz[b, t] = {wrong}")
    text = text.replace('"bts,bsd->btd", dz, k) * c\n', '"bts,bsd->btd", dz, k)\n')
    outcome = outcome_of(tmp_path, text, "our_attention_backward")
    assert outcome.mistakes == {"inner sum", "dq scale"} and outcome.share == 2 / 5
    assert outcome.lines[0].startswith("dz: the inner sum of softmax is missing")
    assert re.match(r"Its rows sum to [\d.]+; softmax asks for 0\.", outcome.lines[1])
    page, line = re.match(r'Read tutorial 7, "Forward and backward": (.*):(\d+)', outcome.lines[2]).groups()
    assert Path(page).read_text().splitlines()[int(line) - 1] == "# ## Forward and backward"
    assert outcome.lines[-2:] == ("Follow from it: dk.", "Right: da, dv.")


def test_sizes_depend_on_the_seed_and_the_report_does_not_change(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(changed("01_one_layer", "    db = np.ones(len(dy)) @ dy\n", "    db = dy\n"))
    texts = [grade(path, seed=seed, seconds=PATIENT).text() for seed in (0, 0, 1)]
    assert texts[0] == texts[1] and "db is not summed over the clips" in texts[2]


def test_points_of_levels(tmp_path):
    path = SOLUTIONS / "01_one_layer.py"
    report = grade(path, points={"hard": 5.0, "forward": 0.0}, seconds=PATIENT)
    assert report.score == report.most == 2 * 2 + 2 * 5 and report.of_level("hard") == 10
    with pytest.raises(ValueError, match="level is 'easy'; accepted: forward, backward, hard"):
        grade(path, points={"easy": 1.0})


def test_a_file_of_no_exercise_is_named(tmp_path):
    (tmp_path / "other.py").write_text("def mine(): ...")
    with pytest.raises(ValueError, match="other.py defines no function of an exercise; accepted: a file made by `refmer ex"):
        grade(tmp_path / "other.py")
    (tmp_path / "07_mine.py").write_text("def mine(")
    assert grade(tmp_path / "07_mine.py").exercise.name == "07_attention"


def test_a_mistake_whose_text_is_not_there_once_is_refused():
    exercise = EXERCISES["01_one_layer"]
    with pytest.raises(ValueError, match="our_linear has 'no such text' 0 times; expected: once"):
        exercise.ours(exercise.table.MISTAKES[0]._replace(old="no such text"))


def test_gradescope_reads_the_report(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(changed("01_one_layer", "    db = np.ones(len(dy)) @ dy\n", "    db = dy\n"))
    assert main(["grade", str(path), "--json", "--seconds", "60"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["score"] == sum(test["score"] for test in report["tests"])
    assert [test["status"] for test in report["tests"]].count("failed") == 2
    assert all(set(test) == {"name", "number", "score", "max_score", "status", "output"} for test in report["tests"])
    failed = next(test for test in report["tests"] if test["status"] == "failed")
    assert failed["name"] == "backward: our_linear_backward" and "db is not summed over the clips" in failed["output"]


def test_exit_status_and_report(capsys):
    assert main(["grade", str(SOLUTIONS / "07_attention.py"), "--seconds", "60"]) == 0
    assert "Exercise 7. Attention: 10 of 10 points" in capsys.readouterr().out
    assert main(["grade", str(EXERCISES["07_attention"].page)]) == 1
    assert main(["grade", "nothing.py"]) == 1
    assert "nothing.py" in capsys.readouterr().err


def test_a_folder_of_files_becomes_one_table(tmp_path, capsys):
    for student, text in {
        "ada/01_one_layer.py": (SOLUTIONS / "01_one_layer.py").read_text(),
        "bob/homework.py": changed("01_one_layer", "    db = np.ones(len(dy)) @ dy\n", "    db = dy\n"),
        "cyd/01.py": "def our_linear(",
        "dan/notes.py": "print(1)",
    }.items():
        (tmp_path / student).parent.mkdir(exist_ok=True)
        (tmp_path / student).write_text(text)
    out = tmp_path / "points.csv"
    assert main(["grade", str(tmp_path), "--csv", str(out), "--seconds", "60", "--points", "forward=2,hard=3"]) == 0
    rows = {row["file"].split("/")[0]: row for row in csv.DictReader(out.read_text().splitlines())}
    assert rows["ada"]["score"] == rows["ada"]["most"] == "16" and rows["ada"]["first"] == ""
    assert float(rows["bob"]["score"]) < 16 and "db is not summed" in rows["bob"]["first"] and rows["bob"]["forward"] == "6"
    assert rows["cyd"]["score"] == "0" and "no Python" in rows["cyd"]["first"]
    assert rows["dan"]["score"] == "" and "defines no function of an exercise" in rows["dan"]["first"]
    (tmp_path / "empty").mkdir()
    assert main(["grade", str(tmp_path / "empty")]) == 1
    assert "has no Python file" in capsys.readouterr().err


def test_options_that_do_not_go_together_are_named(tmp_path, capsys):
    assert main(["grade", str(tmp_path), "--watch"]) == 1
    assert main(["grade", str(SOLUTIONS / "01_one_layer.py"), "--csv", "x.csv"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "--json and --watch go with one file" in lines[0] and "--csv goes with a folder" in lines[1]


def test_watching_grades_again_after_a_change(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(f"def {LINEAR}:\n    return x\n")
    command = [sys.executable, "-c", "from refmer.cli import main; main()", "grade", str(path), "--watch", "--seconds", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert read_until(process, "our_tied_backward, u is exactly 0")
            path.write_text((SOLUTIONS / "01_one_layer.py").read_text())
            assert "9 of 9 points" in read_until(process, "our_tied_backward, u is exactly 0")
        finally:
            process.kill()


def read_until(process, text):
    """The output of a process, to a line with this text."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    return ""


def test_pages_are_copied_kept_and_listed_and_pytest_runs_them(tmp_path, capsys):
    folder = tmp_path / "mine"
    assert main(["exercises", "--out", str(folder)]) == 0
    assert {path.stem for path in folder.glob("[0-9]*.py")} == set(EXERCISES)
    (folder / "07_attention.py").write_text((SOLUTIONS / "07_attention.py").read_text())
    (folder / "01_one_layer.py").write_text(f"def {LINEAR}:\n    return x @ W + b\n")
    assert main(["exercises", "--out", str(folder)]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"Exercise 7. Attention +solved\n", listed) and re.search(
        r"Exercise 1. One layer +1 of 9 points\n", listed
    )
    for path in folder.glob("[0-9]*.py"):
        if path.name[:2] not in ("01", "07"):
            path.unlink()
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(tests, capture_output=True, text=True, cwd=tmp_path)
    assert "6 failed, 9 passed" in done.stdout and "our_squared_error is not defined" in done.stdout


def test_solutions_are_listed(capsys):
    assert main(["exercises", "--solutions"]) == 0
    place = re.search(r"our_attention_backward +(.*):(\d+)\n", capsys.readouterr().out)
    assert Path(place[1]).read_text().splitlines()[int(place[2]) - 1].startswith("def our_attention_backward(")
