"""Quantization-aware fine-tuning: the forward uses rounded weights, training updates float ones."""

import copy
import pickle

import numpy as np
import pytest

import refmer
from refmer import params
from refmer.int8 import arithmetic, finetune
from refmer.int8 import model as module
from refmer.systems import find
from refmer.train import fit
from refmer.train.fit import evaluate


@pytest.fixture(scope="module")
def model(fitted):
    """A recognizer that was trained for one epoch, so that more training lowers its development loss."""
    return fitted("openface_adaptive")


@pytest.fixture(scope="module")
def start(model):
    p = module.float_tree(model)
    return p, module.maps_of(model, p)


def test_the_forward_uses_weights_rounded_to_8_bits(start):
    p, maps = start
    fake = finetune.fake_quantized(p, maps, True, "max")
    for path in maps:
        matrix = refmer.int8.QuantizedMatrix.of(params.get(p, path))
        np.testing.assert_array_equal(params.get(fake, path), matrix.dequantize())
    np.testing.assert_array_equal(fake.head.maps[0].b, p.head.maps[0].b)
    assert (fake.vector != p.vector).any() and fake.state is p.state


def test_the_gradient_goes_straight_through_to_the_float_weights(model, clips, start, monkeypatch):
    p, maps = start
    largest = []
    system = find(model.system)

    def step(training, batch, lr):
        config, p, g = training.config, training.p, training.g
        out, backward = training.system.forward(p, batch, config)
        backward(system.loss(out, batch, config)[2], g)
        fake, expected = finetune.fake_quantized(p, maps, True, "max"), params.zeros_like(p)
        out, backward = system.forward(fake, batch, config)
        backward(system.loss(out, batch, config)[2], expected)
        np.testing.assert_array_equal(g.vector, expected.vector)
        g.vector[:] = 0
        largest.append(np.abs(expected.vector).max())
        return 0.0

    monkeypatch.setattr(fit.Training, "step", step)
    finetune.fine_tune(model, p, maps, clips, 1)
    assert len(largest) > 1 and min(largest) > 0


@pytest.mark.parametrize("system", ["openface_adaptive", "leader_follower"])
def test_it_never_ends_worse_than_it_starts(clips, system):
    model = refmer.Recognizer(system, label="emotion", seed=1, epochs=2).fit(clips, progress=False)
    p = module.float_tree(model)
    maps = module.maps_of(model, p)
    tuned = finetune.fine_tune(model, p, maps, clips, 3)
    _, dev = clips.split(by="speaker", test_size=0.15, seed=model.seed)
    batch = model.labelled_batch(dev, clips)
    rounded = (finetune.fake_quantized(q, maps, True, "max") for q in (p, tuned))
    before, after = (evaluate(find(system), model.config_, q, batch) for q in rounded)
    assert after <= before  # the start is a candidate
    assert (after < before) == (tuned.vector != p.vector).any()
    np.testing.assert_array_equal(p.vector, module.float_tree(model).vector)  # the model is unchanged


def test_quantize_fine_tunes_with_one_argument(model, clips):
    small = refmer.quantize(model, clips, finetune=1, activations="row")
    plain = refmer.quantize(model)
    assert small.quantized_["finetune"] == 1 and (small.p_.head.maps[0].W.q != plain.p_.head.maps[0].W.q).any()
    again = refmer.quantize(model, clips, finetune=1, activations="row")
    assert again.predict_proba(clips).tobytes() == small.predict_proba(clips).tobytes()  # the same seed


@pytest.mark.slow
def test_a_pickled_recognizer_is_fine_tuned_and_answers_as_before(model, clips, start):
    p, maps = start
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        small, again = (refmer.quantize(m, clips, finetune=1, activations="row") for m in (model, twin))
        assert again.predict_proba(clips).tobytes() == small.predict_proba(clips).tobytes()
        assert pickle.loads(pickle.dumps(small)).predict_proba(clips).tobytes() == small.predict_proba(clips).tobytes()
    tuned, again = (finetune.fine_tune(model, q, maps, clips, 1) for q in (p, copy.deepcopy(p)))
    np.testing.assert_array_equal(again.vector, tuned.vector)
    assert (again.vector != p.vector).any()


def test_rounding_once_more_changes_nothing(start):
    p, maps = start
    W = params.get(finetune.fake_quantized(p, maps, True, "max"), maps[0])
    scale = arithmetic.symmetric_scale(W)
    np.testing.assert_allclose(arithmetic.symmetric(W, scale) * scale, W, rtol=1e-6)
