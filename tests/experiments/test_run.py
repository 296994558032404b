"""Records, errors and protocols that all experiments share."""

import numpy as np
import pytest

from refmer.data.read import load_samples
from refmer.experiments import EXPERIMENTS, protocols
from refmer.experiments.run import run

OWN = {"ablate": {"system": "raver"}}
WRONG = [
    ({"seeds": 0}, "seeds is 0"),
    ({"jobs": 0, "quick": True}, "jobs is 0"),
    ({"protocol": "005"}, "no protocol is called '005'"),
    ({"rows": ()}, r"rows are \[\]"),
    ({"rows": ("wave",)}, "no system is called 'wave'; accepted: openface_adaptive"),
    ({"rows": ("concatenation@age",)}, "no row is called 'concatenation@age'; accepted: NAME, NAME@TARGET"),
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


@pytest.mark.parametrize("name", protocols.PROTOCOLS)
def test_protocols_keep_three_parts_apart_and_have_their_shares(name):
    plan, clips = protocols.find(name), load_samples("recordings")
    parts = plan.split(clips, 3)
    groups = [set(getattr(part, plan.by)) for part in parts]
    assert not groups[0] & groups[1] and not groups[1] & groups[2] and not groups[0] & groups[2]
    assert sum(map(len, parts)) == len(clips)
    shares = [len(group) / sum(map(len, groups)) for group in groups]
    np.testing.assert_allclose(shares, [1 - plan.test - plan.dev, plan.dev, plan.test], atol=1 / sum(map(len, groups)))
