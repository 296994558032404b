"""Cases of paper 004: RAVER with every switch, and the baselines that come with it."""

from dataclasses import replace

import numpy as np

from refmer.baselines import sfav, transformer_lstm, vavl
from refmer.layers import summarizer as context
from refmer.proofs import Case, seeded
from refmer.proofs.systems import B, K, system_cases
from refmer.systems import raver

KEYS = ("*key.b",)  # softmax ignores a constant in the scores
RAVER = raver.Config(
    audio=8, audio_layers=3, visual=5, classes=K, width=8, heads=2, n_context=3, summary_layers=1, hidden=9, layers=1,
    encoder_hidden=7, dropout=0.1, embed_dropout=0.2, head_hidden=(6, 5),
)  # fmt: skip


def cases():
    return layer_cases() + raver_cases() + baseline_cases()


def sequences(audio, visual, T=(7, 6)):
    """Streams of one clip whole, one short, one with gaps, one without sound, one without face."""
    rng, lost = np.random.default_rng(4), {"audio": 3, "visual": 4}
    batch = {}
    for m, shape, steps in zip(("audio", "visual"), (audio, visual), T, strict=True):
        valid = np.arange(steps) < np.array([[steps], [4], [steps], [steps], [steps]])
        valid[2, 1::2] = False
        valid[lost[m]] = False
        batch[m], batch[f"{m}_mask"] = rng.normal(size=(B, steps, *shape)), valid
    return batch


def layer_cases():
    x = np.random.default_rng(4).normal(size=(2, 5, 6))
    valid = np.array([[True, True, False, True, False], [False] * 5])
    read = context.describe_learned_context(3, 6, 7, 1)
    inside = context.equal_windows(valid, 3)
    return [
        Case("learned_context", seeded(context.learned_context, 2), (x,), read, zero=KEYS),
        Case("learned_context", seeded(context.learned_context, 2, valid, 0.2), (x,), read, "masked, dropout", zero=KEYS),
        Case("window_means", context.window_means, (x, inside), variant="a short clip, an empty one"),
        Case("window_means", context.window_means, (x, context.equal_windows(valid, 7)), variant="more windows than steps"),
    ]


def raver_cases():
    batch = sequences((3, 8), (5,))
    one_token = ("*encode*query.*", "*cross*query.*", "*key.*", "*pool.hidden.*", "*pool.score.*")

    def zero(config):
        return one_token if config.summarizer == "mean" else KEYS

    forwards = [{"mask_context": False}, {"summarizer": "mean"}, {"summarizer": "strided"}]
    evaluated = [{"positions": False}, {"summarizer": "strided", "mask_context": False}, {"head": "out"}, {"width": 6}]
    evaluated += [{"output": "sigmoid"}]  # training differs from evaluation as in the default
    losses = [{"output": "sigmoid"}, {"output": "sigmoid", "balance": "none"}, {"balance": "sample"}, {"balance": "none"}]
    losses += [{"beta": 0.9, "normalise": False}, {"task": "regression"}]
    rows = system_cases("raver", replace(RAVER, summary_layers=2), [{}], batch, KEYS)
    for changes, parts in ((forwards, (0, 1)), (evaluated, (0,)), (losses, (2,))):
        rows += system_cases("raver", RAVER, changes, batch, zero, parts=parts)
    return rows


def baseline_cases():
    both, batch = {"audio": 3, "visual": 5, "classes": K, "heads": 2, "hidden": 9}, sequences((3,), (5,))
    small = vavl.Config(**both, narrow=7, width=8, kernel=3, own=1, shared=2, head_hidden=(6,))
    rows = system_cases("vavl", small, [{}, {"unimodal": 0.0}], batch, KEYS)
    small = transformer_lstm.Config(**both, width=8, layers=1)
    rows += system_cases("transformer_lstm", small, [{}, {"cross": False}], sequences((3,), (5,), (7, 7)), KEYS)
    small, changes = (
        sfav.Config(**both, blocks=(8, 6, 6, 4), dropout=0.2),
        [*({"fusion": name} for name in sfav.FUSIONS), {"task": "regression"}],
    )
    return rows + system_cases("sfav", small, changes, batch, lambda config: () if config.fusion == "attention" else KEYS)
