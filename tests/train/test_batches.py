"""Batches of clips of similar length: every clip once, no padding beyond a multiple, the same outputs."""

from functools import cache
from types import SimpleNamespace
from warnings import catch_warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refmer
from refmer import params
from refmer.ops.twins import kernels
from refmer.systems import BASELINES, SYSTEMS, find
from refmer.train import batches
from refmer.train.batches import STEP, Lazy, appended, lengths, ordered, outputs, shuffled, take, trimmed

LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=60)


def of_lengths(length, T=40, text=None):
    """A batch whose features and targets tell the clips apart; `text` is a second time axis."""
    n = len(length)
    mask = np.arange(T) < np.asarray(length)[:, None]
    x = np.where(mask, np.arange(1.0, n + 1)[:, None], 0)[..., None]
    batch = {"audio": x, "audio_mask": mask, "visual": 2 * x, "visual_mask": mask, "target": np.arange(n)[:, None]}
    if text is not None:
        few = np.arange(12) < np.asarray(text)[:, None]
        batch |= {"text": few[..., None] * 1.0, "text_mask": few}
    return batch | {"class_count": np.ones(3)}


@pytest.fixture(autouse=True)
def nothing_is_small(monkeypatch):
    monkeypatch.setattr(batches, "SMALL", 0)


def epoch(batch, size=4, seed=0):
    return list(shuffled(batch, size, np.random.default_rng(seed)))


def clips_of(parts):
    return [part["target"][:, 0].tolist() for part in parts]


@given(LENGTHS, st.integers(1, 9))
def test_every_clip_is_in_one_mini_batch_with_all_its_valid_steps(length, size):
    parts = epoch(of_lengths(length), size)
    assert sorted(sum(clips_of(parts), [])) == list(range(len(length)))
    assert all(len(part["target"]) <= size for part in parts)
    for part in parts:
        np.testing.assert_array_equal(part["audio_mask"].sum(1), np.asarray(length)[part["target"][:, 0]])
        np.testing.assert_array_equal(part["audio"][..., 0], part["audio_mask"] * (part["target"] + 1.0))


@given(LENGTHS)
def test_a_part_has_no_step_beyond_the_multiple_and_its_equal_axes_stay_equal(length):
    for part in epoch(of_lengths(length)):
        longest = max(part["audio_mask"].sum(1).max(), 1)
        assert part["audio"].shape[1] == min(-(-longest // STEP) * STEP, 40)
        assert len({part[k].shape[1] for k in ("audio", "audio_mask", "visual", "visual_mask")}) == 1
        assert part["audio"].flags.c_contiguous and len(part["class_count"]) == 3


def test_axes_of_different_numbers_of_steps_are_trimmed_apart():
    part = trimmed(of_lengths([17, 3], text=[2, 11]))
    assert part["audio"].shape[1] == 24 and part["text"].shape[1] == 12
    assert trimmed(of_lengths([17, 3], text=[2, 5]))["text_mask"].shape[1] == 8


def test_a_target_over_time_is_trimmed_with_the_steps_that_it_belongs_to():
    batch = of_lengths([9, 3])
    late = np.arange(40) < np.array([[17], [3]])
    part = trimmed(batch | {"target": np.zeros((2, 40, 5)), "target_mask": late})
    assert part["target"].shape == (2, 24, 5) and part["audio"].shape[1] == 24


@given(LENGTHS, st.integers(0, 2**32 - 1))
def test_the_same_seed_gives_the_same_mini_batches(length, seed):
    batch = of_lengths(length)
    assert clips_of(epoch(batch, seed=seed)) == clips_of(epoch(batch, seed=seed))


@given(st.integers(1, 60), st.integers(33, 40), st.integers(0, 2**32 - 1))
def test_clips_of_one_length_come_as_drawn_and_nothing_else_is_drawn(n, shortest, seed):
    rng, same = np.random.default_rng(seed), np.random.default_rng(seed)
    length = np.random.default_rng(0).integers(shortest, 41, n)
    parts = list(shuffled(of_lengths(length), 4, rng))
    assert sum(clips_of(parts), []) == same.permutation(n).tolist() and rng.random() == same.random()


def test_a_small_batch_is_neither_sorted_nor_trimmed(monkeypatch):
    batch = of_lengths([2, 40] * 20)
    monkeypatch.setattr(batches, "SMALL", 40 * 40)
    assert sum(clips_of(epoch(batch)), []) == np.random.default_rng(0).permutation(40).tolist()
    assert {part["audio"].shape[1] for part in epoch(batch)} == {40}
    monkeypatch.setattr(batches, "SMALL", 40 * 40 - 1)
    assert {part["audio"].shape[1] for part in epoch(batch)} == {8, 40}


def test_mini_batches_do_not_come_in_order_of_length():
    steps = [part["audio"].shape[1] for part in epoch(of_lengths(np.arange(60) % 41))]
    assert steps != sorted(steps) and set(steps) == {8, 16, 24, 32, 40}


def test_little_padding_is_left():
    length = np.random.default_rng(0).integers(1, 41, 500)
    computed = sum(part["audio_mask"].size for part in epoch(of_lengths(length), size=8))
    assert computed < length.sum() + 0.75 * STEP * len(length) < 0.8 * 40 * len(length)


@given(LENGTHS)
def test_outputs_are_in_the_order_of_the_clips_and_have_all_steps(length):
    batch = of_lengths(length)
    answer = outputs(lambda part: {"clip": part["target"], "step": part["audio"]}, batch, len(length))
    np.testing.assert_array_equal(answer["clip"], batch["target"])
    np.testing.assert_array_equal(answer["step"], batch["audio"])


def test_lengths_of_a_lazy_batch_are_read_once_in_chunks():
    whole, reads = of_lengths(np.arange(150) % 41), []
    targets = {k: whole.pop(k) for k in ("target", "class_count")}

    def inputs(index):
        reads.append(len(np.arange(150)[index]))
        return take(whole, index)

    lazy = Lazy(inputs) | targets
    assert clips_of(epoch(lazy)) == clips_of(epoch(whole | targets)) and max(reads) == 64
    reads.clear()
    epoch(lazy)
    assert sum(reads) == 150 + 1
    assert [rows.tolist() for rows, _ in ordered(lazy, [0, 70, 150])] == [
        rows.tolist() for rows, _ in ordered(whole | targets, [0, 70, 150])
    ]


def test_batches_without_time_come_as_drawn():
    batch = {"audio": np.ones((9, 2)), "audio_mask": np.ones(9, bool), "target": np.arange(9)[:, None]}
    assert lengths(batch, 9) is None
    assert sum(clips_of(epoch(batch)), []) == np.random.default_rng(0).permutation(9).tolist()


@cache
def untrained(name):
    """A system with initial parameters, and its inputs of a few bundled clips, in float64, with 40 more steps of padding."""
    model = refmer.Recognizer(name, epochs=1)
    clips = refmer.load_samples("recordings" if find(name).Config.tiny().target == "affect" else "clips")
    with pytest.MonkeyPatch.context() as patch, catch_warnings(action="ignore"):  # of absent classes
        patch.setattr("refmer.recognizer.fit", lambda system, config, *args: (params.init(system.describe(config), 0), []))
        model.fit(clips[::4], progress=False)
    batch = model.batch(clips[:9])
    p = params.like(model.p_, model.p_.vector.astype(np.float64), model.p_.state.astype(np.float64))
    longer = {k: np.pad(x, [(0, 0), (0, 40)] + [(0, 0)] * (x.ndim - 2)) if timed(k, batch) else x for k, x in batch.items()}
    return SimpleNamespace(
        system=find(name),
        config=model.config_,
        p=p,
        batch={k: x if x.dtype == bool else x.astype(np.float64) for k, x in longer.items()},
    )


def timed(name, batch):
    return batch[name if name.endswith("_mask") else f"{name}_mask"].ndim == 2


@pytest.mark.parametrize("name", [*SYSTEMS, *BASELINES])
def test_predictions_are_those_of_the_whole_batch(name):
    s = untrained(name)

    def forward(part):
        return s.system.forward(s.p, part, s.config)[0]

    with kernels(False):
        whole, parts = forward(s.batch), outputs(forward, s.batch, 9)
    for key in ("logits", "probabilities"):
        if key in whole:
            valid = s.batch["audio_mask"] if whole[key].ndim == 3 else np.ones(9, bool)
            np.testing.assert_allclose(parts[key][valid], whole[key][valid], rtol=1e-11, atol=1e-12)


def test_a_recognizer_predicts_the_same_from_memory_and_from_disk_in_any_batches(monkeypatch, tmp_path):
    clips = refmer.load_samples()[::3]
    refmer.save_folder(clips, tmp_path / "corpus")
    with catch_warnings(action="ignore"):  # of absent classes
        model = refmer.Recognizer("raver", epochs=1).fit(clips, progress=False)
    by_length, from_disk = model.predict_proba(clips), model.predict_proba(refmer.load_folder(tmp_path / "corpus"))
    monkeypatch.setattr(batches, "SMALL", np.inf)
    np.testing.assert_allclose(by_length, model.predict_proba(clips), rtol=1e-5)
    np.testing.assert_array_equal(by_length, from_disk)


def test_appended_rows_follow_whether_the_first_batch_is_lazy_or_not():
    rng = np.random.default_rng(0)

    def part(n):
        return {"voice": rng.normal(size=(n, 3)), "target": rng.normal(size=(n, 2)), "class_count": np.full(2, n)}

    first, *others = parts = [part(n) for n in (5, 2, 4)]
    whole = appended(parts)
    np.testing.assert_array_equal(whole["voice"], np.concatenate([p["voice"] for p in parts]))
    np.testing.assert_array_equal(whole["class_count"], [5, 5])
    targets = {k: first[k] for k in ("target", "class_count")}
    lazy = appended([Lazy(lambda index: {"voice": first["voice"][index]}) | targets, *others])
    for index in (slice(None), slice(1), slice(6, 9), np.array([10, 0, 7, 4])):
        part, expected = take(lazy, index), take(whole, index)
        assert part.keys() == expected.keys()
        for k, x in part.items():
            np.testing.assert_array_equal(x, expected[k])
