"""The sources of the site, and, if it has been built, that its links lead somewhere and that it asks no other host."""

import html
import importlib.util
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SITE = DOCS / "_build" / "html"
MADE = (DOCS / "api", DOCS / "tutorials")  # written while the site is built
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *ROOT.glob("data_samples/*.md")])


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reading = load(DOCS / "reading.py")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_to_files(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path = (page.parent / unquote(urlsplit(target).path)).resolve()
        if not urlsplit(target).scheme and not path.is_relative_to(DOCS / "api"):
            assert path.exists(), f"{page.name} links to {target}, which does not exist"


def test_menu_of_the_site_names_every_page():
    menu = re.search(r"```\{toctree\}(.*?)```", (DOCS / "index.md").read_text(), re.S).group(1).split()
    assert {path.stem for path in DOCS.glob("*.md")} - {"index"} <= set(menu)


def test_prose_of_docstrings_holds_no_markup():
    found = reading.rest(["**options, x_t and |y|: see `f(*x)`s", "and `g_`."])
    assert found == [r"\ \*\*options, x\_t and \|y\|: see \ ``f(*x)``\ s and \ ``g_``\ .", ""]


def test_equations_of_docstrings_are_short_lines():
    lines = ["y = x W + b.   x (..., D), W (D, E), b (E).", "", "c is a number or (B|1, 1).", "", "h (B, T, H), as it was."]
    found = "\n".join(reading.rest(lines, equations=True))
    assert ".. code-block:: text\n   :class: equation\n\n   y = x W + b.\n   x (..., D), W (D, E), b (E).\n" in found
    assert found.count(":class: equation") == 2
    assert "\\ c is a number or (B\\|1, 1).\n" in found
    assert "equation" not in "\n".join(reading.rest(lines))


def test_long_equations_are_cut_at_stops():
    long = "rho = 2 s_xy / (s_x^2 + s_y^2) of each (Lin et al. 1989. Really; yes), by eq. 15, over time;"
    assert reading.equation([f"{long} a constant", "has rho = 0. So it is."]) == [long, "a constant has rho = 0. So it is."]


def test_sections_of_docstrings_keep_their_names():
    lines = [
        "Ask.",
        "",
        "Parameters",
        "----------",
        "p_, *q : array |x|",
        "    Of `a`,",
        "    or b_.",
        "",
        "Returns",
        "-------",
        "{x_}",
    ]
    found = reading.rest(lines)
    assert found[2:6] == ["Parameters", "----------", r"p_, *q : array \|x\|", r"    \ Of \ ``a``\ , or b\_."]
    assert found[6:] == ["", "Returns", "-------", r"{x\_}", ""]


def test_lists_and_code_of_docstrings():
    found = reading.rest(["One:", "- a is", "  `b`", "- c", "", "    x * y"])
    assert found == [r"\ One:", "", r"- a is \ ``b``", "- c", "", ".. code-block:: text", "", "   x * y", ""]


TAG = re.compile(r"<(\w+)\b([^>]*)>")
ATTRIBUTE = re.compile(r'\b(src|href|srcset|poster|data)="([^"]*)"')


@pytest.fixture(scope="module")
def site():
    """{page: (ids, [(tag, address)])} of the built site."""
    if not (SITE / "index.html").exists():
        pytest.skip('the site has not been built: pip install ".[docs]" && sphinx-build -M html docs docs/_build -W -j auto')
    pages = {}
    for path in SITE.rglob("*.html"):
        text = re.sub(r"(<script\b[^>]*>).*?</script>", r"\1", path.read_text(), flags=re.S)
        addresses = [(tag, html.unescape(a)) for tag, inside in TAG.findall(text) for _, a in ATTRIBUTE.findall(inside)]
        pages[path] = set(re.findall(r'\bid="([^"]+)"', text)), addresses
    return pages


def test_site_has_every_tutorial(site):
    for path in (ROOT / "tutorials").glob("[0-9][0-9]_*.py"):
        assert SITE / "tutorials" / f"{path.stem}.html" in site


def test_site_needs_no_other_host(site):
    for page, (_, addresses) in site.items():
        outside = {a for tag, a in addresses if tag not in ("a", "svg") and re.match(r"(\w+:)?//", a)}
        assert not outside, f"{page.relative_to(SITE)} needs {outside}"
    for path in SITE.rglob("*.css"):
        outside = re.findall(r"(?:url\(|@import)\s*[\"']?(?:\w+:)?//[^)\s]*", path.read_text())
        assert not outside, f"{path.relative_to(SITE)} needs {outside}"


def test_links_of_the_site_lead_somewhere(site):
    broken = []
    for page, (_, addresses) in site.items():
        for _, address in addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not path.is_file():
                broken.append(f"{page.relative_to(SITE)}: {address}")
            elif parts.fragment and path in site and unquote(parts.fragment) not in site[path][0]:
                broken.append(f"{page.relative_to(SITE)}: {address} (no such place)")
    assert not broken, "\n".join(broken[:20])
