# %% [markdown]
# # Exercise 3. From a wave to log-mel
#
# Write the four steps from sound to a log-mel spectrogram (gain, pre-emphasis, frames, log-mel), and the way back: which
# sample of the wave would change a loss, and how much. Replace every `...` by your code and use NumPy alone. Then, in a
# terminal:
#
#     refmer grade 03_look_and_listen.py
#
# The steps are explained in tutorial 3, "From a spectrum to log-mel". Sizes: $B$ waves, $L$ samples each, $T$ frames, $N$
# samples of a frame, $J$ mel bands.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# **Gain.** $y_n = g x_n$ with $g = 0.1\, v^{-1/2}$, $v = \frac1L \sum_n x_n^2$: each wave gets a root mean square of 0.1.
#
# **Pre-emphasis.** $y_0 = x_0$ and $y_n = x_n - 0.97\, x_{n-1}$.
#
# **Frames.** $y_{tn} = x_{t \cdot \text{hop} + n}$ for $t = 0 \dots \text{count} - 1$.


# %%
def our_gain(x):
    """Return g = 0.1 / (root mean square of each wave) and y = g x.

    x (B, L) -> g (B, 1), y (B, L)
    """
    ...


def our_emphasis(x):
    """Return y: each sample minus 0.97 of the one before it; the first sample of a wave
    stays as it is.

    x (B, L) -> y (B, L)
    """
    ...


def our_frames(x, size, hop, count):
    """Return the first `count` frames: frame t has the samples from t * hop to t * hop +
    size - 1.

    x (B, L), size N, hop and count integers, (count - 1) * hop + N at most L
    -> y (B, count, N)
    """
    ...


# %% [markdown]
# **Log-mel.** For every frame $y_n$, with a window $w$ and mel filters $F_{kj}$, for $k = 0 \dots N/2$:
#
# $$u_n = w_n y_n, \qquad R_k = \sum_n u_n \cos \frac{2\pi kn}{N}, \qquad Q_k = -\sum_n u_n \sin \frac{2\pi kn}{N},$$
#
# $$P_k = \frac{R_k^2 + Q_k^2}{N}, \qquad M_j = \sum_k P_k F_{kj}, \qquad S_j = \ln (M_j + 10^{-10}) .$$
#
# $R$ and $Q$ are real and imaginary part of `np.fft.rfft(u)`; a product with a matrix of cosines does as well, and shows how to
# come back.


# %%
def our_log_mel(y, w, F):
    """Return real and imaginary part of the spectra of windowed frames, their powers P in
    mel bands, M, and S = ln(M + 1e-10).

    y (B, T, N) with N even, window w (N,), filters F (N/2 + 1, J)
    -> R, Q (B, T, N/2 + 1), M (B, T, J), S (B, T, J)
    """
    ...


# %% [markdown]
# ## By hand
#
# The wave $(3, 4)$ has $v = (9 + 16) / 2 = 12.5$ and $g = 0.1 / \sqrt{12.5} = 0.028284$. Pre-emphasis of $(1, 1, 1)$ leaves
# $(1, 0.03, 0.03)$.
#
#     >>> g, y = our_gain(np.array([[3.0, 4.0]]))
#     >>> g.round(6).tolist(), y.round(6).tolist()
#     ([[0.028284]], [[0.084853, 0.113137]])
#     >>> our_emphasis(np.ones((1, 3))).round(6).tolist()
#     [[1.0, 0.03, 0.03]]
#
# Frames of two samples with a hop of 1 overlap: of $(5, 6, 7)$ they are $(5, 6)$ and $(6, 7)$. If the upstream gradient of
# both is $(1, 2)$, the middle sample gets $2 + 1$.
#
#     >>> our_frames(np.array([[5.0, 6.0, 7.0]]), 2, 1, 2).tolist()
#     [[[5.0, 6.0], [6.0, 7.0]]]
#     >>> our_frames_backward(np.array([[[1.0, 2.0], [1.0, 2.0]]]), 3, 1).tolist()
#     [[1.0, 3.0, 2.0]]
#
# One frame $(1, 1)$ with a window of ones: $R = (2, 0)$, $Q = (0, 0)$, $P = (2, 0)$.
#
#     >>> R, Q, M, S = our_log_mel(np.ones((1, 1, 2)), np.ones(2), np.eye(2))
#     >>> R.round(6).tolist(), M.round(6).tolist(), S[..., 0].round(6).tolist()
#     ([[[2.0, 0.0]]], [[[2.0, 0.0]]], [[0.693147]])
#
# ## Backward
#
# Of each step. The gain is used by every sample of its wave, and every sample moves the gain. In pre-emphasis each sample has
# two uses. In frames that overlap, a sample has several; samples behind the last frame get 0.


# %%
def our_gain_backward(dy, x, g):
    """Return the gradients of g and x for the upstream gradient dy.

    dy (B, L), x (B, L), g (B, 1) -> dg (B, 1), dx (B, L)
    """
    ...


def our_emphasis_backward(dy):
    """Return the gradient of x for the upstream gradient dy.

    dy (B, L) -> dx (B, L)
    """
    ...


def our_frames_backward(dy, length, hop):
    """Return the gradient of x, waves of `length` samples, for the upstream gradient dy.

    dy (B, count, N), length L and hop integers -> dx (B, L)
    """
    ...


# %% [markdown]
# Of log-mel, return every stage: $dM$, $dP$, $dR$, $dQ$, $du$ and the gradient of the frames.


# %%
def our_log_mel_backward(dy, w, F, R, Q, M):
    """Return the gradients of M, P, R, Q, of the windowed frames u, and of the frames, for
    the upstream gradient dy of S.

    dy (B, T, J), the others as in our_log_mel
    -> dM (B, T, J), dP, dR, dQ (B, T, N/2 + 1), du, dframes (B, T, N)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * A frame of zeros: $M = 0$, and the logarithm is that of $10^{-10}$. Its gradient is finite.
# * A very soft wave; a wave of a single sample.
# * A hop that is larger than a frame leaves samples that no frame uses.
