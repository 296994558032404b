"""Cases and mistakes of exercise 16, loss, removed modalities and learning rate of AuxFormer's training."""

import numpy as np

from refmer.exercises.case import Case, Mistake


def logits(rng, ours, B, K):
    return *rng.normal(size=(3, B, K)), np.eye(K)[rng.integers(K, size=B)]


def one_clip(rng, ours, K):
    return logits(rng, ours, 1, K)


def large(rng, ours, B, K):
    main, voice, face, y = logits(rng, ours, B, K)
    return 1000 * main, voice, face, y


def streams(rng, B, T, S, D, E):
    """Return voice, face and a random order of the clips."""
    return rng.normal(size=(B, T, D)), rng.normal(size=(B, S, E)), rng.permutation(B)


def removed(rng, ours, B, T, S, D, E):
    return *streams(rng, B, T, S, D, E), 0.9, 1.5 / B


def not_a_number(rng, ours, B, T, S, D, E):
    voice, face, order = streams(rng, B, T, S, D, E)
    voice[order == 0] = face[order == 1] = np.nan
    return voice, face, order, 0.5, 1 / B


def at_the_ends(rng, ours, T, S, D, E):
    return *streams(rng, 8, T, S, D, E), 0.0, 0.25


def everything(rng, ours, B, T, S, D, E):
    return *streams(rng, B, T, S, D, E), 0.4, 0.5


def course(rng, ours):
    """Return losses that fall, rise, reach the lowest one again, stay above it, and fall again."""
    falling = 2 - 0.1 * np.arange(5) - rng.uniform(0, 0.05, 5)
    lowest = falling[-1:]
    above = lowest + np.tile([0.3, 0.2, 0.1], 5) + rng.uniform(0, 0.05, 15)
    return np.concatenate([falling, lowest + 0.3, lowest + 0.2, lowest, above, lowest - 0.1, lowest])


def rates(rng, ours):
    return course(rng, ours), rng.uniform(0.5, 1), 0.1, 3


def no_patience(rng, ours):
    return course(rng, ours), rng.uniform(0.5, 1), 0.5, 0


def always_lower(rng, ours, N):
    return -np.arange(N) - rng.uniform(0, 0.5, N), rng.uniform(0.5, 1), 0.1, 0


LOSS, LOSS_BACK, REMOVED, RATES = "our_loss", "our_loss_backward", "our_modality_dropout", "our_plateau_rates"
CASES = [
    Case("forward", LOSS, logits),
    Case("hard", LOSS, large, "logits of 1000"),
    Case("backward", LOSS_BACK, logits),
    Case("hard", LOSS_BACK, large, "logits of 1000"),
    Case("hard", LOSS_BACK, one_clip, "one clip"),
    Case("forward", REMOVED, removed),
    Case("hard", REMOVED, not_a_number, "lost features that are nan"),
    Case("hard", REMOVED, at_the_ends, "u that is equal to rate and to 2 rate"),
    Case("hard", REMOVED, everything, "a rate of 1/2: every clip loses one of the two"),
    Case("forward", RATES, rates),
    Case("hard", RATES, no_patience, "every = 0"),
    Case("hard", RATES, always_lower, "losses that fall in every epoch"),
]

TRAINING, OPTIMIZED, PLATEAU = "The loss of three networks", "Optimized training", "The learning rate on a plateau"
MISTAKES = [
    Mistake(
        "overflow",
        LOSS,
        "shifted = x - x.real.max(1, keepdims=True)",
        "shifted = x",
        "large logits overflow: subtract the largest of the row",
        TRAINING,
    ),
    Mistake(
        "loss of mean",
        LOSS,
        "for x in (main, voice, face):",
        "for x in 3 * ((main + voice + face) / 3,):",
        "the loss is that of the mean of the logits: each network has its own",
        TRAINING,
    ),
    Mistake("no third", LOSS_BACK, "/ (3 * len(y))", "/ len(y)", "the factor 1/3 of three networks is missing", TRAINING),
    Mistake(
        "slope not over B",
        LOSS_BACK,
        "/ (3 * len(y))",
        "/ 3",
        "each loss is a mean over clips: B is missing in the slope",
        TRAINING,
    ),
    Mistake(
        "overlap",
        REMOVED,
        "(u < rate) | (u >= 2 * rate)",
        "u >= 2 * rate",
        "clips that lose the voice lose the face, too: a clip loses one of the two",
        OPTIMIZED,
    ),
    Mistake(
        "modalities exchanged",
        REMOVED,
        "has_voice = u >= rate\n    has_face = (u < rate) | (u >= 2 * rate)",
        "has_face = u >= rate\n    has_voice = (u < rate) | (u >= 2 * rate)",
        "the first share loses the face and the second the voice: it is the other way round",
        OPTIMIZED,
    ),
    Mistake(
        "order unused",
        REMOVED,
        "(order + offset) / len(order)",
        "(np.arange(len(order)) + offset) / len(order)",
        "the order is not used: the first clips of the batch lose the voice",
        OPTIMIZED,
    ),
    Mistake(
        "offset unused", REMOVED, "(order + offset) / len(order)", "order / len(order)", "the offset is missing in u", OPTIMIZED
    ),
    Mistake(
        "end of the share",
        REMOVED,
        "has_voice = u >= rate",
        "has_voice = u > rate",
        "a clip with u = rate loses the face alone: the share of the voice ends before rate",
        OPTIMIZED,
    ),
    Mistake(
        "times 0",
        REMOVED,
        "np.where(has_face[:, None, None], face, 0)",
        "has_face[:, None, None] * face",
        "lost features are multiplied by 0: nan stays nan",
        OPTIMIZED,
    ),
    Mistake(
        "one epoch early",
        RATES,
        "if waited > every",
        "if waited >= every",
        "the rate is lowered after `every` epochs without a lower loss: it takes more than `every`",
        PLATEAU,
    ),
    Mistake(
        "equal is lower",
        RATES,
        "loss < lowest",
        "loss <= lowest",
        "a loss equal to the lowest counts as lower",
        PLATEAU,
    ),
    Mistake(
        "epoch before",
        RATES,
        "(lowest, waited + 1)",
        "(loss, waited + 1)",
        "a loss is compared with that of the epoch before: compare it with the lowest one up to now",
        PLATEAU,
    ),
    Mistake(
        "count goes on",
        RATES,
        "rate, waited = rate * factor, 0",
        "rate = rate * factor",
        "the count does not start at 0 again when the rate is lowered",
        PLATEAU,
    ),
    Mistake(
        "rate of the next epoch",
        RATES,
        "rate, waited = rate * factor, 0",
        "rate, waited = rate * factor, 0\n        rates[n] = rate",
        "the lower rate begins with the epoch after which it is lowered: it begins with the next one",
        PLATEAU,
    ),
]
LAWS = []
