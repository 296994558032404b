"""The PyTorch models compute what refmer's systems do: outputs, loss, and the gradient of every parameter."""

from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")

import corpus  # noqa: E402
import refmer  # noqa: E402
from refmer import params  # noqa: E402
from refmer.recognizer import Recognizer  # noqa: E402
from refmer.systems import SYSTEMS, find  # noqa: E402
from refmer.train.fit import MOMENTUM, take  # noqa: E402
from spies import dropped  # noqa: E402

RATES = {  # of dropout, which tell the places apart
    "openface_adaptive": {"dropout": 0.1, "head_dropout": 0.3},
    "of_cmaer_cat": {"dropout": 0.1, "head_dropout": 0.3},
    "auxformer": {
        "drop_cross": 0.1,
        "drop_self": 0.2,
        "drop_relu": 0.3,
        "drop_residual": 0.4,
        "drop_embed": 0.5,
        "drop_out": 0.6,
    },
    "unimodal": {"drop_self": 0.2, "drop_relu": 0.3, "drop_residual": 0.4, "drop_embed": 0.5, "drop_out": 0.6},
    "tlab_jca": {"dropout_tcn": 0.1, "dropout_lstm": 0.2, "dropout_attention": 0.3, "dropout_fusion": 0.4, "dropout_head": 0.5},
    "raver": {"dropout": 0.1, "embed_dropout": 0.3},
}
SIZES = {  # sizes and factors other than those of the tiny configuration
    "openface_adaptive": {"heads": 2, "layers": 1, "hidden": 20, "gamma": 1.5},
    "of_cmaer_cat": {"heads": 4, "layers": 1, "hidden": 12, "ffn": 20, "entropy": 0.5, "contrastive": 0.7, "temperature": 0.3},
    "raver": {"width": 24, "heads": 2, "layers": 2, "n_context": 5, "hidden": 50, "encoder_hidden": 30, "head_hidden": (9,)},
}
REFUSED = {  # switches that the models do not build
    "openface_adaptive": {
        "modalities": ("visual", "audio"),
        "gate": False,
        "gate_text": True,
        "transformer": False,
        "modality_embedding": True,
        "hide_missing": True,
        "literal_focal": False,
    },
    "of_cmaer_cat": {
        "task": "regression",
        "face": "mean",
        "cmaa": False,
        "awom": False,
        "transformer": False,
        "mask_attention": False,
        "reconstruction": 0.0,
        "literal_entropy": True,
        "balanced": True,
    },
    "auxformer": {
        "task": "regression",
        "token": "last_valid",
        "causal": "off",
        "mix": "off",
        "within": "lstm",
        "scale": "keys",
    },
    "unimodal": {"task": "regression", "token": "last_valid", "causal": "off", "mix": "off", "positions_within": False},
    "tlab_jca": {"over_time": False, "pooled": True, "band": 1, "tcn": False, "residual": "tlab", "bands_as_channels": False}
    | {"face_encoder": "r2plus1d"},
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


@pytest.fixture(scope="module", params=[*SYSTEMS, "unimodal", "of_cmaer_cat:vectors", "tlab_jca:vectors"])
def system(request):
    """A system, its model, its config without dropout, and 9 clips in float64, in random order.

    Clips of the bundled corpus; of "vectors", synthetic ones without images.
    """
    name, _, vectors = request.param.partition(":")
    if vectors:
        clips = corpus.corpus(60, 9)
        recognizer = Recognizer(name, streams=corpus.streams(name), label="emotion")
    else:
        clips = refmer.load_samples("recordings" if name == "tlab_jca" else "clips")
        recognizer = Recognizer(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("refmer.recognizer.fit", lambda *args: (None, []))
        recognizer.fit(clips, dev=clips, progress=False)
    batch = recognizer.labelled_batch(clips, clips)
    batch = take(batch, np.random.default_rng(0).permutation(len(batch["target"]))[:9])
    return SimpleNamespace(
        name=name,
        refmer=find(name),
        torch=import_module(f"torch_models.{name}"),
        config=replace(recognizer.config_, **dict.fromkeys(RATES[name], 0.0)),
        batch={k: x.astype(np.float64) if x.dtype.kind == "f" else x for k, x in batch.items()},
    )


PADDED = ("auxformer", "unimodal", "tlab_jca")  # the model has padding at the end only


def masks(batch):
    return [name for name in batch if name.endswith("_mask") and name != "target_mask"]


def both(system, config, batch, training, dtype=np.float64):
    """Return out, loss, gradients (and the updated state of batch norm) of refmer, and of PyTorch."""
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
    ours, theirs, pairs = params.named(g), {}, system.torch.pairs(model)
    tensors = {id(x): x for x, _ in pairs.values()}
    assert all(id(x) in tensors for x in model.parameters())
    assert sum(x.numel() for x in tensors.values()) == p.vector.size + p.state.size
    for path, (x, view) in pairs.items():
        theirs[path] = view(x if x.grad is None else x.grad).numpy(force=True).reshape(ours[path].shape)
    for path, leaf in params.walk(p.description):
        if leaf.state:
            ours[path] = params.get(p, path) + MOMENTUM * ours[path]
    return (out, value, ours), ({k: y.numpy(force=True) for k, y in out2.items()}, value2.item(), theirs)


def agree(system, config, batch, training=False, dtype=np.float64):
    tolerance = {np.float64: 1e-10, np.float32: 1e-4}[dtype]
    least = 1e-6 if system.name in PADDED and dtype == np.float64 else 1e-3
    (out, value, g), (out2, value2, g2) = both(system, config, batch, training, dtype)
    assert set(out2) == set(out) and set(g2) == set(g)
    assert abs(value2 - value) <= tolerance * abs(value)
    largest = max(np.abs(x).max() for x in g.values())
    for name in out:
        assert np.abs(out2[name] - out[name]).max() <= tolerance * np.abs(out[name]).max(), name
    for path in g:  # a gradient that vanishes by a symmetry (a bias of keys) is rounding alone
        assert np.abs(g2[path] - g[path]).max() <= tolerance * max(np.abs(g[path]).max(), least * largest), path


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("training", [False, True])
def test_outputs_loss_and_gradients(system, training, dtype):
    agree(system, system.config, system.batch, training, dtype)


def test_other_sizes(system):
    agree(system, replace(system.config, **SIZES.get(system.name, {})), system.batch, training=True)


def test_without_a_modality_and_without_any(system):
    batch = {k: x.copy() for k, x in system.batch.items()}
    for i, name in enumerate(masks(batch)):
        for clip in (i, -1):  # the last clip is empty
            batch[name][clip] = False
            batch[name.removesuffix("_mask")][clip] = 0
    agree(system, system.config, batch)


def test_missing_steps(system):
    """Any steps inside a clip, or those from a step on, where the model has padding at the end only."""
    batch, rng = dict(system.batch), np.random.default_rng(2)
    for name in masks(batch):
        available = rng.random(batch[name].shape) < 0.6
        if system.name in PADDED:
            available = np.arange(available.shape[1]) < rng.integers(1, available.shape[1], len(available))[:, None]
        batch[name] = batch[name] & available
    agree(system, system.config, batch)


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
        both(system, replace(system.config, **RATES[system.name]), system.batch, training)
        if not training:
            assert not any(rate for _, rate in theirs)
        else:
            calls = [sorted(call for call in side if call[1]) for side in (ours, theirs)]
            assert calls[0] and calls[0] == calls[1]


@pytest.mark.parametrize("name, switch, value", [(n, k, v) for n, changes in REFUSED.items() for k, v in changes.items()])
def test_a_switch_that_is_not_built_is_refused(name, switch, value):
    with pytest.raises(ValueError, match=f"{switch} is .*; accepted by the torch model"):
        import_module(f"torch_models.{name}").Model(replace(find(name).Config.tiny(), **{switch: value}))


def test_parameters_that_do_not_fit_are_refused(system):
    named = params.named(params.init(system.refmer.describe(system.config), 0))
    model = system.torch.Model(system.config)
    first = next(iter(named))
    for wrong, message in (
        ({k: x for k, x in named.items() if k != first}, "one side only"),
        (named | {"more": np.zeros(1)}, "one side only"),
        (named | {first: np.zeros(1)}, f"{first} has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            system.torch.load(model, wrong)
