"""Leader-Follower: causal, the leader beside what it attends to."""

import numpy as np

from refmer import params
from refmer.baselines.leader_follower import Config, describe, forward
from refmer.proofs import moved
from refmer.proofs.paper003 import LEADER, S, batch_of

BATCH = batch_of(frames=(7,), logmel=(5,), mfcc=(3,))


def test_the_regressor_reads_the_leader_and_three_tokens():
    tree = describe(Config.paper())
    assert tree["head"]["W"].shape == (128 + 3 * 32, 2)  # 224, as in the authors' code
    assert params.count(tree["tcns"]["mfcc"]) < params.count(tree["tcns"]["frames"])


def test_a_step_depends_on_nothing_later():
    p, other = moved(describe(LEADER)), {k: v.copy() for k, v in BATCH.items()}
    other["logmel"][0, S - 1] += 1
    first, second = (forward(p, b, LEADER)[0]["affect"][0] for b in (BATCH, other))
    np.testing.assert_array_equal(first[: S - 1], second[: S - 1])
    assert np.abs(first[S - 1] - second[S - 1]).max() > 1e-6


def test_every_stream_is_a_token_of_each_step():
    trace = {}
    forward(moved(describe(LEADER)), BATCH, LEADER, trace=trace)
    np.testing.assert_allclose(trace["attention"].sum(-1), 1, rtol=1e-12)
    assert trace["attention"].shape == (3, S, 3, 3)
