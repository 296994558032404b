"""Cases of paper 003: TLAB-JCA with every switch, its baselines, and the parts that only they have."""

from itertools import combinations

import numpy as np

from refmer.baselines import jca, leader_follower
from refmer.layers import tlab, tlab_code
from refmer.layers.convolution import describe_tcn
from refmer.layers.sequence import describe_lstm
from refmer.proofs import Case, plain, seeded
from refmer.proofs.systems import system_cases
from refmer.systems import tlab_jca

B, S, T, K = 3, 5, 4, 3  # two windows of 4 steps, the second mostly empty
TLAB = tlab_jca.Config(
    sound=(6,), face=(3, 5), steps=T, width=6, joint=8, head=7, hidden=2, positions=9, joint_layers=1, dropout_head=0.3
)
JCA = jca.Config(audio=7, visual=5, sound=(7,), face=(5,), steps=T, width=6, hidden=2, head=9, dropout_head=0.3)
LEADER = leader_follower.Config(visual=7, audio=5, mfcc=3, leader=(8, 6), follower=(7, 6), size=2, width=4, dropout=0.1)
FOLLOWERS = {"frames": 5, "voice": 4, "mfcc": 2}
STREAMS = {"audio": (4, 5), "visual": (3, 4, 5)}
RAW = {"encoders": True, "sound": (4, 5), "face": (3, 4, 5), "sound_trunk": (4,), "face_trunk": (4,)}  # what reads them
RNG = np.random.default_rng(4)
VALID = np.array([[True] * 5, [True, True, True, False, False], [True, False, True, True, False]])
PRESENT = np.array([True, False, True])[:, None]  # one recording without sound
AFFECT = {"target": RNG.uniform(-1, 1, (B, S, 2)), "target_mask": VALID}
EMOTION = {"target": RNG.dirichlet(np.ones(K), B), "class_count": np.array([2.0, 5.0, 3.0])}
TURNS = EMOTION | {"target": RNG.dirichlet(np.ones(K), (B, S)), "target_mask": VALID}
RATINGS = {"target": RNG.normal(size=(B, 2))}


def cases():
    return attention_cases() + block_cases() + window_cases() + model_cases()


def batch_of(**shapes):
    """Streams of the given frame shapes; streams of sound are missing in one recording."""
    rng = np.random.default_rng(5)
    batch = {}
    for name, shape in shapes.items():
        batch[f"{name}_mask"] = VALID if name == "visual" else VALID & PRESENT
        mask = batch[f"{name}_mask"].reshape(B, S, *[1] * len(shape))
        batch[name] = np.where(mask, rng.normal(size=(B, S, *shape)), 0)
    return batch


def attention_cases():
    rng, code = np.random.default_rng(6), tlab_code.describe_tlab_code(4)
    (a, b), audio, key = rng.normal(size=(2, B, S, 4)), rng.normal(size=(B, S, 3)), ("attend.key.b",)
    frames, streams = rng.normal(size=(B, T, 5, 6)), {name: rng.normal(size=(B, T, n)) for name, n in FOLLOWERS.items()}
    first = {name: x[:, :1] for name, x in streams.items()}
    places, follow = tlab.describe_avga(6, 4, 7, 3), leader_follower.describe_leader_follower(FOLLOWERS, 4)
    joint, dense = tlab.joint_cross_attention, tlab_code.dense_coattention
    rows = []
    for f, describe, variant, masked in (
        (joint, lambda n: tlab.describe_joint_cross_attention(3, 4, n, 7), "masked", plain(joint, VALID)),
        (dense, lambda n: tlab_code.describe_dense_coattention(3, 4, n), "masked, dropout", seeded(dense, VALID, 0.2)),
    ):
        rows += [Case(f.__name__, f, (audio, b), describe(S)), Case(f.__name__, masked, (audio, b), describe(S), variant)]
        rows.append(Case(f.__name__, f, (audio[:, :1], b[:, :1]), describe(1), "length 1"))
    return rows + [
        Case("tlab", tlab.tlab, (a, b), tlab.describe_tlab(4)),
        Case("tlab", plain(tlab.tlab, VALID & PRESENT, 1), (a, b), tlab.describe_tlab(4), "masked, banded"),
        Case(
            "tlab",
            tlab.tlab,
            (a[:, :1], b[:, :1]),
            tlab.describe_tlab(4),
            "length 1",
            zero=("query.W", "key.W", "input.recurrent"),
        ),
        Case("tlab_code", tlab_code.tlab_code, (a, b), code, zero=key),
        Case("tlab_code", seeded(tlab_code.tlab_code, VALID, 1, 0.1), (a, b), code, "banded, dropout", zero=key),
        Case("avga", tlab.avga, (frames, a[:, :T]), places),
        Case("avga", tlab.avga, (frames[:, :1], a[:, :1]), places, "length 1"),
        Case("leader_follower", leader_follower.leader_follower, (streams,), follow),
        Case("leader_follower", leader_follower.leader_follower, (first,), follow, "length 1"),
    ]


def block_cases():
    rng, mask = np.random.default_rng(6), VALID[:, :T]
    x, module = rng.normal(size=(B, T, 5)), tlab_code.describe_lstm_module(5, 6)
    paper = {"tcn": describe_tcn(4, [4, 4]), "lstm": describe_lstm(4, 4), "attention": tlab.describe_tlab(4)}
    code = paper | {"lstm": tlab_code.describe_lstm_module(4, 4), "attention": tlab_code.describe_tlab_code(4)}
    block = plain(tlab.temporal, mask, band=1)
    block_of_code = plain(tlab.temporal, mask, recur=tlab_code.lstm_module, attend=tlab_code.tlab_code, band=1)
    return [
        Case("lstm_module", tlab_code.lstm_module, (x, mask), module, "mask"),
        Case("lstm_module", seeded(tlab_code.lstm_module, rate=0.3), (x,), module, "dropout"),
        Case("temporal", block, (x[..., :4],), paper, "paper, band", directions=True),
        Case("temporal", block_of_code, (x[..., :4],), code, "code, band", zero=("*.attend.key.b",), directions=True),
    ]


def window_cases():
    rng, valid = np.random.default_rng(7), tlab.fold(VALID, T)[0]  # (2 B, T)
    three, windows = rng.normal(size=(3, B, S, 6)), rng.normal(size=(2 * B, T, 6))
    fuse, regress = tlab_code.describe_coattentions(6, S), tlab_code.describe_regressors(6, 5, 2)

    def residual(f):
        def layer(y, block, x):
            y, back = f(y, block, x, VALID, VALID)
            return y, lambda dy: tuple(dx + np.zeros_like(dy) for dx in back(dy))

        return layer

    def joined(a, v):
        *parts, back = tlab.joined(np.eye(S), a, v, VALID)
        return tuple(parts), lambda dy: back(*dy)

    def answered(over_time):
        def layer(y):
            out, back = tlab.answer(y, T, B, S, over_time)
            return out["logits"], lambda dy: back({"logits": dy})

        return layer

    return [
        Case("fold", lambda x: tlab.fold(x, 3), (three[0],)),
        Case("unfold", lambda x: tlab.unfold(x, 3, 4), (rng.normal(size=(6, 3, 2)),)),
        Case("joined", joined, (three[0], three[1, ..., :4])),
        Case("block_residual", residual(tlab.block_residual), tuple(three), zero=("input.block", "input.x")),
        Case("input_residual", residual(tlab.input_residual), tuple(three)),
        *(
            Case("gather", lambda h, way=way: tlab.gather(h, valid, B, S, *way), (windows,), variant=str(way))
            for way in ((True, False), (True, True), (False, False))
        ),
        Case("answer", answered(True), (windows,), variant="every step"),
        Case("answer", answered(True), (windows[:, 0],), variant="every window"),
        Case("answer", answered(False), (three[0, :, 0],), variant="logits"),
        Case(
            "coattentions",
            seeded(tlab_code.coattentions, VALID, rate=0.1),
            (three[0], three[1]),
            fuse,
            "masked, dropout",
            directions=True,
        ),
        Case("regressors", seeded(tlab_code.regressors, rate=0.1), (three[0],), regress, "dropout"),
    ]


def truth(config):
    if config.task == "regression":
        return AFFECT if config.over_time else RATINGS
    return TURNS if config.over_time else EMOTION


def model_cases():
    parts = ("tcn", "lstm", "attention")
    switches = [dict.fromkeys(off, False) for n in range(4) for off in combinations(parts, n)]
    switches += [{"band": 1, "dilations": (4, 4)}, {"residual": "input"}, {"pooled": True}, {"ddof": 1}]
    switches += [{"lstm_layers": 2, "joint_layers": 2}, {"variant": "code"}, {"variant": "code", "attention": False}]
    emotion = {"task": "classes", "classes": K, "over_time": False}
    raw = {"encoders=True": RAW, "face_encoder=patches": RAW | {"face_encoder": "patches"}}
    kinds = [emotion, emotion | {"over_time": True}, {"over_time": False}]
    batch, less = ({k: v[:2] for k, v in x.items()} for x in (batch_of(**STREAMS), AFFECT))
    sound, image = {"audio": (5,), "mfcc": (3,)}, {"encoders=True": {"encoders": True, "image": (5, 4), "trunk": (4,)}}

    def zero(config):
        return ("*.attend.key.b",) if config.variant == "code" and config.attention else ()  # softmax ignores it

    def zero_jca(config):
        return ("attend.audio.*",) if config.regress == "repository" else ()  # the attended sound is not used

    one = tuple(f"avga.{name}.*" for name in ("visual", "audio", "from_visual", "from_audio", "score"))  # of one position
    rows = [
        ("tlab_jca", TLAB, [*switches, *kinds], batch_of(audio=(6,), visual=(3, 5)), zero, truth),
        ("tlab_jca", TLAB, {"vectors": {"sound": (4,), "face": (1, 5)}}, batch_of(audio=(4,), visual=(1, 5)), one, truth),
        ("tlab_jca", TLAB, {name: change | {"steps": 3} for name, change in raw.items()}, batch, (), less),
        ("jca", JCA, [{}, *kinds, {"regress": "repository"}], batch_of(audio=(7,), visual=(5,)), zero_jca, truth),
        ("jca", JCA, {"positions": {"face": (3, 5)}}, batch_of(audio=(7,), visual=(3, 5)), (), truth),
        ("jca", JCA, raw, batch_of(**STREAMS), (), AFFECT),
        ("leader_follower", LEADER, [{}, *kinds], batch_of(visual=(7,), **sound), (), truth),
        ("leader_follower", LEADER, image, batch_of(visual=(5, 4), **sound), (), AFFECT),
    ]
    return [case for row in rows for case in system_cases(*row)]
