"""Fusion of sound and face through correlations with their joint sequence: paper 003 in the paper and in its authors' code.

Both have maps along time, so the number of steps T is fixed by their parameters. Steps that are not valid are set to 0 before
every sum over time.
"""

import numpy as np

from refmer.layers.convolution import hide
from refmer.layers.dense import describe_linear, describe_project, dropout, linear, project
from refmer.layers.trace import note, scope
from refmer.ops.activations import relu, relu_backward, tanh, tanh_backward


def describe_joint_cross_attention(audio, visual, steps, hidden):
    return {name: _describe_correlated(width, audio + visual, steps, hidden) for name, width in _widths(audio, visual)}


def joint_cross_attention(p, audio, visual, valid=None, trace=None):
    """J = [audio; visual], eq. (8); each attends to it by eq. (9)-(11).   audio (B, T, A), visual (B, T, V), valid (B, T).

    Returns (audio, visual) attended; eq. (12) lays them side by side. The residual is the layer's input, the output of TLAB,
    as in the authors' code, not the features before it.
    """
    audio, visual, joint, back_enter = _enter(p.audio.correlate.W, audio, visual, valid)
    y_audio, back_audio = _correlated(p.audio, audio, joint, scope(trace, "audio"))
    y_visual, back_visual = _correlated(p.visual, visual, joint, scope(trace, "visual"))

    def backward(dy, g):
        daudio, djoint1 = back_audio(dy[0], g.audio)
        dvisual, djoint2 = back_visual(dy[1], g.visual)
        return back_enter(daudio, dvisual, djoint1 + djoint2)

    return (y_audio, y_visual), backward


def _describe_correlated(width, joint, steps, hidden):
    return {
        "correlate": describe_project(steps, steps),  # W_JA
        "time": describe_project(steps, hidden),  # W_a
        "relate": describe_project(joint, hidden),  # W_Ca
        "expand": describe_project(hidden, steps),  # W_Ha
    }


def _correlated(p, x, joint, trace):
    """C = tanh(x^T W_J J / sqrt(D)), eq. (9);  H = relu(x^T W_x + C W_C), eq. (10);  y = (H W_H)^T + x, eq. (11).

    x (B, T, C), joint (B, T, D). Shapes as in the code of Praveen et al. (joint cross-attention): those printed do not fit.
    """
    xt = x.swapaxes(1, 2)  # (B, C, T)
    scale = joint.shape[-1] ** -0.5
    u, back_u = project(p.correlate, xt)  # (B, C, T)
    c = tanh(u @ joint * scale)  # (B, C, D)
    note(trace, "correlation", c)
    s, back_s = project(p.time, xt)  # (B, C, hidden)
    r, back_r = project(p.relate, c)
    h = relu(s + r)
    y, back_y = project(p.expand, h)  # (B, C, T)

    def backward(dy, g):
        dh = relu_backward(back_y(dy.swapaxes(1, 2), g.expand), h)
        dm = tanh_backward(back_r(dh, g.relate), c) * scale  # c = tanh(scale m), m = u J
        dxt = back_s(dh, g.time) + back_u(dm @ joint.swapaxes(1, 2), g.correlate)
        return dy + dxt.swapaxes(1, 2), u.swapaxes(1, 2) @ dm

    return y.swapaxes(1, 2) + x, backward


def describe_dense_coattention(audio, visual, steps):
    joint = audio + visual
    return {"query": describe_linear(joint, joint)} | {
        name: {
            "time": describe_linear(steps, steps),
            "guide": describe_linear(width, width),
            "out": describe_linear(joint, width),
        }
        for name, width in _widths(audio, visual)
    }


def dense_coattention(p, audio, visual, valid=None, rate=0.0, rng=None, trace=None):
    """q = J W_q + b, J = [audio; visual];  x <- x + drop(relu(w W_o + b)) for both x, w by _guided.   (Authors' code of 003.)

    audio (B, T, A), visual (B, T, V), valid (B, T). Returns (audio, visual). What the code has in the place of eq. (8)-(11).
    """
    audio, visual, joint, back_enter = _enter(p.audio.time.W, audio, visual, valid)
    q, back_q = linear(p.query, joint)
    q, back_hide = hide(q, valid)  # its bias must not reach the sum over time
    y_audio, back_audio = _guided(p.audio, audio, q, rate, rng, scope(trace, "audio"))
    y_visual, back_visual = _guided(p.visual, visual, q, rate, rng, scope(trace, "visual"))

    def backward(dy, g):
        daudio, dq1 = back_audio(dy[0], g.audio)
        dvisual, dq2 = back_visual(dy[1], g.visual)
        return back_enter(daudio, dvisual, back_q(back_hide(dq1 + dq2), g.query))

    return (y_audio, y_visual), backward


def _guided(p, x, q, rate, rng, trace):
    """S = tanh(k q / sqrt(D)), k = x^T W_t + b_t;  w = relu(tanh((x W_g + b_g) drop(S)));  y = x + drop(relu(w W_o + b_o)).

    x (B, T, C), q (B, T, D), k (B, C, T), S (B, C, D), w (B, T, D).
    """
    scale = q.shape[-1] ** -0.5
    k, back_k = linear(p.time, x.swapaxes(1, 2))  # (B, C, T)
    s = tanh(k @ q * scale)  # (B, C, D)
    note(trace, "correlation", s)
    kept, back_drop1 = dropout(rng, s, rate)
    e, back_e = linear(p.guide, x)  # (B, T, C)
    t = tanh(e @ kept)  # (B, T, D)
    w = relu(t)
    o, back_o = linear(p.out, w)
    r = relu(o)  # (B, T, C)
    z, back_drop2 = dropout(rng, r, rate)

    def backward(dy, g):
        dw = back_o(relu_backward(back_drop2(dy), r), g.out)
        dm = tanh_backward(relu_backward(dw, w), t)  # t = tanh(m), m = e kept
        ds = back_drop1(e.swapaxes(1, 2) @ dm)
        dn = tanh_backward(ds, s) * scale  # s = tanh(scale n), n = k q
        dx = dy + back_e(dm @ kept.swapaxes(1, 2), g.guide)
        dx = dx + back_k(dn @ q.swapaxes(1, 2), g.time).swapaxes(1, 2)
        return dx, k.swapaxes(1, 2) @ dn

    return x + z, backward


def _widths(audio, visual):
    return (("audio", audio), ("visual", visual))


def _enter(time, audio, visual, valid):
    """Both sequences with 0 where not valid, and their joint. time (T, ...) is a map along time: it fixes the steps."""
    if not audio.shape[1] == visual.shape[1] == time.shape[0]:
        raise ValueError(
            f"audio has {audio.shape[1]} steps, visual {visual.shape[1]}; accepted: {time.shape[0]}, as W (T, ...) fixes"
        )
    audio, back_audio = hide(audio, valid)
    visual, back_visual = hide(visual, valid)

    def backward(daudio, dvisual, djoint):
        a, v = np.split(djoint, [audio.shape[-1]], -1)  # joint = [audio; visual]
        return back_audio(daudio + a), back_visual(dvisual + v)

    return audio, visual, np.concatenate([audio, visual], -1), backward
