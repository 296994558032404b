"""The scores in README.md, which the first page of the site includes, are those of docs/measured/compare.json.

    refmer compare --seeds 5

writes it as results.json, beside figures/compare.png, which is docs/compare.png.
"""

import json
import re
from pathlib import Path

import pytest

from refmer.experiments.compare import difference, shown
from refmer.experiments.report import metrics_of, percent, plain

ROOT = Path(__file__).parent.parent
MEASURED = ROOT / "docs/measured/compare.json"
ROWS = {  # name in the table of scores -> target, row of the comparison
    "openface_adaptive, sentiment in seven classes": ("sentiment", "openface_adaptive"),
    "openface_adaptive, six emotions": ("emotion", "openface_adaptive@emotion"),
    "auxformer, six emotions": ("emotion", "auxformer"),
    "raver, six emotions": ("emotion", "raver@emotion"),
    "of_cmaer_cat, six emotions, from images": ("emotion", "of_cmaer_cat"),
    "tlab_jca, six emotions, from images": ("emotion", "tlab_jca@emotion"),
    "raver, votes (macro F1)": ("votes", "raver"),
    "tlab_jca, valence and arousal (CCC)": ("affect", "tlab_jca"),
}
BROKEN = {  # system -> what breaks it here: target, row and corruption
    "openface_adaptive": ("sentiment", "openface_adaptive", "no words"),
    "of_cmaer_cat": ("emotion", "of_cmaer_cat", "face noise (standardised)"),
    "auxformer": ("emotion", "auxformer", "no face"),
    "tlab_jca": ("affect", "tlab_jca", "no face"),
    "raver": ("votes", "raver", "face noise (raw)"),
}
pytestmark = pytest.mark.skipif(not MEASURED.exists(), reason="needs a checkout")


@pytest.fixture(scope="module")
def tasks():
    return json.loads(MEASURED.read_text())["tasks"]


def line(tasks, name):
    """Return the line of the table of scores."""
    target, row = ROWS[name]
    task = tasks[target]
    headline, regression = next(iter(metrics_of(task["task"], task["classes"]))), task["task"] == "regression"
    show, over = plain if regression else percent, task["over"]["linear"][row]
    p = "< .001" if over["p"] < 0.001 else f"{over['p']:.3f}".removeprefix("0").removesuffix(".000")
    best = "" if task["ceiling"] is None else f" {100 * task['ceiling']:.1f}"
    score, linear = show(task["rows"][row]["clean"][headline]), show(task["own_linear"][row][headline])
    return f"| {name} | {score}{' %' * (not regression)} | {linear} | {difference(over, show)[0]} | {p} |{best} |"


@pytest.mark.parametrize("name", ROWS)
def test_table_of_scores(tasks, name):
    assert line(tasks, name) in (ROOT / "README.md").read_text().splitlines()


@pytest.mark.parametrize("system", BROKEN)
def test_table_of_what_breaks_a_system(tasks, system):
    target, row, column = BROKEN[system]
    task = tasks[target]
    headline = next(iter(metrics_of(task["task"], task["classes"])))
    clean, broken = (shown(task, task["rows"][row][c][headline]["mean"]).lstrip("0") for c in ("clean", column))
    text = next(line for line in (ROOT / "README.md").read_text().splitlines() if f"| `{system}` |" in line)
    assert re.search(rf"{re.escape(clean)} -> {re.escape(broken)}\b", text), f"{clean} -> {broken} is not in {text}"
