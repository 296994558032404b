# %% [markdown]
# # 19. RAVER: summarizer, cross encoders and statistics pooling
#
# Introduces: `refmer.systems.raver.Config`, `refmer.systems.raver.describe`, `refmer.systems.raver.forward`,
# `refmer.layers.summarizer.describe_learned_context`, `refmer.layers.summarizer.learned_context`,
# `refmer.layers.sequence.describe_statistics_pool`, `refmer.layers.sequence.statistics_pool`, `refmer.ops.activations.gelu`
#
# **After this page** you can derive the gradient of learned queries that read a sequence with missing frames, derive attentive
# statistics pooling with a floor on its variance, and write the forward pass of RAVER from its parts.
#
# **Time.** 75 minutes to read, 5 seconds to run.
#
# **You need** tutorials 1, 2, 7, 8, 9 and 13: pictures of data flow (13), linear maps and MLPs (1), the complex step (2),
# `attention` (7), `key_mask` (8), and `layer_norm`, `feed_forward`, `positions`, `encoder` and `cross_encoder` (9).

# %%
import matplotlib.pyplot as plt
import numpy as np

from refmer import params
from refmer.check import assert_gradient
from refmer.diagrams import draw
from refmer.layers.attention import attention, cross_encoder, describe_encoder, encoder
from refmer.layers.dense import feed_forward, layer_norm, linear, mlp
from refmer.layers.sequence import describe_statistics_pool, positions, statistics_pool
from refmer.layers.summarizer import describe_learned_context, learned_context
from refmer.ops.activations import gelu
from refmer.ops.attention import key_mask
from refmer.systems import raver

draw("raver")

# %% [markdown]
# ## The parts and their shapes
#
# RAVER (paper 004) recognizes emotions from a voice and a face, either of which may have missing frames. Its output is one
# logit for each of $K$ emotion classes.
#
# $B$ is the number of clips, $T$ the number of frames of a modality, $L$ the number of layers of the speech model, $D$ the
# width of the features, $C$ the width inside the system, and $N$ the number of learned queries.
#
# | part | for each of | from | to |
# |---|---|---|---|
# | weighted sum of layers | voice | $(B, T, L, D)$ | $(B, T, D)$ |
# | linear map, positions | voice, face | $(B, T, D)$ | $(B, T, C)$ |
# | contextual summarizer | voice, face | $(B, T, C)$ | $(B, N, C)$ |
# | cross encoder, encoder | voice, face | $(B, N, C)$ twice | $(B, N, C)$ |
# | statistics pooling | voice, face | $(B, N, C)$ | $(B, 2C)$ |
# | linear map | voice, face | $(B, 2C)$ | $(B, C)$ |
# | MLP | both, concatenated | $(B, 2C)$ | $(B, K)$ |
#
# The published system reads $L = 25$ layers of WavLM ($D = 1024$) and face features of MobileNetV2 ($D = 1280$). The corpus of
# refmer has a stand-in for the voice: $L = 4$ resolutions of a spectrogram.
#
# | size | published | refmer's tiny |
# |---|---|---|
# | width $C$, heads | 1024, 8 | 40, 4 |
# | queries $N$ | 128 | 8 |
# | layers of the summarizer, width inside | not stated: 6, 4096 | 2, 80 |
# | layers of an encoder, width inside | not stated: 3, 4096 | 1, 80 |
# | widths of the MLP | 2048, 1024, 256, $K$ | 80, 40, 20, $K$ |
#
# With these sizes and six classes the published system has 362,956,575 parameters. The paper states no number.
#
# The code of this page uses smaller sizes.

# %%
rng = np.random.default_rng(0)
config = raver.Config.tiny(audio=5, audio_layers=3, visual=7, width=8, heads=2, n_context=4, hidden=9)
p = params.init(raver.describe(config), seed=0, dtype=np.float64)
assert params.count(raver.describe(raver.Config.paper())) == 362_956_575

# %% [markdown]
# ## Features of a modality
#
# Each layer $l$ of the speech model has one learned score $r_l$. Softmax makes a share $a_l$ of it, and the frames are summed
# with these shares. The paper says "learnable weights"; the softmax is refmer's reading.
#
# $$a_l = \frac{e^{r_l}}{\sum_j e^{r_j}}, \qquad x_{btd} = \sum_l a_l\, x_{btld} .$$
#
# By hand: two layers with scores $\ln 3$ and 0 have shares $3/4$ and $1/4$. Frames of 4 and 8 become $3 + 2 = 5$.

# %%
score, frames = np.array([np.log(3), 0]), np.array([4.0, 8.0])
share = np.exp(score) / np.exp(score).sum()
assert abs(share @ frames - 5) < 1e-12

# %% [markdown]
# A linear map brings the frames to width $C$. The face has no layers and begins here.
#
# Then positions $E$ are added to the available frames. Frame $t$ gets, for $i < C / 2$,
#
# $$E_{ti} = \sin((t + 1) f_i), \qquad E_{t,\,C/2+i} = \cos((t + 1) f_i), \qquad f_i = 10^{-4 i / (C/2 - 1)} .$$
#
# The paper mentions no positions. The model that it builds on (SparseSync) has learned ones.


# %%
def features(p, x, valid):
    if hasattr(p, "layers"):
        a = np.exp(p.layers.score)
        a = a / a.sum()
        x = a @ x  # (B, T, L, D) -> (B, T, D)
    z = linear(p.project, x)[0]
    return positions(z, valid)[0]


# %% [markdown]
# ## Learned queries
#
# A *learned query* is a vector of parameters that takes the place of a query in attention. There are $N$ of them, $Q_{nj}$, and
# they are the same for every clip. Whatever the length $T$ of a clip, the result has $N$ steps.
#
# Begin with this reading alone: one head, and no linear maps. $z_{btj}$ are the features of clip $b$, and serve both as keys
# and as values. $j$ is the index of the channel, and $c = 1 / \sqrt C$ a factor. The score of query $n$ for frame $t$ is
#
# $$s_{bnt} = c \sum_j Q_{nj}\, z_{btj} .$$
#
# The weights are a softmax over the valid frames of the clip,
#
# $$a_{bnt} = \frac{e^{s_{bnt}}}{\sum_{r \text{ valid}} e^{s_{bnr}}} \ \text{ for valid } t, \qquad
#   a_{bnt} = 0 \ \text{ for the others,}$$
#
# and the summary is the weighted sum of the frames:
#
# $$y_{bnj} = \sum_t a_{bnt}\, z_{btj} .$$
#
# If a clip has no valid frame, the softmax is $0 / 0$. All weights of such a clip are set to 0, so its summary is 0, too.
#
# In the code, the scores of missing frames are set to $-\infty$, and the largest score of each query is subtracted from its
# scores (tutorial 7). Where a clip has no valid frame, the largest score is $-\infty$; there 0 is subtracted, and the sum of
# the exponentials, which is 0, is replaced by 1.
#
# By hand: one query $Q = \ln 3$, two frames $z = (1, 0)$ of one channel. The scores are $\ln 3$ and 0, the weights $3/4$ and
# $1/4$, and the summary is $3/4$.


# %%
def our_summary(Q, z, valid):
    """Return the weights a and the summary y. A clip without a valid step has 0 in both.

    Q (N, C), z (B, T, C), valid (B, T) of bool -> a (B, N, T), y (B, N, C)
    """
    s = Q.shape[-1] ** -0.5 * Q @ z.swapaxes(1, 2)
    s = np.where(valid[:, None], s, -np.inf)
    top = s.real.max(-1, keepdims=True)
    e = np.exp(s - np.where(top > -np.inf, top, 0))
    total = e.sum(-1, keepdims=True)
    a = e / np.where(total == 0, 1, total)
    y = a @ z
    return a, y


Q_small, z_small, both = np.array([[np.log(3)]]), np.array([[[1.0], [0.0]]]), np.array([[True, True]])
a_small, y_small = our_summary(Q_small, z_small, both)
np.testing.assert_allclose(a_small[0, 0], [3 / 4, 1 / 4])
np.testing.assert_allclose(y_small, [[[3 / 4]]])

# %% [markdown]
# ### Backward
#
# $dy_{bnj}$ is the upstream gradient. $y$ depends on the weights through the sum over frames:
#
# $$da_{bnt} = \sum_j dy_{bnj}\, z_{btj} .$$
#
# This holds for missing frames, too: their $da$ need not be 0. Only $ds$ is 0 there, since $a_{bnt} = 0$.
#
# The softmax couples the frames of one query. Its derivative is $\partial a_t / \partial s_r = a_t (\delta_{tr} - a_r)$, so
#
# $$ds_{bnt} = a_{bnt} \Bigl( da_{bnt} - \sum_r a_{bnr}\, da_{bnr} \Bigr) .$$
#
# All clips use the same $Q$. Its gradient is a sum over clips as well as over frames:
#
# $$dQ_{nj} = c \sum_b \sum_t ds_{bnt}\, z_{btj} .$$
#
# $z$ is used twice, as key and as value. Its gradient has two terms:
#
# $$dz_{btj} = \underbrace{c \sum_n ds_{bnt}\, Q_{nj}}_{\text{key}} + \underbrace{\sum_n a_{bnt}\, dy_{bnj}}_{\text{value}} .$$
#
# By hand, with $dy = 1$ in the example above: $da = z = (1, 0)$ and $\sum_r a_r\, da_r = 3/4$. So
# $ds = (\frac34 \cdot \frac14,\ \frac14 \cdot (-\frac34)) = (\frac3{16}, -\frac3{16})$. Then $dQ = \frac3{16}$, and
# $dz = (\frac3{16} \ln 3 + \frac34,\ -\frac3{16} \ln 3 + \frac14)$.


# %%
def our_summary_backward(dy, Q, z, a):
    """Return the gradients of a, of the scores s (scaled by c), of Q and of z.

    dy (B, N, C), Q (N, C), z (B, T, C), a (B, N, T)
    -> da, ds (B, N, T), dQ (N, C), dz (B, T, C)
    """
    c = Q.shape[-1] ** -0.5
    da = dy @ z.swapaxes(1, 2)
    ds = a * (da - (a * da).sum(-1, keepdims=True))
    dQ = c * (ds @ z).sum(0)
    dz = c * ds.swapaxes(1, 2) @ Q + a.swapaxes(1, 2) @ dy
    return da, ds, dQ, dz


_, ds, dQ, dz = our_summary_backward(np.ones((1, 1, 1)), Q_small, z_small, a_small)
np.testing.assert_allclose(ds[0, 0], [3 / 16, -3 / 16])
np.testing.assert_allclose(dQ, [[3 / 16]])
np.testing.assert_allclose(dz[0, :, 0], [3 / 16 * np.log(3) + 3 / 4, -3 / 16 * np.log(3) + 1 / 4])

# %% [markdown]
# The complex step checks both functions at once. The three clips have 7, 4 and 0 valid frames.


# %%
def read(Q, z, valid):
    a, y = our_summary(Q, z, valid)
    return y, lambda dy: our_summary_backward(dy, Q, z, a)[2:]


Q, z, valid = rng.normal(size=(4, 8)), rng.normal(size=(3, 7, 8)), np.arange(7) < [[7], [4], [0]]
# Lesson 1: the gradients of Q (a sum over clips) and of z (key and value) are right, also with a clip without frames.
assert assert_gradient(read, None, Q, z, valid, rng=rng) < 1e-13

# %% [markdown]
# The figure shows the weights of the four queries for the three clips. Each row of a clip with frames sums to 1. Missing frames
# have the weight 0.

# %%
weights = our_summary(Q, z, valid)[0]
fig, axes = plt.subplots(1, 3, figsize=(9, 2.4), layout="constrained")
for ax, a, count in zip(axes, weights, valid.sum(1), strict=True):
    image = ax.imshow(a, cmap="Blues", vmin=0, vmax=1)
    ax.set(title=f"{count} of 7 frames valid", xlabel="frame", ylabel="query")
fig.colorbar(image, ax=axes, label="weight a")
fig.suptitle("Weights of 4 random queries, 3 random clips (seed 0)")
plt.show()

# %% [markdown]
# ## A layer of the summarizer
#
# The contextual summarizer is a stack of layers. Each layer changes the queries $q_{bnc}$ by three residual branches. In the
# first layer $q_{bnc} = Q_{nc}$. $\text{Attention}(x, m)$ is the attention of tutorial 7 with heads and four linear maps: its
# queries come from $x$, its keys and values from $m$. $\text{LN}_1$, $\text{LN}_2$ and $\text{LN}_3$ are layer norms with
# weights of their own.
#
# **Self-attention.** The queries of a clip attend to each other:
#
# $$s = q + \text{Attention}_1\bigl(\text{LN}_1 q,\ \text{LN}_1 q\bigr) .$$
#
# **Cross-attention.** The queries attend to the valid frames of the features $z$. There is no norm on $z$:
#
# $$h = s + \text{Attention}_2\bigl(\text{LN}_2 s,\ z\bigr) .$$
#
# **Feed-forward network.** Each query is mapped by itself:
#
# $$q' = h + \text{FFN}\bigl(\text{LN}_3 h\bigr), \qquad \text{FFN}(n) = \text{GELU}(n W_1 + b_1)\, W_2 + b_2 .$$
#
# If no frame of a clip is valid, $\text{Attention}_2$ adds exactly 0 to that clip, without its output bias.
#
# The paper gives a drawing of a decoder. The order of the norms and the GELU are those of SparseSync's code.

# %% [markdown]
# ### GELU
#
# $\Phi(x)$ is the distribution function of the standard normal distribution, $\phi(x) = e^{-x^2/2} / \sqrt{2\pi}$ its density.
# refmer uses the exact form, with the error function erf, and not the approximation by tanh:
#
# $$\text{GELU}(x) = x\, \Phi(x) = \frac x2 \Bigl( 1 + \text{erf} \frac{x}{\sqrt 2} \Bigr), \qquad
#   \text{GELU}'(x) = \Phi(x) + x\, \phi(x) .$$
#
# By hand: 84.13 % of a normal distribution lie below 1, so $\text{GELU}(1) = 0.8413$. 15.87 % lie below $-1$, so
# $\text{GELU}(-1) = -0.1587$. The cell sums the density numerically, in steps of 0.001.

# %%
middles = np.arange(-10, 1, 0.001) + 0.0005
phi = np.exp(-(middles**2) / 2) / np.sqrt(2 * np.pi)
below_one = phi.sum() * 0.001
values, *_ = gelu(np.array([1.0, 0.0, -1.0]))
np.testing.assert_allclose(values, [below_one, 0, below_one - 1], atol=1e-6)
np.testing.assert_allclose(values, [0.8413, 0, -0.1587], atol=1e-4)

# %% [markdown]
# ### Backward of a layer
#
# Backward goes through the branches in reverse order. $\text{LN}^\top$, $\text{FFN}^\top$ and $\text{Attention}^\top$ stand
# for the backward functions of these parts. $dq'$ is the upstream gradient. At every residual the gradient splits into the
# direct way and the way through the branch.
#
# Feed-forward network:
#
# $$dh = dq' + \text{LN}_3^\top\, \text{FFN}^\top dq' .$$
#
# Cross-attention has two inputs, so its backward returns two gradients:
#
# $$(dn_2,\ dz) = \text{Attention}_2^\top\, dh, \qquad ds = dh + \text{LN}_2^\top\, dn_2 .$$
#
# Self-attention uses $n_1 = \text{LN}_1 q$ twice, as query and as memory. The two gradients are added:
#
# $$(dn_1,\ dm_1) = \text{Attention}_1^\top\, ds, \qquad dq = ds + \text{LN}_1^\top (dn_1 + dm_1) .$$


# %%
def decoder_layer(p, q, z, valid, heads):
    n1, back_norm1 = layer_norm(p.norm1, q)
    branch, back_self = attention(p.attend, n1, n1, heads)
    s = q + branch
    n2, back_norm2 = layer_norm(p.norm2, s)
    branch, back_cross = attention(p.cross, n2, z, heads, key_mask(valid))
    h = s + branch
    n3, back_norm3 = layer_norm(p.norm3, h)
    branch, back_ffn = feed_forward(p.ffn, n3, activation="gelu")

    def backward(dy, g):
        dh = dy + back_norm3(back_ffn(dy, g.ffn), g.norm3)
        dn2, dz = back_cross(dh, g.cross)
        ds = dh + back_norm2(dn2, g.norm2)
        dn1, dm1 = back_self(ds, g.attend)
        dq = ds + back_norm1(dn1 + dm1, g.norm1)
        return dq, dz

    return h + branch, backward


# %% [markdown]
# ## The contextual summarizer
#
# All layers read the same $z$, so $dz$ is the sum over layers. The queries that leave the last layer are the *summary* of a
# clip, from here on $c$. No norm follows.
#
# Every clip starts with the same $Q$. With $dq$ from the first layer, $dQ_{nc} = \sum_b dq_{bnc}$.


# %%
def summarize(p, z, valid, heads):
    q = np.broadcast_to(p.queries.W, (len(z), *p.queries.W.shape))
    backs = []
    for part in p.layers:
        q, back = decoder_layer(part, q, z, valid, heads)
        backs.append(back)

    def backward(dq, g):
        dz = 0
        for back, part in zip(reversed(backs), reversed(g.layers), strict=True):
            dq, dz_of_layer = back(dq, part)
            dz = dz + dz_of_layer
        g.queries.W += dq.sum(0)
        return dz

    return q, backward


alone = params.init(describe_learned_context(4, 8, 9, 2), seed=0, dtype=np.float64)  # N, C, width inside, layers
summary, _ = summarize(alone, z, valid, 2)
# Lesson 2: this is refmer's summarizer, and its gradient is right in every weight, in Q and in z.
np.testing.assert_allclose(summary, learned_context(alone, z, 2, valid)[0], rtol=1e-12)
assert_gradient(lambda p, z: summarize(p, z, valid, 2), alone, z, rng=rng, zero=("*.key.b",))

# %% [markdown]
# All $N$ steps of a summary are valid, also those of a clip without frames. Later parts need no mask.
#
# A clip without frames gets the summary that follows from the queries alone. It is the same for all such clips, and it is not
# 0. At the start of training the elements of $Q$ are about 0.02, but $\text{LN}_1$ scales a query to variance 1, however small
# it is, and the branches add results of that scale. The paper says that a missing modality makes a "near-zero update" of the
# other. Tutorial 20 measures it in a trained system.
#
# The paper also says that $N$ is much smaller than the number of frames. At the mean length of a CREMA-D clip, 2.54 s, there
# are about 127 frames of the voice and 76 of the face; $N$ is 128. The published summarizer resamples; it hardly compresses.

# %%
other_z = rng.normal(size=(2, 7, 8))
nothing, _ = summarize(alone, other_z, np.zeros((2, 7), bool), 2)
size = np.sqrt((nothing**2).mean())
print(f"root mean square: queries {np.sqrt((alone.queries.W**2).mean()):.3f}, summary of a clip without frames {size:.2f}")
# Lesson 3: the summary of a clip without frames depends on Q and the weights alone, and is not near 0.
np.testing.assert_allclose(nothing[0], nothing[1])
np.testing.assert_allclose(nothing[0], summary[2])
assert size > 0.1

# %% [markdown]
# ## Cross encoders
#
# Let $x$ be the summary of one modality, and $m$ that of the other, the *memory*. A cross encoder updates $x$ by attention to
# $m$. Both enter with a factor. Positions are not added: the order of the queries has no meaning.
#
# $$u = \sqrt C\, x, \qquad \bar m = \sqrt C\, m .$$
#
# Each layer has an attention and a feed-forward network with ReLU. One layer norm LN serves both inputs of the attention:
#
# $$h = u + \text{Attention}\bigl(\text{LN}\, u,\ \text{LN}\, \bar m\bigr),$$
#
# $$u' = h + \text{FFN}\bigl(\text{LN}' h\bigr), \qquad \text{FFN}(n) = \max(n W_1 + b_1, 0)\, W_2 + b_2 .$$
#
# Every layer attends to the same $\bar m$, which is never updated. A layer norm follows the last layer.
#
# An *encoder* is the same with $x$ as its own memory. There, every layer attends to the current $u$.


# %%
def layer(p, u, memory, heads):
    n, n_memory = layer_norm(p.norm1, u)[0], layer_norm(p.norm1, memory)[0]
    h = u + attention(p.attend, n, n_memory, heads)[0]
    return h + feed_forward(p.ffn, layer_norm(p.norm2, h)[0])[0]


def cross_encode(p, x, memory, heads):
    scale = x.shape[-1] ** 0.5
    u = scale * x
    for part in p.layers:
        u = layer(part, u, scale * memory, heads)
    return layer_norm(p.norm, u)[0]


def encode(p, x, heads):
    u = x.shape[-1] ** 0.5 * x
    for part in p.layers:
        u = layer(part, u, u, heads)
    return layer_norm(p.norm, u)[0]


pair = {"audio": describe_encoder(8, 9, 2), "visual": describe_encoder(8, 9, 2)}
pair = params.init(pair, seed=0, dtype=np.float64)
c_audio, c_visual = rng.normal(size=(2, 3, 4, 8))
crossed = cross_encode(pair.audio, c_audio, c_visual, 2)
np.testing.assert_allclose(crossed, cross_encoder(pair.audio, c_audio, c_visual, 2)[0], rtol=1e-10)
np.testing.assert_allclose(encode(pair.audio, c_audio, 2), encoder(pair.audio, c_audio, 2)[0], rtol=1e-10)

# %% [markdown]
# RAVER has two cross encoders. In one the voice attends to the face, in the other the face attends to the voice. So each
# summary is used twice: as the queries of its own cross encoder, and as the memory of the other. Its gradient is the sum of
# two terms,
#
# $$dc^a = dc^a_{\text{as query}} + dc^a_{\text{as memory}}, \qquad dc^v = dc^v_{\text{as query}} + dc^v_{\text{as memory}} .$$


# %%
def cross_both(p, audio, visual):
    y_audio, back_audio = cross_encoder(p.audio, audio, visual, 2)
    y_visual, back_visual = cross_encoder(p.visual, visual, audio, 2)

    def backward(dy, g):
        audio_as_query, visual_as_memory = back_audio(dy[0], g.audio)
        visual_as_query, audio_as_memory = back_visual(dy[1], g.visual)
        return audio_as_query + audio_as_memory, visual_as_query + visual_as_memory

    return (y_audio, y_visual), backward


# Lesson 4: a summary has two uses, and its gradient is the sum of both.
assert_gradient(cross_both, pair, c_audio, c_visual, rng=rng, zero=("*.key.b",))

# %% [markdown]
# ## Statistics pooling
#
# *Attentive statistics pooling* replaces the $T$ steps of a sequence $x_{tc}$ by the weighted mean and the weighted standard
# deviation of each channel. (In RAVER the steps are the $N$ queries.) The index $b$ of the clip is left out where it is the
# same everywhere. In this section $c$ is the index of the channel.
#
# Each step has a hidden vector $h_t$ of $H$ numbers and a score $e_t$. They have a learned matrix $W$ of shape $(C, H)$, a bias
# $b$ and a vector $v$ of $H$ numbers each. A vector is a row, so $x_t$ stands at the left of $W$:
#
# $$h_t = \tanh(x_t W + b), \qquad e_t = v \cdot h_t .$$
#
# The weights $a_t$ are the softmax of $e_t$ over the valid steps, as above. Mean, variance and standard deviation are
#
# $$\mu_c = \sum_t a_t\, x_{tc}, \qquad \text{var}_c = \sum_t a_t\, (x_{tc} - \mu_c)^2, \qquad
#   \sigma_c = \max(\text{var}_c,\ 10^{-5})^{1/2} .$$
#
# By hand: the values 0 and 4 with weights $3/4$ and $1/4$ have the mean 1, the variance $\frac34 \cdot 1 + \frac14 \cdot 9 = 3$
# and the standard deviation $\sqrt 3$.


# %%
def our_statistics(x, W, b, v, valid):
    """Return h, the weights a, the mean mu, the variance var before the floor of 1e-5, and
    sigma, the root after it.

    A clip without a valid step has a, mu, var and sigma 0.

    x (B, T, C), W (C, H), b (H,), v (H,), valid (B, T) of bool
    -> h (B, T, H), a (B, T), mu, var, sigma (B, C)
    """
    h = np.tanh(x @ W + b)
    e = np.where(valid, h @ v, -np.inf)
    top = e.real.max(-1, keepdims=True)
    p = np.exp(e - np.where(top > -np.inf, top, 0))
    total = p.sum(-1, keepdims=True)
    a = p / np.where(total == 0, 1, total)
    mu = np.einsum("bt,btc->bc", a, x)
    var = np.einsum("bt,btc->bc", a, (x - mu[:, None]) ** 2)
    sigma = np.sqrt(np.where(var.real > 1e-5, var, 1e-5)) * valid.any(1, keepdims=True)
    return h, a, mu, var, sigma


# %% [markdown]
# For the example the second step needs the score $-\ln 3$. With $W = 1$ and $b = 0$, $h = \tanh(0) = 0$ for the first step and
# $\tanh(4)$ for the second, so $v = -\ln 3 / \tanh 4$.

# %%
x_small, one, v_small = np.array([[[0.0], [4.0]]]), np.ones((1, 1)), np.array([-np.log(3) / np.tanh(4)])
_, a_small, mu_small, var_small, sigma_small = our_statistics(x_small, one, np.zeros(1), v_small, both)
np.testing.assert_allclose(a_small, [[3 / 4, 1 / 4]])
np.testing.assert_allclose([mu_small, var_small, sigma_small], [[[1]], [[3]], [[3**0.5]]])

# %% [markdown]
# ### The floor of the variance
#
# The derivative of $\sigma = \sqrt{\text{var}}$ by the variance is $1 / (2\sigma)$. At variance 0 it is infinite. In a channel
# that is constant, $x_{tc} - \mu_c = 0$ and $\sigma_c = 0$, and the formula for its gradient contains $0 / 0$, which is NaN.
#
# So a variance up to $10^{-5}$ counts as $10^{-5}$. Then $\sigma_c = \sqrt{10^{-5}} = 0.0032$ is a constant, and no gradient
# goes back through it. The paper states no floor.
#
# A clip without a valid step has $a = 0$, $\mu = 0$ and $\text{var} = 0$. Its $\sigma$ is set to 0, not to
# $\sqrt{10^{-5}}$, so that the whole result of such a clip is 0.

# %%
constant = np.full((1, 2, 1), 2.0)
_, a, mu, var, sigma = our_statistics(constant, one, np.zeros(1), np.zeros(1), both)
with np.errstate(invalid="ignore"):
    without_floor = (constant - mu[:, None]) / np.sqrt(var)
# Lesson 5: a constant channel gives NaN by the formula, and a finite sigma with the floor.
assert np.isnan(without_floor).all()
np.testing.assert_allclose(sigma, [[1e-5**0.5]])

# %% [markdown]
# ### Backward
#
# $\mu_c$ occurs in the variance, but there it has no effect. The weights of a clip sum to 1, so
#
# $$\frac{\partial\, \text{var}_c}{\partial \mu_c} = -2 \sum_t a_t\, (x_{tc} - \mu_c) = -2\, (\mu_c - \mu_c) = 0 .$$
#
# Only the direct uses of $x$ and $a$ count. For a channel above the floor, with $\partial \sigma_c / \partial\, \text{var}_c =
# 1 / (2 \sigma_c)$, the weights get
#
# $$da_t = \sum_c \Bigl( d\mu_c\, x_{tc} + d\sigma_c\, \frac{(x_{tc} - \mu_c)^2}{2 \sigma_c} \Bigr),$$
#
# and the steps, as values,
#
# $$dx_{tc} = a_t \Bigl( d\mu_c + d\sigma_c\, \frac{x_{tc} - \mu_c}{\sigma_c} \Bigr) .$$
#
# For a channel at the floor, with $\text{var}_c \le 10^{-5}$, the terms with $d\sigma_c$ are 0. All channels of a clip
# without a valid step are at the floor, so the $\sigma_c = 0$ of such a clip is never divided by.
#
# As with the summary, $da_t$ of a step that is not valid need not be 0; its $de_t$ and $dx_t$ are 0, because $a_t = 0$.
#
# $x$ is also used in the scores. The way back is softmax, $v$, and tanh, with $u_t = x_t W + b$ and $\tanh' = 1 - h^2$:
#
# $$de_t = a_t \Bigl( da_t - \sum_r a_r\, da_r \Bigr), \qquad du_{tk} = de_t\, v_k\, (1 - h_{tk}^2), \qquad
#   dx_{tc} \mathrel{+}= \sum_k du_{tk}\, W_{ck} .$$
#
# Weights are shared by all clips and steps, so their gradients are sums over both:
#
# $$dv_k = \sum_{bt} de_{bt}\, h_{btk}, \qquad dW_{ck} = \sum_{bt} x_{btc}\, du_{btk}, \qquad db_k = \sum_{bt} du_{btk} .$$


# %%
def our_statistics_backward(dy_mu, dy_sigma, x, W, v, h, a, mu, var, sigma):
    """Return the gradients of a, of the scores e, of u = x W + b, and of x, W, b and v.

    dy_mu, dy_sigma (B, C), the others as in our_statistics
    -> da, de (B, T), du (B, T, H), dx (B, T, C), dW (C, H), db (H,), dv (H,)
    """
    above = var > 1e-5
    slope = np.where(above, dy_sigma / np.where(above, sigma, 1), 0)[:, None]  # (B, 1, C)
    d = x - mu[:, None]
    da = (dy_mu[:, None] * x + slope * d**2 / 2).sum(-1)
    de = a * (da - (a * da).sum(-1, keepdims=True))
    du = de[..., None] * v * (1 - h**2)
    dx = a[..., None] * (dy_mu[:, None] + slope * d) + du @ W.T
    dW = np.einsum("btc,bth->ch", x, du)
    db = du.sum((0, 1))
    dv = np.einsum("bt,bth->h", de, h)
    return da, de, du, dx, dW, db, dv


# %% [markdown]
# By hand, in the example with 0 and 4, with $d\mu = 0$ and $d\sigma = 2\sqrt3$: $da = (1, 9)$, and
# $\sum_r a_r\, da_r = \frac34 + \frac94 = 3$. So $de = (\frac34 \cdot (-2),\ \frac14 \cdot 6) = (-\frac32, \frac32)$. A higher
# score of the second step raises $\sigma$.

# %%
h_small = np.tanh(x_small)
zero, upstream = np.zeros((1, 1)), np.full((1, 1), 2 * 3**0.5)
da, de, *_ = our_statistics_backward(zero, upstream, x_small, one, v_small, h_small, a_small, mu_small, var_small, sigma_small)
np.testing.assert_allclose(da, [[1, 9]])
np.testing.assert_allclose(de, [[-3 / 2, 3 / 2]])

# %% [markdown]
# The next cell compares both functions with refmer's layer on the three clips of 7, 4 and 0 valid frames.

# %%
pool = params.init(describe_statistics_pool(8), seed=0, dtype=np.float64)
g, dy = params.zeros_like(pool), rng.normal(size=(3, 16))
y, back_pool = statistics_pool(pool, z, valid)
W, b, v = pool.hidden.W, pool.hidden.b, pool.score.W[:, 0]
h, a, mu, var, sigma = our_statistics(z, W, b, v, valid)
_, _, _, dx, dW, db, dv = our_statistics_backward(dy[:, :8], dy[:, 8:], z, W, v, h, a, mu, var, sigma)
dz = back_pool(dy, g)
# Lesson 6: mean and standard deviation, and their gradients in x and in the weights, are refmer's.
np.testing.assert_allclose(np.hstack([mu, sigma]), y, rtol=1e-10, atol=1e-14)
for mine, other in ((dx, dz), (dW, g.hidden.W), (db, g.hidden.b), (dv, g.score.W[:, 0])):
    np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-13)

# %% [markdown]
# The figure shows the gradient of $\sigma$ for two steps $\pm d$ of equal weight, $\sigma = d$. Without the floor it is 1 for
# every $d > 0$ and NaN at 0. With the floor it is 0 for $d \le \sqrt{10^{-5}}$.

# %%
distances = np.linspace(0, 0.01, 101)
pairs = np.stack([distances, -distances], 1)[..., None]  # (101, 2, 1): one pair is one clip
everywhere = np.ones((101, 2), bool)
h, a, mu, var, sigma = our_statistics(pairs, one, np.zeros(1), np.zeros(1), everywhere)
ones, zeros = np.ones((101, 1)), np.zeros((101, 1))
dx = our_statistics_backward(zeros, ones, pairs, one, np.zeros(1), h, a, mu, var, sigma)[3]
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
left.plot(distances, sigma[:, 0])
left.set(xlabel="distance d from the mean", ylabel="standard deviation", title="Standard deviation with the floor")
right.plot(distances, dx[:, 0, 0] - dx[:, 1, 0], ".")
right.set(xlabel="distance d from the mean", ylabel="derivative by d", title="Derivative of the standard deviation")
plt.show()
assert np.isfinite(dx).all()

# %% [markdown]
# ## The whole forward
#
# The parts are now complete. For each modality: features, summary, cross encoder with the other summary, encoder, statistics
# pooling, and a linear map from $2C$ to $C$. Both results, concatenated, enter an MLP with ReLU between its maps.
#
# The summaries have $N$ valid steps in every clip, so statistics pooling has no mask here.


# %%
def pooled(p, x):
    everywhere = np.ones(x.shape[:2], bool)
    _, _, mu, _, sigma = our_statistics(x, p.hidden.W, p.hidden.b, p.score.W[:, 0], everywhere)
    return np.concatenate([mu, sigma], -1)


def ours(p, batch, heads):
    c, outputs = {}, []
    for m in ("audio", "visual"):
        part, valid = getattr(p, m), batch[f"{m}_mask"]
        c[m] = summarize(part.summary, features(part, batch[m], valid), valid, heads)[0]
    for m, other in (("audio", "visual"), ("visual", "audio")):
        part = getattr(p, m)
        crossed = cross_encode(part.cross, c[m], c[other], heads)
        encoded = encode(part.encode, crossed, heads)
        outputs.append(linear(part.reduce, pooled(part.pool, encoded))[0])
    return mlp(p.head, np.concatenate(outputs, -1))[0]


batch = {"audio": rng.normal(size=(3, 9, 3, 5)), "visual": rng.normal(size=(3, 6, 7))}
batch |= {"audio_mask": rng.random((3, 9)) < 0.7, "visual_mask": np.arange(6) < [[6], [4], [0]]}
logits = raver.forward(p, batch, config)[0]["logits"]
# Lesson 7: these lines are RAVER. The third clip has no frame of the face.
np.testing.assert_allclose(ours(p, batch, config.heads), logits, rtol=1e-9)

# %% [markdown]
# The backward of the whole system calls those of its parts in reverse order. Random directions in all weights and inputs
# compare it with the complex step.

# %%
worst = assert_gradient(lambda p, b: raver.forward(p, b, config), p, batch, rng=rng, zero=("*.key.b",), directions=True)
print(f"largest relative error of a gradient: {worst:.0e}")
# Lesson 8: the gradient of the whole system is right.
assert worst < 1e-12

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `19_raver.py` (`refmer exercises --out DIR`, then `refmer grade DIR/19_raver.py`).
#
# 1. What is the gradient of the scores $r_l$ of the layers, for an upstream gradient $dx_{btd}$ of their weighted sum?
# 2. Permute the rows of $Q$ of one modality. What happens to the summary, and what to the logits?
# 3. Two rows of $Q$ are equal at the start. What are their gradients in the whole system, and what does training do?


# %% tags=["hide-cell"]
# Solution 1: a_l is used by all clips, frames and channels: da_l = sum_btd dx_btd x_btld. Then the softmax:
# dr_l = a_l (da_l - sum_j a_j da_j). Proof by the complex step:
def layer_sum(score):
    frames = batch["audio"].astype(score.real.dtype)
    a = np.exp(score) / np.exp(score).sum()

    def backward(dx):
        da = np.einsum("btd,btld->l", dx, frames)
        return a * (da - a @ da)

    return a @ frames, backward


assert assert_gradient(layer_sum, None, rng.normal(size=3), rng=rng) < 1e-12

# Solution 2: the steps of the summary are permuted in the same way. Attention without positions and statistics pooling do not
# depend on the order of steps, so the logits are the same.
permuted = params.init(raver.describe(config), seed=0, dtype=np.float64)
permuted.audio.summary.queries.W[:] = p.audio.summary.queries.W[::-1]
np.testing.assert_allclose(raver.forward(permuted, batch, config)[0]["logits"], logits, rtol=1e-9)

# Solution 3: the system does not distinguish the two rows, so their gradients are equal. They stay equal in training, and the
# second query is of no use. This is why queries begin with random numbers.
equal = params.init(raver.describe(config), seed=0, dtype=np.float64)
equal.audio.summary.queries.W[1] = equal.audio.summary.queries.W[0]
g = params.zeros_like(equal)
out, backward = raver.forward(equal, batch, config)
backward({"logits": rng.normal(size=out["logits"].shape)}, g)
dQ = g.audio.summary.queries.W
np.testing.assert_allclose(dQ[1], dQ[0], rtol=1e-9, atol=1e-14)
assert np.abs(dQ[0]).max() > 1e-6
