# %% [markdown]
# # Exercise 18. TLAB-JCA: windows and the loss
#
# Write what the training of TLAB-JCA needs beside its parts: the windows of a recording, and the concordance loss over the
# valid steps of a batch of windows. Replace every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 18_tlab_jca_training.py
#
# The equations are derived in tutorial 18, "TLAB-JCA: training, a missing face or voice, ablation". Sizes: $S$ steps of a
# recording, $W$ windows of $T$ steps, $C$ channels; in the loss $B$ windows and $K$ quantities.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# **Windows.** $W = \lceil S / T \rceil$ consecutive windows; what the last one lacks is filled with 0, and the mask is false
# there.
#
# **Loss.** $n$ runs over the $N$ valid steps of all windows together. For each quantity $k$
#
# $$s_k = \frac1N \sum_n (x_{nk} - \bar x_k)(y_{nk} - \bar y_k), \qquad
#   D_k = s_{x,k}^2 + s_{y,k}^2 + (\bar x_k - \bar y_k)^2, \qquad \rho_k = \frac{2 s_k}{D_k},$$
#
# and $L = \frac1K \sum_k (1 - \rho_k)$. Variances, too, are divided by $N$.


# %%
def our_windows(x, T):
    """Return windows of T consecutive steps, the last one filled with 0, and the mask of the
    steps that are not filled.

    x (S, C), T a number of steps -> windows (W, T, C), valid (W, T) bool
    """
    ...


def our_window_loss(x, y, mask):
    """Return the denominators D and the concordances rho, and the loss L, the mean of 1 - rho
    over the K quantities. Moments run over the valid steps of all windows together.

    x, y (B, T, K), mask (B, T) bool -> D (K,), rho (K,), L
    """
    ...


# %% [markdown]
# ## By hand
#
# Five steps in windows of two.
#
#     >>> windows, valid = our_windows(np.arange(1.0, 6)[:, None], 2)
#     >>> windows[..., 0].tolist(), valid.tolist()
#     ([[1.0, 2.0], [3.0, 4.0], [5.0, 0.0]], [[True, True], [True, True], [True, False]])
#
# One quantity, $x = (0, 2, 9)$ and $y = (0, 1, 0)$; the third step is padded. Means 1 and $1/2$, variances 1 and $1/4$,
# covariance $1/2$: $D = 3/2$, $\rho = 2/3$, $L = 1/3$.
#
#     >>> x, y = np.array([0.0, 2, 9]).reshape(1, 3, 1), np.array([0.0, 1, 0]).reshape(1, 3, 1)
#     >>> D, rho, L = our_window_loss(x, y, np.array([[True, True, False]]))
#     >>> D.tolist(), rho.round(6).tolist(), round(float(L), 6)
#     ([1.5], [0.666667], 0.333333)
#
# ## Backward
#
# **Windows.** Where does each step of the recording stand? What becomes of the gradient of a filled step?
#
# **Loss.** First $d\rho_k$, then $dx$. $\partial \rho / \partial x_n$ is that of tutorial 6, with $N$ the number of valid
# steps.


# %%
def our_windows_backward(dy, S):
    """Return the gradient of the S steps of the recording.

    dy (W, T, C), S a number of steps -> dx (S, C)
    """
    ...


def our_window_loss_backward(x, y, mask, D, rho):
    """Return the gradients of rho and x; that of x is 0 at steps that are not valid.

    x, y (B, T, K), mask (B, T) bool, D, rho (K,) -> drho (K,), dx (B, T, K)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * $T$ divides $S$: no step is filled. A recording shorter than a window.
# * Padded steps with large predictions: they are in no moment, and have no gradient.
