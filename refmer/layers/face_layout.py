"""A face encoder for paper 001 that keeps where in the image something is.

The encoder of cnn_encoders.py averages over the image, as a global pooling does (the paper has one): what is left is which
shapes a face has, not whether the mouth or the brow has them. With 24 x 24 drawings and 200 clips that hardly beats chance.
"""

from refmer.layers.convolution import conv1d, describe_conv1d, hide
from refmer.layers.spatial import conv2d, describe_conv2d
from refmer.ops.activations import relu, relu_backward


def describe_layout_encoder(size, width):
    """size (height, width) of a frame, halved twice."""
    h, w = (-(-n // 4) for n in size)
    return {
        "images": [describe_conv2d(width if k else 1, width, 3) for k in range(2)],
        "time": describe_conv1d(h * w * width, width, 3),
    }


def layout_encoder(p, x, mask=None):
    """Per frame relu(conv 3x3, stride 2), twice, all positions side by side; then conv3 over time.   x (B, T, h, w)."""
    B, T = x.shape[:2]
    h, backs = x.reshape(B * T, *x.shape[2:], 1), []
    for part in p.images:
        z, back = conv2d(part, h, 3, 2)
        h = relu(z)
        backs.append((back, h))
    z, back_time = conv1d(p.time, h.reshape(B, T, -1), 3, mask=mask)  # (B, T, h' w' C)
    y, back_hide = hide(z, mask)

    def backward(dy, g):
        dh = back_time(back_hide(dy), g.time).reshape(h.shape)
        for (back, r), part in reversed(list(zip(backs, g.images, strict=True))):
            dh = back(relu_backward(dh, r), part)
        return dh.reshape(x.shape)

    return y, backward
