"""The parts of TLAB-JCA (paper 003) by its equations; tlab_jca_code.py has what the authors' code has in their places.

Both modules have the same five pairs: `recur` (eq. 2), `attend` (eq. 3-6), `fuse` (eq. 8-11), `join` (eq. 13), `head` (eq. 14).
`valid` (B, T) is True where a step is valid; `rates` are of dropout.
"""

from refmer.layers.coattention import describe_joint_cross_attention, joint_cross_attention
from refmer.layers.dense import describe_mlp, mlp
from refmer.layers.sequence import describe_lstm, lstm
from refmer.layers.tlab import describe_tlab, tlab


def describe_recur(width, layers):
    return describe_lstm(width, width, layers)


def recur(p, x, valid, rates, rng):
    """L = LSTM(x), eq. (2): from the past only, as the text contrasts it with the BLSTM of eq. (13)."""
    return lstm(p, x, mask=valid, rate=rates.lstm, rng=rng)


def describe_attend(width):
    return describe_tlab(width)


def attend(p, recurrent, convolved, valid, rates, rng, band, trace):
    """y = A_G (A_L V), eq. (3)-(6)."""
    return tlab(p, recurrent, convolved, valid, band, trace)


def describe_fuse(width, steps, hidden):
    return describe_joint_cross_attention(width, width, steps, hidden)


def fuse(p, audio, visual, valid, rates, rng, trace):
    """Joint cross-attention, eq. (8)-(11)."""
    return joint_cross_attention(p, audio, visual, valid, trace)


def describe_join(n_in, width, layers):
    return describe_lstm(n_in, width // 2, layers, bidirectional=True)


def join(p, x, valid, rates, rng):
    """H = BLSTM(x), eq. (13)."""
    return lstm(p, x, mask=valid, rate=rates.lstm, rng=rng)


def describe_head(width, hidden, outputs):
    return describe_mlp(width, hidden, outputs)


def head(p, h, rates, rng):
    """z = relu(W_1 h + b_1), y = W_2 z + b_2, eq. (14)."""
    return mlp(p, h, rates.head, rng)
