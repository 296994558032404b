# %% [markdown]
# # Exercise 6. Contrastive loss and concordance
#
# Write the contrastive loss and the concordance of predictions with the truth, and their gradients. Replace every `...` by your
# code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 06_contrastive_and_concordance.py
#
# The equations are derived in tutorial 6, "Contrastive loss, squared error and concordance". Sizes: $B$ clips, $C$ features,
# $N$ steps. The upstream gradient is 1.

# %%
import numpy as np

# %% [markdown]
# ## Forward
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
# Two clips: voice and face are both $(1, 0)$ in the first and both $(0, 1)$ in the second. With $1/\tau = \ln 3$, the rows of
# $s$ are $(\ln 3, 0)$ and $(0, \ln 3)$, and $L = \ln (4/3)$. All softmaxes are $3/4$ and $1/4$, so the elements of $ds$ are
# $\frac14 (\frac34 - 1 + \frac34 - 1) = -\frac18$ and $\frac14 (\frac14 + \frac14) = \frac18$.
#
#     >>> x, tau = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]]), float(1 / np.log(3))
#     >>> r, z, s, L = our_info_nce(x, tau)
#     >>> s.round(6).tolist(), round(float(L), 6)
#     ([[1.098612, 0.0], [0.0, 1.098612]], 0.287682)
#     >>> our_info_nce_backward(r, z, s, tau)[0].round(6).tolist()
#     [[-0.125, 0.125], [0.125, -0.125]]
#
# Of $x = (1, 2, 3)$ and $y = (2, 3, 4)$: $s = 2/3$, both variances $2/3$, $D = 4/3 + 1$, $\rho = (4/3) / (7/3)$.
#
#     >>> s, D, rho = our_ccc(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]))
#     >>> round(float(s), 6), round(float(D), 6), round(float(rho), 6)
#     (0.666667, 2.333333, 0.571429)
#
# ## Backward
#
# Of the contrastive loss first $ds$, then $dz$, then $dx$: it is two cross-entropies, along rows and along columns, and the
# length of $x$ moves with $x$. Of concordance, $D$ moves with $x$, too, by its variance and by its mean.


# %%
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
# * A single clip: the contrastive loss has nothing to compare with, and its gradient is 0.
# * A constant prediction has $s = 0$ and $\rho = 0$, but a slope.
