"""Ablation tables: every rung is another network or loss, differences are paired by seed, the report says so."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

from refmer import systems
from refmer.experiments import ablate, protocols
from refmer.experiments.run import run

pytestmark = pytest.mark.slow

PLAN = replace(protocols.find("default"), seeds=3)
SYSTEM = "openface_adaptive"


@pytest.fixture(scope="module")
def done(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("ablate")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no training clip is of the classes")  # of so few
        return out, run("ablate", out, system=SYSTEM, quick=True, corpora={"clips": clips})


@pytest.mark.parametrize("system", systems.SYSTEMS)
def test_every_rung_is_another_config_and_one_is_the_full_model(system):
    configs = [systems.find(system).Config.tiny(**rung.changes) for rung in ablate.RUNGS[system].values()]
    assert len(set(configs)) == len(configs)
    assert configs.count(systems.find(system).Config.tiny()) == 1


def test_published_figures():
    rungs = {system: {name: rung.published for name, rung in each.items()} for system, each in ablate.RUNGS.items()}
    of = rungs["openface_adaptive"]
    assert of["full"] - of["no gate"] == pytest.approx(0.015) and of["full"] - of["no Transformer"] == pytest.approx(0.069)
    assert of["full"] - of["text only"] == pytest.approx(0.032)  # Table II: "+3.2 over text"
    assert list(rungs["of_cmaer_cat"].values()) == [0.812, 0.869, 0.897, 0.918, 0.932]
    assert rungs["tlab_jca"]["attention"] == rungs["tlab_jca"]["nothing"] == 0.420
    weights = [r.changes["weights"] for r in ablate.RUNGS["auxformer"].values() if "weights" in r.changes]
    assert len(weights) == 10 and all(sum(w) == pytest.approx(1) for w in weights)  # and thirds, the full model: 11


def test_differences_are_paired_by_seed(done):
    out, result = done
    assert result["seeds"] == [0, 1] and result["metric"] == "Acc-7" and len(result["rungs"]) == 3
    full = result["rungs"]["full"]["scores"]
    for line in result["rungs"].values():
        for column, difference in line.get("differences", {}).items():
            expected = np.subtract(line["scores"][column]["values"], full[column]["values"])
            np.testing.assert_allclose(difference["values"], expected)
            assert difference["interval"][0] <= difference["mean"] <= difference["interval"][1]
    assert "differences" not in result["rungs"]["full"]
    assert json.loads((out / "results.json").read_text()) == result


def test_the_report_names_data_seeds_and_published_differences(done, clips):
    text = (done[0] / "results.md").read_text()
    assert "**synthetic**" in text and clips.source in text and "2 seeds" in text
    (line,) = (row for row in text.split("Difference to the full model")[1].splitlines() if row.startswith("| no gate"))
    assert line.split("|")[2].strip() == "-1.5"


def test_a_sense_that_is_not_used_has_no_score():
    rungs = {name: ablate.RUNGS[SYSTEM][name] for name in ("full", "text only")}
    results = []
    for name, values in {"full": [0.2, 0.5, 0.3], "text only": [0.4, 0.1, 0.35]}.items():
        for seed, value in enumerate(values):
            common = {"row": name, "seed": seed, "config": {"target": "sentiment"}}
            kept = {"n": 7, "headline": "accuracy", "task": "ordinal", "classes": ["-1", "0", "+1"]}
            broken = {"unused": True} if name == "text only" else kept | {"accuracy": value - 0.1}
            results += [(common | {"column": "clean"}, kept | {"accuracy": value}), (common | {"column": "no face"}, broken)]
    result = ablate.differences(SYSTEM, rungs, ("clean", "no face"), PLAN, results)
    line = result["rungs"]["text only"]
    assert line["scores"]["no face"] is None and set(line["differences"]) == {"clean"}
    assert line["differences"]["clean"]["mean"] == pytest.approx((0.2 - 0.4 + 0.05) / 3)
    about = {"data": {}, "protocol": "default", "by": "speaker", "seeds": [0, 1, 2]}
    assert ablate.markdown(about | result).rstrip().splitlines()[-1].split("|")[4].strip() == "="
    panels = ablate.draw(about | result)["ablation"].axes
    assert [ax.get_title("left") for ax in panels] == ["clean", "no face"]
    np.testing.assert_allclose(panels[0].lines[0].get_xdata(), [20, -40, 5])


def test_p_says_that_a_row_is_worse_and_one_seed_says_nothing():
    worse = ablate.compared({"a": [-0.3, -0.31, -0.29], "b": [0.3, 0.31, 0.29]}, PLAN)
    assert worse["a"]["p"] < 0.05 < worse["b"]["p"]
    assert "p" not in ablate.compared({"a": [-0.3]}, replace(PLAN, seeds=1))["a"]


def test_the_interval_allows_for_overlapping_splits():
    interval = ablate.compared({"a": [-0.3, -0.1, 0.1]}, PLAN)["a"]["interval"]
    reach = 4.302652729749 * 0.2 * np.sqrt(1 / 3 + 0.25 / 0.6375)  # t(.975, 2), sd .2, test / train of the protocol
    np.testing.assert_allclose(interval, [-0.1 - reach, -0.1 + reach])


def test_a_system_without_a_table_is_named(tmp_path, clips):
    with pytest.raises(KeyError, match="'concatenation' has no ablation table; accepted: openface_adaptive, "):
        run("ablate", tmp_path, system="concatenation", corpora={"clips": clips})
