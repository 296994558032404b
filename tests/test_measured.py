"""The numbers in README.md, on the site and in docs/deviations.md are those of docs/measured.

Each of its files is the results.json of a command that COMMANDS in docs/system_pages.py or docs/deviations.md names;
docs/compare.png is figures/compare.png of the first.
"""

import json
import re
from pathlib import Path

import pytest

from refmer import diagrams
from refmer.evaluate.statistics import spread
from refmer.experiments import mechanisms
from refmer.experiments.claims.table import CLAIMS
from refmer.experiments.compare import difference, shown
from refmer.experiments.report import metrics_of, percent, plain
from refmer.systems import SYSTEMS

ROOT = Path(__file__).parent.parent
MEASURED = ROOT / "docs/measured"
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
CHOICES = {  # system -> how scores are shown, and rows of the table of its defaults in the deviations: those of the ablation
    "auxformer": (
        percent,
        {
            "mean of the valid frames": "full",
            "last valid": "last valid step",
            "last, padding masked": "last step, padding masked",
            "prepended": "prepended token",
        },
    ),
    "tlab_jca": (
        plain,
        {
            "as it is": "full",
            '`residual="tlab"`': "residual of TLAB's outputs",
            '`face_encoder="r2plus1d"`': "R(2+1)D of the face",
            "`sound_dropout=0`": "sound never hidden",
        },
    ),
}
pytestmark = pytest.mark.skipif(not MEASURED.exists(), reason="needs a checkout")


def result_of(name):
    return json.loads((MEASURED / f"{name}.json").read_text())


def cells_of(text):
    """Return the cells of every line of the tables in a text."""
    return [re.split(r" *\| *", line.strip("| ")) for line in text.splitlines()]


@pytest.fixture(scope="module")
def tasks():
    return result_of("compare")["tasks"]


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


@pytest.mark.parametrize("row", ["tlab_jca", "linear"])
def test_excerpt_of_what_the_first_command_prints(tasks, row):
    columns = ("clean", "face noise (standardised)", "no face", "no voice")
    two_seeds = [spread(tasks["affect"]["rows"][row][c]["ccc"]["values"][:2]) for c in columns]
    lines = cells_of((ROOT / "README.md").read_text())
    assert [plain(x) for x in two_seeds] in [cells[1:] for cells in lines if cells[0].split(" (")[0] == row]


def test_the_claims_and_mechanisms_that_were_measured_are_those_of_today():
    measured = [(x["id"], x["claim"], set(x["contrasts"])) for x in result_of("claims")["claims"]]
    assert measured == [(line.id, line.text, set(line.contrasts)) for line in CLAIMS]
    for paper, values in result_of("mechanisms")["papers"].items():
        assert set(values["numbers"]) == set(mechanisms.PAPERS[paper].NUMBERS)


def test_every_system_has_a_page_with_its_claims_and_figures(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    import system_pages

    pages, papers = system_pages.texts(ROOT), {name: paper for name, (_, paper) in system_pages.TITLES.items()}
    assert set(papers) == set(SYSTEMS)
    assert pages["raver.svg"] == system_pages.svg(diagrams.draw("raver"))
    for name, paper in papers.items():
        page = pages[f"{name}.md"]
        beginnings = [cells[:4] for cells in cells_of(page)]
        for x in result_of("claims")["claims"]:
            row = [x["id"], x["claim"], x["published"], f"**{x['verdict']}**"]
            assert (row in beginnings) == x["id"].startswith(paper)
        figures = re.findall(r"\]\((.*?\.svg)\)", page)
        assert len(figures) == 3 and all(pages[figure].startswith("<?xml") for figure in figures)


def test_the_first_page_names_the_clips_and_models_of_the_gates():
    gates, counts = result_of("compare")["gates"]["openface_adaptive"], ("no", "one", "two", "three", "four", "five")
    words = " ".join((ROOT / "docs/index.md").read_text().split())
    assert f"{gates['n']} clips and {counts[gates['models']]} models" in words


@pytest.mark.parametrize("system", CHOICES)
def test_the_deviations_have_the_scores_of_the_defaults_of_the_tiny_size(system):
    show, rows = CHOICES[system]
    rungs, lines = result_of(f"ablate-{system}")["rungs"], cells_of((ROOT / "docs/deviations.md").read_text())
    for name, row in rows.items():
        assert [name, *(show(rungs[row]["scores"][c]) for c in ("clean", "no face", "no voice"))] in lines


def test_the_tutorial_has_the_scores_with_and_without_hidden_sound():
    rungs = result_of("ablate-tlab_jca")["rungs"]
    without, with_it = (f"{rungs[row]['scores']['no voice']['mean']:.2f}".lstrip("0") for row in ("sound never hidden", "full"))
    text = (ROOT / "tutorials/18_tlab_jca_training.py").read_text()
    assert f"with more recordings: {without} without and {with_it} with `sound_dropout`, five seeds" in text


@pytest.mark.parametrize("page", ["docs/deviations.md", "tutorials/20_raver_training.py"])
def test_the_share_of_a_cross_update_that_is_left(page):
    (line,) = (x for x in result_of("claims")["claims"] if x["id"] == "004-g")
    kept = line["contrasts"]["face missing"]["effect"]["mean"] + 0.1
    assert f"keeps {kept:.2f} of its norm".replace(" 0.", " .") in (ROOT / page).read_text()
