# %% [markdown]
# # Exercise 19. RAVER
#
# Write what is RAVER's own: learned queries that read a sequence with lost frames, attentive statistics pooling, and the
# weights of class-balanced cross-entropy, with a way to undo their tilt. Replace every `...` by your code and use NumPy alone.
# Then, in a terminal:
#
#     refmer grade 19_raver.py
#
# The equations are derived in tutorial 19, "RAVER". Sizes: $B$ clips, $N$ queries, $T$ steps, $C$ channels, $H$ hidden
# numbers, $K$ classes.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# **Summary.** With $c = 1 / \sqrt C$: $s_{bnt} = c \sum_c Q_{nc} z_{btc}$, $a_{bnt} = \text{softmax}_t\, s_{bnt}$ over the
# valid $t$, $y_{bnc} = \sum_t a_{bnt} z_{btc}$.
#
# **Statistics.** $h_t = \tanh(W x_t + b)$, $e_t = v \cdot h_t$, $a_t = \text{softmax}_t\, e_t$ over the valid $t$,
#
# $$\mu_c = \sum_t a_t x_{tc}, \qquad \text{var}_c = \sum_t a_t (x_{tc} - \mu_c)^2, \qquad \sigma_c = \max(\text{var}_c,
# 10^{-5})^{1/2} .$$
#
# **Balance.** $n_k$ clips have a share of votes above $1/K$ for class $k$; $N = \sum_k n_k$, $\beta = (N - 1) / N$, $w_k
# \propto (1 - \beta) / (1 - \beta^{n_k})$, $\sum_k w_k = K$. What a network learns with these weights is tilted; $p_k / w_k$,
# scaled to a sum of 1, undoes it.


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


def our_balance(shares):
    """Return the number n of clips that hold each class (a share above 1/K) and its weight
    w; weights sum to K.

    beta = (N - 1) / N, where N is the sum of n. Every class has at least one clip.

    shares (B, K) -> n (K,), w (K,)
    """
    ...


def our_undone(p, w):
    """Return probabilities without the tilt of the weights: p / w, scaled so that rows sum
    to 1.

    p (B, K), w (K,) -> q (B, K)
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
# Three clips, two classes: two hold the first class, one the second. $N = 3$, $\beta = 2/3$, so $w \propto (1 / (1 - 4/9), 1 /
# (1 - 2/3)) = (1.8, 3)$.
#
#     >>> n, w = our_balance(np.array([[1.0, 0.0], [0.7, 0.3], [0.2, 0.8]]))
#     >>> n.tolist(), w.round(6).tolist()
#     ([2, 1], [0.75, 1.25])
#     >>> our_undone(np.array([[0.5, 0.5]]), np.array([0.5, 1.5])).tolist()
#     [[0.75, 0.25]]
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
# * A clip without a valid step: weights, summary, mean and deviation are 0, and so are the gradients.
# * A single step: its weight is 1, whatever the score.
# * A channel that hardly varies: its variance is below the floor, so $\sigma = \sqrt{10^{-5}}$, and no gradient goes back
#   through it.
