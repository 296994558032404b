# %% [markdown]
# # Exercise 14. OF-CMAER-CAT
#
# Write what is OF-CMAER-CAT's own: attention between two modalities with maps that both directions share, the compatibility of
# modalities, and the entropy of their weights. Replace every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 14_of_cmaer_cat.py
#
# The equations are derived in tutorial 14, "OF-CMAER-CAT". Sizes: $B$ clips, $T$ steps of $x$, $S$ steps of $z$, $C$ channels,
# $D$ numbers of a key, $M$ modalities.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# **Masked softmax**, along the last axis, over the places where the mask is `True`. A row without such a place is 0.
#
# **Cross-modal attention.** $q = xW_Q$, $k = zW_K$, $v = zW_V$, scores $s = q k^\top / \sqrt D$, $a = \text{softmax}(s)$ over
# the valid steps of $z$, $y = av$.
#
# **Compatibility.** $f_i$ is the mean of modality $i$. $u_i = f_i W$, and $\alpha_{ij}$ is the softmax of $u_i \cdot f_j$ over
# the *other* modalities $j \ne i$ that are available. The row of a missing modality is 0.
#
# **Entropy.** $w = \text{softmax}(s)$ over the available modalities, $R = -\frac1B \sum_b \sum_i w_{bi} \log w_{bi}$; a
# weight of 0 adds 0.


# %%
def our_masked_softmax(s, mask):
    """Return a, the softmax along the last axis over the places where the mask is True; a
    row without one is 0.

    s (..., N), mask of bool, broadcast to s -> a (..., N)
    """
    ...


def our_cross_attention(x, z, Wq, Wk, Wv, valid):
    """Return q, k, v, the weights a and the output y: each step of x looks at the valid
    steps of z.

    x (B, T, C), z (B, S, C), Wq, Wk, Wv (C, D), valid (B, S) of bool
    -> q (B, T, D), k, v (B, S, D), a (B, T, S), y (B, T, D)
    """
    ...


def our_compatibility(f, W, there):
    """Return u = f W and alpha, the softmax of u_i . f_j over the other available
    modalities j; missing ones have rows of 0.

    f (B, M, C), W (C, C), there (B, M) of bool -> u (B, M, C), alpha (B, M, M)
    """
    ...


def our_entropy(s, there):
    """Return the weights w, a softmax over the available modalities, and R, the entropy of
    a clip's weights in the mean.

    A weight of 0 adds 0.

    s (B, M), there (B, M) of bool -> w (B, M), R, a number
    """
    ...


# %% [markdown]
# ## By hand
#
# Scores $(\ln 3, 0, 5)$ with the last masked: the exponentials 3 and 1 give $3/4$ and $1/4$. Their entropy is $\frac34 \ln
# \frac43 + \frac14 \ln 4 = 0.562335$.
#
#     >>> s, there = np.array([[np.log(3), 0.0, 5.0]]), np.array([[True, True, False]])
#     >>> our_masked_softmax(s, there).round(6).tolist()
#     [[0.75, 0.25, 0.0]]
#     >>> w, R = our_entropy(s, there)
#     >>> round(float(R), 6)
#     0.562335
#
# $\partial R / \partial w_1 = -(\ln \frac34 + 1) = -0.712318$. The large weight's score has a negative slope, $-\frac34 (\ln
# \frac34 + R)$.
#
#     >>> dw, ds = our_entropy_backward(w)
#     >>> dw.round(6).tolist(), ds.round(6).tolist()
#     ([[-0.712318, 0.386294, 0.0]], [[-0.20599, 0.20599, 0.0]])
#
# $x = 1$ looks at $z = (2, 4)$. With $W_Q = 0$ both weights are $1/2$, so $y = 3$. For $dy = 1$: $da = v = (2, 4)$, $ds =
# \frac12 (2 - 3, 4 - 3)$, $dv = a$, and $dq = -\frac12 \cdot 2 + \frac12 \cdot 4 = 1$.
#
#     >>> x, z, Wq, one = np.ones((1, 1, 1)), np.array([[[2.0], [4.0]]]), np.zeros((1, 1)), np.ones((1, 1))
#     >>> *saved, y = our_cross_attention(x, z, Wq, one, one, np.array([[True, True]]))
#     >>> da, ds, dv, dq, *_ = our_cross_attention_backward(np.ones((1, 1, 1)), x, z, Wq, one, one, *saved)
#     >>> y.item(), da.tolist(), ds.tolist(), dv.tolist(), dq.item()
#     (3.0, [[[2.0, 4.0]]], [[[-0.5, 0.5]]], [[[0.5], [0.5]]], 1.0)
#
# Two modalities have only each other: $\alpha_{12} = \alpha_{21} = 1$, whatever the means are.
#
#     >>> our_compatibility(np.array([[[1.0], [2.0]]]), np.ones((1, 1)), np.array([[True, True]]))[1].tolist()
#     [[[0.0, 1.0], [1.0, 0.0]]]
#
# ## Backward
#
# Return the stages, too: in attention $da$ and $ds$ before the rest, in compatibility $ds$ and $du$. In attention $x$ is used
# once, $z$ twice. In compatibility $f$ is used on both sides. A masked place has a weight of 0, so the backward needs no mask.


# %%
def our_masked_softmax_backward(dy, a):
    """Return the gradient of s.

    dy (..., N), a (..., N) -> ds (..., N)
    """
    ...


def our_cross_attention_backward(dy, x, z, Wq, Wk, Wv, q, k, v, a):
    """Return the gradients of the weights a, of the scores s = q k^T / sqrt(D), of v, q, k,
    x, z, Wq, Wk and Wv.

    dy (B, T, D), the others as in our_cross_attention
    -> da, ds (B, T, S), dv (B, S, D), dq (B, T, D), dk (B, S, D), dx (B, T, C),
    dz (B, S, C), dWq, dWk, dWv (C, D)
    """
    ...


def our_compatibility_backward(dy, f, W, u, alpha):
    """Return the gradients of the scores s, of u, f and W.

    dy (B, M, M), the others as in our_compatibility
    -> ds (B, M, M), du (B, M, C), df (B, M, C), dW (C, C)
    """
    ...


def our_entropy_backward(w):
    """Return the gradients of w and s. Where w is 0, both are 0.

    w (B, M) -> dw (B, M), ds (B, M)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * Clips in which a modality is missing, or has nothing to look at: 0, and gradients of 0.
# * Scores of 1000.
# * Clips with one modality, whose weight is 1, and with none, whose weights are 0: both have an entropy of 0.
# * The same maps in both directions: $x$ looks at $z$, and $z$ looks at $x$. What is added up?


# %%
def our_exchange_backward(dy_x, dy_z, x, z, Wq, Wk, Wv, valid_x, valid_z):
    """Return the gradients of x, z and the maps, for two attentions with the same maps: x
    looks at z, and z looks at x.

    dy_x (B, T, D), dy_z (B, S, D), x (B, T, C), z (B, S, C), maps (C, D), valid_x (B, T),
    valid_z (B, S) of bool
    -> dx (B, T, C), dz (B, S, C), dWq, dWk, dWv (C, D)
    """
    ...
