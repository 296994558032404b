"""Descriptions, flat vectors, views, seeding by path, names."""

import copy
import pickle

import numpy as np
import pytest
from error_table import errors

from refmer import params
from refmer.params import Leaf, normal, ones, zeros
from refmer.systems import BASELINES, SYSTEMS, find

TREE = {
    "layers": [{"W": Leaf((3, 5), normal(1))}, {"W": Leaf((5, 2), normal(1)), "mean": Leaf((2,), ones, state=True)}],
    "alpha": Leaf((), zeros),
}


def test_a_tree_is_views_of_one_vector_and_state_is_apart():
    p = params.init(TREE, seed=0)
    assert params.count(TREE) == len(p.vector) == 26 and len(p.state) == 2
    p.vector[:] = np.arange(26)
    assert p.layers[0].W[0, 1] == 1 and p.layers[1].W[0, 0] == 15 and p.alpha == 25
    p.alpha += 1
    assert p.vector[25] == 26 and p.vector.dtype == np.float32


def test_initial_values_of_a_leaf_do_not_depend_on_other_leaves():
    alone = params.init({"layers": TREE["layers"][:1]}, seed=3)
    np.testing.assert_array_equal(alone.layers[0].W, params.init(TREE, seed=3).layers[0].W)
    assert (alone.layers[0].W != params.init(TREE, seed=4).layers[0].W).all()


@pytest.mark.parametrize("duplicate", (lambda tree: pickle.loads(pickle.dumps(tree)), copy.deepcopy))
def test_a_duplicate_of_a_tree_is_views_of_its_own_vector(duplicate):
    p = params.init(TREE, seed=1)
    other = duplicate(p)
    assert other.vector.tobytes() == p.vector.tobytes() and not np.shares_memory(other.vector, p.vector)
    other.vector[:] = 7
    assert (other.layers[1].W == 7).all() and not (p.layers[1].W == 7).any()


def test_the_descriptions_of_all_systems_can_be_pickled():
    for name in SYSTEMS | BASELINES:
        description = find(name).describe(find(name).Config.tiny())
        again = pickle.loads(pickle.dumps(description))
        np.testing.assert_array_equal(params.init(again, 3).vector, params.init(description, 3).vector)


def test_named_arrays_give_the_same_tree():
    p = params.init(TREE, seed=0)
    arrays = params.named(p)
    assert list(arrays) == ["layers.0.W", "layers.1.W", "layers.1.mean", "alpha"]
    again = params.from_named(TREE, arrays)
    np.testing.assert_array_equal(again.vector, p.vector)
    np.testing.assert_array_equal(again.state, p.state)


def changed(change):
    """Make the tree from arrays that were changed."""
    arrays = params.named(params.init(TREE, seed=0))
    change(arrays)
    params.from_named(TREE, arrays)


test_errors_name_the_cause = errors(
    (changed, lambda a: a.pop("alpha"), "missing .'alpha'"),
    (changed, lambda a: a.update(beta=a["alpha"]), "unknown .'beta'"),
    (changed, lambda a: a.update({"layers.0.W": np.zeros((5, 3))}), r"layers.0.W has shape \(5, 3\); accepted: \(3, 5\)"),
    (params.init, TREE, -1, "seed is -1"),
)
