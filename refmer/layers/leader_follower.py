"""Fusion of the leader-follower baseline of paper 003: attention between the modalities of one frame (Zhang et al. 2021)."""

import numpy as np

from refmer.layers.dense import describe_layer_norm, describe_linear, layer_norm, linear
from refmer.layers.trace import note
from refmer.ops.attention import attention_weights, attention_weights_backward


def describe_leader_follower(widths, width=32):
    """`widths`: {modality: width of its stream}."""
    maps = {role: {name: describe_linear(n, width) for name, n in widths.items()} for role in ("query", "key", "value")}
    return maps | {"norm": describe_layer_norm(len(widths) * width)}


def leader_follower(p, streams, trace=None):
    """y = LN(softmax(k q^T / sqrt(D)) v + v), a token per modality, side by side; LN over all of them.

    streams {modality: (B, T, C)}, y (B, T, M D). Keys in the place of queries as in the authors' code, which also feeds the
    followers' keys, not their features, to their queries and values: not reproduced. The caller lays the leader beside y.
    """
    steps = [x.shape[:2] for x in streams.values()]
    if len(set(steps)) != 1:
        raise ValueError(f"streams have (clips, steps) {steps}; accepted: the same for all")
    backs = {}

    def tokens(role):  # (B, T, M, D)
        maps = getattr(p, role)
        y, backs[role] = zip(*(linear(getattr(maps, name), x) for name, x in streams.items()), strict=True)
        return np.stack(y, -2)

    q, k, v = (tokens(role) for role in ("query", "key", "value"))
    a, *saved = attention_weights(k, q)  # (B, T, M, M)
    s = a @ v + v
    y, back_norm = layer_norm(p.norm, s.reshape(*s.shape[:2], -1))
    note(trace, "attention", a)

    def backward(dy, g):
        ds = back_norm(dy, g.norm).reshape(s.shape)
        dk, dq = attention_weights_backward(ds @ v.swapaxes(-1, -2), *saved)
        dtokens = {"query": dq, "key": dk, "value": ds + a.swapaxes(-1, -2) @ ds}  # s = a v + v
        dx = dict.fromkeys(streams, 0.0)
        for role, d in dtokens.items():
            for i, (name, back) in enumerate(zip(streams, backs[role], strict=True)):
                dx[name] = dx[name] + back(d[:, :, i], getattr(getattr(g, role), name))
        return dx

    return y, backward
