"""Leader-Follower: causal, the leader beside what it attends to."""

import numpy as np
import pytest

from refmer import params
from refmer.baselines.leader_follower import Config, describe, describe_leader_follower, forward, leader_follower
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


B, T, D = 2, 3, 4
rng = np.random.default_rng(1)
WIDTHS = {"frames": 5, "voice": 6, "mfcc": 2}
STREAMS = {name: rng.normal(size=(B, T, n)) for name, n in WIDTHS.items()}
P = moved(describe_leader_follower(WIDTHS, D))


def test_the_fusion_is_the_equation_written_out():
    trace = {}
    y, _ = leader_follower(P, STREAMS, trace)
    q, k, v = (
        np.stack([x @ getattr(r, n).W + getattr(r, n).b for n, x in STREAMS.items()], 2) for r in (P.query, P.key, P.value)
    )
    e = np.exp(k @ q.swapaxes(-1, -2) / np.sqrt(D))
    a = e / e.sum(-1, keepdims=True)
    np.testing.assert_allclose(trace["attention"], a, rtol=1e-11)
    s = (a @ v + v).reshape(B, T, 3 * D)
    z = (s - s.mean(-1, keepdims=True)) / np.sqrt(s.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y, P.norm.gamma * z + P.norm.beta, rtol=1e-10)


def test_a_frame_depends_on_no_other_frame():
    y, _ = leader_follower(P, STREAMS)
    alone, _ = leader_follower(P, {name: x[1:, 2:] for name, x in STREAMS.items()})
    np.testing.assert_allclose(alone, y[1:, 2:], rtol=1e-11)


def test_size_of_the_fusion():
    described = describe_leader_follower({"frames": 128, "voice": 32, "mfcc": 32})
    assert params.count(described) == 3 * (128 * 32 + 2 * 32 * 32 + 3 * 32) + 2 * 96


def test_streams_of_different_lengths_are_named():
    with pytest.raises(ValueError, match=r"streams have \(clips, steps\) \[\(2, 3\), \(2, 3\), \(2, 2\)\]"):
        leader_follower(P, STREAMS | {"mfcc": STREAMS["mfcc"][:, 1:]})
