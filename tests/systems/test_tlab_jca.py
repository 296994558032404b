"""TLAB-JCA: the published size, its ablations, and laws of valence and arousal over time."""

from dataclasses import asdict, replace

import numpy as np
import pytest

import refmer
from refmer import params
from refmer.data.inputs import step_means
from refmer.ops.losses import ccc
from refmer.ops.optimizers import adamw
from refmer.proofs import moved
from refmer.proofs.paper003 import AFFECT, JCA, LEADER, RAW, STREAMS, TLAB, VALID, B, S, T, batch_of
from refmer.systems import find
from refmer.systems.tlab_jca import Config, describe, forward, loss

BATCH = batch_of(audio=(6,), visual=(3, 5))
TOYS = {  # each with a batch of two windows
    "tlab_jca": (TLAB, BATCH),
    "jca": (JCA, batch_of(audio=(7,), visual=(5,))),
    "leader_follower": (LEADER, batch_of(visual=(7,), audio=(5,), mfcc=(3,))),
}
SIZES = {"tcn": 2 * 3_147_776, "lstm": 2 * 2_101_248, "attention": 2 * 786_432}


@pytest.fixture(scope="module")
def recordings():
    return refmer.load_samples("recordings")


def test_the_published_size_is_that_of_the_authors_code():
    tree = describe(Config.paper(variant="code"))
    assert params.count(tree) == 26_971_763
    assert {name: params.count(part) for name, part in tree.items()} == {
        "audio": 7_880_192,
        "avga": 838_193,
        "visual": 7_880_192,
        "fuse": 5_250_112,
        "join": 4_991_488,
        "head": 131_586,
    }


def test_the_equations_have_fewer_and_parts_that_table_4_switches_off_have_none():
    full = params.count(describe(Config.paper()))
    assert full == 17_245_619
    assert params.count(describe(Config.paper(lstm_layers=2))) == full + 2 * 2_101_248
    for name, size in SIZES.items():
        assert params.count(describe(Config.paper(**{name: False}))) == full - size


@pytest.mark.parametrize("change", [{}, {"bands_as_channels": True}, {"face_encoder": "patches"}])
def test_what_is_not_valid_is_not_computed_in_training_and_the_answer_is_the_same(change):
    none = {f"dropout_{name}": 0.0 for name in ("tcn", "lstm", "head")}
    config, batch = replace(TLAB, **RAW | none | change), batch_of(**STREAMS)
    p = moved(describe(config))
    first, second = (forward(p, batch, config, rng)[0]["logits"] for rng in (None, np.random.default_rng(0)))
    np.testing.assert_allclose(first, second, rtol=1e-12)
    nothing = {k: np.zeros_like(x) for k, x in batch.items()}
    assert np.isfinite(forward(p, nothing, config, np.random.default_rng(0))[0]["logits"]).all()


@pytest.mark.parametrize("name", TOYS)
def test_another_window_of_masked_steps_changes_nothing_that_is_valid(name):
    config, batch = TOYS[name]
    system, p = find(name), moved(find(name).describe(config))
    longer = {k: np.pad(x, [(0, 0), (0, 2 * T)] + [(0, 0)] * (x.ndim - 2)) for k, x in batch.items()}
    short, long = (system.forward(p, b, config)[0]["logits"] for b in (batch, longer))
    assert long.shape == (B, S + 2 * T, 2)
    np.testing.assert_allclose(long[:, :S][VALID], short[VALID], rtol=1e-12)
    filled = {k: np.pad(x, [(0, 0), (0, 2 * T)] + [(0, 0)] * (x.ndim - 2)) for k, x in AFFECT.items()}
    np.testing.assert_allclose(
        system.loss({"logits": long}, filled, config)[0], system.loss({"logits": short}, AFFECT, config)[0]
    )


@pytest.mark.parametrize("name", TOYS)
def test_what_a_masked_step_holds_changes_nothing(name):
    config, batch = TOYS[name]
    system, p = find(name), moved(find(name).describe(config))
    other = dict(batch)
    for key in system.modalities(config):
        mask = batch[f"{key}_mask"]
        other[key] = np.where(mask.reshape(mask.shape + (1,) * (batch[key].ndim - 2)), batch[key], 7.0)
    first, second = (system.forward(p, b, config)[0]["logits"] for b in (batch, other))
    np.testing.assert_allclose(second[VALID], first[VALID], rtol=1e-12)


@pytest.mark.parametrize("name", TOYS)
def test_a_recording_alone_gets_the_same_answer_as_in_a_batch(name):
    config, batch = TOYS[name]
    system, p = find(name), moved(find(name).describe(config))
    together = system.forward(p, batch, config)[0]["logits"]
    for i in range(B):
        alone = system.forward(p, {k: x[i : i + 1] for k, x in batch.items()}, config)[0]["logits"]
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-11)


@pytest.mark.parametrize("name", TOYS)
def test_it_overfits_eight_windows(name, recordings):
    """In its tiny size, until the concordance with the labels is above .9."""
    model = refmer.Recognizer(name, epochs=1).fit(recordings[:12], progress=False)
    system, config = find(name), model.config_
    batch = model.labelled_batch(recordings[:8], recordings)
    batch = {k: x[:, : config.steps] for k, x in batch.items()}
    p = params.init(system.describe(config), 0)
    m, v = np.zeros_like(p.vector), np.zeros_like(p.vector)
    for step in range(1, 301):
        out, backward = system.forward(p, batch, config)
        value, _, dout = system.loss(out, batch, config)
        if value < 0.09:
            break
        g = params.zeros_like(p)
        backward(dout, g)
        adamw(p.vector, g.vector, m, v, step, 5e-3, decay=0.0)
    assert ccc(out["logits"], batch["target"], batch["target_mask"])[0].mean() > 0.9


@pytest.mark.parametrize(
    "change",
    [{"tcn": False}, {"lstm": False}, {"attention": False}, {"band": 1}, {"residual": "input"}, {"dilations": (4, 4)}],
)
def test_a_switch_changes_the_answer(change):
    p = moved(describe(TLAB))
    base, other = (
        forward(p if not change.keys() & SIZES else moved(describe(c)), BATCH, c)[0]["logits"]
        for c in (TLAB, replace(TLAB, **change))
    )
    assert np.abs(base - other)[VALID].max() > 1e-6


def test_local_attention_is_local_only_with_a_band():
    for band, reach in ((None, T), (1, 1)):
        trace = {}
        forward(moved(describe(TLAB)), BATCH, replace(TLAB, band=band), trace=trace)
        apart = np.abs(np.arange(T)[:, None] - np.arange(T)) > reach
        assert (trace["visual.attention.local"][..., apart] == 0).all()
    assert (trace["visual.attention.global"][0, 0] > 0).all()


def test_a_pooled_answer_is_the_same_at_every_step_of_a_window():
    y = forward(moved(describe(TLAB)), BATCH, replace(TLAB, pooled=True))[0]["logits"]
    np.testing.assert_array_equal(y[:, :T], np.repeat(y[:, :1], T, 1))
    assert np.abs(y[0, T] - y[0, 0]).max() > 1e-6


def test_windows_are_independent():
    p, other = moved(describe(TLAB)), dict(BATCH)
    other["audio"] = BATCH["audio"].copy()
    other["audio"][0, :T] += 1
    first, second = (forward(p, b, TLAB)[0]["logits"][0] for b in (BATCH, other))
    assert np.abs(first[:T] - second[:T]).max() > 1e-6
    np.testing.assert_array_equal(first[T:], second[T:])


@pytest.mark.parametrize("name", TOYS)
def test_a_recording_without_sound_is_answered_from_its_face(name):
    config, batch = TOYS[name]
    system, p = find(name), moved(find(name).describe(config))
    assert not any(batch[f"{k}_mask"][1].any() for k in system.modalities(config) if k != "visual")
    first, second = (system.forward(p, batch | {"visual": f * batch["visual"]}, config)[0]["logits"][1] for f in (1, 2))
    assert np.abs(first - second)[VALID[1]].max() > 1e-3


@pytest.mark.parametrize("name", ["tlab_jca", "jca"])
def test_in_training_a_share_of_the_recordings_loses_its_sound_and_none_its_face(name):
    config, batch = replace(TOYS[name][0], sound_dropout=1 / 3), TOYS[name][1]
    full = batch | {"audio_mask": np.ones((B, S), bool)}
    part, system = full | {"target": AFFECT["target"], "target_mask": VALID}, find(name)
    changed = system.augment(part, config, np.random.default_rng(0))
    assert changed["audio_mask"].any(1).sum() == B - 1 and (changed["audio"][~changed["audio_mask"]] == 0).all()
    assert changed["visual_mask"].any(1).all()
    assert system.augment(part, config, None)["audio_mask"].all()


def test_the_loss_is_0_for_the_labels_and_1_for_a_constant():
    assert loss({"logits": AFFECT["target"]}, AFFECT, TLAB)[0] == pytest.approx(0, abs=1e-12)
    assert loss({"logits": 0 * AFFECT["target"] + 0.3}, AFFECT, TLAB)[0] == pytest.approx(1)


def test_explain_names_maps_per_window_and_rows_sum_to_one():
    for variant, inside in (("paper", ("global", "local")), ("code", ("attention",))):
        trace, config = {}, replace(TLAB, variant=variant)
        forward(moved(describe(config)), BATCH, config, trace=trace)
        maps = [f"{m}.attention.{name}" for m in ("audio", "visual") for name in inside]
        assert set(trace) == {*maps, "positions", "fuse.audio.correlation", "fuse.visual.correlation"}
        assert trace["positions"].shape == (B, 2, T, 3)
        for name in maps:
            rows = trace[name][0, 0].sum(-1)
            np.testing.assert_allclose(rows, 1, rtol=1e-12)


def test_recordings_from_end_to_end(recordings, tmp_path):
    train, test = recordings.split(test_size=0.3, seed=1)
    model = refmer.Recognizer("tlab_jca", epochs=1).fit(train, progress=False)
    answer = model.predict(test)
    assert answer.shape == (len(test), 33, 2) and np.isfinite(answer).all()
    scores = model.scores(answer, test)
    assert model.score(test) == scores["ccc"] == pytest.approx((scores["ccc_valence"] + scores["ccc_arousal"]) / 2)
    model.save(tmp_path / "m.npz")
    again = refmer.load_recognizer(tmp_path / "m.npz")
    assert again.config_ == model.config_ and again.predict(test).tobytes() == answer.tobytes()
    assert all(len(x) == len(test) and np.isfinite(x).all() for x in model.explain(test).values())
    for sense in ("face", "voice"):
        for space in ("raw", "standard"):
            broken = refmer.corrupt(test, sense, "missing", 1.0, space=space)
            assert np.isfinite(model.scores(model.predict(broken), test)["ccc"])
    with pytest.raises(ValueError, match="a regression without probabilities: use predict"):
        model.predict_proba(test)


def test_own_features_are_read_without_encoders(recordings):
    """The input of paper(encoders=False): a frame of features per sub-sequence."""
    part, rng = recordings[:6], np.random.default_rng(0)
    steps = step_means({"face": part.streams["frames"]}, Config.tiny().seconds)["face_mask"]
    shapes = {"audio": (6,), "visual": (3, 5)}
    own = {
        name: replace(part.streams["logmel"], x=rng.normal(size=(*steps.shape, *shape)), rate=1 / 0.64, mask=steps, features=())
        for name, shape in shapes.items()
    }
    model = refmer.Recognizer("tlab_jca", config={**asdict(TLAB), "steps": 16}, epochs=1).fit(
        part.with_streams(**own), progress=False
    )
    assert model.config_.face == (3, 5) and model.predict(part.with_streams(**own)).shape == (6, 33, 2)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"task": "age"}, "task is 'age'; accepted: 'classes', 'votes', 'ordinal', 'regression'"),
        ({"variant": "draft"}, "variant is 'draft'; accepted: 'paper', 'code'"),
        ({"residual": "none"}, "residual is 'none'; accepted: 'tlab', 'input'"),
        ({"residual": "input", "variant": "code"}, "accepted: 'tlab', or variant 'paper'"),
        ({"ddof": 2}, "ddof is 2; accepted: 0, 1"),
    ],
)
def test_a_wrong_switch_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TLAB, **change)
