"""The fit loop, schedules and augmentation."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from refmer import params
from refmer.ops.optimizers import clip_norm
from refmer.systems import find
from refmer.train.batches import Lazy, take
from refmer.train.fit import Training, evaluate, fit
from refmer.train.recipes import RECIPES, Recipe
from refmer.train.schedules import SCHEDULES

SYSTEM = find("concatenation")
CONFIG = SYSTEM.Config(visual=5, audio=3, text=2, classes=4, hidden=6)
RECIPE = Recipe(lr=1e-2, epochs=8, batch=7)


def batch(seed, n=19):
    rng = np.random.default_rng(seed)
    streams = {m: rng.normal(size=(n, getattr(CONFIG, m))).astype(np.float32) for m in ("visual", "audio", "text")}
    label = (streams["visual"][:, 0] > 0) + 2 * (streams["audio"][:, 0] > 0)
    return streams | {"target": np.eye(4, dtype=np.float32)[label], "class_count": np.ones(4, np.float32)}


def run(recipe=RECIPE, seed=0):
    return fit(SYSTEM, CONFIG, batch(1), batch(2), recipe, seed)


def test_the_same_seed_gives_the_same_bytes_and_learning_lowers_the_loss():
    (p, history), (again, _), (other, _) = run(), run(), run(seed=1)
    assert p.vector.tobytes() == again.vector.tobytes() != other.vector.tobytes()
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_the_parameters_are_those_of_the_best_epoch_not_of_the_last():
    p, history = run(replace(RECIPE, lr=0.3, epochs=40, patience=40))
    losses = [entry["dev_loss"] for entry in history]
    assert np.argmin(losses) < len(losses) - 1
    assert evaluate(SYSTEM, CONFIG, p, batch(2)) == pytest.approx(min(losses), rel=1e-6)


def test_it_stops_after_patience_epochs_without_improvement():
    _, history = run(replace(RECIPE, lr=0.3, epochs=100, patience=3))
    best = int(np.argmin([entry["dev_loss"] for entry in history]))
    assert len(history) == best + 1 + 3 < 100


def test_the_last_epoch_is_kept_where_the_recipe_says_so():
    p, history = run(replace(RECIPE, lr=0.3, epochs=40, patience=3, keep="last"))
    assert len(history) == 40 and min(entry["dev_loss"] for entry in history) < history[-1]["dev_loss"]
    assert evaluate(SYSTEM, CONFIG, p, batch(2)) == pytest.approx(history[-1]["dev_loss"], rel=1e-6)


def test_decay_of_matrices_leaves_biases_and_gates_alone_and_gates_move_faster():
    system = find("openface_adaptive")
    config = system.Config.tiny(visual=5, audio=3, text=2, classes=4, dropout=0.0, mixup=0.0)
    p = params.init(system.describe(config), 0)
    part = batch(1) | {f"{m}_mask": np.ones(19, bool) for m in ("visual", "audio", "text")}
    after = {}
    for name, changes in {
        "plain": {},
        "decayed": {"weight_decay": 2.0, "decayed": "matrices"},
        "fast": {"gate_rate": 10.0},
    }.items():
        training = Training(system, config, params.like(p, p.vector.copy(), p.state.copy()), replace(RECIPE, **changes), None)
        training.step(part, 1e-3)
        after[name] = params.named(training.p)
    for path, x in params.named(p).items():
        plain, decayed, fast = (after[name][path] for name in ("plain", "decayed", "fast"))
        shrinks = x.ndim > 1 and ".gate." not in path
        np.testing.assert_allclose(decayed, plain - 2e-3 * x if shrinks else plain, atol=1e-7)
        np.testing.assert_allclose(fast - x, (10 if ".gate." in path else 1) * (plain - x), atol=1e-6)


def test_a_loss_that_is_not_finite_stops_at_once():
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="in epoch 1: try a learning rate below"):
        fit(SYSTEM, CONFIG, batch(1) | {"visual": np.full((19, 5), np.inf, np.float32)}, batch(2), RECIPE, 0)


def test_every_recipe_has_both_sizes_and_the_paper_000_is_as_published():
    assert all(set(sizes) == {"tiny", "paper"} for sizes in RECIPES.values())
    paper = RECIPES["paper-000"]["paper"]
    assert (paper.lr, paper.batch, paper.clip) == (5e-5, 32, 1.0)


def test_a_recipe_has_fewer_epochs_where_an_epoch_has_many_updates():
    recipe = Recipe(lr=1.0, epochs=9, batch=4, updates=20)
    assert [recipe.on(clips).epochs for clips in (1, 8, 9, 100, 1000)] == [9, 9, 6, 1, 1]
    assert replace(recipe, updates=None).on(1000).epochs == 9


def rates(recipe, losses):
    """Learning rates of len(losses) + 1 epochs."""
    history = [{"dev_loss": loss} for loss in losses]
    return [SCHEDULES[recipe.schedule](recipe, history[:epoch]) for epoch in range(len(losses) + 1)]


def test_cosine_goes_from_the_rate_to_the_floor():
    lr = rates(Recipe(lr=1e-2, floor=1e-4, epochs=11, schedule="cosine"), [0.0] * 10)
    assert lr[0] == pytest.approx(1e-2) and lr[-1] == pytest.approx(1e-4)
    assert lr[5] == pytest.approx((1e-2 + 1e-4) / 2) and lr == sorted(lr, reverse=True)
    assert rates(Recipe(lr=1e-2, epochs=1, schedule="cosine"), []) == [1e-2]


def test_step_decays_from_its_start_on():
    lr = rates(Recipe(lr=1.0, epochs=30, schedule="step", factor=0.9, start=15, every=5), [0.0] * 29)
    np.testing.assert_allclose(lr[:14], 1)
    np.testing.assert_allclose(lr[14:19], 0.9)
    np.testing.assert_allclose(lr[19:24], 0.81)


def test_plateau_decays_without_improvement():
    recipe = Recipe(lr=1.0, epochs=30, schedule="plateau", factor=0.1, every=2)
    np.testing.assert_allclose(rates(recipe, [3, 2, 2.5, 2.5, 1.9, 2, 2, 2, 2]), [1] * 8 + [0.1] * 2)


def test_coupled_decay_is_l2_in_the_gradient():
    one = replace(RECIPE, lr=1e-4, epochs=1)
    (plain, _), (decayed, _) = run(one), run(replace(one, weight_decay=1e4, coupled=True))
    assert np.abs(decayed.vector).sum() < np.abs(plain.vector).sum()  # Adam then steps towards 0 by about lr each time


def test_clipping_shortens_long_gradients_only():
    grad = np.array([3.0, 4.0])
    assert clip_norm(grad, 10.0) == 5 and grad[0] == 3
    assert clip_norm(grad, 1.0) == 5 and np.sqrt(grad @ grad) == pytest.approx(1)


def test_taking_rows_leaves_class_counts_whole():
    part = take(batch(1), slice(2, 5))
    assert len(part["visual"]) == len(part["target"]) == 3 and len(part["class_count"]) == 4


def test_a_development_set_is_evaluated_in_equal_chunks():
    p, big, sizes = params.init(SYSTEM.describe(CONFIG), 0), batch(3, n=130), []

    def forward(p, part, config):
        sizes.append(len(part["target"]))
        return SYSTEM.forward(p, part, config)

    value = evaluate(SimpleNamespace(loss=SYSTEM.loss, forward=forward), CONFIG, p, big)
    assert sizes == [43, 43, 44]
    out, _ = SYSTEM.forward(p, big, CONFIG)
    assert value == pytest.approx(float(SYSTEM.loss(out, big, CONFIG)[0]), rel=1e-5)


def test_a_lazy_batch_makes_the_rows_that_are_taken():
    whole = batch(1)
    targets = {k: whole.pop(k) for k in ("target", "class_count")}
    lazy = Lazy(lambda index: {k: x[index] for k, x in whole.items()}) | targets
    p, history = fit(SYSTEM, CONFIG, lazy, lazy, RECIPE, 0)
    again, same = fit(SYSTEM, CONFIG, whole | targets, whole | targets, RECIPE, 0)
    assert p.vector.tobytes() == again.vector.tobytes() and history == same
