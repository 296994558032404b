"""Cases of AuxFormer and of its baselines: every switch, with frames that are missing and a clip without a voice."""

import numpy as np

from refmer.baselines import auxformer_baseline1, mult, parthasarathy, unimodal
from refmer.layers import auxformer as networks
from refmer.proofs import Case, plain
from refmer.proofs.systems import B, K, system_cases
from refmer.systems import auxformer

SMALL = {"audio": 5, "visual": 7, "classes": K, "width": 6, "heads": 2, "layers": 1}
KEYS = ("*.attend.key.b",)  # softmax ignores a constant in the scores
CODE = {"positions": "literal", "causal": "padded", "hide_padding": False, "token": "last"}  # as the authors' code
SWITCHES = [  # several at once, each in another part
    {},
    CODE,
    {"positions": "off", "causal": "off", "token": "mean"},
    {"token": "prepended", "scale": "keys"},
    {"audio_conv": False, "audio": 6, "mix": "fixed"},
    {"mix": "off", "positions_within": True},
    {"within": "lstm", "weights": (0.5, 0.3, 0.2)},
    {"within": "gru", "average": "probabilities"},
    {"within": "off"},
]


def cases():
    crossed = [{}, {"causal": "clip", "token": "last_valid"}, {"token": "prepended"}]
    alone = [{}, *({k: v} for k, v in CODE.items()), {"token": "prepended"}, {"modality": "audio", "mix": "fixed"}]
    alone += [{"mix": "off", "positions_within": False}, {"task": "regression"}]
    rows = [
        ("auxformer", auxformer.Config(**SMALL, auxiliary_hidden=(8, 9), drop_cross=0.1), SWITCHES, KEYS),
        ("auxformer_baseline1", auxformer_baseline1.Config(**SMALL), [{}, {"layers": 2}], KEYS),
        ("mult", mult.Config(**SMALL), [{}], KEYS),
        ("parthasarathy", parthasarathy.Config(**SMALL), crossed, (*KEYS, "*.cross.key.b")),
        ("unimodal", unimodal.Config(**SMALL, auxiliary_hidden=(8, 9)), alone, KEYS),
    ]
    return part_cases() + [
        case for name, config, changes, zero in rows for case in system_cases(name, config, changes, frames, zero)
    ]


def part_cases():
    config, rng = auxformer.Config(**SMALL, token="prepended"), np.random.default_rng(7)
    batch, a, v = frames(config), rng.normal(size=(B, 5, 6)), rng.normal(size=(B, 3, 6))
    audio_mask, visual_mask = batch["audio_mask"], batch["visual_mask"]
    enter, main, alone = networks.describe_sequences(config), networks.describe_main(config), {"zero": KEYS, "directions": True}

    def sequence(p, x):
        z, _, back = networks.sequence(p, x, visual_mask)
        return z, back

    def sequences(p, x):
        (audio, _), (visual, _), back = networks.sequences(p, batch | x)
        return (audio, visual), lambda dy, g: back(*dy, g)

    def branch(p, x, memory):
        return networks.branch(p, x, visual_mask, memory, audio_mask, config)

    def both(p, x, y):
        return networks.main(p, (x, audio_mask), (y, visual_mask), config)

    def auxiliary(p, x):
        return networks.auxiliary(p, "a", x, audio_mask, config)

    return [
        Case("sequence", sequence, (batch["visual"],), enter["visual"]),
        Case("sequences", sequences, ({m: batch[m] for m in auxformer.MODALITIES},), enter),
        Case("no_positions", lambda x: networks.no_positions(x, visual_mask), (v,)),
        Case("auxformer.head", networks.head, (v[0],), networks.describe_head(6, (5,), 3)),
        *(
            Case(f"{kind}_within", plain(getattr(networks, f"{kind}_within"), visual_mask, config), (v,), tree, zero=zero)
            for kind, zero in {"attention": KEYS, "lstm": (), "gru": (), "nothing": ()}.items()
            for tree in [getattr(networks, f"describe_{kind}_within")(config)]
        ),
        Case("branch", branch, (v, a), main["visual"], **alone),
        Case("main", both, (a, v), main, **alone),
        Case("auxiliary", auxiliary, (a,), networks.describe_auxiliary(config, ["a"]), **alone),
        *(Case(f.__name__, f, (v,)) for f in (networks.mean_logits, networks.mean_probabilities)),
    ]


def frames(config):
    """Sequences of different lengths: ends that are padding, a hole, a clip without a voice. One, if config has a modality."""
    rng, batch = np.random.default_rng(1), {}
    for m, T in (("audio", 5), ("visual", 3)):
        x, mask = rng.normal(size=(B, T, getattr(config, m))), np.arange(T) < rng.integers(2, T + 1, (B, 1))
        mask[0, 0] = False
        if m == "audio":
            mask[3] = False
        if getattr(config, "modality", m) == m:
            batch[m], batch[f"{m}_mask"] = np.where(mask[..., None], x, 0), mask
    return batch
