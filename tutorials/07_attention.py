# %% [markdown]
# # 7. Attention
#
# Introduces: `refmer.ops.attention.key_mask`, `refmer.ops.attention.causal`, `refmer.ops.attention.causal_between`,
# `refmer.layers.attention.describe_attention`, `refmer.layers.attention.attention`, `refmer.layers.attention.Rates`,
# `refmer.layers.attention.describe_encoder_layer`, `refmer.layers.attention.cross_layer`,
# `refmer.layers.attention.pre_norm_layer`, `refmer.layers.attention.post_norm_layer`,
# `refmer.layers.attention.describe_encoder`, `refmer.layers.attention.encoder`, `refmer.layers.attention.cross_encoder`,
# `refmer.layers.sequence.positions`, `refmer.layers.dense.dropout`, `refmer.layers.dense.feed_forward`,
# `refmer.layers.dense.layer_norm`, `refmer.layers.sequence.last_valid_step`, `refmer.params.count`
#
# **What you will do.** Derive attention and its backward, let one query find the words that matter, and build the encoders in
# which a voice asks a face: what AuxFormer (tutorial 15) and OpenFace-Adaptive (10) are made of.
#
# **What you will learn.** What softmax does not see; what a row does with nothing left; why attention must be told the time.
#
# **What you need.** Tutorials 1 to 3.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer import params
from refmer.check import assert_gradient
from refmer.layers import attention, dense, sequence
from refmer.layers.dense import describe_linear, dropout, feed_forward, linear
from refmer.ops.attention import causal, causal_between, key_mask

# %% [markdown]
# ## Forward and backward
#
# $T$ queries $q_t$ look at $S$ keys $k_s$, all of $D$ numbers. Each query takes a weighted mean of values $v_s$, and weighs
# those most whose key points its way:
#
# $$z_{ts} = c \sum_d q_{td} k_{sd}, \quad c = \frac{1}{\sqrt D}, \qquad
#   a_{ts} = \frac{e^{z_{ts}}}{\sum_r e^{z_{tr}}}, \qquad y_{td} = \sum_s a_{ts} v_{sd} .$$
#
# Why $\sqrt D$? If $q_{td}$ and $k_{sd}$ are independent with mean 0 and variance 1, $\sum_d q_{td} k_{sd}$ has variance $D$.
# Scores that large leave one $a_{ts}$ near 1 and the others near 0, where, as we are about to see, no gradient passes.
#
# The last product is tutorial 1's: $da_{ts} = \sum_d dy_{td} v_{sd}$ and $dv_{sd} = \sum_t a_{ts}\, dy_{td}$. In the softmax,
# $a_{ts}$ depends on every $z_{tr}$ of its row: through the numerator if $r = s$, and always through the denominator:
#
# $$\frac{\partial a_{ts}}{\partial z_{tr}} = a_{ts} (\delta_{sr} - a_{tr})
#   \qquad\Longrightarrow\qquad dz_{tr} = \sum_s da_{ts}\, a_{ts} (\delta_{sr} - a_{tr})
#   = a_{tr} \Bigl( da_{tr} - \sum_s a_{ts}\, da_{ts} \Bigr) .$$
#
# $dz$ sums to 0 along a row, and if one weight is 1 and the others 0, it is 0 everywhere. The scores are products again:
#
# $$dq_{td} = c \sum_s dz_{ts} k_{sd}, \qquad\qquad dk_{sd} = c \sum_t dz_{ts} q_{td} .$$
#
# All of this holds for each clip by itself: arrays have a first axis of $B$ clips.
#
# ## A mask
#
# `mask[t, s]` is `True` where query $t$ may look at key $s$. Elsewhere $z_{ts} = -\infty$ and $a_{ts} = 0$: nothing of $v_s$
# comes through, and no gradient goes back. If a query may look at nothing, its row is $0 / 0$. We define it as 0: the output of
# that query is 0, and with $a_{ts} = 0$ along the row so is its gradient.
#
# Exponentials of large scores overflow. A softmax does not change when one number is subtracted from a whole row of $z$; with
# the largest of the row (`top`), no exponent is above 0.
#
# Masks combine by `&` and broadcast to $(B, H, T, S)$. `key_mask(valid)`: nobody sees padding. `causal(T, S)`: query $t$ sees
# keys $s \le t + S - T$, the last one all; with $T > S$ the first see nothing. AuxFormer's code has $s \le t + |N_q - N_k|$:
# `causal_between`, on each clip's own lengths $N$ (its last valid steps).


# %%
def our_attention(q, k, v, mask=True):
    """Return the weights a and the output y. A row of the mask without any True gives 0 in
    both.

    q (B, T, D), k (B, S, D), v (B, S, D), mask (B, T, S), True where a query may look
    -> a (B, T, S), y (B, T, D)
    """
    c = q.shape[-1] ** -0.5
    z = np.where(mask, c * q @ k.swapaxes(-1, -2), -np.inf)
    top = z.real.max(-1, keepdims=True)
    e = np.exp(z - np.where(top > -np.inf, top, 0))
    total = e.sum(-1, keepdims=True)
    a = e / np.where(total == 0, 1, total)
    y = a @ v
    return a, y


def our_attention_backward(dy, q, k, v, a):
    """Return the gradients of a, z, v, q and k for the upstream gradient dy; z are the
    scores, scaled by c.

    dy (B, T, D), q, k, v, a as in our_attention
    -> da, dz (B, T, S), dv (B, S, D), dq (B, T, D), dk (B, S, D)
    """
    c = q.shape[-1] ** -0.5
    da = dy @ v.swapaxes(-1, -2)  # y = a v
    dz = a * (da - (a * da).sum(-1, keepdims=True))
    dv = a.swapaxes(-1, -2) @ dy
    dq = c * dz @ k  # z = c q k
    dk = c * dz.swapaxes(-1, -2) @ q
    return da, dz, dv, dq, dk


def attend(q, k, v, mask=True):
    """Return y and the backward, as refmer's layers do."""
    a, y = our_attention(q, k, v, mask)

    def backward(dy):
        _, _, dv, dq, dk = our_attention_backward(dy, q, k, v, a)
        return dq, dk, dv

    return y, backward


rng, T, S, C = np.random.default_rng(0), 3, 5, 6
q, k, v = (rng.normal(size=(2, n, C)) for n in (T, S, S))
valid = np.array([[True, True, True, False, False], [False] * S])  # the second clip has no key at all
mask, shuffle = valid[:, None], np.array([3, 0, 4, 1, 2])  # (B, 1, S)
assert assert_gradient(attend, None, q, k, v, mask, rng=rng) < 1e-13
y, backward = attend(q, k, v, mask)
dq, dk, dv = backward(rng.normal(size=y.shape))

# Lesson 1: a row with nothing left gives 0, not nan, and sends 0 back; the masked keys of the other clip get nothing either.
assert not y[1].any() and not dq[1].any() and not dv[1].any() and not dk[0, 3:].any() and dk[0, :3].all()
# Lesson 2: softmax sees differences only. A vector u added to all keys adds c q.u to a whole row of z: nothing changes.
np.testing.assert_allclose(attend(q, k + rng.normal(size=C), v)[0], attend(q, k, v)[0], rtol=1e-9)
# Lesson 3: keys have no order. Shuffle them, with their values: no answer changes.
np.testing.assert_allclose(attend(q, k[:, shuffle], v[:, shuffle])[0], attend(q, k, v)[0], rtol=1e-9)

# %%
n_q, n_k = np.arange(6)[None] < 6, np.arange(6)[None] < 4  # a clip with six queries; four keys, and two of padding
shown = {"key_mask": key_mask(n_k), "causal": causal(6, 6), "key_mask & causal": key_mask(n_k) & causal(6, 6)}
shown |= {"causal (four keys)": causal(6, 4), "causal_between": causal_between(n_q, n_k)}
fig, axes = plt.subplots(1, 5, figsize=(11, 2.5), layout="constrained")
for i, (name, m) in enumerate(shown.items()):
    m = np.broadcast_to(m.reshape(m.shape[-2:]), (6, m.shape[-1]))
    axes[i].pcolormesh(m, cmap="Blues", vmin=0, vmax=1.4, edgecolors="0.8")
    axes[i].set(title=name, xlabel="key", ylabel="query", aspect="equal", xticks=[], yticks=[], ylim=(6, 0))
plt.show()

# %% [markdown]
# ## One sequence, three times
#
# In *self-attention* queries, keys and values are three linear images of one sequence: $q = xW^q$, $k = xW^k$, $v = xW^v$.
# (Biases are left out here.) $x$ is used three times, so its gradient has three terms, each as in tutorial 1:
#
# $$dx = dq\, {W^q}^\top + dk\, {W^k}^\top + dv\, {W^v}^\top, \qquad\qquad
#   dW^q_{ce} = \sum_{b,t} x_{btc}\, dq_{bte}, \quad \text{and likewise } dW^k, dW^v .$$


# %%
def our_self_attention(x, Wq, Wk, Wv, mask):
    """Return q, k and v, the linear images of x, the weights a, and the output y.

    x (B, T, C), Wq, Wk, Wv (C, D), mask (B, T, T)
    -> q, k, v (B, T, D), a (B, T, T), y (B, T, D)
    """
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    a, y = our_attention(q, k, v, mask)
    return q, k, v, a, y


def our_self_attention_backward(dy, x, Wq, Wk, Wv, q, k, v, a):
    """Return the gradients of v, q, k, x, Wq, Wk and Wv for the upstream gradient dy.

    dy (B, T, D), the others as in our_self_attention
    -> dv, dq, dk (B, T, D), dx (B, T, C), dWq, dWk, dWv (C, D)
    """
    _, _, dv, dq, dk = our_attention_backward(dy, q, k, v, a)
    dx = dq @ Wq.T + dk @ Wk.T + dv @ Wv.T
    dWq = np.einsum("btc,btd->cd", x, dq)
    dWk = np.einsum("btc,btd->cd", x, dk)
    dWv = np.einsum("btc,btd->cd", x, dv)
    return dv, dq, dk, dx, dWq, dWk, dWv


def attend_itself(x, Wq, Wk, Wv, mask):
    q, k, v, a, y = our_self_attention(x, Wq, Wk, Wv, mask)
    return y, lambda dy: our_self_attention_backward(dy, x, Wq, Wk, Wv, q, k, v, a)[3:]


x, maps = rng.normal(size=(2, T, C)), rng.normal(size=(3, C, 4))
# Lesson 4: three uses, three terms; the complex step agrees.
assert assert_gradient(attend_itself, None, x, *maps, causal(T, T), rng=rng) < 1e-13

# %% [markdown]
# ## Heads, and a query that is learned
#
# One query asks one question. So $C$ channels are cut into $H$ heads of $D = C / H$; each attends by itself, and the answers
# lie side by side. Learned maps stand around it: $q = xW^q + b^q$; $k$ and $v$ likewise from a `memory`; $W^o, b^o$ at the end.
# A query that sees nothing gets 0 here, too, not $b^o$. By lesson 2 the gradient of $b^k$ is 0: `zero` names it.
#
# Tutorial 1 took the mean word of a clip. Now one query chooses among them. It is the image of a constant: learned, the same
# for all clips. A linear map makes a sentiment of what it brings back.

# %%
p = params.init(attention.describe_attention(C), seed=0, dtype=np.float64)
x, memory = rng.normal(size=(2, T, C)), rng.normal(size=(2, S, C))
q, k, v = (z @ m.W + m.b for z, m in ((x, p.query), (memory, p.key), (memory, p.value)))
heads = [attend(q[..., d], k[..., d], v[..., d])[0] for d in (slice(0, 3), slice(3, 6))]
np.testing.assert_allclose(attention.attention(p, x, memory, 2)[0], np.concatenate(heads, -1) @ p.out.W + p.out.b, rtol=1e-10)
assert_gradient(lambda p, x, m: attention.attention(p, x, m, 2, key_mask(valid)), p, x, memory, rng=rng, zero=("key.b",))


def ask(p, clips, trace=None):
    words, ones = clips.streams["words"], np.ones((len(clips), 1, 16), "f4")
    c, back_attend = attention.attention(p.attend, ones, words.x, 1, key_mask(words.mask), trace=trace)
    y, back_out = linear(p.out, c[:, 0])
    return y[:, 0], lambda dy, g: back_attend(back_out(dy[:, None], g.out)[:, None], g.attend)


train, test = refmer.load_samples().split(by="speaker", test_size=0.25, seed=0)
p = params.init({"attend": attention.describe_attention(16), "out": describe_linear(16, 1)}, seed=0)
for _ in range(400):
    (y, backward), g = ask(p, train), params.zeros_like(p)
    backward(2 * (y - train.sentiment.astype("f4")) / len(train), g)
    p.vector -= 0.1 * g.vector
error = ((ask(p, test, trace := {})[0] - test.sentiment) ** 2).mean()
a = trace["attention"][:, 0, 0]  # (B, S): one head, one query
judging = "awful terrible bad dull sad odd plain fine nice good lovely great wonderful".split()
says = [sentence.split() for sentence in test.truth["sentence"]]
found = [np.array([word in judging for word in words]) for words in says]
weight, share = np.mean([(a[i, : len(f)] @ f, f.mean()) for i, f in enumerate(found)], 0)
fig, ax = plt.subplots(figsize=(9, 2.6), layout="constrained")
for row, i in enumerate(sorted(range(len(says)), key=lambda i: -len(says[i]))[:20:4]):
    for s, word in enumerate(says[i]):
        ax.text(s, row, word, ha="center", va="center", bbox={"fc": plt.cm.Oranges(0.9 * a[i, s]), "ec": "none"})
ax.set(xlim=(-0.5, 10.5), ylim=(4.5, -0.5), title=f"Adjectives: {share:.0%} of words, {weight:.0%} of weight")
ax.axis("off")
plt.show()

# Lesson 5: the query has found adjectives, though nobody named them, and has learned something that helps with new speakers.
# (Other words get weight, too. Weights sum to 1: to make an adjective count less, "hardly good", it looks at something else.)
assert weight > 1.3 * share and error < 0.7 * test.sentiment.var()

# %% [markdown]
# ## Positions
#
# Lesson 3 is a loss where order matters. So step $t$ is given a vector $P_t$ that no other step has. For $i < C / 2$:
#
# $$P_{ti} = \sin((t + 1) f_i), \qquad P_{t,\,C/2+i} = \cos((t + 1) f_i), \qquad f_i = 10^{-4 i / (C/2 - 1)} .$$
#
# Since $\sin a \sin b + \cos a \cos b = \cos(a - b)$, $\sum_c P_{tc} P_{sc} = \sum_i \cos((t - s) f_i)$ is large where $t$ is
# near $s$: products know distance. `positions(x, valid)` adds $P$ to the valid steps.
#
# ## A layer
#
# Around attention stand four things. A **residual** $y = x + f(x)$: its backward, $dy$ plus what comes back through $f$, has a
# way past $f$. **Layer norm** (tutorial 2). **Dropout** $y_c = x_c m_c / (1 - \rho)$, $m_c$ is 0 with probability $\rho$, or 1:
# the mean of $y_c$ is $x_c$, and $dx_c = dy_c m_c / (1 - \rho)$; without a generator (in evaluation) nothing drops.
# **Feed-forward** on each step alone, $\mathrm{drop}(\max(xW^1 + b^1, 0))\, W^2 + b^2$, mostly $4C$ wide inside.
#
#     post-norm:  h = LN(x + drop(Attention(x, x)))             y = LN'(h + drop(FFN(h)))        OpenFace-Adaptive
#     pre-norm:   h = x + drop(Attention(LN(x), LN(memory)))    y = h + drop(FFN(LN'(h)))        AuxFormer
#
# Pre-norm leaves a road of additions from end to start. `cross_layer` is that line; `pre_norm_layer` has `memory = x`.


# %%
def cross_layer(p, x, memory, heads, mask, rates, rng):
    n, back_n = dense.layer_norm(p.norm1, x)
    m, back_m = dense.layer_norm(p.norm1, memory)  # the same LN
    a, back_a = attention.attention(p.attend, n, m, heads, mask, rates.attention, rng)
    a, back_drop1 = dropout(rng, a, rates.residual)
    h = x + a
    n2, back_n2 = dense.layer_norm(p.norm2, h)
    f, back_f = feed_forward(p.ffn, n2, rates.relu, rng)
    f, back_drop2 = dropout(rng, f, rates.residual)

    def backward(dy, g):
        dh = dy + back_n2(back_f(back_drop2(dy), g.ffn), g.norm2)  # y = h + f
        dn, dm = back_a(back_drop1(dh), g.attend)  # h = x + a
        return dh + back_n(dn, g.norm1), back_m(dm, g.norm1)

    return h + f, backward


rates = attention.Rates(attention=0.1, relu=0.1, residual=0.1, embed=0.25)
p = params.init(attention.describe_encoder_layer(C, 4 * C), seed=0, dtype=np.float64)
ours, theirs = (f(p, x, memory, 2, None, rates, np.random.default_rng(1))[0] for f in (cross_layer, attention.cross_layer))
np.testing.assert_array_equal(ours, theirs)
np.testing.assert_array_equal(attention.pre_norm_layer(p, x, 2)[0], cross_layer(p, x, x, 2, None, rates, None)[0])
assert np.abs(attention.post_norm_layer(p, x, 2)[0].mean(-1)).max() < 1e-9  # it ends with a norm

# %% [markdown]
# ## Encoders, and a voice that asks a face
#
# AuxFormer's `encoder`: $h^0 = \mathrm{drop}(\sqrt C\, x + P)$, $L$ pre-norm layers, a layer norm. In a `cross_encoder`
# $m = \mathrm{drop}(\sqrt C\, \mathrm{memory} + P)$, and *every* layer attends to this $m$: $dm$ is a sum over layers. `places`
# add positions; encoders within one modality add none. For the clip stands its last valid step: it sees most.


# %%
def voice_asks_face(p, x, m, x_valid, m_valid, rng=None):
    sight, within = (causal_between(x_valid, there) & key_mask(there) for there in (m_valid, x_valid))
    places = [lambda z, there=there: sequence.positions(z, there) for there in (x_valid, m_valid)]
    h, back_cross = attention.cross_encoder(p.cross, x, m, 2, sight, rates, rng, places=places)
    s, back_within = attention.encoder(p.within, h, 2, within, rates, rng)
    y, back_token = sequence.last_valid_step(s, x_valid)
    return y, lambda dy, g: back_cross(back_within(back_token(dy), g.within), g.cross)  # dx, dm


x_valid, m_valid = test.streams["prosody"].mask[:3, ::16], test.streams["units"].mask[:3, ::8]  # three frames a second
x, m = (rng.normal(size=(*there.shape, C)) for there in (x_valid, m_valid))  # stand in for features projected to width C
p = params.init({part: attention.describe_encoder(C, 4 * C, 2) for part in ("cross", "within")}, seed=0, dtype=np.float64)
noise = [np.where(there[..., None], z, 9.0) for z, there in ((x, x_valid), (m, m_valid))]
assert_gradient(lambda p, *z: voice_asks_face(p, *z, x_valid, m_valid), p, x, m, rng=rng, zero=("*.key.b",), directions=True)

# Lesson 6: what stands in the padding does not matter; with positions, order does.
ours, theirs = (voice_asks_face(p, *pair, x_valid, m_valid)[0] for pair in ((x, m), noise))
assert not (x_valid.all() or m_valid.all()) and np.abs(ours - theirs).max() < 1e-9
for place, seen in ((None, False), (sequence.positions, True)):
    forth, back = (attention.cross_encoder(p.cross, x, z, 2, places=(None, place))[0] for z in (m, m[:, ::-1]))
    assert (np.abs(forth - back).max() > 1e-2) == seen

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `07_attention.py` (`refmer exercises --out DIR`, then `refmer grade DIR/07_attention.py`).
# With tutorial 2 you can then write a whole layer: `21_transformer_layer.py`.
#
# 1. One query sees two keys with scores $u$ and 0. What is $a_{11}$ as a function of $u$?
# 2. Draw standard normal $q$ and $k$ with $D = 256$, 20 keys. How large is the largest weight, with and without $1 / \sqrt D$?
# 3. How many parameters has a layer of width $C$ with $4C$ inside? (AuxFormer: $C = 130$.)

# %%
# Solution 1: e^u / (e^u + 1) = 1 / (1 + e^-u), the sigmoid. A gate (tutorial 4) is a softmax over "this" and "nothing".
# Solution 2: about 0.2 and above 0.9: one key takes nearly all, and a (delta - a) is nearly 0.
q, k = rng.normal(size=(200, 256)), rng.normal(size=(20, 256))
soft, hard = (our_attention(factor * q, k, np.eye(20))[0].max(-1).mean() for factor in (1, 16))  # the weights a
assert soft < 0.4 < 0.8 < hard
# Solution 3: 4 (C^2 + C) of the maps in attention, 8 C^2 + 5 C of the feed-forward network, 4 C of the norms.
assert params.count(attention.describe_encoder_layer(130, 520)) == 12 * 130**2 + 13 * 130 == 204_490
