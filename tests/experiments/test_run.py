"""Records, errors and protocols that all experiments share."""

import pickle

import numpy as np
import pytest

from refmer.data.read import load_samples
from refmer.experiments import EXPERIMENTS, protocols
from refmer.experiments.run import path_of, pool, read, run, write

OWN = {"ablate": {"system": "raver"}}
WRONG = [
    ({"seeds": 0}, "seeds is 0"),
    ({"jobs": 0, "quick": True}, "jobs is 0"),
    ({"protocol": "005"}, "no protocol is called '005'"),
    ({"rows": ()}, r"rows are \[\]"),
    ({"rows": ("wave",)}, "no system is called 'wave'; accepted: openface_adaptive"),
    ({"rows": ("raver@age",)}, "label is 'age'; accepted: sentiment, emotion, votes, affect of the bundled corpus"),
]


@pytest.mark.parametrize(
    "name, arguments, message",
    [(name, *wrong) for name, e in EXPERIMENTS.items() for wrong in WRONG if "rows" not in wrong[0] or "rows" in e.options],
)
def test_errors_of_every_experiment(tmp_path, name, arguments, message):
    with pytest.raises((KeyError, ValueError), match=message):
        run(name, tmp_path, **OWN.get(name, {}), **arguments)


def test_an_unknown_experiment_is_named(tmp_path):
    with pytest.raises(KeyError, match="no experiment is called 'curve'; accepted: compare, curves"):
        run("curve", tmp_path)


DAMAGE = [
    lambda text: text[: len(text) // 2],
    lambda text: "",
    lambda text: text.replace("0.25", "0.26"),
    lambda text: text.replace('"seed": 0', '"seed": 1'),
    lambda text: "[" * 10**5,
    lambda text: "[1, 2]",
    lambda text: "\udcff" + text[1:],
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cell_has_no_result_and_is_named(tmp_path, damage):
    cell, result = {"row": "raver", "seed": 0}, {"accuracy": 0.25, "n": [1, 2]}
    assert read(tmp_path, cell) is None
    write(tmp_path, cell, result)
    assert read(tmp_path, cell) == result
    path = path_of(tmp_path, cell)
    path.write_bytes(damage(path.read_text()).encode(errors="surrogateescape"))
    with pytest.warns(UserWarning, match=f"{path.name} is damaged: its cell is computed again"):
        assert read(tmp_path, cell) is None


def test_a_corpus_that_does_not_reach_the_workers_is_named():
    with pytest.raises(OSError, match="accepted: room for it in /dev/shm"), pool(1, None):
        raise pickle.PicklingError


@pytest.mark.parametrize("name", protocols.PROTOCOLS)
def test_protocols_keep_three_parts_apart_and_have_their_shares(name):
    plan, clips = protocols.find(name), load_samples("recordings")
    parts = plan.split(clips, 3)
    groups = [set(getattr(part, plan.by)) for part in parts]
    assert not groups[0] & groups[1] and not groups[1] & groups[2] and not groups[0] & groups[2]
    assert sum(map(len, parts)) == len(clips)
    shares = [len(group) / sum(map(len, groups)) for group in groups]
    np.testing.assert_allclose(shares, [1 - plan.test - plan.dev, plan.dev, plan.test], atol=1 / sum(map(len, groups)))
