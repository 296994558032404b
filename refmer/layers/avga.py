"""Audio-guided spatial attention: what sounds tells where in the frame to look (Tian et al. 2018; AVGA of paper 003)."""

from refmer.layers.dense import describe_linear, describe_project, linear, project
from refmer.layers.trace import note
from refmer.ops.activations import relu, relu_backward, softmax, softmax_backward, tanh, tanh_backward


def describe_avga(visual, audio, width, hidden):
    """`hidden` is 49 in the code of paper 003, the number of positions there; nothing asks for the two to be equal."""
    return {
        "visual": describe_linear(visual, width),
        "audio": describe_linear(audio, width),
        "from_visual": describe_project(width, hidden),
        "from_audio": describe_project(width, hidden),
        "score": describe_project(hidden, 1),
        "out": describe_linear(visual, width),
    }


def avga(p, visual, audio, trace=None):
    """a = softmax over positions of w tanh(W_v relu(U_v v) + W_g relu(U_a s));  y = W_o sum_n a_n v_n.

    visual v (B, T, N, V), N positions; audio s (B, T, A); y (B, T, C). The authors' code adds the audio term to the position
    instead of the hidden axis (both have 49) and reads channels for positions in its flattened maps: not reproduced.
    """
    u, back_u = linear(p.visual, visual)
    r = relu(u)  # (B, T, N, C)
    e, back_e = linear(p.audio, audio)
    f = relu(e)  # (B, T, C)
    m, back_m = project(p.from_visual, r)  # (B, T, N, hidden)
    n, back_n = project(p.from_audio, f)  # (B, T, hidden)
    t = tanh(m + n[:, :, None])
    z, back_z = project(p.score, t)  # (B, T, N, 1)
    a = softmax(z[..., 0])  # (B, T, N)
    c = (a[:, :, None] @ visual)[:, :, 0]  # (B, T, V)
    y, back_y = linear(p.out, c)
    note(trace, "positions", a)

    def backward(dy, g):
        dc = back_y(dy, g.out)
        da = (visual @ dc[..., None])[..., 0]  # c = sum_n a_n v_n
        dz = softmax_backward(da, a)[..., None]
        dt = tanh_backward(back_z(dz, g.score), t)
        dvisual = a[..., None] * dc[:, :, None] + back_u(relu_backward(back_m(dt, g.from_visual), r), g.visual)
        return dvisual, back_e(relu_backward(back_n(dt.sum(2), g.from_audio), f), g.audio)

    return y, backward
