"""Answers of paper 003: for a step, a window, a clip; only valid steps count."""

import numpy as np

from refmer.layers import answers, dense
from refmer.proofs import moved

B, S, T, D = 2, 5, 3, 4  # windows of 3 steps: two per clip
H = np.random.default_rng(0).normal(size=(B * 2, T, D))
VALID = np.array([[True] * 3, [True, False, False], [True, True, False], [False] * 3])
P = moved(dense.describe_linear(D, 2))


def test_a_window_is_answered_from_the_mean_over_its_valid_steps():
    y = answers.every_window(dense.linear, P, H, VALID, B, S)[0]["affect"]
    wanted = [H[0].mean(0), H[1, 0], H[2, :2].mean(0), np.zeros(D)]
    wanted = np.stack(wanted) @ P.W + P.b
    np.testing.assert_allclose(y, np.repeat(wanted, T, 0).reshape(B, 6, 2)[:, :S], rtol=1e-12)


def test_a_clip_is_answered_from_the_mean_over_all_its_valid_steps():
    y = answers.whole_clip(dense.linear, P, H, VALID, B, S)[0]["logits"]
    wanted = np.stack([np.concatenate([H[0], H[1, :1]]).mean(0), H[2, :2].mean(0)]) @ P.W + P.b
    np.testing.assert_allclose(y, wanted, rtol=1e-12)


def test_a_step_is_answered_by_itself_and_the_target_chooses():
    y = answers.every_step(dense.linear, P, H, VALID, B, S)[0]["affect"]
    np.testing.assert_allclose(y, (H @ P.W + P.b).reshape(B, 6, 2)[:, :S], rtol=1e-12)
    chosen = [answers.answer_for("affect"), answers.answer_for("affect", True), answers.answer_for("emotion", True)]
    assert chosen == [answers.every_step, answers.every_window, answers.whole_clip]
