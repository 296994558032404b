# %% [markdown]
# # Exercise 17. TLAB-JCA: temporal block and joint cross-attention
#
# Write the parts that are special to TLAB-JCA: the temporal block with a global and a "local" map, the attention over positions
# of the face that the sound guides (AVGA), and joint cross-attention, in which sound and face are updated from both of them.
# Replace every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 17_tlab_jca.py
#
# The equations are derived in tutorial 17, "TLAB-JCA: temporal block and joint cross-attention". Everything is for one
# sequence. Sizes: $T$ steps, $C$ channels, $D$ numbers of a key (in the update: of a step of $J$), $E$ hidden numbers, $N$
# positions of the face with $V$ numbers each.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# **Block.** $q = hW_q$, $k = \tau W_k$, $v = \tau W_v$, $S = q k^\top / \sqrt D$; $G$ is the softmax of each row of $S$, $A$
# that of each row of $S^\top$; $m = Av$, $y = Gm$.
#
# **AVGA.** With $f_{tn}$ the face at position $n$ and $a_t$ the sound, and the softmax over positions:
#
# $$R_{tn} = \max(f_{tn} U_f + b_f,\ 0), \quad Q_t = \max(a_t U_a + b_a,\ 0), \quad e_{tn} = \tanh(R_{tn} M_f + Q_t M_a),$$
#
# $$\alpha_{tn} = \mathrm{softmax}_n(e_{tn} \cdot w), \quad c_t = \sum_n \alpha_{tn} f_{tn}, \quad y_t = c_t W_o + b_o .$$
#
# **Update** of $x$, the sound or the face, by $J$:
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


def our_avga(f, a, Uf, bf, Ua, ba, Mf, Ma, w, Wo, bo):
    """Return R = max(f Uf + bf, 0), Q = max(a Ua + ba, 0), e = tanh(R Mf + Q Ma), the weights
    alpha of the positions, the average c of f, and y = c Wo + bo, of one sequence.

    f (T, N, V), a (T, C), Uf (V, C), bf (C,), Ua (C, C), ba (C,), Mf, Ma (C, E), w (E,),
    Wo (V, C), bo (C,)
    -> R (T, N, C), Q (T, C), e (T, N, E), alpha (T, N), c (T, V), y (T, C)
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
# Two steps of one channel, $h = (\ln 3, 0)$, $\tau = (1, 0)$, all maps 1. Then
# $S = \begin{pmatrix} \ln 3 & 0 \\ 0 & 0 \end{pmatrix}$, which is symmetric, so $G = A$, with rows $(3/4, 1/4)$ and
# $(1/2, 1/2)$. $m = Av = (3/4, 1/2)$ and $y = Gm = (11/16, 5/8)$.
#
#     >>> h, tau, one = np.array([[np.log(3)], [0.0]]), np.array([[1.0], [0.0]]), np.ones((1, 1))
#     >>> q, k, v, G, A, m, y = our_tlab(h, tau, one, one, one)
#     >>> G.round(6).tolist(), m.round(6).tolist(), y.round(6).tolist()
#     ([[0.75, 0.25], [0.5, 0.5]], [[0.75], [0.5]], [[0.6875], [0.625]])
#
# Two positions of one number, $f = (4, 8)$, no sound, and maps that are 1 but $M_f = 0$: all scores are 0, so both weights are
# $1/2$, $c = 6$, and with $b_o = 1$, $y = 7$.
#
#     >>> f, none = np.array([[[4.0], [8.0]]]), np.zeros((1, 1))
#     >>> R, Q, e, alpha, c, y = our_avga(f, none, one, none[0], one, none[0], none, one, one[0], one, one[0])
#     >>> R[0, :, 0].tolist(), alpha.tolist(), c.tolist(), y.tolist()
#     ([4.0, 8.0], [[0.5, 0.5]], [[6.0]], [[7.0]])
#
# One step, one channel, $x = 2$ and $J = (0, 0)$: $K = 0$, so with $W = 3$ and $W_H = 1/2$, $H = 6$ and $y = 3 + 2$.
#
#     >>> u, K, H, y = our_update(2 * one, np.zeros((1, 2)), one, 3 * one, np.ones((2, 1)), one / 2)
#     >>> K.tolist(), H.tolist(), y.tolist()
#     ([[0.0, 0.0]], [[6.0]], [[5.0]])
#
# ## Backward
#
# **Block.** First $dm$ and $dv$, then $dS$: $S$ is used twice, once transposed.
#
# **AVGA.** First $dc$ and $d\alpha$, then the scores $z$ and $\eta_{tn} = R_{tn} M_f + Q_t M_a$. $f$ is used twice, $Q_t$ at
# every position.
#
# **Update.** First $dH$, $dP$ (with $P = x^\top W + K W_K$), $dK$, $dN$ (with $N = uJ$) and $du$; $x$ is used three times.


# %%
def our_tlab_backward(dy, h, tau, Wq, Wk, Wv, q, k, v, G, A, m):
    """Return the gradients of m, v, of the scores S (scaled), of q, k, h and tau, and of
    the three maps.

    dy (T, D), the others as in our_tlab
    -> dm, dv (T, D), dS (T, T), dq, dk (T, D), dh, dtau (T, C), dWq, dWk, dWv (C, D)
    """
    ...


def our_avga_backward(dy, f, Uf, Ua, Mf, Ma, w, Wo, R, Q, e, alpha):
    """Return the gradients of c, alpha, the scores z, eta = R Mf + Q Ma, R, Q, f and a, and
    of the map Ma. R and Q are 0 exactly where their ReLU cuts.

    dy (T, C), the others as in our_avga
    -> dc (T, V), dalpha, dz (T, N), deta (T, N, E), dR (T, N, C), dQ (T, C), df (T, N, V),
    da (T, C), dMa (C, E)
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
# * Scores of 1000; a single step, for which both maps are 1; a single position, whose weight is 1.
# * **Joint cross-attention**: $J = (a, v)$ side by side, with $2C$ numbers at each step, and both $a$ and $v$ are updated from
#   it, each with maps of its own. Neither is replaced before the other is updated. Use your functions above; what does $J$
#   receive from each, and to which input does each half belong?


# %%
def our_joint_backward(dy_a, dy_v, a, v, WJ_a, W_a, WK_a, WH_a, WJ_v, W_v, WK_v, WH_v):
    """Return the gradients of J = [a, v] side by side, of a and of v, when both are updated
    from the same J.

    dy_a, dy_v, a, v (T, C), maps as in our_update -> dJ (T, 2 C), da, dv (T, C)
    """
    ...
