"""The decoder of the reconstruction term in paper 001's loss (eq. 19), which the paper names and never defines."""

from refmer.layers.dense import describe_linear, linear


def describe_reconstruction(width, modalities, width_each):
    """One linear map per modality, side by side."""
    return describe_linear(width, modalities * width_each)


def reconstruction(p, h, modalities):
    """f'_i = W_i h + b_i for each modality i.   h (B, C) the fused vector -> (B, M, D).

    Our reading of L_rec is mse(f', f, available), f (B, M, D) the time means of the encoded modalities. There f is data: no
    gradient flows into the encoders, which could otherwise please the decoder by falling silent.
    """
    y, back = linear(p, h)
    return y.reshape(len(h), modalities, -1), lambda dy, g: back(dy.reshape(y.shape), g)
