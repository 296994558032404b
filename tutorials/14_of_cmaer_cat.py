# %% [markdown]
# # 14. OF-CMAER-CAT
#
# Introduces: `refmer.systems.of_cmaer_cat.Config`, `refmer.systems.of_cmaer_cat.describe`,
# `refmer.systems.of_cmaer_cat.forward`, `refmer.systems.of_cmaer_cat.encode`, `refmer.systems.of_cmaer_cat.masks`,
# `refmer.layers.cmaer.context`, `refmer.ops.losses.weight_entropy`
#
# **After this page** you can write attention between more than two modalities, weights that leave out what is missing, and a
# contrastive loss over modalities, and check a sign in a paper with a derivative before any training.
#
# **Time.** 90 minutes to read, 20 seconds to run.
#
# **You need** tutorials 2, 4, 5, 6, 7, 9, 10 and 13: pictures of data flow (13), the proof, gates, losses, attention, the
# encoder, convolution. The paper gives no sizes, no factors and no code: every number here is refmer's.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer import params
from refmer.check import assert_gradient, assert_pair
from refmer.diagrams import draw
from refmer.layers.cmaer import context
from refmer.layers.dense import layer_norm, mlp
from refmer.ops.losses import info_nce, weight_entropy
from refmer.systems import of_cmaer_cat

rng = np.random.default_rng(0)

draw("of_cmaer_cat")

# %% [markdown]
# ## The system
#
# There are $M = 3$ modalities: face (images), voice (log-mel) and body (skin conductance and heart rate). Each goes through a
# small convolutional encoder (tutorial 10). The result is $F_i$ (B, $T_i$, C), with a number of steps $T_i$ of its own. Its
# mean over time is $f_i$ (B, C) (eq. 1-2).
#
# Three parts follow:
#
# 1. *Cross-modal attention* (eq. 3-7): each modality attends to the others. $F_i$ becomes $F_i^a$.
# 2. *Adaptive weights* (eq. 8-10): each clip has one weight $\tilde w_i$ per modality.
# 3. *Context* (eq. 20-22): all steps $\tilde w_i F_i^a$ of all modalities form one sequence for a Transformer, with positions
#    and a learned vector per modality. The means of its three parts are concatenated, normed, and mapped to classes by an MLP.
#
# We begin with the weights, because the attention needs the same masked softmax.
#
# ## Adaptive weights
#
# An MLP makes a score of each modality's mean and variance over time: $s_i = \text{MLP}([f_i; \text{var}_t F_i])$.
#
# The paper takes the softmax $w$ of the scores, multiplies it by the availability $m_i \in \{0, 1\}$, and divides by the sum
# (eq. 8-10). The sum $Z$ of the softmax cancels:
#
# $$\tilde w_i = \frac{m_i w_i}{\sum_j m_j w_j} = \frac{m_i e^{s_i} / Z}{\sum_j m_j e^{s_j} / Z}
#   = \frac{m_i e^{s_i}}{\sum_j m_j e^{s_j}}, \qquad Z = \sum_j e^{s_j} .$$
#
# So the three steps are one masked softmax: a softmax over the available modalities.
#
# *Three scores* $(\ln 3, 0, 5)$, the third modality missing: the exponentials 3 and 1 remain, and the weights are
# $(\frac34, \frac14, 0)$.
#
# Two things have to be done in floating point:
#
# * $e^{1000}$ overflows. A constant that is subtracted from all scores of a row cancels, too; we subtract the largest score of
#   the places that are not masked. A masked place gets the score $-\infty$, whose exponential is 0.
# * A row in which all places are masked is $0 / 0$. There we subtract 0 and divide by 1, and the row is 0.


# %%
def our_masked_softmax(s, mask):
    """Return a, the softmax along the last axis over the places where the mask is True; a
    row without one is 0.

    s (..., N), mask of bool, broadcast to s -> a (..., N)
    """
    s = np.where(mask, s, -np.inf)
    top = s.real.max(-1, keepdims=True)
    e = np.exp(s - np.where(top > -np.inf, top, 0))
    total = e.sum(-1, keepdims=True)
    a = e / np.where(total == 0, 1, total)
    return a


scores, present = np.array([[np.log(3), 0, 5]]), np.array([[True, True, False]])
np.testing.assert_allclose(our_masked_softmax(scores, present), [[0.75, 0.25, 0]])

# %% [markdown]
# The backward of a softmax $a$ is that of tutorial 7, along the last axis:
#
# $$ds_n = a_n \Bigl( da_n - \sum_m a_m\, da_m \Bigr) .$$
#
# A masked place has $a_n = 0$, so its $ds_n$ is 0 and it adds nothing to the sum: the backward needs no mask.
#
# *The weights above*, with $da = (1, 0, 0)$: the sum is $\frac34$, so $ds = (\frac34 \cdot \frac14, -\frac14 \cdot \frac34, 0)
# = (\frac{3}{16}, -\frac{3}{16}, 0)$.


# %%
def our_masked_softmax_backward(dy, a):
    """Return the gradient of s.

    dy (..., N), a (..., N) -> ds (..., N)
    """
    ds = a * (dy - (a * dy).sum(-1, keepdims=True))
    return ds


ds = our_masked_softmax_backward(np.array([1.0, 0, 0]), np.array([0.75, 0.25, 0]))
np.testing.assert_allclose(ds, [3 / 16, -3 / 16, 0])

# %% [markdown]
# The paper masks the weights alone. refmer masks the attention and its compatibilities (below), too. Otherwise a missing
# modality would still have an effect, through the attention of the others to it.
#
# ## Cross-modal attention
#
# Modality $i$ attends to modality $j$ (eq. 3-5). One set of maps serves all pairs:
#
# $$A_{ij} = \text{softmax}\bigl(F_i W_Q (F_j W_K)^\top / \sqrt C\bigr)\, F_j W_V \qquad (B, T_i, C) .$$
#
# This is tutorial 7's attention, with queries from $F_i$ and keys and values from $F_j$. For maps of shape (C, D), so that a
# key has $D$ numbers (the paper has $D = C$):
#
# $$q = F_i W_Q, \qquad k = F_j W_K, \qquad v = F_j W_V, \qquad s = \tfrac{1}{\sqrt D}\, q k^\top, \qquad
#   a = \text{softmax}(s), \qquad y = av .$$
#
# In the code $F_i$ is `x`, with $T$ steps, and $F_j$ is `z`, with $S$ steps. The softmax runs over the steps of $F_j$; steps
# that are padding are masked. If a clip has no step of modality $j$, all places are masked and its $y$ is 0.
#
# The backward of one clip, in order:
#
# $$da = dy\, v^\top, \qquad ds_{tr} = a_{tr} \Bigl( da_{tr} - \sum_m a_{tm}\, da_{tm} \Bigr), \qquad dv = a^\top dy,$$
#
# $$dq = \tfrac{1}{\sqrt D}\, ds\, k, \qquad dk = \tfrac{1}{\sqrt D}\, ds^\top q .$$
#
# $F_i$ is used once, for the queries. $F_j$ is used twice, for keys and for values:
#
# $$dF_i = dq\, W_Q^\top, \qquad dF_j = dk\, W_K^\top + dv\, W_V^\top .$$
#
# The maps serve all clips, so their gradients are sums over $b$:
#
# $$dW_Q = \sum_b F_i^\top dq, \qquad dW_K = \sum_b F_j^\top dk, \qquad dW_V = \sum_b F_j^\top dv .$$
#
# *One step attends to two*: $F_i = 1$ and $F_j = (2, 4)$ with $C = D = 1$, $W_Q = 0$, $W_K = W_V = 1$. Both scores are 0, both
# weights $\frac12$, and $y = 3$.
#
# For $dy = 1$: $da = v = (2, 4)$, with a weighted sum of 3, so $ds = \frac12 (2 - 3, 4 - 3) = (-\frac12, \frac12)$. Then
# $dq = -\frac12 \cdot 2 + \frac12 \cdot 4 = 1$ and $dv = (\frac12, \frac12)$. $dk = 0$, as $q = 0$.


# %%
def our_cross_attention(x, z, Wq, Wk, Wv, valid):
    """Return q, k, v, the weights a and the output y: each step of x looks at the valid
    steps of z.

    x (B, T, C), z (B, S, C), Wq, Wk, Wv (C, D), valid (B, S) of bool
    -> q (B, T, D), k, v (B, S, D), a (B, T, S), y (B, T, D)
    """
    q, k, v = x @ Wq, z @ Wk, z @ Wv
    a = our_masked_softmax(q.shape[-1] ** -0.5 * q @ k.swapaxes(1, 2), valid[:, None])
    y = a @ v
    return q, k, v, a, y


def our_cross_attention_backward(dy, x, z, Wq, Wk, Wv, q, k, v, a):
    """Return the gradients of the weights a, of the scores s = q k^T / sqrt(D), of v, q, k,
    x, z, Wq, Wk and Wv.

    dy (B, T, D), the others as in our_cross_attention
    -> da, ds (B, T, S), dv (B, S, D), dq (B, T, D), dk (B, S, D), dx (B, T, C),
    dz (B, S, C), dWq, dWk, dWv (C, D)
    """
    c = q.shape[-1] ** -0.5
    da = dy @ v.swapaxes(1, 2)  # y = a v
    ds = our_masked_softmax_backward(da, a)
    dv = a.swapaxes(1, 2) @ dy
    dq, dk = c * ds @ k, c * ds.swapaxes(1, 2) @ q
    dx = dq @ Wq.T
    dz = dk @ Wk.T + dv @ Wv.T
    dWq, dWk, dWv = (np.einsum("btc,btd->cd", m, d) for m, d in ((x, dq), (z, dk), (z, dv)))
    return da, ds, dv, dq, dk, dx, dz, dWq, dWk, dWv


one, x, z = np.ones((1, 1)), np.ones((1, 1, 1)), np.array([[[2.0], [4.0]]])
*saved, y = our_cross_attention(x, z, 0 * one, one, one, np.array([[True, True]]))
da, ds, dv, dq, dk, *_ = our_cross_attention_backward(np.ones((1, 1, 1)), x, z, 0 * one, one, one, *saved)
numbers = np.concatenate([array.ravel() for array in (y, da, ds, dv, dq, dk)])
np.testing.assert_array_equal(numbers, [3, 2, 4, -0.5, 0.5, 0.5, 0.5, 1, 0, 0])

# %% [markdown]
# ### Both directions with the same maps
#
# The same maps serve the attention of the face to the voice and that of the voice to the face. Let $x$ and $z$ be two
# modalities. Each array is used in both directions, and its gradient is the sum of both:
#
# * $dx$: as the origin of queries, where $x$ attends to $z$; as the origin of keys and values, where $z$ attends to $x$.
# * $dz$: the same with the roles exchanged.
# * $dW_Q$, $dW_K$, $dW_V$: one term from each direction.


# %%
def our_exchange_backward(dy_x, dy_z, x, z, Wq, Wk, Wv, valid_x, valid_z):
    """Return the gradients of x, z and the maps, for two attentions with the same maps: x
    looks at z, and z looks at x.

    dy_x (B, T, D), dy_z (B, S, D), x (B, T, C), z (B, S, C), maps (C, D), valid_x (B, T),
    valid_z (B, S) of bool
    -> dx (B, T, C), dz (B, S, C), dWq, dWk, dWv (C, D)
    """
    *saved, _ = our_cross_attention(x, z, Wq, Wk, Wv, valid_z)
    *_, dx, dz, dWq, dWk, dWv = our_cross_attention_backward(dy_x, x, z, Wq, Wk, Wv, *saved)
    *saved, _ = our_cross_attention(z, x, Wq, Wk, Wv, valid_x)
    *_, dz_2, dx_2, dWq_2, dWk_2, dWv_2 = our_cross_attention_backward(dy_z, z, x, Wq, Wk, Wv, *saved)
    dx, dz = dx + dx_2, dz + dz_2
    dWq, dWk, dWv = dWq + dWq_2, dWk + dWk_2, dWv + dWv_2
    return dx, dz, dWq, dWk, dWv


def exchange(x, z, Wq, Wk, Wv, valid_x, valid_z):
    *_, y_x = our_cross_attention(x, z, Wq, Wk, Wv, valid_z)
    *_, y_z = our_cross_attention(z, x, Wq, Wk, Wv, valid_x)

    def backward(dy):
        dy_x, dy_z = dy
        return our_exchange_backward(dy_x, dy_z, x, z, Wq, Wk, Wv, valid_x, valid_z)

    return (y_x, y_z), backward


x, z, maps = rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 6, 5)), rng.normal(size=(3, 5, 2))
valid_x = np.arange(4) < [[4], [2], [1]]
valid_z = np.arange(6) < [[6], [3], [0]]  # the third clip has no z
assert assert_gradient(exchange, None, x, z, *maps, valid_x, valid_z, rng=rng) < 1e-12

# %% [markdown]
# ### Compatibility
#
# With more than two modalities, modality $i$ has several partners $j$. Their shares follow from the means (eq. 6):
#
# $$u_i = f_i W_\phi, \qquad s_{ij} = u_i \cdot f_j, \qquad \alpha_{ij} = \text{softmax}_{j \ne i}(s_{ij}) .$$
#
# Missing modalities are masked on both sides: as partners $j$, and as rows $i$. A row without a partner is 0.
#
# *Three modalities with means of one number*, $f = (1, 0, \ln 3)$ and $W_\phi = 1$. Row 1 has the scores 0 and $\ln 3$ for its
# partners 2 and 3: the shares are $\frac14$ and $\frac34$. Row 2 has two scores of 0: $\frac12$ and $\frac12$. Row 3 has
# $\ln 3$ and 0: $\frac34$ and $\frac14$.
#
# In the backward $f$ is used on both sides of the product, as the origin of $u_i$ and as the partner $f_j$:
#
# $$du_i = \sum_j ds_{ij} f_j, \qquad df_i = du_i W_\phi^\top + \sum_j ds_{ji} u_j, \qquad
#   dW_\phi = \sum_b \sum_i f_i^\top du_i .$$


# %%
def our_compatibility(f, W, there):
    """Return u = f W and alpha, the softmax of u_i . f_j over the other available
    modalities j; missing ones have rows of 0.

    f (B, M, C), W (C, C), there (B, M) of bool -> u (B, M, C), alpha (B, M, M)
    """
    u = f @ W
    others = there[:, :, None] & there[:, None, :] & ~np.eye(f.shape[1], dtype=bool)
    alpha = our_masked_softmax(u @ f.swapaxes(1, 2), others)
    return u, alpha


def our_compatibility_backward(dy, f, W, u, alpha):
    """Return the gradients of the scores s, of u, f and W.

    dy (B, M, M), the others as in our_compatibility
    -> ds (B, M, M), du (B, M, C), df (B, M, C), dW (C, C)
    """
    ds = our_masked_softmax_backward(dy, alpha)
    du = ds @ f
    df = du @ W.T + ds.swapaxes(1, 2) @ u
    dW = np.einsum("bmc,bmd->cd", f, du)
    return ds, du, df, dW


def compatible(f, W, present):
    u, alpha = our_compatibility(f, W, present)

    def backward(dy):
        _, _, df, dW = our_compatibility_backward(dy, f, W, u, alpha)
        return df, dW

    return alpha, backward


f = np.array([[[1.0], [0], [np.log(3)]]])
_, alpha = our_compatibility(f, one, np.ones((1, 3), bool))
np.testing.assert_allclose(alpha[0], [[0, 0.25, 0.75], [0.5, 0, 0.5], [0.75, 0.25, 0]])

f, W = rng.normal(size=(4, 3, 5)), rng.normal(size=(5, 5))
present = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 0], [1, 1, 0]], bool)
assert assert_gradient(compatible, None, f, W, present, rng=rng) < 1e-12

# %% [markdown]
# ### Gate and residual
#
# The attentions of modality $i$ are added with these shares, and a map $W_O$ follows. A gate, with one number per feature,
# scales the result before it is added to $F_i$ (eq. 7):
#
# $$\tilde F_i = \sum_{j \ne i} \alpha_{ij} A_{ij} W_O, \qquad
#   F_i^a = \text{LN}\bigl(F_i + \sigma(\text{MLP}([F_i; \tilde F_i])) \odot \tilde F_i\bigr) .$$
#
# ## The whole system
#
# The forward of the system, from our functions and refmer's layers, against `of_cmaer_cat.forward`. First the attention of each
# modality to the others, with gate and residual. `F` and `valid` are dictionaries by modality.


# %%
def time_mean(x, valid):
    return (x * valid[..., None]).sum(1) / np.maximum(valid.sum(1), 1)[:, None]


def align(p, F, valid, present):
    f = np.stack([time_mean(F[m], valid[m]) for m in F], 1)  # (B, M, C)
    _, alpha = our_compatibility(f, p.compatibility.W, present)  # (B, M, M)
    aligned = {}
    for i, query in enumerate(F):
        mixed = 0
        for j, key in enumerate(F):
            if i != j:
                *_, y = our_cross_attention(F[query], F[key], p.query.W, p.key.W, p.value.W, valid[key])
                mixed = mixed + alpha[:, i, j, None, None] * y
        mixed = mixed @ p.out.W
        scores, _ = mlp(p.gate, np.concatenate([F[query], mixed], -1))
        gate = 1 / (1 + np.exp(-scores))
        aligned[query], _ = layer_norm(p.norm, F[query] + gate * mixed)
    return aligned


# %% [markdown]
# Then the weights, and the system.


# %%
def weigh(p, F, valid, present):
    scores = []
    for m in F:
        f = time_mean(F[m], valid[m])
        variance = time_mean((F[m] - f[:, None]) ** 2, valid[m])
        score, _ = mlp(p.score, np.concatenate([f, variance], -1))
        scores.append(score[:, 0])
    return our_masked_softmax(np.stack(scores, 1), present)  # (B, M)


def whole_system(p, batch, config):
    frames, valid, present = of_cmaer_cat.masks(batch, config)
    F, _ = of_cmaer_cat.encode(p.encoders, batch, frames, config)
    aligned = align(p.cmaa, F, valid, present)
    w = weigh(p.awom, F, valid, present)
    z, _ = context(p.context, aligned, w, valid, config.heads)  # (B, M, C)
    n, _ = layer_norm(p.norm, z.reshape(len(z), -1))
    logits, _ = mlp(p.head, n)
    return logits, w


# %% [markdown]
# A small system and a batch of three clips. refmer's backward is proved on it first. The bias of the keys and the last bias of
# the score move all scores of a softmax alike, so their gradients are zero.

# %%
config = of_cmaer_cat.Config.tiny(visual=(8, 6), audio=5, physiology=3, width=8, hidden=7, head=9, ffn=10)
p = params.init(of_cmaer_cat.describe(config), seed=0, dtype=np.float64)
shapes = {"visual": (3, 4, 8, 6), "audio": (3, 12, 5), "physiology": (3, 6, 3)}
batch = {}
for name, shape in shapes.items():
    batch[name] = rng.normal(size=shape)
    batch[f"{name}_mask"] = np.ones(shape[:2], bool)


def forward(p, batch):
    return of_cmaer_cat.forward(p, batch, config)


zero = ("*.key.b", "awom.score.maps.1.b")
worst = assert_gradient(forward, p, batch, rng=rng, zero=zero, directions=True)
print(f"worst error of refmer's gradient: {worst:.0e}")

# %% [markdown]
# For the comparison the voice of the first clip ends early, the second clip has no voice, and the body of the third clip ends
# early.

# %%
batch["audio_mask"][0, 7:] = False
batch["audio_mask"][1] = False
batch["physiology_mask"][2, 4:] = False
out, _ = forward(p, batch)
logits, w = whole_system(p, batch, config)
print("weights of face, voice, body, a row per clip:")
print(w.round(2))

# Lesson 1: these lines are the system, and a missing voice (second clip) has no weight.
np.testing.assert_allclose(logits, out["logits"], rtol=1e-9)
assert w[1, 1] == 0 and np.allclose(w.sum(1), 1)

# %% [markdown]
# ## Contrastive loss
#
# Face and voice of the same clip should be more similar than the face of one clip and the voice of another. Let $s_{nm}$ be the
# cosine of the face's mean in clip $n$ and the voice's mean in clip $m$, and $\tau = 0.1$.
#
# InfoNCE (tutorial 6) is the cross-entropy of a choice among the $B$ voices, in which clip $n$'s own is the right one:
#
# $$L = -\frac1B \sum_n \log q_{nn}, \qquad q_{nm} = \frac{e^{s_{nm} / \tau}}{\sum_k e^{s_{nk} / \tau}}, \qquad
#   \frac{\partial L}{\partial s_{nm}} = \frac{1}{B \tau} (q_{nm} - \delta_{nm}) .$$
#
# The loss is the mean of $L$ over all ordered pairs of modalities $i \ne j$.
#
# *Two clips*, with cosines $s = \tau \ln 3$ on the diagonal and 0 elsewhere. Each row of $q$ has $\frac34$ on the diagonal and
# $\frac14$ beside it, so $L = -\ln \frac34 = 0.288$. With $1 / B\tau = 5$ the slope is $-\frac54$ on the diagonal and
# $\frac54$ beside it.

# %%
tau = 0.1


def contrastive(s):  # one direction
    q = our_masked_softmax(s / tau, True)
    L = -np.log(np.diag(q)).mean()
    slope = (q - np.eye(len(s))) / (len(s) * tau)
    return L, slope


L, slope = contrastive(tau * np.log(3) * np.eye(2))
np.testing.assert_allclose(L, 0.288, atol=5e-4)
np.testing.assert_allclose(slope, [[-1.25, 1.25], [1.25, -1.25]])

# %% [markdown]
# The same for six clips, against refmer's `info_nce`. Then the proof of refmer's two losses of this page.

# %%
f = rng.normal(size=(6, 2, 5))
unit = f / np.sqrt((f * f).sum(-1, keepdims=True))
s = unit[:, 0] @ unit[:, 1].T  # (B, B): face of n, voice of m
face_to_voice, slope = contrastive(s)
voice_to_face, _ = contrastive(s.T)
np.testing.assert_allclose((face_to_voice + voice_to_face) / 2, info_nce(f)[0], rtol=1e-12)

print(f"worst error of info_nce {assert_pair(info_nce, f, rng=rng):.0e}, ", end="")
print(f"of weight_entropy {assert_pair(weight_entropy, w[2:], rng=rng):.0e}")

# %% [markdown]
# The slope of the matching pair is negative, those of the other pairs are positive, and each row sums to 0. So the loss only
# compares: descent raises the cosine of the matching pair and lowers those of the others by the same total.
#
# In the paper's eq. 16 as printed, all terms of the denominator belong to clip $n$. No other clip enters the comparison.

# %%
# Lesson 2: the loss compares clips: the slopes of the matching pair and of the others cancel in every row.
assert np.abs(slope.sum(1)).max() < 1e-12 and (np.diag(slope) < 0).all()

# %% [markdown]
# ## The entropy term
#
# "To prevent any single modality from dominating", the loss has a term $+\lambda_4 R$ with $R = -\sum_i w_i \log w_i$ (eq.
# 18-19). $R$ is the entropy of the weights. It is *largest* for equal weights, and training makes a loss *small*.
#
# The derivatives show whether $+R$ does what the paper intends. For one clip, with the derivative of the softmax,
# $\partial w_i / \partial s_k = w_i (\delta_{ik} - w_k)$:
#
# $$\frac{\partial R}{\partial w_i} = -(\log w_i + 1), \qquad
#   \frac{\partial R}{\partial s_k} = -\sum_i (\log w_i + 1)\, w_i (\delta_{ik} - w_k) = -w_k (\log w_k + R) .$$
#
# The last step uses $\sum_i w_i = 1$ and $\sum_i w_i \log w_i = -R$.
#
# *Two weights*, $w = (\frac34, \frac14)$, have $R = \frac34 \ln \frac43 + \frac14 \ln 4 = 0.562$. The derivatives by the
# weights are $-(\ln \frac34 + 1) = -0.712$ and $-(\ln \frac14 + 1) = 0.386$. Those by the scores are
# $-\frac34 (\ln \frac34 + 0.562) = -0.206$ and $0.206$.
#
# A step downhill on $+R$ goes against the derivative: it *raises* the score of the large weight and lowers that of the small
# one. In general a weight that is large, $\log w_k > -R$, has a negative derivative and grows.
#
# So the printed sign does the opposite of the paper's aim. refmer minimises $-R$; `literal_entropy=True` keeps the printed
# sign.
#
# For a batch, $R$ is the mean over clips, $R = -\frac1B \sum_b \sum_i w_{bi} \log w_{bi}$, so both derivatives are divided by
# $B$. A weight of 0 (a missing modality) adds 0 to $R$; its derivatives are set to 0.


# %%
def our_entropy(s, there):
    """Return the weights w, a softmax over the available modalities, and R, the entropy of
    a clip's weights in the mean.

    A weight of 0 adds 0.

    s (B, M), there (B, M) of bool -> w (B, M), R, a number
    """
    w = our_masked_softmax(s, there)
    R = -(w * np.log(np.where(w == 0, 1, w))).sum() / len(s)
    return w, R


def our_entropy_backward(w):
    """Return the gradients of w and s. Where w is 0, both are 0.

    w (B, M) -> dw (B, M), ds (B, M)
    """
    dw = np.where(w == 0, 0, -(np.log(np.where(w == 0, 1, w)) + 1) / len(w))
    ds = our_masked_softmax_backward(dw, w)
    return dw, ds


w, R = our_entropy(np.log([[3.0, 1.0]]), np.array([[True, True]]))
dw, ds = our_entropy_backward(w)
np.testing.assert_allclose([R, *dw[0], *ds[0]], [0.562, -0.712, 0.386, -0.206, 0.206], atol=5e-4)

w, R = our_entropy(rng.normal(size=present.shape), present)
np.testing.assert_allclose(R, -weight_entropy(w)[0], atol=1e-6)  # refmer's has log(w + 1e-8)

# %% [markdown]
# The term alone: gradient descent on three scores, from weights of 0.5, 0.3 and 0.2, with either sign.


# %%
def slope_of_entropy(s):
    w, _ = our_entropy(s[None], True)
    _, ds = our_entropy_backward(w)
    return ds[0]


paths = {}
for name, sign in (("printed, + R", 1), ("intended, - R", -1)):
    s, path = np.log([0.5, 0.3, 0.2]), []
    for _ in range(150):
        path.append(our_masked_softmax(s, True))
        s = s - 0.3 * sign * slope_of_entropy(s)
    paths[name] = np.array(path)

fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for path, style in zip(paths.values(), ("C3-", "C0:"), strict=True):
    ax.plot(path, style)
ax.legend(ax.lines[::3], paths)
ax.set(xlabel="step of descent", ylabel="weight", ylim=(0, 1))
ax.set(title="Descent on the entropy term alone, three weights")
plt.show()

# Lesson 3: the derivative decides the sign: on +R one modality takes all the weight, on -R the weights become equal.
assert paths["printed, + R"][-1].max() > 0.9 and paths["intended, - R"][-1].max() < 0.35

# %% [markdown]
# ## Training with either sign
#
# The whole loss is $L_{class} + 0.1\, L_{contrastive} + 0.1\, L_{rec} + \lambda_4 (\mp R)$. The paper never defines $L_{rec}$.
# Here it is the squared error of rebuilding all $f_i$ from $\sum_i \tilde w_i f_i^a$, where $f_i^a$ is the mean of $F_i^a$ over
# time.
#
# refmer's $\lambda_4$ is 0.01. We take 0.3, so that an effect shows, and train three systems: with the intended sign, without
# the term, and with the printed sign.

# %%
train, test = refmer.load_samples().split(by="speaker", test_size=0.25, seed=0)
configs = {
    "intended": {"entropy": 0.3},
    "none": {"entropy": 0.0},
    "printed": {"entropy": 0.3, "literal_entropy": True},
}
models, weights, entropy = {}, {}, {}
for name, options in configs.items():
    models[name] = refmer.Recognizer("of_cmaer_cat", config=options, epochs=12).fit(train)
    weights[name] = models[name].explain(test)["weights"]  # (72, 3)
    entropy[name] = -(weights[name] * np.log(weights[name] + 1e-12)).sum(1).mean()

# %% [markdown]
# Then we break the face of the test clips, and look at the weights of the system with the intended sign: noise of two standard
# deviations, and no face.

# %%
noisy = refmer.corrupt(test, "face", "gaussian", 2.0, scale_from=train)
missing = refmer.corrupt(test, "face", "missing", 1.0)
shares = {}
for name, clips in (("clean", test), ("noisy", noisy), ("missing", missing)):
    shares[name] = models["intended"].explain(clips)["weights"].mean(0)

for name, model in models.items():
    print(f"{name:8} entropy {entropy[name]:.2f} of at most {np.log(3):.2f}; ", end="")
    print(f"accuracy {model.score(test):.2f}, without the face {model.score(missing):.2f}")


def bars(ax, values, title, xlabel):
    """Draw the weights of face, voice and body, a group of bars for each of three names."""
    for i, modality in enumerate(("face", "voice", "body")):
        ax.bar(np.arange(3) + 0.27 * (i - 1), [w[i] for w in values.values()], 0.25, label=modality)
    ax.set(xticks=range(3), xticklabels=values, ylim=(0, 1))
    ax.set(title=title, xlabel=xlabel, ylabel="mean weight")
    ax.legend(fontsize=8)


fig, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
for name, model in models.items():
    left.plot([entry["dev_loss"] for entry in model.history_], label=name)
left.set(xlabel="epoch", ylabel="development loss, term included", title="Training")
left.legend(fontsize=8)
bars(middle, {name: w.mean(0) for name, w in weights.items()}, "Clean clips", "sign of the entropy term")
bars(right, shares, "Intended sign", "face of the test clips")
fig.suptitle("Seed 0; losses of 36 development clips, mean weights of 72 test clips")
plt.show()

# %% [markdown]
# The losses contain different terms, so the heights of the three curves cannot be compared.
#
# The weights can. With the printed sign one modality dominates: the entropy is less than three quarters of that with the
# intended sign, and lower than without the term.
#
# A missing face has a weight of exactly 0. That is the work of the mask: no training is needed for it.

# %%
# Lesson 4: in a trained system, too, the printed sign makes one modality dominate, against the term's purpose.
assert entropy["printed"] < entropy["none"] - 0.1 and entropy["printed"] < 0.75 * entropy["intended"]
# Lesson 5: a missing face has no weight, by the mask and not by learning.
assert shares["missing"][0] == 0

# %% [markdown]
# *Noise.* The experiment does not show that noise on the face lowers its weight. Here it does; with seed 1 the weight of the
# face grows. The score is made of the mean and variance of features, and no term of the loss depends on their reliability.
#
# *Accuracy.* Nor are these good classifiers: see the printed values; chance is 0.17.
#
# *The paper's accuracy* of 93.2 % on IEMOCAP cannot be compared with anything: the classes are not named, IEMOCAP lacks one of
# the modalities, and there is no code. One number can be checked by hand: question 3.
#
# ## On your own
#
# Write it yourself: exercise file `14_of_cmaer_cat.py` (`refmer exercises --out DIR`, then
# `refmer grade DIR/14_of_cmaer_cat.py`).
#
# 1. With weights (0.8, 0.1, 0.1), what are $\partial R / \partial w_i$ and $\partial R / \partial s_i$?
# 2. With two modalities and eq. 16 as printed, the denominator holds one term (q is the other modality). What is the loss?
# 3. The paper has precision 94.8, recall 93.2 and F1 93.6. Is that possible?

# %% tags=["hide-cell"]
# Solution 1: dR/dw = -(log w + 1) = (-0.78, 1.30, 1.30). Downhill the large weight grows and the small ones shrink;
# the derivatives by the scores have the same signs.
assert np.allclose(-(np.log([0.8, 0.1]) + 1), [-0.78, 1.30], atol=0.005)
ds = slope_of_entropy(np.log([0.8, 0.1, 0.1]))
assert ds[0] < 0 < ds[1]

# Solution 2: -log(e^a / e^a) = 0 for all features: there is nothing to learn. The denominator needs other clips.
e = np.exp(np.diag(unit[:, 0] @ unit[:, 1].T) / tau)
assert (-np.log(e / e) == 0).all()

# Solution 3: not for one class or one average: the harmonic mean is 94.0. (A mean of F1 over classes may differ from it.)
assert round(2 * 94.8 * 93.2 / (94.8 + 93.2), 1) == 94.0
