"""JCA: the size of the authors' repository, and its quirk."""

from dataclasses import replace

import numpy as np

from refmer import params
from refmer.baselines.jca import Config, describe, forward
from refmer.proofs import moved
from refmer.proofs.paper003 import JCA, RAW, STREAMS, batch_of

BATCH = batch_of(audio=(7,), visual=(5,))


def test_the_size_of_the_repository():
    assert params.count(describe(Config.paper(regress="repository"))) == 314_626
    assert params.count(describe(Config.paper())) == 314_626 - 2 * 128 * (512 + 128 - 256)


def test_in_the_repository_the_attended_sound_goes_nowhere():
    """Its parameters have no gradient; with [attended audio; attended visual] they have one."""
    for regress, none in (("attended", False), ("repository", True)):
        config = replace(JCA, regress=regress)
        p = moved(describe(config))
        out, backward = forward(p, BATCH, config)
        g = params.zeros_like(p)
        backward({"affect": np.ones_like(out["affect"])}, g)
        assert (np.abs(g.attend.audio.expand.W).max() == 0) == none


def test_what_is_not_valid_is_not_computed_in_training_and_the_answer_is_the_same():
    """Raw features of the face stand beside the attended ones: they are 0 where not valid, in training and evaluation."""
    config, batch = replace(JCA, regress="repository", dropout_head=0.0, **RAW), batch_of(**STREAMS)
    p = moved(describe(config))
    first, second = (forward(p, batch, config, rng)[0]["affect"] for rng in (None, np.random.default_rng(0)))
    np.testing.assert_allclose(first, second, rtol=1e-12)
