"""Generated pages: copies of the tutorials and exercises, a page of reference for every module, and the pages of systems."""

import ast
import inspect
import json
import re

import system_pages
from docutils import nodes
from execute import executed
from sphinx.addnodes import pending_xref

from refmer.notebooks import notebook

ORDER = ("ops", "layers", "systems", "baselines", "kernels", "int8", "data", "train", "evaluate", "experiments", "exercises")
ABOUT = """\
Every entry links to its source, with equation, forward and backward on one screen.

* :doc:`refmer <refmer>`: the public interface.
"""


def make(root, here, basis):
    """Write the generated folders beside conf.py; unchanged files stay untouched, others are deleted."""
    tutorials = {path: with_download(path) for path in (root / "tutorials").glob("[0-9][0-9]_*.py")}
    kernel = here / "kernels/how_a_kernel_is_made.py"
    notebooks = executed(tutorials | {kernel: kernel.read_text()}, here / "_build/executed", basis)
    (kernel.parent / f"{kernel.stem}.ipynb").write_text(notebooks.pop(kernel))
    write(here / "tutorials", {f"{path.stem}.ipynb": text for path, text in notebooks.items()})
    exercises = (root / "tutorials/exercises").glob("[0-9][0-9]_*.py")
    write(here / "exercises", {f"{path.stem}.ipynb": notebook(path.read_text()) for path in exercises})
    write(here / "api", reference(root / "refmer"))
    write(here / "systems", system_pages.texts(root))
    gates = json.loads((here / "measured/compare.json").read_text())["gates"]
    write(here / "_static/made", {"gates.js": f"const GATES = {json.dumps(gates)};\n"})


def with_download(path):
    """Return a tutorial with a link to its executed notebook below the title."""
    link = f"#\n# This page as a notebook, with output: {{download}}`{path.stem}.ipynb`.\n"
    return re.sub(r"^# # .*\n", rf"\g<0>{link}", path.read_text(), count=1, flags=re.M)


def write(folder, texts):
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def reference(package):
    """Return {file name: reST} of the index, the public names, and every module."""
    modules = {}  # dotted name -> docstring
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        if path.name != "__main__.py":
            modules[name] = ast.get_docstring(ast.parse(path.read_text())) or ""
    texts = {f"{name}.rst": module_page(name, modules) for name in modules if name != "refmer"}
    rank = {f"refmer.{name}": i for i, name in enumerate(ORDER)}
    top = sorted(children("refmer", modules), key=lambda name: rank.get(name, len(ORDER)))
    texts["refmer.rst"] = public_page()
    texts["index.rst"] = heading("Reference") + ABOUT + table(top, modules) + contents(["refmer", *top])
    return texts


def children(name, modules):
    return [child for child in modules if child.rpartition(".")[0] == name]


def heading(title, mark="="):
    return f"{title}\n{mark * len(title)}\n\n"


def contents(names):
    lines = "".join(f"   {name.rpartition('.')[2]} <{name}>\n" for name in names)
    return f".. toctree::\n   :hidden:\n\n{lines}"


def table(names, modules):
    """Return a list of modules, each with the first paragraph of its docstring."""
    summaries = {name: escaped(" ".join(modules[name].split("\n\n")[0].split())) for name in names}
    return "".join(f"* :doc:`{name.removeprefix('refmer.')} <{name}>`: {text}\n" for name, text in summaries.items()) + "\n"


def module_page(name, modules):
    text = heading(name.removeprefix("refmer.")) + f".. automodule:: {name}\n\n"
    if below := children(name, modules):
        text += heading("Modules", "-") + table(below, modules) + contents(below)
    return text


def public_page():
    import refmer

    text = heading("refmer") + "The public interface: these names are attributes of ``refmer``.\n\n"
    for name in refmer.__all__:
        if not name.startswith("_"):
            kind = "class" if inspect.isclass(getattr(refmer, name)) else "function"
            text += f".. auto{kind}:: refmer.{name}\n\n"
    return text


LITERAL = re.compile(r"(^\S.* : .*$|`[^`]+`(?!\w))|(`[^`]+`)|([\\*|_])", re.M)


def escaped(text):
    """Escape reST markup outside of `code` and of the headers `name : type` of numpydoc sections, which napoleon escapes."""
    return LITERAL.sub(lambda match: match[1] or (f"{match[2]}\\ " if match[2] else f"\\{match[3]}"), text)


def docstring(app, what, name, obj, options, lines):
    lines[:] = escaped("\n".join(lines)).split("\n")


def signature(app, what, name, obj, options, arguments, returns):
    """Replace `<factory>` and other defaults that are not Python, which break the layout of arguments."""
    return (re.sub(r"<[^<>]+>", "...", arguments), returns) if arguments else None


def skip(app, what, name, obj, skipped, options):
    """Skip fields of a Config or a NamedTuple, which its signature lists, and methods that scikit-learn adds to estimators."""
    if what != "class" or name.startswith("_"):
        return None
    field = not callable(obj) and not isinstance(obj, property | classmethod | staticmethod)
    return True if field or re.fullmatch("set_.*_request", name) else None


def lead_back(app):
    """Link a source to the entry on the page of its own module, although it may be described on other pages, too."""
    modules = getattr(app.env, "_viewcode_modules", {})
    for module, entry in list(modules.items()):
        if entry:
            code, tags, used, _ = entry
            modules[module] = code, tags, dict.fromkeys(used, f"api/{module}"), module
    return ()


NAME = re.compile(r"refmer(\.\w+)+")
FILE = re.compile(r"refmer(/\w+)+\.py")


def link_names(app, doctree):
    """Link `refmer.layers.dense.linear` and `refmer/layers/dense.py` to their entries in the reference."""
    for node in list(doctree.findall(nodes.literal)):
        text = node.astext()
        target = text.removesuffix(".py").replace("/", ".").removesuffix(".__init__") if FILE.fullmatch(text) else text
        if NAME.fullmatch(target) and not isinstance(node.parent, nodes.reference | pending_xref):
            link = pending_xref("", refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refwarn=False)
            link["refdoc"] = app.env.docname
            node.replace_self(link)
            link += node
