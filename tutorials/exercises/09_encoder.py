# %% [markdown]
# # Exercise 9. Encoders
#
# Write the parts that stand around attention: heads, residual blocks with layer norm in two orders, a feed-forward network with
# dropout, and positions. Replace every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 09_encoder.py
#
# The equations are derived in tutorial 9, "Encoders". Sizes: $B$ clips, $T$ steps, $C$ numbers of a step, $H$ heads of
# $D = C / H$ numbers, $F$ numbers inside the feed-forward network.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# Heads: head $h$ has the channels $hD$ to $(h + 1) D - 1$ of each step. The merge puts them back.
#
# Blocks: with LN a layer norm without $\gamma$ and $\beta$, and $\epsilon = 10^{-5}$,
#
# $$\text{post-norm:}\quad y = \mathrm{LN}(x + xW), \qquad\qquad \text{pre-norm:}\quad y = x + \mathrm{LN}(x)\, W .$$
#
# Feed-forward network, with $m = 1$ where a number is kept and 0 where it drops out, and the rate $\rho$ of dropout:
#
# $$u = x W^1 + b^1, \qquad d = \frac{m \max(u, 0)}{1 - \rho}, \qquad y = d\, W^2 + b^2 .$$
#
# Positions, for $i = 0, 1, \dots, C/2 - 1$:
#
# $$P_{ti} = \sin((t + 1) f_i), \qquad P_{t,\,C/2+i} = \cos((t + 1) f_i), \qquad f_i = 10^{-4 i / (C/2 - 1)} .$$


# %%
def our_split_heads(x, heads):
    """Return x by heads: head h has the channels h D to (h + 1) D - 1 of each step.

    x (B, T, C), heads = H, a number that divides C; D = C / H -> y (B, H, T, D)
    """
    ...


def our_merge_heads(x):
    """Return the heads side by side, each in the channels from which it was taken.

    x (B, H, T, D) -> y (B, T, C), C = H D
    """
    ...


def our_post_block(x, W):
    """Return r, by which the centred steps of s = x + x W are scaled (epsilon is 1e-5), and
    y, the layer norm of s without gamma and beta.

    x (B, T, C), W (C, C) -> r (B, T, 1), y (B, T, C)
    """
    ...


def our_pre_block(x, W):
    """Return n, the layer norm of x without gamma and beta, r, by which its centred steps
    are scaled (epsilon is 1e-5), and y = x + n W.

    x (B, T, C), W (C, C) -> n (B, T, C), r (B, T, 1), y (B, T, C)
    """
    ...


def our_ffn(x, W1, b1, W2, b2, keep, rate):
    """Return u = x W1 + b1, d = max(u, 0) after dropout, and y = d W2 + b2. Dropout leaves
    what `keep` says and divides it by 1 - rate.

    x (B, T, C), W1 (C, F), b1 (F,), W2 (F, C), b2 (C,), keep (B, T, F) of bool, rate
    -> u, d (B, T, F), y (B, T, C)
    """
    ...


def our_positions(T, C):
    """Return the table of positions: in row t the sines of (t + 1) f, then their cosines,
    with frequencies f from 1 down to 1e-4. If C is odd, the last channel is 0.

    T, C: numbers of steps and channels, C at least 2 -> P (T, C)
    """
    ...


# %% [markdown]
# ## By hand
#
# One step $(1, 2, 3, 4)$ and two heads: head 0 has $(1, 2)$, head 1 has $(3, 4)$.
#
#     >>> y = our_split_heads(np.array([[[1.0, 2.0, 3.0, 4.0]]]), 2)
#     >>> y.tolist(), our_merge_heads(y).tolist()
#     ([[[[1.0, 2.0]], [[3.0, 4.0]]]], [[[1.0, 2.0, 3.0, 4.0]]])
#
# $x = (1, 3)$ and $W = 0$. Post-norm: mean 2, variance 1, $y = (-1, 1)$. It is $(-1, 1)$ for any two numbers of which the
# second is larger ($\epsilon$ aside), so $ds = 0$. Pre-norm: $y = x$, and $dx = dy$.
#
#     >>> x, W, dy = np.array([[[1.0, 3.0]]]), np.zeros((2, 2)), np.array([[[1.0, 0.0]]])
#     >>> r, y = our_post_block(x, W)
#     >>> y.round(3).tolist(), (abs(our_post_block_backward(dy, x, W, r, y)[0]) < 1e-4).tolist()
#     ([[[-1.0, 1.0]]], [[[True, True]]])
#     >>> n, r, y = our_pre_block(x, W)
#     >>> n.round(3).tolist(), y.tolist(), our_pre_block_backward(dy, W, n, r)[1].tolist()
#     ([[[-1.0, 1.0]]], [[[1.0, 3.0]]], [[[1.0, 0.0]]])
#
# $x = 1$, $u = (1, -2, 3)$. The second number stops at the ReLU, and the third drops out: $d = (2, 0, 0)$ with the rate $1/2$.
#
#     >>> x, W1, W2 = np.ones((1, 1, 1)), np.array([[1.0, -2.0, 3.0]]), np.array([[3.0], [5.0], [7.0]])
#     >>> keep = np.array([[[True, True, False]]])
#     >>> u, d, y = our_ffn(x, W1, np.zeros(3), W2, np.zeros(1), keep, 0.5)
#     >>> d.ravel().tolist(), y.item()
#     ([2.0, 0.0, 0.0], 6.0)
#     >>> [g.ravel().tolist() for g in our_ffn_backward(np.ones((1, 1, 1)), x, W1, W2, u, d, keep, 0.5)[:3]]
#     [[3.0, 5.0, 7.0], [6.0, 0.0, 0.0], [6.0]]
#
# Two frequencies, 1 and $10^{-4}$: $P_0 = (\sin 1, \sin 10^{-4}, \cos 1, \cos 10^{-4})$.
#
#     >>> our_positions(1, 4).round(4).tolist()
#     [[0.8415, 0.0001, 0.5403, 1.0]]
#
# ## Backward
#
# Return every stage, in the order in which you meet them from the end. In both blocks $x$ is used twice: by the residual, and
# by the branch. The backward of a layer norm has two means (tutorial 2).


# %%
def our_post_block_backward(dy, x, W, r, y):
    """Return the gradients of s = x + x W, x and W.

    dy (B, T, C), the others as in our_post_block -> ds, dx (B, T, C), dW (C, C)
    """
    ...


def our_pre_block_backward(dy, W, n, r):
    """Return the gradients of n, x and W.

    dy (B, T, C), the others as in our_pre_block -> dn, dx (B, T, C), dW (C, C)
    """
    ...


def our_ffn_backward(dy, x, W1, W2, u, d, keep, rate):
    """Return the gradients of d, u, x, W1, b1, W2 and b2. Where u is 0, the slope of the
    maximum is 0.

    dy (B, T, C), the others as in our_ffn
    -> dd, du (B, T, F), dx (B, T, C), and dW1, db1, dW2, db2 of their shapes
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * One head: the split adds an axis and moves nothing.
# * A step whose $C$ numbers are equal has variance 0: its layer norm is 0, and $r = 1 / \sqrt\epsilon$. Nothing is nan.
# * Where $u$ is exactly 0, the slope of the maximum is 0.
# * With the rate 0 and everything kept, there is no dropout.
# * An odd width: the half is rounded down, and the last channel of the positions is 0.
# * A width of 2 or 3: the only frequency is 1, not $0/0$.
