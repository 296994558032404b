"""Labels over time and of numbers: what training and scores read of them."""

from dataclasses import replace

import numpy as np
import pytest

from refmer import Clips, Label, Recognizer, Stream
from refmer.systems import find

N, T = 8, 4
RNG = np.random.default_rng(0)
FACE, VOICE = Stream(RNG.normal(size=(N, 10 * T, 3)), 10.0), Stream(RNG.normal(size=(N, 20 * T, 2)), 20.0)
VALUES, MASK = RNG.normal(5, 2, (N, T, 2)), np.arange(T) < RNG.integers(2, T + 1, N)[:, None]
CLIPS = Clips({"visual": FACE, "audio": VOICE}, speaker=np.arange(N) % 4)
BOTH = ("raver", "tlab_jca")  # one answer for a window of each step, and one for every step


def trained(name, label, clips=CLIPS, **config):
    clips = clips.with_labels(course=label)
    streams = {"visual": "visual", "audio": "audio"} | ({"mfcc": "audio"} if name == "leader_follower" else {})
    model = Recognizer(name, label="course", streams=streams, config=config, epochs=2)
    return model.fit(clips, dev=clips, progress=False)


DRAWN = {  # values and names by kind
    "regression": (VALUES, ("a", "b")),
    "classes": (np.tile([0, 1, 2, 1], (N, 1)), ("a", "b", "c")),
    "votes": (RNG.integers(1, 4, (N, T, 3)), ("a", "b", "c")),
}


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("kind", DRAWN)
def test_the_values_of_an_unlabelled_step_change_nothing(name, kind):
    values, names = DRAWN[kind]
    labelled = MASK.reshape(N, T, *[1] * (values.ndim - 2))
    first, second = (trained(name, Label(np.where(labelled, values, other), kind, names, 1.0, MASK)) for other in (0, 2))
    assert first.p_.vector.tobytes() == second.p_.vector.tobytes() and first.history_ == second.history_


@pytest.mark.parametrize("name", ["tlab_jca", "leader_follower"])
@pytest.mark.parametrize("kind", DRAWN)
def test_unlabelled_steps_are_no_part_of_the_loss(name, kind):
    values, names = DRAWN[kind]
    label = Label(values, kind, names, 1.0, MASK)
    model, clips, system = trained(name, label), CLIPS.with_labels(course=label), find(name)
    batch = model.labelled_batch(clips, clips)
    assert (batch["target_mask"] == MASK).all()
    out, _ = system.forward(model.p_, batch, model.config_)
    other = batch | {"target": np.where(MASK[..., None], batch["target"], 9)}
    first, second = (system.loss(out, part, model.config_) for part in (batch, other))
    assert first[0] == second[0] and not second[2]["logits"][~MASK].any()


def test_a_system_of_clips_learns_the_windows_of_labelled_steps_only():
    label = Label(VALUES, rate=1.0, mask=MASK)
    model, clips = trained("raver", label), CLIPS.with_labels(course=label)
    batch, (mean, sd) = model.labelled_batch(clips, clips), model.label_scaling_
    np.testing.assert_allclose(batch["target"], (VALUES[MASK] - mean) / sd, rtol=1e-4, atol=1e-5)
    assert len(batch["audio"]) == len(batch["visual"]) == MASK.sum()


@pytest.mark.parametrize("name", BOTH)
def test_answers_at_unlabelled_steps_change_no_score(name):
    model, clips = (
        trained(name, Label(VALUES, rate=1.0, mask=MASK)),
        CLIPS.with_labels(course=Label(VALUES, rate=1.0, mask=MASK)),
    )
    answer = model.predict(clips)
    assert answer.shape == (N, T, 2)
    assert model.scores(np.where(MASK[..., None], answer, 99.0), clips) == model.scores(answer, clips)
    assert model.scores(np.where(MASK[..., None], VALUES, 99.0), clips)["ccc"] == pytest.approx(1)


def test_a_step_counts_if_half_of_it_is_labelled():
    values, mask = np.arange(16.0).reshape(1, 8, 2), np.array([[True, True, True, False, False, True, False, False]])
    model = trained("raver", Label(VALUES, rate=1.0))
    mean, counted = model.over_time(Label(values, rate=2.0, mask=mask), 4)
    assert counted.tolist() == [[True, True, True, False]]
    np.testing.assert_allclose(mean[0], [[1, 2], [4, 5], [10, 11], [0, 0]])


@pytest.mark.parametrize("context, heard", [(0, 1), (1, 2), (2, 3)])
def test_a_step_reads_itself_and_the_context_before_it(context, heard):
    model = trained("raver", Label(VALUES, rate=1.0), context=context)
    changed = CLIPS.with_streams(visual=replace(FACE, x=FACE.x + 5 * (np.arange(10 * T) < 10)[:, None]))
    first, second = model.predict(CLIPS), model.predict(changed)
    assert ((first != second).any((0, 2)) == (np.arange(T) < heard)).all()


@pytest.mark.parametrize("name", [*BOTH, "concatenation"])
def test_predictions_are_in_the_units_of_the_label(name):
    labels = [Label(100 * VALUES[:, 0] + 7), Label(VALUES[:, 0])]
    large, small = (trained(name, label).predict(CLIPS) for label in labels)
    np.testing.assert_allclose(large, 100 * small + 7, rtol=1e-3)
    assert small.std(0).max() < 4 and np.abs(small.mean(0) - VALUES[:, 0].mean(0)).max() < 3
