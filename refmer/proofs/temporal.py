"""Cases along time: recurrences, temporal convolution, the TCN, the Conformer block, pooling over time."""

import numpy as np

from refmer.layers import auxformer, conformer, convolution, sequence
from refmer.ops import convolution as conv_ops
from refmer.ops import pooling as pool_ops
from refmer.ops import recurrent as recurrent_ops
from refmer.proofs import Case, plain, seeded, twice

B, T, C, H, E = 2, 5, 3, 4, 6
VALID = np.array([[True] * 5, [True, True, True, False, False]])
HOLES = np.array([[True, False, True, True, False], [False] * 5])  # frames missing in the middle, and a clip without frames


def cases():
    return ops() + recurrences() + convolutions() + poolings()


def ops():
    rng = np.random.default_rng(1)
    x, a = rng.normal(size=(B, T, C)), rng.dirichlet(np.ones(T), B)
    h0, c0 = rng.normal(size=(2, B, H))
    W, b, U, b_state, W2 = (rng.normal(size=shape) for shape in ((C, 4 * H), 4 * H, (H, 4 * H), 3 * H, (2 * C, H)))
    lstm, gru = (x, W, b, U, h0, c0), (x, W[:, H:], b[H:], U[:, H:], b_state, h0)
    constant = np.broadcast_to(x[:, :1], x.shape).copy()
    constant[0] = x[0]
    masked = {"mask": HOLES}
    rows = [Case(f.__name__, f, (x,), options=masked) for f in (pool_ops.masked_mean, pool_ops.masked_max, pool_ops.last_valid)]
    for f, inputs in ((recurrent_ops.lstm, lstm), (recurrent_ops.gru, gru)):
        variants = {"": {}, "masked": masked, "masked, backwards": masked | {"reverse": True}}
        rows += [Case(f.__name__, f, inputs, None, variant, options) for variant, options in variants.items()]
    rows += [
        Case("conv1d", conv_ops.conv1d, (x, W2, b[:H], HOLES, 2, 1, 1, 1, 0), variant="masked"),
        Case("depthwise_conv1d", conv_ops.depthwise_conv1d, (x, W2[:2, :C], b[:C], HOLES, 1, 2, 0, 2)),
        Case("weight_norm", conv_ops.weight_norm, (rng.normal(size=(C, H)), rng.normal(size=H))),
        Case("statistics", pool_ops.statistics, (x, a)),
        Case("statistics", pool_ops.statistics, (x, 0.7 * a), variant="weights of another sum"),
        Case("statistics", pool_ops.statistics, (constant, a), variant="a constant clip"),
    ]
    for padding, size, stride, dilation in [("valid", 2, 1, 1), ("same", 4, 2, 1), ("causal", 2, 3, 2)]:
        options = {"size": size, "stride": stride, "dilation": dilation, "padding": padding}
        rows.append(Case("windows", conv_ops.windows, (x,), variant=padding, options=options))
    return rows


def recurrences():
    rng = np.random.default_rng(1)
    x, state = rng.normal(size=(B, T, C)), rng.normal(size=(2, 2 * 2, B, H))
    one, both = sequence.describe_lstm(C, H), sequence.describe_lstm(C, H, layers=2, bidirectional=True)
    square, gru, direction = (
        sequence.describe_lstm(H, H),
        sequence.describe_gru(C, H),
        plain(sequence.lstm_direction, HOLES, True),
    )

    def given(p, x, state):
        return sequence.lstm(p, x, state, VALID)

    return [
        Case("lstm", sequence.lstm, (x,), one),
        Case("lstm", sequence.lstm, (x[:, :1],), one, "one step", zero=("layers.0.0.hidden.W",)),
        Case("lstm", seeded(sequence.lstm, mask=VALID, rate=0.3), (x,), both, "stacked both ways, dropout", directions=True),
        Case("lstm", given, (x, state), both, "initial states, mask", directions=True),
        Case("lstm", twice(sequence.lstm), (rng.normal(size=(B, 2, H)),), square, "applied twice", directions=True),
        Case("lstm_direction", direction, (x, *state[0, :2]), one["layers"][0][0], "masked, backwards"),
        Case("gru", sequence.gru, (x,), gru),
        Case("gru", lambda p, x, h0: sequence.gru(p, x, h0, HOLES, reverse=True), (x, state[0, 0]), gru, "masked, backwards"),
    ]


def convolutions():
    rng = np.random.default_rng(1)
    x, wide = rng.normal(size=(B, T, C)), rng.normal(size=(B, T, H))
    full, normed = convolution.describe_conv1d(C, H, 3), convolution.describe_weight_norm_conv1d(C, H, 2)
    depthwise, square = convolution.describe_depthwise_conv1d(C, 3), convolution.describe_conv1d(C, C, 2)
    block = conformer.describe_conformer_block(H, E, 3)
    tcn, tcn_block = convolution.describe_tcn(C, [C], 2), convolution.describe_tcn_block(H, E, 2)
    module, around = conformer.describe_convolution_module(H, 3), {"zero": ("attend.key.b",), "directions": True}
    rows = [
        Case("conv1d", plain(convolution.conv1d, 3, 2, 1, "same", HOLES), (x,), full, "stride, masked"),
        Case("conv1d", plain(convolution.conv1d, 3, dilation=2, padding="valid"), (x,), full, "dilation, valid"),
        Case("conv1d", plain(convolution.conv1d, 3), (x[:, :1],), full, "one step", directions=True),
        Case("conv1d", twice(plain(convolution.conv1d, 2, padding="causal")), (x,), square, "applied twice"),
        Case("weight_norm_conv1d", plain(convolution.weight_norm_conv1d, 2), (x,), normed),
        Case("depthwise_conv1d", plain(convolution.depthwise_conv1d, 2, 2, mask=VALID), (x,), depthwise),
        Case("half", seeded(conformer.half, rate=0.2), (wide,), conformer.describe_half(H, E), directions=True),
        Case("convolution_module", seeded(conformer.convolution_module, VALID, 0.2), (wide,), module, directions=True),
        Case("conformer_block", seeded(conformer.conformer_block, 2, VALID, 0.2), (wide,), block, **around),
        Case("hide", lambda x: convolution.hide(x, HOLES), (x,)),
        Case("tcn_block", seeded(convolution.tcn_block, 2, 2, mask=VALID, rate=0.2), (wide,), tcn_block, "masked, dropout"),
        Case("tcn", plain(convolution.tcn, 2, dilations=[3]), (x,), tcn, "dilation 3"),
    ]
    for weight_norm in (False, True):
        description = convolution.describe_tcn(C, [H, H], 2, weight_norm)
        f = seeded(convolution.tcn, 2, weight_norm=weight_norm, mask=VALID, rate=0.2)
        rows.append(Case("tcn", f, (x,), description, f"{weight_norm=}, mask, dropout"))
    return rows


def poolings():
    x, pool = np.random.default_rng(1).normal(size=(B, T, C)), sequence.describe_statistics_pool(C)
    return [
        Case("max_pool1d", lambda x: sequence.max_pool1d(x, 2, mask=HOLES), (x,), variant="masked"),
        Case("max_pool1d", lambda x: sequence.max_pool1d(x, 3, 1, "valid"), (x,), variant="overlapping, valid"),
        Case("mean_pool", sequence.mean_pool, (x, HOLES), variant="masked"),
        Case("mean_pool", sequence.mean_pool, (x,)),
        Case("last_step", auxformer.last_step, (x, VALID)),
        Case("last_valid_step", sequence.last_valid_step, (x, HOLES)),
        Case("prepend", sequence.prepend, (x,), sequence.describe_prepend(C)),
        Case("statistics_pool", sequence.statistics_pool, (x,), pool),
        Case("statistics_pool", sequence.statistics_pool, (x, HOLES), pool, "masked"),
    ]
