"""Every exercise: its page, its reference by the complex step, an independent solution, and mistakes, each named as itself."""

import doctest
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from refmer.check import STEP, TOLERANCE
from refmer.exercises import pages, sandbox
from refmer.exercises.case import LEVELS
from refmer.exercises.grade import UNWRITTEN, grade
from refmer.exercises.sandbox import Answer
from refmer.exercises.trials import attempt, copied, outputs, trials_of

SOLUTIONS = Path(__file__).parent / "solutions"
EXERCISES = pages.exercises()
NAMES = list(EXERCISES)
MISTAKES = [(name, mistake) for name in NAMES for mistake in EXERCISES[name].table.MISTAKES]
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def here(monkeypatch):
    """Run functions in this process, which is quick; `here(damage)` changes their results."""
    damage = {}

    def run(text, file, calls, seconds):
        names = {}
        exec(compile(text, file, "exec"), names)
        return {f: [answer(names[f], f, arguments) for arguments in some] for f, some in calls.items()}

    def answer(function, name, arguments):
        with np.errstate(all="ignore"):
            arrays = outputs(function(*copied(arguments)))
        return Answer(damage[name](arrays) if name in damage else arrays)

    monkeypatch.setattr(sandbox, "run", run)
    return damage


def solution(name, mistake=None):
    """The text of a solution; with a mistake, each line above a comment of its name is replaced by that comment."""
    lines, kept = (SOLUTIONS / f"{name}.py").read_text().splitlines(), []
    for line in lines:
        if comment := re.match(r"( *)# mistake\[(.*?)\]: (.*)", line):
            if comment[2] == mistake:
                kept[-1] = comment[1] + comment[3]
        else:
            kept.append(line)
    return "\n".join(kept)


def graded(tmp_path, name, text, **options):
    path = tmp_path / f"{name}.py"
    path.write_text(text)
    return grade(path, **options)


def test_there_are_22_exercises_and_at_least_200_mistakes():
    assert len(NAMES) == 22 and len(MISTAKES) >= 200


@each
def test_the_page_has_the_functions_of_its_source_with_holes(name):
    exercise = EXERCISES[name]
    page = exercise.page.read_text()
    assert page == pages.emptied(page, exercise.text)
    assert set(exercise.graded) == set(exercise.functions)
    for heading in ("# # ", "# ## Forward", "# ## Backward", "# ## Hard cases", "# ## By hand"):
        assert f"\n{heading}" in page
    assert f"refmer grade {name}.py" in page


@each
def test_the_worked_example_is_right(name):
    exercise = EXERCISES[name]
    text = pages.filled(exercise.page.read_text(), exercise.text)
    names = {}
    exec(compile(text, name, "exec"), names)
    example = "\n".join(line[6:] if line.startswith("#     ") else "" for line in text.splitlines())
    test = doctest.DocTestParser().get_doctest(example, names, name, None, None)
    assert test.examples
    assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


@each
def test_the_cases_and_mistakes_are_complete(name):
    exercise = EXERCISES[name]
    table = exercise.table
    assert {case.function for case in table.CASES} == set(exercise.graded)
    assert {case.level for case in table.CASES} == set(LEVELS)
    assert all(bool(case.about) == (case.level == "hard") for case in table.CASES)
    assert len({m.name for m in table.MISTAKES}) == len(table.MISTAKES) >= 8
    assert len({m.says for m in table.MISTAKES}) == len(table.MISTAKES)
    headings = exercise.text if exercise.is_of_tutorial else exercise.page.read_text()
    assert all(f"\n# ## {m.section}\n" in headings for m in table.MISTAKES)
    trials = trials_of(exercise, 0)
    for m in table.MISTAKES:
        run = getattr(exercise.ours(m), m.function)
        assert all(attempt(run, trial.arguments) for trial in trials[m.function] if trial.kind == "main"), m.name
    for law in table.LAWS:
        for trial in (t for t in trials[law.function] if t.kind == "main"):
            right = trial.expected[exercise.outputs(law.function).index(law.output)]
            assert np.abs(law.value(right)).max() < 1e-12 * max(1, np.abs(right).max())


@each
def test_every_output_is_the_complex_step_of_the_rest_of_the_forward(name):
    exercise = EXERCISES[name]
    spec = spec_from_file_location(f"solution_{name}", SOLUTIONS / f"{name}.py")
    own = module_from_spec(spec)
    spec.loader.exec_module(own)
    for function, trials in trials_of(exercise, 1).items():
        outputs = exercise.outputs(function)
        if stages_of := getattr(own, f"stages_of_{function}", None):
            for trial in (t for t in trials if t.kind == "main"):
                dy = [a for n, a in zip(exercise.parameters(function), trial.arguments, strict=False) if n.startswith("dy")]
                stages = stages_of(*trial.arguments)
                assert set(stages) <= set(outputs)
                for output, (value, rest) in stages.items():
                    received = trial.expected[outputs.index(output)]
                    expected = derivative(rest, np.asarray(value), dy or [1.0])
                    scale = np.abs(expected).max(initial=0) or 1
                    assert np.abs(received - expected).max(initial=0) / scale < TOLERANCE, (function, output, trial.case.about)
        else:
            assert not function.endswith("_backward")


def derivative(rest, value, upstream):
    """The gradient of sum(upstream * rest(value)), element by element."""
    gradient = np.empty(value.shape)
    for i in np.ndindex(value.shape):
        step = np.zeros(value.shape, complex)
        step[i] = 1j * STEP
        y = rest(value + step)
        y = y if isinstance(y, tuple) else (y,)
        gradient[i] = sum(np.sum(d * part).imag for d, part in zip(upstream, y, strict=True)) / STEP
    return gradient


@each
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_independent_solution_gets_full_marks(name, seed, tmp_path, here):
    report = graded(tmp_path, name, solution(name), seed=seed)
    assert report.solved and report.score == report.most, report.text()


@each
def test_the_page_as_it_is_gets_no_points(name, tmp_path):
    report = graded(tmp_path, name, EXERCISES[name].page.read_text())
    assert report.score == 0 and {o.lines for o in report.outcomes} == {(UNWRITTEN,)}


@pytest.mark.parametrize("name, mistake", MISTAKES, ids=[f"{name}-{m.name}" for name, m in MISTAKES])
def test_a_mistake_in_the_solution_is_named_as_itself_and_nothing_else(name, mistake, tmp_path, here):
    text = solution(name, mistake.name)
    assert text != solution(name), "the solution has no line for this mistake"
    report = graded(tmp_path, name, text)
    assert set().union(*(o.mistakes for o in report.outcomes)) == {mistake.name}, report.text()
    assert mistake.says in report.text()


@pytest.mark.parametrize("seed", range(20))
def test_a_random_damage_has_no_name(seed, tmp_path, here):
    rng = np.random.default_rng(seed)
    name = NAMES[rng.integers(len(NAMES))]
    exercise = EXERCISES[name]
    function = exercise.graded[rng.integers(len(exercise.graded))]
    place = rng.integers(len(exercise.outputs(function)))

    def damaged(arrays):
        changed = np.array(arrays[place], np.float64)
        some = np.asarray(rng.random(changed.shape) < rng.choice([0.3, 1]))
        some.flat[rng.integers(some.size)] = True
        changed[some] += rng.normal(size=some.sum()) * (1 + np.abs(changed).max())
        return (*arrays[:place], changed, *arrays[place + 1 :])

    here[function] = damaged
    report = graded(tmp_path, name, solution(name), seed=seed)
    assert not report.solved and not set().union(*(o.mistakes for o in report.outcomes)), report.text()
    assert re.search(rf"{exercise.outputs(function)[place]} is off by", report.text())
