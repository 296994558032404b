# %% [markdown]
# # Exercise 5. Losses
#
# Write five losses and their slopes: weighted cross-entropy, focal loss, class-balanced weights, the contrastive loss, and
# concordance. Replace every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 05_losses.py
#
# The equations are derived in tutorial 5, "Losses, and what they do to a gradient". Sizes: $B$ clips, $K$ classes, $C$
# features, $N$ steps. The upstream gradient of a loss is 1.

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
#
# **Contrastive loss.** $z_n = x_n r_n$ with $r_n = |x_n|^{-1}$, of the voice (`x[:, 0]`) and of the face (`x[:, 1]`), and
#
# $$s_{nm} = \frac{z_n \cdot z'_m}{\tau}, \qquad
#   L = -\frac1{2B} \sum_n \Bigl( \log \frac{e^{s_{nn}}}{\sum_m e^{s_{nm}}} + \log \frac{e^{s_{nn}}}{\sum_m e^{s_{mn}}} \Bigr)
#   .$$
#
# **Concordance.** $\rho = 2s / D$ with $s = \frac1N \sum_n (x_n - \bar x)(y_n - \bar y)$ and
# $D = s_x^2 + s_y^2 + (\bar x - \bar y)^2$; all moments are divided by $N$.


# %%
def our_class_weights(n, beta):
    """Return the weights of classes with n clips each; they sum to the number of classes.

    n (K,), beta a number from 0 to below 1 -> w (K,)
    """
    ...


def our_info_nce(x, tau):
    """Return the inverse lengths r, the unit vectors z, the similarities s, and the loss L,
    the mean of both directions.

    x (B, 2, C), voice and face of each clip, tau a number
    -> r (B, 2, 1), z (B, 2, C), s (B, B), voice by face, L
    """
    ...


def our_ccc(x, y):
    """Return the covariance s, the denominator D, and the concordance rho of predictions x
    and truths y. Moments are over N.

    x (N,), y (N,) -> s, D, rho, numbers
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
# Of $x = (1, 2, 3)$ and $y = (2, 3, 4)$: $s = 2/3$, both variances $2/3$, $D = 4/3 + 1$, $\rho = (4/3) / (7/3)$.
#
#     >>> s, D, rho = our_ccc(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]))
#     >>> round(float(s), 6), round(float(D), 6), round(float(rho), 6)
#     (0.666667, 2.333333, 0.571429)
#
# $\beta = 1/2$ and $n = (1, 2)$: $E = (1, 3/2)$, so $w \propto (1, 2/3)$.
#
#     >>> our_class_weights(np.array([1.0, 2.0]), 0.5).round(6).tolist()
#     [1.2, 0.8]
#
# ## Backward
#
# The slope of each loss. Of the focal loss first $d\log q$: $q$ is in the factor, too. Of the contrastive loss first $ds$,
# then $dz$, then $dx$: it is two cross-entropies, along rows and along columns, and the length of $x$ moves with $x$. Of
# concordance, $D$ moves with $x$, too, by its variance and by its mean.


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


def our_info_nce_backward(r, z, s, tau):
    """Return the gradients of s, z and x.

    r (B, 2, 1), z (B, 2, C), s (B, B), tau a number
    -> ds (B, B), dz (B, 2, C), dx (B, 2, C)
    """
    ...


def our_ccc_backward(x, y, D, rho):
    """Return the gradient of x: the derivative of rho by each prediction.

    x (N,), y (N,), D and rho numbers -> dx (N,)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * Logits of 1000 in one clip and far below 0 in another.
# * A single clip: the contrastive loss has nothing to compare with, and its gradient is 0.
# * $\beta = 0$: all weights are 1. $\gamma = 1$: $(1 - q)^{\gamma - 1} = 1$.
# * A constant prediction has $s = 0$ and $\rho = 0$, but a slope.
