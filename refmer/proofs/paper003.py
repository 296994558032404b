"""Cases of paper 003: TLAB-JCA with every switch, its baselines, and the parts that only they have."""

import numpy as np

from refmer.baselines import jca, leader_follower
from refmer.layers import tlab, tlab_code
from refmer.layers.convolution import describe_tcn
from refmer.layers.sequence import describe_lstm
from refmer.proofs import Case, seeded
from refmer.proofs.systems import system_cases
from refmer.systems import tlab_jca

B, S, T, K = 3, 5, 4, 3  # two windows of 4 steps, the second mostly empty
TLAB = tlab_jca.Config(
    sound=(6,), face=(3, 5), steps=T, width=6, joint=8, head=7, hidden=2, positions=9, joint_layers=1, dropout_head=0.3
)
JCA = jca.Config(audio=7, visual=5, sound=(7,), face=(5,), steps=T, width=6, hidden=2, head=9, dropout_head=0.3)
LEADER = leader_follower.Config(frames=7, logmel=5, mfcc=3, leader=(8, 6), follower=(7, 6), size=2, width=4, dropout=0.1)
STREAMS = {"logmel": (4, 5), "frames": (3, 4, 5)}
RAW = {"encoders": True, "sound": (4, 5), "face": (3, 4, 5), "sound_trunk": (4,), "face_trunk": (4,)}  # what reads them
RNG = np.random.default_rng(4)
VALID = np.array([[True] * 5, [True, True, True, False, False], [True, False, True, True, False]])
PRESENT = np.array([True, False, True])[:, None]  # one recording without sound
AFFECT = {"target": RNG.uniform(-1, 1, (B, S, 2)), "target_mask": VALID}
EMOTION = {"target": RNG.dirichlet(np.ones(K), B), "class_count": np.array([2.0, 5.0, 3.0])}


def cases():
    return parts() + tlab_jca_cases() + jca_cases() + leader_follower_cases()


def batch_of(**shapes):
    """Streams of the given frame shapes; streams of sound are missing in one recording."""
    rng = np.random.default_rng(5)
    batch = {}
    for name, shape in shapes.items():
        batch[f"{name}_mask"] = VALID if name in ("visual", "frames") else VALID & PRESENT
        mask = batch[f"{name}_mask"].reshape(B, S, *[1] * len(shape))
        batch[name] = np.where(mask, rng.normal(size=(B, S, *shape)), 0)
    return batch


def parts():
    rng, mask = np.random.default_rng(6), VALID[:, :T]
    x = rng.normal(size=(B, T, 5))
    module = tlab_code.describe_lstm_module(5, 6)
    parts_of_paper = {"tcn": describe_tcn(4, [4, 4]), "lstm": describe_lstm(4, 4), "attention": tlab.describe_tlab(4)}
    parts_of_code = parts_of_paper | {
        "lstm": tlab_code.describe_lstm_module(4, 4),
        "attention": tlab_code.describe_tlab_code(4),
    }

    def block(p, x):
        return tlab.temporal(p, x, mask, band=1)

    def block_of_code(p, x):
        return tlab.temporal(p, x, mask, recur=tlab_code.lstm_module, attend=tlab_code.tlab_code, band=1)

    return [
        Case("fold", lambda x: tlab.fold(x, 3), (x,)),
        Case("unfold", lambda x: tlab.unfold(x, 3, 4), (rng.normal(size=(6, 3, 2)),)),
        Case("lstm_module", tlab_code.lstm_module, (x, mask), module, "mask"),
        Case("lstm_module", seeded(tlab_code.lstm_module, rate=0.3), (x,), module, "dropout"),
        Case("temporal", block, (x[..., :4],), parts_of_paper, "paper, band", directions=True),
        Case("temporal", block_of_code, (x[..., :4],), parts_of_code, "code, band", zero=("*.attend.key.b",), directions=True),
    ]


def truth(config):
    return EMOTION if config.target == "emotion" else AFFECT


def tlab_jca_cases():
    changes = [{}, {"tcn": False}, {"lstm": False}, {"attention": False}, {"tcn": False, "attention": False}]
    changes += [{"lstm": False, "attention": False}, {"tcn": False, "lstm": False}]
    changes += [{"tcn": False, "lstm": False, "attention": False}, {"band": 1, "dilations": (4, 4)}, {"residual": "input"}]
    changes += [{"pooled": True}, {"ddof": 1}, {"lstm_layers": 2, "joint_layers": 2}]
    changes += [{"variant": "code"}, {"variant": "code", "attention": False}, {"target": "emotion", "classes": K}]

    def zero(config):
        return ("*.attend.key.b",) if config.variant == "code" and config.attention else ()  # softmax ignores it

    raw = {"encoders": True, "sound": (4, 5), "face": (3, 4, 5), "sound_trunk": (4,), "face_trunk": (4,), "steps": 3}
    batch, less = ({k: v[:2] for k, v in x.items()} for x in (batch_of(logmel=(4, 5), frames=(3, 4, 5)), AFFECT))
    rows = system_cases("tlab_jca", TLAB, changes, batch_of(audio=(6,), visual=(3, 5)), zero, truth)
    return rows + system_cases("tlab_jca", TLAB, {"encoders=True": raw}, batch, (), less)


def jca_cases():
    changes = [{}, {"target": "emotion", "classes": K}, {"regress": "repository"}]
    raw = {"encoders": True, "sound": (4, 5), "face": (3, 4, 5), "sound_trunk": (4,), "face_trunk": (4,)}

    def zero(config):
        return ("attend.audio.*",) if config.regress == "repository" else ()  # the attended sound is not used

    rows = system_cases("jca", JCA, changes, batch_of(audio=(7,), visual=(5,)), zero, truth)
    return rows + system_cases("jca", JCA, {"encoders=True": raw}, batch_of(logmel=(4, 5), frames=(3, 4, 5)), (), AFFECT)


def leader_follower_cases():
    changes, batch = [{}, {"target": "emotion", "classes": K}], batch_of(frames=(7,), logmel=(5,), mfcc=(3,))
    raw = {"encoders=True": {"encoders": True, "image": (5, 4), "trunk": (4,)}}
    images = batch_of(frames=(5, 4), logmel=(5,), mfcc=(3,))
    rows = system_cases("leader_follower", LEADER, changes, batch, (), truth)
    return rows + system_cases("leader_follower", LEADER, raw, images, (), AFFECT)
