"""Grading of a student's file: right, or wrong by how much and how."""

from functools import cached_property
from pathlib import Path

from refmer.exercises import pages, sandbox
from refmer.exercises.case import LEVELS
from refmer.exercises.judge import Judge, Outcome
from refmer.exercises.trials import trials_of

POINTS = {"forward": 1.0, "backward": 2.0, "hard": 1.0}
SECONDS = 2.0  # of all functions of a file together
LARGEST = 2**20  # bytes of a file


class Report:
    """The result of one file.

    Attributes
    ----------
    exercise : Exercise
    file : Path
    outcomes : list of Outcome
    remarks : list of str
        What concerns the whole file.
    score, most : float
    """

    def __init__(self, exercise, file, outcomes, remarks):
        self.exercise, self.file, self.outcomes, self.remarks = exercise, Path(file), outcomes, remarks
        self.score = sum(o.points * o.share for o in outcomes)
        self.most = sum(o.points for o in outcomes)

    @cached_property
    def solved(self):
        """True if everything is right."""
        return all(o.share == 1 for o in self.outcomes)

    @cached_property
    def begun(self):
        """True if at least one function is written."""
        return any(o.lines != (UNWRITTEN,) for o in self.outcomes)

    @cached_property
    def first(self):
        """One line on the first thing that is wrong in a function that is written, or an empty text."""
        wrong = (o for o in self.outcomes if o.share < 1 and o.lines != (UNWRITTEN,))
        return next((f"{o.case.function}: {o.lines[0]}" for o in wrong), "")

    def of_level(self, level):
        """Return the points of the cases of one level."""
        return sum(o.points * o.share for o in self.outcomes if o.case.level == level)

    def text(self):
        """Return the report for a student: the first thing that is wrong, then every function."""
        lines = [f"{self.exercise.title}: {self.score:.4g} of {self.most:.4g} points ({self.file})", *self.remarks]
        lines += [f"First: {self.first}"] * bool(self.first)
        shown = None
        for o in self.outcomes:
            state = "right" if o.share == 1 else f"{o.points * o.share:.3g} of {o.points:g}"
            lines.append(f"  {o.case.level:8}  {named(o.case):60}  {state}")
            if o.share < 1 and o.lines != shown:
                lines += [f"            {line}" for line in o.lines]
            shown = o.lines
        return "\n".join(lines)

    def gradescope(self):
        """Return the report as Gradescope reads it from results.json."""
        tests = [
            {
                "name": f"{o.case.level}: {named(o.case)}",
                "number": str(i),
                "score": round(o.points * o.share, 4),
                "max_score": o.points,
                "status": "passed" if o.share == 1 else "failed",
                "output": "right" if o.share == 1 else "\n".join(o.lines),
            }
            for i, o in enumerate(self.outcomes, 1)
        ]
        return {"score": round(self.score, 4), "output": "\n".join([self.exercise.title, *self.remarks]), "tests": tests}


UNWRITTEN = "is not written yet"


def named(case):
    """Return the name of a case."""
    return f"{case.function}{', ' * bool(case.about)}{case.about}"


def grade(path, seed=0, points=None, seconds=SECONDS):
    """Grade a student's file.

    Parameters
    ----------
    path : str or Path
        A page that was made by `refmer exercises --out DIR` and edited, under any name.
    seed : int
        Of the sizes and numbers on which functions are compared: another seed, other sizes.
    points : dict of str to float, optional
        Points of a case of each level, "forward", "backward", "hard" (default: 1, 2 and 1).
    seconds : float
        Limit for running all functions.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If the file belongs to no exercise or a level is unknown.
    OSError
        If the file cannot be read.
    """
    points = POINTS | (points or {})
    if unknown := set(points) - set(LEVELS):
        raise ValueError(f"level is {unknown.pop()!r}; accepted: {', '.join(LEVELS)}")
    exercise, text = pages.find(Path(path)), Path(path).read_bytes()
    cases = exercise.table.CASES
    try:
        holes = holes_of(text)
    except (SyntaxError, ValueError) as error:
        where = f"line {error.lineno}: {error.msg}" if getattr(error, "lineno", None) else str(error)
        lines = (f"is not graded: the file is no Python, {where}",)
        return Report(exercise, path, [Outcome(case, points[case.level], 0.0, lines) for case in cases], [])
    trials = trials_of(exercise, seed)
    calls = {f: [t.arguments for t in some] for f, some in trials.items() if f not in holes}
    answers = sandbox.run(text, Path(path).name, calls, seconds)
    outcomes = {case: Outcome(case, points[case.level], 0.0, (UNWRITTEN,)) for case in cases}
    for f, given in answers.items():
        outcomes |= Judge(exercise, f, trials[f], given).outcomes(points)
    printed = max((a.printed for some in answers.values() for a in some), default=0)
    remarks = [f"The file prints {printed:,} characters; they are not shown."] * (printed > sandbox.LONGEST)
    return Report(exercise, path, list(outcomes.values()), remarks)


def holes_of(text):
    """Return the names of the functions that are not written yet.

    Raises
    ------
    SyntaxError, ValueError
        If the text is too large or no Python.
    """
    if len(text) > LARGEST:
        raise ValueError(f"it has {len(text):,} bytes; accepted: {LARGEST:,} or less")
    try:
        return {name for name, node in pages.functions(text).items() if pages.is_hole(node)}
    except (RecursionError, MemoryError):
        raise ValueError("it is nested too deeply") from None
