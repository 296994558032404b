"""Baseline 3 of paper 002: its size is not the published one; its two scalars weigh attention and encoder."""

from dataclasses import replace

import numpy as np
import pytest

from refmer import params
from refmer.baselines.parthasarathy import VARIANTS, Config, describe, forward
from refmer.proofs import moved
from refmer.proofs.paper002 import SMALL, frames

SMALL = Config(**SMALL)


def test_the_published_size_is_unresolved():
    assert params.count(describe(Config.paper())) == 2_731_568 != VARIANTS["parthasarathy"][1] == 2_211_628


def logits(p, batch):
    return forward(p, batch, SMALL)[0]["logits"]


def test_without_attention_voice_and_face_add_and_without_both_scalars_the_bias_is_left():
    p, batch = moved(describe(SMALL)), frames(SMALL)
    other = {m: batch | {m: batch[m] + 1} for m in ("audio", "visual")}
    both = other["audio"] | {"visual": other["visual"]["visual"]}

    def interaction():
        return logits(p, both) - logits(p, other["audio"]) - logits(p, other["visual"]) + logits(p, batch)

    assert np.abs(interaction()).max() > 1e-3
    for part in (p.audio.cross, p.visual.cross):
        part.a[:] = 0
    np.testing.assert_allclose(interaction(), 0, atol=1e-12)
    for part in (p.audio.cross, p.visual.cross):
        part.b[:] = 0
    np.testing.assert_allclose(logits(p, batch), np.broadcast_to(p.out.b, (5, 4)), rtol=1e-12)


def test_it_starts_as_a_plain_residual():
    p = params.init(describe(SMALL), 0)
    assert p.audio.cross.a == p.audio.cross.b == p.visual.cross.a == p.visual.cross.b == 1


def test_a_wrong_switch_is_named():
    with pytest.raises(ValueError, match="training is 'none'; accepted: 'sample', 'batch', 'standard'"):
        replace(SMALL, training="none")
