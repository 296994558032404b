# %% [markdown]
# # Exercise 17. TLAB-JCA
#
# Write what is TLAB-JCA's own: the temporal block with a global and a "local" map, and joint cross-attention, in which voice
# and face are updated from both of them. Replace every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 17_tlab_jca.py
#
# The equations are derived in tutorial 17, "TLAB-JCA, and the attention that is not local". Everything is for one sequence.
# Sizes: $T$ steps, $C$ channels, $D$ numbers of a key (in the update: of a step of $J$), $E$ hidden numbers.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# **Block.** $q = hW_q$, $k = \tau W_k$, $v = \tau W_v$, $S = q k^\top / \sqrt D$; $G$ is the softmax of each row of $S$, $A$
# that of each row of $S^\top$; $m = Av$, $y = Gm$.
#
# **Update** of $x$ by $J$:
#
# $$u = x^\top W_J, \quad K = \tanh\bigl(u J / \sqrt D\bigr), \quad H = \max(x^\top W + K W_K,\ 0), \quad
#   y = (H W_H)^\top + x .$$


# %%
def our_softmax(s):
    """Return a, the softmax of each row, finite even for scores of 1000.

    s (T, S) -> a (T, S)
    """
    ...


def our_tlab(h, tau, Wq, Wk, Wv):
    """Return queries, keys and values, the global map G, the local map A, m = A v, and y =
    G m, of one sequence.

    h, tau (T, C), Wq, Wk, Wv (C, D) -> q, k, v (T, D), G, A (T, T), m, y (T, D)
    """
    ...


def our_update(x, J, WJ, W, WK, WH):
    """Return u = x^T WJ, K = tanh(u J / sqrt(D)), H = max(x^T W + K WK, 0), and y =
    (H WH)^T + x, of one sequence.

    x (T, C), J (T, D), WJ (T, T), W (T, E), WK (D, E), WH (E, T)
    -> u (C, T), K (C, D), H (C, E), y (T, C)
    """
    ...


# %% [markdown]
# ## By hand
#
# Two steps of one channel, $h = (\ln 3, 0)$, $\tau = (1, 0)$, all maps 1. Then $S = \begin{pmatrix} \ln 3 & 0 \\ 0 & 0
# \end{pmatrix}$, which is symmetric, so $G = A$, with rows $(3/4, 1/4)$ and $(1/2, 1/2)$. $m = Av = (3/4, 1/2)$ and $y = Gm =
# (11/16, 5/8)$.
#
#     >>> h, tau, one = np.array([[np.log(3)], [0.0]]), np.array([[1.0], [0.0]]), np.ones((1, 1))
#     >>> q, k, v, G, A, m, y = our_tlab(h, tau, one, one, one)
#     >>> G.round(6).tolist(), m.round(6).tolist(), y.round(6).tolist()
#     ([[0.75, 0.25], [0.5, 0.5]], [[0.75], [0.5]], [[0.6875], [0.625]])
#
# One step, one channel, $x = 2$ and $J = (0, 0)$: $K = 0$, so with $W = 3$ and $W_H = 1/2$, $H = 6$ and $y = 3 + 2$.
#
#     >>> u, K, H, y = our_update(2 * one, np.zeros((1, 2)), one, 3 * one, np.ones((2, 1)), one / 2)
#     >>> K.tolist(), H.tolist(), y.tolist()
#     ([[0.0, 0.0]], [[6.0]], [[5.0]])
#
# ## Backward
#
# Of the block first $dm$ and $dv$, then $dS$: $S$ is used twice, once transposed. Of the update first $dH$, $dP$ (with $P =
# x^\top W + K W_K$), $dK$, $dN$ (with $N = uJ$) and $du$; $x$ is used three times.


# %%
def our_tlab_backward(dy, h, tau, Wq, Wk, Wv, q, k, v, G, A, m):
    """Return the gradients of m, v, of the scores S (scaled), of q, k, h and tau, and of
    the three maps.

    dy (T, D), the others as in our_tlab
    -> dm, dv (T, D), dS (T, T), dq, dk (T, D), dh, dtau (T, C), dWq, dWk, dWv (C, D)
    """
    ...


def our_update_backward(dy, x, J, WJ, W, WK, WH, u, K, H):
    """Return the gradients of H, P, K, N = u J, u, x and J, and of the four maps. H is 0
    exactly where P is 0 or less.

    dy (T, C), the others as in our_update
    -> dH, dP (C, E), dK, dN (C, D), du (C, T), dx (T, C), dJ (T, D), dWJ, dW, dWK, dWH in
    their shapes
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * Scores of 1000; a single step, for which both maps are 1.
# * **Joint cross-attention**: $J = (a, v)$ side by side, with $2C$ numbers at each step, and both $a$ and $v$ are updated from
#   it, each with maps of its own. Neither is replaced before the other is updated. Use your functions above; what does $J$ get
#   from each, and whose are its halves?


# %%
def our_joint_backward(dy_a, dy_v, a, v, WJ_a, W_a, WK_a, WH_a, WJ_v, W_v, WK_v, WH_v):
    """Return the gradients of J = [a, v] side by side, of a and of v, when both are updated
    from the same J.

    dy_a, dy_v, a, v (T, C), maps as in our_update -> dJ (T, 2 C), da, dv (T, C)
    """
    ...
