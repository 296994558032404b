"""Laws that every system and baseline keeps, in its tiny size, on clips."""

from dataclasses import replace

import numpy as np
import pytest

import refmer
from refmer import params
from refmer.data.scaling import LARGEST
from refmer.ops.optimizers import adamw
from refmer.systems import BASELINES, SYSTEMS, find

NAMES = [*SYSTEMS, *BASELINES]


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_no_answer(fitted, clips, name):
    model, part = fitted(name), clips[:5]
    longer = {
        k: replace(s, x=np.concatenate([s.x, np.zeros_like(s.x)], 1), mask=np.concatenate([s.mask, 0 * s.mask], 1) > 0)
        for k, s in part.streams.items()
    }
    answer = model.predict_proba(part.with_streams(**longer))
    np.testing.assert_allclose(answer, model.predict_proba(part), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_alone_gets_the_same_answer_as_in_a_batch(fitted, clips, name):
    model = fitted(name)
    np.testing.assert_allclose(model.predict_proba(clips[3]), model.predict_proba(clips[:7])[3:4], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sense", ["face", "voice"])
@pytest.mark.parametrize("space", ["standard", "raw"])
@pytest.mark.parametrize("name", NAMES)
def test_a_missing_modality_is_accepted_as_a_mask_and_as_zeros(fitted, clips, name, space, sense):
    broken = refmer.corrupt(clips[:7], sense, "missing", 1.0, space=space)
    answer = fitted(name).predict_proba(broken)
    assert np.isfinite(answer).all()
    np.testing.assert_allclose(answer.sum(1), 1, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_explain_gives_a_row_for_each_clip(fitted, clips, name):
    traces = fitted(name).explain(clips[:7])
    assert all(len(x) == 7 and np.isfinite(x).all() for x in traces.values())
    assert traces or name in ("concatenation", "tfn", "lmf", "lf_rnn", "late_fusion")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_overfits_eight_clips(fitted, clips, name):
    model = fitted(name)
    system, config, eight = find(name), model.config_, clips[[0, 3, 9, 14, 20, 26, 31, 40]]
    batch = model.labelled_batch(eight, clips)
    p = params.init(system.describe(config), 1)
    m, v = np.zeros_like(p.vector), np.zeros_like(p.vector)
    for step in range(1, 401):
        out, backward = system.forward(p, batch, config)
        value, terms, dout = system.loss(out, batch, config)
        if next(iter(terms.values())) < 0.02:
            break
        g = params.zeros_like(p)
        backward(dout, g)
        adamw(p.vector, g.vector, m, v, step, 3e-3, decay=0.0)
    assert next(iter(terms.values())) < 0.02, f"loss {terms} after {step} steps"
    np.testing.assert_array_equal(out["logits"].argmax(1), eight.emotion)


@pytest.mark.parametrize("name", NAMES)
def test_every_variant_is_counted_without_making_it(name):
    system = find(name)
    for label, (changes, published) in system.VARIANTS.items():
        assert label.partition("@")[0] == name
        assert params.count(system.describe(system.Config.paper(**changes))) > 0
        assert published is None or isinstance(published, int)


@pytest.mark.parametrize("name", NAMES)
def test_the_largest_features_that_are_accepted_give_finite_answers(fitted, clips, name):
    model, streams = fitted(name), {}
    for key, (mean, sd) in model.scaling_.items():
        s = clips[:2].streams[key]
        x = ((s.x - mean) / sd) * s.mask.reshape(s.mask.shape + (1,) * (s.x.ndim - 2))
        streams[key] = replace(s, x=(x * (0.99 * LARGEST / np.abs(x).max()) * sd + mean).astype(np.float32))
    broken = clips[:2].with_streams(**streams)
    answers = model.outputs(broken) | model.explain(broken)
    assert all(np.isfinite(answer).all() for answer in answers.values())
