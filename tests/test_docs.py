"""The sources of the site; if it has been built, its links, its text, and its independence of other hosts."""

import ast
import html
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from refmer.data.corpora import READERS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SITE = DOCS / "_build" / "html"
MADE = (
    DOCS / "api",
    DOCS / "tutorials",
    DOCS / "exercises",
    DOCS / "systems",
    DOCS / "kernels",
)  # written while the site is built
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *ROOT.glob("data_samples/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_to_files(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path = (page.parent / unquote(urlsplit(target).path)).resolve()
        if not urlsplit(target).scheme and not any(map(path.is_relative_to, MADE)):
            assert path.exists(), f"{page.name} links to {target}, which does not exist"


def test_menu_of_the_site_names_every_page():
    menu = re.search(r"```\{toctree\}(.*?)```", (DOCS / "index.md").read_text(), re.S).group(1).split()
    assert {path.stem for path in DOCS.glob("*.md")} - {"index"} <= set(menu)


@pytest.mark.parametrize("path", sorted((ROOT / "tutorials/exercises").glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_notation_has_the_sizes_of_an_exercise(path):
    letters = re.findall(r"^\| \$(\w)\$ \|", (DOCS / "notation.md").read_text(), re.M)
    assert len(letters) == len(set(letters))
    sizes = re.search(r"Sizes: (.*?)(?=^#$|^\n)", path.read_text(), re.M | re.S)
    assert set(re.findall(r"\$([A-Z])\$", sizes[1] if sizes else "")) <= set(letters)


def test_every_reader_is_on_the_page_of_data():
    page = (DOCS / "data.md").read_text()
    assert [name for name in READERS if f"`{name}`" not in page] == []


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


def test_site_has_every_exercise_with_its_holes(site):
    for path in (ROOT / "tutorials" / "exercises").glob("[0-9][0-9]_*.py"):
        page = SITE / "exercises" / f"{path.stem}.html"
        text = re.sub(r"<[^>]+>", "", page.read_text())
        assert page in site and html.unescape(text).count("\n    ...\n") == path.read_text().count("\n    ...\n")


@pytest.mark.parametrize("path", sorted((ROOT / "refmer" / "ops").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_site_has_the_text_of_docstrings(site, path):
    page = (SITE / "api" / f"refmer.ops.{path.stem}.html").read_text()
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and ast.get_docstring(node):
            assert " ".join(ast.get_docstring(node).split("\n")[0].replace("`", "").split()) in text


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
