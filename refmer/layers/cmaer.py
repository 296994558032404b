"""The equations of OF-CMAER-CAT (paper 001), in their order, after the encoders of eq. (1).

Cross-modal attention alignment (CMAA), eq. (2)-(7); adaptive weights of modalities (AWOM), eq. (8)-(11); a plain stand-in for
each; the Transformer over all modalities, eq. (20); the decoder of the reconstruction loss, eq. (19). Streams are
{modality: (B, T_i, C)}, `valid` {modality: (B, T_i)} marks their valid steps, `available` (B, M) the modalities of each clip.
"""

import numpy as np

from refmer.layers.attention import Rates, describe_encoder, encoder
from refmer.layers.convolution import hide
from refmer.layers.dense import (
    describe_layer_norm,
    describe_linear,
    describe_mlp,
    describe_project,
    layer_norm,
    linear,
    mlp,
    project,
)
from refmer.layers.sequence import describe_embedding, mean_pool, modality_embedding, positions
from refmer.layers.trace import note, scope
from refmer.ops.activations import sigmoid, sigmoid_backward, softmax, softmax_backward
from refmer.ops.attention import attention_weights, attention_weights_backward, key_mask
from refmer.ops.contracts import closure

ROLES = ("query", "key", "value")


@closure
def each(layer, streams):
    """y_i = layer(i, x_i) for each modality i; backward(dy, *g) -> {i: dx_i}, with the same g for all."""
    results = {m: layer(m, x) for m, x in streams.items()}
    return {m: y for m, (y, _) in results.items()}, lambda dy, *g: {m: back(dy[m], *g) for m, (_, back) in results.items()}


@closure
def time_means(streams, valid):
    """Means over the valid steps of each modality, eq. (2); 0 without any.   -> (B, M, C)."""
    means, back = each(lambda m, x: mean_pool(x, valid[m]), streams)
    return np.stack(list(means.values()), 1), lambda dy: back({m: dy[:, i] for i, m in enumerate(means)})


def presence(streams, valid=None, available=None):
    """The valid steps of present modalities {modality: (B, T_i)}, and the modalities with one, if available (B, M)."""
    if valid is None:
        valid = {name: np.ones(x.shape[:2], bool) for name, x in streams.items()}
    if set(valid) != set(streams):
        raise ValueError(f"valid names {sorted(valid)}, streams are {sorted(streams)}; accepted: the same names")
    for name, x in streams.items():
        if valid[name].dtype != bool or valid[name].shape != x.shape[:2]:
            v = valid[name]
            raise ValueError(f"valid[{name!r}] has dtype {v.dtype} and shape {v.shape}; accepted: bool, {x.shape[:2]}")
    present = np.stack([valid[name].any(1) for name in streams], 1)
    if available is not None:
        if available.dtype != bool or available.shape != present.shape:
            raise ValueError(f"available has dtype {available.dtype}, shape {available.shape}; accepted: bool, {present.shape}")
        present &= available
    return {name: valid[name] & present[:, [i]] for i, name in enumerate(streams)}, present


def describe_cmaa(width, hidden):
    """All maps are shared by the modalities, as eq. (3) writes them; one head of the full width and a map out of it."""
    maps = {name: describe_project(width, width) for name in ("query", "key", "value", "out", "compatibility")}
    return maps | {"gate": describe_mlp(2 * width, hidden, width), "norm": describe_layer_norm(width)}


@closure
def cmaa(p, streams, valid=None, available=None, trace=None):
    """F_i^a = LN(F_i + sigmoid(G_i) Ft_i), Ft_i = sum_{j != i} alpha_ij Attention(F_i, F_j), eq. (2)-(7).   Streams to streams.

    Without a partner Ft_i is 0.
    """
    if len(streams) < 2:
        raise ValueError(f"streams are {sorted(streams)}; accepted: at least two modalities")
    valid, present = presence(streams, valid, available)
    x, back_hide = each(lambda m, x: hide(x, valid[m]), streams)
    f, back_mean = time_means(x, valid)
    alpha, back_alpha = compatibility(p.compatibility, f, present)
    mixed, back_mixed = exchange(p, x, alpha, valid, trace)
    y, back_gates = each(lambda m, x: gated_residual(p, x, mixed[m], scope(trace, m)), x)
    note(trace, "compatibility", alpha)

    def backward(dy, g):
        pairs = back_gates(dy, g)
        dx, dalpha = back_mixed({name: dmixed for name, (_, dmixed) in pairs.items()}, g)
        dmean = back_mean(back_alpha(dalpha, g.compatibility))
        return back_hide({name: pairs[name][0] + dx[name] + dmean[name] for name in x})

    return y, backward


@closure
def compatibility(p, f, present):
    """alpha_ij = softmax over the present j != i of f_i W f_j^T, eq. (6).   f (B, M, C), alpha (B, M, M); absent rows are 0."""
    others = present[:, :, None] & present[:, None, :] & ~np.eye(f.shape[1], dtype=bool)
    u, back_u = project(p, f)
    alpha = softmax(u @ f.swapaxes(1, 2), others)

    def backward(dalpha, g):
        ds = softmax_backward(dalpha, alpha)  # s = u f^T
        return back_u(ds @ f, g) + ds.swapaxes(1, 2) @ u

    return alpha, backward


@closure
def exchange(p, x, alpha, valid, trace=None):
    """Ft_i = (sum_{j != i} alpha_ij softmax(q_i k_j^T / sqrt(C)) v_j) W_out, eq. (3)-(5).   {i: (B, T_i, C)}."""
    maps = {name: [project(getattr(p, role), x[name]) for role in ROLES] for name in x}
    q, k, v = ({name: maps[name][r][0] for name in x} for r in range(3))
    saved, out = {}, {}
    for i, to in enumerate(x):
        mixed = 0.0
        for j, origin in enumerate(x):
            if i != j:
                a, *scores = attention_weights(q[to], k[origin], valid[origin][:, None])  # (B, T_i, T_j)
                c = a @ v[origin]
                mixed = mixed + alpha[:, i, j, None, None] * c
                saved[i, j, to, origin] = a, c, scores
                note(trace, f"attention.{to}.{origin}", a)
        out[to] = project(p.out, mixed)

    def backward(dy, g):
        dmixed = {name: out[name][1](dy[name], g.out) for name in x}
        dq, dk, dv = ({name: 0.0 for name in x} for _ in range(3))
        dalpha = np.zeros_like(alpha)
        for (i, j, to, origin), (a, c, scores) in saved.items():
            dalpha[:, i, j] = (dmixed[to] * c).sum((1, 2))  # mixed_i = sum_j alpha_ij c_ij
            dc = alpha[:, i, j, None, None] * dmixed[to]
            dqi, dkj = attention_weights_backward(dc @ v[origin].swapaxes(1, 2), *scores)  # c = a v
            dq[to], dk[origin] = dq[to] + dqi, dk[origin] + dkj
            dv[origin] = dv[origin] + a.swapaxes(1, 2) @ dc
        dx = {}
        for name in x:
            grads = zip(maps[name], ROLES, (dq, dk, dv), strict=True)
            dx[name] = sum(back(d[name], getattr(g, role)) for (_, back), role, d in grads)
        return dx, dalpha

    return {name: y for name, (y, _) in out.items()}, backward


@closure
def gated_residual(p, x, mixed, trace=None):
    """y = LN(x + sigmoid(G) mixed), eq. (7);  G = MLP([x; mixed]), which the paper leaves open.   x, mixed (B, T, C)."""
    u, back_u = mlp(p.gate, np.concatenate([x, mixed], -1))
    gate = sigmoid(u)
    y, back_norm = layer_norm(p.norm, x + gate * mixed)
    note(trace, "gate", gate)

    def backward(dy, g):
        dr = back_norm(dy, g.norm)  # r = x + gate mixed
        dx, dmixed = np.split(back_u(sigmoid_backward(dr * mixed, gate), g.gate), 2, -1)
        return dr + dx, gate * dr + dmixed

    return y, backward


@closure
def keep(p, streams, valid, available, trace=None):
    """In place of CMAA: F_i^a = LN(F_i), eq. (7) without its second summand."""
    y, back = each(lambda m, x: layer_norm(p.norm, x), streams)
    return y, lambda dy, g: back(dy, g.norm)


def describe_awom(width, hidden):
    return {"score": describe_mlp(2 * width, hidden, 1)}


@closure
def awom(p, streams, aligned, valid=None, available=None, trace=None):
    """h = sum_i w_i mean_t F_i^a, eq. (11); w = softmax over the present of s_i = MLP([mean_t F_i; var_t F_i]), eq. (8)-(10).

    streams F and aligned F^a {modality: (B, T_i, C)}, the MLP shared. Returns (h (B, C), w (B, M)). To mask a softmax and to
    divide by what is left, eq. (9)-(10), is a masked softmax but for epsilon. w and h are 0 if all are absent.
    """
    valid, present = presence(streams, valid, available)
    moments, back_moments = _moments(streams, valid)
    s, back_s = mlp(p.score, moments)  # (B, M, 1)
    w = softmax(s[..., 0], present)
    pooled, back_pooled = time_means(aligned, valid)  # (B, M, C)
    note(trace, "weights", w)

    def backward(dy, g):
        dh, dw = dy
        dw = dw + (pooled @ dh[..., None])[..., 0]  # h = sum_i w_i pooled_i
        dstreams = back_moments(back_s(softmax_backward(dw, w)[..., None], g.score))
        return dstreams, back_pooled(w[..., None] * dh[:, None])

    return ((w[:, None] @ pooled)[:, 0], w), backward


def _moments(x, valid):
    """Means and variances (of the population) over valid steps, side by side: (B, M, 2 C)."""
    means, back_means = time_means(x, valid)
    centred = {m: z - means[:, i, None] for i, (m, z) in enumerate(x.items())}
    variances, back_variances = time_means({m: z * z for m, z in centred.items()}, valid)

    def backward(df):
        dmeans, dvariances = np.split(df, 2, -1)
        dx, dsquares = back_means(dmeans), back_variances(dvariances)
        # the mean inside the variance adds nothing: sum_t (x_t - mean) = 0
        return {m: dx[m] + 2 * centred[m] * dsquares[m] for m in x}

    return np.concatenate([means, variances], -1), backward


@closure
def even(p, streams, aligned, valid, available, trace=None):
    """In place of AWOM: the available modalities have equal weights."""
    pooled, back_means = time_means(aligned, valid)
    w = (available / np.maximum(available.sum(1, keepdims=True), 1)).astype(pooled.real.dtype)
    note(trace, "weights", w)

    def backward(dy, g):
        dh, _ = dy
        return {m: 0.0 for m in streams}, back_means(w[..., None] * dh[:, None])

    return ((w[..., None] * pooled).sum(1), w), backward


def describe_context(modalities, width, hidden, layers):
    return {"modality": describe_embedding(modalities, width), "encoder": describe_encoder(width, hidden, layers)}


@closure
def context(p, streams, w, valid, heads, rate=0.0, rng=None, trace=None):
    """Every step attends to all steps of all modalities; then a mean per modality.   -> (B, M, C).

    Tokens w_i F_i^a + embedding of i, scaled, + positions (from 1 in each modality) -> pre-norm layers. The paper leaves its
    place open: the text has it after the weights, but eq. (11) leaves no sequence for it.
    """
    tokens, back_tokens = arrange(p.modality, streams, w)
    ends = np.cumsum([v.shape[1] for v in valid.values()])[:-1]

    def place(x):
        parts = zip(np.split(x, ends, 1), valid.values(), strict=True)
        return np.concatenate([positions(part, v)[0] for part, v in parts], 1), lambda dx: dx

    mask, rates = key_mask(np.concatenate(list(valid.values()), 1)), Rates(*[rate] * 4)
    x, back_encoder = encoder(p.encoder, tokens, heads, mask, rates, rng, trace, place=place)
    z, back_means = time_means(dict(zip(valid, np.split(x, ends, 1), strict=True)), valid)

    def backward(dz, g):
        dx = np.concatenate(list(back_means(dz).values()), 1)
        return back_tokens(back_encoder(dx, g.encoder), g.modality)

    return z, backward


@closure
def arrange(p, streams, w):
    """w_i F_i + the modality's embedding, all modalities one after another; w (B, M).   -> (B, sum T_i, C)."""
    rows = [modality_embedding(p, w[:, i, None, None] * x, i) for i, x in enumerate(streams.values())]
    ends = np.cumsum([x.shape[1] for x in streams.values()])[:-1]

    def backward(dy, g):
        parts = [back(d, g) for d, (_, back) in zip(np.split(dy, ends, 1), rows, strict=True)]
        dw = np.stack([(d * x).sum((1, 2)) for d, x in zip(parts, streams.values(), strict=True)], 1)
        return {m: w[:, i, None, None] * parts[i] for i, m in enumerate(streams)}, dw

    return np.concatenate([y for y, _ in rows], 1), backward


def describe_reconstruction(width, modalities, width_each):
    """One linear map per modality, side by side."""
    return describe_linear(width, modalities * width_each)


@closure
def reconstruction(p, h, modalities):
    """f'_i = W_i h + b_i for each modality i.   h (B, C) the fused vector -> (B, M, D).

    Our reading of L_rec is mse(f', f, available), f (B, M, D) the time means of the encoded modalities. There f is data:
    with a gradient the encoders could lower the loss by shrinking their features to 0.
    """
    y, back = linear(p, h)
    return y.reshape(len(h), modalities, -1), lambda dy, g: back(dy.reshape(y.shape), g)
