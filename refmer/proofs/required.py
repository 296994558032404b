"""The functions that need a proof, taken from the source: everything that has a backward."""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]


def unproven(cases, root=None):
    """Return (kind, "folder/file.py", name) of the functions that need a case and have none of their name.

    A name that two files of a folder share needs a case for each: "file.name".
    """
    proven, functions = {(case.kind, case.name) for case in cases}, required(root or ROOT)
    times = Counter((kind, name) for kind, _, name in functions)
    return [
        (kind, f"{path.parent.name}/{path.name}", name)
        for kind, path, name in functions
        if (kind, f"{path.stem}.{name}") not in proven and (times[kind, name] > 1 or (kind, name) not in proven)
    ]


def required(root):
    """Return (kind, path, name) of every public function that needs a case.

    - ops: `f` where `f_backward` is defined in the same file;
    - layers: `f` where `describe_f` is defined in the same file, or which returns a backward: a tuple with a lambda, a function
      that is defined inside f, or a name that begins with "back";
    - systems, baselines: a file that defines `forward`, by the name of the file.
    """
    rows = []
    for folder, kind in (("ops", "op"), ("layers", "layer"), ("systems", "system"), ("baselines", "baseline")):
        for path in sorted((root / folder).glob("*.py")):
            functions = {f.name: f for f in ast.parse(path.read_text("utf-8")).body if isinstance(f, ast.FunctionDef)}
            if kind == "op":
                names = [name for name in functions if f"{name}_backward" in functions]
            elif kind == "layer":
                names = [name for name, f in functions.items() if f"describe_{name}" in functions or returns_backward(f)]
            else:
                names = [path.stem] if "forward" in functions else []
            rows += [(kind, path, name) for name in names if not name.startswith("_")]
    return rows


def returns_backward(f):
    """Return True if a function (of the syntax tree) returns a tuple that holds its backward."""
    inner = {node.name for node in ast.walk(f) if isinstance(node, ast.FunctionDef)}

    def is_backward(node):
        return isinstance(node, ast.Lambda) or isinstance(node, ast.Name) and (node.id in inner or node.id.startswith("back"))

    returned = [part for node in ast.walk(f) if isinstance(node, ast.Return) and node.value for part in ast.walk(node.value)]
    return any(isinstance(part, ast.Tuple) and any(map(is_backward, part.elts)) for part in returned)
