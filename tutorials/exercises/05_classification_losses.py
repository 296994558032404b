# %% [markdown]
# # Exercise 5. Classification losses
#
# Write weighted cross-entropy and focal loss with their slopes, and class-balanced weights. Replace every `...` by your code
# and use NumPy alone. Then, in a terminal:
#
#     refmer grade 05_classification_losses.py
#
# The equations are derived in tutorial 5, "Losses for classes: cross-entropy, focal loss, class weights". Sizes: $B$ clips, $K$
# classes. The upstream gradient of a loss is 1.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# **Log-softmax.** $\log p_{bk} = x_{bk} - \log \sum_j e^{x_{bj}}$. It has to be finite for logits of 1000 and of -1000.
#
# **Cross-entropy.** $L = -\frac1B \sum_b \sum_k w_k y_{bk} \log p_{bk}$; $y$ may be votes, whose rows need not sum to 1.
#
# **Focal loss.** With $q_b$ the probability of the true class, $L = -\frac1B \sum_b (1 - q_b)^\gamma \log q_b$.


# %%
def our_log_softmax(x):
    """Return the logarithms of the probabilities, finite even for logits of 1000, and the
    probabilities p.

    x (B, K) -> log_p (B, K), p (B, K)
    """
    ...


def our_cross_entropy(x, y, w):
    """Return the probabilities p and the loss L, a number; w weighs the classes, and L is
    divided by B alone.

    x (B, K), y (B, K), w (K,) -> p (B, K), L
    """
    ...


def our_focal(x, y, gamma):
    """Return the probabilities p, the logarithms of those of the true classes, log_q, and
    the loss L, a mean over clips.

    x (B, K), y (B, K) with one 1 in each row, gamma a number from 1
    -> p (B, K), log_q (B, 1), L
    """
    ...


# %% [markdown]
# **Class-balanced weights.** $w_k \propto (1 - \beta) / (1 - \beta^{n_k})$, with $\sum_k w_k = K$.


# %%
def our_class_weights(n, beta):
    """Return the weights of classes with n clips each; they sum to the number of classes.

    n (K,), beta a number from 0 to below 1 -> w (K,)
    """
    ...


# %% [markdown]
# ## By hand
#
# Logits $(\ln 3, 0)$ have probabilities $(3/4, 1/4)$. If the first class is true, cross-entropy is $\ln (4/3) = 0.287682$, and
# its slope $p - y = (-1/4, 1/4)$. The focal loss with $\gamma = 2$ is $(1/4)^2 \cdot 0.287682 = 0.01798$.
#
#     >>> x, y = np.array([[np.log(3), 0.0]]), np.array([[1.0, 0.0]])
#     >>> p, L = our_cross_entropy(x, y, np.ones(2))
#     >>> p.round(6).tolist(), round(float(L), 6)
#     ([[0.75, 0.25]], 0.287682)
#     >>> our_cross_entropy_backward(y, np.ones(2), p).round(6).tolist()
#     [[-0.25, 0.25]]
#     >>> round(float(our_focal(x, y, 2.0)[2]), 6)
#     0.01798
#
# $\beta = 1/2$ and $n = (1, 2)$: $E = (1, 3/2)$, so $w \propto (1, 2/3)$.
#
#     >>> our_class_weights(np.array([1.0, 2.0]), 0.5).round(6).tolist()
#     [1.2, 0.8]
#
# ## Backward
#
# The slope of each loss. Of the focal loss first $d\log q$: $q$ is in the factor, too. Then $dx$.


# %%
def our_cross_entropy_backward(y, w, p):
    """Return the gradient of x. The rows of y need not sum to 1.

    y (B, K), w (K,), p (B, K) -> dx (B, K)
    """
    ...


def our_focal_backward(y, gamma, p, log_q):
    """Return the gradients of log_q and x.

    y (B, K), gamma a number from 1, p (B, K), log_q (B, 1) -> dlog_q (B, 1), dx (B, K)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * Logits of 1000 in one clip and far below 0 in another.
# * A single clip.
# * $\beta = 0$: all weights are 1. $\gamma = 1$: $(1 - q)^{\gamma - 1} = 1$.
