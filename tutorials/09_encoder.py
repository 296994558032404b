# %% [markdown]
# # 9. Encoders
#
# Introduces: `refmer.layers.dense.dropout`, `refmer.layers.dense.feed_forward`, `refmer.layers.dense.layer_norm`,
# `refmer.layers.attention.Rates`, `refmer.layers.attention.describe_encoder_layer`, `refmer.layers.attention.cross_layer`,
# `refmer.layers.attention.pre_norm_layer`, `refmer.layers.attention.post_norm_layer`,
# `refmer.layers.attention.describe_encoder`, `refmer.layers.attention.encoder`, `refmer.layers.attention.cross_encoder`,
# `refmer.layers.sequence.positions`, `refmer.layers.sequence.last_valid_step`, `refmer.params.count`
#
# **After this page** you can divide attention into heads, derive the backward of a residual block with layer norm in either
# order, write a feed-forward network with dropout and the table of positions, and build the encoder in which a voice attends to
# a face.
#
# **Time.** 75 minutes to read, 15 seconds to run.
#
# **You need** tutorials 1, 2, 7 and 8: two layers with a ReLU, layer norm and its backward, attention, and masks.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer import params
from refmer.check import assert_gradient
from refmer.layers.attention import (
    Rates,
    attention,
    cross_encoder,
    cross_layer,
    describe_attention,
    describe_encoder,
    describe_encoder_layer,
    encoder,
    post_norm_layer,
    pre_norm_layer,
)
from refmer.layers.dense import dropout, feed_forward, layer_norm
from refmer.layers.sequence import last_valid_step, positions
from refmer.ops.attention import causal_between, key_mask

rng = np.random.default_rng(0)
B, T, S, C = 2, 3, 5, 6  # clips, queries, keys, width

# %% [markdown]
# ## Heads
#
# One query has one row of weights: one choice among the keys. To make several choices at once, attention is divided into $H$
# *heads*. The $C$ channels of queries, keys and values are cut into $H$ parts of $D = C / H$ channels. Each head attends with
# its part alone. The outputs of the heads are put side by side again.
#
# | array | shape | |
# |---|---|---|
# | $x$ | $(B, T, C)$ | before the split, and after the merge |
# | one array by heads | $(B, H, T, D)$ | head $h$ has the channels $hD$ to $(h + 1) D - 1$ |
# | weights | $(B, H, T, S)$ | one row of weights for each head and query |
#
# *Example.* One step $(1, 2, 3, 4)$ and two heads: head 0 has $(1, 2)$, and head 1 has $(3, 4)$.
#
# *Backward.* Split and merge only move numbers. So the backward of the split is the merge, and the backward of the merge is the
# split.


# %%
def our_split_heads(x, heads):
    """Return x by heads: head h has the channels h D to (h + 1) D - 1 of each step.

    x (B, T, C), heads = H, a number that divides C; D = C / H -> y (B, H, T, D)
    """
    B, T, C = x.shape
    y = x.reshape(B, T, heads, C // heads).swapaxes(1, 2)
    return y


def our_merge_heads(x):
    """Return the heads side by side, each in the channels from which it was taken.

    x (B, H, T, D) -> y (B, T, C), C = H D
    """
    B, H, T, D = x.shape
    y = x.swapaxes(1, 2).reshape(B, T, H * D)
    return y


step = np.array([[[1.0, 2.0, 3.0, 4.0]]])
assert our_split_heads(step, 2).tolist() == [[[[1, 2]], [[3, 4]]]]
assert our_merge_heads(our_split_heads(step, 2)).tolist() == step.tolist()

# Lesson 1: the backward of the split is the merge.
x, dy = rng.normal(size=(B, T, C)), rng.normal(size=(B, 2, T, 3))
moved = our_split_heads(x + 1e-30j * np.eye(C)[4], 2)  # a complex step in channel 4 of all steps
assert abs((dy * moved).sum().imag / 1e-30 - our_merge_heads(dy)[..., 4].sum()) < 1e-12

# %% [markdown]
# In refmer's layer of attention the maps of tutorial 7 stand around the heads: $W^q$, $W^k$ and $W^v$ before the split, $W^o$
# after the merge. So $W^o$ mixes the outputs of the heads.
#
# The next cell computes this layer with two heads from its parts. Each head has its own scores, scaled by $1 / \sqrt D$ with
# the width $D$ of a *head*, and its own softmax.


# %%
def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


p = params.init(describe_attention(C), seed=0, dtype=np.float64)
memory = rng.normal(size=(B, S, C))
q = our_split_heads(x @ p.query.W + p.query.b, 2)
k = our_split_heads(memory @ p.key.W + p.key.b, 2)
v = our_split_heads(memory @ p.value.W + p.value.b, 2)
weights = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(C // 2))
ours = our_merge_heads(weights @ v) @ p.out.W + p.out.b

# Lesson 2: attention with heads is attention of each part alone, side by side.
np.testing.assert_allclose(attention(p, x, memory, 2)[0], ours, rtol=1e-10)

# %% [markdown]
# As with one head, a query without a valid key gets the output 0, and the gradient of the keys' bias is 0 in every head.

# %%
valid = np.array([[True, True, True, False, False], [False, False, False, False, False]])


def two_heads(p, x, memory):
    return attention(p, x, memory, 2, key_mask(valid))


assert not two_heads(p, x, memory)[0][1].any()
assert_gradient(two_heads, p, x, memory, rng=rng, zero=("key.b",))

# %% [markdown]
# ## Residuals
#
# Deep networks are built of blocks that *add* something to their input:
#
# $$y = x + f(x) .$$
#
# $x$ is used twice. With $J^\top dy$ for what comes back through $f$, the gradient is
#
# $$dx = dy + J^\top dy .$$
#
# The first term is the upstream gradient itself. It reaches $x$ however small the derivative of $f$ is.
#
# *Example.* $f(x) = 0.1 x$. One block multiplies the gradient by $1 + 0.1 = 1.1$. Twenty blocks multiply it by
# $1.1^{20} \approx 6.7$. Without the residuals it would be $0.1^{20} = 10^{-20}$.

# %%
assert round(1.1**20, 1) == 6.7 and abs(0.1**20 / 1e-20 - 1) < 1e-12

# %% [markdown]
# ## Layer norm after the residual: post-norm
#
# Layer norm (tutorial 2) keeps the numbers of each step at mean 0 and variance 1. There are two places for it. In *post-norm*
# it stands after the sum:
#
# $$s = x + f(x), \qquad y = \mathrm{LN}(s) .$$
#
# For a derivation by hand, take the simplest $f(x) = xW$, and a layer norm with $\gamma = 1$ and $\beta = 0$. With the mean
# $\mu$ and the variance $\nu$ of the $C$ numbers of a step,
#
# $$r = \frac{1}{\sqrt{\nu + \epsilon}}, \qquad y_c = (s_c - \mu)\, r, \qquad \epsilon = 10^{-5} .$$
#
# *Backward.* First through the norm, by tutorial 2's formula:
#
# $$ds_c = r \Bigl( dy_c - \frac1C \sum_e dy_e - y_c\, \frac1C \sum_e dy_e y_e \Bigr) .$$
#
# Then through the residual, with two terms, and to the matrix:
#
# $$dx = ds + ds\, W^\top, \qquad\qquad dW_{ce} = \sum_{b,t} x_{btc}\, ds_{bte} .$$
#
# *Example.* $x = (1, 3)$ and $W = 0$. Then $s = (1, 3)$ has mean 2 and variance 1, and $y = (-1, 1)$ (up to $\epsilon$). For
# $dy = (1, 0)$ the two means are $\frac12$ and $-\frac12$, and $ds = (1 - \frac12 - \frac12,\ 0 - \frac12 + \frac12) = (0, 0)$.
# With two channels the gradient always vanishes: any two different numbers are mapped to $-1$ and $1$.


# %%
def our_post_block(x, W):
    """Return r, by which the centred steps of s = x + x W are scaled (epsilon is 1e-5), and
    y, the layer norm of s without gamma and beta.

    x (B, T, C), W (C, C) -> r (B, T, 1), y (B, T, C)
    """
    s = x + x @ W
    centred = s - s.mean(-1, keepdims=True)
    r = ((centred**2).mean(-1, keepdims=True) + 1e-5) ** -0.5
    y = centred * r
    return r, y


def our_post_block_backward(dy, x, W, r, y):
    """Return the gradients of s = x + x W, x and W.

    dy (B, T, C), the others as in our_post_block -> ds, dx (B, T, C), dW (C, C)
    """
    ds = r * (dy - dy.mean(-1, keepdims=True) - y * (dy * y).mean(-1, keepdims=True))
    dx = ds + ds @ W.T
    dW = np.einsum("btc,bte->ce", x, ds)
    return ds, dx, dW


def post_block(x, W):
    r, y = our_post_block(x, W)
    return y, lambda dy: our_post_block_backward(dy, x, W, r, y)[1:]


r, y = our_post_block(np.array([[[1.0, 3.0]]]), np.zeros((2, 2)))
np.testing.assert_allclose(y, [[[-1, 1]]], rtol=1e-5)
np.testing.assert_allclose(our_post_block_backward(np.array([[[1.0, 0.0]]]), 0 * y, np.zeros((2, 2)), r, y)[0], 0, atol=1e-5)
assert assert_gradient(post_block, None, x, rng.normal(size=(C, C)), rng=rng) < 1e-12

# %% [markdown]
# ## Layer norm before the block: pre-norm
#
# In *pre-norm* the norm stands inside the branch, before $f$. The sum itself is not normalised:
#
# $$n = \mathrm{LN}(x), \qquad y = x + f(n), \qquad\text{here}\quad y = x + nW .$$
#
# *Backward.* To the normalised step, then through the norm, and past it:
#
# $$dn = dy\, W^\top, \qquad dx_c = dy_c + r \Bigl( dn_c - \frac1C \sum_e dn_e - n_c\, \frac1C \sum_e dn_e n_e \Bigr), \qquad
#   dW_{ce} = \sum_{b,t} n_{btc}\, dy_{bte} .$$
#
# *Example.* $x = (1, 3)$ and $W = 0$, as before. Now $y = x = (1, 3)$, and for $dy = (1, 0)$ the gradient is
# $dx = dy = (1, 0)$.


# %%
def our_pre_block(x, W):
    """Return n, the layer norm of x without gamma and beta, r, by which its centred steps
    are scaled (epsilon is 1e-5), and y = x + n W.

    x (B, T, C), W (C, C) -> n (B, T, C), r (B, T, 1), y (B, T, C)
    """
    centred = x - x.mean(-1, keepdims=True)
    r = ((centred**2).mean(-1, keepdims=True) + 1e-5) ** -0.5
    n = centred * r
    y = x + n @ W
    return n, r, y


def our_pre_block_backward(dy, W, n, r):
    """Return the gradients of n, x and W.

    dy (B, T, C), the others as in our_pre_block -> dn, dx (B, T, C), dW (C, C)
    """
    dn = dy @ W.T
    dx = dy + r * (dn - dn.mean(-1, keepdims=True) - n * (dn * n).mean(-1, keepdims=True))
    dW = np.einsum("btc,bte->ce", n, dy)
    return dn, dx, dW


def pre_block(x, W):
    n, r, y = our_pre_block(x, W)
    return y, lambda dy: our_pre_block_backward(dy, W, n, r)[1:]


n, r, y = our_pre_block(np.array([[[1.0, 3.0]]]), np.zeros((2, 2)))
assert y.tolist() == [[[1, 3]]]
assert our_pre_block_backward(np.array([[[1.0, 0.0]]]), np.zeros((2, 2)), n, r)[1].tolist() == [[[1, 0]]]
assert assert_gradient(pre_block, None, x, rng.normal(size=(C, C)), rng=rng) < 1e-12

# %% [markdown]
# *The difference.* In a stack of pre-norm blocks, additions alone lead from the last output to the first input: $dy$ arrives at
# the input unchanged, plus other terms. In a stack of post-norm blocks every gradient passes every norm.
#
# The next cell lets all branches be 0 ($W = 0$), which leaves these ways alone. The input has a standard deviation of 3. Each
# post-norm divides the gradient by the standard deviation of its input, here 3 in the first block and 1 in the others, and
# removes two of $C$ directions.

# %%
wide = rng.normal(size=(B, T, 64))
wide = 3 * (wide - wide.mean(-1, keepdims=True)) / wide.std(-1, keepdims=True)  # mean 0, standard deviation 3
dy, no_branch = rng.normal(size=wide.shape), np.zeros((64, 64))


def gradient_of_stack(block, x, dy, count):
    backs = []
    for _ in range(count):
        x, back = block(x, no_branch)
        backs.append(back)
    for back in reversed(backs):
        dy, _ = back(dy)
    return dy


by_pre = gradient_of_stack(pre_block, wide, dy, 6)
by_post = gradient_of_stack(post_block, wide, dy, 6)

# Lesson 3: pre-norm passes the upstream gradient on unchanged; post-norm divides it by the scale of its input.
np.testing.assert_array_equal(by_pre, dy)
ratio = np.linalg.norm(by_post) / np.linalg.norm(dy)
print(f"length of the gradient after six post-norm blocks: {ratio:.2f} of dy")
assert 0.31 < ratio < 1 / 3

# %% [markdown]
# ## Dropout
#
# *Dropout* sets random numbers to 0 in training, so that a network does not rely on single ones. With a rate $\rho$, draw
# $m_c$: 0 with probability $\rho$, and 1 otherwise. Then
#
# $$y_c = \frac{x_c\, m_c}{1 - \rho}, \qquad\qquad dx_c = \frac{dy_c\, m_c}{1 - \rho} .$$
#
# The division keeps the mean: the mean of $m_c$ is $1 - \rho$, so the mean of $y_c$ is $x_c$. In evaluation nothing is dropped,
# and nothing has to be scaled. The backward uses the same $m$ as the forward.
#
# *Example.* $x = (2, 4)$, $\rho = \frac12$ and $m = (1, 0)$: $y = (4, 0)$. For $dy = (1, 1)$ the gradient is $(2, 0)$.
#
# `dropout(rng, x, rate)` draws $m$ from `rng`. Without a generator (`rng=None`) it returns $x$: this is how refmer marks
# evaluation.

# %%
m = np.array([1, 0])
assert (np.array([2, 4]) * m / (1 - 0.5)).tolist() == [4, 0] and (np.ones(2) * m / (1 - 0.5)).tolist() == [2, 0]

ones = np.ones((1000, 100))
y, backward = dropout(np.random.default_rng(0), ones, 0.25)
assert set(np.unique(y)) == {0, 1 / 0.75}

# Lesson 4: dropout keeps the mean, its backward uses the same zeros, and without a generator nothing is dropped.
assert abs(y.mean() - 1) < 0.01
np.testing.assert_array_equal(backward(ones), y)
np.testing.assert_array_equal(dropout(None, ones, 0.25)[0], ones)

# %% [markdown]
# ## The feed-forward network
#
# Attention mixes steps. The *feed-forward network* (FFN) works on each step alone. It is two linear maps with a ReLU and
# dropout between them. The hidden width $F$ is mostly $4C$:
#
# $$u = xW^1 + b^1, \qquad d = \mathrm{drop}(\max(u, 0)), \qquad y = d\,W^2 + b^2 .$$
#
# | array | shape |
# |---|---|
# | $x$, $y$ | $(B, T, C)$ |
# | $u$, $d$ | $(B, T, F)$ |
# | $W^1$, $b^1$ | $(C, F)$, $(F)$ |
# | $W^2$, $b^2$ | $(F, C)$, $(C)$ |
#
# *Backward.* From the end to the start. A hidden number passes its gradient on if it was kept *and* was above 0:
#
# $$\bar d = dy\, {W^2}^\top, \qquad du_f = \frac{m_f\, [u_f > 0]}{1 - \rho}\, \bar d_f, \qquad dx = du\, {W^1}^\top .$$
#
# $\bar d$ is the gradient of $d$, in the code `dd`. The gradients of the maps are those of tutorial 1, summed over clips and
# steps. The second map received $d$, so $dW^2_{fc} = \sum_{b,t} d_{btf}\, dy_{btc}$.
#
# *Example.* $x = 1$, $W^1 = (1, -2, 3)$ and $W^2 = (3, 5, 7)$, without biases. $u = (1, -2, 3)$. The ReLU sets the second
# number to 0. With $\rho = \frac12$ and $m = (1, 1, 0)$, dropout removes the third: $d = (2, 0, 0)$ and $y = 6$. For $dy = 1$:
# $\bar d = (3, 5, 7)$ and $du = (6, 0, 0)$.


# %%
def our_ffn(x, W1, b1, W2, b2, keep, rate):
    """Return u = x W1 + b1, d = max(u, 0) after dropout, and y = d W2 + b2. Dropout leaves
    what `keep` says and divides it by 1 - rate.

    x (B, T, C), W1 (C, F), b1 (F,), W2 (F, C), b2 (C,), keep (B, T, F) of bool, rate
    -> u, d (B, T, F), y (B, T, C)
    """
    u = x @ W1 + b1
    d = np.where(keep & (u.real > 0), u / (1 - rate), 0)
    y = d @ W2 + b2
    return u, d, y


def our_ffn_backward(dy, x, W1, W2, u, d, keep, rate):
    """Return the gradients of d, u, x, W1, b1, W2 and b2. Where u is 0, the slope of the
    maximum is 0.

    dy (B, T, C), the others as in our_ffn
    -> dd, du (B, T, F), dx (B, T, C), and dW1, db1, dW2, db2 of their shapes
    """
    dd = dy @ W2.T
    du = np.where(keep & (u > 0), dd / (1 - rate), 0)
    dx = du @ W1.T
    dW1 = np.einsum("btc,btf->cf", x, du)
    db1 = du.sum((0, 1))
    dW2 = np.einsum("btf,btc->fc", d, dy)
    db2 = dy.sum((0, 1))
    return dd, du, dx, dW1, db1, dW2, db2


F = 4 * C
keep = rng.random((B, T, F)) < 0.8


def ffn(x, W1, b1, W2, b2):
    u, d, y = our_ffn(x, W1, b1, W2, b2, keep, 0.2)
    return y, lambda dy: our_ffn_backward(dy, x, W1, W2, u, d, keep, 0.2)[2:]


W1, W2, kept = np.array([[1.0, -2.0, 3.0]]), np.array([[3.0], [5.0], [7.0]]), np.array([[[True, True, False]]])
u, d, y = our_ffn(np.ones((1, 1, 1)), W1, np.zeros(3), W2, np.zeros(1), kept, 0.5)
assert (d.ravel().tolist(), y.item()) == ([2, 0, 0], 6)
dd, du, *_ = our_ffn_backward(np.ones((1, 1, 1)), np.ones((1, 1, 1)), W1, W2, u, d, kept, 0.5)
assert (dd.ravel().tolist(), du.ravel().tolist()) == ([3, 5, 7], [6, 0, 0])

W1, b1, W2, b2 = rng.normal(size=(C, F)), rng.normal(size=F), rng.normal(size=(F, C)), rng.normal(size=C)
# Lesson 5: the gradient passes where a number was kept and above 0; the complex step agrees.
assert assert_gradient(ffn, None, x, W1, b1, W2, b2, rng=rng) < 1e-12

# %% [markdown]
# ## A Transformer layer
#
# A layer has two residual blocks: attention, and the feed-forward network. Both orders of the norm are in use. LN and LN' are
# two layer norms with their own $\gamma$ and $\beta$:
#
#     post-norm:  h = LN(x + drop(Attention(x, x)))             y = LN'(h + drop(FFN(h)))        OpenFace-Adaptive
#     pre-norm:   h = x + drop(Attention(LN(x), LN(memory)))    y = h + drop(FFN(LN'(h)))        AuxFormer
#
# `describe_encoder_layer(C, F)` describes the parameters:
#
# | part | parameters |
# |---|---|
# | `p.attend` | four maps of attention, $4 (C^2 + C)$ numbers |
# | `p.norm1`, `p.norm2` | $\gamma$ and $\beta$ of two norms, $4C$ |
# | `p.ffn` | two maps, $2CF + F + C$ |
#
# `Rates` names four rates of dropout: of attention weights, after the ReLU, of both branches before they are added
# (`residual`), and of the input of an encoder (`embed`).
#
# The next cell writes the pre-norm line with refmer's layers. If `memory` is another sequence, it is a *cross layer*: `x`
# attends to `memory`. The same LN serves both. Read the backward from the bottom of the forward upwards.


# %%
def cross_layer_by_hand(p, x, memory, heads, mask, rates, rng):
    n, back_n = layer_norm(p.norm1, x)
    m, back_m = layer_norm(p.norm1, memory)  # the same LN
    a, back_a = attention(p.attend, n, m, heads, mask, rates.attention, rng)
    a, back_drop1 = dropout(rng, a, rates.residual)
    h = x + a
    n2, back_n2 = layer_norm(p.norm2, h)
    f, back_f = feed_forward(p.ffn, n2, rates.relu, rng)
    f, back_drop2 = dropout(rng, f, rates.residual)

    def backward(dy, g):
        dh = dy + back_n2(back_f(back_drop2(dy), g.ffn), g.norm2)  # y = h + f
        dn, dm = back_a(back_drop1(dh), g.attend)  # h = x + a
        return dh + back_n(dn, g.norm1), back_m(dm, g.norm1)

    return h + f, backward


rates = Rates(attention=0.1, relu=0.1, residual=0.1, embed=0.25)
p = params.init(describe_encoder_layer(C, F), seed=0, dtype=np.float64)
ours, _ = cross_layer_by_hand(p, x, memory, 2, None, rates, np.random.default_rng(1))
theirs, _ = cross_layer(p, x, memory, 2, None, rates, np.random.default_rng(1))

# Lesson 6: refmer's cross layer is these lines, and the pre-norm layer is a cross layer with x as its own memory.
np.testing.assert_array_equal(ours, theirs)
np.testing.assert_array_equal(pre_norm_layer(p, x, 2)[0], cross_layer_by_hand(p, x, x, 2, None, rates, None)[0])

# %% [markdown]
# A post-norm layer ends with a norm. As long as $\gamma = 1$ and $\beta = 0$, the mean of its output is 0 at each step.

# %%
assert np.abs(post_norm_layer(p, x, 2)[0].mean(-1)).max() < 1e-9

# %% [markdown]
# ## Positions
#
# Attention does not depend on the order of the keys (tutorial 7). Where order matters, it must be part of the data. So a vector
# $P_t$ is added to step $t$, different for every step. With $C$ channels and $i = 0, 1, \dots, C/2 - 1$,
#
# $$P_{ti} = \sin((t + 1) f_i), \qquad P_{t,\,C/2+i} = \cos((t + 1) f_i), \qquad f_i = 10^{-4 i / (C/2 - 1)} .$$
#
# The frequencies $f_i$ fall from 1 to $10^{-4}$. Steps are counted from 1. The first half of the channels are sines, the second
# half cosines. If $C$ is odd, the half is rounded down, and the last channel is 0. With one frequency only, it is $f_0 = 1$.
#
# *Example.* For $C = 4$ there are two frequencies, 1 and $10^{-4}$, and
#
# $$P_0 = (\sin 1,\ \sin 10^{-4},\ \cos 1,\ \cos 10^{-4}) \approx (0.84, 0.0001, 0.54, 1) .$$
#
# *Products measure distance.* By $\sin a \sin b + \cos a \cos b = \cos(a - b)$,
#
# $$\sum_c P_{tc} P_{sc} = \sum_i \cos((t - s) f_i) .$$
#
# The product depends on $t - s$ alone, and it is largest for $t = s$. So a score $q_t \cdot k_s$ can depend on the distance.


# %%
def our_positions(T, C):
    """Return the table of positions: in row t the sines of (t + 1) f, then their cosines,
    with frequencies f from 1 down to 1e-4. If C is odd, the last channel is 0.

    T, C: numbers of steps and channels, C at least 2 -> P (T, C)
    """
    half = C // 2
    f = 10.0 ** (-4 * np.arange(half) / max(half - 1, 1))
    angle = np.arange(1, T + 1)[:, None] * f
    P = np.concatenate([np.sin(angle), np.cos(angle), np.zeros((T, C % 2))], axis=1)
    return P


np.testing.assert_allclose(our_positions(1, 4)[0], [0.84, 0.0001, 0.54, 1], atol=0.005)
np.testing.assert_allclose(our_positions(7, 5), positions(np.zeros((1, 7, 5)))[0][0], atol=1e-12)

P = our_positions(60, 64)
products = P @ P.T
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
image = left.imshow(P, cmap="RdBu", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
left.set(title="Positions of 60 steps, width 64", xlabel="channel", ylabel="step")
fig.colorbar(image)
for t in (0, 20, 40):
    right.plot(products[t], label=f"step {t}")
right.set(title="Product of three steps with all steps", xlabel="step", ylabel="product")
right.legend()
plt.show()

# Lesson 7: products of positions depend on the distance alone, and are largest at distance 0.
np.testing.assert_allclose(products[:-1, :-1], products[1:, 1:], rtol=1e-9)
assert (products.argmax(1) == np.arange(60)).all()

# %% [markdown]
# `positions(x, valid)` adds $P$ to the valid steps of $x$ and leaves padding as it is. $P$ has no parameters. Its backward is
# $dx = dy$.
#
# ## Encoders
#
# An *encoder* is a stack of layers. AuxFormer's has three parts:
#
# 1. input: $h^0 = \mathrm{drop}(\sqrt C\, x + P)$;
# 2. $L$ pre-norm layers, each with the output of the one before;
# 3. a layer norm, because the sums of pre-norm are not normalised.
#
# The factor $\sqrt C$ makes the input larger in comparison with $P$.
#
# A *cross encoder* has cross layers in the place of pre-norm layers. The memory gets the same treatment as the input:
# $m = \mathrm{drop}(\sqrt C\, \mathrm{memory} + P)$.
#
# *Every* layer attends to this same $m$. So $m$ is used $L$ times, and $dm$ is a sum over layers.
#
# *Example.* Two layers $h^1 = h^0 + 2m$ and $h^2 = h^1 + 3m$. Then $h^2 = h^0 + 5m$, and $dm = 2\,dh^2 + 3\,dh^2 = 5\, dh^2$.

# %%
h0, m = 1.0, 4.0 + 1e-30j
h1 = h0 + 2 * m
h2 = h1 + 3 * m
assert abs(h2.imag / 1e-30 - 5) < 1e-12

# %% [markdown]
# ## Voice attends to face
#
# Put the parts together as AuxFormer does for its voice:
#
# | part | queries | keys and values | mask |
# |---|---|---|---|
# | cross encoder | voice `x` | face `m` | AuxFormer's rule and the valid keys of the face |
# | encoder | its output | the same | AuxFormer's rule (here: causal) and the valid keys of the voice |
# | token | last valid step of the voice | | |
#
# The cross encoder gets positions (`places`, one function for each sequence). The encoder within the voice gets none: the order
# is already in its input.
#
# One vector must stand for the clip, the *token*. With causal masks the last valid step is the natural choice: it alone attends
# to all steps.


# %%
def voice_to_face(p, x, m, x_valid, m_valid, rng=None):
    between = causal_between(x_valid, m_valid) & key_mask(m_valid)
    within = causal_between(x_valid, x_valid) & key_mask(x_valid)
    places = (lambda z: positions(z, x_valid), lambda z: positions(z, m_valid))
    h, back_cross = cross_encoder(p.cross, x, m, 2, between, rates, rng, places=places)
    s, back_within = encoder(p.within, h, 2, within, rates, rng)
    y, back_token = last_valid_step(s, x_valid)

    def backward(dy, g):
        return back_cross(back_within(back_token(dy), g.within), g.cross)  # dx, dm

    return y, backward


# %% [markdown]
# The lengths are those of three clips of the corpus, thinned out to three frames of the voice and six of the face a second.
# Random numbers stand in for the features, which AuxFormer first maps to the width $C$.
#
# `assert_gradient` with `directions=True` checks one random direction of each parameter and each input instead of every
# element. A system with many parameters is checked in a short time in this way. `zero=("*.key.b",)` names the keys' biases of
# all layers by a pattern.

# %%
test = refmer.load_samples().split(by="speaker", test_size=0.25, seed=0)[1]
x_valid = test.streams["prosody"].mask[:3, ::16]
m_valid = test.streams["units"].mask[:3, ::4]
x, m = rng.normal(size=(*x_valid.shape, C)), rng.normal(size=(*m_valid.shape, C))
describe = {"cross": describe_encoder(C, F, 2), "within": describe_encoder(C, F, 2)}
p = params.init(describe, seed=0, dtype=np.float64)
print(f"{x.shape[1]} queries and {m.shape[1]} keys; valid: {x_valid.sum(1)} and {m_valid.sum(1)}")


def run(p, x, m):
    return voice_to_face(p, x, m, x_valid, m_valid)


assert_gradient(run, p, x, m, rng=rng, zero=("*.key.b",), directions=True)

# Lesson 8: what stands in the padding of voice and face changes nothing.
x_noise, m_noise = np.where(x_valid[..., None], x, 9.0), np.where(m_valid[..., None], m, 9.0)
assert not x_valid.all() and not m_valid.all()
assert np.abs(run(p, x, m)[0] - run(p, x_noise, m_noise)[0]).max() < 1e-9

# %% [markdown]
# Does the order of the face frames matter? Reverse them, without a mask, once without positions and once with positions.
# Without positions the output must be the same.

# %%
differences = {}
for name, place in (("without positions", None), ("with positions", positions)):
    forwards, _ = cross_encoder(p.cross, x, m, 2, places=(None, place))
    backwards, _ = cross_encoder(p.cross, x, m[:, ::-1], 2, places=(None, place))
    differences[name] = np.abs(forwards - backwards).max()
print({name: f"{difference:.1e}" for name, difference in differences.items()})

# Lesson 9: without positions the order of the memory changes nothing; with positions it does.
assert differences["without positions"] < 1e-9 and differences["with positions"] > 1e-2

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `09_encoder.py` (`refmer exercises --out DIR`, then `refmer grade DIR/09_encoder.py`).
# With tutorials 7 and 8 you can then write a whole layer: `21_transformer_layer.py`.
#
# 1. How many parameters has a layer of width $C$ with $4C$ inside? (AuxFormer: $C = 130$.)
# 2. Dropout keeps the mean of $y_c$. What is the variance of $y_c$ for a fixed $x_c$?
# 3. Some systems learn $P$: $y_{btc} = x_{btc} + P_{tc}$. Derive $dP$ from $dy$.

# %% tags=["hide-cell"]
# Solution 1: 4 (C^2 + C) of the maps in attention, 8 C^2 + 5 C of the feed-forward network, 4 C of the norms.
assert params.count(describe_encoder_layer(130, 520)) == 12 * 130**2 + 13 * 130 == 204_490

# Solution 2: y is x / (1 - rho) with probability 1 - rho, and else 0. The mean of y^2 is x^2 / (1 - rho); without the square of
# the mean, x^2, the variance is x^2 rho / (1 - rho).
y, _ = dropout(np.random.default_rng(0), 2 * np.ones(100_000), 0.2)
assert abs(y.var() - 2**2 * 0.2 / 0.8) < 0.02

# Solution 3: P serves all clips, so its gradient is a sum over clips: dP_tc = sum_b dy_btc.
x, P, dy = rng.normal(size=(4, 3, 2)), our_positions(3, 2), rng.normal(size=(4, 3, 2))
moved = P.astype(complex)
moved[1, 0] += 1e-30j
assert abs((dy * (x + moved)).sum().imag / 1e-30 - dy.sum(0)[1, 0]) < 1e-12
