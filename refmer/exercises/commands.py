"""The commands `refmer exercises` and `refmer grade`."""

import csv
import io
import json
import shutil
import time
from pathlib import Path

from refmer.data.files import check_writable, write_text
from refmer.exercises import pages
from refmer.exercises.case import LEVELS
from refmer.exercises.grade import grade

TESTS = "test_exercises.py"  # runs the grader under pytest; no page
COLUMNS = ("file", "exercise", "score", "most", *LEVELS, "first")


def exercises(out=None, solutions=False):
    """List the exercises, with the points of the pages in a folder.

    Parameters
    ----------
    out : str, optional
        Folder to which the pages are copied first, with a file that pytest reads (default: the current one, and no copies).
        Pages that it holds already are kept.
    solutions : bool
        List the place of the solution of each function instead.
    """
    every = pages.exercises().values()
    if solutions:
        for exercise in every:
            print(exercise.title)
            for function in exercise.graded:
                print(f"  {function:40} {exercise.line(function)}")
        return
    folder = Path(out or ".")
    if out:
        folder.mkdir(parents=True, exist_ok=True)
        for path in [*(e.page for e in every), pages.folder() / TESTS]:
            if not (folder / path.name).exists():  # the student may have worked in it
                shutil.copyfile(path, folder / path.name)
    for exercise in every:
        path = folder / exercise.page.name
        print(f"{exercise.title:60} {points(grade(path)) if path.is_file() else ''}".rstrip())
    if out:
        print(f"The pages are in {out}: edit one, then: refmer grade {folder / '01_one_layer.py'}")


def points(report):
    """Return the points of a report, "solved", or an empty text for an untouched page."""
    if report.solved:
        return "solved"
    return f"{report.score:.4g} of {report.most:.4g} points" if report.begun else ""


def grade_file(path, as_json=False, watch=False, **options):
    """Print the report of a file, and with `watch` again whenever it changes; return 0 if everything is right, else 1."""
    while True:
        seen = changed_at(path)
        report = grade(path, **options)
        print(json.dumps(report.gradescope(), indent=1) if as_json else report.text(), flush=True)
        if not watch:
            return 0 if report.solved else 1
        while changed_at(path) in (seen, None):
            time.sleep(0.2)


def changed_at(path):
    """Return the time of the last change of a file, or None while an editor replaces it."""
    try:
        return Path(path).stat().st_mtime_ns
    except FileNotFoundError:
        return None


def grade_folder(folder, out=None, **options):
    """Grade every Python file below a folder and write a CSV: a row for each file, to the file `out` or to the output.

    A file that cannot be graded has a row without points, and its reason in the last column.
    """
    if out:
        check_writable(out)
    files = sorted(path for path in Path(folder).rglob("*.py") if path.name != TESTS)
    if not files:
        raise ValueError(f"{folder} has no Python file; accepted: a folder of students' files")
    rows = [row(path, path.relative_to(folder), options) for path in files]
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    if out:
        write_text(out, text.getvalue())
    else:
        print(text.getvalue(), end="")


def row(path, name, options):
    """Return the row of one file."""
    try:
        report = grade(path, **options)
    except (ValueError, OSError) as error:
        return {"file": name, "first": str(error)}
    levels = {level: f"{report.of_level(level):.4g}" for level in LEVELS}
    scores = {"score": f"{report.score:.4g}", "most": f"{report.most:.4g}"}
    return {"file": name, "exercise": report.exercise.name, **scores, **levels, "first": report.first}
