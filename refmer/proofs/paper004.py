"""Cases of paper 004: RAVER with every switch, and the baselines that come with it."""

from dataclasses import replace

import numpy as np

from refmer.baselines import sfav, transformer_lstm, vavl
from refmer.layers import summarizer as context
from refmer.proofs import Case, seeded
from refmer.proofs.systems import B, K, system_cases
from refmer.systems import raver

KEYS = "*key.b"  # softmax ignores a constant in the scores
RAVER = raver.Config(
    audio=8, audio_layers=3, visual=5, classes=K, width=8, heads=2, n_context=3, summary_layers=1, hidden=9, layers=1,
    encoder_hidden=7, dropout=0.1, embed_dropout=0.2, head_hidden=(6, 5),
)  # fmt: skip


def cases():
    return layer_cases() + raver_cases() + vavl_cases() + sfav_cases() + transformer_lstm_cases()


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


def named(change):
    return ", ".join(f"{k}={v}" for k, v in change.items()) or "default"


def layer_cases():
    x = np.random.default_rng(4).normal(size=(2, 5, 6))
    valid = np.array([[True, True, False, True, False], [False] * 5])
    read = context.describe_learned_context(3, 6, 7, 1)
    inside = context.equal_windows(valid, 3)
    return [
        Case("learned_context", seeded(context.learned_context, 2), (x,), read, zero=(KEYS,)),
        Case("learned_context", seeded(context.learned_context, 2, valid, 0.2), (x,), read, "masked, dropout", zero=(KEYS,)),
        Case("window_means", context.window_means, (x, inside), variant="a short clip, an empty one"),
        Case("window_means", context.window_means, (x, context.equal_windows(valid, 7)), variant="more windows than steps"),
    ]


def raver_cases():
    batch, one_token = (
        sequences((3, 8), (5,)),
        ("*encode*query.*", "*cross*query.*", "*key.*", "*pool.hidden.*", "*pool.score.*"),
    )
    found = system_cases("raver", replace(RAVER, summary_layers=2), batch, "default", (KEYS,))
    both = (
        {"mask_context": False},
        {"summarizer": "mean"},
        {"summarizer": "strided"},
    )
    for change in both:
        zero = one_token if change.get("summarizer") == "mean" else (KEYS,)
        found += system_cases("raver", replace(RAVER, **change), batch, named(change), zero)[:2]
    wired = (
        {"positions": False},
        {"summarizer": "strided", "mask_context": False},
        {"head": "out"},
        {"width": 6},
        {"output": "sigmoid"},
    )
    for change in wired:  # what training adds is that of the default
        found += system_cases("raver", replace(RAVER, **change), batch, named(change), (KEYS,))[:1]
    lost = (
        {"output": "sigmoid"},
        {"output": "sigmoid", "balance": "none"},
        {"balance": "sample"},
        {"balance": "none"},
        {"beta": 0.9, "normalise": False},
    )
    for change in lost:
        found += system_cases("raver", replace(RAVER, **change), batch, named(change))[2:]
    return found


def vavl_cases():
    config = vavl.Config(
        audio=3, visual=5, classes=K, narrow=7, width=8, heads=2, hidden=9, kernel=3, own=1, shared=2, head_hidden=(6,)
    )
    return [
        case
        for change in ({}, {"unimodal": 0.0})
        for case in system_cases("vavl", replace(config, **change), sequences((3,), (5,)), named(change), ("*key.b",))
    ]


def sfav_cases():
    config = sfav.Config(audio=3, visual=5, classes=K, blocks=(8, 6, 6, 4), heads=2, hidden=9, dropout=0.2)
    zero = {"late": (KEYS,), "intermediate": (KEYS,), "attention": ()}
    return [
        case
        for fusion in sfav.FUSIONS
        for case in system_cases(
            "sfav", replace(config, fusion=fusion), sequences((3,), (5,)), f"fusion={fusion}", zero[fusion]
        )
    ]


def transformer_lstm_cases():
    config = transformer_lstm.Config(audio=3, visual=5, classes=K, width=8, heads=2, layers=1, hidden=9)
    return [
        case
        for change in ({}, {"cross": False})
        for case in system_cases(
            "transformer_lstm", replace(config, **change), sequences((3,), (5,), (7, 7)), named(change), (KEYS,)
        )
    ]
