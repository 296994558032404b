"""JCA: the size of the authors' repository, and its quirk. Leader-Follower: causal, the leader beside what it attends to."""

from dataclasses import replace

import numpy as np
import pytest

from refmer import params
from refmer.baselines import jca, leader_follower
from refmer.baselines.leader_follower import describe_leader_follower
from refmer.proofs import moved
from refmer.proofs.paper003 import FOLLOWERS, JCA, LEADER, RAW, STREAMS, S, batch_of

SOUND_AND_FACE = batch_of(audio=(7,), visual=(5,))
BATCH = batch_of(visual=(7,), audio=(5,), mfcc=(3,))


def test_the_size_of_the_repository():
    assert params.count(jca.describe(jca.Config.paper(regress="repository"))) == 314_626
    assert params.count(jca.describe(jca.Config.paper())) == 314_626 - 2 * 128 * (512 + 128 - 256)


def test_in_the_repository_the_attended_sound_goes_nowhere():
    """Its parameters have no gradient; with [attended audio; attended visual] they have one."""
    for regress, none in (("attended", False), ("repository", True)):
        config = replace(JCA, regress=regress)
        p = moved(jca.describe(config))
        out, backward = jca.forward(p, SOUND_AND_FACE, config)
        g = params.zeros_like(p)
        backward({"logits": np.ones_like(out["logits"])}, g)
        assert (np.abs(g.attend.audio.expand.W).max() == 0) == none


def test_what_is_not_valid_is_not_computed_in_training_and_the_answer_is_the_same():
    """Raw features of the face stand beside the attended ones: they are 0 where not valid, in training and evaluation."""
    config, batch = replace(JCA, regress="repository", dropout_head=0.0, **RAW), batch_of(**STREAMS)
    p = moved(jca.describe(config))
    first, second = (jca.forward(p, batch, config, rng)[0]["logits"] for rng in (None, np.random.default_rng(0)))
    np.testing.assert_allclose(first, second, rtol=1e-12)


def test_the_regressor_reads_the_leader_and_three_tokens():
    tree = leader_follower.describe(leader_follower.Config.paper())
    assert tree["head"]["W"].shape == (128 + 3 * 32, 2)  # 224, as in the authors' code
    assert params.count(tree["tcns"]["mfcc"]) < params.count(tree["tcns"]["visual"])


def test_a_step_depends_on_nothing_later():
    p, other = moved(leader_follower.describe(LEADER)), {k: v.copy() for k, v in BATCH.items()}
    other["audio"][0, S - 1] += 1
    first, second = (leader_follower.forward(p, b, LEADER)[0]["logits"][0] for b in (BATCH, other))
    np.testing.assert_array_equal(first[: S - 1], second[: S - 1])
    assert np.abs(first[S - 1] - second[S - 1]).max() > 1e-6


def test_every_stream_is_a_token_of_each_step():
    trace = {}
    leader_follower.forward(moved(leader_follower.describe(LEADER)), BATCH, LEADER, trace=trace)
    np.testing.assert_allclose(trace["attention"].sum(-1), 1, rtol=1e-12)
    assert trace["attention"].shape == (3, S, 3, 3)


B, T, D = 2, 3, 4
rng = np.random.default_rng(1)
TOKENS = {name: rng.normal(size=(B, T, n)) for name, n in FOLLOWERS.items()}
P = moved(describe_leader_follower(FOLLOWERS, D))


def test_the_fusion_is_the_equation_written_out():
    trace = {}
    y, _ = leader_follower.leader_follower(P, TOKENS, trace)
    q, k, v = (
        np.stack([x @ getattr(r, n).W + getattr(r, n).b for n, x in TOKENS.items()], 2) for r in (P.query, P.key, P.value)
    )
    e = np.exp(k @ q.swapaxes(-1, -2) / np.sqrt(D))
    a = e / e.sum(-1, keepdims=True)
    np.testing.assert_allclose(trace["attention"], a, rtol=1e-11)
    s = (a @ v + v).reshape(B, T, 3 * D)
    z = (s - s.mean(-1, keepdims=True)) / np.sqrt(s.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y, P.norm.gamma * z + P.norm.beta, rtol=1e-10)


def test_a_frame_depends_on_no_other_frame():
    y, _ = leader_follower.leader_follower(P, TOKENS)
    alone, _ = leader_follower.leader_follower(P, {name: x[1:, 2:] for name, x in TOKENS.items()})
    np.testing.assert_allclose(alone, y[1:, 2:], rtol=1e-11)


def test_size_of_the_fusion():
    described = describe_leader_follower({"frames": 128, "voice": 32, "mfcc": 32})
    assert params.count(described) == 3 * (128 * 32 + 2 * 32 * 32 + 3 * 32) + 2 * 96


def test_streams_of_different_lengths_are_named():
    with pytest.raises(ValueError, match=r"streams have \(clips, steps\) \[\(2, 3\), \(2, 3\), \(2, 2\)\]"):
        leader_follower.leader_follower(P, TOKENS | {"mfcc": TOKENS["mfcc"][:, 1:]})


def test_wrong_switches_are_named():
    with pytest.raises(ValueError, match="regress is 'all'; accepted: 'attended', 'repository'"):
        jca.Config(regress="all")
    with pytest.raises(ValueError, match="task is 'age'; accepted: 'classes', "):
        leader_follower.Config(task="age")
