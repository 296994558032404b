"""Cases of images: convolution, pooling, the residual encoders of paper 003 and the encoders of paper 001.

Normalised arrays have four channels or more: of two, a layer norm leaves the sign alone and gradients drown in rounding.
"""

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
    x = rng.normal(size=(B, H, W, C))
    film = rng.normal(size=(B, 3, H, W, C))
    both, (three, two) = convolution.describe_conv2plus1d(C, E, 2), (convolution.describe_conv2d(C, E, size) for size in (3, 2))
    return [
        Case("windows", conv_ops.windows, (x,), variant="second axis", options={"size": 3, "stride": 2, "axis": 2}),
        Case("conv2d", plain(convolution.conv2d, 3, 2), (x,), three, "stride 2"),
        Case("conv2d", plain(convolution.conv2d, 2, 1, "valid"), (x,), two, "valid"),
        Case("conv2plus1d", plain(convolution.conv2plus1d, 2, 2), (film,), both, "stride 2"),
        Case("mean_positions", sequence.mean_positions, (film,)),
    ]


def encoder_cases():
    rng = np.random.default_rng(1)
    mels, frames = rng.normal(size=(B, 7, 9, 1)), rng.normal(size=(B, 5, 6, 7, 1))
    sound, face, words = rng.normal(size=(B, T, 4)), rng.normal(size=(B, T, 6, 5)), rng.normal(size=(B, T, 4))
    block2 = encoders.describe_residual_block(C, 5, convolution.describe_conv2d, 2)
    same = encoders.describe_residual_block(6, 6, convolution.describe_conv2d)
    x, wide = rng.normal(size=(B, H, W, C)), rng.normal(size=(B, H, W, 6))
    rows = [
        Case("residual_block", plain(encoders.residual_block, convolution.conv2d), (wide,), same),
        Case("residual_block", plain(encoders.residual_block, convolution.conv2d, 2), (x,), block2, "stride 2"),
        Case("resnet", encoders.resnet, (mels,), encoders.describe_resnet([4, 5])),
        Case("r2plus1d_map", encoders.r2plus1d_map, (frames,), encoders.describe_r2plus1d([4, 5])),
    ]
    for name, f, x, description in [
        ("sound_encoder", encoders.sound_encoder, sound, encoders.describe_sound_encoder(4, 3)),
        ("face_encoder", encoders.face_encoder, face, encoders.describe_face_encoder(3)),
        ("sequence_encoder", encoders.sequence_encoder, words, encoders.describe_sequence_encoder(4, 3)),
    ]:
        rows += [Case(name, f, (x,), description), Case(name, f, (x, VALID), description, "masked")]
    return [Case(**{**vars(c), "directions": True}) for c in rows]
