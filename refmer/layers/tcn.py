"""The temporal convolutional network of paper 003 (TLAB-JCA; Bai et al. 2018)."""

from refmer.layers.convolution import conv1d, describe_conv1d, describe_weight_norm_conv1d, hide, weight_norm_conv1d
from refmer.layers.dense import describe_linear, dropout, linear
from refmer.ops.activations import relu, relu_backward


def describe_tcn_block(n_in, n_out, size=3, weight_norm=False):
    describe = describe_weight_norm_conv1d if weight_norm else describe_conv1d
    skip = {} if n_in == n_out else {"skip": describe_linear(n_in, n_out)}
    return {"conv1": describe(n_in, n_out, size), "conv2": describe(n_out, n_out, size)} | skip


def tcn_block(p, x, size=3, dilation=1, weight_norm=False, mask=None, rate=0.0, rng=None):
    """y = relu(F(x) + x), F twice drop(relu(causal convolution)); where widths differ x W_skip + b for x.   x (B, T, C)."""
    conv = weight_norm_conv1d if weight_norm else conv1d
    z1, back_conv1 = conv(p.conv1, x, size, 1, dilation, "causal", mask)
    r1 = relu(z1)
    h, back_drop1 = dropout(rng, r1, rate)
    z2, back_conv2 = conv(p.conv2, h, size, 1, dilation, "causal", mask)
    r2 = relu(z2)
    f, back_drop2 = dropout(rng, r2, rate)
    skip, back_skip = linear(p.skip, x) if hasattr(p, "skip") else (x, lambda dy, g: dy)
    r = relu(f + skip)
    y, back_hide = hide(r, mask)

    def backward(dy, g):
        ds = relu_backward(back_hide(dy), r)  # s = f + skip
        dh = back_conv2(relu_backward(back_drop2(ds), r2), g.conv2)
        dx = back_conv1(relu_backward(back_drop1(dh), r1), g.conv1)
        return dx + back_skip(ds, getattr(g, "skip", None))

    return y, backward


def describe_tcn(n_in, widths, size=3, weight_norm=False):
    """One block per width. Without weight norm, and without 1x1 maps where widths agree, as counted in paper 003."""
    pairs = zip([n_in, *widths[:-1]], widths, strict=True)
    return {"blocks": [describe_tcn_block(*pair, size, weight_norm) for pair in pairs]}


def tcn(p, x, size=3, dilations=None, weight_norm=False, mask=None, rate=0.0, rng=None):
    """Blocks on top of each other, block i with dilation 2^i or dilations[i].   x (B, T, C) -> (B, T, E).

    Causal: y_t sees x up to t, with 2^i from x_(t - 2 (size - 1) (2^L - 1)) on. Masked steps (B, T) count as 0 and give 0.
    """
    dilations = [2**i for i in range(len(p.blocks))] if dilations is None else dilations
    if len(dilations) != len(p.blocks):
        raise ValueError(f"dilations has {len(dilations)} entries; accepted: {len(p.blocks)}, one per block")
    y, backs = x, []
    for block, dilation in zip(p.blocks, dilations, strict=True):
        y, back = tcn_block(block, y, size, dilation, weight_norm, mask, rate, rng)
        backs.append(back)

    def backward(dy, g):
        for back, part in reversed(list(zip(backs, g.blocks, strict=True))):
            dy = back(dy, part)
        return dy

    return y, backward
