"""The equations of TLAB-JCA (paper 003), in their order; tlab_code.py has the parts of its authors' code.

Temporal block (TLAB), eq. (1)-(6); audio-guided attention over positions (AVGA), eq. (7); joint cross-attention (JCA),
eq. (8)-(11); windows of T steps, and answers. B clips, W windows a clip, T steps, C width; `valid` (B, T) marks valid steps.
"""

import numpy as np

from refmer.layers.convolution import hide, tcn
from refmer.layers.dense import describe_linear, describe_project, linear, optional, project
from refmer.layers.sequence import lstm, mean_pool
from refmer.layers.trace import note, scope
from refmer.ops.activations import relu, relu_backward, softmax, softmax_backward, tanh, tanh_backward
from refmer.ops.attention import attention_weights, attention_weights_backward, banded
from refmer.ops.contracts import closure


def describe_tlab(width):
    return {name: describe_project(width, width) for name in ("query", "key", "value")}


@closure
def tlab(p, recurrent, convolved, valid=None, band=None, trace=None):
    """y = A_G (A_L v), A_G = softmax(q k^T / sqrt(C)), A_L = softmax(k q^T / sqrt(C)), eq. (3)-(6), to the letter.

    q from an LSTM, k and v from a TCN: recurrent, convolved (B, T, C). Transposed logits make A_L no more local than A_G: any
    step may attend to any other. With `band`, which the paper does not have, A_L is 0 unless |t - s| <= band.
    """
    if recurrent.shape != convolved.shape:
        raise ValueError(f"recurrent has shape {recurrent.shape}, convolved {convolved.shape}; accepted: the same")
    q, back_q = project(p.query, recurrent)
    k, back_k = project(p.key, convolved)
    v, back_v = project(p.value, convolved)
    mask = None if valid is None else valid[:, None, :]  # (B, 1, T)
    a_global, *saved_global = attention_weights(q, k, mask)  # (B, T, T)
    a_local, *saved_local = attention_weights(k, q, within(mask, q.shape[1], band))
    inner = a_local @ v  # (B, T, C)
    note(trace, "global", a_global)
    note(trace, "local", a_local)

    def backward(dy, g):
        dq, dk = attention_weights_backward(dy @ inner.swapaxes(-1, -2), *saved_global)  # y = A_G inner
        dinner = a_global.swapaxes(-1, -2) @ dy
        dk2, dq2 = attention_weights_backward(dinner @ v.swapaxes(-1, -2), *saved_local)  # inner = A_L v
        dv = a_local.swapaxes(-1, -2) @ dinner
        return back_q(dq + dq2, g.query), back_k(dk + dk2, g.key) + back_v(dv, g.value)

    return a_global @ inner, backward


def within(mask, steps, band):
    """The mask, and |t - s| <= band; either may be None."""
    if band is None:
        return mask
    near = banded(steps, steps, band)
    return near if mask is None else near & mask


@closure
def temporal(p, x, valid, *, recur=lstm, attend=tlab, dilations=None, rates=(0.0, 0.0), rng=None, band=None, trace=None):
    """y = attend(L, T): T = TCN(x), eq. (1); L = recur(x), eq. (2); attend is eq. (3)-(6).   x (B, T, C).

    Parts that p does not have are left out (Table 4): x stands for a missing T or L; without attention y is the sum of those of
    the two that p has, or x. `rates` are those of dropout in the LSTM, between its layers, and in the TCN.
    """
    x, back_hide = hide(x, valid)
    recurrent, back_lstm = optional(p, "lstm", recur, x, mask=valid, rate=rates[0], rng=rng)
    convolved, back_tcn = optional(p, "tcn", tcn, x, 3, dilations, mask=valid, rate=rates[1], rng=rng)
    if hasattr(p, "attention"):
        y, back_attend = attend(p.attention, recurrent, convolved, valid, band, trace=scope(trace, "attention"))
    else:
        r, c = float(hasattr(p, "lstm") or not hasattr(p, "tcn")), float(hasattr(p, "tcn"))
        y, back_attend = r * recurrent + c * convolved, lambda dy, g: (r * dy, c * dy)

    def backward(dy, g):
        drecurrent, dconvolved = back_attend(dy, getattr(g, "attention", None))
        return back_hide(back_lstm(drecurrent, g) + back_tcn(dconvolved, g))

    return y, backward


def describe_avga(visual, audio, width, hidden):
    """`hidden` is 49 in the authors' code, the number of positions there; the two need not be equal."""
    return {
        "visual": describe_linear(visual, width),
        "audio": describe_linear(audio, width),
        "from_visual": describe_project(width, hidden),
        "from_audio": describe_project(width, hidden),
        "score": describe_project(hidden, 1),
        "out": describe_linear(visual, width),
    }


@closure
def avga(p, visual, audio, trace=None):
    """a = softmax over positions of w tanh(W_v relu(U_v v) + W_s relu(U_s s));  y = W_o sum_n a_n v_n, eq. (7).

    visual v (B, T, N, V), N positions; audio s (B, T, A); y (B, T, C). (Tian et al. 2018.) The authors' code adds the audio
    term to the position instead of the hidden axis (both have 49) and takes channels of its flattened maps for positions: not
    reproduced.
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


def describe_joint_cross_attention(audio, visual, steps, hidden):
    return {
        name: {
            "correlate": describe_project(steps, steps),  # W_JA
            "time": describe_project(steps, hidden),  # W_a
            "relate": describe_project(audio + visual, hidden),  # W_Ca
            "expand": describe_project(hidden, steps),  # W_Ha
        }
        for name in ("audio", "visual")
    }


@closure
def joint_cross_attention(p, audio, visual, valid=None, trace=None):
    """J = [audio; visual], eq. (8); each attends to it by eq. (9)-(11).   audio (B, T, A), visual (B, T, V), valid (B, T).

    Returns (audio, visual) attended; eq. (12) lays them side by side. The residual is the layer's input, the output of TLAB,
    as in the authors' code, not the features before it.
    """
    audio, visual, both, back_joined = joined(p.audio.correlate.W, audio, visual, valid)
    y_audio, back_audio = _correlated(p.audio, audio, both, scope(trace, "audio"))
    y_visual, back_visual = _correlated(p.visual, visual, both, scope(trace, "visual"))

    def backward(dy, g):
        daudio, dboth1 = back_audio(dy[0], g.audio)
        dvisual, dboth2 = back_visual(dy[1], g.visual)
        return back_joined(daudio, dvisual, dboth1 + dboth2)

    return (y_audio, y_visual), backward


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


@closure
def joined(time, audio, visual, valid):
    """Both sequences, 0 where not valid, and J of eq. (8).   time (T, ...) is a map along time: it fixes the steps."""
    if not audio.shape[1] == visual.shape[1] == time.shape[0]:
        raise ValueError(
            f"audio has {audio.shape[1]} steps, visual {visual.shape[1]}; accepted: {time.shape[0]}, as W (T, ...) fixes"
        )
    audio, back_audio = hide(audio, valid)
    visual, back_visual = hide(visual, valid)

    def backward(daudio, dvisual, dboth):
        a, v = np.split(dboth, [audio.shape[-1]], -1)  # both = [audio; visual]
        return back_audio(daudio + a), back_visual(dvisual + v)

    return audio, visual, np.concatenate([audio, visual], -1), backward


@closure
def block_residual(y, block, x, valid, x_valid):
    """The residual of eq. (11) as joint_cross_attention has added it: the output of the temporal block."""
    return y, lambda dy: (dy, 0.0, 0.0)


@closure
def input_residual(y, block, x, valid, x_valid):
    """y + x - block: the input x of the temporal block, 0 where not `x_valid` (B, T), in place of its output `block`."""
    x, back_x = hide(x, x_valid)
    block, back_block = hide(block, valid)
    return y + (x - block), lambda dy: (dy, -back_block(dy), back_x(dy))


@closure
def fold(x, steps):
    """Consecutive windows, the last one filled with 0.   x (B, S, ...) -> (B W, steps, ...), W = ceil(S / steps)."""
    S = x.shape[1]
    padded = np.pad(x, [(0, 0), (0, -S % steps)] + [(0, 0)] * (x.ndim - 2))
    return padded.reshape(-1, steps, *x.shape[2:]), lambda dy: dy.reshape(padded.shape)[:, :S]


@closure
def unfold(x, clips, steps):
    """Windows back to clips of `steps` steps.   x (B W, T, ...) -> (B, steps, ...)."""
    long = x.reshape(clips, -1, *x.shape[2:])

    def backward(dy):
        fill = long.shape[1] - steps
        return np.pad(dy, [(0, 0), (0, fill)] + [(0, 0)] * (dy.ndim - 2)).reshape(x.shape)

    return long[:, :steps], backward


def by_clip(notes, clips, trace):
    """Note intermediates of windows (B W, ...) as those of clips (B, W, ...)."""
    for name, value in notes.items():
        for x in value if isinstance(value, list) else [value]:
            note(trace, name, x.reshape(clips, -1, *x.shape[1:]))


@closure
def gather(h, valid, clips, steps, over_time, pooled=False):
    """The input of the regressor, eq. (14): every step of h (B W, T, C); if `pooled`, the mean of each window (B W, C).

    Without `over_time`: the mean of each clip of `steps` steps (B, C). Means are over valid steps.
    """
    if not over_time:
        h, back_unfold = unfold(h, clips, steps)
        mean, back_mean = mean_pool(h, unfold(valid, clips, steps)[0])
        return mean, lambda dz: back_unfold(back_mean(dz))
    return mean_pool(h, valid) if pooled else (h, lambda dz: dz)


@closure
def answer(y, window, clips, steps, over_time):
    """The `out` of a system: logits (B, S, K) of y (B W, T, K), or (B W, K), repeated for each step; or y (B, K) itself."""
    if not over_time:
        return {"logits": y}, lambda dout: dout["logits"]
    pooled = y.ndim == 2
    z, back_unfold = unfold(np.repeat(y[:, None], window, 1) if pooled else y, clips, steps)

    def backward(dout):
        dy = back_unfold(dout["logits"])
        return dy.sum(1) if pooled else dy

    return {"logits": z}, backward
