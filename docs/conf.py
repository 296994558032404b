"""The site. From the top of the repository, with the extra `docs`:

    pip install ".[docs]" && sphinx-build -M html docs docs/_build -W -j auto

writes docs/_build/html, a folder that a browser opens without a server or a network. The tutorials run while the site is built;
one that fails, fails the build. Their output is kept in docs/_build/executed until a tutorial, refmer or the corpus changes.

execute.py runs the tutorials as notebooks, which MyST-NB makes pages of. MathJax is that of the package sphinx-mathjax-
offline and draws SVG, since browsers may refuse fonts to pages opened from a folder.
"""

import hashlib
import importlib
import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

import pages  # noqa: E402

import refmer  # noqa: E402

project = "refmer"
author = "The refmer authors"
version = release = refmer.__version__
html_title = f"refmer {release}"
language = "en"
smartquotes = False  # quotes in docstrings are code
exclude_patterns = ["_build", "*.py"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
]

# tutorials
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))  # this checkout's refmer
os.environ["MATPLOTLIBRC"] = str(HERE / "matplotlibrc")
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
os.environ.setdefault("OMP_NUM_THREADS", "1")


def fingerprint(*files):
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()[:16]


# what the output of tutorials depends on, in addition to their text
BASIS = sorted([*(ROOT / "refmer").rglob("*.py"), *(ROOT / "data_samples").glob("*.npz"), HERE / "matplotlibrc"])
nb_execution_mode = "off"
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars, and kernels that compile
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_dmath_double_inline = True
myst_heading_anchors = 3
copybutton_selector = "div:not(.output_area) > div.highlight > pre"

# reference
autodoc_member_order = "bysource"  # a backward stands under its forward
autodoc_default_options = {"members": True, "undoc-members": True}
default_role = "literal"
napoleon_google_docstring = False
napoleon_use_param = False  # "width, heads : int" stays one entry
python_maximum_signature_line_length = 84

# pages
html_theme = "furo"
pygments_dark_style = "github-dark"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static", *(f"../data_samples/{path.name}" for path in sorted((ROOT / "data_samples").glob("*.wav")))]
html_css_files = ["site.css"]
suppress_warnings = ["ref.python"]  # public names are documented in their modules, too: either target is right
html_domain_indices = False  # the reference lists the modules
html_show_search_summary = False  # needs to fetch pages, which no browser allows in a folder
html_show_copyright = False
mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}}


def copy_mathjax(app, error):
    """Copy the two parts of MathJax that are used, of 24 MB."""
    if error is None and app.builder.format == "html":
        source = Path(importlib.import_module("sphinx-mathjax-offline").__file__).parent / "static" / "mathjax"
        target = Path(app.outdir) / "_static" / "mathjax"
        shutil.copytree(source / "input/tex/extensions", target / "input/tex/extensions", dirs_exist_ok=True)
        shutil.copy(source / "tex-svg.js", target)


def setup(app):
    app.add_config_value(
        "made_by", fingerprint(HERE / "pages.py", HERE / "system_pages.py", *(HERE / "measured").iterdir()), "env"
    )  # a change rebuilds all pages
    app.connect("builder-inited", lambda app: pages.make(ROOT, HERE, fingerprint(*BASIS)))
    app.connect("autodoc-process-docstring", pages.docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", pages.signature)
    app.connect("autodoc-skip-member", pages.skip)
    app.connect("doctree-read", pages.link_names)
    app.connect("html-collect-pages", pages.lead_back, priority=400)  # before viewcode
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
