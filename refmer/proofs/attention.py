"""Cases of attention layers and of the layers that contain them."""

import numpy as np

from refmer.baselines import sfav
from refmer.layers import attention, auxformer, summarizer
from refmer.layers.sequence import positions
from refmer.ops import attention as attention_ops
from refmer.ops.attention import causal, key_mask
from refmer.proofs import Case, plain, seeded

B, T, S, C, H, D = 2, 3, 5, 6, 2, 4
SHORT = np.array([[True, True, True, False, False], [False] * S])  # one clip short, one all masked
RATES = attention.Rates(attention=0.2, relu=0.3, residual=0.1, embed=0.25)


def cases():
    return ops() + attentions() + encoders()


def ops():
    rng = np.random.default_rng(3)
    q, k = rng.normal(size=(B, H, T, D)), rng.normal(size=(B, H, S, D))
    mask = key_mask(SHORT) & causal(T, S)
    f = attention_ops.attention_weights
    attends = [
        Case("attend", attention_ops.attend, inputs, variant=variant, options={"heads": H, "c": 0.7})
        for variant, clips in (("", B), ("many small heads", 5))
        for inputs in [tuple(rng.normal(size=(clips, n, C)) for n in (T, S, S))]
    ]
    return attends + [
        Case("attention_weights", f, (q, k), variant=f"scale={scale}, {name}", options={"scale": scale} | options)
        for scale in ("width", "keys")
        for name, options in {"no mask": {}, "masked": {"mask": mask}}.items()
    ]


def attentions():
    rng = np.random.default_rng(3)
    x, memory, z = (rng.normal(size=(B, n, C)) for n in (T, S, T))
    dropped = seeded(attention.attention, H, mask=key_mask(SHORT) & causal(T, S), rate=0.2)
    attend, mask, alpha = attention.describe_attention(C), key_mask(SHORT), auxformer.describe_learned_residual()
    key, unused = ("key.b",), ("key.*", "query.*", "input.x")
    masked = plain(sfav.frame_attention, H, np.array([[True, True, False], [True] * 3]), np.array([SHORT[0], ~SHORT[1]]))
    frames, read = (x, memory[..., :5]), sfav.describe_frame_attention(C, 5, 4)
    return [
        Case("attention", plain(attention.attention, H), (x, memory), attend, zero=key),
        Case("attention", dropped, (x, memory), attend, "masks and dropout", zero=key),
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
    post, described = seeded(attention.post_norm_layer, H, rate=0.2), attention.describe_encoder_layer(C, 7)
    return rows + [
        Case("post_norm_layer", post, (x,), described, zero=("attend.key.b",)),
        Case(
            "embed", lambda x: attention.embed(x, positions, 0.25, np.random.default_rng(3)), (x,), variant="positions, dropout"
        ),
        Case("encoder", within, (x,), learned, "dropout", zero=zero),
        Case("cross_encoder", across, (x, memory), stack, "masked, positions, scale=keys", zero=zero),
        Case("cross_encoder", seeded(attention.cross_encoder, H, rates=RATES), (x, memory), stack, "dropout", zero=zero),
        Case("cross_encoder", plain(attention.cross_encoder, H), first, stack, "length 1", zero=zero),
        Case("decoder_layer", plain(summarizer.decoder_layer, H), (x[:, :1], memory), one, "one query", zero=self_only),
        Case("decoder_layer", plain(summarizer.decoder_layer, H, mask), (x, memory), one, "masked", zero=keys),
        Case("summarizer", seeded(summarizer.summarizer, H, rate=0.2), (x, memory), reader, "dropout", zero=keys),
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
