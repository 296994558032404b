"""Cases of activations, norms, dense parts, embeddings and fusion."""

import numpy as np

from refmer.layers import auxformer, dense, fusion, sequence
from refmer.ops import activations, norms
from refmer.ops import fusion as fusion_ops
from refmer.proofs import Case, plain, seeded, twice

B, T, L, C, D = 2, 3, 4, 6, 5
WIDTHS = {"voice": 3, "face": 2, "words": 4}


def cases():
    return ops() + dense_layers() + embedding_layers() + fusion_layers()


def ops():
    rng = np.random.default_rng(2)
    x = 3 * rng.normal(size=(B, T, C))
    parts = [rng.normal(size=(B, width)) for width in WIDTHS.values()]
    return [
        Case("tanh", activations.tanh, (x,)),
        Case("log_sigmoid", activations.log_sigmoid, (x,)),
        Case("log_sigmoid", activations.log_sigmoid, (20 * x,), variant="both tails"),
        Case("gelu", activations.gelu, (x,)),
        Case("swish", activations.swish, (x,)),
        Case("glu", activations.glu, (x,)),
        Case("softmax", activations.softmax, (20 * x,), variant="large logits"),
        Case("l2_normalise", norms.l2_normalise, (x,)),
        Case("l2_normalise", norms.l2_normalise, (x[:, :1],), variant="length 1"),
        Case("layer_norm", norms.layer_norm, (1e-6 * x, *rng.normal(size=(2, C))), variant="variance 1e-12"),
        Case("outer_with_ones", fusion_ops.outer_with_ones, tuple(parts)),
        Case("outer_with_ones", fusion_ops.outer_with_ones, (parts[0],), variant="one modality"),
    ]


def dense_layers():
    x = np.random.default_rng(2).normal(size=(B, T, C))

    def up(p, x):
        return dense.optional(p, "up", dense.linear, x)

    def maps(p, x):
        y, back = dense.stack(lambda q, x, i: dense.linear(q, x), p.maps, x)
        return y, lambda dy, g: back(dy, g.maps)

    block = dense.describe_feed_forward(C, 7)
    names = ("gelu", "swish", "tanh", "sigmoid")

    def norm(p, x):
        return dense.learned(norms.layer_norm, norms.layer_norm_backward, p, ("gamma", "beta"), x)

    return [
        *(Case("feed_forward", plain(dense.feed_forward, activation=name), (x,), block, name) for name in names),
        Case("optional", up, (x,), {"up": dense.describe_linear(C, L)}),
        Case("optional", up, (x,), {}, variant="no such part"),
        Case("stack", maps, (x,), dense.describe_mlp(C, D, L)),
        Case("learned", norm, (x,), dense.describe_layer_norm(C)),
        Case("linear", twice(dense.linear), (x,), dense.describe_linear(C, C), variant="called twice"),
        Case("mlp", dense.mlp, (x[:, 0],), dense.describe_mlp(C, 7, D, L)),
        Case("mlp", seeded(dense.mlp, rate=0.3, activation="gelu"), (x,), dense.describe_mlp(C, 7, D), variant="dropout, gelu"),
        Case("mlp", dense.mlp, (x[:1, :1],), dense.describe_mlp(C, D), variant="one map, length 1"),
    ]


def embedding_layers():
    rng = np.random.default_rng(2)
    x, layers = rng.normal(size=(B, T, C)), rng.normal(size=(B, T, L, D))
    valid = np.array([[True, True, False], [False] * T])
    table, modalities = sequence.describe_embedding(7, C), sequence.describe_embedding(2, C)
    started = x.copy()
    started[1, 1:, 0] = 0  # padding by the literal rule
    joined = np.array([0, 1, 1])
    scores = sequence.describe_layer_sum(L)
    return [
        Case("modality_embedding", plain(sequence.modality_embedding, joined), (x,), modalities),
        Case("modality_embedding", plain(sequence.modality_embedding, 0), (x,), table, "one"),
        Case("tokens", lambda p: sequence.tokens(p, B), (), sequence.describe_tokens(T, C)),
        Case("positions", sequence.positions, (x,)),
        Case("positions", lambda x: sequence.positions(x, valid), (x,), variant="masked"),
        Case("positions", lambda x: auxformer.literal_positions(x, None), (started[..., :5],), variant="literal"),
        Case("layer_sum", sequence.layer_sum, (layers,), scores),
        Case("layer_sum", sequence.layer_sum, (layers[:, :1],), scores, variant="length 1"),
    ]


def fusion_layers():
    rng = np.random.default_rng(2)
    z = {name: rng.normal(size=(B, width)) for name, width in WIDTHS.items()}
    silent = z | {"face": np.zeros((B, 2))}
    low_rank = fusion.describe_low_rank_fusion(WIDTHS, 2, D)
    return [
        Case("tensor_fusion", fusion.tensor_fusion, (z,), fusion.describe_tensor_fusion(WIDTHS, D)),
        Case("low_rank_fusion", fusion.low_rank_fusion, (z,), low_rank),
        Case("low_rank_fusion", fusion.low_rank_fusion, (silent,), low_rank, variant="a silent modality", zero=("*.face.W",)),
    ]
