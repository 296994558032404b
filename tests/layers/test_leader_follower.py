"""The laws of the leader-follower fusion."""

import numpy as np
import pytest

from refmer import params
from refmer.layers.leader_follower import describe_leader_follower, leader_follower
from refmer.proofs import moved

B, T, D = 2, 3, 4
rng = np.random.default_rng(1)
WIDTHS = {"frames": 5, "voice": 6, "mfcc": 2}
STREAMS = {name: rng.normal(size=(B, T, n)) for name, n in WIDTHS.items()}
P = moved(describe_leader_follower(WIDTHS, D))


def test_it_is_the_equation_written_out():
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


def test_sizes():
    described = describe_leader_follower({"frames": 128, "voice": 32, "mfcc": 32})
    assert params.count(described) == 3 * (128 * 32 + 2 * 32 * 32 + 3 * 32) + 2 * 96


def test_streams_of_different_lengths_are_named():
    with pytest.raises(ValueError, match=r"streams have \(clips, steps\) \[\(2, 3\), \(2, 3\), \(2, 2\)\]"):
        leader_follower(P, STREAMS | {"mfcc": STREAMS["mfcc"][:, 1:]})
