"""Cases of paper 001: OF-CMAER-CAT with every switch, and the general baselines that papers 000 and 001 name."""

import numpy as np

from refmer.baselines import late_fusion, lf_rnn, lmf, tfn
from refmer.layers import cmaer
from refmer.layers.convolution import hide
from refmer.layers.dense import describe_layer_norm
from refmer.layers.sequence import describe_embedding
from refmer.proofs import Case, plain
from refmer.proofs.systems import system_cases, vectors
from refmer.systems import of_cmaer_cat

B, K = 5, 4
WIDTHS = {"visual": (5, 7), "audio": 3, "physiology": 2, "text": 4}
STEPS = {"visual": 4, "audio": 7, "physiology": 3, "text": 2}
SMALL = of_cmaer_cat.Config(**WIDTHS, classes=K, width=6, hidden=5, head=9, heads=2, ffn=8, layers=1, dropout=0.2)


def cases():
    return part_cases() + of_cmaer_cat_cases() + baseline_cases()


def part_cases():
    rng = np.random.default_rng(3)
    streams = {name: rng.normal(size=(2, n, 4)) for name, n in {"sound": 3, "face": 5, "body": 2}.items()}
    aligned = {name: rng.normal(size=x.shape) for name, x in streams.items()}
    valid = {name: np.ones(x.shape[:2], bool) for name, x in streams.items()}
    valid["face"][0, 3:] = valid["body"][1] = False
    available = np.stack([mask.any(1) for mask in valid.values()], 1)
    w, alpha = rng.dirichlet(np.ones(3), 2), rng.dirichlet(np.ones(3), (2, 3)) * (1 - np.eye(3))
    single, pooled = ({name: x[:, :1] for name, x in part.items()} for part in (streams, aligned))
    align, weigh, norm = cmaer.describe_cmaa(4, 5), cmaer.describe_awom(4, 5), {"norm": describe_layer_norm(4)}
    maps, last = {k: align[k] for k in ("query", "key", "value", "out")}, ("score.maps.1.b",)  # shared by all scores: no effect
    pair, tree = {name: streams[name] for name in ("sound", "face")}, cmaer.describe_context(3, 4, 7, 1)

    def even(aligned):  # the weights do not depend on the streams
        (h, w), back = cmaer.even(None, streams, aligned, valid, available)
        return h, lambda dh: back((dh, np.zeros_like(w)), None)[1]

    return [
        Case("cmaa", cmaer.cmaa, (streams,), align),
        Case("cmaa", plain(cmaer.cmaa, valid, available), (streams,), align, "masked, one absent"),
        Case("cmaa", cmaer.cmaa, (single,), align, "length 1", zero=("query.W", "key.W")),
        Case("cmaa", cmaer.cmaa, (pair,), align, "two modalities", zero=("compatibility.W",)),
        Case("compatibility", plain(cmaer.compatibility, available), (aligned["sound"],), align["compatibility"], "one absent"),
        Case("exchange", plain(cmaer.exchange, valid), (streams, alpha), maps, "masked"),
        Case("gated_residual", cmaer.gated_residual, (streams["sound"], aligned["sound"]), norm | {"gate": align["gate"]}),
        Case("awom", cmaer.awom, (streams, aligned), weigh, zero=last),
        Case("awom", plain(cmaer.awom, valid, available), (streams, aligned), weigh, "masked", zero=last),
        Case("awom", cmaer.awom, (single, pooled), weigh, "length 1", zero=last),
        Case("each", lambda x: cmaer.each(lambda m, y: hide(y, valid[m]), x), (streams,)),
        Case("time_means", lambda x: cmaer.time_means(x, valid), (streams,)),
        Case("arrange", cmaer.arrange, (streams, w), describe_embedding(3, 4)),
        Case("context", plain(cmaer.context, valid, 2), (streams, w), tree, "modalities, masked", zero=("*.key.b",)),
        Case("keep", plain(cmaer.keep, valid, available), (streams,), norm),
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
    switches = [{"modalities": of_cmaer_cat.TEXT}, {"modalities": ("audio", "text")}, {"face": "patches"}, {"layers": 2}]
    switches += [{"mask_attention": False}, {"literal_entropy": True}, {"balanced": True}, {"reconstruction": 0.0}]
    switches += [{"entropy": 0.0}, {"classification": 0.5, "contrastive": 0.3, "temperature": 0.7}]
    switches += [{"cmaa": False}, {"awom": False}, {"encoders": False}, {"task": "regression"}]

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


def used(batch):
    """A function of a Config: the arrays of its modalities."""
    return lambda config: {k: x for k, x in batch.items() if k.removesuffix("_mask") in config.modalities}


def baseline_cases():
    sequence = sequences({"visual": 3, "audio": 2, "text": 5}, {"visual": 4, "audio": 3, "text": 2})
    widths = {"visual": 3, "audio": 2, "text": 5, "classes": K, "dropout": 0.3}
    read = [{"recurrent": names} for names in ((), ("text",), ("visual", "audio", "text"))]
    kinds = [{"task": "regression"}, {"modalities": ("audio", "text")}]
    averages = [{}, *kinds, {"average": "logits"}, {"joint": True}, {"average": "logits", "joint": True}]
    late = late_fusion.Config(visual=7, audio=3, text=2, classes=K, hidden=6)
    return (
        system_cases("tfn", tfn.Config(**widths, vectors=(2, 3, 4), hidden=7), [*read, *kinds], used(sequence))
        + system_cases("lmf", lmf.Config(**widths, vectors=(2, 3, 4), rank=3), [*read, *kinds], used(sequence))
        + system_cases("lf_rnn", lf_rnn.Config(**widths, width=3, hidden=7), [{}, *kinds], used(sequence))
        + system_cases("late_fusion", late, averages, used(vectors()), truth=facts(vectors()))
    )
