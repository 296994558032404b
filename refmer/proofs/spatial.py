"""Cases of images: convolution, pooling, the residual encoders of paper 003 and the encoders of paper 001.

Normalised arrays have four channels or more: of two, a layer norm leaves the sign alone and gradients drown in rounding.
"""

from dataclasses import replace

import numpy as np

from refmer.layers import convolution, encoders, sequence
from refmer.ops import convolution as conv_ops
from refmer.proofs import Case, plain

B, T, H, W, C, E = 2, 5, 4, 3, 2, 3
VALID = np.array([[True] * 5, [True, True, True, False, False]])


def cases():
    return images() + encoder_cases()


def images():
    rng = np.random.default_rng(1)
    x, film, weight, b = (rng.normal(size=shape) for shape in ((B, H, W, C), (B, 3, H, W, C), (4 * C, 5), 5))
    both, (three, two) = convolution.describe_conv2plus1d(C, E, 2), (convolution.describe_conv2d(C, E, size) for size in (3, 2))
    return [
        Case("windows", conv_ops.windows, (x,), variant="second axis", options={"size": 3, "stride": 2, "axis": 2}),
        Case("conv2d", conv_ops.conv2d, (x, weight, b, 2, 1, 1, 0)),
        Case("conv2d", plain(convolution.conv2d, 3, 2), (x,), three, "stride 2"),
        Case("conv2d", plain(convolution.conv2d, 2, 1, "valid"), (x,), two, "valid"),
        Case("conv2plus1d", plain(convolution.conv2plus1d, 2, 2), (film,), both, "stride 2"),
        Case("mean_positions", sequence.mean_positions, (film,)),
        Case("thin", lambda x: encoders.thin(x, 2), (x,)),
    ]


def encoder_cases():
    rng, block = np.random.default_rng(1), encoders.describe_residual_block
    mels, frames = rng.normal(size=(B, 7, 9, 1)), rng.normal(size=(B, 5, 6, 7, 1))
    sound, face, words = rng.normal(size=(B, T, 4)), rng.normal(size=(B, T, 6, 5)), rng.normal(size=(B, T, 4))
    x, wide, uneven = rng.normal(size=(B, H, W, C)), rng.normal(size=(B, H, W, 6)), rng.normal(size=(B, T, 5, 7))
    plain_block, strided = (
        plain(encoders.residual_block, convolution.conv2d),
        plain(encoders.residual_block, convolution.conv2d, 2),
    )
    rows = [
        Case("residual_block", plain_block, (wide,), block(6, 6, convolution.describe_conv2d)),
        Case("residual_block", strided, (x,), block(C, 5, convolution.describe_conv2d, 2), "stride 2"),
        Case("resnet", encoders.resnet, (mels,), encoders.describe_resnet([4, 5])),
        Case("r2plus1d_map", encoders.r2plus1d_map, (frames,), encoders.describe_r2plus1d([4, 5])),
        Case("patches", encoders.patches, (frames[..., 0],), encoders.describe_patches((5, 6, 7), 3)),
    ]
    for f, x, description in [
        (encoders.sound_encoder, sound, encoders.describe_sound_encoder(4, 3)),
        (encoders.face_encoder, face, encoders.describe_face_encoder(3)),
        (encoders.patch_encoder, uneven, encoders.describe_patch_encoder((5, 7), 3)),
        (encoders.projection, words, encoders.describe_projection(4, 3)),
        (encoders.sequence_encoder, words, encoders.describe_sequence_encoder(4, 3)),
    ]:
        rows += [Case(f.__name__, f, (x,), description), Case(f.__name__, f, (x, VALID), description, "masked")]
    return [replace(case, directions=True) for case in rows]
