# %% [markdown]
# # 10. Recurrence and convolution in time
#
# Introduces: `refmer.layers.sequence.describe_lstm`, `refmer.layers.sequence.lstm`,
# `refmer.layers.convolution.describe_conv1d`, `refmer.layers.convolution.conv1d`, `refmer.layers.convolution.describe_tcn`,
# `refmer.layers.convolution.tcn`
#
# **After this page** you can write an LSTM with padded steps and a causal dilated convolution with their backward passes, say
# where a gradient through time vanishes or explodes, and compute how many steps back a stack of convolutions reaches.
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
# An LSTM (long short-term memory) reads a sequence step by step, $t = 0, \dots, T - 1$. It has two states: a memory $c_t$ and
# an output $h_t$. Both are 0 before the first step.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $x_{btd}$ | $(B, T, D)$ | input: $D$ numbers for every step of $B$ sequences |
# | $c_{bth}$, $h_{bth}$ | $(B, T + 1, H)$ in code | memory and output *after* step $t$ |
# | $u_{btk}$ | $(B, T, 4H)$ | four blocks of $H$ numbers before their activations |
# | $W$, $U$, $b$ | $(D, 4H)$, $(H, 4H)$, $(4H,)$ | weights of the input, weights of the output before, bias |
#
# As an index, $h$ runs over the $H$ numbers of a state.
#
# In the code, the arrays `c` and `h` have one step more than $x$: `h[:, t]` is the state before step $t$, and `h[:, t + 1]` the
# state after it. So `h[:, 0]` is the start, 0.
#
# All linear maps of a step are computed at once:
#
# $$u_{btk} = \sum_d x_{btd} W_{dk} + b_k + \sum_h h_{b,t-1,h} U_{hk} .$$
#
# Here $k$ runs over four blocks of $H$ numbers. They are called $i, f, g, o$, in this order. (It is PyTorch's order; other
# libraries use others.)
#
# Three of the blocks are gates. They pass a sigmoid, so they lie between 0 and 1:
#
# - the input gate $i$ multiplies the new content $g$;
# - the forget gate $f$ multiplies the memory of the step before;
# - the output gate $o$ multiplies the output.
#
# Element by element,
#
# $$i_t = \sigma(u^i_t), \quad f_t = \sigma(u^f_t), \quad g_t = \tanh u^g_t, \quad o_t = \sigma(u^o_t), \qquad
#   c_t = f_t\, c_{t-1} + i_t\, g_t, \qquad h_t = o_t \tanh c_t .$$
#
# The code writes the sigmoid with a tanh, which cannot overflow:
# $\sigma(u) = 1 / (1 + e^{-u}) = \frac12 (1 + \tanh \frac u2)$.
#
# **Example.** Take one sequence of two steps with $D = H = 1$ and $x = (1, 1)$. Let all four elements of $W$ be $\ln 3$, and
# $U = 0$ and $b = 0$. Then $i = f = o = \sigma(\ln 3) = 3/4$ and $g = \tanh(\ln 3) = 0.8$ at both steps. So
#
# $$c_0 = 0.75 \cdot 0.8 = 0.6, \qquad h_0 = 0.75 \tanh 0.6 = 0.4028,$$
#
# $$c_1 = 0.75 \cdot 0.6 + 0.6 = 1.05, \qquad h_1 = 0.75 \tanh 1.05 = 0.5864 .$$
#
# ## Backwards through time
#
# Two arrays are used at two places each. A gradient is the sum over the places:
#
# - $h_t$ is the output $y_t$ of the step, and it is in $u_{t+1}$;
# - $c_t$ is in $h_t$, and it is in $c_{t+1}$.
#
# So the backward begins at the last step, where nothing comes from a later one: $du = dc = 0$ after it. Then it goes down to
# step 0.
#
# **Stage 1, the states.**
#
# $$dh_{bth} = dy_{bth} + \sum_k du_{b,t+1,k} U_{hk}, \qquad
#   dc_t = dh_t\, o_t (1 - \tanh^2 c_t) + dc_{t+1} f_{t+1} .$$
#
# **Stage 2, the four blocks.** The derivative of the sigmoid $i$ is $i (1 - i)$ (tutorial 4), and that of the tanh $g$ is
# $1 - g^2$:
#
# $$du^i_t = dc_t\, g_t\, i_t (1 - i_t), \quad du^f_t = dc_t\, c_{t-1} f_t (1 - f_t), \quad
#   du^g_t = dc_t\, i_t (1 - g_t^2), \quad du^o_t = dh_t \tanh c_t\; o_t (1 - o_t) .$$
#
# **Stage 3, input and parameters.** The input of a step is used once. $W$, $U$ and $b$ are used at every step of every
# sequence, so their gradients are sums:
#
# $$dx_{btd} = \sum_k du_{btk} W_{dk}, \qquad
#   dW_{dk} = \sum_{bt} x_{btd}\, du_{btk}, \qquad dU_{hk} = \sum_{bt} h_{b,t-1,h}\, du_{btk}, \qquad
#   db_k = \sum_{bt} du_{btk} .$$
#
# **Example.** Continue with $dy = (0, 1)$. At the last step $dh_1 = 1$ and $dc_1 = 0.75\, (1 - \tanh^2 1.05) = 0.2915$. One
# step back, $dh_0 = 0$ because $U = 0$. The gradient comes along the memory alone:
# $dc_0 = dc_1 f_1 = 0.2915 \cdot 0.75 = 0.2186$.
#
# ## Steps that are padding
#
# Sequences of one batch have different lengths. The shorter ones are padded, and the mask $m_{bt}$ is 1 at valid steps and 0 at
# padded ones.
#
# A padded step keeps both states, $h_t = h_{t-1}$ and $c_t = c_{t-1}$, and its output is 0. A valid step outputs its state. So
#
# $$y_{bt} = m_{bt}\, h_{bt} .$$
#
# The gates of padded steps are computed as those of valid ones. They have no effect.
#
# In the backward, a padded step has $du_t = 0$, and its $dy_t$ is ignored. The gradients of $h_t$ and $c_t$ pass unchanged to
# $h_{t-1}$ and $c_{t-1}$.
#
# In a loop over $t$ downwards this reads as follows. Begin with $dh = dc = 0$ for all states. At a valid step, first add
# $dy_t$ to $dh_t$, then $dh_t\, o_t (1 - \tanh^2 c_t)$ to $dc_t$. Now both are complete. Then send to the state before:
#
# $$dh_{t-1} \mathrel{+}= \begin{cases} du_t\, U^\top & m_t = 1 \\ dh_t & m_t = 0 \end{cases} \qquad\qquad
#   dc_{t-1} \mathrel{+}= \begin{cases} dc_t\, f_t & m_t = 1 \\ dc_t & m_t = 0 . \end{cases}$$
#
# In the code, `dh[:, t + 1]` is $dh_t$, as `h[:, t + 1]` is $h_t$. At the end `dh[:, 0]` and `dc[:, 0]` are the gradients of
# the start.
#
# **Example.** Let step 1 of the example be padding. Then $c_1 = c_0 = 0.6$ and $y = (0.4028, 0)$. With $dy = (0, 1)$ all
# gradients are 0.


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


x, dy = np.ones((1, 2, 1)), np.array([[[0.0], [1.0]]])
W, U, b = np.full((1, 4), np.log(3)), np.zeros((1, 4)), np.zeros(4)
both, first = np.array([[True, True]]), np.array([[True, False]])

gates, c, h, y = our_lstm(x, W, U, b, both)
dh, dc, *_ = our_lstm_backward(dy, x, W, U, both, gates, c, h)
np.testing.assert_allclose([c[0, 1:, 0], y[0, :, 0]], [[0.6, 1.05], [0.4028, 0.5864]], atol=1e-4)
np.testing.assert_allclose(dc[0, 1:, 0], [0.2186, 0.2915], atol=1e-4)

gates, c, h, y = our_lstm(x, W, U, b, first)
dh, dc, *_ = our_lstm_backward(dy, x, W, U, first, gates, c, h)
np.testing.assert_allclose([c[0, 1:, 0], y[0, :, 0]], [[0.6, 0.6], [0.4028, 0]], atol=1e-4)
assert not dc.any() and not dh.any()

# %% [markdown]
# refmer's layer is `lstm`. Its parameters are a list of layers, and each layer is a list of directions; we use one of each. As
# in PyTorch, a cell has two biases, `inputs.b` and `hidden.b`. Only their sum matters: it is our $b$, and $db$ is the gradient
# of either.
#
# We compare on two sequences of 11 steps: first both complete, then the second one with 7 valid steps.

# %%
rng = np.random.default_rng(0)
B, T, D, H = 2, 11, 3, 5
p = params.init(describe_lstm(D, H), seed=0, dtype=np.float64)
x, dy = rng.normal(size=(B, T, D)), rng.normal(size=(B, T, H))
cell = p.layers[0][0]  # first layer, forwards in time
W, U, b = cell.inputs.W, cell.hidden.W, cell.inputs.b + cell.hidden.b
complete = np.ones((B, T), bool)
padded = np.arange(T) < np.array([[T], [7]])

# Lesson 1: our LSTM is refmer's: the same outputs and the same gradients, with padding and without.
for mask in (complete, padded):
    gates, c, h, y = our_lstm(x, W, U, b, mask)
    dh, dc, du, dx, dW, dU, db = our_lstm_backward(dy, x, W, U, mask, gates, c, h)
    y_refmer, backward = lstm(p, x, mask=mask)
    g = params.zeros_like(p)
    dx_refmer = backward(dy, g)
    dcell = g.layers[0][0]
    pairs = {
        "y": (y, y_refmer),
        "dx": (dx, dx_refmer),
        "dW": (dW, dcell.inputs.W),
        "dU": (dU, dcell.hidden.W),
        "db": (db, dcell.inputs.b),
    }
    for name, (ours, theirs) in pairs.items():
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-14, err_msg=name)
assert not y[1, 7:].any() and not dx[1, 7:].any() and (h[1, 7:] == h[1, 7]).all()

# %% [markdown]
# ## Vanishing and exploding gradients
#
# A simple recurrent network has only $h_t = \tanh(x_t W + h_{t-1} U)$. At every step back, its gradient is multiplied by
# $U^\top$ and by $1 - h_t^2 \le 1$. With small weights it vanishes exponentially, with large ones it can explode.
#
# In an LSTM, the memory is a second path. Along it $dc_{t-1}$ receives $dc_t f_t$, without a matrix and without a tanh. After
# $n$ steps the factor is the product of $n$ forget gates. It stays near 1 as long as the forget gates are near 1.
#
# Before training, the bias of the forget gates determines this product:
#
# | bias | gate $\sigma(\text{bias})$ | product of 60 gates |
# |---|---|---|
# | 0 | 0.5 | $10^{-18}$ |
# | 1 | 0.73 | $10^{-8}$ |
# | 3 | 0.95 | 0.05 |
#
# The memory is not the only path back. $h_{t-1}$ is in all four blocks of $u_t$. So at every step a part of the gradient goes
# through $U^\top$, and from there into the memory of the step before. This part adds to the product of the forget gates. Where
# the gates are open it can even make the gradient grow, while the product decays.
#
# **Experiment.** We give a random upstream gradient to the last output only, and look at the size of $dx_s$ for all steps $s$.
# With $U = 0$ only the product of the forget gates remains.

# %%
np.testing.assert_allclose((1 / (1 + np.exp(-np.array([0, 1, 3])))) ** 60, [1e-18, 1e-8, 0.05], rtol=0.4)

B, T, D, H = 8, 61, 6, 16
complete = np.ones((B, T), bool)
last = np.eye(T)[-1][:, None]  # 1 at the last step, else 0
x, dy = rng.normal(size=(B, T, D)), last * rng.normal(size=(B, 1, H))
bound = H**-0.5  # of the weights before training
W = rng.uniform(-bound, bound, (D, 4 * H))
U = rng.uniform(-bound, bound, (H, 4 * H))


def sizes_of_dx(bias, U):
    """Return |dx| of every step, and the difference of dc from the product of the forget gates."""
    b = np.repeat([0.0, bias, 0, 0], H)  # of i, f, g, o
    gates, c, h, _ = our_lstm(x, W, U, b, complete)
    _, dc, _, dx, *_ = our_lstm_backward(dy, x, W, U, complete, gates, c, h)
    forget = np.split(gates, 4, axis=-1)[1]
    product = dc[:, T] * forget[:, 1:].prod(1)
    return np.linalg.norm(dx, axis=(0, 2)), np.abs(dc[:, 1] / product - 1).max()


with_U, without_U = {}, {}  # {bias: |dx| of the first step, relative to the last}
fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
for bias in (0, 1, 3):
    size, _ = sizes_of_dx(bias, U)
    size_memory, difference = sizes_of_dx(bias, 0 * U)
    assert difference < 1e-9  # without U, the forget gates are all
    with_U[bias], without_U[bias] = size[0] / size[-1], size_memory[0] / size_memory[-1]
    ax.semilogy(np.arange(T)[::-1], size / size[-1], color=f"C{bias}", label=f"forget bias {bias}")
    ax.semilogy(np.arange(T)[::-1], size_memory / size_memory[-1], ":", color=f"C{bias}", label="the same, U = 0")
ax.set(
    xlabel="steps back from the last one",
    ylabel="|dx|, relative to the last step",
    title="Gradient of the last output by earlier inputs (LSTM, H = 16, 8 sequences, seed 0)",
)
ax.title.set_fontsize(10)
ax.legend(loc="lower left", fontsize=8)
plt.show()

# %% [markdown]
# With a bias of 0 the gradient has almost vanished after 60 steps. With a bias of 3 it has not: along the memory it decays to
# about 0.04 (dotted), and with the part through $U$ it grows.

# %%
# Lesson 2: an open forget gate carries a gradient through 60 steps. Along the memory it is multiplied by the forget gates and
# by nothing else; the part through U is added to that.
assert with_U[3] > 1e-3 and with_U[0] < 1e-8
assert all(without_U[bias] < with_U[bias] for bias in with_U) and without_U[3] < 1

# %% [markdown]
# ## A causal convolution with holes
#
# A convolution in time computes every output from $K$ inputs, the *taps*. It is *causal* if the last of them is the present
# step and all others are earlier. It is *dilated*, or has holes, if the taps are $\delta$ steps apart with $\delta > 1$.
# $\delta$ is the *dilation*.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $x_{btc}$, $y_{bte}$ | $(B, T, C)$, $(B, T, E)$ | input and output |
# | $W_{jce}$ | $(K, C, E)$ | weights: one matrix for each tap $j = 0, \dots, K - 1$ |
# | $\beta_e$ | $(E,)$ | bias |
#
# The letters $c$ and $k$ no longer have their meaning of the LSTM: $c$ is a channel of the input. The forward is
#
# $$y_{bte} = \beta_e + \sum_{j=0}^{K-1} \sum_c x_{b,\,t - \delta(K-1-j),\,c}\, W_{jce} .$$
#
# Tap $j$ lies $\delta (K - 1 - j)$ steps before the present one, so the last tap lies 0 steps before it. Before step 0, $x$ is
# 0.
#
# In the backward, $x_{bsc}$ is in the output at $t = s + \delta(K-1-j)$, for every tap $j$ for which there is such a step. So
#
# $$dx_{bsc} = \sum_j \sum_e dy_{b,\,s + \delta(K-1-j),\,e} W_{jce}, \qquad
#   dW_{jce} = \sum_{bt} x_{b,\,t - \delta(K-1-j),\,c}\, dy_{bte}, \qquad d\beta_e = \sum_{bt} dy_{bte} .$$
#
# In the first sum, $dy$ is 0 after the last step. In the second one, $x$ is 0 before step 0. So in a sequence of at most
# $\delta (K - 1 - j)$ steps, the $dW$ of tap $j$ is 0.
#
# **Example.** Two taps, two steps apart, with one channel: $W = (5, 1)$, $\beta = 0$, $\delta = 2$. So $y_t = 5 x_{t-2} + x_t$.
# For $x = (1, 2, 3, 4)$ this is $y = (1, 2, 8, 14)$.
#
# Let $dy = (1, 0, 0, 2)$. The input $x_1$ is in $y_1$ with the weight 1, and in $y_3$ with the weight 5. So
# $dx_1 = 0 + 5 \cdot 2 = 10$. All together, $dx = (1, 10, 0, 2)$.
#
# The weight of tap 0 has the gradient $x_0\, dy_2 + x_1\, dy_3 = 4$, and that of tap 1 has $x_0\, dy_0 + x_3\, dy_3 = 9$.


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


x_small, W_small = np.array([[[1.0], [2.0], [3.0], [4.0]]]), np.array([[[5.0]], [[1.0]]])
dx, dW, dbeta = our_conv_backward(np.array([[[1.0], [0.0], [0.0], [2.0]]]), x_small, W_small, 2)
np.testing.assert_array_equal(our_conv(x_small, W_small, np.zeros(1), 2).ravel(), [1, 2, 8, 14])
np.testing.assert_array_equal([*dx.ravel(), *dW.ravel()], [1, 10, 0, 2, 4, 9])

# %% [markdown]
# refmer's layer is `conv1d`. Its weights are one matrix $(KC, E)$: those of the taps below each other.

# %%
p = params.init(describe_conv1d(D, 4, size=3), seed=0, dtype=np.float64)
dy = rng.normal(size=(B, T, 4))
W = p.W.reshape(3, D, 4)
y = our_conv(x, W, p.b, 4)
dx, dW, dbeta = our_conv_backward(dy, x, W, 4)

y_refmer, backward = conv1d(p, x, size=3, dilation=4, padding="causal")
g = params.zeros_like(p)
dx_refmer = backward(dy, g)
ours = y, dx, dW, dbeta
theirs = y_refmer, dx_refmer, g.W.reshape(3, D, 4), g.b

# Lesson 3: our convolution is refmer's, forwards and backwards.
for mine, other in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-12)

# %% [markdown]
# ## The receptive field of a TCN
#
# A *temporal convolutional network* (TCN) is a stack of $L$ blocks. A block computes $y = \max(F(x) + x, 0)$. Here $F$ is two
# causal convolutions, each followed by $\max(\cdot, 0)$. Where the widths of $x$ and $F(x)$ differ, there is a linear map on
# the shortcut $x$.
#
# Both convolutions of block $i$ have the dilation $2^i$, for $i = 0, \dots, L - 1$.
#
# The *receptive field* $R$ is the number of input steps that an output depends on. A convolution reaches $\delta (K - 1)$ steps
# back, and the reaches of a stack add up. Block $i$ has two convolutions with $\delta = 2^i$. With the present step,
#
# $$R = 1 + \sum_{i=0}^{L-1} 2\,(K-1)\,2^i = 1 + 2(K-1)(2^L - 1) .$$
#
# **Example.** With $K = 3$, block 0 reaches 4 steps back, block 1 reaches 8 and block 2 reaches 16. So two blocks have
# $R = 1 + 4 + 8 = 13$, and three have $R = 29$.
#
# The gradient tests the formula. With an upstream gradient at output step $t$ alone, $dx_s$ is 0 at all steps $s$ on which this
# output does not depend.
#
# The function below does this for all $t$ in one backward. It repeats one sequence $T$ times; copy $t$ has its upstream
# gradient at step $t$.


# %%
def influence(layer, p):
    """Return |dx_s| for an upstream gradient at output step t alone, (T, T), t first."""
    y, backward = layer(p, np.repeat(x[:1], T, axis=0))
    dy = np.eye(T)[:, :, None] * rng.normal(size=y.shape[-1])
    return np.linalg.norm(backward(dy, params.zeros_like(p)), axis=-1)


networks = (
    ("TCN, 2 blocks: R = 13", tcn, describe_tcn(6, [16] * 2), 1 + 2 * (3 - 1) * (2**2 - 1)),
    ("TCN, 3 blocks: R = 29", tcn, describe_tcn(6, [16] * 3), 1 + 2 * (3 - 1) * (2**3 - 1)),
    ("LSTM: all earlier steps", lstm, describe_lstm(6, 16), T),
)
fig, axes = plt.subplots(1, 3, figsize=(9, 3.5), layout="constrained", sharey=True)
for ax, (title, layer, description, R) in zip(axes, networks, strict=True):
    size = influence(layer, params.init(description, seed=0, dtype=np.float64))
    logarithm = np.where(size > 0, np.log10(size + 1e-30), np.nan)
    image = ax.imshow(logarithm, vmin=-6, vmax=0, origin="lower")
    ax.set(xlabel="input step s", title=title)
    t, s = np.nonzero(size)
    # Lesson 4: no output depends on a later input; a TCN reaches back as far as the formula says and not one step further.
    assert (s <= t).all() and (t - s).max() + 1 == R
axes[0].set_ylabel("output step t")
fig.colorbar(image, label="log10 |dx|; white: 0 (seed 0)")
plt.show()

# %% [markdown]
# In all three images the lower right half, $s > t$, is white: no output depends on a later input. The coloured band of a TCN is
# $R$ steps wide. The LSTM reaches back to step 0, but its gradient decays.
#
# ## Experiment: valence and arousal over time
#
# In the 36 synthetic recordings valence and arousal change over time. Three networks predict them from the stream `prosody`,
# six numbers that describe the sound:
#
# - an MLP, which uses the present step alone;
# - a TCN with three blocks;
# - an LSTM.
#
# We average input and target to 5 steps a second, 104 steps for a recording. Six of the 18 speakers are for the test.

# %%
clips = refmer.load_samples("recordings")
x = clips.streams["prosody"].x[:, :1040].reshape(36, 104, 10, 6).mean(2)  # 50 a second -> 5
affect = clips.affect[:, :520].reshape(36, 104, 5, 2).mean(2)  # 25 a second -> 5
mask = clips.labels["affect"].mask[:, 4:520:5]  # a step is valid if its last frame is

speakers = np.random.default_rng(0).permutation(np.unique(clips.speaker))
test = np.isin(clips.speaker, speakers[:6])
train = mask & ~test[:, None]  # the steps to learn from
x = (x - x[train].mean(0)) / x[train].std(0)
x = np.where(mask[..., None], x, 0).astype("f4")

# %% [markdown]
# The loss is the mean squared error over the valid steps of the training speakers. All three networks have 16 output numbers; a
# linear map makes two of them, valence and arousal.
#
# They are trained with Adam: $m$ is a moving average of the gradient and $v$ one of its square. Both start at 0, and the
# division by $1 - 0.9^n$ and $1 - 0.999^n$ corrects for that.


# %%
def train_and_test(description, forward, seed=0, steps=80):
    """Return the test error before every step, and the last predictions (36, 104, 2)."""
    p = params.init({"body": description, "out": describe_linear(16, 2)}, seed)
    m, v, errors = np.zeros_like(p.vector), np.zeros_like(p.vector), []
    for n in range(1, steps + 1):
        h, back = forward(p.body, x)
        prediction, back_out = linear(p.out, h)
        difference = np.where(mask[..., None], prediction - affect, 0)
        errors.append((difference[test] ** 2).sum() / mask[test].sum())
        g = params.zeros_like(p)
        dprediction = 2 * difference * train[..., None] / train.sum()
        back(back_out(dprediction, g.out), g.body)
        m = 0.9 * m + 0.1 * g.vector
        v = 0.999 * v + 0.001 * g.vector**2
        p.vector -= 0.01 * (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
    return errors, prediction


results = {
    "MLP": train_and_test(describe_mlp(6, 16, 16), mlp),
    "TCN": train_and_test(describe_tcn(6, [16] * 3), lambda p, x: tcn(p, x, mask=mask)),
    "LSTM": train_and_test(describe_lstm(6, 16), lambda p, x: lstm(p, x, mask=mask)),
}

fig, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
valid = mask[test][0]
seconds = np.arange(104)[valid] / 5
for name, (errors, prediction) in results.items():
    axes[0].plot(errors, label=f"{name}: {errors[-1]:.2f}")
    axes[1].plot(seconds, prediction[test][0, valid, 0], lw=1)
axes[1].plot(seconds, affect[test][0, valid, 0], "k")
axes[0].set(xlabel="training step", ylabel="squared error", ylim=(0, 1.3), title="12 recordings of 6 new speakers, seed 0")
axes[1].set(xlabel="seconds", ylabel="valence", title="One of these recordings (black: raters)")
axes[0].legend(title="error at the end")
plt.show()

# %% [markdown]
# The two networks with a memory have a smaller error than the MLP. Between TCN and LSTM this corpus does not decide: with other
# test speakers the order can change.

# %%
# Lesson 5: networks that use the past have the smaller error.
assert max(results["TCN"][0][-1], results["LSTM"][0][-1]) < 0.9 * results["MLP"][0][-1]

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `10_recurrence_and_convolution.py` (`refmer exercises --out DIR`, then
# `refmer grade DIR/10_recurrence_and_convolution.py`).
#
# 1. At 5 steps a second and $K = 3$, how many blocks see 10 seconds back? How many numbers is that, of width $H$? An LSTM's?
# 2. Read an LSTM in both directions (`bidirectional=True`). Is it still causal? Where may it be used?
# 3. In `our_lstm_backward`, leave out `du[:, t] @ U.T`. Which gradients are still right?

# %% tags=["hide-cell"]
# Solution 1: R = 1 + 4 (2^L - 1) >= 51 for L = 4. A block has 2 (K H^2 + H) numbers, an LSTM 4 (D H + H^2 + 2 H).
assert params.count(describe_lstm(6, 16)) == 4 * (6 * 16 + 16**2 + 2 * 16)
# Solution 2: no, the first output depends on the last input. Only where the whole recording is there before the first answer.
# Solution 3: dx of the last step, to which nothing comes from later. All others lack the part of h_t in later steps.
