"""Pages of exercises: which there are, and their functions, which are those of a tutorial with holes.

The functions `our_*` of a tutorial, or of a project's module in `refmer/exercises/projects/`, are the only source of an
exercise. The syntax tree finds them; from their text come the holes of the page, the expected results, and the mistakes.
"""

import ast
import re
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from refmer.data.files import bundled

PROJECTS = Path(__file__).parent / "projects"
START = re.compile(r"^def (our_\w+)", re.M)


class Exercise:
    """One exercise: its page, its source, and its cases, mistakes and laws.

    Parameters
    ----------
    name : str
        File name of the page without suffix, e.g. "07_attention".
    """

    def __init__(self, name):
        self.name = name
        self.page = folder() / f"{name}.py"
        tutorial = folder().parent / f"{name}.py"
        self.is_of_tutorial = tutorial.exists()
        self.source = tutorial if self.is_of_tutorial else PROJECTS / f"{name[3:]}.py"

    @cached_property
    def title(self):
        """The first heading of the page."""
        return re.search(r"^# # (.*)", self.page.read_text(), re.M)[1]

    @cached_property
    def text(self):
        """The text of the source."""
        return self.source.read_text()

    @cached_property
    def nodes(self):
        """{name: syntax tree} of the functions, in their order."""
        return functions(self.text)

    @cached_property
    def functions(self):
        """{name: source text} of the functions, in their order."""
        lines = self.text.splitlines(keepends=True)
        return {name: "".join(lines[node.lineno - 1 : node.end_lineno]) for name, node in self.nodes.items()}

    @cached_property
    def graded(self):
        """The names of the functions of the page, in its order."""
        return list(functions(self.page.read_text()))

    @cached_property
    def table(self):
        """The module with CASES, MISTAKES and LAWS."""
        return import_module(f"refmer.exercises.topics.{self.name[3:]}")

    def outputs(self, function):
        """Return the names that a function returns."""
        value = self.nodes[function].body[-1].value
        return [node.id for node in (value.elts if isinstance(value, ast.Tuple) else [value])]

    def parameters(self, function):
        """Return the names of the parameters of a function."""
        return [a.arg for a in self.nodes[function].args.args]

    def ours(self, *mistakes):
        """Return the functions as attributes; with `mistakes`, mutated.

        Raises
        ------
        ValueError
            If the text that a mistake replaces does not stand in its function once.
        """
        sources = dict(self.functions)
        for mistake in mistakes:
            if (count := sources[mistake.function].count(mistake.old)) != 1:
                raise ValueError(f"{mistake.function} has {mistake.old!r} {count} times; expected: once")
            sources[mistake.function] = sources[mistake.function].replace(mistake.old, mistake.new)
        names = {"np": np}
        exec(compile("\n".join(sources.values()), str(self.source), "exec"), names)
        return SimpleNamespace(**{name: names[name] for name in sources})

    def line(self, function):
        """Return the place of the solution, e.g. "tutorials/07_attention.py:62"."""
        return f"{self.source}:{self.nodes[function].lineno}"


def folder():
    """Return the folder of the pages."""
    return bundled("tutorials", "tutorials", "exercises/01_one_layer.py") / "exercises"


@cache
def exercises():
    """Return all exercises, {name: Exercise}."""
    return {path.stem: Exercise(path.stem) for path in sorted(folder().glob("[0-9][0-9]_*.py"))}


def functions(text):
    """Return {name: node} of the functions at the top level whose names begin with `our_`."""
    return {n.name: n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name.startswith("our_")}


def find(path):
    """Return the exercise of a student's file: the one that shares most functions with it, or else its name.

    Raises
    ------
    ValueError
        If the file belongs to no exercise.
    """
    defined = set(START.findall(path.read_bytes().decode(errors="replace")))
    shared = [(len(defined & set(e.graded)), path.stem.startswith(e.name[:3]), e) for e in exercises().values()]
    most = max(shared, key=lambda item: item[:2])
    if not any(most[:2]):
        raise ValueError(f"{path} defines no function of an exercise; accepted: a file made by `refmer exercises --out DIR`")
    return most[2]


def is_hole(node):
    """Return whether the body of a function is, after the docstring, `...` alone."""
    body = node.body[ast.get_docstring(node) is not None :]
    return all(isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant) and n.value.value is ... for n in body)


def emptied(page, source):
    """Return the text of a page with the functions of `source`, of which the signature, the docstring and `...` remain."""
    return _replaced(page, source, hole=True)


def filled(page, source):
    """Return the text of a page with the functions of `source` in full."""
    return _replaced(page, source, hole=False)


def _replaced(page, source, hole):
    origin, originals, lines = functions(source), source.splitlines(keepends=True), page.splitlines(keepends=True)
    for name, node in reversed(functions(page).items()):
        new = originals[origin[name].lineno - 1 : origin[name].body[0].end_lineno if hole else origin[name].end_lineno]
        lines[node.lineno - 1 : node.end_lineno] = new + ["    ...\n"] * hole
    return "".join(lines)
