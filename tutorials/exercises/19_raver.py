# %% [markdown]
# # Exercise 19. RAVER: learned queries and statistics pooling
#
# Write two parts of RAVER: learned queries that read a sequence with missing frames, and attentive statistics pooling. Replace
# every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 19_raver.py
#
# The equations are derived in tutorial 19, "RAVER: summarizer, cross encoders and statistics pooling". Sizes: $B$ clips, $N$
# queries, $T$ steps, $C$ channels, $H$ hidden numbers.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# **Summary.** With the factor $c = 1 / \sqrt C$ and the index $j$ of the channel: $s_{bnt} = c \sum_j Q_{nj} z_{btj}$,
# $a_{bnt} = \text{softmax}_t\, s_{bnt}$ over the valid $t$, $y_{bnj} = \sum_t a_{bnt} z_{btj}$.
#
# **Statistics.** $h_t = \tanh(x_t W + b)$, $e_t = v \cdot h_t$, $a_t = \text{softmax}_t\, e_t$ over the valid $t$,
#
# $$\mu_c = \sum_t a_t x_{tc}, \qquad \text{var}_c = \sum_t a_t (x_{tc} - \mu_c)^2, \qquad \sigma_c = \max(\text{var}_c,
# 10^{-5})^{1/2} .$$


# %%
def our_summary(Q, z, valid):
    """Return the weights a and the summary y. A clip without a valid step has 0 in both.

    Q (N, C), z (B, T, C), valid (B, T) of bool -> a (B, N, T), y (B, N, C)
    """
    ...


def our_statistics(x, W, b, v, valid):
    """Return h, the weights a, the mean mu, the variance var before the floor of 1e-5, and
    sigma, the root after it.

    A clip without a valid step has a, mu, var and sigma 0.

    x (B, T, C), W (C, H), b (H,), v (H,), valid (B, T) of bool
    -> h (B, T, H), a (B, T), mu, var, sigma (B, C)
    """
    ...


# %% [markdown]
# ## By hand
#
# One query $Q = \ln 3$ and two steps $z = (1, 0)$ of one channel: the scores are $\ln 3$ and 0, the weights $3/4$ and $1/4$,
# and $y = 3/4$.
#
#     >>> Q, z = np.array([[np.log(3)]]), np.array([[[1.0], [0.0]]])
#     >>> a, y = our_summary(Q, z, np.array([[True, True]]))
#     >>> a.round(6).tolist(), y.round(6).tolist()
#     ([[[0.75, 0.25]]], [[[0.75]]])
#     >>> our_summary(Q, z, np.array([[False, False]]))[1].tolist()
#     [[[0.0]]]
#
# With $v = 0$ all steps weigh the same: of 1 and 3 the mean is 2 and the deviation 1.
#
#     >>> x, one = np.array([[[1.0], [3.0]]]), np.ones((1, 1))
#     >>> h, a, mu, var, sigma = our_statistics(x, one, np.zeros(1), np.zeros(1), np.array([[True, True]]))
#     >>> a.tolist(), mu.tolist(), var.tolist(), sigma.tolist()
#     ([[0.5, 0.5]], [[2.0]], [[1.0]], [[1.0]])
#
# ## Backward
#
# Of the summary: $da$, $ds$ (through the softmax), then $dQ$ and $dz$. All clips read with the same $Q$; $z$ is used twice. Of
# the statistics: $da$, $de$, $du$ (with $u = xW + b$), then $dx$ and the weights. $x$ is used in $\mu$, in $\sigma$ and in the
# scores. (The derivative of $\sigma$ by $\mu$ is 0: deviations sum to 0.)


# %%
def our_summary_backward(dy, Q, z, a):
    """Return the gradients of a, of the scores s (scaled by c), of Q and of z.

    dy (B, N, C), Q (N, C), z (B, T, C), a (B, N, T)
    -> da, ds (B, N, T), dQ (N, C), dz (B, T, C)
    """
    ...


def our_statistics_backward(dy_mu, dy_sigma, x, W, v, h, a, mu, var, sigma):
    """Return the gradients of a, of the scores e, of u = x W + b, and of x, W, b and v.

    dy_mu, dy_sigma (B, C), the others as in our_statistics
    -> da, de (B, T), du (B, T, H), dx (B, T, C), dW (C, H), db (H,), dv (H,)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * A clip without a valid step: weights, summary, mean and deviation are 0, and so are the gradients of the inputs
#   and of the scores.
# * A single step: its weight is 1, whatever the score.
# * A channel that hardly varies: its variance is below the floor, so $\sigma = \sqrt{10^{-5}}$, and no gradient goes back
#   through it.
