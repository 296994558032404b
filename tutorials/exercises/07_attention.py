# %% [markdown]
# # Exercise 7. Attention
#
# Write attention with a mask, its backward by stages, and self-attention, in which one sequence is used three times. Replace
# every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 07_attention.py
#
# The equations are derived in tutorial 7, "Attention". Sizes: $B$ clips, $T$ queries, $S$ keys, $D$ numbers of a key, $C$
# numbers of a step of $x$. `k.swapaxes(-1, -2)` is the transpose of every clip.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# For every clip, with $c = 1 / \sqrt D$,
#
# $$z_{ts} = c \sum_d q_{td} k_{sd}, \qquad a_{ts} = \frac{e^{z_{ts}}}{\sum_r e^{z_{tr}}}, \qquad
#   y_{td} = \sum_s a_{ts} v_{sd} .$$
#
# Where the mask is `False`, $z_{ts} = -\infty$, so $a_{ts} = 0$.


# %%
def our_attention(q, k, v, mask=True):
    """Return the weights a and the output y. A row of the mask without any True gives 0 in
    both.

    q (B, T, D), k (B, S, D), v (B, S, D), mask (B, T, S), True where a query may look
    -> a (B, T, S), y (B, T, D)
    """
    ...


# %% [markdown]
# ## By hand
#
# One query sees two keys of one number, $q = 1$, $k = (\ln 3, 0)$: the scores are $\ln 3$ and 0, their exponentials 3 and 1,
# and the weights $3/4$ and $1/4$. With $v = (8, 4)$ the output is $6 + 1 = 7$. If the second key is masked, it is 8.
#
#     >>> q, k, v = np.array([[[1.0]]]), np.array([[[np.log(3)], [0.0]]]), np.array([[[8.0], [4.0]]])
#     >>> a, y = our_attention(q, k, v)
#     >>> a.round(6).tolist(), y.round(6).tolist()
#     ([[[0.75, 0.25]]], [[[7.0]]])
#     >>> our_attention(q, k, v, np.array([[[True, False]]]))[1].tolist()
#     [[[8.0]]]
#
# Backward for $dy = 1$: $da = (8, 4)$, $\sum_s a_s\, da_s = 7$, $dz = (3/4 \cdot 1,\ 1/4 \cdot (-3))$. It sums to 0.
#
#     >>> da, dz, dv, dq, dk = our_attention_backward(np.array([[[1.0]]]), q, k, v, a)
#     >>> da.tolist(), dz.round(6).tolist(), dv.round(6).tolist()
#     ([[[8.0, 4.0]]], [[[0.75, -0.75]]], [[[0.75], [0.25]]])
#
# ## Backward
#
# Go back one equation at a time, and return every stage: first $da$ (from $y = av$), then $dz$ (through the softmax), then
# $dv$, $dq$ and $dk$. In the softmax every $a_{ts}$ depends on all $z_{tr}$ of its row: write down
# $\partial a_{ts} / \partial z_{tr}$ first.


# %%
def our_attention_backward(dy, q, k, v, a):
    """Return the gradients of a, z, v, q and k for the upstream gradient dy; z are the
    scores, scaled by c.

    dy (B, T, D), q, k, v, a as in our_attention
    -> da, dz (B, T, S), dv (B, S, D), dq (B, T, D), dk (B, S, D)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * A query that may look at nothing has a row of `False`. Its weights and its output are 0, not nan, and its gradients are 0.
# * Scores may be 1,000 or -1,000: no exponential may overflow. (What may be subtracted from a row of $z$ without changing $a$?)
# * With one key, $a = 1$, whatever the score is: what are $dq$ and $dk$?
# * In self-attention $q = xW^q$, $k = xW^k$, $v = xW^v$: $x$ is used three times. Use your functions above.


# %%
def our_self_attention(x, Wq, Wk, Wv, mask):
    """Return q, k and v, the linear images of x, the weights a, and the output y.

    x (B, T, C), Wq, Wk, Wv (C, D), mask (B, T, T)
    -> q, k, v (B, T, D), a (B, T, T), y (B, T, D)
    """
    ...


def our_self_attention_backward(dy, x, Wq, Wk, Wv, q, k, v, a):
    """Return the gradients of v, q, k, x, Wq, Wk and Wv for the upstream gradient dy.

    dy (B, T, D), the others as in our_self_attention
    -> dv, dq, dk (B, T, D), dx (B, T, C), dWq, dWk, dWv (C, D)
    """
    ...
