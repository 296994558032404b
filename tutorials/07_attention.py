# %% [markdown]
# # 7. Attention
#
# Introduces: `refmer.layers.attention.describe_attention`, `refmer.layers.attention.attention`
#
# **After this page** you can compute attention by hand, derive its backward pass one equation at a time, say which changes of
# the keys leave the output unchanged, and train one query to weigh the words of a sentence.
#
# **Time.** 60 minutes to read, 15 seconds to run.
#
# **You need** tutorials 1, 2 and 3: the gradients of a product and refmer's layers, `assert_gradient`, and the bundled corpus,
# split by speaker.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer import params
from refmer.check import assert_gradient
from refmer.layers.attention import attention, describe_attention
from refmer.layers.dense import describe_linear, linear

rng = np.random.default_rng(0)

# %% [markdown]
# ## Queries, keys and values
#
# Attention is a weighted mean whose weights depend on the data.
#
# A sequence of $S$ steps is given by *values* $v_s$, one vector for each step. To each value belongs a *key* $k_s$. A *query*
# $q_t$ is compared with all keys. The better a key matches the query, the larger is the weight of its value. There are $T$
# queries, and each has its own weights.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $q_{td}$ | $(T, D)$ | query $t$ |
# | $k_{sd}$ | $(S, D)$ | key $s$ |
# | $v_{sd}$ | $(S, D)$ | value $s$ |
# | $z_{ts}$ | $(T, S)$ | score: how well key $s$ matches query $t$ |
# | $a_{ts}$ | $(T, S)$ | weight of value $s$ for query $t$ |
# | $y_{td}$ | $(T, D)$ | output for query $t$ |
#
# All formulas hold for each clip by itself. In the code, arrays have a first axis of $B$ clips.
#
# ## Forward and backward
#
# *Scores.* The score is the dot product of query and key, times a constant $c$:
#
# $$z_{ts} = c \sum_d q_{td} k_{sd}, \qquad c = \frac{1}{\sqrt D} .$$
#
# *Weights.* A softmax turns each row of scores into weights. They are positive, and each row sums to 1:
#
# $$a_{ts} = \frac{e^{z_{ts}}}{\sum_r e^{z_{tr}}} .$$
#
# *Output.* The output is the weighted mean of the values:
#
# $$y_{td} = \sum_s a_{ts} v_{sd} .$$
#
# *Example.* One query $q = 1$ and two keys, $k = (\ln 3, 0)$, all of one number. So $D = 1$ and $c = 1$, and the scores are
# $\ln 3$ and 0. Their exponentials are 3 and 1, and the weights $3/4$ and $1/4$. The values are $v = (8, 4)$. The output is
# $\frac34 \cdot 8 + \frac14 \cdot 4 = 7$.

# %%
e = np.exp([np.log(3), 0])
weights = e / e.sum()
np.testing.assert_allclose([*weights, weights @ [8, 4]], [3 / 4, 1 / 4, 7])

# %% [markdown]
# *Why $1 / \sqrt D$.* Let $q_{td}$ and $k_{sd}$ be independent, with mean 0 and variance 1. Each product has variance 1, and
# the variances of $D$ independent products add up to $D$. Multiplied by $1 / \sqrt D$, the score has variance 1 for any width.
#
# Without the factor, scores of wide keys are large. Then one weight is near 1 and the others near 0. You will see below that no
# gradient passes a softmax in this state.
#
# *Example.* Let $D = 4$, and let every product be $1$ or $-1$ with equal probability. The 16 possible sums have variance 4.

# %%
sums = (2 * np.indices((2, 2, 2, 2)) - 1).sum(0)  # one sum for each choice of four signs
assert sums.var() == 4 and (sums / np.sqrt(4)).var() == 1

# %% [markdown]
# *Backward of the output.* $y = av$ is a product, as in tutorial 1. With the upstream gradient $dy_{td}$,
#
# $$da_{ts} = \sum_d dy_{td} v_{sd}, \qquad\qquad dv_{sd} = \sum_t a_{ts}\, dy_{td} .$$
#
# *Backward of the softmax.* A score $z_{tr}$ stands in the numerator of $a_{tr}$, and in the denominator of all weights of row
# $t$. The quotient rule gives both parts, with $\delta_{sr} = 1$ if $s = r$ and 0 otherwise:
#
# $$\frac{\partial a_{ts}}{\partial z_{tr}} = a_{ts} (\delta_{sr} - a_{tr}) .$$
#
# The chain rule sums over all weights of the row:
#
# $$dz_{tr} = \sum_s da_{ts}\, a_{ts} (\delta_{sr} - a_{tr}) = a_{tr} \Bigl( da_{tr} - \sum_s a_{ts}\, da_{ts} \Bigr) .$$
#
# The inner sum is the weighted mean of $da$ in row $t$. Only the difference between $da_{tr}$ and this mean counts.
#
# *Two consequences.* $dz$ sums to 0 along a row, because the weights sum to 1. And if one weight is 1 and the others are 0,
# then $dz = 0$ in the whole row: the query gets no gradient.
#
# *Backward of the scores.* They are products again:
#
# $$dq_{td} = c \sum_s dz_{ts} k_{sd}, \qquad\qquad dk_{sd} = c \sum_t dz_{ts} q_{td} .$$
#
# *Example, continued.* Let $dy = 1$. Then $da = (8, 4)$, and its weighted mean is $\frac34 \cdot 8 + \frac14 \cdot 4 = 7$. So
# $dz = (\frac34 (8 - 7), \frac14 (4 - 7)) = (\frac34, -\frac34)$, which sums to 0.

# %%
da = np.array([8.0, 4.0])
np.testing.assert_allclose(weights * (da - weights @ da), [3 / 4, -3 / 4])

# %% [markdown]
# ## A mask
#
# Sequences of a batch differ in length, and the shorter ones are padded. No query may attend to padding. A *mask* says which
# keys a query may attend to: `mask[t, s]` is `True` where query $t$ may attend to key $s$. Tutorial 8 is about the masks that
# are in use. Here you need only what a mask does.
#
# *Masked scores.* Where the mask is `False`, the score is set to $z_{ts} = -\infty$. Then $e^{z_{ts}} = 0$ and $a_{ts} = 0$.
# The value $v_s$ does not enter the output. Backward, $a_{tr} = 0$ makes $dz_{tr} = 0$: the key gets no gradient either.
#
# *Example, continued.* If the second key is masked, the weights are $1$ and $0$, and the output is 8.
#
# *An empty row.* If a query may attend to no key, all its exponentials are 0, and the weights are $0 / 0$. refmer defines them
# as 0. The output of this query is 0, and its gradient, too.
#
# *Large scores.* $e^{1000}$ overflows. But a softmax does not change when one number is subtracted from all scores of a row:
# numerator and denominator are divided by the same factor. The code subtracts `top`, the largest score of the row. No exponent
# is above 0 then.
#
# Two details of the code. The maximum is taken of the real part, because the complex step of tutorial 2 calls the function
# with complex numbers, which have no order. And in an empty row `top` is $-\infty$; there 0 is subtracted, since
# $-\infty - (-\infty)$ is not a number.


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


# %% [markdown]
# The same example with the functions, and with a score of 1000 instead of $\ln 3$:

# %%
q, k, v = np.array([[[1.0]]]), np.array([[[np.log(3)], [0.0]]]), np.array([[[8.0], [4.0]]])
assert abs(our_attention(q, k, v)[1].item() - 7) < 1e-12
assert our_attention(q, k, v, np.array([[[True, False]]]))[1].item() == 8

a, y = our_attention(q, k + [[1000.0], [0.0]], v)
stages = our_attention_backward(np.ones((1, 1, 1)), q, k, v, a)

# Lesson 1: with one weight of 1, da is (8, 4), but dz is 0: no gradient passes.
assert a.ravel().tolist() == [1, 0] and stages[0].ravel().tolist() == [8, 4] and not stages[1].any()

# %% [markdown]
# ## Proof and properties
#
# `attend` returns the output and the backward as a function, as refmer's layers do. `assert_gradient` compares every element of
# $dq$, $dk$ and $dv$ with the complex step.
#
# The batch has two clips. The first has three valid keys of five, the second has none.


# %%
def attend(q, k, v, mask=True):
    """Return y and the backward, as refmer's layers do."""
    a, y = our_attention(q, k, v, mask)

    def backward(dy):
        _, _, dv, dq, dk = our_attention_backward(dy, q, k, v, a)
        return dq, dk, dv

    return y, backward


B, T, S, C = 2, 3, 5, 6
q, k, v = rng.normal(size=(B, T, C)), rng.normal(size=(B, S, C)), rng.normal(size=(B, S, C))
valid = np.array([[True, True, True, False, False], [False, False, False, False, False]])  # (B, S)
mask = valid[:, None]  # (B, 1, S), the same for all queries of a clip
assert assert_gradient(attend, None, q, k, v, mask, rng=rng) < 1e-13

y, backward = attend(q, k, v, mask)
dq, dk, dv = backward(rng.normal(size=y.shape))

# Lesson 2: an empty row gives the output 0, not nan, and the gradient 0.
assert not y[1].any() and not dq[1].any() and not dv[1].any()
# Lesson 3: masked keys get no gradient; the others do.
assert not dk[0, 3:].any() and dk[0, :3].all()

# %% [markdown]
# *A constant added to all keys.* Add the same vector $u$ to every key. The score of query $t$ becomes
# $c\, q_t \cdot (k_s + u) = z_{ts} + c\, q_t \cdot u$. The second term is the same for all keys of the row, so the softmax does
# not change. A softmax depends only on the differences between scores.
#
# *The order of the keys.* The output is a sum over $s$, and a sum has no order. If keys and values are shuffled in the same
# way, the output does not change. Where the order of steps matters, it has to be added to the keys (tutorial 9, positions).

# %%
y = attend(q, k, v)[0]
u, shuffle = rng.normal(size=C), [3, 0, 4, 1, 2]

# Lesson 4: a vector added to all keys changes nothing.
np.testing.assert_allclose(attend(q, k + u, v)[0], y, rtol=1e-9)
# Lesson 5: the order of keys, shuffled together with their values, changes nothing.
np.testing.assert_allclose(attend(q, k[:, shuffle], v[:, shuffle])[0], y, rtol=1e-9)

# %% [markdown]
# ## Self-attention
#
# In *self-attention*, queries, keys and values are three linear maps of one sequence $x$ of $C$ numbers per step:
#
# $$q = xW^q, \qquad k = xW^k, \qquad v = xW^v, \qquad W^q, W^k, W^v \text{ of shape } (C, D) .$$
#
# (Biases are left out here.) $x$ is used three times. By tutorial 1 its gradient is a sum of three terms, one for each use:
#
# $$dx = dq\, {W^q}^\top + dk\, {W^k}^\top + dv\, {W^v}^\top .$$
#
# Each matrix serves all clips and all steps. Its gradient is a sum over both:
#
# $$dW^q_{ce} = \sum_{b,t} x_{btc}\, dq_{bte}, \quad \text{and likewise } dW^k, dW^v .$$
#
# *Example.* Let $C = D = 1$, $x = 2$ in one step, and $W^q = W^k = W^v = 1$. With one key the weight is 1, so $y = v = 2$. The
# weight does not depend on $q$ and $k$: $dq = dk = 0$, and $dx = dv = dy$.


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


one = np.ones((1, 1))
q1, k1, v1, a1, y1 = our_self_attention(2 * np.ones((1, 1, 1)), one, one, one, True)
gradients = our_self_attention_backward(np.ones((1, 1, 1)), 2 * np.ones((1, 1, 1)), one, one, one, q1, k1, v1, a1)
assert y1.item() == 2 and [d.item() for d in gradients[:4]] == [1, 0, 0, 1]  # dv, dq, dk, dx

x, Wq, Wk, Wv = rng.normal(size=(B, T, C)), rng.normal(size=(C, 4)), rng.normal(size=(C, 4)), rng.normal(size=(C, 4))
some_keys = np.array([[True, False, False], [True, True, False], [True, True, True]])  # (T, T)

# Lesson 6: three uses of x, three terms of dx; the complex step agrees.
assert assert_gradient(attend_itself, None, x, Wq, Wk, Wv, some_keys, rng=rng) < 1e-13

# %% [markdown]
# ## refmer's attention layer
#
# `refmer.layers.attention.attention(p, x, memory, heads, mask)` is attention with learned linear maps around it. Queries come
# from `x`; keys and values come from `memory`. In self-attention both are the same sequence. On this page the number of heads
# is 1; tutorial 9 explains more.
#
# | parameters | shape | use |
# |---|---|---|
# | `p.query.W`, `p.query.b` | $(C, C)$, $(C)$ | $q = xW^q + b^q$ |
# | `p.key.W`, `p.key.b` | $(C, C)$, $(C)$ | $k = mW^k + b^k$, with the memory $m$ |
# | `p.value.W`, `p.value.b` | $(C, C)$, $(C)$ | $v = mW^v + b^v$ |
# | `p.out.W`, `p.out.b` | $(C, C)$, $(C)$ | output $\mathrm{Attention}(q, k, v)\, W^o + b^o$ |
#
# The mask broadcasts to $(B, H, T, S)$: clips, heads, queries, keys. An axis of size 1 holds for all. A mask of valid keys has
# the shape $(B, 1, 1, S)$.
#
# A query that may attend to no key gets the output 0 here, too, and not $b^o$.

# %%
p = params.init(describe_attention(C), seed=0, dtype=np.float64)
p.vector += 0.1 * rng.normal(size=p.vector.shape)  # biases other than 0
memory = rng.normal(size=(B, S, C))
q = x @ p.query.W + p.query.b
k = memory @ p.key.W + p.key.b
v = memory @ p.value.W + p.value.b
np.testing.assert_allclose(attention(p, x, memory, 1)[0], attend(q, k, v)[0] @ p.out.W + p.out.b, rtol=1e-10)

y = attention(p, x, memory, 1, valid[:, None, None])[0]
assert y[0].all() and not y[1].any()  # the second clip has no valid key

# %% [markdown]
# *A gradient that is 0.* $b^k$ is a vector added to all keys. By lesson 4 it changes nothing, so its gradient is exactly 0 for
# any data. `assert_gradient` measures errors relative to the gradient, and so it refuses a gradient that vanishes: usually that
# is a mistake. The argument `zero=("key.b",)` names the parameters whose gradient must vanish, and then just this is checked.


# %%
def masked(p, x, memory):
    return attention(p, x, memory, 1, valid[:, None, None])


# Lesson 7: the gradient of the keys' bias is 0, and all others agree with the complex step.
assert_gradient(masked, p, x, memory, rng=rng, zero=("key.b",))

# %% [markdown]
# ## A learned query
#
# Tutorial 1 takes the mean of all words of a clip. Attention with one query replaces this mean by a weighted one. The weights
# are learned.
#
# The query does not depend on the clip. It is the linear map of a constant: $q = \mathbf{1} W^q + b^q$, with a vector
# $\mathbf{1}$ of ones. Keys and values are linear maps of the words. A second linear map turns the output into the sentiment.
#
# | part | shape | |
# |---|---|---|
# | words | $(B, S, 16)$ | memory: one vector for each word |
# | ones | $(B, 1, 16)$ | input of the query map |
# | output of attention | $(B, 1, 16)$ | weighted mean, mapped |
# | sentiment | $(B)$ | output of `p.out` |
#
# The loss is the mean squared error, minimised by gradient descent in 400 steps of size 0.1. `trace` collects the weights.


# %%
def predict(p, clips, trace=None):
    words, ones = clips.streams["words"], np.ones((len(clips), 1, 16), "f4")
    c, back_attend = attention(p.attend, ones, words.x, 1, words.mask[:, None, None], trace=trace)
    y, back_out = linear(p.out, c[:, 0])

    def backward(dy, g):
        dc = back_out(dy[:, None], g.out)
        back_attend(dc[:, None], g.attend)

    return y[:, 0], backward


train, test = refmer.load_samples().split(by="speaker", test_size=0.25, seed=0)
target = train.sentiment.astype("f4")
p = params.init({"attend": describe_attention(16), "out": describe_linear(16, 1)}, seed=0)
for _ in range(400):
    y, backward = predict(p, train)
    g = params.zeros_like(p)
    backward(2 * (y - target) / len(train), g)
    p.vector -= 0.1 * g.vector

trace = {}
y, _ = predict(p, test, trace)
a = trace["attention"][:, 0, 0]  # (B, S): head 0, query 0
error = ((y - test.sentiment) ** 2).mean() / test.sentiment.var()
print(f"mean squared error on {len(test)} clips of new speakers: {error:.2f} of the variance of the sentiment")

# %% [markdown]
# Which words get the weight? The small language of the corpus has thirteen adjectives that judge. For each sentence of a new
# speaker, compare their share of the words with their share of the weight.

# %%
judging = "awful terrible bad dull sad odd plain fine nice good lovely great wonderful".split()
sentences = [sentence.split() for sentence in test.truth["sentence"]]
share, weight = [], []
for i, sentence in enumerate(sentences):
    judges = np.array([word in judging for word in sentence])
    share.append(judges.mean())
    weight.append(a[i, : len(sentence)] @ judges)
share, weight = np.mean(share), np.mean(weight)

longest = np.argsort([-len(sentence) for sentence in sentences], kind="stable")
fig, ax = plt.subplots(figsize=(9, 2.6), layout="constrained")
for row, i in enumerate(longest[:20:4]):
    for s, word in enumerate(sentences[i]):
        ax.text(s, row, word, ha="center", va="center", bbox={"fc": plt.cm.Oranges(0.9 * a[i, s]), "ec": "none"})
adjectives = f"adjectives: {share:.0%} of words, {weight:.0%} of weight"
ax.set(xlim=(-0.5, 10.5), ylim=(4.5, -0.5), title=f"Weight of words (darker: more); {adjectives}; n = {len(test)}, seed 0")
ax.axis("off")
plt.show()

# %% [markdown]
# Adjectives are 24% of the words and get 41% of the weight, though no label names them: the only target is the sentiment of the
# whole clip. The error on new speakers is 0.41 of the variance.
#
# Other words get weight, too. The weights sum to 1. In "hardly good" the adjective counts less only if another word gets
# weight.

# %%
# Lesson 8: the query weighs adjectives more than other words, and the weighted mean predicts the sentiment of new speakers.
assert weight > 1.3 * share and error < 0.7

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `07_attention.py` (`refmer exercises --out DIR`, then `refmer grade DIR/07_attention.py`).
# With tutorial 2 you can then write a whole layer: `21_transformer_layer.py`.
#
# 1. One query attends to two keys with scores $u$ and 0. What is $a_{11}$ as a function of $u$?
# 2. Draw standard normal $q$ and $k$ with $D = 256$, and 20 keys. How large is the largest weight, with and without
#    $1 / \sqrt D$?
# 3. Replace $c$ by $1 / \tau$ with a learned temperature $\tau$. Derive $d\tau$ from $dz$.

# %% tags=["hide-cell"]
# Solution 1: e^u / (e^u + 1) = 1 / (1 + e^-u), the sigmoid. A gate (tutorial 4) is a softmax over two scores, s and 0.
u = 0.7
weights = our_attention(np.ones((1, 1, 1)), np.array([[[u], [0.0]]]), np.ones((1, 2, 1)))[0]
assert abs(weights[0, 0, 0] - 1 / (1 + np.exp(-u))) < 1e-12

# Solution 2: about 0.2 with the factor and above 0.9 without: one key takes nearly all, and a (delta - a) is nearly 0.
q, k = rng.normal(size=(200, 256)), rng.normal(size=(20, 256))
scaled, unscaled = (our_attention(factor * q, k, np.eye(20))[0].max(-1).mean() for factor in (1, 16))  # 16 = sqrt(256)
assert scaled < 0.4 < 0.8 < unscaled

# Solution 3: z = s / tau with s = q.k, so dz/dtau = -s / tau^2 = -z / tau, and dtau = -sum over t and s of dz z / tau.
q, k, v, dy, tau = q[:3, :4], k[:5, :4], rng.normal(size=(5, 4)), rng.normal(size=(3, 4)), 1.7
rate = 4**0.5 / tau  # our_attention multiplies by 1 / sqrt(4)
a, _ = our_attention(rate * q, k, v)
dz = our_attention_backward(dy, rate * q, k, v, a)[1]
dtau = -(dz * (q @ k.T / tau)).sum() / tau
moved = our_attention(4**0.5 / (tau + 1e-30j) * q, k, v)[1]
assert abs((dy * moved).sum().imag / 1e-30 - dtau) < 1e-12 * abs(dtau)
