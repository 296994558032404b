# %% [markdown]
# # Exercise 4. Gates
#
# Write a gate, its backward by stages, and the loss that tells a gate how reliable its sensor is. Replace every `...` by your
# code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 04_gates.py
#
# The equations are derived in tutorial 4, "Gates". Sizes: $B$ clips, $T$ steps, $C$ numbers of a step,
# $H$ hidden numbers, $G$ gates.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# For every step of every clip, with the same parameters:
#
# $$u_h = \sum_c x_c W^1_{ch} + b^1_h, \qquad r_h = \max(u_h, 0), \qquad s = \sum_h r_h W^2_h + b^2, \qquad
#   \alpha = \frac{1}{1 + e^{-s}}, \qquad y_c = \alpha x_c .$$


# %%
def our_gate(x, W1, b1, W2, b2):
    """Return the hidden numbers u before their ReLU, the score s, its sigmoid alpha, and y
    = alpha x, for every step.

    x (B, T, C), W1 (C, H), b1 (H,), W2 (H, 1), b2 (1,)
    -> u (B, T, H), s (B, T, 1), alpha (B, T, 1), y (B, T, C)
    """
    ...


# %% [markdown]
# **Reliability.** Each of $G$ gates has a score $s$ and a sensor whose state $r$ is known, 1 clean, 0 useless, or between. Over
# all clips and gates,
#
# $$\alpha = \frac{1}{1 + e^{-s}}, \qquad
#   L = -\frac{1}{BG} \sum_{b,g} \bigl( r \log \alpha + (1 - r) \log (1 - \alpha) \bigr) .$$


# %%
def our_reliability(s, r):
    """Return the shares alpha = sigmoid(s), and the mean L of binary cross-entropy; both
    are finite for scores of 1000, too.

    s (B, G), scores of G gates, r (B, G), states of their sensors from 0 to 1
    -> alpha (B, G), L
    """
    ...


# %% [markdown]
# ## By hand
#
# $x = (1, 2)$, one hidden number with $W^1 = (1, 1)$ and $b^1 = 0$, so $u = 3$; with $W^2 = 1$ and $b^2 = -3$ the score is 0,
# $\alpha = 1/2$ and $y = (1/2, 1)$.
#
#     >>> x, W1, W2 = np.array([[[1.0, 2.0]]]), np.array([[1.0], [1.0]]), np.array([[1.0]])
#     >>> u, s, alpha, y = our_gate(x, W1, np.array([0.0]), W2, np.array([-3.0]))
#     >>> u.item(), s.item(), alpha.item(), y.tolist()
#     (3.0, 0.0, 0.5, [[[0.5, 1.0]]])
#
# Backward for $dy = (4, 8)$: $d\alpha = 4 \cdot 1 + 8 \cdot 2 = 20$, $ds = 20 \cdot 1/4 = 5$, $du = 5$. To $dx$ go
# $\alpha\, dy = (2, 4)$ and, through $u$, $(5, 5)$.
#
#     >>> dalpha, ds, du, dx, dW1, db1, dW2, db2 = our_gate_backward(np.array([[[4.0, 8.0]]]), x, W1, W2, u, alpha)
#     >>> dalpha.item(), ds.item(), du.item(), dx.tolist()
#     (20.0, 5.0, 5.0, [[[7.0, 9.0]]])
#     >>> dW1.tolist(), db1.tolist(), dW2.tolist(), db2.tolist()
#     ([[5.0], [10.0]], [5.0], [[15.0]], [5.0])
#
# A score of 0 costs $\log 2 = 0.693147$, whatever the state is. For $s = \ln 3$, $\alpha = 3/4$; if the sensor is useless, the
# loss is $-\log (1/4) = 1.386294$. The mean of both is 1.039721.
#
#     >>> alpha, L = our_reliability(np.array([[0.0, np.log(3)]]), np.array([[1.0, 0.0]]))
#     >>> alpha.round(6).tolist(), round(float(L), 6)
#     ([[0.5, 0.75]], 1.039721)
#     >>> our_reliability_backward(np.array([[1.0, 0.0]]), alpha).round(6).tolist()
#     [[-0.25, 0.375]]
#
# ## Backward
#
# Go back one equation at a time, and return every stage: first $d\alpha$ (one $\alpha$ multiplies all $x_c$), then $ds$ (write
# the derivative of the sigmoid by $\alpha$), then $du$, then the rest. How often is $x$ used?


# %%
def our_gate_backward(dy, x, W1, W2, u, alpha):
    """Return the gradients of alpha, s, u, x, W1, b1, W2 and b2 for the upstream gradient
    dy; where u is 0 or less, du is 0.

    dy (B, T, C), the others as in our_gate
    -> dalpha, ds (B, T, 1), du (B, T, H), dx (B, T, C), dW1 (C, H), db1 (H,), dW2 (H, 1),
    db2 (1,)
    """
    ...


# %% [markdown]
# Of the reliability, go through $\alpha$ to the score, and simplify. The upstream gradient of $L$ is 1.


# %%
def our_reliability_backward(r, alpha):
    """Return the gradient of the scores s.

    r (B, G), alpha (B, G) -> ds (B, G)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * A sequence of one step, whose gradients are sums over one step.
# * A step at which no $u_h$ is above 0: what are $du$ and $dx$?
# * Scores of 1,000 and -1,000: $\alpha$ is exactly 1 or 0, and $\log (1 - \alpha)$ or $\log \alpha$ is infinite. The loss is
#   not: write both logarithms by $s$, with exponentials that cannot overflow.
