# %% [markdown]
# # 15. AuxFormer: encoders, tokens and heads
#
# Introduces: `refmer.systems.auxformer.Config`, `refmer.systems.auxformer.describe`, `refmer.systems.auxformer.forward`,
# `refmer.layers.auxformer.head`, `refmer.layers.auxformer.sequences`, `refmer.layers.auxformer.main`,
# `refmer.layers.auxformer.auxiliary`, `refmer.layers.sequence.sinusoidal`
#
# **After this page** you can build AuxFormer from linear maps, layer norm and attention, explain each of its parts with its
# shape, derive the backward of its scaled residual, its token and its shared head, and read the backward of a whole system.
#
# **Time.** 75 minutes to read, 10 seconds to run.
#
# **You need** tutorials 1, 2, 7, 8, 9 and 13: pictures of data flow (13), linear maps, MLPs and trees of parameters (1), the
# proof of a gradient and layer norm (2), `attention` (7), `causal_between` and `key_mask` (8), `count`, `layer_norm` and
# positions (9).

# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np

from refmer import params
from refmer.check import assert_gradient
from refmer.diagrams import draw
from refmer.layers import auxformer as layers
from refmer.layers.attention import attention
from refmer.layers.dense import layer_norm, linear, mlp
from refmer.layers.sequence import sinusoidal
from refmer.ops.attention import causal_between, key_mask
from refmer.systems import auxformer

draw("auxformer")

# %% [markdown]
# ## Overview
#
# AuxFormer (Goncalves and Busso; paper 002 of refmer) recognizes an emotion from voice and face. It consists of three networks:
#
# * The *main network* reads both modalities. Voice attends to face, and face attends to voice.
# * The *auxiliary network of the voice* reads the voice alone.
# * The *auxiliary network of the face* reads the face alone.
#
# Each network ends in logits of its own. The output of the system is the mean of the three.
#
# Paper and authors' code differ in some places. This page follows the code there, and says so.
#
# These letters are used throughout. The third column has the sizes that this page runs with.
#
# | letter | meaning | published | on this page |
# |---|---|---|---|
# | $B$ | clips of a batch | 32 | 4 |
# | $T$, $S$ | frames of the voice, of the face | 158, 76 in a mean clip | 11, 5 |
# | $C$ | width of the encoders | 130 | 12 |
# | $H$ | heads of attention, each of $C / H$ numbers | 10 | 3 |
# | $L$ | layers of an encoder | 5 | 2 |
# | $K$ | classes | 4 | 4 |

# %% [markdown]
# ## The input
#
# | stream | shape | one frame |
# |---|---|---|
# | voice | $(B, T, 130)$ | 130 acoustic descriptors, every 16 ms |
# | face | $(B, S, 4096)$ | 4,096 features of a face network, 30 frames a second |
#
# | valid frames of the voice | $(B, T)$, bool | `True` where the frame was measured |
# | valid frames of the face | $(B, S)$, bool | `True` where the frame was measured |
#
# Both streams are standardised. Shorter clips are padded with zeros at the end. A padded frame is not valid.
#
# Each modality has one linear map without bias to the common width $C$. For frame $x_{bt}$ of clip $b$ with $D$ numbers, and
# $W$ of shape $(D, C)$,
#
# $$z_{btc} = \sum_d x_{btd} W_{dc} .$$

# %% [markdown]
# ## What enters an encoder
#
# An encoder first multiplies its input by $\sqrt C$:
#
# $$u_{btc} = \sqrt C\, z_{btc} .$$
#
# *Cross encoders* (one modality attends to the other) then add positions to the valid steps. The other encoders add none. The
# position vector of step $t = 0, 1, \dots$ holds $C / 2$ sines and $C / 2$ cosines of the frequencies $f_i$:
#
# $$E_{ti} = \sin((t + 1) f_i), \qquad E_{t,\, C/2 + i} = \cos((t + 1) f_i), \qquad f_i = 10^{-4 i / (C/2 - 1)}$$
#
# for $i = 0, \dots, C/2 - 1$.
#
# | part | shape |
# |---|---|
# | projected modality $z$ | $(B, T, C)$ |
# | positions $E$, the same for all clips | $(T, C)$ |
# | frequencies $f$ | $(C/2)$ |
# | what enters the layers, $u$, or $u + E$ on valid steps | $(B, T, C)$ |
#
# **By hand.** For $C = 4$ there are two frequencies, $f_0 = 1$ and $f_1 = 10^{-4}$. Step 0 has the position
#
# $$(\sin 1, \sin 10^{-4}, \cos 1, \cos 10^{-4}) = (0.8415, 0.0001, 0.5403, 1.0000) .$$

# %%
np.testing.assert_allclose(sinusoidal(1, 4)[0], [0.8415, 0.0001, 0.5403, 1.0000], atol=5e-5)


def enter(z):
    return z.shape[-1] ** 0.5 * z


def enter_with_positions(z, valid):
    table = sinusoidal(*z.shape[1:])
    return enter(z) + np.where(valid[..., None], table, 0)


# %% [markdown]
# ## One layer
#
# A layer has a sequence $x$, which gives the queries, and a memory $m$, which gives the keys and the values. In a cross encoder
# $m$ comes from the other modality. Within a modality $m = x$.
#
# The layer has two halves, attention and a feed-forward network (FFN). Each half ends in a residual $R$, which joins its input
# and its result:
#
# $$h = R\bigl(x,\ \text{Attention}(\text{LN}(x), \text{LN}(m))\bigr), \qquad
#   y = R\bigl(h,\ \text{FFN}(\text{LN}'(h))\bigr) .$$
#
# LN is the layer norm of tutorials 2 and 9. Each step has a mean $\mu$ and a variance $v$ over its $C$ channels, and
#
# $$\text{LN}(x)_c = \gamma_c\, \frac{x_c - \mu}{\sqrt{v + \epsilon}} + \beta_c, \qquad \epsilon = 10^{-5} .$$
#
# One LN, with one $\gamma$ and one $\beta$, serves both $x$ and $m$. LN$'$ has a $\gamma$ and a $\beta$ of its own.
#
# The FFN acts on each step $n$ by itself:
#
# $$\text{FFN}(n) = \max(n W_1 + b_1, 0)\, W_2 + b_2 .$$
#
# | part | shape | published |
# |---|---|---|
# | sequence $x$, result $y$ | $(B, T, C)$ | width 130 |
# | memory $m$ | $(B, S, C)$ | width 130 |
# | four maps of attention, with bias | $(C, C)$ and $(C)$ each | $130 \times 130$ |
# | scores and weights | $(B, H, T, S)$ | 10 heads of 13 numbers |
# | FFN: $W_1$, $b_1$ | $(C, 4C)$, $(4C)$ | $130 \times 520$ |
# | FFN: $W_2$, $b_2$ | $(4C, C)$, $(C)$ | $520 \times 130$ |
# | LN, LN$'$: $\gamma$, $\beta$ | $(C)$ each | 130 |
# | $\alpha$, in the encoders within a modality only | $(1)$ | 1 |
#
# Scores are divided by $\sqrt{C / H} = \sqrt{13}$, as in the code. The paper prints the root of the sequence's length instead.

# %% [markdown]
# ## The scaled residual
#
# In cross encoders and auxiliary networks the residual is plain: $R(r, z) = r + z$.
#
# In the encoders *within* a modality of the main network it is scaled by one learned number $\alpha$:
#
# $$y_{btc} = \alpha\, r_{btc} + (1 - \alpha)\, z_{btc} .$$
#
# Each layer has one $\alpha$, used in both of its halves. It starts anywhere in $[0, 1)$, and training may move it out of this
# range. (The paper names a second factor $\beta$. The published number of parameters leaves room for one:
# $\beta = 1 - \alpha$.)
#
# **By hand.** With $r = 4$, $z = 8$ and $\alpha = 1/4$, $y = 1 + 6 = 7$. Let the upstream gradient be $dy = 1$. Then
# $dr = 1/4$ and $dz = 3/4$. If $\alpha$ grows by a small amount $\delta$, $r$ contributes $4 \delta$ more and $z$ contributes
# $8 \delta$ less: $d\alpha = 4 - 8 = -4$.
#
# | part | shape |
# |---|---|
# | input $r$, result $z$ of attention or FFN, sum $y$ | $(B, T, C)$ each |
# | $\alpha$ | one number for each layer |
# | gradients $dr$, $dz$; $d\alpha$ | $(B, T, C)$ each; one number |
#
# **In general.** $r_{btc}$ and $z_{btc}$ occur in $y_{btc}$ alone. $\alpha$ occurs in every element, so its gradient is a sum
# over clips, steps and channels:
#
# $$dr_{btc} = \alpha\, dy_{btc}, \qquad dz_{btc} = (1 - \alpha)\, dy_{btc}, \qquad
#   d\alpha = \sum_{b,t,c} dy_{btc}\, (r_{btc} - z_{btc}) .$$


# %%
def our_residual(r, z, alpha):
    """Return y = alpha r + (1 - alpha) z.

    r (B, T, C), z (B, T, C), alpha a number -> y (B, T, C)
    """
    y = alpha * r + (1 - alpha) * z
    return y


def our_residual_backward(dy, r, z, alpha):
    """Return the gradients of r, z and alpha; that of alpha is one number for all clips,
    steps and channels.

    dy, r, z (B, T, C), alpha a number -> dr, dz (B, T, C), dalpha, a number
    """
    dr = alpha * dy
    dz = (1 - alpha) * dy
    dalpha = (dy * (r - z)).sum()
    return dr, dz, dalpha


assert our_residual(4.0, 8.0, 0.25) == 7.0

# %% [markdown]
# Tutorial 2's proof applies to $\alpha$ as well: put a small imaginary step on $\alpha$, and the imaginary part of
# $\sum dy\, y$ is the derivative.

# %%
rng = np.random.default_rng(0)
dy, r, z = rng.normal(size=(3, 2, 5, 4))
moved = our_residual(r, z, 0.25 + 1e-30j)
by_complex_step = (dy * moved).imag.sum() / 1e-30
# Lesson 1: the gradient of one shared number is a sum over all elements that it scales.
np.testing.assert_allclose(our_residual_backward(dy, r, z, 0.25)[2], by_complex_step, rtol=1e-12)

# %% [markdown]
# ## The encoder
#
# An encoder is $L$ layers and a layer norm. In a cross encoder *every* layer attends to the same memory $m$: the other modality
# as it entered the encoder. $m$ is never updated.


# %%
def residual(p, r, z):
    if hasattr(p, "alpha"):
        return our_residual(r, z, p.alpha)
    return r + z


def layer(p, x, m, heads, mask):
    queries = layer_norm(p.norm1, x)[0]
    memory = layer_norm(p.norm1, m)[0]  # the same norm
    h = residual(p, x, attention(p.attend, queries, memory, heads, mask)[0])
    inside = linear(p.ffn.up, layer_norm(p.norm2, h)[0])[0]
    f = linear(p.ffn.down, np.maximum(inside, 0))[0]
    return residual(p, h, f)


def encoder(p, z, heads, mask):
    x = enter(z)
    for part in p.layers:
        x = layer(part, x, x, heads, mask)
    return layer_norm(p.norm, x)[0]


def cross_encoder(p, z, valid, other, other_valid, heads, mask):
    x = enter_with_positions(z, valid)
    m = enter_with_positions(other, other_valid)
    for part in p.layers:
        x = layer(part, x, m, heads, mask)
    return layer_norm(p.norm, x)[0]


# %% [markdown]
# ## The mask of the authors' code
#
# The paper mentions no attention mask. Its code has one, which is on by default. With $N_q$ queries and $N_k$ keys, query $t$
# attends to key $s$ only if
#
# $$s \le t + |N_q - N_k| .$$
#
# | part | shape |
# |---|---|
# | valid steps of the queries, of the keys | $(B, T)$, $(B, S)$, bool |
# | lengths $N_q$, $N_k$ | $(B)$ each |
# | mask, `True` where query $t$ attends to key $s$ | $(B, T, S)$, bool |
#
# **By hand.** Take $N_q = 2$ and $N_k = 4$. The offset is 2. Query 0 attends to the keys 0, 1, 2, and query 1 to all four.
#
# *Within a sequence* $N_q = N_k$, the offset is 0, and this is the causal mask. The paper remarks that the last step has "the
# entire sequence" as its receptive field. Only with a causal mask does this set the last step apart: without a mask every step
# attends to all of it.
#
# *Between voice and face* the rule has no meaning in time. A clip of 2.54 s has 158 voice frames of 16 ms and 76 face frames.
# The offset is 82. Each voice frame attends to the whole face. Face frame 0 attends to 83 voice frames, and face frame 75 to
# all.
#
# refmer makes two changes, so that padding has no effect:
#
# * $N$ counts the steps of each clip up to its own last valid one, not up to the padded end. It is 0 if no step is valid.
# * A key that is not valid is hidden from all queries.


# %%
def our_mask(queries, keys):
    """Return which steps each query may look at: s <= t + |N_q - N_k|, and step s is valid.

    N counts the steps up to the last valid one, and is 0 where none is; steps are counted
    from 0.

    queries (B, T), keys (B, S) of bool, True for valid steps -> mask (B, T, S) of bool
    """
    T, S = queries.shape[1], keys.shape[1]
    N_q = (queries * np.arange(1, T + 1)).max(1)
    N_k = (keys * np.arange(1, S + 1)).max(1)
    reach = np.arange(T) + np.abs(N_q - N_k)[:, None]  # (B, T)
    mask = (np.arange(S) <= reach[:, :, None]) & keys[:, None]
    return mask


by_hand = our_mask(np.ones((1, 2), bool), np.ones((1, 4), bool))[0]
np.testing.assert_array_equal(by_hand, [[True, True, True, False], [True, True, True, True]])

# %%
voice, face = np.ones((1, 158), bool), np.ones((1, 76), bool)
masks = {
    "voice attends to voice": our_mask(voice, voice)[0],
    "voice attends to face": our_mask(voice, face)[0],
    "face attends to voice": our_mask(face, voice)[0],
}
fig, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
for ax, (title, mask) in zip(axes, masks.items(), strict=True):
    ax.imshow(mask, cmap="Blues", vmin=0, vmax=1.6, aspect="auto", interpolation="nearest")
    ax.set(title=f"{title}: {mask.mean():.0%}", xlabel="key (frame)", ylabel="query (frame)")
fig.suptitle("Pairs of frames that the mask allows (blue), in a clip of 2.54 s")
plt.show()

# %% [markdown]
# The figure has one panel for each kind of attention. In all three the last query attends to every key. Within a sequence it is
# the only one that does. Between the modalities all 158 voice frames attend to every face frame; of the face, again the last
# frame alone attends to every voice frame.

# %%
refmer_mask = causal_between(voice, face) & key_mask(face)
np.testing.assert_array_equal(our_mask(voice, face), refmer_mask[:, 0])
assert masks["face attends to voice"].sum(1)[0] == 83
# Lesson 2: the last query attends to every key. How many other queries do depends on the two lengths.
unrestricted = {title: int(mask.all(1).sum()) for title, mask in masks.items()}
assert all(mask[-1].all() for mask in masks.values())
assert list(unrestricted.values()) == [1, 158, 1]

# %% [markdown]
# ## Three networks
#
# Let $z^a$ be the projected voice ($a$ for audio), and $z^v$ the projected face ($v$ for visual).
#
# **Main network.** It has a branch for each modality: a cross encoder, then an encoder within the modality with the scaled
# residual. These are 4 encoders:
#
# $$s^a = \text{Within}_a(\text{Cross}_a(z^a, z^v)), \qquad s^v = \text{Within}_v(\text{Cross}_v(z^v, z^a)) .$$
#
# Each branch becomes one vector, its *token*. Both tokens, side by side, go through a head.
#
# **Auxiliary networks.** Each has one encoder with weights of its own, plain residuals and no positions. The code applies it
# *three times in a row*, each time with the factor $\sqrt C$, all layers and the final norm. Then follow the token and a head.
# **Both auxiliary networks share one head.**
#
# **Output.** The mean of three vectors of logits.
#
# | part | input | output | published widths |
# |---|---|---|---|
# | $\text{Cross}_a$; $\text{Cross}_v$ | $z^a, z^v$; $z^v, z^a$ | $(B, T, C)$; $(B, S, C)$ | 130, five layers |
# | $\text{Within}_a$; $\text{Within}_v$ | $(B, T, C)$; $(B, S, C)$ | the same | 130, five layers |
# | tokens of the main network | $s^a$, $s^v$ | $(B, C)$ each, side by side $(B, 2C)$ | 260 |
# | main head | $(B, 2C)$ | $(B, K)$ | 260-260-260, then $K$ |
# | auxiliary encoder of the voice; of the face | $z^a$; $z^v$ | $(B, T, C)$; $(B, S, C)$ | 130, five layers, three times |
# | auxiliary token | $(B, T, C)$; $(B, S, C)$ | $(B, C)$ | 130 |
# | auxiliary head, shared | $(B, C)$ | $(B, K)$ | 130-512-256-130, then $K$ |
# | output | three times $(B, K)$ | $(B, K)$ | $K$ |

# %% [markdown]
# ## The token
#
# The token of a sequence is its last valid step, and 0 if no step is valid.
#
# **By hand.** A sequence of one channel has the steps 5, 6, 7, and the last one is padding. Its token is 6. With an upstream
# gradient of 1, the gradient of the sequence is $(0, 1, 0)$.
#
# **In general.** Let $n_b$ be the last valid step of clip $b$. Then $y_{bc} = x_{b n_b c}$, and
#
# $$dx_{btc} = dy_{bc}\, [t = n_b] .$$
#
# | part | shape |
# |---|---|
# | sequence $x$, its gradient $dx$ | $(B, T, C)$ |
# | valid steps | $(B, T)$, bool |
# | token $y$, its gradient $dy$ | $(B, C)$ |
#
# The gradient goes to one step of each clip. All other steps get 0.


# %%
def our_token(x, valid):
    """Return the last valid step of each clip, 0 where there is none. Valid steps may have
    gaps.

    x (B, T, C), valid (B, T) of bool -> y (B, C)
    """
    last = (valid * np.arange(1, valid.shape[1] + 1)).max(1)  # (B,), 0: none
    y = np.where(last[:, None] > 0, x[np.arange(len(x)), last - 1], 0)
    return y


def our_token_backward(dy, valid):
    """Return the gradient of x.

    dy (B, C), valid (B, T) of bool -> dx (B, T, C)
    """
    last = (valid * np.arange(1, valid.shape[1] + 1)).max(1)
    dx = np.where((np.arange(1, valid.shape[1] + 1) == last[:, None])[..., None], dy[:, None], 0)
    return dx


valid = np.array([[True, True, False]])
assert our_token(np.array([[[5.0], [6.0], [7.0]]]), valid) == 6
np.testing.assert_array_equal(our_token_backward(np.ones((1, 1)), valid)[0, :, 0], [0, 1, 0])

# %% [markdown]
# ## The head
#
# A head maps a token $z$ to logits $y$. It is an MLP with a residual around it, and a last linear map. (The paper names no
# residual here; the code has it.) The MLP of the main head has one hidden layer:
#
# $$u = z P_1 + c_1, \qquad s = z + \max(u, 0)\, P_2 + c_2, \qquad y = s W_o + b_o .$$
#
# | symbol | shape | main head, published |
# |---|---|---|
# | token $z$, sum $s$ | $(B, C)$ | $(B, 260)$ |
# | hidden $u$ | $(B, H)$; $H$ is the hidden width here | $(B, 260)$ |
# | $P_1$, $c_1$ | $(C, H)$, $(H)$ | $260 \times 260$, 260 |
# | $P_2$, $c_2$ | $(H, C)$, $(C)$ | $260 \times 260$, 260 |
# | $W_o$, $b_o$ | $(C, K)$, $(K)$ | $260 \times K$, $K$ |
# | logits $y$ | $(B, K)$ | $(B, K)$ |
#
# The MLP of the auxiliary head has two hidden layers, 130-512-256-130. Otherwise it is the same.
#
# **By hand.** Let all sizes be 1: $z = 2$, $P_1 = 3$, $c_1 = -1$, $P_2 = 1/2$, $c_2 = 1$, $W_o = 2$, $b_o = 0$.
#
# * Forward: $u = 6 - 1 = 5$, $s = 2 + 5/2 + 1 = 5.5$, $y = 11$.
# * Backward from $dy = 1$: $ds = 2$. Since $u > 0$, $du = 2 \cdot \tfrac12 = 1$.
# * $z$ is used twice, in the residual and in the MLP: $dz = ds + du\, P_1 = 2 + 3 = 5$.
# * Weights: $dP_1 = z\, du = 2$, $dP_2 = u\, ds = 10$, $dW_o = s\, dy = 5.5$.
#
# **In general.** Read the forward from its last equation to its first:
#
# $$ds = dy\, W_o^\top, \qquad du_{bh} = \Bigl( \sum_c ds_{bc} (P_2)_{hc} \Bigr) [u_{bh} > 0], \qquad
#   dz = ds + du\, P_1^\top .$$
#
# Each map has the gradient of tutorial 1, its input transposed times the gradient of its output:
#
# $$dP_1 = z^\top du, \qquad dP_2 = \max(u, 0)^\top ds, \qquad dW_o = s^\top dy .$$
#
# The gradients of the biases are sums over clips: $dc_1 = \sum_b du_b$, $dc_2 = \sum_b ds_b$ and $db_o = \sum_b dy_b$.


# %%
def our_head(z, P1, c1, P2, c2, W, b):
    """Return u = z P1 + c1, s = z + max(u, 0) P2 + c2, and y = s W + b.

    z (B, C), P1 (C, H), c1 (H,), P2 (H, C), c2 (C,), W (C, K), b (K,)
    -> u (B, H), s (B, C), y (B, K)
    """
    u = z @ P1 + c1
    s = z + np.where(u.real > 0, u, 0) @ P2 + c2
    y = s @ W + b
    return u, s, y


def our_head_backward(dy, z, P1, P2, W, u, s):
    """Return the gradients of s, u, z, and of the six weights in the order of the forward.

    dy (B, K), the others as in our_head
    -> ds (B, C), du (B, H), dz (B, C), dP1, dc1, dP2, dc2, dW, db in their shapes
    """
    ds = dy @ W.T
    du = np.where(u.real > 0, ds @ P2.T, 0)
    dz = ds + du @ P1.T
    dP1, dc1 = z.T @ du, du.sum(0)
    dP2, dc2 = np.where(u.real > 0, u, 0).T @ ds, ds.sum(0)
    dW, db = s.T @ dy, dy.sum(0)
    return ds, du, dz, dP1, dc1, dP2, dc2, dW, db


P1, P2, W = np.array([[3.0]]), np.array([[0.5]]), np.array([[2.0]])
c1, c2, b = np.array([-1.0]), np.array([1.0]), np.array([0.0])
u, s, y = our_head(np.array([[2.0]]), P1, c1, P2, c2, W, b)
gradients = our_head_backward(np.array([[1.0]]), np.array([[2.0]]), P1, P2, W, u, s)
assert y == 11
assert [float(d.sum()) for d in gradients] == [2, 1, 5, 2, 1, 10, 2, 5.5, 1]

# %% [markdown]
# ## The shared head
#
# The auxiliary head is used twice: for the token of the voice and for that of the face. Each token gets its own gradient. Each
# weight gets the *sum* of the gradients of both uses (tutorial 1, "One matrix, used twice").
#
# | part | shape |
# |---|---|
# | tokens of the voice, of the face | $(B, C)$ each |
# | gradients of their logits | $(B, K)$ each |
# | gradients of the weights | one array for each weight, for both uses together |
#
# **By hand.** Take the head above with the tokens 2 and 1, and $dy = 1$ for both. Token 2 has $s = 5.5$. Token 1 has $u = 2$
# and $s = 1 + 1 + 1 = 3$. So $dW_o = 5.5 + 3 = 8.5$.


# %%
def our_shared_head_backward(dy_voice, dy_face, voice, face, P1, c1, P2, c2, W, b):
    """Return the gradients of a head that is used twice, for the token of the voice and for
    that of the face.

    dy_voice, dy_face (B, K), the tokens voice, face (B, C), weights as in our_head
    -> dvoice, dface (B, C), dP1, dc1, dP2, dc2, dW, db in their shapes
    """
    u, s, _ = our_head(voice, P1, c1, P2, c2, W, b)
    _, _, dvoice, *first = our_head_backward(dy_voice, voice, P1, P2, W, u, s)
    u, s, _ = our_head(face, P1, c1, P2, c2, W, b)
    _, _, dface, *second = our_head_backward(dy_face, face, P1, P2, W, u, s)
    dP1, dc1, dP2, dc2, dW, db = (one + other for one, other in zip(first, second, strict=True))
    return dvoice, dface, dP1, dc1, dP2, dc2, dW, db


one = np.ones((1, 1))
gradients = our_shared_head_backward(one, one, 2 * one, one, P1, c1, P2, c2, W, b)
assert gradients[6] == 8.5

# %% [markdown]
# ## The whole system, forward
#
# The parts are complete. The next cell puts them together in the order of the table "Three networks". `p` is the tree of
# parameters, `batch` a dict of streams and masks. The mask gets an axis for the heads: $(B, 1, T, S)$.


# %%
def branch(p, z, valid, other, other_valid, heads):
    between = our_mask(valid, other_valid)[:, None]
    within = our_mask(valid, valid)[:, None]
    h = cross_encoder(p.cross, z, valid, other, other_valid, heads, between)
    return our_token(encoder(p.within, h, heads, within), valid)


def auxiliary_token(p, z, valid, heads):
    mask = our_mask(valid, valid)[:, None]
    for _ in range(3):
        z = encoder(p, z, heads, mask)
    return our_token(z, valid)


def head(p, z):
    return linear(p.out, z + mlp(p.mlp, z)[0])[0]


def ours(p, batch, heads):
    voice_valid, face_valid = batch["audio_mask"], batch["visual_mask"]
    voice = batch["audio"] @ p.audio.project.W
    face = batch["visual"] @ p.visual.project.W
    voice_token = branch(p.main.audio, voice, voice_valid, face, face_valid, heads)
    face_token = branch(p.main.visual, face, face_valid, voice, voice_valid, heads)
    main = head(p.main.head, np.concatenate([voice_token, face_token], -1))
    voice_alone = head(p.auxiliary.head, auxiliary_token(p.auxiliary.audio, voice, voice_valid, heads))
    face_alone = head(p.auxiliary.head, auxiliary_token(p.auxiliary.visual, face, face_valid, heads))
    return (main + voice_alone + face_alone) / 3


# %% [markdown]
# A small configuration and four clips of different lengths. The last clip has no face at all.

# %%
sizes = {"audio": 7, "visual": 9, "width": 12, "heads": 3, "layers": 2, "auxiliary_hidden": (5, 6)}
config = auxformer.Config.tiny(**sizes, token="last_valid")
p = params.init(auxformer.describe(config), seed=0, dtype=np.float64)
batch = {
    "audio": rng.normal(size=(4, 11, 7)),
    "visual": rng.normal(size=(4, 5, 9)),
    "audio_mask": np.arange(11) < [[10], [8], [6], [9]],
    "visual_mask": np.arange(5) < [[5], [3], [4], [0]],
}
out, backward = auxformer.forward(p, batch, config)
# Lesson 3: that is all of it. These lines and refmer's AuxFormer give the same logits.
np.testing.assert_allclose(ours(p, batch, config.heads), out["logits"], rtol=1e-10)

# %% [markdown]
# ## The number of parameters
#
# Count one layer of width $C$:
#
# | part | numbers |
# |---|---|
# | four maps of attention | $4 (C^2 + C)$ |
# | FFN | $8 C^2 + 5 C$ |
# | two layer norms | $4 C$ |
# | one layer | $12 C^2 + 13 C = 204{,}490$ for $C = 130$ |
#
# Then the system:
#
# | part | numbers |
# |---|---|
# | one encoder: 5 layers, and $2C$ of the last norm | 1,022,710 |
# | six encoders | 6,136,260 |
# | scalars $\alpha$: 5 layers in each of 2 encoders within | 10 |
# | projections: $(4096 + 130)\, C$ | 549,380 |
# | main head | $135{,}720 + 261 K$ |
# | auxiliary head | $231{,}810 + 131 K$ |
# | sum | $7{,}053{,}180 + 392 K$ |
#
# For $K = 4$ the sum is 7,054,748. This is the published number. The agreement decides two questions that the paper's text
# leaves open: the voice has a projection (16,900 numbers), and each scaled layer has one scalar.

# %%
published = auxformer.Config.paper()
assert 12 * 130**2 + 13 * 130 == 204_490 and 5 * 204_490 + 2 * 130 == 1_022_710
# Lesson 4: no part is left out: the full size with four classes is the published one to the last parameter.
assert params.count(auxformer.describe(published)) == 7_053_180 + 392 * 4 == 7_054_748

# %% [markdown]
# ## The whole system, backward
#
# Every part has a backward. The backward of a system calls them from the end of the forward to its beginning. The next cell
# prints refmer's function, as it stands in `refmer/systems/auxformer.py`. Its backward is a function inside it.

# %%
print(inspect.getsource(auxformer.forward))

# %% [markdown]
# ### The forward, in the order of its lines
#
# `networks` is `refmer.layers.auxformer`. Each of its functions returns its output and its backward.
#
# 1. `@closure` checks that gradients which arrive at the backward have the shapes of the outputs.
# 2. `def forward(p, batch, config, rng, trace)`. `p` is the tree of parameters. `rng` draws dropout; without it there is none.
#    `trace` collects intermediate results for `explain`.
# 3. `audio, visual, back = ...` The two projections. `audio` is the pair of $z^a$ and the valid steps of the voice, `visual`
#    that of $z^v$ and the valid steps of the face.
# 4. `av, back_av = ...` The main network, which reads both modalities.
# 5. `a, back_a = ...` The auxiliary network of the voice. `*audio` passes the pair as two arguments.
# 6. `v, back_v = ...` The auxiliary network of the face. It receives the same `p.auxiliary`, which holds the shared head.
# 7. `logits, back_mean = ...` The mean of the three logits, which `np.stack` puts into one array. `AVERAGES` also offers a mean
#    of probabilities (`config.average`). A regression has no probabilities, so its outputs are averaged as they are.
# 8. `out = ...` The output is a dict with the mean and the logits of each network.
# 9. `for name in NETWORKS: ...` The logits of each network are noted in the trace.
#
# ### The backward, in the order of its lines
#
# | name | shape | gradient of |
# |---|---|---|
# | `dout["logits"]` | $(B, K)$ | the mean of the logits |
# | `dout["av"]`, `dout["audio"]`, `dout["visual"]` | $(B, K)$ each | the logits of each network, used by themselves |
# | `dnetworks` | $(3, B, K)$ | the three logits, through the mean |
# | `dav`, `da`, `dv` | $(B, K)$ each | the three logits, all uses |
# | `daudio`, `dvisual` | $(B, T, C)$, $(B, S, C)$ | $z^a$, $z^v$, through the main network |
# | `back_a(...)`, `back_v(...)` | $(B, T, C)$, $(B, S, C)$ | $z^a$, $z^v$, through the auxiliary networks |
# | result | $(B, T, 130)$, $(B, S, 4096)$ | the two streams, in a dict |
#
# 1. `def backward(dout, g)`. The contract of every system: return the gradients of the inputs, and add those of the parameters
#    into the tree `g`. `dout` is a dict. Its keys are among those of `out`. A key that is missing stands for 0.
# 2. `dnetworks = ...` The mean divides its gradient by 3: one third of `dout["logits"]` for each network. If nothing depends on
#    the mean, `dnetworks` is 0, and the shape $(3, 1, 1)$ broadcasts.
# 3. `dav, da, dv = ...` Each network's logits may be used twice, in the mean and by themselves. The gradients of both uses are
#    added. `NETWORKS` has the names `"av"`, `"audio"` and `"visual"` in this order.
# 4. `daudio, dvisual = back_av(dav, g.main)`. The main network reads both projected modalities. It returns a gradient for each,
#    and adds those of its weights into `g.main`.
# 5. `return back(...)`. Each projected modality is also read by its auxiliary network. `back_a` and `back_v` return the second
#    term of each sum. Both add into `g.auxiliary`, whose head they share. `back` continues to the streams with the two sums.
#
# Last, `return out, backward` ends the forward. The backward keeps `back`, `back_av`, `back_a`, `back_v` and `back_mean`, and
# each of these keeps what its part saved.
#
# The order of `back_av`, `back_a` and `back_v` does not matter: none reads what another returns. `back_mean` must come first
# and `back` last.
#
# **By hand.** Let the mean alone be used, with `dout["logits"]` 3 for one clip and one class. Then each network gets 1. If the
# loss also uses the logits of the voice, with `dout["audio"]` 2, then `dav`, `da`, `dv` are $1, 3, 1$.

# %%
dmean, dalone = 3.0, {"audio": 2.0}
by_network = [dmean / 3 + dalone.get(name, 0) for name in ("av", "audio", "visual")]
assert by_network == [1.0, 3.0, 1.0]

# %% [markdown]
# The next cell runs the same five steps with named intermediate results.

# %%
voice, face, back = layers.sequences(p, batch)
main, back_main = layers.main(p.main, voice, face, config)
voice_alone, back_voice = layers.auxiliary(p.auxiliary, "audio", *voice, config)
face_alone, back_face = layers.auxiliary(p.auxiliary, "visual", *face, config)

dlogits = rng.normal(size=(4, config.classes))
dmain = dvoice_alone = dface_alone = dlogits / 3
g = params.zeros_like(p)
dvoice, dface = back_main(dmain, g.main)
dvoice = dvoice + back_voice(dvoice_alone, g.auxiliary)
dface = dface + back_face(dface_alone, g.auxiliary)
dinput = back(dvoice, dface, g)

g_refmer = params.zeros_like(p)
dinput_refmer = backward({"logits": dlogits}, g_refmer)
# Lesson 5: the backward of a system calls the backwards of its parts in reverse order, and adds where a value is used twice.
np.testing.assert_allclose(g.vector, g_refmer.vector, rtol=1e-10, atol=1e-14)
for stream in ("audio", "visual"):
    np.testing.assert_allclose(dinput[stream], dinput_refmer[stream], rtol=1e-10, atol=1e-14)

# %% [markdown]
# ## Shared parts
#
# Four things in AuxFormer are used more than once:
#
# | what | uses |
# |---|---|
# | weights of an auxiliary encoder | three passes |
# | weights of the auxiliary head | two networks |
# | the projected voice $z^a$ | queries of $\text{Cross}_a$, memory of $\text{Cross}_v$, auxiliary network |
# | the memory $m$ in a cross encoder | every layer |
#
# What is used $n$ times gets the sum of $n$ gradients. For weights this is why backward *adds* into `g`.
#
# The next cell proves the gradient of the whole system by the complex step (tutorial 2). One group of gradients is 0: a key's
# bias changes all scores of a query by the same amount, which softmax ignores. The argument `zero` names this group.

# %%
worst = assert_gradient(lambda p, b: auxformer.forward(p, b, config), p, batch, rng=rng, zero=("*.key.b",), directions=True)
print(f"largest relative error of the whole system's gradient: {worst:.0e}")
# Lesson 6: the gradient of the whole system is right to rounding.
assert worst < 1e-11

# %% [markdown]
# The same for the main head alone: the gradients derived above are those of refmer's head.

# %%
first, second, last = *p.main.head.mlp.maps, p.main.head.out
z, dy = rng.normal(size=(4, 24)), rng.normal(size=(4, config.classes))
u, s, _ = our_head(z, first.W, first.b, second.W, second.b, last.W, last.b)
_, _, dz, *dweights = our_head_backward(dy, z, first.W, second.W, last.W, u, s)

g = params.zeros_like(p)
_, back_head = layers.head(p.main.head, z)
np.testing.assert_allclose(dz, back_head(dy, g.main.head), rtol=1e-10, atol=1e-14)
first, second, last = *g.main.head.mlp.maps, g.main.head.out
refmer_dweights = [first.W, first.b, second.W, second.b, last.W, last.b]
# Lesson 7: all seven gradients of the head agree.
for ours_, refmers in zip(dweights, refmer_dweights, strict=True):
    np.testing.assert_allclose(ours_, refmers, rtol=1e-10, atol=1e-14)

# %% [markdown]
# ## The literal setting
#
# In four places refmer's default differs from the authors' code, because the code lets padding change the result:
#
# | field of `Config` | default | literal, as in the authors' code |
# |---|---|---|
# | `positions` | `"valid"`: on the valid frames | `"literal"`: on the frames whose channel 0 is not exactly 0 |
# | `causal` | `"clip"`: lengths of each clip | `"padded"`: lengths with padding |
# | `hide_padding` | `True`: padding is masked | `False`: padding is attended to |
# | `token` | `"last_valid"` | `"last"`: the last frame, valid or not |
#
# On this page *literal* means: the rule of the authors' code, followed to the letter. No class weights take part in it.
#
# In the focal loss of tutorial 5 the same word has another meaning. Let $w$ be the weight of the true class, and $q$ its
# probability. There `literal=True` is the formula as the papers print it, $-w (1 - q)^\gamma \log q$. `literal=False` is the
# formula of their code, $-w (1 - q^w)^\gamma \log q$.
#
# To test a setting, append six frames of padding to both streams, as if the batch had a longer clip. No clip's logits may
# change.

# %%
literal = auxformer.Config.tiny(**sizes, positions="literal", causal="padded", hide_padding=False, token="last")
longer = {
    "audio": np.pad(batch["audio"], [(0, 0), (0, 6), (0, 0)]),
    "visual": np.pad(batch["visual"], [(0, 0), (0, 6), (0, 0)]),
    "audio_mask": np.pad(batch["audio_mask"], [(0, 0), (0, 6)]),
    "visual_mask": np.pad(batch["visual_mask"], [(0, 0), (0, 6)]),
}


def change_by_padding(config):
    as_it_is, _ = auxformer.forward(p, batch, config)
    with_padding, _ = auxformer.forward(p, longer, config)
    return np.abs(as_it_is["logits"] - with_padding["logits"]).max()


print(f"change of the logits by padding: default {change_by_padding(config):.0e}, literal {change_by_padding(literal):.0e}")
# Lesson 8: in the literal setting a clip's logits depend on the longest clip beside it, since its last step is padding.
assert change_by_padding(config) < 1e-12
assert change_by_padding(literal) > 1e-3

# %% [markdown]
# Tutorial 16 trains AuxFormer: the loss of three networks, training with a missing modality, and results.
#
# ## On your own
#
# Write it yourself: exercise file `15_auxformer.py` (`refmer exercises --out DIR`, then `refmer grade DIR/15_auxformer.py`).
#
# 1. The published count has one scalar $\alpha$ a layer. How many parameters would a free $\beta$ beside it add? And how many
#    does each further class add?
# 2. Some systems put a learned token *in front* of a sequence, and read that row at the end. Which steps does row 0 attend to
#    under the causal mask? (refmer has `token="prepended"`, which lets row 0 attend to every frame.)
# 3. The last clip of `batch` has no valid face frame. Which logits does the auxiliary network of the face give it? And what is
#    the gradient of its face features?

# %% tags=["hide-cell"]
# Solution 1: 10, five for each of two encoders within: 7,054,758. Each further class adds 392.
assert params.count(auxformer.describe(auxformer.Config.paper(classes=6))) == 7_054_748 + 2 * 392

# Solution 2: to itself alone. The token would carry nothing of the sequence.
assert masks["voice attends to voice"][0].sum() == 1

# Solution 3: its token is 0, so the logits are those of the head for the token 0. No key, value or token comes from these
# frames, so their gradient is 0; that of the other clips' valid frames is not.
np.testing.assert_allclose(out["visual"][3:], head(p.auxiliary.head, np.zeros((1, 12))), rtol=1e-12)
assert not dinput["visual"][3].any() and dinput["visual"][0].all()
