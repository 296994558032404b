"""Cases of attention layers and of the layers that contain them."""

import numpy as np

from refmer.baselines import leader_follower, sfav
from refmer.layers import attention, auxformer, cmaer, summarizer, tlab, tlab_code
from refmer.layers.dense import describe_project, project
from refmer.layers.sequence import positions
from refmer.ops import attention as attention_ops
from refmer.ops.attention import causal, key_mask
from refmer.proofs import Case, plain, seeded

B, T, S, C, H, D = 2, 3, 5, 6, 2, 4
SHORT = np.array([[True, True, True, False, False], [False] * S])  # one clip short, one all masked
RATES = attention.Rates(attention=0.2, relu=0.3, residual=0.1, embed=0.25)


def cases():
    return ops() + attentions() + encoders() + alignment() + temporal() + spatial()


def ops():
    rng = np.random.default_rng(3)
    q, k = rng.normal(size=(B, H, T, D)), rng.normal(size=(B, H, S, D))
    mask = key_mask(SHORT) & causal(T, S)
    f = attention_ops.attention_weights
    inputs = tuple(rng.normal(size=(B, n, C)) for n in (T, S, S))
    return [Case("attend", attention_ops.attend, inputs, options={"heads": H, "c": 0.7})] + [
        Case("attention_weights", f, (q, k), variant=f"scale={scale}, {name}", options={"scale": scale} | options)
        for scale in ("width", "keys")
        for name, options in {"no mask": {}, "masked": {"mask": mask}}.items()
    ]


def attentions():
    rng = np.random.default_rng(3)
    x, memory, z = (rng.normal(size=(B, n, C)) for n in (T, S, T))
    attend, mask, alpha = attention.describe_attention(C), key_mask(SHORT), auxformer.describe_learned_residual()
    key, unused = ("key.b",), ("key.*", "query.*", "input.0")
    masked = plain(sfav.frame_attention, H, np.array([[True, True, False], [True] * 3]), np.array([SHORT[0], ~SHORT[1]]))
    frames, read = (x, memory[..., :5]), sfav.describe_frame_attention(C, 5, 4)
    return [
        Case("project", project, (x,), describe_project(C, 7)),
        Case("attention", plain(attention.attention, H, mask, scale="keys"), (x, memory), attend, "scale=keys", zero=key),
        Case("attention", twice, (x, memory), attend, "twice on the same parameters", zero=key),
        Case("attention", plain(attention.attention, H), (x[:, :1], memory), attend, "one query", zero=key),
        Case("attention", plain(attention.attention, H), (x, memory[:, :1]), attend, "one key", zero=unused),
        Case("frame_attention", plain(sfav.frame_attention, H), frames, read),
        Case("frame_attention", masked, frames, read, "masked"),
        Case("add", attention.add, (x, z), {}),
        Case("fixed_residual", auxformer.fixed_residual, (x, z), {}),
        Case("learned_residual", auxformer.learned_residual, (x, z), alpha),
    ]


def encoders():
    rng = np.random.default_rng(3)
    x, memory = rng.normal(size=(B, T, C)), rng.normal(size=(B, S, C))
    mask = key_mask(SHORT)
    rows, alpha = [], auxformer.describe_learned_residual()
    for mix, residual in auxformer.MIXES.items():
        described = attention.describe_encoder_layer(C, 5) | (alpha if mix == "learned" else {})
        f = plain(attention.pre_norm_layer, H, causal(T, T), residual=residual)
        rows.append(Case("pre_norm_layer", f, (x,), described, f"{mix=}, causal", zero=("attend.key.b",)))
        f = seeded(attention.cross_layer, H, mask, RATES, residual=residual)
        rows.append(Case("cross_layer", f, (x, memory), described, f"{mix=}, masks and dropout", zero=("attend.key.b",)))
    stack, zero = attention.describe_encoder(C, 5, 2), ("layers.*.attend.key.b",)
    learned = stack | {"layers": [layer | alpha for layer in stack["layers"]]}
    places = (positions, lambda m: positions(m, SHORT))
    across = plain(attention.cross_encoder, H, mask, places=places, scale="keys")
    within = seeded(attention.encoder, H, rates=RATES, place=positions, residual=auxformer.learned_residual)
    reader, one = summarizer.describe_summarizer(C, 7, 2), summarizer.describe_decoder_layer(C, 7)
    keys, self_only = ("*attend.key.b", "*cross.key.b"), ("attend.key.*", "attend.query.*", "cross.key.b")
    first = (x[:, :1], memory)

    def entered(x):
        return attention.embed(x, positions, 0.25, np.random.default_rng(3))

    return rows + [
        Case("embed", entered, (x,), variant="positions, dropout"),
        Case("encoder", within, (x,), learned, "dropout", zero=zero),
        Case("cross_encoder", across, (x, memory), stack, "masked, positions, scale=keys", zero=zero),
        Case("cross_encoder", seeded(attention.cross_encoder, H, rates=RATES), (x, memory), stack, "dropout", zero=zero),
        Case("cross_encoder", plain(attention.cross_encoder, H), first, stack, "length 1", zero=zero),
        Case("decoder_layer", plain(summarizer.decoder_layer, H), (x[:, :1], memory), one, "one query", zero=self_only),
        Case("decoder_layer", plain(summarizer.decoder_layer, H, mask), (x, memory), one, "masked", zero=keys),
        Case("summarizer", seeded(summarizer.summarizer, H, rate=0.2), (x, memory), reader, "dropout", zero=keys),
    ]


def alignment():
    rng = np.random.default_rng(3)
    streams = {name: rng.normal(size=(B, n, 4)) for name, n in {"sound": 3, "face": 5, "body": 2}.items()}
    aligned = {name: rng.normal(size=x.shape) for name, x in streams.items()}
    valid = {name: np.ones(x.shape[:2], bool) for name, x in streams.items()}
    valid["face"][0, 3:] = False
    available = np.array([[True, True, True], [True, True, False]])
    align, weigh = cmaer.describe_cmaa(4, 5), cmaer.describe_awom(4, 5)
    last = ("score.maps.1.b",)  # shared by all scores: softmax ignores it
    pair = {name: streams[name] for name in ("sound", "face")}
    pooled = {name: y[:, :1] for name, y in aligned.items()}
    single = {name: x[:, :1] for name, x in streams.items()}
    return [
        Case("cmaa", cmaer.cmaa, (streams,), align),
        Case("cmaa", lambda p, x: cmaer.cmaa(p, x, valid, available), (streams,), align, "masked, one absent"),
        Case("cmaa", cmaer.cmaa, (single,), align, "length 1", zero=("query.W", "key.W")),
        Case("awom", cmaer.awom, (single, pooled), weigh, "length 1", zero=last),
        Case("cmaa", cmaer.cmaa, (pair,), align, "two modalities", zero=("compatibility.W",)),
        Case("awom", cmaer.awom, (streams, aligned), weigh, zero=last),
        Case("awom", lambda p, x, y: cmaer.awom(p, x, y, valid, available), (streams, aligned), weigh, "masked", zero=last),
    ]


def temporal():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(B, S, 4)), rng.normal(size=(B, S, 4))
    audio, visual = rng.normal(size=(B, S, 3)), rng.normal(size=(B, S, 4))
    valid = np.array([[True] * 3 + [False] * 2, [True] * S])
    code = tlab_code.describe_tlab_code(4)
    joint, dense = tlab.describe_joint_cross_attention(3, 4, S, 7), tlab_code.describe_dense_coattention(3, 4, S)
    joint1, dense1 = tlab.describe_joint_cross_attention(3, 4, 1, 7), tlab_code.describe_dense_coattention(3, 4, 1)
    one, blind = (audio[:, :1], visual[:, :1]), ("query.W", "key.W", "input.0")
    return [
        Case("tlab", tlab.tlab, (a, b), tlab.describe_tlab(4)),
        Case("tlab", plain(tlab.tlab, SHORT, 1), (a, b), tlab.describe_tlab(4), "masked, banded"),
        Case("tlab", tlab.tlab, (a[:, :1], b[:, :1]), tlab.describe_tlab(4), "length 1", zero=blind),
        Case("tlab_code", tlab_code.tlab_code, (a, b), code, zero=("attend.key.b",)),
        Case("tlab_code", seeded(tlab_code.tlab_code, valid, 1, 0.1), (a, b), code, "banded, dropout", zero=("attend.key.b",)),
        Case("joint_cross_attention", tlab.joint_cross_attention, (audio, visual), joint),
        Case("joint_cross_attention", plain(tlab.joint_cross_attention, valid), (audio, visual), joint, "masked"),
        Case("dense_coattention", tlab_code.dense_coattention, (audio, visual), dense),
        Case("dense_coattention", seeded(tlab_code.dense_coattention, valid, 0.2), (audio, visual), dense, "masked, dropout"),
        Case("joint_cross_attention", tlab.joint_cross_attention, one, joint1, "length 1"),
        Case("dense_coattention", tlab_code.dense_coattention, one, dense1, "length 1"),
    ]


def spatial():
    rng = np.random.default_rng(3)
    frames, audio = rng.normal(size=(B, T, S, C)), rng.normal(size=(B, T, 4))
    streams = {name: rng.normal(size=(B, T, n)) for name, n in {"frames": 5, "voice": 4, "mfcc": 2}.items()}
    widths = {name: x.shape[-1] for name, x in streams.items()}
    one = {name: x[:, :1] for name, x in streams.items()}
    follow = leader_follower.describe_leader_follower(widths, 4)
    return [
        Case("avga", tlab.avga, (frames, audio), tlab.describe_avga(C, 4, 7, 3)),
        Case("leader_follower", leader_follower.leader_follower, (streams,), follow),
        Case("avga", tlab.avga, (frames[:, :1], audio[:, :1]), tlab.describe_avga(C, 4, 7, 3), "length 1"),
        Case("leader_follower", leader_follower.leader_follower, (one,), follow, "length 1"),
    ]


def twice(p, x, memory):
    """Attention twice with the same parameters."""
    h, back1 = attention.attention(p, x, memory, H)
    y, back2 = attention.attention(p, h, memory, H)

    def backward(dy, g):
        dh, dmemory2 = back2(dy, g)
        dx, dmemory1 = back1(dh, g)
        return dx, dmemory1 + dmemory2

    return y, backward
