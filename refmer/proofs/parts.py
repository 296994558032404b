"""Cases of the parts of which larger layers are made, by the files of refmer/layers, and of the ops that layers wrap."""

import numpy as np

from refmer.layers import auxformer, cmaer, convolution, dense, encoders, sequence, tlab, tlab_code
from refmer.ops import convolution as convolution_ops
from refmer.ops import dense as dense_ops
from refmer.proofs import Case, plain, seeded
from refmer.systems import auxformer as systems_auxformer

B, T, C, D, E = 2, 3, 6, 5, 4
SHORT, WHOLE = np.array([[True, True, False], [True, False, True]]), np.ones((B, D), bool)


def normal(*shape):
    return np.random.default_rng(7).normal(size=shape)


(X, Y), LONG, IMAGE = normal(2, B, T, C), normal(B, D, C), normal(B, T, E, C)
STREAMS, VALID = {"a": X, "b": LONG}, {"a": SHORT, "b": WHOLE}


def cases():
    parts = (ops, dense_and_sequence, convolution_and_encoders, of_auxformer, of_cmaer, of_tlab_jca)
    return [case for part in parts for case in part()]


def dropout(x, key, rate):
    """The op, with its arguments saved as `check.as_layer` expects it."""
    return dense_ops.dropout(x, key, rate), key, rate


dropout_backward = dense_ops.dropout_backward


def ops():
    W, b, W2 = normal(2 * C, D), normal(D), normal(4 * C, D)
    return [
        Case("linear", dense_ops.linear, (X, W[:C], b)),
        Case("dropout", dropout, (X, 7, 0.4), kind="op"),
        Case("conv1d", convolution_ops.conv1d, (X, W, b, SHORT, 2, 1, 1, 1, 0), variant="masked"),
        Case("conv2d", convolution_ops.conv2d, (IMAGE, W2, b, 2, 1, 1, 0)),
        Case("depthwise_conv1d", convolution_ops.depthwise_conv1d, (X, W2[:2, :1] + X[0, :2], X[0, 2], SHORT, 1, 2, 0, 2)),
    ]


def dense_and_sequence():
    states, one = normal(2, B, E), sequence.describe_lstm(C, E)["layers"][0][0]
    return [
        *(Case("activate", lambda x, f=f: dense.activate(f, x), (X,), variant=f) for f in ("relu", "gelu", "swish", "tanh")),
        Case("lstm_direction", plain(sequence.lstm_direction, SHORT, True), (X, *states), one, "masked, backwards"),
    ]


def convolution_and_encoders():
    block = convolution.describe_tcn_block(C, E, 2)
    return [
        Case("hide", lambda x: convolution.hide(x, SHORT), (X,)),
        Case("tcn_block", seeded(convolution.tcn_block, 2, 2, mask=SHORT, rate=0.2), (X,), block, "masked, dropout"),
        Case("thin", lambda x: encoders.thin(x, 2), (IMAGE,)),
    ]


def of_auxformer():
    config = systems_auxformer.Config(audio=D, visual=C, classes=3, width=C, heads=2, layers=1, token="prepended")
    enter, main = auxformer.describe_sequences(config), auxformer.describe_main(config)
    alone, keys = auxformer.describe_auxiliary(config, ["a"]), ("*key.b",)
    x = {m: normal(B, n, width) for m, n, width in (("audio", E, D), ("visual", T, C))}
    masks = {"audio_mask": WHOLE[:, :E], "visual_mask": SHORT}

    def enters(p, x):
        z, _, back = auxformer.sequence(p, x, SHORT)
        return z, back

    def both(p, x):
        (audio, _), (visual, _), back = auxformer.sequences(p, x | masks)
        return (audio, visual), lambda dy, g: back(*dy, g)

    def merges(p, a, v):
        return auxformer.main(p, (a, SHORT), (v, WHOLE), config)

    def asks(p, x, memory):
        return auxformer.branch(p, x, SHORT, memory, WHOLE, config)

    def alone_a(p, x):
        return auxformer.auxiliary(p, "a", x, SHORT, config)

    kinds = {"attention": ("attention", "*key.b"), "lstm": ("lstm",), "gru": ("gru",), "nothing": ("off",)}
    return [
        Case("sequence", enters, (X,), enter["visual"]),
        Case("sequences", both, (x,), enter),
        Case("no_positions", lambda x: auxformer.no_positions(x, SHORT), (X,)),
        Case("auxformer.head", auxformer.head, (X[0],), auxformer.describe_head(C, (D,), 3)),
        *(
            Case(f"{name}_within", plain(within, SHORT, config), (X,), describe(config), zero=tuple(zero))
            for name, (kind, *zero) in kinds.items()
            for describe, within in [auxformer.WITHIN[kind]]
        ),
        Case("branch", asks, (X, LONG), main["audio"], zero=keys, directions=True),
        Case("main", merges, (X, LONG), main, zero=keys, directions=True),
        Case("auxiliary", alone_a, (X,), alone, zero=keys, directions=True),
        Case("mean_logits", auxformer.mean_logits, (X,)),
        Case("mean_probabilities", auxformer.mean_probabilities, (X,)),
    ]


def of_cmaer():
    tree, present = cmaer.describe_cmaa(C, D), np.array([[True] * 3, [True, True, False]])
    weights = np.array([[0.3, 0.7], [0.6, 0.4]])
    alpha = weights[:, :, None] * (1 - np.eye(2))
    gate, maps = {k: tree[k] for k in ("gate", "norm")}, {k: tree[k] for k in ("query", "key", "value", "out")}
    return [
        Case("each", lambda x: cmaer.each(lambda m, y: convolution.hide(y, VALID[m]), x), (STREAMS,)),
        Case("time_means", lambda x: cmaer.time_means(x, VALID), (STREAMS,)),
        Case("arrange", cmaer.arrange, (STREAMS, weights), sequence.describe_embedding(2, C)),
        Case("compatibility", plain(cmaer.compatibility, present), (X,), tree["compatibility"], "one absent"),
        Case("exchange", lambda p, x, alpha: cmaer.exchange(p, x, alpha, VALID), (STREAMS, alpha), maps, "masked"),
        Case("gated_residual", cmaer.gated_residual, (X, Y), gate),
    ]


def of_tlab_jca():
    windows, valid = normal(2 * B, T, C), np.concatenate([SHORT, ~SHORT])  # two windows of 3 steps a clip, 5 steps in all

    def residual(f):
        def layer(y, block, x):
            y, back = f(y, block, x, SHORT, SHORT)
            return y, lambda dy: tuple(dx + np.zeros_like(dy) for dx in back(dy))

        return layer

    def gathered(target, pooled):
        return lambda h: tlab.gather(h, valid, B, D, target, pooled)

    def pair(joined):
        *parts, back = joined
        return tuple(parts), lambda dy: back(*dy)

    def answered(target):
        def layer(y):
            out, back = tlab.answer(y, T, B, D, target)
            (name,) = out
            return out[name], lambda dy: back({name: dy})

        return layer

    unused, three = ("input.1", "input.2"), (X, Y, normal(3, B, T, C)[2])
    fuse, code = tlab_code.describe_coattentions(C, T), tlab_code.describe_regressors(C, D, 2)
    return [
        Case("joined", lambda a, v: pair(tlab.joined(np.eye(T), a, v, SHORT)), (X, Y[..., :E])),
        Case("block_residual", residual(tlab.block_residual), three, zero=unused),
        Case("input_residual", residual(tlab.input_residual), three),
        *(
            Case("gather", gathered(*way), (windows,), variant=str(way))
            for way in (("affect", False), ("affect", True), ("emotion", False))
        ),
        Case("answer", answered("affect"), (windows,), variant="every step"),
        Case("answer", answered("affect"), (windows[:, 0],), variant="every window"),
        Case("answer", answered("emotion"), (X[:, 0],), variant="logits"),
        Case("coattentions", seeded(tlab_code.coattentions, SHORT, rate=0.1), (X, Y), fuse, "masked, dropout", directions=True),
        Case("regressors", seeded(tlab_code.regressors, rate=0.1), (X,), code, "dropout"),
    ]
