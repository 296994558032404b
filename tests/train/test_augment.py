"""Laws of mixup and modality dropout."""

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st

from refmer.train.augment import mixup, modality_dropout

RATES = {"voice": 0.2, "face": 0.2}


def example(B=10, dtype=np.float32):
    rng = np.random.default_rng(B)
    batch = {"class_count": np.arange(1.0, 5), "target": rng.dirichlet(np.ones(4), B), "summary": rng.normal(size=(B, 5))}
    masks = {"voice_mask": rng.random((B, 7)) > 0.3, "face_mask": rng.random((B, 3)) > 0.3}
    for stream in RATES:
        mask = masks[f"{stream}_mask"][..., None]
        batch[stream] = np.where(mask, 1 + rng.random((B, mask.shape[1], 2)), 0)
    return {name: x.astype(dtype) for name, x in batch.items()} | masks


def frozen(batch):
    for x in batch.values():
        x.flags.writeable = False
    return batch


def is_zero(batch, stream):
    return (batch[stream] == 0).reshape(len(batch[stream]), -1).all(1)


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
        assert a[name].dtype == b[name].dtype


@pytest.mark.parametrize("f", [mixup, lambda batch, rng: modality_dropout(batch, rng, RATES)])
def test_the_same_seed_gives_the_same_batch_and_no_generator_the_batch_itself(f):
    batch = frozen(example())
    same(f(batch, np.random.default_rng(3)), f(batch, np.random.default_rng(3)))
    assert f(batch, None) is batch
    changed = f(batch, np.random.default_rng(3))
    assert {name: x.dtype for name, x in changed.items()} == {name: x.dtype for name, x in batch.items()}
    assert any((changed[name] != batch[name]).any() for name in batch)
    np.testing.assert_array_equal(changed["class_count"], batch["class_count"])


@given(st.integers(0, 10_000), st.floats(0.05, 5), st.integers(1, 6))
def test_mixup_mixes_inputs_and_targets_by_one_share(seed, a, B):
    batch = frozen(example(B, np.float64))
    mixed = mixup(batch, np.random.default_rng(seed), a)
    rng = np.random.default_rng(seed)
    share, other = rng.beta(a, a), rng.permutation(B)
    for name in ("voice", "face", "summary", "target"):
        np.testing.assert_allclose(mixed[name], share * batch[name] + (1 - share) * batch[name][other], rtol=1e-12)
    np.testing.assert_allclose(mixed["target"].sum(1), 1, rtol=1e-12)
    np.testing.assert_array_equal(mixed["voice_mask"], batch["voice_mask"] | batch["voice_mask"][other])
    assert (mixed["voice"][~mixed["voice_mask"]] == 0).all()


def test_a_small_a_changes_clips_little():
    shares = [np.random.default_rng(seed).beta(0.2, 0.2) for seed in range(200)]
    assert np.mean([min(s, 1 - s) < 0.1 for s in shares]) > 0.5
    batch = frozen(example())
    moved = [abs(mixup(batch, np.random.default_rng(s), 0.01)["target"] - batch["target"]).max(1).min() for s in range(20)]
    assert np.median(moved) < 1e-3


@given(st.integers(0, 10_000), st.integers(1, 23))
def test_modality_dropout_splits_a_batch_into_groups_of_the_given_shares(seed, B):
    batch = frozen(example(B))
    batch = batch | {f"{s}_mask": np.ones_like(batch[f"{s}_mask"]) for s in RATES} | {s: 1 + batch[s] for s in RATES}
    changed = modality_dropout(batch, np.random.default_rng(seed), RATES)
    lost = {s: is_zero(changed, s) for s in RATES}
    assert not (lost["voice"] & lost["face"]).any()
    for s in RATES:
        assert abs(lost[s].sum() - 0.2 * B) < 1
        np.testing.assert_array_equal(changed[f"{s}_mask"], np.broadcast_to(~lost[s][:, None], batch[f"{s}_mask"].shape))
        np.testing.assert_array_equal(changed[s][~lost[s]], batch[s][~lost[s]])
    same({k: changed[k] for k in ("target", "summary")}, {k: batch[k] for k in ("target", "summary")})


@pytest.mark.parametrize("per, B", [("sample", 3), ("batch", 3)])
def test_every_clip_loses_each_stream_at_the_given_rate(per, B):
    batch = {"voice": np.ones((B, 2)), "face": np.ones((B, 2)), "target": np.ones((B, 2))}
    rng = np.random.default_rng(0)
    lost = np.array([[is_zero(modality_dropout(batch, rng, RATES, per), s) for s in RATES] for _ in range(3000)])
    np.testing.assert_allclose(lost.mean(0), 0.2, atol=0.03)
    together = (lost.all(2) | ~lost.any(2)).all()
    assert together == (per == "batch")


def test_rate_zero_is_the_identity_and_a_stream_needs_no_mask():
    batch = frozen(example())
    same(modality_dropout(batch, np.random.default_rng(0), {"voice": 0.0, "face": 0.0}), batch)
    assert is_zero(modality_dropout(batch, np.random.default_rng(0), {"summary": 0.9}), "summary").sum() == 9


def test_values_that_are_not_finite_are_removed_with_their_stream():
    batch = {"voice": np.full((10, 2), np.nan), "target": np.ones((10, 2))}
    assert np.isfinite(modality_dropout(batch, np.random.default_rng(0), {"voice": 0.9})["voice"]).all(1).sum() == 9


def drop(rates, **options):
    return modality_dropout(example(), np.random.default_rng(0), rates, **options)


def mix(changes, a):
    return mixup(example() | changes, np.random.default_rng(0), a)


test_errors_name_the_argument = errors(
    (lambda: drop({"voice": 1.0}), "rates are"),
    (lambda: drop({"voice": -0.1}), "rates are"),
    (lambda: drop({"voice": np.nan}), "rates are"),
    (lambda: drop({"voice": 0.6, "face": 0.6}), "at most 1 together"),
    (lambda: drop({"smell": 0.2}), r"rates name \['smell'\]"),
    (lambda: drop(RATES, per="epoch"), "per is 'epoch'"),
    (lambda: mix({}, 0), "a is 0"),
    (lambda: mix({}, np.nan), "a is nan"),
    (lambda: mix({"target": np.ones((3, 4))}, 0.2), "the same number"),
    (lambda: mix({"speaker": np.arange(10)}, 0.2), "speaker has dtype int64"),
    (lambda: mixup({"voice": np.ones((0, 2)), "target": np.ones((0, 3))}, np.random.default_rng(0)), "at least 1"),
)
