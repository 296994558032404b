# %% [markdown]
# # 8. Masks
#
# Introduces: `refmer.ops.attention.key_mask`, `refmer.ops.attention.causal`, `refmer.ops.attention.causal_between`
#
# **After this page** you can write a softmax with a mask and its backward pass, say what a row without any key gives, mask
# padding and later steps, and compute which keys a query attends to under AuxFormer's rule.
#
# **Time.** 45 minutes to read, 5 seconds to run.
#
# **You need** tutorials 1, 2 and 7: gradients of sums, `assert_gradient`, and attention with its scores, weights and output.

# %%
import matplotlib.pyplot as plt
import numpy as np

from refmer import params
from refmer.check import assert_gradient
from refmer.layers.attention import attention, describe_attention
from refmer.ops.attention import causal, causal_between, key_mask

rng = np.random.default_rng(0)

# %% [markdown]
# ## What a mask is
#
# A mask is an array of truth values. `mask[t, s]` is `True` where query $t$ may attend to key $s$, and `False` elsewhere.
#
# There are $T$ queries $q_t$ and $S$ keys $k_s$. For a batch with several heads (tutorial 9) a mask has four axes. An axis of
# size 1 holds for all, by NumPy's rules of broadcasting.
#
# | axis | size | a size of 1 means |
# |---|---|---|
# | clips | $B$ | the same mask for all clips |
# | heads | $H$ | the same mask for all heads |
# | queries | $T$ | the same keys for all queries |
# | keys | $S$ | |
#
# Two masks are combined by `&`: a key must be allowed by both.
#
# *Example.* One mask allows keys 0 and 1 for both queries. The other one allows key 0 for query 0, and keys 0 to 2 for query 1.
# Together they allow key 0, and keys 0 and 1.

# %%
first, second = np.array([[True, True, False]]), np.array([[True, False, False], [True, True, True]])  # (1, 3) and (2, 3)
assert (first & second).tolist() == [[True, False, False], [True, True, False]]

# %% [markdown]
# ## Softmax with a mask
#
# Write $m_{ts} = 1$ where the mask is `True`, and $m_{ts} = 0$ elsewhere. The masked softmax of the scores $z_{ts}$ is a
# softmax over the allowed keys only:
#
# $$a_{ts} = \frac{m_{ts}\, e^{z_{ts}}}{\sum_r m_{tr}\, e^{z_{tr}}} .$$
#
# *Example.* Scores $(\ln 3, 0, \ln 4)$; the third key is masked. The exponentials are 3, 1 and, masked, 0. The weights are
# $3/4$, $1/4$ and 0.
#
# In code, the scores of masked keys are set to $-\infty$, because $e^{-\infty} = 0$. The largest allowed score of the row,
# `top`, is subtracted first, so that no exponential overflows (tutorial 7).
#
# The mask belongs *before* the softmax. If weights are set to 0 after it, the masked scores remain in the denominator, and the
# row does not sum to 1. In the example it would be $(3/8, 1/8, 0)$.


# %%
def our_masked_weights(z, mask):
    """Return the weights a: in each row the softmax of the scores z over the keys where the
    mask is True. A row of the mask without any True gives 0.

    z (B, T, S), mask (B, T, S), True where a query may attend -> a (B, T, S)
    """
    seen = np.where(mask, z, -np.inf)
    top = seen.real.max(-1, keepdims=True)
    e = np.exp(seen - np.where(top > -np.inf, top, 0))
    total = e.sum(-1, keepdims=True)
    a = e / np.where(total == 0, 1, total)
    return a


# %%
z, mask = np.log([[[3.0, 1.0, 4.0]]]), np.array([[[True, True, False]]])
before = our_masked_weights(z, mask)
after = np.where(mask, our_masked_weights(z, True), 0)

# Lesson 1: a mask before the softmax leaves rows that sum to 1; a mask after it does not.
np.testing.assert_allclose(before, [[[3 / 4, 1 / 4, 0]]])
np.testing.assert_allclose(after, [[[3 / 8, 1 / 8, 0]]])

# %% [markdown]
# *Backward.* For allowed keys this is the softmax of tutorial 7. For masked keys $a_{ts} = 0$, whatever $z_{ts}$ is. One
# formula holds for both, because of the factor in front:
#
# $$dz_{tr} = a_{tr} \Bigl( da_{tr} - \sum_s a_{ts}\, da_{ts} \Bigr) .$$
#
# A masked key gets $dz_{tr} = 0$, and it adds nothing to the sum. So the backward needs no mask: the zeros of $a$ are enough.
#
# *Example, continued.* With $da = (8, 4, 100)$ the sum is $\frac34 \cdot 8 + \frac14 \cdot 4 + 0 \cdot 100 = 7$, and
# $dz = (\frac34, -\frac34, 0)$. The 100 of the masked key does not count.
#
# In the function the upstream gradient $da$ is called `dy`, as in all exercises.


# %%
def our_masked_weights_backward(dy, a):
    """Return the gradient of the scores z for the upstream gradient dy, that of a.

    dy (B, T, S), a as in our_masked_weights -> dz (B, T, S)
    """
    dz = a * (dy - (a * dy).sum(-1, keepdims=True))
    return dz


def masked_weights(z, mask):
    a = our_masked_weights(z, mask)
    return a, lambda dy: our_masked_weights_backward(dy, a)


np.testing.assert_allclose(our_masked_weights_backward(np.array([[[8.0, 4.0, 100.0]]]), before), [[[3 / 4, -3 / 4, 0]]])
z, mask = rng.normal(size=(2, 3, 5)), rng.random((2, 3, 5)) < 0.6
mask[..., 0] = True  # at least one key

# Lesson 2: the backward without a mask agrees with the complex step of the masked softmax.
assert assert_gradient(masked_weights, None, z, mask, rng=rng) < 1e-13

# %% [markdown]
# ## The empty row
#
# If all keys of a query are masked, all exponentials of its row are 0, and the weights are $0 / 0$. refmer defines them as 0.
# Then the output $y_t = \sum_s a_{ts} v_s$ is 0, and by the factor $a_{tr}$ so is the gradient.
#
# Other libraries use a large negative number, such as $-10^9$, in place of $-\infty$. For rows with at least one key the result
# is the same. In an empty row all scores are then equal, all weights are $1 / S$, and the output is the mean of the values that
# were to be hidden.
#
# *Example.* Scores $(\ln 3, 0)$, both masked. With $-\infty$ the weights are $(0, 0)$; with $-10^9$ they are
# $(\frac12, \frac12)$.
#
# In the pictures of this page a row is a query, a column is a key, and a filled cell is an allowed key. The two pictures of
# weights are darker where the weight is larger.


# %%
def draw(ax, mask, title):
    ax.pcolormesh(mask, cmap="Blues", vmin=0, vmax=1.4, edgecolors="0.8")
    ax.set(title=title, xlabel="key", ylabel="query", aspect="equal", xlim=(0, mask.shape[1]), ylim=(mask.shape[0], 0))
    ax.set(xticks=np.arange(mask.shape[1]) + 0.5, yticks=np.arange(mask.shape[0]) + 0.5)
    ax.set(xticklabels=range(mask.shape[1]), yticklabels=range(mask.shape[0]))


mask = np.array([[True, False, True, True], [False, False, False, False], [True, True, False, False]])
z = rng.normal(size=(1, 3, 4))
defined = our_masked_weights(z, mask)
finite = our_masked_weights(np.where(mask, z, -1e9), True)

fig, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
draw(axes[0], mask, "Mask: query 1 has no key")
draw(axes[1], defined[0], "Weights with $-\\infty$")
draw(axes[2], finite[0], "Weights with $-10^9$")
plt.show()

# Lesson 3: an empty row has weights of 0, and its gradient is 0; with -10^9 it has the weights 1 / S.
assert not defined[0, 1].any() and not our_masked_weights_backward(np.ones((1, 3, 4)), defined)[0, 1].any()
np.testing.assert_allclose(finite[0, 1], 1 / 4)
np.testing.assert_allclose(finite[0, ::2], defined[0, ::2])

# %% [markdown]
# ## Key masks
#
# The clips of a batch differ in length. Shorter ones are padded at the end. `valid` $(B, S)$ is `True` for steps of the clip
# and `False` for padding. A *key mask* lets every query attend to the valid keys only:
#
# $$\text{mask}_{bts} = \text{valid}_{bs} .$$
#
# `key_mask(valid)` returns it in the shape $(B, 1, 1, S)$.
#
# Two consequences. The values in the padding do not matter. And padded keys and values get no gradient.

# %%
valid = np.arange(6) < np.array([[4], [6]])  # (B, S): the first clip has four steps, the second one six
assert key_mask(valid).shape == (2, 1, 1, 6)

fig, axes = plt.subplots(1, 2, figsize=(6, 3), layout="constrained")
draw(axes[0], np.broadcast_to(key_mask(valid)[0, 0], (6, 6)), "Key mask of 4 of 6 steps")
draw(axes[1], np.broadcast_to(key_mask(valid)[1, 0], (6, 6)), "Key mask of 6 of 6 steps")
plt.show()

# %% [markdown]
# Check both consequences with refmer's attention layer with one head. `x` holds the queries and `memory` the keys and values.
# The noise replaces the padding of `memory` by 9.

# %%
p = params.init(describe_attention(6), seed=0, dtype=np.float64)
x, memory = rng.normal(size=(2, 6, 6)), rng.normal(size=(2, 6, 6))
noise = np.where(valid[..., None], memory, 9.0)
y, backward = attention(p, x, memory, 1, key_mask(valid))
_, dmemory = backward(rng.normal(size=y.shape), params.zeros_like(p))

# Lesson 4: padding changes no output, and gets no gradient.
np.testing.assert_allclose(attention(p, x, noise, 1, key_mask(valid))[0], y, rtol=1e-12)
assert not dmemory[0, 4:].any() and dmemory[0, :4].all()

# %% [markdown]
# ## Padded queries
#
# A key mask hides padding as a key. Padded steps are still queries, and so they have an output. In self-attention, `y[0, 4]`
# and `y[0, 5]` of the first clip above are numbers without a meaning.
#
# They must not be used afterwards. For example, a mean over time must be taken over the valid steps only. With $n_b$ valid
# steps in clip $b$,
#
# $$n_b = \sum_t \text{valid}_{bt}, \qquad y_{bc} = \frac{1}{n_b} \sum_t \text{valid}_{bt}\, x_{btc} .$$
#
# A clip without a valid step gets $y_{bc} = 0$, again in place of $0 / 0$.
#
# *Backward.* Each valid step has the share $1 / n_b$ in the mean; padding has none:
#
# $$dx_{btc} = \frac{\text{valid}_{bt}}{n_b}\, dy_{bc} .$$
#
# *Example.* Steps $(2, 4, 9)$, of which the last is padding. $n = 2$ and $y = 3$. For $dy = 1$ the gradient is
# $(\frac12, \frac12, 0)$.
#
# The code *selects* the valid steps by `np.where`. A product with 0 is not enough: if the padding holds `nan`, the product is
# `nan`, too.


# %%
def our_valid_mean(x, valid):
    """Return n, the number of valid steps, and y, the mean over them. Without a valid step y
    is 0. What the padding holds, even nan, does not matter.

    x (B, T, C), valid (B, T), True for valid steps -> n (B,), y (B, C)
    """
    n = valid.sum(1)
    total = np.where(valid[:, :, None], x, 0).sum(1)
    y = total / np.maximum(n, 1)[:, None]
    return n, y


def our_valid_mean_backward(dy, valid):
    """Return the gradient of x.

    dy (B, C), valid (B, T) -> dx (B, T, C)
    """
    n = valid.sum(1)
    share = valid / np.maximum(n, 1)[:, None]
    dx = share[:, :, None] * dy[:, None]
    return dx


def valid_mean(x, valid):
    _, y = our_valid_mean(x, valid)
    return y.astype(x.dtype), lambda dy: our_valid_mean_backward(dy, valid).astype(dy.dtype)  # float32 stays float32


steps, two_of_three = np.array([[[2.0], [4.0], [9.0]]]), np.array([[True, True, False]])
assert our_valid_mean(steps, two_of_three)[1].item() == 3
assert our_valid_mean_backward(np.ones((1, 1)), two_of_three).ravel().tolist() == [1 / 2, 1 / 2, 0]

# Lesson 5: with a mean over valid steps, padding has no influence and no gradient; the complex step agrees.
lengths = np.arange(6) < np.array([[4], [0]])  # the second clip has no valid step
assert assert_gradient(valid_mean, None, x, lengths, rng=rng) < 1e-13
unknown = np.where(lengths[..., None], x, np.nan)
np.testing.assert_array_equal(our_valid_mean(unknown, lengths)[1], our_valid_mean(x, lengths)[1])

# %% [markdown]
# ## Causal masks
#
# A *causal* mask hides later steps. In a sequence of $T$ steps, query $t$ attends to the keys $s \le t$: its own step and the
# earlier ones. The mask is a lower triangle. `causal(T, T)` returns it.
#
# A system with causal masks can run while the clip is still being recorded: a new step does not change earlier outputs.
#
# Backward, the same holds in the other direction. $y_t$ gives a gradient to the steps $s \le t$ only.
#
# For padded clips the causal mask is combined with a key mask.

# %%
both = causal(6, 6) & key_mask(valid)  # (2, 1, 6, 6)

fig, axes = plt.subplots(1, 2, figsize=(6, 3), layout="constrained")
draw(axes[0], causal(6, 6), "causal(6, 6)")
draw(axes[1], both[0, 0], "causal & key mask, 4 steps")
plt.show()

# %%
later = x.copy()
later[:, 3:] += 1.0  # change the steps 3, 4 and 5
y, backward = attention(p, x, x, 1, causal(6, 6))
changed, _ = attention(p, later, later, 1, causal(6, 6))
dy = np.zeros(y.shape)
dy[:, 2] = 1.0  # an upstream gradient for step 2 alone
dx, dmemory = backward(dy, params.zeros_like(p))

# Lesson 6: later steps change no earlier output, and an earlier output gives no gradient to later steps.
np.testing.assert_allclose(changed[:, :3], y[:, :3], rtol=1e-12)
assert np.abs(changed[:, 3:] - y[:, 3:]).max() > 0.01
assert not (dx + dmemory)[:, 3:].any() and (dx + dmemory)[:, :3].any()

# %% [markdown]
# ## Causal masks between sequences
#
# Queries and keys may come from two sequences that cover the same time with $T$ and $S$ steps. Then it is a matter of
# definition which keys are "later". `causal(T, S)` aligns the *ends*: the last query $t = T - 1$ attends to all keys, up to $s
# = S - 1$. Each earlier query attends to one key less:
#
# $$s \le t + S - T .$$
#
# *More keys than queries,* $S > T$: query 0 attends to $S - T + 1$ keys.
#
# *More queries than keys,* $T > S$: the bound is negative for the first $T - S$ queries. Their rows are empty, and their
# outputs are 0.
#
# *Example.* With 2 queries and 3 keys, query 0 attends to $s \le 1$ and query 1 to $s \le 2$. With 3 queries and 2 keys, query
# 0 attends to $s \le -1$, which is no key.


# %%
def our_causal(T, S):
    """Return the causal mask whose last query attends to all keys, and each earlier one to
    one key less.

    T, S: numbers of queries and keys -> mask (T, S), True where a query may attend
    """
    mask = np.arange(S) <= np.arange(T)[:, None] + S - T
    return mask


assert our_causal(2, 3).tolist() == [[True, True, False], [True, True, True]]
assert our_causal(3, 2).tolist() == [[False, False], [True, False], [True, True]]

fig, axes = plt.subplots(1, 2, figsize=(6, 3), layout="constrained")
draw(axes[0], our_causal(4, 6), "causal(4, 6)")
draw(axes[1], our_causal(6, 4), "causal(6, 4)")
plt.show()

# %%
for T, S in ((4, 6), (6, 4), (5, 5)):
    np.testing.assert_array_equal(our_causal(T, S), causal(T, S))

# Lesson 7: the last query attends to all keys; with T > S the first T - S queries attend to none.
assert our_causal(4, 6)[-1].all() and our_causal(6, 4)[-1].all()
assert our_causal(6, 4).any(1).tolist() == [False, False, True, True, True, True]

# %% [markdown]
# ## AuxFormer's rule
#
# AuxFormer's code (and that of MulT, from which it comes) has another rule between two sequences of $N_q$ and $N_k$ steps:
#
# $$s \le t + |N_q - N_k| .$$
#
# $N_q$ and $N_k$ are the lengths of each clip. refmer counts the steps up to the last valid one, so that padding changes
# nothing. If a clip has no valid step, the length is 0. `causal_between(x_valid, m_valid)` computes the mask from the valid
# steps of queries and keys. It does not hide padded keys: combine it with a key mask.
#
# *More keys than queries,* $N_k \ge N_q$: the bound is $t + N_k - N_q$, the same as in `causal`.
#
# *More queries than keys,* $N_q > N_k$: the sign differs. Query 0 attends to the keys $s \le N_q - N_k$. No row is empty.
#
# *When nothing is masked.* The last key is $s = N_k - 1$. Query 0 attends to it if $N_k - 1 \le N_q - N_k$, that is, from
# $N_q = 2 N_k - 1$ on. Then every query attends to all keys, and the mask has no effect.
#
# *Example.* With $N_q = 6$ and $N_k = 4$, query 0 attends to $s \le 2$, three keys, and query 1 to all four.


# %%
def our_offset_mask(queries, keys):
    """Return the lengths n_q and n_k of each clip, up to its last valid step (0 if it has
    none), and the mask: query t attends to key s if s <= t + |n_q - n_k|. Steps are counted
    from 0. Padded keys are not hidden.

    queries (B, T), keys (B, S), True for valid steps
    -> n_q (B,), n_k (B,), mask (B, T, S)
    """
    T, S = queries.shape[1], keys.shape[1]
    n_q = (queries * np.arange(1, T + 1)).max(1)
    n_k = (keys * np.arange(1, S + 1)).max(1)
    reach = np.arange(T) + np.abs(n_q - n_k)[:, None]  # (B, T), the last key of each query
    mask = np.arange(S) <= reach[:, :, None]
    return n_q, n_k, mask


six = np.array([[True, True, True, True, True, True]])
four = np.array([[True, True, True, True, False, False]])
n_q, n_k, mask = our_offset_mask(six, four)
assert (n_q.item(), n_k.item()) == (6, 4)
assert (mask & four[:, None]).sum(2).tolist() == [[3, 4, 4, 4, 4, 4]]  # keys of each query

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
draw(axes[0], causal_between(six, four)[0, 0], "causal_between, 6 queries, 4 keys")
draw(axes[1], (causal_between(six, four) & key_mask(four))[0, 0], "the same & key mask")
draw(axes[2], (causal_between(four, six) & key_mask(six))[0, 0], "4 queries, 6 keys & key mask")
plt.show()

# %%
np.testing.assert_array_equal(mask, causal_between(six, four)[:, 0])
more_keys = our_offset_mask(np.ones((1, 4), bool), np.ones((1, 6), bool))[2]
seven_queries = our_offset_mask(np.ones((1, 7), bool), np.ones((1, 4), bool))[2]
six_queries = our_offset_mask(np.ones((1, 6), bool), np.ones((1, 4), bool))[2]

# Lesson 8: with more keys than queries the rule is that of causal.
np.testing.assert_array_equal(more_keys[0], causal(4, 6))
# Lesson 9: no row is empty, and from N_q = 2 N_k - 1 on nothing is masked.
assert six_queries.any(2).all() and not six_queries.all() and seven_queries.all()  # 7 = 2 * 4 - 1

# %% [markdown]
# Longer padding must not change the mask of a clip. In the next cell the same clip is padded to nine queries and eight keys.
# Its valid part stays the same, because $N$ is counted per clip and not read from the shape of the array.

# %%
padded_queries, padded_keys = np.arange(9)[None] < 6, np.arange(8)[None] < 4
longer = our_offset_mask(padded_queries, padded_keys)[2]

# Lesson 10: the mask of a clip does not depend on how far the batch is padded.
np.testing.assert_array_equal(longer[:, :6, :6], mask)
assert abs(longer.shape[1] - longer.shape[2]) == 1  # with the sizes of the arrays the offset would be 1 and not 2

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `08_masks.py` (`refmer exercises --out DIR`, then `refmer grade DIR/08_masks.py`).
#
# 1. How many keys do the queries of `causal(5, 5)` attend to, all together? And those of `causal(T, T)`?
# 2. A *banded* mask allows $|t - s| \le w$. How many keys does a query in the middle have, with and without a causal mask?
# 3. Let $m_{ts}$ be any number from 0 to 1, a soft mask. Derive its gradient $dm_{ts}$ from $da$. What is it where $m_{ts} =
#    0$?

# %% tags=["hide-cell"]
# Solution 1: query t attends to t + 1 keys: 1 + 2 + 3 + 4 + 5 = 15, and T (T + 1) / 2 in general, about half of T^2.
assert causal(5, 5).sum() == 15 and causal(100, 100).sum() == 100 * 101 / 2

# Solution 2: 2 w + 1 keys, w on each side and its own step; w + 1 with a causal mask.
w, t = 2, np.arange(11)
band = np.abs(t[:, None] - t) <= w
assert band[5].sum() == 2 * w + 1 and (band & causal(11, 11))[5].sum() == w + 1

# Solution 3: m e^z is in the numerator and in the sum, as e^z is in a softmax. With p_s = e^(z_s) / sum_r m_r e^(z_r), where
# a_s = m_s p_s, it is dm_s = p_s (da_s - sum_r a_r da_r). Where m_s = 0 it is not 0, while dz_s is: a learned soft mask can
# open a key again, the scores cannot.
z, m, da = rng.normal(size=4), np.array([1.0, 0.5, 0.2, 0.0]), rng.normal(size=4)
share = np.exp(z) / (m * np.exp(z)).sum()
dm = share * (da - (m * share * da).sum())
for s in range(4):
    moved = m + 1e-30j * np.eye(4)[s]
    a = moved * np.exp(z) / (moved * np.exp(z)).sum()
    assert abs((da * a).sum().imag / 1e-30 - dm[s]) < 1e-12
assert dm[3] != 0
