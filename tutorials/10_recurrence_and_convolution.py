# %% [markdown]
# # 10. Recurrence and convolution in time
#
# Introduces: `refmer.layers.sequence.describe_lstm`, `refmer.layers.sequence.lstm`,
# `refmer.layers.convolution.describe_conv1d`, `refmer.layers.convolution.conv1d`, `refmer.layers.convolution.describe_tcn`,
# `refmer.layers.convolution.tcn`
#
# **After this page** you can write an LSTM with padded steps and a causal dilated convolution with their backward passes, say
# where a gradient through time vanishes or explodes, and compute how far a stack of convolutions sees.
#
# **Time.** 75 minutes to read, 10 seconds to run.
#
# **You need** tutorials 1, 2, 3 and 9: layers, the proof, recordings, `params.count`.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer import params
from refmer.layers.convolution import conv1d, describe_conv1d, describe_tcn, tcn
from refmer.layers.dense import describe_linear, describe_mlp, linear, mlp
from refmer.layers.sequence import describe_lstm, lstm

# %% [markdown]
# ## An LSTM, forwards
#
# It reads $x_{btd}$ step by step and keeps a memory $c_{bth}$ and what it says, $h_{bth}$ (both 0 before the first step). All
# its maps at once, with $k$ running over four blocks of $H$ that are called $i, f, g, o$ (PyTorch's order; others differ):
#
# $$u_{btk} = \sum_d x_{btd} W_{dk} + b_k + \sum_h h_{b,t-1,h} U_{hk}$$
#
# and then, element by element, three gates $\sigma(u) = 1 / (1 + e^{-u}) = \frac12 (1 + \tanh \frac u2)$ that decide what to
# take in ($i$), what to keep ($f$) and what to say ($o$):
#
# $$i_t = \sigma(u^i_t), \quad f_t = \sigma(u^f_t), \quad g_t = \tanh u^g_t, \quad o_t = \sigma(u^o_t), \qquad
#   c_t = f_t\, c_{t-1} + i_t\, g_t, \qquad h_t = o_t \tanh c_t .$$
#
# ## Backwards through time
#
# $h_t$ goes to two places: out, as $y_t$, and into $u_{t+1}$. So does $c_t$: into $h_t$ and into $c_{t+1}$. A gradient is the
# sum over the places. Start after the last step, where $du = dc = 0$, and go down:
#
# $$dh_{bth} = dy_{bth} + \sum_k du_{b,t+1,k} U_{hk}, \qquad
#   dc_t = dh_t\, o_t (1 - \tanh^2 c_t) + dc_{t+1} f_{t+1}$$
#
# $$du^i_t = dc_t\, g_t\, i_t (1 - i_t), \quad du^f_t = dc_t\, c_{t-1} f_t (1 - f_t), \quad
#   du^g_t = dc_t\, i_t (1 - g_t^2), \quad du^o_t = dh_t \tanh c_t\; o_t (1 - o_t) .$$
#
# $W$, $U$ and $b$ serve every step of every clip, so their gradients are sums:
#
# $$dW_{dk} = \sum_{bt} x_{btd}\, du_{btk}, \qquad dU_{hk} = \sum_{bt} h_{b,t-1,h}\, du_{btk}, \qquad
#   db_k = \sum_{bt} du_{btk}, \qquad dx_{btd} = \sum_k du_{btk} W_{dk} .$$

#
# ## Steps that are padding
#
# Sequences of one batch have different lengths; the shorter ones are padded, and $m_{bt}$ says which steps are valid. A padded
# step keeps the state, $h_t = h_{t-1}$ and $c_t = c_{t-1}$, and its output is 0. Valid steps give the state's $h$ out:
#
# $$y_{bt} = m_{bt}\, h_{bt} .$$
#
# Backwards, a padded step has $du_t = 0$ and ignores $dy_t$; the gradients of $h_t$ and $c_t$ go to $h_{t-1}$ and $c_{t-1}$ as
# they are. With $dh_t$ and $dc_t$ the whole gradients of the state after step $t$, what a step sends to the state before it is
#
# $$dh_{t-1} \mathrel{+}= \begin{cases} du_t\, U^\top & m_t = 1 \\ dh_t & m_t = 0 \end{cases} \qquad\qquad
#   dc_{t-1} \mathrel{+}= \begin{cases} dc_t\, f_t & m_t = 1 \\ dc_t & m_t = 0 . \end{cases}$$


# %%
def our_lstm(x, W, U, b, mask):
    """Return the gates, the states c and h, and the output y. A padded step keeps both
    states, and its y is 0.

    x (B, T, D), W (D, 4H), U (H, 4H), b (4H,), mask (B, T), True where a step is valid
    -> gates (B, T, 4H), i, f, g, o after their activations (at padded steps, too), computed
    from the state before the step; c, h (B, T + 1, H), at 0 of axis 1 the start, which is
    0, and at t + 1 the state after step t; y (B, T, H)
    """
    (B, T, _), H = x.shape, len(U)
    c, h = np.zeros((2, B, T + 1, H), (x @ W).dtype)
    gates = np.zeros((B, T, 4 * H), c.dtype)
    for t in range(T):
        i, f, g, o = np.split(x[:, t] @ W + b + h[:, t] @ U, 4, axis=-1)
        i, f, g, o = (1 + np.tanh(i / 2)) / 2, (1 + np.tanh(f / 2)) / 2, np.tanh(g), (1 + np.tanh(o / 2)) / 2
        gates[:, t] = np.concatenate([i, f, g, o], axis=-1)
        valid = mask[:, t, None]
        c[:, t + 1] = np.where(valid, f * c[:, t] + i * g, c[:, t])
        h[:, t + 1] = np.where(valid, o * np.tanh(c[:, t + 1]), h[:, t])
    y = np.where(mask[..., None], h[:, 1:], 0)
    return gates, c, h, y


def our_lstm_backward(dy, x, W, U, mask, gates, c, h):
    """Return the gradients of the states h and c, of the gates before their activations, u,
    and of x, W, U and b.

    dy (B, T, H), the others as in our_lstm
    -> dh, dc (B, T + 1, H), everything that reaches a state, at 0 of axis 1 the start;
    du (B, T, 4H), 0 at padded steps; dx (B, T, D), dW (D, 4H), dU (H, 4H), db (4H,)
    """
    dh, dc, du = np.zeros_like(h), np.zeros_like(c), np.zeros_like(gates)
    for t in reversed(range(x.shape[1])):
        i, f, g, o = np.split(gates[:, t], 4, axis=-1)
        tanh_c, valid = np.tanh(c[:, t + 1]), mask[:, t, None]
        dh[:, t + 1] += np.where(valid, dy[:, t], 0)  # h is the output, too
        dh_t = dh[:, t + 1]
        dc[:, t + 1] += np.where(valid, dh_t * o * (1 - tanh_c**2), 0)
        dc_t = dc[:, t + 1]
        di, df, dg, do = (
            dc_t * g * i * (1 - i),
            dc_t * c[:, t] * f * (1 - f),
            dc_t * i * (1 - g**2),
            dh_t * tanh_c * o * (1 - o),
        )
        du[:, t] = np.where(valid, np.concatenate([di, df, dg, do], axis=-1), 0)
        dh[:, t] = np.where(valid, du[:, t] @ U.T, dh_t)
        dc[:, t] = np.where(valid, dc_t * f, dc_t)
    dx = du @ W.T
    dW = np.einsum("btd,btk->dk", x, du)
    dU = np.einsum("bth,btk->hk", h[:, :-1], du)
    db = du.sum((0, 1))
    return dh, dc, du, dx, dW, dU, db


rng, (B, T, D, H) = np.random.default_rng(0), (2, 11, 3, 5)
p = params.init(describe_lstm(D, H), seed=0, dtype=np.float64)
x, dy = rng.normal(size=(B, T, D)), rng.normal(size=(B, T, H))
cell = p.layers[0][0]  # of the first layer, forwards in time
W, U, b = cell.inputs.W, cell.hidden.W, cell.inputs.b + cell.hidden.b  # two biases: PyTorch's habit

# Lesson 1: an LSTM is these lines; refmer's has the same outputs and the same gradients, with padding and without.
for mask in (np.ones((B, T), bool), np.arange(T) < np.array([[T], [7]])):
    gates, c, h, ours = our_lstm(x, W, U, b, mask)
    dh, dc, du, dx, dW, dU, db = our_lstm_backward(dy, x, W, U, mask, gates, c, h)
    y, backward = lstm(p, x, mask=mask)
    g = params.zeros_like(p)
    theirs, dcell = backward(dy, g), g.layers[0][0]
    pairs = {
        "y": (ours, y),
        "dx": (dx, theirs),
        "dW": (dW, dcell.inputs.W),
        "dU": (dU, dcell.hidden.W),
        "db": (db, dcell.inputs.b),
    }
    for name, (mine, other) in pairs.items():
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-14, err_msg=name)
assert not ours[1, 7:].any() and not dx[1, 7:].any() and (h[1, 7:] == h[1, 7]).all()

# %% [markdown]
# ## Where a gradient dies
#
# An older network has $h_t = \tanh(x_t W + h_{t-1} U)$ only. At every step back its gradient is multiplied with $U^\top$ and
# with $1 - h_t^2 < 1$: for small weights it dies exponentially (and for large ones it explodes). In the LSTM, along the memory,
# $dc_{t-1}$ receives $dc_t f_t$: no matrix, no tanh, after $n$ steps $\prod f_t$. That lives while the gates are open. At first
# their bias decides: $\sigma(0) = 0.5$, $\sigma(3) = 0.95$. We ask the last step alone, and look at $dx_s$ for all $s$.
#
# The memory is not the only way back. $h_{t-1}$ is in all four blocks of $u_t$, so at every step a part of the gradient goes
# through $U^\top$, and from there into the memory of the step before. This part adds to the product of forget gates, and where
# gates are open it can make the gradient grow, while $\prod f_t$ decays. With $U = 0$ only the product remains (dotted).

# %%
B, T, D, H, left, alone = 8, 61, 6, 16, {}, {}
every = np.ones((B, T), bool)
x, dy = rng.normal(size=(B, T, D)), np.eye(T)[-1][:, None] * rng.normal(size=(B, 1, H))
W, U = (rng.uniform(-(H**-0.5), H**-0.5, (n, 4 * H)) for n in (D, H))  # the usual start
fig, ax = plt.subplots(figsize=(7, 3.3), layout="constrained")
for bias in (0, 1, 3):
    b = np.repeat([0.0, bias, 0, 0], H)  # of i, f, g, o
    for matrix, result, style in ((U, left, "-"), (0 * U, alone, ":")):
        gates, c, h, _ = our_lstm(x, W, matrix, b, every)
        _, dc, _, dx, *_ = our_lstm_backward(dy, x, W, matrix, every, gates, c, h)
        size = np.linalg.norm(dx, axis=(0, 2))
        result[bias] = size[0] / size[-1]
        name = f"forget bias {bias}" if style == "-" else None
        ax.semilogy(np.arange(T)[::-1], size / size[-1], style, color=f"C{bias}", label=name)
    forget = np.split(gates, 4, axis=-1)[1]
    np.testing.assert_allclose(dc[:, 1], dc[:, T] * forget[:, 1:].prod(1), rtol=1e-9)  # without U
ax.set(xlabel="steps back from the last one", ylabel="|dx|, relative", title="What the past hears of an error now")
ax.legend(loc="lower left")
plt.show()

# Lesson 2: through 60 steps an open forget gate carries a gradient that elsewhere is gone. Along the memory it is multiplied
# by the forget gates and by nothing else; what goes through U comes on top.
assert left[3] > 1e-3 and left[0] < 1e-8
assert all(alone[bias] < left[bias] for bias in left) and alone[3] < 1

# %% [markdown]
# ## A causal convolution with holes
#
# Every output looks at $k$ inputs, $\delta$ steps apart (the *dilation*), the last of them being now ($x = 0$ before step 0):
#
# $$y_{bte} = \beta_e + \sum_{j=0}^{k-1} \sum_c x_{b,\,t - \delta(k-1-j),\,c}\, W_{jce} .$$
#
# Back: $x_{bsc}$ is in the output at $t = s + \delta(k-1-j)$, for every tap $j$ for which there is one, so
#
# $$dx_{bsc} = \sum_j \sum_e dy_{b,\,s + \delta(k-1-j),\,e} W_{jce}, \qquad
#   dW_{jce} = \sum_{bt} x_{b,\,t - \delta(k-1-j),\,c}\, dy_{bte}, \qquad d\beta_e = \sum_{bt} dy_{bte} .$$


# %%
def our_conv(x, W, beta, dilation):
    """Return y, of as many steps as x: output t sees steps up to t only. Before step 0, x
    is 0. Tap W[-1] is of step t itself.

    x (B, T, C), W (K, C, E), beta (E,), dilation a whole number from 1 -> y (B, T, E)
    """
    reach, T = dilation * (len(W) - 1), x.shape[1]
    past = np.pad(x, ((0, 0), (reach, 0), (0, 0)))
    y = beta
    for j in range(len(W)):
        y = y + past[:, dilation * j : dilation * j + T] @ W[j]  # x at t - dilation (K - 1 - j)
    return y


def our_conv_backward(dy, x, W, dilation):
    """Return the gradients of x, W and beta.

    dy (B, T, E), the others as in our_conv -> dx (B, T, C), dW (K, C, E), dbeta (E,)
    """
    reach, T = dilation * (len(W) - 1), x.shape[1]
    past = np.pad(x, ((0, 0), (reach, 0), (0, 0)))
    dpast, dW = np.zeros_like(past), np.zeros_like(W)
    for j in range(len(W)):
        tap = slice(dilation * j, dilation * j + T)
        dpast[:, tap] += dy @ W[j].T
        dW[j] = np.einsum("btc,bte->ce", past[:, tap], dy)
    dx = dpast[:, reach:]
    dbeta = dy.sum((0, 1))
    return dx, dW, dbeta


p = params.init(describe_conv1d(D, 4, size=3), seed=0, dtype=np.float64)
g, dy = params.zeros_like(p), rng.normal(size=(B, T, 4))
y, backward = conv1d(p, x, size=3, dilation=4, padding="causal")
W = p.W.reshape(3, D, 4)
ours = our_conv(x, W, p.b, 4), *our_conv_backward(dy, x, W, 4)

# Lesson 3: refmer's convolution is ours, forwards and backwards.
for mine, other in zip(ours, (y, backward(dy, g), g.W.reshape(3, D, 4), g.b), strict=True):
    np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## How far a TCN sees
#
# A block of a *temporal convolutional network* is $y = \max(F(x) + x, 0)$, with $F$ two such convolutions, each followed by
# $\max(\cdot, 0)$ (where widths differ, a linear map is on the shortcut). Block $i$ of $L$ has dilation $2^i$. A convolution
# reaches $\delta(k-1)$ steps back, and reaches add up; the gradient will tell, $|dx_s|$ for an error at $t$ alone:
#
# $$R = 1 + \sum_{i=0}^{L-1} 2\,(k-1)\,2^i = 1 + 2(k-1)(2^L - 1) .$$


# %%
def influence(layer, p):
    """(T, T): how much output t hears of input s. Clip t of T equal ones has its upstream gradient at step t."""
    y, backward = layer(p, np.repeat(x[:1], T, axis=0))
    dy = np.eye(T)[:, :, None] * rng.normal(size=y.shape[-1])
    return np.linalg.norm(backward(dy, params.zeros_like(p)), axis=-1)


fig, axes = plt.subplots(1, 3, figsize=(9, 3.5), layout="constrained", sharey=True)
for ax, L in zip(axes, (2, 3, None), strict=True):
    layer, describe = (tcn, describe_tcn(6, [16] * L)) if L else (lstm, describe_lstm(6, 16))
    hears = influence(layer, params.init(describe, seed=0, dtype=np.float64))
    image = ax.imshow(np.where(hears > 0, np.log10(hears + 1e-30), np.nan), vmin=-6, vmax=0, origin="lower")
    (t, s), R = np.nonzero(hears), 1 + 2 * (3 - 1) * (2**L - 1) if L else T
    ax.set(
        title=f"TCN, {L} blocks: R = {R}" if L else "LSTM: all there is",
        xlabel="input step s",
        ylabel="output step t" if L == 2 else None,
    )
    # Lesson 4: nothing comes from the future; a TCN sees as far as the formula says and not one step further.
    assert (s <= t).all() and (t - s).max() + 1 == R
fig.colorbar(image, label="log10 of the gradient")
plt.show()

# %% [markdown]
# ## What memory is worth
#
# In the 36 synthetic recordings feelings wander. We average `prosody` (how it sounds) and `affect` (valence, arousal) to 104
# steps, 5 a second, and let a network without memory, a TCN and an LSTM follow. Steps downhill are Adam's.

# %%
clips = refmer.load_samples("recordings")
x = clips.streams["prosody"].x[:, :1040].reshape(36, 104, 10, 6).mean(2)
affect, mask = clips.affect[:, :520].reshape(36, 104, 5, 2).mean(2), clips.labels["affect"].mask[:, 4:520:5]
test = np.isin(clips.speaker, np.random.default_rng(0).permutation(np.unique(clips.speaker))[:6])
train = mask & ~test[:, None]  # the steps to learn from
x = np.where(mask[..., None], (x - x[train].mean(0)) / x[train].std(0), 0).astype("f4")


def follow(describe, forward, seed=0, steps=80):
    p = params.init({"body": describe, "out": describe_linear(16, 2)}, seed)
    m, v, curve = np.zeros_like(p.vector), np.zeros_like(p.vector), []
    for n in range(1, steps + 1):
        g = params.zeros_like(p)
        h, back = forward(p.body, x)
        o, back_out = linear(p.out, h)
        error = np.where(mask[..., None], o - affect, 0)
        curve.append((error[test] ** 2).sum() / mask[test].sum())
        back(back_out(2 * error * train[..., None] / train.sum(), g.out), g.body)
        m, v = 0.9 * m + 0.1 * g.vector, 0.999 * v + 0.001 * g.vector**2
        p.vector -= 0.01 * (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
    return curve, o


found = {
    "the present only": follow(describe_mlp(6, 16, 16), mlp),
    "TCN": follow(describe_tcn(6, [16] * 3), lambda p, x: tcn(p, x, mask=mask)),
    "LSTM": follow(describe_lstm(6, 16), lambda p, x: lstm(p, x, mask=mask)),
}
fig, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
there = mask[test][0]
for name, (curve, o) in found.items():
    axes[0].plot(curve, label=f"{name}: {curve[-1]:.2f}")
    axes[1].plot(np.arange(104)[there] / 5, o[test][0, there, 0], lw=1)
axes[1].plot(np.arange(104)[there] / 5, affect[test][0, there, 0], "k")
axes[0].set(xlabel="step", ylabel="squared error", ylim=(0, 1.3), title="Six speakers not trained on")
axes[1].set(xlabel="seconds", ylabel="valence", title="One of their recordings (black: raters)")
axes[0].legend()
plt.show()

# Lesson 5: who remembers follows better. (TCN or LSTM? Another split, another answer: this corpus does not decide.)
assert max(found["TCN"][0][-1], found["LSTM"][0][-1]) < 0.9 * found["the present only"][0][-1]

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `10_recurrence_and_convolution.py` (`refmer exercises --out DIR`, then
# `refmer grade DIR/10_recurrence_and_convolution.py`).
#
# 1. At 5 steps a second and $k = 3$, how many blocks see 10 seconds back? How many numbers is that, of width $H$? An LSTM's?
# 2. Read an LSTM in both directions (`bidirectional=True`). Is it still causal? Where may it be used?
# 3. In `our_lstm_backward`, leave out `du[:, t] @ U.T`. Which gradients are still right?

# %% tags=["hide-cell"]
# Solution 1: R = 1 + 4 (2^L - 1) >= 51 for L = 4. A block has 2 (k H^2 + H) numbers, an LSTM 4 (D H + H^2 + 2 H).
assert params.count(describe_lstm(6, 16)) == 4 * (6 * 16 + 16**2 + 2 * 16)
# Solution 2: no, the first output hears the last input. Only where the whole recording is there before the first answer.
# Solution 3: dx of the last step, to which nothing comes from later. All else lacks what h_t did to the future.
