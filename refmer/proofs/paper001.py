"""Cases of paper 001: OF-CMAER-CAT with every switch, and the general baselines that papers 000 and 001 name."""

import numpy as np

from refmer.baselines import late_fusion, lf_rnn, lmf, tfn
from refmer.layers import cmaer, encoders
from refmer.layers.dense import describe_layer_norm
from refmer.proofs import Case
from refmer.proofs.systems import system_cases, vectors
from refmer.systems import of_cmaer_cat

B, K = 5, 4
WIDTHS = {"visual": (5, 7), "audio": 3, "physiology": 2, "text": 4}
STEPS = {"visual": 4, "audio": 7, "physiology": 3, "text": 2}
SMALL = of_cmaer_cat.Config(**WIDTHS, classes=K, width=6, hidden=5, head=9, heads=2, ffn=8, layers=1, dropout=0.2)


def cases():
    return layout_cases() + part_cases() + of_cmaer_cat_cases() + baseline_cases()


def layout_cases():
    rng = np.random.default_rng(1)
    x, mask = rng.normal(size=(2, 3, 5, 7)), np.array([[True, True, False], [True] * 3])
    tree = encoders.describe_layout_encoder((5, 7), 3)
    return [
        Case("layout_encoder", encoders.layout_encoder, (x,), tree),
        Case("layout_encoder", lambda p, x: encoders.layout_encoder(p, x, mask), (x,), tree, "masked"),
    ]


def part_cases():
    rng, C = np.random.default_rng(1), 6
    a, b, w = rng.normal(size=(2, 3, C)), rng.normal(size=(2, 5, C)), rng.dirichlet(np.ones(2), 2)
    valid = {"a": np.array([[True, True, False], [True] * 3]), "b": np.array([[True] * 5, [False] * 5])}
    available = np.stack([v.any(1) for v in valid.values()], 1)

    def context(p, streams, w):
        return cmaer.context(p, streams, w, valid, 2)

    def keep(p, streams):
        return cmaer.keep(p, streams, valid, available)

    def even(aligned):  # the weights do not depend on the streams
        (h, w), back = cmaer.even(None, streams, aligned, valid, available)
        return h, lambda dh: back((dh, np.zeros_like(w)), None)[1]

    streams, tree = {"a": a, "b": b}, cmaer.describe_context(2, C, 7, 1)
    return [
        Case("context", context, (streams, w), tree, "modalities, masked", zero=("*.key.b",)),
        Case("keep", keep, (streams,), {"norm": describe_layer_norm(C)}),
        Case("even", even, (streams,), variant="masked"),
    ]


def sequences(widths, steps):
    """Ragged streams {name: (B, T, ...)} with masks; the second is missing in clip 3, all but the first in clip 4."""
    rng, batch = np.random.default_rng(1), {}
    for i, (name, width) in enumerate(widths.items()):
        T = steps[name]
        mask = np.arange(T) < (T - np.arange(B) % 3).clip(1)[:, None]
        mask[3:] &= i == 0 or (i != 1 and np.arange(2)[:, None] == 0)
        shape = width if isinstance(width, tuple) else (width,)
        batch[name] = rng.normal(size=(B, T, *shape))
        batch[f"{name}_mask"] = mask
    return batch


def facts(batch):
    """Inputs of the loss in addition to the output: the truth, and the masks."""
    rng = np.random.default_rng(2)
    truth = {"target": rng.dirichlet(np.ones(K), B), "class_count": rng.integers(1, 9, K).astype(float)}
    return truth | {k: x for k, x in batch.items() if k.endswith("_mask")}


def of_cmaer_cat_cases():
    switches = [{"modalities": of_cmaer_cat.TEXT}, {"modalities": ("audio", "text")}, {"face": "layout"}, {"layers": 2}]
    switches += [{"mask_attention": False}, {"literal_entropy": True}, {"balanced": True}, {"reconstruction": 0.0}]
    switches += [{"entropy": 0.0}, {"classification": 0.5, "contrastive": 0.3, "temperature": 0.7}]
    switches += [{"cmaa": False}, {"awom": False}]

    def batch(config):
        return sequences({m: WIDTHS[m] for m in config.modalities}, STEPS)

    def zero(config):
        """Softmax ignores a constant in the scores; with a single partner it ignores all of them."""
        names = ("context.*.key.b",) if config.transformer else ()
        names += ("awom.score.maps.1.b",) if config.awom else ()
        return names + (("cmaa.compatibility.W",) if config.cmaa and len(config.modalities) == 2 else ())

    return [
        case
        for changes in ([{}, *switches], of_cmaer_cat.LADDER)
        for case in system_cases("of_cmaer_cat", SMALL, changes, batch, zero, lambda config: facts(batch(config)))
    ]


def baseline_cases():
    sequence = sequences({"visual": 3, "audio": 2, "text": 5}, {"visual": 4, "audio": 3, "text": 2})
    widths = {"visual": 3, "audio": 2, "text": 5, "classes": K, "dropout": 0.3}
    read = [{"recurrent": names} for names in ((), ("text",), ("visual", "audio", "text"))]
    averages = [{}, {"average": "logits"}, {"joint": True}, {"average": "logits", "joint": True}]
    late = late_fusion.Config(visual=7, audio=3, text=2, classes=K, hidden=6)
    return (
        system_cases("tfn", tfn.Config(**widths, vectors=(2, 3, 4), hidden=7), read, sequence)
        + system_cases("lmf", lmf.Config(**widths, vectors=(2, 3, 4), rank=3), read, sequence)
        + system_cases("lf_rnn", lf_rnn.Config(**widths, width=3, hidden=7), [{}], sequence)
        + system_cases("late_fusion", late, averages, vectors(), truth=facts(vectors()))
    )
