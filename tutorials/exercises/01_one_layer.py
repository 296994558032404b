# %% [markdown]
# # Exercise 1. One layer
#
# Write a linear layer, the squared error, and a network that uses one matrix twice; then the backward pass of each. Replace
# every `...` by your code, keep the names of the functions and the order of what they return, and use NumPy alone. Then, in a
# terminal:
#
#     refmer grade 01_one_layer.py
#
# The equations are derived in tutorial 1, "One layer, forward and backward". Sizes: $B$ clips, $D$ numbers each, $E$ outputs,
# $H$ hidden numbers. The gradient of $x$ is called `dx`, and always has the shape of `x`.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# $$y_{be} = \sum_d x_{bd} W_{de} + b_e, \qquad\qquad L = \frac1B \sum_b \sum_e (y_{be} - t_{be})^2 .$$
#
# `our_squared_error` returns $L$ and, at once, its gradient $dy_{be} = \partial L / \partial y_{be}$.


# %%
def our_linear(x, W, b):
    """Return y.

    x (B, D), W (D, E), b (E,) -> y (B, E)
    """
    ...


def our_squared_error(y, t):
    """Return the loss L, a number, and its gradient dy.

    y (B, E), t (B, E) -> L, dy (B, E)
    """
    ...


# %% [markdown]
# ## By hand
#
# One clip $x = (1, 2)$, two outputs, $W = \begin{pmatrix} 1 & 0 \\ 3 & -1 \end{pmatrix}$, $b = (10, 20)$. The first output is
# $1 \cdot 1 + 2 \cdot 3 + 10 = 17$. With $t = (16, 20)$ the errors are 1 and $-2$: $L = 1 + 4$.
#
#     >>> x, W, b = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [3.0, -1.0]]), np.array([10.0, 20.0])
#     >>> our_linear(x, W, b).tolist()
#     [[17.0, 18.0]]
#     >>> L, dy = our_squared_error(our_linear(x, W, b), np.array([[16.0, 20.0]]))
#     >>> float(L), dy.tolist()
#     (5.0, [[2.0, -4.0]])
#
# Backward: $dx_1 = dy_1 W_{11} + dy_2 W_{12} = 2 \cdot 1 - 4 \cdot 0 = 2$ and $dx_2 = 2 \cdot 3 - 4 \cdot (-1) = 10$.
#
#     >>> dx, dW, db = our_linear_backward(dy, x, W)
#     >>> dx.tolist(), dW.tolist(), db.tolist()
#     ([[2.0, 10.0]], [[2.0, -4.0], [4.0, -8.0]], [2.0, -4.0])
#
# ## Backward
#
# Given $dy_{be} = \partial L / \partial y_{be}$ of some loss $L$, find the gradients of $x$, $W$ and $b$. All clips use the
# same $W$ and $b$: what does that mean for $dW$ and $db$?


# %%
def our_linear_backward(dy, x, W):
    """Return the gradients of x, W and b for the upstream gradient dy.

    dy (B, E), x (B, D), W (D, E) -> dx (B, D), dW (D, E), db (E,)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# A matrix that is used twice: $u = xW + b$, $r = \max(u, 0)$, $y = rW^\top$, with $W$ of shape $(D, H)$. The backward returns
# its stages, too: first $dr$, then $du$ (where $u$ is exactly 0, its slope is 0), then the rest. A clip alone is no exception.


# %%
def our_tied(x, W, b):
    """Return u = x W + b, r = max(u, 0) and y, r mapped back with the transpose of W.

    x (B, D), W (D, H), b (H,) -> u (B, H), r (B, H), y (B, D)
    """
    ...


def our_tied_backward(dy, x, W, u, r):
    """Return the gradients of r, u, x, W and b for the upstream gradient dy. Where u is 0,
    the slope of the maximum is 0.

    dy (B, D), x (B, D), W (D, H), u (B, H), r (B, H)
    -> dr (B, H), du (B, H), dx (B, D), dW (D, H), db (H,)
    """
    ...
