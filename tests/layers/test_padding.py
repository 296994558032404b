"""Padding changes no valid output and no gradient: a clip alone is the clip in a batch, for any values in the padding."""

import numpy as np
import pytest

from refmer import params
from refmer.layers import attention, conformer, convolution, encoders, sequence, summarizer
from refmer.ops.attention import key_mask
from refmer.ops.convolution import thin_mask
from refmer.proofs import moved

LENGTHS, T, D = (7, 4, 1), 9, 4
rng = np.random.default_rng(1)
VALID = np.arange(T) < np.array(LENGTHS)[:, None]


def same(mask):
    return mask


def once(mask):
    return mask[:, 0]


def stride2(mask):
    return thin_mask(mask, 3, 2)


def cross(f, **options):
    """Return attention of the first step to all, as a layer of one sequence."""

    def layer(p, x, mask):
        y, back = f(p, x[:, :1], x, 2, key_mask(mask), **options)

        def backward(dy, g):
            dqueries, dx = back(dy, g)
            dx[:, :1] += dqueries
            return dx

        return y, backward

    return layer


LAYERS = {
    "lstm": (lambda p, x, m: sequence.lstm(p, x, mask=m), sequence.describe_lstm(D, 3, 2, True), same),
    "gru": (lambda p, x, m: sequence.gru(p, x, mask=m, reverse=True), sequence.describe_gru(D, 3), same),
    "conv1d": (lambda p, x, m: convolution.conv1d(p, x, 4, mask=m), convolution.describe_conv1d(D, 3, 4), same),
    "strided": (lambda p, x, m: convolution.conv1d(p, x, 3, 2, mask=m), convolution.describe_conv1d(D, 3, 3), stride2),
    "depthwise": (
        lambda p, x, m: convolution.depthwise_conv1d(p, x, 2, 2, mask=m),
        convolution.describe_depthwise_conv1d(D, 3),
        stride2,
    ),
    "tcn": (lambda p, x, m: convolution.tcn(p, x, mask=m), convolution.describe_tcn(D, [3, 3]), same),
    "conformer": (
        lambda p, x, m: conformer.conformer_block(p, x, 2, m),
        conformer.describe_conformer_block(D, 5, 3),
        same,
    ),
    "sound": (encoders.sound_encoder, encoders.describe_sound_encoder(D, 3), encoders.sound_mask),
    "words": (encoders.sequence_encoder, encoders.describe_sequence_encoder(D, 3), same),
    "face": (encoders.face_encoder, encoders.describe_face_encoder(3), same),
    "statistics": (sequence.statistics_pool, sequence.describe_statistics_pool(D), once),
    "max_pool1d": (lambda p, x, m: without(sequence.max_pool1d(x, 3, 2, mask=m)), {}, stride2),
    "mean_pool": (lambda p, x, m: without(sequence.mean_pool(x, m)), {}, once),
    "cross-attention": (cross(attention.cross_encoder), attention.describe_encoder(D, 7, 3), once),
    "cross-attention, keys": (cross(attention.cross_encoder, scale="keys"), attention.describe_encoder(D, 7, 3), once),
    "summarizer": (cross(summarizer.summarizer), summarizer.describe_summarizer(D, 7, 2), once),
    "last_valid": (lambda p, x, m: without(sequence.last_valid_step(x, m)), {}, once),
}


def without(result):
    """A layer without parameters, called as one with parameters."""
    y, backward = result
    return y, lambda dy, g: backward(dy)


@pytest.mark.parametrize("name", LAYERS)
def test_a_clip_alone_is_the_clip_in_a_padded_batch(name):
    f, description, mask_of = LAYERS[name]
    p = moved(description)
    x = rng.normal(size=(len(LENGTHS), T, 5, 6) if name == "face" else (len(LENGTHS), T, D))
    x[~VALID] *= 1e3
    out = mask_of(VALID)
    y, backward = f(p, x, VALID)
    dy = rng.normal(size=y.shape)
    dy[~out] = 0
    g, total = params.zeros_like(p), params.zeros_like(p)
    dx = backward(dy, g)
    assert (dx[~VALID] == 0).all()
    for b, length in enumerate(LENGTHS):
        alone, back = f(p, x[b : b + 1, :length], np.ones((1, length), bool))
        steps = slice(0, alone.shape[1]) if out.ndim == 2 else slice(None)
        np.testing.assert_allclose(y[b][steps], alone[0], rtol=1e-11, atol=1e-12)
        d = back(dy[b : b + 1][:, steps], total)
        np.testing.assert_allclose(dx[b, :length], d[0], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(g.vector, total.vector, rtol=1e-10, atol=1e-11)
