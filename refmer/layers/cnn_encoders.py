"""The convolutional encoders of paper 001 (OF-CMAER-CAT, section III; sizes are ours, the paper gives none).

Each takes a stream with its mask (B, T) and returns (B, T', C). Masked frames count as 0 in every convolution along time and
give 0, so padding changes no valid output. T' = T, but for sound: two poolings by 2 leave ceil(ceil(T / 2) / 2) steps, whose
mask is `sound_mask`.
"""

from refmer.layers.convolution import conv1d, describe_conv1d, hide
from refmer.layers.pooling import max_pool1d, mean_positions
from refmer.layers.spatial import conv2d, describe_conv2d
from refmer.ops.activations import relu, relu_backward
from refmer.ops.convolution import thin_mask


def describe_sound_encoder(n_in, width):
    return {
        "conv1": describe_conv1d(n_in, width, 5),
        "conv2": describe_conv1d(width, width, 5),
        "conv3": describe_conv1d(width, width, 3),
    }


def sound_mask(mask):
    """The mask of what sound_encoder gives.   (B, T) -> (B, T')."""
    return _halved(_halved(mask))


def _halved(mask):
    return None if mask is None else thin_mask(mask, 2, 2)


def sound_encoder(p, x, mask=None):
    """Log-mel: twice max_pool2(relu(conv5(x))), then conv3.   x (B, T, mel) -> (B, T', C)."""
    half = _halved(mask)
    h, back1 = _conv_relu_pool(p.conv1, x, mask)
    h, back2 = _conv_relu_pool(p.conv2, h, half)
    z, back3 = conv1d(p.conv3, h, 3, mask=_halved(half))
    y, back_hide = hide(z, _halved(half))
    return y, lambda dy, g: back1(back2(back3(back_hide(dy), g.conv3), g.conv2), g.conv1)


def _conv_relu_pool(p, x, mask):
    z, back_conv = conv1d(p, x, 5, mask=mask)
    r = relu(z)
    y, back_pool = max_pool1d(r, 2, mask=mask)
    return y, lambda dy, g: back_conv(relu_backward(back_pool(dy), r), g)


def describe_face_encoder(width):
    return {
        "images": [describe_conv2d(width if k else 1, width, 3) for k in range(3)],
        "time": describe_conv1d(width, width, 3),
    }


def face_encoder(p, x, mask=None):
    """Frames: per frame three times relu(conv 3x3, stride 2), mean over space; then conv3 over time.   x (B, T, h, w)."""
    B, T = x.shape[:2]
    h, backs = x.reshape(B * T, *x.shape[2:], 1), []
    for part in p.images:
        z, back = conv2d(part, h, 3, 2)
        h = relu(z)
        backs.append((back, h))
    vectors, back_mean = mean_positions(h)  # (B T, C)
    z, back_time = conv1d(p.time, vectors.reshape(B, T, -1), 3, mask=mask)
    y, back_hide = hide(z, mask)

    def backward(dy, g):
        dh = back_mean(back_time(back_hide(dy), g.time).reshape(vectors.shape))
        for (back, r), part in reversed(list(zip(backs, g.images, strict=True))):
            dh = back(relu_backward(dh, r), part)
        return dh.reshape(x.shape)

    return y, backward


def describe_sequence_encoder(n_in, width):
    return {"conv1": describe_conv1d(n_in, width, 3), "conv2": describe_conv1d(width, width, 3)}


def sequence_encoder(p, x, mask=None):
    """Body or words: conv3(relu(conv3(x))).   x (B, T, D) -> (B, T, C)."""
    z, back1 = conv1d(p.conv1, x, 3, mask=mask)
    r = relu(z)
    z, back2 = conv1d(p.conv2, r, 3, mask=mask)
    y, back_hide = hide(z, mask)
    return y, lambda dy, g: back1(relu_backward(back2(back_hide(dy), g.conv2), r), g.conv1)
