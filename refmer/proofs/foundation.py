"""Cases of what every system uses: softmax, norms, linear maps, attention, the gate, classification losses."""

import numpy as np

from refmer.layers import attention, dense, gate
from refmer.ops import activations, losses
from refmer.ops import norms as norm_ops
from refmer.ops.attention import causal, key_mask
from refmer.proofs import Case, seeded

B, T, S, C, H, K = 2, 3, 5, 6, 2, 4


def cases():
    return ops() + layers()


def ops():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(B, T, C))
    mask = rng.random((B, T, C)) > 0.4
    mask[1, 2] = False  # a row with nothing left
    logits = rng.normal(size=(S, K))
    target = {"target": rng.dirichlet(np.ones(K), S), "weight": rng.uniform(0.5, 2, K)}
    found = [
        Case("relu", activations.relu, (x,)),
        Case("sigmoid", activations.sigmoid, (x,)),
        Case("softmax", activations.softmax, (x,)),
        Case("softmax", activations.softmax, (x,), variant="masked", options={"mask": mask}),
        Case("log_softmax", activations.log_softmax, (x,)),
        Case("layer_norm", norm_ops.layer_norm, (x, *rng.normal(size=(2, C)))),
        Case("batch_norm", norm_ops.batch_norm, (rng.normal(size=(S, C)), *rng.normal(size=(2, C)))),
        Case("cross_entropy", losses.cross_entropy, (logits,), options=target),
    ]
    for gamma in (0.0, 0.5, 2.0):
        for literal in (True, False):
            options = target | {"gamma": gamma, "literal": literal}
            found.append(Case("focal", losses.focal, (logits,), variant=f"{gamma=}, {literal=}", options=options))
    return [Case(**{**vars(c), "kind": "op"}) for c in found]


def layers():
    rng = np.random.default_rng(1)
    x, memory = rng.normal(size=(B, T, C)), rng.normal(size=(B, S, C))
    valid = np.array([[True, True, True, False, False], [False] * S])  # one clip short, one with nothing left
    mask = key_mask(valid) & causal(T, S)
    attend = attention.describe_attention(C)
    return [
        Case("linear", dense.linear, (x,), dense.describe_linear(C, 7)),
        Case("dropout", lambda x: dense.dropout(np.random.default_rng(3), x, 0.3), (x,)),
        Case("feed_forward", seeded(dense.feed_forward, rate=0.3), (x,), dense.describe_feed_forward(C, 7)),
        Case("layer_norm", dense.layer_norm, (x,), dense.describe_layer_norm(C)),
        Case("batch_norm", seeded(dense.batch_norm), (memory[0],), dense.describe_batch_norm(C), "training"),
        Case("batch_norm", dense.batch_norm, (memory[0],), dense.describe_batch_norm(C), "evaluation"),
        Case("attention", lambda p, x, m: attention.attention(p, x, m, H), (x, memory), attend, zero=("key.b",)),
        Case(
            "attention",
            seeded(attention.attention, H, mask=mask, rate=0.2),
            (x, memory),
            attend,
            variant="masks and dropout",
            zero=("key.b",),
        ),
        Case(
            "post_norm_layer",
            seeded(attention.post_norm_layer, H, rate=0.2),
            (x,),
            attention.describe_encoder_layer(C, 7),
            zero=("attend.key.b",),
        ),
        Case("gate", gate.gate, (x,), gate.describe_gate(C, 5)),
    ]
