"""Cases of activations, norms, dense parts, the gate, embeddings and fusion."""

import numpy as np

from refmer.layers import auxformer, dense, fusion, gate, sequence
from refmer.ops import activations, norms
from refmer.ops import dense as dense_ops
from refmer.ops import fusion as fusion_ops
from refmer.proofs import Case, plain, seeded, twice

B, T, L, C, D = 2, 3, 4, 6, 5
WIDTHS = {"voice": 3, "face": 2, "words": 4}
ACTIVATIONS = ("relu", "sigmoid", "tanh", "log_sigmoid", "gelu", "swish", "glu", "softmax", "log_softmax")


def cases():
    return ops() + dense_layers() + embedding_layers() + fusion_layers()


def dropout(x, key, rate):
    """The op, with its arguments saved as `check.as_layer` expects it."""
    return dense_ops.dropout(x, key, rate), key, rate


dropout_backward = dense_ops.dropout_backward


def ops():
    rng = np.random.default_rng(2)
    x, mask, W, b = 3 * rng.normal(size=(B, T, C)), rng.random((B, T, C)) > 0.4, rng.normal(size=(C, D)), rng.normal(size=D)
    mask[1, 2] = False  # a row that is all masked
    scale, parts = rng.normal(size=(2, C)), tuple(rng.normal(size=(B, width)) for width in WIDTHS.values())
    return [Case(name, getattr(activations, name), (x,)) for name in ACTIVATIONS] + [
        Case("log_sigmoid", activations.log_sigmoid, (20 * x,), variant="both tails"),
        Case("softmax", activations.softmax, (20 * x,), variant="large logits"),
        Case("softmax", activations.softmax, (x,), variant="masked", options={"mask": mask}),
        Case("linear", dense_ops.linear, (x, W, b)),
        Case("dropout", dropout, (x, 7, 0.4), kind="op"),
        Case("l2_normalise", norms.l2_normalise, (x,)),
        Case("l2_normalise", norms.l2_normalise, (x[:, :1],), variant="length 1"),
        Case("layer_norm", norms.layer_norm, (x, *scale)),
        Case("layer_norm", norms.layer_norm, (1e-6 * x, *scale), variant="variance 1e-12"),
        Case("batch_norm", norms.batch_norm, (rng.normal(size=(D, C)), *scale)),
        Case("outer_with_ones", fusion_ops.outer_with_ones, parts),
        Case("outer_with_ones", fusion_ops.outer_with_ones, parts[:1], variant="one modality"),
    ]


def dense_layers():
    x, rows = np.random.default_rng(2).normal(size=(B, T, C)), np.random.default_rng(3).normal(size=(D, C))

    def up(p, x):
        return dense.optional(p, "up", dense.linear, x)

    def maps(p, x):
        y, back = dense.stack(lambda q, x, i: dense.linear(q, x), p.maps, x)
        return y, lambda dy, g: back(dy, g.maps)

    map7, block, norm = dense.describe_linear(C, 7), dense.describe_feed_forward(C, 7), dense.describe_batch_norm(C)
    names = ("gelu", "swish", "tanh", "sigmoid")

    return [
        *(Case("activate", lambda x, f=f: dense.activate(f, x), (x,), variant=f) for f in ("relu", "gelu", "swish", "tanh")),
        *(Case("feed_forward", plain(dense.feed_forward, activation=name), (x,), block, name) for name in names),
        Case("feed_forward", seeded(dense.feed_forward, rate=0.3), (x,), block),
        Case("linear", dense.linear, (x,), map7),
        Case("linear", twice(dense.linear), (x,), dense.describe_linear(C, C), "called twice"),
        Case("project", dense.project, (x,), dense.describe_project(C, 7)),
        Case("dropout", lambda x: dense.dropout(np.random.default_rng(3), x, 0.3), (x,)),
        Case("layer_norm", dense.layer_norm, (x,), dense.describe_layer_norm(C)),
        Case("batch_norm", seeded(dense.batch_norm), (rows,), norm, "training"),
        Case("batch_norm", dense.batch_norm, (rows,), norm, "evaluation"),
        Case("gate", both_outputs, (x,), gate.describe_gate(C, 5)),
        Case("optional", up, (x,), {"up": dense.describe_linear(C, L)}),
        Case("optional", up, (x,), {}, "no such part"),
        Case("stack", maps, (x,), dense.describe_mlp(C, D, L)),
        Case("mlp", dense.mlp, (x[:, 0],), dense.describe_mlp(C, 7, D, L)),
        Case("mlp", seeded(dense.mlp, rate=0.3, activation="gelu"), (x,), dense.describe_mlp(C, 7, D), "dropout, gelu"),
        Case("mlp", dense.mlp, (x[:1, :1],), dense.describe_mlp(C, D), "one map, length 1"),
    ]


def both_outputs(p, x):
    """Return the gated x and the score as one output."""
    y, s, back = gate.gate(p, x)
    return (y, s), lambda dy, g: back(*dy, g)


def embedding_layers():
    rng = np.random.default_rng(2)
    x, layers = rng.normal(size=(B, T, C)), rng.normal(size=(B, T, L, D))
    valid, started = np.array([[True, True, False], [False] * T]), x[..., :5].copy()
    started[1, 1:, 0] = 0  # padding by the literal rule
    joined = plain(sequence.modality_embedding, np.array([0, 1, 1]))
    scores = sequence.describe_layer_sum(L)
    return [
        Case("modality_embedding", joined, (x,), sequence.describe_embedding(2, C)),
        Case("modality_embedding", plain(sequence.modality_embedding, 0), (x,), sequence.describe_embedding(7, C), "one"),
        Case("tokens", lambda p: sequence.tokens(p, B), (), sequence.describe_tokens(T, C)),
        Case("positions", sequence.positions, (x,)),
        Case("positions", lambda x: sequence.positions(x, valid), (x,), variant="masked"),
        Case("positions", lambda x: auxformer.literal_positions(x, None), (started,), variant="literal"),
        Case("layer_sum", sequence.layer_sum, (layers,), scores),
        Case("layer_sum", sequence.layer_sum, (layers[:, :1],), scores, "length 1"),
    ]


def fusion_layers():
    rng = np.random.default_rng(2)
    z = {name: rng.normal(size=(B, width)) for name, width in WIDTHS.items()}
    silent, low_rank = z | {"face": np.zeros((B, 2))}, fusion.describe_low_rank_fusion(WIDTHS, 2, D)
    return [
        Case("tensor_fusion", fusion.tensor_fusion, (z,), fusion.describe_tensor_fusion(WIDTHS, D)),
        Case("low_rank_fusion", fusion.low_rank_fusion, (z,), low_rank),
        Case("low_rank_fusion", fusion.low_rank_fusion, (silent,), low_rank, "a silent modality", zero=("*.face.W",)),
    ]
