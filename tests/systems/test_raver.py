"""RAVER: sizes, missing modalities, masks, labels and losses, ablations."""

from dataclasses import replace

import numpy as np
import pytest

from refmer import params
from refmer.layers.attention import attention
from refmer.layers.dense import layer_norm
from refmer.proofs import moved
from refmer.proofs.paper004 import RAVER as SMALL
from refmer.proofs.paper004 import sequences
from refmer.systems import raver
from refmer.systems.raver import Config, augment, class_weights, describe, forward, loss

BATCH = sequences((3, 8), (5,))


def logits(batch, config=SMALL):
    return forward(moved(describe(config)), batch, config)[0]["logits"]


SIZES = [({}, 362_956_575), ({"head": "out"}, 367_150_879), ({"hidden": 2048}, 312_600_351)]
SIZES += [({"hidden": 2048, "encoder_hidden": 2048}, 262_244_127), ({"summarizer": "mean"}, 362_956_575 - 201_822_208)]


@pytest.mark.parametrize("changes, size", SIZES)
def test_the_sizes_that_follow_from_the_published_widths(changes, size):
    assert params.count(describe(Config.paper(**changes))) == size


def test_the_parts_of_the_published_size():
    tree = describe(Config.paper())
    assert params.count(tree["visual"]["project"]) == 1_311_744 and params.count(tree["audio"]["layers"]) == 25
    assert 2 * params.count(tree["audio"]["summary"]) == 201_822_208
    assert 2 * params.count(tree["audio"]["cross"]) == 2 * params.count(tree["visual"]["encode"]) == 75_581_440
    assert params.count(tree["head"]) + 2 * params.count(tree["audio"]["reduce"]) == 6_558_470
    assert raver.head_widths(Config.paper()) == [2048, 1024, 256, 6]  # "three FC layers with 2,048, 1,024, and 256 dimensions"
    assert raver.head_widths(Config.paper(head="out")) == [4096, 2048, 1024, 256, 6]


def contexts(batch, config, p):
    trace = {}
    forward(p, batch, config, trace=trace)
    return trace["audio.context"], trace["visual.context"]


def updates(batch, config, p):
    """The size of what the first cross-modal layer adds to the face, per clip."""
    audio, visual = contexts(batch, config, p)
    mask = batch["audio_mask"].any(1)[:, None, None, None] if config.summarizer != "learned" else None
    layer, d = p.visual.cross.layers[0], config.width
    x, memory = d**0.5 * visual, d**0.5 * audio
    added, _ = attention(layer.attend, layer_norm(layer.norm1, x)[0], layer_norm(layer.norm1, memory)[0], config.heads, mask)
    return np.sqrt((added * added).sum((1, 2)))


@pytest.mark.parametrize("start", [moved, lambda tree: params.init(tree, 0, np.float64)], ids=["moved", "untrained"])
def test_a_missing_modality_makes_no_near_zero_update(start):
    # contrary to paper III-C: a summary without any frame follows from the queries, and layer norm makes it large
    lost = BATCH | {"audio_mask": np.zeros_like(BATCH["audio_mask"])}
    p = start(describe(SMALL))
    present, missing = updates(BATCH, SMALL, p), updates(lost, SMALL, p)
    assert (missing > 0.3 * present).all() and (missing != present)[:3].all()
    audio, _ = contexts(lost, SMALL, p)
    assert (audio == audio[:1]).all() and (audio != 0).any()  # the same for all clips
    pooled = replace(SMALL, summarizer="mean")
    assert (updates(lost, pooled, start(describe(pooled))) == 0).all()  # as the paper says


@pytest.mark.parametrize("summarizer", ["mean", "strided"])
def test_pooled_tokens_without_a_frame_are_masked_in_later_layers(summarizer):
    config, trace = replace(SMALL, summarizer=summarizer), {}
    forward(moved(describe(config)), BATCH, config, trace=trace)
    for m, other, lost in (("audio", "visual", 4), ("visual", "audio", 3)):
        cross, own = trace[f"{m}.cross.layers.0.attention"], trace[f"{other}.encode.layers.0.attention"]
        assert (cross[lost] == 0).all() and (own[lost] == 0).all() and (trace[f"{other}.pool.weights"][lost] == 0).all()
        np.testing.assert_allclose(cross[:3].sum(-1), 1, rtol=1e-12)


def test_without_any_frame_the_answer_is_finite_and_always_the_same():
    for summarizer in raver.SUMMARIES:
        config = replace(SMALL, summarizer=summarizer)
        empty = {k: x & False if x.dtype == bool else x for k, x in BATCH.items()}
        answer = logits(empty, config)
        assert np.isfinite(answer).all()
        np.testing.assert_allclose(answer, np.broadcast_to(answer[:1], answer.shape), rtol=1e-12)


@pytest.mark.parametrize("summarizer", raver.SUMMARIES)
def test_masked_frames_and_padding_do_not_change_the_logits(summarizer):
    config, rng = replace(SMALL, summarizer=summarizer), np.random.default_rng(0)
    other, longer = dict(BATCH), {}
    for m in raver.MODALITIES:
        hidden = ~BATCH[f"{m}_mask"].reshape(*BATCH[f"{m}_mask"].shape, *[1] * (BATCH[m].ndim - 2))
        other[m] = np.where(hidden, rng.normal(size=BATCH[m].shape), BATCH[m])
        longer[m] = np.concatenate([BATCH[m], rng.normal(size=BATCH[m].shape)], 1)
        longer[f"{m}_mask"] = np.concatenate([BATCH[f"{m}_mask"], BATCH[f"{m}_mask"] & False], 1)
    answer = logits(BATCH, config)
    np.testing.assert_allclose(logits(other, config), answer, rtol=1e-12)
    np.testing.assert_allclose(logits(longer, config), answer, rtol=1e-10)
    zeros = replace(config, mask_context=False)
    assert np.abs(logits(other, zeros) - logits(BATCH, zeros)).max() > 1e-3


def test_the_masks_of_the_modalities_are_independent():
    fewer = BATCH | {"audio_mask": BATCH["audio_mask"] & (np.arange(7) != 1)}
    p = moved(describe(SMALL))
    (a, v), (a2, v2) = contexts(BATCH, SMALL, p), contexts(fewer, SMALL, p)
    np.testing.assert_array_equal(v, v2)
    assert np.abs(a - a2)[:2].min() > 0 and (a == a2)[2:4].all()  # clip 2 lacks that frame anyway, clip 3 all sound


@pytest.mark.parametrize("n_context", [1, 2, 16])
def test_the_context_has_n_context_tokens_also_beyond_the_clip(n_context):
    for summarizer, expected in {"learned": n_context, "strided": n_context, "mean": 1}.items():
        config = replace(SMALL, n_context=n_context, summarizer=summarizer)
        assert contexts(BATCH, config, moved(describe(config)))[0].shape == (5, expected, 8)
        assert np.isfinite(logits(BATCH, config)).all()


def test_positions_make_the_order_of_frames_matter():
    backwards = {k: x[:1, ::-1] for k, x in BATCH.items()}  # clip 0 is whole
    without = replace(SMALL, positions=False)
    np.testing.assert_allclose(logits(backwards, without), logits(BATCH, without)[:1], rtol=1e-10)
    assert np.abs(logits(backwards) - logits(BATCH)[:1]).max() > 1e-3


def test_modality_dropout_by_clip_by_batch_and_not_at_all():
    rng, whole = np.random.default_rng(0), {k: np.ones((40, *x.shape[1:]), x.dtype) for k, x in BATCH.items()}

    def lost(config):
        changed = augment(whole, config, rng)
        gone = [~changed[f"{m}_mask"].any(1) for m in raver.MODALITIES]
        assert all((changed[m][g] == 0).all() for m, g in zip(raver.MODALITIES, gone, strict=True))
        return tuple(int(g.sum()) for g in gone)

    assert lost(SMALL) == (8, 8)  # 20 % without sound, 20 % without face
    draws = [lost(replace(SMALL, modality_dropout="batch")) for _ in range(200)]
    assert set(draws) == {(0, 0), (40, 0), (0, 40)}
    assert 0.5 < draws.count((0, 0)) / 200 < 0.7
    assert augment(whole, replace(SMALL, modality_dropout="off"), rng) is whole


COUNTS, SHARES = np.array([40.0, 10, 25, 5]), np.array([[0.75, 0.25, 0, 0], [0.2, 0.2, 0.5, 0.1]])
OUT = {"logits": np.array([[1.0, 0.5, -1, 0], [0.3, -0.2, 0.8, 0.1]])}


def value_of(config, target=SHARES):
    value, terms, dout = loss(OUT, {"target": target, "class_count": COUNTS}, config)
    assert list(terms.values()) == [value] and dout["logits"].shape == OUT["logits"].shape
    return float(value)


def test_the_loss_is_equation_3():
    logp = OUT["logits"] - np.log(np.exp(OUT["logits"]).sum(1, keepdims=True))
    printed = (1 - 0.9) / (1 - 0.9**COUNTS)  # eq. 3, beta = 0.9
    literal = replace(SMALL, beta=0.9, normalise=False)
    assert value_of(literal) == pytest.approx(-(printed * SHARES * logp).sum() / 2, rel=1e-12)
    N = COUNTS.sum()  # 80: the sum of the counts
    w = (1 / N) / (1 - ((N - 1) / N) ** COUNTS)
    np.testing.assert_allclose(class_weights(COUNTS, SMALL), 4 * w / w.sum(), rtol=1e-12)
    assert value_of(replace(SMALL, balance="none")) == pytest.approx(-(SHARES * logp).sum() / 2, rel=1e-12)


def test_one_weight_per_clip_is_equation_3_only_on_one_class():
    sample = replace(SMALL, balance="sample")
    assert value_of(sample) != pytest.approx(value_of(SMALL), rel=1e-3)
    one = np.eye(4)[[1, 3]]
    assert value_of(sample, one) == pytest.approx(value_of(SMALL, one), rel=1e-12)


def test_sigmoids_are_independent_of_other_classes():
    config = replace(SMALL, output="sigmoid")
    out, _ = forward(moved(describe(config)), BATCH, config)
    np.testing.assert_allclose(out["probabilities"], 1 / (1 + np.exp(-out["logits"])), rtol=1e-12)
    p = 1 / (1 + np.exp(-OUT["logits"]))
    expected = -(SHARES * np.log(p) + (1 - SHARES) * np.log(1 - p)).mean()
    assert value_of(replace(config, balance="none")) == pytest.approx(expected, rel=1e-12)


def test_a_class_without_clips_has_no_weight():
    weights = class_weights(np.array([3.0, 0, 2, 1]), SMALL)
    assert weights[1] == 0 and weights.sum() == pytest.approx(3) and (weights[[0, 2, 3]] > 0).all()


def test_the_floor_of_the_brier_score_of_a_softmax_against_two_classes():
    # paper IV-C2: p sums to 1, y to 2; at best p = (.5, .5, 0, ...), so the score of a perfect model is not 0
    y, rng = np.array([1.0, 1, 0, 0, 0, 0]), np.random.default_rng(0)
    floor = ((np.array([0.5, 0.5, 0, 0, 0, 0]) - y) ** 2).mean()
    assert floor == pytest.approx(1 / 12, rel=1e-12)
    assert (((rng.dirichlet(np.full(6, 0.3), 5000) - y) ** 2).mean(1) >= floor).all()


def test_explain_names_layers_maps_contexts_and_pooling():
    trace = {}
    forward(moved(describe(SMALL)), BATCH, SMALL, trace=trace)
    shapes = {k: v.shape for k, v in trace.items() if k.startswith("audio")}
    assert shapes == {
        "audio.layers": (5, 3),
        "audio.summary.layers.0.self.attention": (5, 2, 3, 3),
        "audio.summary.layers.0.cross.attention": (5, 2, 3, 7),
        "audio.context": (5, 3, 8),
        "audio.cross.layers.0.attention": (5, 2, 3, 3),
        "audio.encode.layers.0.attention": (5, 2, 3, 3),
        "audio.pool.weights": (5, 3),
    }
    np.testing.assert_allclose(trace["audio.layers"].sum(1), 1, rtol=1e-12)
    assert (trace["audio.summary.layers.0.cross.attention"][3] == 0).all()  # no audio


def test_ablations_share_the_initial_weights_of_shared_parts():
    full, pooled = (params.init(describe(replace(SMALL, summarizer=s)), 3) for s in ("learned", "mean"))
    np.testing.assert_array_equal(full.audio.cross.layers[0].ffn.up.W, pooled.audio.cross.layers[0].ffn.up.W)
    assert not hasattr(pooled.audio, "summary")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"fps": -1.0}, "fps is -1.0; accepted: finite numbers above 0"),
        ({"summarizer": "max"}, "summarizer is 'max'; accepted: 'learned', 'mean', 'strided'"),
        ({"head": "both"}, "head is 'both'; accepted"),
        ({"output": "tanh"}, "output is 'tanh'; accepted"),
        ({"balance": "focal"}, "balance is 'focal'; accepted"),
        ({"output": "sigmoid", "balance": "sample"}, "balance is 'sample' with output 'sigmoid'; accepted with it"),
        ({"beta": 1.5}, "beta is 1.5; accepted: numbers from 0 to 1 or None"),
        ({"modality_dropout": "clip"}, "modality_dropout is 'clip'; accepted"),
        ({"n_context": 0}, "n_context is 0"),
    ],
)
def test_a_wrong_switch_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)
