"""Three systems in PyTorch: with refmer's parameters their answers, losses and gradients are refmer's."""

from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from spies import dropped

import refmer
from refmer import params
from refmer.data import targets
from refmer.data.scaling import scaling
from refmer.recognizer import Recognizer
from refmer.systems import find
from refmer.train.fit import MOMENTUM, take

torch = pytest.importorskip("torch")

# the fields that make chance
QUIET = {
    "openface_adaptive": {"dropout": 0.0, "head_dropout": 0.0},
    "of_cmaer_cat": {"dropout": 0.0, "head_dropout": 0.0},
    "raver": {"dropout": 0.0, "embed_dropout": 0.0},
}
LOUD = {  # rates that tell the places apart
    "openface_adaptive": {"dropout": 0.1, "head_dropout": 0.3},
    "of_cmaer_cat": {"dropout": 0.1, "head_dropout": 0.3},
    "raver": {"dropout": 0.1, "embed_dropout": 0.3},
}
OTHER = {  # sizes and factors that are not those of the tiny configuration
    "openface_adaptive": {"heads": 2, "layers": 1, "hidden": 20, "gamma": 1.5},
    "of_cmaer_cat": {"heads": 4, "layers": 1, "hidden": 12, "ffn": 20, "entropy": 0.5, "contrastive": 0.7, "temperature": 0.3},
    "raver": {"width": 24, "heads": 2, "layers": 2, "n_context": 5, "hidden": 50, "encoder_hidden": 30, "head_hidden": (9,)},
}


@pytest.fixture(scope="module", params=QUIET)
def system(request):
    """A system, its config for the bundled corpus and 9 clips of it, in random order."""
    recognizer, module = Recognizer(request.param), find(request.param)
    config, clips = recognizer.config_of(module), refmer.load_samples()
    recognizer.class_names_ = targets.class_names(clips, config.target)
    recognizer.classes_ = np.arange(len(recognizer.class_names_))
    streams = recognizer.streams_of(clips, config)
    recognizer.scaling_ = {name: scaling(x) for name, x in streams.items()}
    config = replace(config, **module.widths(streams, config), classes=len(recognizer.classes_))
    recognizer.config_ = config
    batch = recognizer.labelled_batch(clips, clips)
    batch = take(batch, np.random.default_rng(0).permutation(len(batch["target"]))[:9])
    double = {k: x.astype(np.float64) if x.dtype.kind == "f" else x for k, x in batch.items()}
    return SimpleNamespace(
        name=request.param,
        refmer=module,
        torch=import_module(f"torch_models.{request.param}"),
        config=config,
        batch=double,
    )


def both(system, config, batch, training, dtype=np.float64):
    """out, loss, gradients (and what batch norm's state becomes) of refmer and of PyTorch."""
    p = params.init(system.refmer.describe(config), 3, np.float64)
    p.vector += np.random.default_rng(1).normal(0, 0.05, p.vector.shape)  # no bias is 0, no gain 1
    p = params.like(p, p.vector.astype(dtype), p.state.astype(dtype))
    batch = {k: x.astype(dtype) if x.dtype.kind == "f" else x for k, x in batch.items()}
    rng = np.random.default_rng(0) if training else None
    out, backward = system.refmer.forward(p, batch, config, rng)
    value, _, dout = system.refmer.loss(out, batch, config)
    g = params.zeros_like(p)
    backward(dout, g)
    model = system.torch.Model(config).to(getattr(torch, np.dtype(dtype).name)).train(training)
    system.torch.load(model, params.named(p))
    tensors = {k: torch.as_tensor(x) for k, x in batch.items()}
    out2 = model(tensors)
    value2 = system.torch.loss(out2, tensors, config)
    value2.backward()
    ours, theirs = params.named(g), {}
    for path, (x, view) in system.torch.pairs(model).items():
        theirs[path] = view(x if x.grad is None else x.grad).numpy(force=True).reshape(ours[path].shape)
    for path, leaf in params.walk(p.description):
        if leaf.state:
            ours[path] = params.get(p, path) + MOMENTUM * ours[path]
    return (out, value, ours), ({k: y.numpy(force=True) for k, y in out2.items()}, value2.item(), theirs)


def agree(system, config, batch, training, dtype=np.float64):
    tolerance = {np.float64: 1e-10, np.float32: 1e-4}[dtype]
    (out, value, g), (out2, value2, g2) = both(system, config, batch, training, dtype)
    assert set(out2) == set(out) and set(g2) == set(g)
    assert abs(value2 - value) <= tolerance * abs(value)
    largest = max(np.abs(x).max() for x in g.values())
    for name in out:
        assert np.abs(out2[name] - out[name]).max() <= tolerance * np.abs(out[name]).max(), name
    for path in g:  # some gradients are 0 by law (the bias of keys): what is left of them is rounding
        assert np.abs(g2[path] - g[path]).max() <= tolerance * max(np.abs(g[path]).max(), 1e-3 * largest), path


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("training", [False, True])
def test_answers_loss_and_gradients(system, training, dtype):
    agree(system, replace(system.config, **QUIET[system.name]), system.batch, training, dtype)


def test_of_other_sizes(system):
    agree(system, replace(system.config, **QUIET[system.name] | OTHER[system.name]), system.batch, training=True)


def test_without_a_modality_and_without_any(system):
    batch = {k: x.copy() for k, x in system.batch.items()}
    names = [k for k in batch if k.endswith("_mask")]
    for i, name in enumerate(names):
        for clip in (i, -1):  # the last clip has nothing at all
            batch[name][clip] = False
            batch[name.removesuffix("_mask")][clip] = 0
    agree(system, replace(system.config, **QUIET[system.name]), batch, training=False)


def test_steps_without_a_frame_inside_a_clip(system):
    masks = {k: x & (np.random.default_rng(2).random(x.shape) < 0.6) for k, x in system.batch.items() if k.endswith("_mask")}
    agree(system, replace(system.config, **QUIET[system.name]), system.batch | masks, training=False)


def test_dropout_is_at_the_same_places(system, monkeypatch):
    """As many numbers are dropped with the same rate, in each of the calls."""
    ours, theirs = dropped(monkeypatch), []
    F = torch.nn.functional
    attend = F.scaled_dot_product_attention

    def record(x, p, training, inplace):
        theirs.append((x.numel(), p * training))
        return x

    def record_attention(q, k, v, mask=None, dropout_p=0.0):
        theirs.append((q[..., 0].numel() * k.shape[-2], dropout_p))
        return attend(q, k, v, mask)

    monkeypatch.setattr(F, "dropout", record)
    monkeypatch.setattr(F, "scaled_dot_product_attention", record_attention)
    for training in (True, False):
        ours.clear(), theirs.clear()
        both(system, replace(system.config, **LOUD[system.name]), system.batch, training)
        if not training:
            assert not any(rate for _, rate in theirs)
        else:
            kept = [sorted(call for call in calls if call[1]) for calls in (ours, theirs)]
            assert kept[0] and kept[0] == kept[1]


def test_augmented_batches(system):
    torch.manual_seed(0)
    before = {k: torch.as_tensor(x) for k, x in system.batch.items()}
    kept = {k: x.clone() for k, x in before.items()}
    after = system.torch.augment(before, system.config)
    assert all(torch.equal(before[k], kept[k]) for k in kept)  # nobody writes into the batch
    assert {k: (x.shape, x.dtype) for k, x in after.items()} == {k: (x.shape, x.dtype) for k, x in kept.items()}
    if system.name == "of_cmaer_cat":
        assert after is before
    elif system.name == "openface_adaptive":
        torch.testing.assert_close(after["target"].sum(1), torch.ones(9, dtype=torch.float64))
        torch.testing.assert_close(after["visual"].mean(0), before["visual"].mean(0))  # every clip is another's partner once
        assert not torch.equal(after["visual"], before["visual"])
    else:
        lost = torch.stack([~after[f"{m}_mask"].any(1) for m in ("audio", "visual")])
        assert not lost.all(0).any()
        assert all(abs(n - 0.2 * 9) < 1 for n in lost.sum(1).tolist())
        for m, gone in zip(("audio", "visual"), lost, strict=True):
            assert not after[m][gone].any() and torch.equal(after[m][~gone], before[m][~gone])


VARIANTS = {
    "openface_adaptive": {
        "modalities": ("visual", "audio"),
        "gate": False,
        "gate_text": True,
        "transformer": False,
        "modality_embedding": True,
        "hide_missing": True,
        "literal_focal": False,
        "balanced": False,
    },
    "of_cmaer_cat": {
        "modalities": ("visual", "audio", "text"),
        "face": "mean",
        "cmaa": False,
        "awom": False,
        "transformer": False,
        "mask_attention": False,
        "reconstruction": 0.0,
        "literal_entropy": True,
        "balanced": True,
    },
    "raver": {
        "positions": False,
        "summarizer": "mean",
        "mask_context": False,
        "head": "out",
        "output": "sigmoid",
        "balance": "none",
        "beta": 0.5,
        "normalise": False,
        "modality_dropout": "batch",
    },
}


def test_variants_are_refused(system):
    for name, value in VARIANTS[system.name].items():
        with pytest.raises(ValueError, match=f"{name} is"):
            system.torch.Model(replace(system.config, **{name: value}))


def test_parameters_that_do_not_fit_are_refused(system):
    named = params.named(params.init(system.refmer.describe(system.config), 0))
    model = system.torch.Model(system.config)
    first = next(iter(named))
    with pytest.raises(ValueError, match="one side only"):
        system.torch.load(model, {k: x for k, x in named.items() if k != first})
    with pytest.raises(ValueError, match=f"{first} has shape"):
        system.torch.load(model, named | {first: np.zeros(1)})
