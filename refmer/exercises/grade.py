"""Grading of a student's file: right, or wrong by how much and how."""

import inspect
import json
import time
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refmer.exercises import diagnose, pages, sandbox
from refmer.exercises.case import LEVELS, Case

POINTS = {"forward": 1.0, "backward": 2.0, "hard": 1.0}
SECONDS = 2.5  # of all functions of a file together
LARGEST = 2**20  # bytes of a file
WIDTH = 100  # characters of a line of the report


class Trial(NamedTuple):
    """One call of a function and its right result; `kind` is "main", "ones" (as upstream) or "alone" (the first clip)."""

    case: Case
    kind: str
    arguments: tuple
    expected: tuple
    sizes: dict


class Outcome(NamedTuple):
    """The result of one case."""

    case: Case
    points: float
    share: float  # of the points
    lines: tuple  # what is wrong
    mistakes: frozenset = frozenset()  # names


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

    def text(self):
        """Return the report for a student: the first thing that is wrong, then every function."""
        lines = [f"{self.exercise.title}: {self.score:.4g} of {self.most:.4g} points ({self.file})", *self.remarks]
        if first := next((o for o in self.outcomes if o.share < 1 and o.lines != (UNWRITTEN,)), None):
            lines += [f"First: {first.case.function}: {first.lines[0]}"]
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
        where = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
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


def trials_of(exercise, seed):
    """Return {function: [Trial]}."""
    ours, trials = exercise.ours(), {f: [] for f in exercise.graded}
    for i, case in enumerate(exercise.table.CASES):
        rng = np.random.default_rng([seed, i])
        letters = [name for name in inspect.signature(case.draw).parameters if len(name) == 1]
        sizes = dict(zip(letters, rng.permutation(np.arange(2, 10)).tolist(), strict=False))
        arguments = tuple(case.draw(rng, ours, **sizes))
        run = getattr(ours, case.function)
        expected, names = outputs(run(*copied(arguments))), exercise.parameters(case.function)
        trials[case.function].append(Trial(case, "main", arguments, expected, sizes))
        if case.level == "hard":
            continue
        ones = [np.ones_like(a) if n.startswith("dy") else a for n, a in zip(names, arguments, strict=False)]
        if any(n.startswith("dy") for n in names):
            trials[case.function].append(Trial(case, "ones", tuple(ones), outputs(run(*copied(ones))), sizes))
        alone = [a[:1] if np.ndim(a) and len(a) == sizes.get("B") else a for a in arguments]
        result = attempt(run, alone)
        if result and any(of_clips(b, sizes) and diagnose.agrees(a, b[:1]) for a, b in zip(result, expected, strict=True)):
            trials[case.function].append(Trial(case, "alone", tuple(alone), result, sizes))
    return trials


def of_clips(array, sizes):
    """Return whether the first axis of an array is that of the clips."""
    return array.ndim > 0 and len(array) == sizes.get("B")


def outputs(result):
    """Return the outputs of a function as a tuple of arrays."""
    return tuple(map(np.asarray, result if isinstance(result, tuple) else (result,)))


def attempt(run, arguments):
    """Return the outputs of a function, or None if it fails."""
    try:
        with np.errstate(all="ignore"):
            return outputs(run(*copied(arguments)))
    except Exception:  # of a mutated function, or one that is given another shape
        return None


def copied(arguments):
    """Return the arguments with arrays copied."""
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]


class Judge:
    """The judgement of one function."""

    def __init__(self, exercise, function, trials, answers):
        self.exercise, self.function, self.names = exercise, function, exercise.outputs(function)
        self.trials = [(t, a._replace(problem=a.problem or self.miscounted(a))) for t, a in zip(trials, answers, strict=True)]
        self.main = [(t, a) for t, a in self.trials if t.kind == "main"]
        self.good = [(t, a) for t, a in self.main if not a.problem]

    def miscounted(self, answer):
        """Return one line on a wrong number of results."""
        if len(answer.arrays) == len(self.names):
            return ""
        expected = f"{len(self.names)}: {', '.join(self.names)}" if len(self.names) > 1 else f"one: {self.names[0]}"
        return f"returns {len(answer.arrays)} values; expected: {expected}"

    def outcomes(self, points):
        """Return {case: Outcome}."""
        lines, mistakes = self.lines()
        spoiled, found = self.spoiled(), {}
        for t, a in self.main:
            right = 0 if a.problem else sum(map(diagnose.agrees, a.arrays, t.expected))
            share = right / (len(self.names) + len(spoiled))
            wrong = right < len(self.names) and not a.problem
            about = [a.problem] * bool(a.problem) + lines * wrong + spoiled
            found[t.case] = Outcome(t.case, points[t.case.level], share, tuple(about), mistakes if wrong else frozenset())
        return found

    def lines(self):
        """Return the lines on wrong outputs, the first wrong one first, and the names of the mistakes."""
        if not self.good:
            return [], frozenset()
        received, expected = [a.arrays for _, a in self.good], [t.expected for t, _ in self.good]
        explained = diagnose.explain(received, expected, self.mutated, self.exercise.table.MISTAKES)
        lines, told, unnamed = [], [], []
        for k, mistakes in explained.items():
            if mistakes and mistakes in told:
                unnamed.append(f"{self.names[k]} follows from it")
            elif mistakes or k == min(explained):
                told.append(mistakes)
                says = "; or ".join(m.says for m in mistakes) or self.described(k)
                lines += [f"{self.names[k]}: {says}.", *self.broken_laws(k)]
                lines += [f"Read {self.place(m)}." for m in mistakes[:1]]
            else:
                unnamed.append(f"{self.names[k]} {self.described(k)}")
        lines += ["; ".join(unnamed) + "."] * bool(unnamed)
        if not any(explained.values()) and explained and self.of_batch():
            lines.insert(0, "the result of a clip depends on the other clips of the batch.")
        return lines, frozenset(m.name for some in told for m in some)

    def described(self, k):
        """Return one line on a wrong output without a name."""
        ones = next((t.expected[k] for t, _ in self.trials if t.kind == "ones" and t.case == self.good[0][0].case), None)
        received, expected = [a.arrays[k] for _, a in self.good], [t.expected[k] for t, _ in self.good]
        return diagnose.describe(received, expected, [t.sizes for t, _ in self.good], ones)

    def mutated(self, *mistakes):
        """Return the results of the good trials with mistakes; None where the mutated function fails."""
        run = getattr(self.exercise.ours(*mistakes), self.function)
        return [attempt(run, t.arguments) for t, _ in self.good]

    def broken_laws(self, k):
        """Return a line for each law that a wrong output breaks."""
        lines = []
        for law in self.exercise.table.LAWS:
            if (law.function, law.output) == (self.function, self.names[k]):
                gaps = [np.abs(law.value(a.arrays[k])).max() for t, a in self.good if a.arrays[k].shape == t.expected[k].shape]
                lines += [f"Its {law.says.format(max(gaps))}."] * bool(max(gaps, default=0) > diagnose.SAME)
        return lines

    def place(self, mistake):
        """Return where a mistake is explained."""
        page = f"tutorial {int(self.exercise.name[:2])}" if self.exercise.is_of_tutorial else "the page"
        return f'{page}, "{mistake.section}"'

    def spoiled(self):
        """Return one line for each fault that does not show in a single result."""
        lines, parameters = [], self.exercise.parameters(self.function)
        changed = sorted({parameters[i] for _, a in self.trials for i in a.changed})
        lines += [f"writes into its argument {', '.join(changed)}"] * bool(changed)
        lines += ["gives another result when it is called again"] * (not all(a.same for _, a in self.trials))
        if self.good and not any(a.problem for _, a in self.main) and self.right() and self.of_batch():
            lines += ["the result of a clip depends on the other clips of the batch"]
        return lines

    def right(self):
        """Return whether all outputs of the main trials are right."""
        return all(all(map(diagnose.agrees, a.arrays, t.expected)) for t, a in self.good)

    def of_batch(self):
        """Return whether the first clip alone gives something else than in the batch, though it should not."""
        together = {t.case: (t, a) for t, a in self.good}
        for t, a in self.trials:
            if t.kind == "alone" and t.case in together:
                whole, received = together[t.case]
                for k, right in enumerate(t.expected):
                    independent = of_clips(whole.expected[k], t.sizes) and diagnose.agrees(right, whole.expected[k][:1])
                    if independent and (a.problem or not diagnose.agrees(a.arrays[k], received.arrays[k][:1], diagnose.SAME)):
                        return True
        return False


def main(path, as_json=False, seed=0, points=None, seconds=SECONDS, watch=False):
    """Print the report of a file, and with `watch` again whenever it changes; return 0 if everything is right, else 1."""
    while True:
        report, seen = grade(path, seed, points, seconds), changed_at(path)
        print(json.dumps(report.gradescope(), indent=1) if as_json else report.text(), flush=True)
        if not watch:
            return 0 if report.solved else 1
        while changed_at(path) == seen:
            time.sleep(0.3)


def changed_at(path):
    """Return the time of the last change of a file, or None while an editor replaces it."""
    try:
        return Path(path).stat().st_mtime_ns
    except FileNotFoundError:
        return None
