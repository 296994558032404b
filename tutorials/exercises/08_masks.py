# %% [markdown]
# # Exercise 8. Masks
#
# Write a softmax with a mask and its backward, a mean over valid steps and its backward, and two masks for queries and keys of
# two sequences. Replace every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 08_masks.py
#
# The equations are derived in tutorial 8, "Masks". Sizes: $B$ clips, $T$ queries or steps, $S$ keys, $C$ numbers of a step. A
# mask is `True` where a query may attend to a key. Steps are counted from 0.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# With $m_{ts} = 1$ where the mask is `True` and 0 elsewhere, and with $n_b$ valid steps in clip $b$,
#
# $$a_{ts} = \frac{m_{ts}\, e^{z_{ts}}}{\sum_r m_{tr}\, e^{z_{tr}}}, \qquad\qquad
#   y_{bc} = \frac{1}{n_b} \sum_t \text{valid}_{bt}\, x_{btc} .$$
#
# The causal mask lets the last query attend to all keys, and each earlier one to one key less. The rule of AuxFormer's code is
# $s \le t + |N_q - N_k|$, where $N_q$ and $N_k$ count the steps of a clip up to its last valid one.


# %%
def our_masked_weights(z, mask):
    """Return the weights a: in each row the softmax of the scores z over the keys where the
    mask is True. A row of the mask without any True gives 0.

    z (B, T, S), mask (B, T, S), True where a query may attend -> a (B, T, S)
    """
    ...


def our_valid_mean(x, valid):
    """Return n, the number of valid steps, and y, the mean over them. Without a valid step y
    is 0. What the padding holds, even nan, does not matter.

    x (B, T, C), valid (B, T), True for valid steps -> n (B,), y (B, C)
    """
    ...


def our_causal(T, S):
    """Return the causal mask whose last query attends to all keys, and each earlier one to
    one key less.

    T, S: numbers of queries and keys -> mask (T, S), True where a query may attend
    """
    ...


def our_offset_mask(queries, keys):
    """Return the lengths n_q and n_k of each clip, up to its last valid step (0 if it has
    none), and the mask: query t attends to key s if s <= t + |n_q - n_k|. Steps are counted
    from 0. Padded keys are not hidden.

    queries (B, T), keys (B, S), True for valid steps
    -> n_q (B,), n_k (B,), mask (B, T, S)
    """
    ...


# %% [markdown]
# ## By hand
#
# Scores $(\ln 3, 0, \ln 4)$; the third key is masked. The exponentials are 3 and 1, and the weights $3/4$, $1/4$ and 0.
# With the upstream gradient $da = (8, 4, 100)$ the inner sum is $6 + 1 + 0 = 7$, and $dz = (3/4, -3/4, 0)$.
#
#     >>> a = our_masked_weights(np.log([[[3.0, 1.0, 4.0]]]), np.array([[[True, True, False]]]))
#     >>> a.round(6).tolist()
#     [[[0.75, 0.25, 0.0]]]
#     >>> our_masked_weights_backward(np.array([[[8.0, 4.0, 100.0]]]), a).round(6).tolist()
#     [[[0.75, -0.75, 0.0]]]
#
# The mean of the steps 2 and 4; a third step, 9, is padding. Each valid step has the share $1/2$.
#
#     >>> valid = np.array([[True, True, False]])
#     >>> n, y = our_valid_mean(np.array([[[2.0], [4.0], [9.0]]]), valid)
#     >>> n.tolist(), y.tolist(), our_valid_mean_backward(np.array([[1.0]]), valid).ravel().tolist()
#     ([2], [[3.0]], [0.5, 0.5, 0.0])
#
# Two queries and three keys, and the rule of AuxFormer with three queries and two keys: query 0 attends to $s \le 0 + 1$.
#
#     >>> our_causal(2, 3).astype(int).tolist()
#     [[1, 1, 0], [1, 1, 1]]
#     >>> n_q, n_k, mask = our_offset_mask(np.array([[True, True, True]]), np.array([[True, True, False]]))
#     >>> n_q.tolist(), n_k.tolist(), mask.astype(int).tolist()
#     ([3], [2], [[[1, 1, 0], [1, 1, 1], [1, 1, 1]]])
#
# ## Backward
#
# The backward of the weights has no mask among its arguments. What does $a$ say about the mask? In the mean, look for the share
# that each step has.


# %%
def our_masked_weights_backward(dy, a):
    """Return the gradient of the scores z for the upstream gradient dy, that of a.

    dy (B, T, S), a as in our_masked_weights -> dz (B, T, S)
    """
    ...


def our_valid_mean_backward(dy, valid):
    """Return the gradient of x.

    dy (B, C), valid (B, T) -> dx (B, T, C)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * A row of the mask without any `True` has weights of 0, not nan, and not $1/S$.
# * Scores may be 1,000 or -1,000: no exponential may overflow. The largest score of a row may be masked.
# * A clip without a valid step has a mean of 0 and a length of 0, and no gradient.
# * Padding may hold nan. It must not reach the mean.
# * With more queries than keys, the first queries of the causal mask attend to no key.
# * The valid steps of a clip may have holes. A length counts up to the last valid step.
