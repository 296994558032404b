"""Pages that are made, not written: copies of the tutorials, and a page of reference for every module."""

import ast
import inspect
import re
import shutil

import reading
from docutils import nodes
from sphinx.addnodes import pending_xref

ORDER = ("ops", "layers", "systems", "baselines", "kernels", "quantize", "data", "train", "evaluate", "experiments")
LEFT_OUT = ("__main__", "torch_models")  # the latter cannot be imported without PyTorch


def make(root, here):
    """Write tutorials/ and api/ beside conf.py; what has not changed is not touched, what is no more is removed."""
    tutorials = {path.name: path.read_text() for path in (root / "tutorials").glob("[0-9][0-9]_*.py")}
    write(here / "tutorials", tutorials)
    write(here / "api", reference(root / "refmer"))


def write(folder, texts):
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def reference(package):
    """{file name: reST} of the index, the public names, and every module."""
    modules = {}  # dotted name -> first sentence
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        if not set(parts) & set(LEFT_OUT):
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            modules[".".join(parts)] = ast.get_docstring(ast.parse(path.read_text())) or ""
    texts = {f"{name}.rst": module_page(name, modules) for name in modules if name != "refmer"}
    top = [name for name in modules if name.count(".") == 1]
    rank = {f"refmer.{name}": i for i, name in enumerate(ORDER)}
    packages = sorted((name for name in top if children(name, modules)), key=lambda name: (rank.get(name, len(ORDER)), name))
    alone = [name for name in top if name not in packages]
    texts["refmer.rst"] = public_page()
    texts["index.rst"] = index_page(modules, packages, alone)
    return texts


def children(name, modules):
    return [child for child in modules if child.rpartition(".")[0] == name]


def heading(title, mark="="):
    return f"{title}\n{mark * len(title)}\n\n"


def contents(names):
    lines = "".join(f"   {name.rpartition('.')[2]} <{name}>\n" for name in names)
    return f".. toctree::\n   :hidden:\n\n{lines}\n"


def table(names, modules):
    """A line for every module: its name, and the first paragraph of its docstring."""
    lines = []
    for name in names:
        summary = " ".join(modules[name].split("\n\n")[0].split())
        lines.append(f"* :doc:`{name.removeprefix('refmer.')} <{name}>`" + (f": {reading.inline(summary)}" if summary else ""))
    return "\n".join(lines) + "\n\n"


def module_page(name, modules):
    text = heading(name.removeprefix("refmer.")) + f".. automodule:: {name}\n\n"
    below = children(name, modules)
    if below:
        text += heading("Modules", "-") + table(below, modules) + contents(below)
    return text


def public_page():
    import refmer

    text = heading("refmer") + "What a user touches: these names are attributes of ``refmer``.\n\n"
    for name in refmer.__all__:
        found = getattr(refmer, name)
        if not name.startswith("_"):
            kind = "class" if inspect.isclass(found) else "module" if inspect.ismodule(found) else "function"
            once = "   :no-index:\n" if kind == "module" else ""  # it has a page of its own
            text += f".. auto{kind}:: refmer.{name}\n{once}\n"
    return text


def index_page(modules, packages, alone):
    text = heading("Reference")
    text += "Every entry links to its source: equation, forward and backward stand there on one screen.\n\n"
    text += "* :doc:`refmer <refmer>`: what a user touches.\n\n"
    text += heading("Packages", "-") + table(packages, modules)
    text += heading("Modules", "-") + table(alone, modules)
    return text + contents(["refmer", *packages, *alone])


def docstring(app, what, name, obj, options, lines):
    lines[:] = reading.rest(lines, equations=what in ("function", "method"))
    if what == "property":
        lines.insert(0, "")  # else napoleon takes what stands before a colon for its type


def signature(app, what, name, obj, options, arguments, returns):
    """`<factory>` and other defaults that are not Python would spoil the layout of all arguments."""
    return (re.sub(r"<[^<>]+>", "...", arguments), returns) if arguments else None


def skip(app, what, name, obj, skipped, options):
    """Fields of a Config or a NamedTuple, which the signature names already, and what scikit-learn adds to estimators."""
    if what != "class" or name.startswith("_"):
        return None
    field = not callable(obj) and not isinstance(obj, property | classmethod | staticmethod)
    return True if field or re.fullmatch("set_.*_request", name) else None


def lead_back(app):
    """From a source to the entry on the page of its own module, wherever else it is described."""
    known = getattr(app.env, "_viewcode_modules", {})
    for module, entry in list(known.items()):
        if entry:
            code, tags, used, _ = entry
            known[module] = code, tags, dict.fromkeys(used, f"api/{module}"), module
    return ()


NAME = re.compile(r"refmer(\.\w+)+")
FILE = re.compile(r"refmer(/\w+)+\.py")


def link_names(app, doctree):
    """`refmer.layers.dense.linear` and `refmer/layers/dense.py` lead to the reference, where there is an entry for them."""
    for node in list(doctree.findall(nodes.literal)):
        text = node.astext()
        target = text.removesuffix(".py").replace("/", ".").removesuffix(".__init__") if FILE.fullmatch(text) else text
        if NAME.fullmatch(target) and not isinstance(node.parent, nodes.reference | pending_xref):
            link = pending_xref("", refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refwarn=False)
            link["refdoc"] = app.env.docname
            node.replace_self(link)
            link += node
