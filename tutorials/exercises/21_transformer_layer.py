# %% [markdown]
# # Exercise 21. Project: a Transformer encoder layer from nothing
#
# Write a whole encoder layer: layer norm, attention with several heads and a mask, a feed-forward network, the residual paths
# around them, and the backward of everything with the gradients of all weights. At the end you have written the layer of
# AuxFormer. Replace every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 21_transformer_layer.py
#
# There is no tutorial to this project. Tutorial 7, "Attention", derives attention with one head, and exercise 7 asks for it.
# Go through the parts one by one, forward and backward, before you put them together. Sizes: $B$ clips, $T$ steps, $C$ numbers
# of a step, $H$ heads of $D = C / H$ numbers, $F$ numbers inside the feed-forward network.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# Of the two orders that are in use, this is pre-norm: each part gets a normed sequence, and its result is added to the one that
# is not normed. With $\mathrm{LN}_1$ and $\mathrm{LN}_2$ two layer norms of their own weights,
#
# $$n = \mathrm{LN}_1(x), \qquad h = x + \mathrm{Attention}(n), \qquad m = \mathrm{LN}_2(h), \qquad y = h + \mathrm{FFN}(m) .$$
#
# ## Layer norm
#
# For every step of every clip, over its $C$ numbers,
#
# $$\mu = \frac1C \sum_c x_c, \qquad v = \frac1C \sum_c (x_c - \mu)^2, \qquad r = \frac{1}{\sqrt{v + \epsilon}}, \qquad
#   z_c = (x_c - \mu)\, r, \qquad y_c = \gamma_c z_c + \beta_c, \qquad \epsilon = 10^{-5} .$$


# %%
def our_layer_norm(x, gamma, beta):
    """Return z = (x - mean) r over each step's numbers, r = 1 / sqrt(variance + 1e-5), and
    y = gamma z + beta.

    x (B, T, C), gamma (C,), beta (C,) -> z (B, T, C), r (B, T, 1), y (B, T, C)
    """
    ...


# %% [markdown]
# ## Attention with heads
#
# Queries, keys and values are linear images of $x$, $q = x W_0 + b_0$, $k = x W_1 + b_1$, $v = x W_2 + b_2$. Head $j$ takes
# their numbers $jD$ to $(j + 1) D - 1$; each head attends for itself:
#
# $$z_{ts} = \frac{1}{\sqrt D} \sum_d q_{td} k_{sd}, \qquad a_{ts} = \frac{e^{z_{ts}}}{\sum_r e^{z_{tr}}}, \qquad
#   \mathrm{head}_{td} = \sum_s a_{ts} v_{sd} .$$
#
# Where `mask` is `False`, step $s$ is padding, and no query may look at it: $z_{ts} = -\infty$ for all $t$. The heads stand
# side by side in $c$, in the places from which they were taken, and $y = c W_3 + b_3$. `W[i]` and `b[i]` are $W_i$ and $b_i$.


# %%
def our_multi_head(x, W, b, mask, heads):
    """Return queries, keys and values by head, the weights a, the output c of all heads
    side by side, and y, c mapped.

    In a clip without any valid step, a, c and y are 0.

    x (B, T, C); W (4, C, C), b (4, C), the maps to queries, keys, values, and from c to y;
    mask (B, T), True where a step is valid; H = heads, D = C / H
    -> q, k, v (B, H, T, D), a (B, H, T, T), c (B, T, C), y (B, T, C)
    """
    ...


# %% [markdown]
# ## Feed-forward network
#
# $$u = x W_1 + b_1, \qquad r = \max(u, 0), \qquad y = r W_2 + b_2 .$$


# %%
def our_feed_forward(x, W1, b1, W2, b2):
    """Return u = x W1 + b1, r = max(u, 0) and y = r W2 + b2.

    x (B, T, C), W1 (C, F), b1 (F,), W2 (F, C), b2 (C,) -> u, r (B, T, F), y (B, T, C)
    """
    ...


# %% [markdown]
# ## The layer
#
# Now the parts, in the order of the equations at the top. (These are other $W_1$, $b_1$ than those of the attention, which has
# `W` and `b`.)


# %%
def our_layer(x, mask, heads, gamma1, beta1, W, b, gamma2, beta2, W1, b1, W2, b2):
    """Return n = LN1(x), h = x + Attention(n), m = LN2(h) and y = h + FFN(m).

    x (B, T, C), mask (B, T), heads and the weights as in the parts -> n, h, m, y (B, T, C)
    """
    ...


# %% [markdown]
# ## By hand
#
# Two numbers, 1 and 5: mean 3, variance 4, so $z = (-1, 1)$. It is $(-1, 1)$ for any two numbers of which the second is larger
# ($\epsilon$ aside): no change of $x$ matters, and $dx = 0$.
#
#     >>> gamma, beta = np.array([10.0, 10.0]), np.array([0.0, 1.0])
#     >>> z, r, y = our_layer_norm(np.array([[[1.0, 5.0]]]), gamma, beta)
#     >>> z.round(3).tolist(), r.round(3).tolist(), y.round(3).tolist()
#     ([[[-1.0, 1.0]]], [[[0.5]]], [[[-10.0, 11.0]]])
#     >>> dz, dx, dgamma, dbeta = our_layer_norm_backward(np.array([[[1.0, 2.0]]]), gamma, z, r)
#     >>> dz.tolist(), (abs(dx) < 1e-4).tolist(), dgamma.round(3).tolist()
#     ([[[10.0, 20.0]]], [[[True, True]]], [-1.0, 2.0])
#
# Two heads of one number. Queries and keys are 0, so each head takes the mean of the values, which are $x$ itself: of the steps
# $(1, 10)$ and $(3, 30)$ both see $(2, 20)$. If the second step is padding, both see the first alone.
#
#     >>> x, b = np.array([[[1.0, 10.0], [3.0, 30.0]]]), np.zeros((4, 2))
#     >>> W = np.stack([0 * np.eye(2), 0 * np.eye(2), np.eye(2), np.eye(2)])
#     >>> *_, a, c, y = our_multi_head(x, W, b, np.array([[True, True]]), 2)
#     >>> a.shape, c.tolist()
#     ((1, 2, 2, 2), [[[2.0, 20.0], [2.0, 20.0]]])
#     >>> our_multi_head(x, W, b, np.array([[True, False]]), 2)[-1].tolist()
#     [[[1.0, 10.0], [1.0, 10.0]]]
#
# The network with $u = (1, -2)$ for $x = 1$: the second number stops at the maximum, forwards and backwards.
#
#     >>> x, W1, W2 = np.array([[[1.0]]]), np.array([[1.0, -2.0]]), np.array([[3.0], [5.0]])
#     >>> u, r, y = our_feed_forward(x, W1, np.zeros(2), W2, np.zeros(1))
#     >>> y.item(), [d.ravel().tolist() for d in our_feed_forward_backward(np.array([[[1.0]]]), x, W1, W2, u, r)[:3]]
#     (3.0, [[3.0, 5.0], [3.0, 0.0], [3.0]])
#
# ## Backward
#
# Each backward returns its stages first, in the order in which you meet them from the end. Hints:
#
# * Layer norm: $\mu$ and $r$ depend on all $x_c$ of a step. Find $\partial z_c / \partial x_e$ first; two means come out of it.
# * Attention: write down the shapes. From $dc$ go back to heads in the way in which $c$ was made of heads, and from $dq$, $dk$,
#   $dv$ by head to sequences of $C$ numbers. $x$ is used three times. `dz` is the gradient of the scores $z$, after the factor
#   $1 / \sqrt D$. The gradient of the keys' bias is 0: a sum over what, that softmax does not see?
# * The layer: $x$ and $h$ are used twice each. `n`, `h` and `m` are given; whatever else the parts saved ($z$, $r$, $q$, $k$,
#   $v$, $a$, $c$, $u$), compute again by your forward functions.


# %%
def our_layer_norm_backward(dy, gamma, z, r):
    """Return the gradients of z, x, gamma and beta.

    dy (B, T, C), the others as in our_layer_norm
    -> dz (B, T, C), dx (B, T, C), dgamma (C,), dbeta (C,)
    """
    ...


def our_multi_head_backward(dy, x, W, mask, q, k, v, a, c):
    """Return the gradients of c, a, z (the scores, scaled), q, k, v, x, W and b.

    dy (B, T, C), the others as in our_multi_head
    -> dc (B, T, C), da, dz (B, H, T, T), dq, dk, dv (B, H, T, D), dx (B, T, C),
    dW (4, C, C), db (4, C)
    """
    ...


def our_feed_forward_backward(dy, x, W1, W2, u, r):
    """Return the gradients of r, u, x, W1, b1, W2 and b2. Where u is 0, the slope of the
    maximum is 0.

    dy (B, T, C), the others as in our_feed_forward
    -> dr, du (B, T, F), dx (B, T, C), and dW1, db1, dW2, db2 of their shapes
    """
    ...


def our_layer_backward(dy, x, mask, heads, gamma1, beta1, W, b, gamma2, beta2, W1, b1, W2, b2, n, h, m):
    """Return the gradients of m, h, n, x and of all weights.

    dy (B, T, C), the others as in our_layer
    -> dm, dh, dn, dx (B, T, C), and dgamma1, dbeta1, dW, db, dgamma2, dbeta2, dW1, db1,
    dW2, db2 of the shapes of the weights
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * A step whose $C$ numbers are equal has variance 0: $z = 0$, and $r = 1 / \sqrt \epsilon$. Nothing is nan.
# * A clip without any valid step: $a$, $c$ and $y$ of the attention are 0 (not $b_3$), and no gradient comes from it: not for
#   $b_3$ either, whatever `dy` is. In the layer $h = x$ for this clip.
# * Padded steps are queries as others are: they have an output, and `dy` of theirs counts. They are only not looked at.
# * Scores may be 1,000: no exponential may overflow.
# * Where $u$ is exactly 0, the slope of the maximum is 0.
# * One head, or one step.
