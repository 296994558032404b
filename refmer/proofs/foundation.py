"""Cases of the parts of every system: softmax, norms, linear maps, attention, the gate, classification losses."""

import numpy as np

from refmer.layers import attention, dense, gate
from refmer.ops import activations, losses
from refmer.ops import norms as norm_ops
from refmer.ops.attention import causal, key_mask
from refmer.proofs import Case, plain, seeded

B, T, S, C, H, K = 2, 3, 5, 6, 2, 4


def cases():
    return ops() + layers()


def ops():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(B, T, C))
    mask = rng.random((B, T, C)) > 0.4
    mask[1, 2] = False  # a row that is all masked
    logits = rng.normal(size=(S, K))
    target = {"target": rng.dirichlet(np.ones(K), S), "weight": rng.uniform(0.5, 2, K)}
    return [
        Case("relu", activations.relu, (x,)),
        Case("sigmoid", activations.sigmoid, (x,)),
        Case("softmax", activations.softmax, (x,)),
        Case("softmax", activations.softmax, (x,), variant="masked", options={"mask": mask}),
        Case("log_softmax", activations.log_softmax, (x,)),
        Case("layer_norm", norm_ops.layer_norm, (x, *rng.normal(size=(2, C)))),
        Case("batch_norm", norm_ops.batch_norm, (rng.normal(size=(S, C)), *rng.normal(size=(2, C)))),
        Case("cross_entropy", losses.cross_entropy, (logits,), options=target),
        *(
            Case("focal", losses.focal, (logits,), None, f"{gamma=}, {literal=}", target | {"gamma": gamma, "literal": literal})
            for gamma in (0.0, 0.5, 2.0)
            for literal in (True, False)
        ),
    ]


def layers():
    rng = np.random.default_rng(1)
    x, memory = rng.normal(size=(B, T, C)), rng.normal(size=(B, S, C))
    valid = np.array([[True, True, True, False, False], [False] * S])  # one clip short, one all masked
    mask = key_mask(valid) & causal(T, S)
    attend, masked = attention.describe_attention(C), seeded(attention.attention, H, mask=mask, rate=0.2)
    post = seeded(attention.post_norm_layer, H, rate=0.2)
    return [
        Case("linear", dense.linear, (x,), dense.describe_linear(C, 7)),
        Case("dropout", lambda x: dense.dropout(np.random.default_rng(3), x, 0.3), (x,)),
        Case("feed_forward", seeded(dense.feed_forward, rate=0.3), (x,), dense.describe_feed_forward(C, 7)),
        Case("layer_norm", dense.layer_norm, (x,), dense.describe_layer_norm(C)),
        Case("batch_norm", seeded(dense.batch_norm), (memory[0],), dense.describe_batch_norm(C), "training"),
        Case("batch_norm", dense.batch_norm, (memory[0],), dense.describe_batch_norm(C), "evaluation"),
        Case("attention", plain(attention.attention, H), (x, memory), attend, zero=("key.b",)),
        Case("attention", masked, (x, memory), attend, "masks and dropout", zero=("key.b",)),
        Case("post_norm_layer", post, (x,), attention.describe_encoder_layer(C, 7), zero=("attend.key.b",)),
        Case("gate", gate.gate, (x,), gate.describe_gate(C, 5)),
    ]
