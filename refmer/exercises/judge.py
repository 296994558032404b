"""The judgement of one function: what is right in each case, and lines on what is wrong."""

from typing import NamedTuple

import numpy as np

from refmer.exercises import diagnose
from refmer.exercises.case import Case
from refmer.exercises.trials import attempt, of_clips


class Outcome(NamedTuple):
    """The result of one case."""

    case: Case
    points: float
    share: float  # of the points
    lines: tuple  # what is wrong
    mistakes: frozenset = frozenset()  # names


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
        lines, told, follow, unnamed = [], [], [], []
        for k, mistakes in explained.items():
            if mistakes and mistakes in told:
                follow.append(self.names[k])
            elif mistakes or k == min(explained):
                told.append(mistakes)
                says = "; or ".join(m.says for m in mistakes)
                lines += [f"{self.names[k]}: {says} ({self.size(k)})." if says else f"{self.names[k]} {self.described(k)}."]
                lines += [*self.broken_laws(k), *(f"Read {self.place(m)}" for m in mistakes[:1])]
            else:
                unnamed.append(f"{self.names[k]} {self.described(k)}")
        lines += [f"Follow from it: {', '.join(follow)}."] * bool(follow)
        lines += [f"Also wrong: {'; '.join(unnamed)}."] * bool(unnamed)
        right = [name for k, name in enumerate(self.names) if k not in explained]
        lines += [f"Right: {', '.join(right)}."] * bool(explained and right)
        if explained and not any(explained.values()) and self.of_batch():
            lines.insert(0, "the result of a clip depends on the other clips of the batch.")
        return lines, frozenset(m.name for some in told for m in some)

    def size(self, k):
        """Return by how much an output is wrong."""
        pairs = [(a.arrays[k], t.expected[k]) for t, a in self.good]
        errors = [diagnose.error(a, b) for a, b in pairs if a.shape == b.shape]
        if not errors:
            return f"shape {pairs[0][0].shape}"
        if not np.isfinite(worst := max(errors)):
            return "not finite"
        return f"off by {worst:.2g} {'of' if worst < 1 else 'times'} its largest element"

    def described(self, k):
        """Return one line on a wrong output without a name."""
        ones = next((t.expected[k] for t, _ in self.trials if t.kind == "ones" and t.case == self.good[0][0].case), None)
        received, expected = [a.arrays[k] for _, a in self.good], [t.expected[k] for t, _ in self.good]
        return diagnose.describe(received, expected, [t.sizes for t, _ in self.good], ones)

    def mutated(self, *mistakes):
        """Return the results of the good trials with mistakes; None where the mutated function fails or there is none."""
        try:
            run = getattr(self.exercise.ours(*mistakes), self.function)
        except ValueError:  # the second mistake is in what the first has replaced
            return [None for _ in self.good]
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
        """Return where a mistake is explained, with the line of the file, which editors and terminals open."""
        of_tutorial = self.exercise.is_of_tutorial
        page = f"tutorial {int(self.exercise.name[:2])}" if of_tutorial else "the page"
        path = self.exercise.source if of_tutorial else self.exercise.page
        line = path.read_text().splitlines().index(f"# ## {mistake.section}") + 1
        return f'{page}, "{mistake.section}": {path}:{line}'

    def spoiled(self):
        """Return one line for each fault that does not show in a single result."""
        lines, parameters = [], self.exercise.parameters(self.function)
        changed = sorted({parameters[i] for _, a in self.trials for i in a.changed})
        lines += [f"writes into its argument {', '.join(changed)}"] * bool(changed)
        lines += ["gives another result when it is called again"] * (not self.steady())
        right = all(all(map(diagnose.agrees, a.arrays, t.expected)) for t, a in self.main)
        lines += ["the result of a clip depends on the other clips of the batch"] * bool(right and self.of_batch())
        return lines

    def steady(self):
        """Return whether second calls give the same."""
        return all(a.same for _, a in self.trials)

    def of_batch(self):
        """Return whether the first clip alone gives something else than in the batch, though it should not."""
        together = {t.case: (t, a) for t, a in self.good} if self.steady() else {}
        for t, a in self.trials:
            if t.kind == "alone" and t.case in together:
                whole, received = together[t.case]
                for k, right in enumerate(t.expected):
                    independent = of_clips(whole.expected[k], t.sizes) and diagnose.agrees(right, whole.expected[k][:1])
                    shaped = received.arrays[k].shape == whole.expected[k].shape
                    if independent and shaped and not a.problem:
                        if not diagnose.agrees(a.arrays[k], received.arrays[k][:1], diagnose.SAME):
                            return True
        return False
