"""AuxFormer and TLAB-JCA in PyTorch compute what refmer's do: outputs, loss, and the gradient of every parameter."""

from dataclasses import replace

import numpy as np
import pytest
from spies import dropped

import refmer
from refmer import params
from refmer.data import targets
from refmer.data.scaling import scaling
from refmer.recognizer import Recognizer
from refmer.systems import find
from refmer.train.fit import take

torch = pytest.importorskip("torch")

from torch_models import auxformer, tlab_jca  # noqa: E402

MODELS = {"auxformer": (auxformer, "clips"), "tlab_jca": (tlab_jca, "recordings")}
SWITCHES = {  # that the models do not build
    "auxformer": {"token": "mean", "causal": "off", "mix": "off", "within": "lstm", "scale": "keys"},
    "tlab_jca": {"target": "emotion", "pooled": True, "band": 1, "tcn": False, "residual": "tlab", "bands_as_channels": False},
}


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    """The tiny system in float64, four training clips of unequal length, and the model with the same parameters."""
    module, samples = MODELS[request.param]
    recognizer, clips = Recognizer(request.param), refmer.load_samples(samples)
    system = recognizer._system()
    config = recognizer.config_of(system)
    recognizer.class_names_ = targets.class_names(clips, config.target)
    recognizer.classes_ = np.arange(len(recognizer.class_names_))
    streams = recognizer.streams_of(clips, config)
    recognizer.scaling_ = {name: scaling(s) for name, s in streams.items()}
    config = replace(config, **system.widths(streams, config), classes=len(recognizer.class_names_))
    recognizer.config_ = config
    batch = take(recognizer.labelled_batch(clips, clips), slice(4))
    batch = {name: x.astype("f8") if x.dtype.kind == "f" else x for name, x in batch.items()}
    p = params.init(system.describe(config), 3, np.float64)
    p.vector += 0.05 * np.random.default_rng(0).normal(size=p.vector.size)  # biases that start at 0 count too
    model = module.Model(config).double()
    module.load(model, params.named(p))
    return system, config, batch, p, module, model


def missing(batch):
    """A stream is gone from one clip, another ends earlier than the other stream, a third is short."""
    batch = {name: x.copy() for name, x in batch.items()}
    first, second = (name for name in batch if name.endswith("_mask") and name != "target_mask")
    for name, clip, start in ((second, 0, 0), (first, 1, 0), (second, 2, 3), (first, 3, 5), (second, 3, 5)):
        batch[name][clip, start:] = False
        batch[name.removesuffix("_mask")][clip, start:] = 0
    return batch


def close(ours, theirs):
    return np.abs(ours - theirs.detach().numpy()).max() <= 1e-10 * np.abs(ours).max()


@pytest.mark.parametrize("change", [lambda batch: batch, missing], ids=["whole", "missing"])
def test_outputs_loss_and_gradients_agree(case, change):
    system, config, batch, p, module, model = case
    batch = change(batch)
    out, backward = system.forward(p, batch, config)
    value, _, dout = system.loss(out, batch, config)
    g = params.zeros_like(p)
    backward(dout, g)
    model.eval().zero_grad()
    tensors = {name: torch.from_numpy(x) for name, x in batch.items()}
    answer = model(tensors)
    assert set(answer) == set(out)
    assert all(close(out[name], answer[name]) for name in out)
    loss = module.loss(answer, tensors, config)
    assert close(np.asarray(value), loss)
    loss.backward()
    pairs, gradients = module.pairs(model), params.named(g)
    assert set(pairs) == set(gradients)
    assert {id(parameter) for parameter, _ in pairs.values()} == {id(parameter) for parameter in model.parameters()}
    assert sum(parameter.numel() for parameter in model.parameters()) == p.vector.size
    largest = np.abs(g.vector).max()
    for path, (parameter, view) in pairs.items():
        theirs = view(parameter.grad).reshape(gradients[path].shape).numpy()
        scale = max(np.abs(gradients[path]).max(), 1e-6 * largest)  # a gradient that vanishes by a symmetry is rounding alone
        assert np.abs(gradients[path] - theirs).max() <= 1e-10 * scale, path


def test_dropout_is_at_the_same_places(case, monkeypatch):
    system, config, batch, p, module, model = case
    ours, noted, attention = dropped(monkeypatch), [], torch.nn.functional.scaled_dot_product_attention
    system.forward(p, system.augment(batch, config, np.random.default_rng(0)), config, np.random.default_rng(0))

    def attend(q, k, v, mask=None, rate=0.0):
        noted.append((q[..., 0].numel() * k.shape[-2], rate))
        return attention(q, k, v, mask, rate)

    def note(layer, inputs):
        noted.append((inputs[0].numel(), layer.p))

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attend)
    handles = [m.register_forward_pre_hook(note) for m in model.modules() if isinstance(m, torch.nn.Dropout)]
    augmented = system.augment(batch, config, np.random.default_rng(0))
    model.train()({name: torch.from_numpy(x) for name, x in augmented.items()})
    for handle in handles:
        handle.remove()
    assert sorted(pair for pair in noted if pair[1]) == sorted(ours) != []


@pytest.mark.parametrize("name", MODELS)
def test_a_switch_that_is_not_built_is_refused(name):
    tiny = find(name).Config.tiny()
    for switch, value in SWITCHES[name].items():
        with pytest.raises(ValueError, match=f"{switch} is .*; accepted in PyTorch"):
            MODELS[name][0].Model(replace(tiny, **{switch: value}))


def test_parameters_of_another_model_are_refused(case):
    *_, p, module, model = case
    with pytest.raises(ValueError, match="parameters do not fit"):
        module.load(model, params.named(p) | {"more": p.vector})
