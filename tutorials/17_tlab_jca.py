# %% [markdown]
# # 17. TLAB-JCA: temporal block and joint cross-attention
#
# Introduces: `refmer.layers.tlab.describe_tlab`, `refmer.layers.tlab.tlab`, `refmer.layers.tlab.describe_avga`,
# `refmer.layers.tlab.avga`, `refmer.layers.tlab.joint_cross_attention`, `refmer.layers.sequence.lstm_direction`,
# `refmer.systems.tlab_jca.Config`, `refmer.systems.tlab_jca.describe`, `refmer.systems.tlab_jca.forward`
#
# **After this page** you can derive the forward and the backward of every part of paper 003: the temporal block with its two
# softmaxes, the attention over positions of the face, joint cross-attention and the bidirectional LSTM. You can also show that
# the "local" attention of the paper is not local.
#
# **Time.** 90 minutes to read, 5 seconds to run.
#
# **You need** tutorials 2, 7, 8, 10 and 13: pictures of data flow (13), the proof of a gradient by a complex step; scaled
# dot-product attention and the backward of a softmax; masks of padded steps; the LSTM and the temporal convolution network
# (TCN).

# %%
import matplotlib.pyplot as plt
import numpy as np

from refmer import params
from refmer.check import assert_gradient
from refmer.diagrams import draw
from refmer.layers.convolution import tcn
from refmer.layers.dense import mlp
from refmer.layers.sequence import describe_lstm, lstm, lstm_direction
from refmer.layers.tlab import avga, describe_avga, describe_tlab, joint_cross_attention, tlab
from refmer.systems import tlab_jca

rng = np.random.default_rng(0)

draw("tlab_jca")

# %% [markdown]
# ## The system at a glance
#
# TLAB-JCA (paper 003) predicts valence and arousal of a recording along time. The recording is cut into *sub-sequences* of
# 0.64 s. One sub-sequence is one *step* $t$ of everything below. A *window* has $T = 16$ steps.
#
# Two encoders come first. They are pretrained and frozen in the paper; in refmer's tiny size they are small and trained with
# the rest. They give for each step one vector $s_t$ of the sound, and one vector $f_{tn}$ for each of $N$ positions $n$ of the
# face. In the tiny size there are nine positions, the patches of a 3 by 3 grid: $f_{tn} = \max(p_{tn} W_n + b_n,\ 0)$, where
# $p_{tn}$ has the pixels of patch $n$, and each patch has a map $W_n, b_n$ of its own.
#
# The parts follow in this order. $C$ is the width of the network.
#
# | part | equations | reads | returns |
# |---|---|---|---|
# | temporal block of the sound (TLAB) | (1) to (6) | $s$ $(T, C)$ | $a$ $(T, C)$ |
# | audio-guided attention over positions (AVGA) | (7) | $f$ $(T, N, C)$ and $a$ $(T, C)$ | $x$ $(T, C)$ |
# | temporal block of the face (TLAB) | (1) to (6) | $x$ $(T, C)$ | $v$ $(T, C)$ |
# | joint cross-attention (JCA) | (8) to (11) | $a$ and $v$ | new $a$ and $v$, $(T, C)$ each |
# | bidirectional LSTM (BLSTM) | (12), (13) | $(v, a)$ side by side, $(T, 2C)$ | $(T, 2L)$ |
# | two linear maps | (14) | $(T, 2L)$ | valence and arousal, $(T, 2)$ |
#
# This page treats one sequence at a time. refmer's layers do the same for a batch, with one more axis in front.
#
# As in the whole library, a vector is a row: a map $W$ of shape $(C, D)$ turns $x$ of shape $(T, C)$ into $xW$ of shape
# $(T, D)$.
#
# Two signs are used in every backward. $\odot$ is the product of elements, `*` in NumPy. $[\cdot]$ is 1 where the condition
# holds and else 0, for each element by itself.

# %% [markdown]
# ## A softmax of each row
#
# Both attentions of the block use the softmax of each row of a square matrix $S$ of scores:
#
# $$a_{ts} = \frac{e^{S_{ts}}}{\sum_j e^{S_{tj}}} .$$
#
# By hand, with the row $(\ln 3, 0)$: the exponentials are 3 and 1, their sum is 4, and the softmax is $(3/4, 1/4)$.
#
# Scores of 1000 overflow the exponential. Subtracting the largest score of the row first changes no ratio, and so not $a$.


# %%
def our_softmax(s):
    """Return a, the softmax of each row, finite even for scores of 1000.

    s (T, S) -> a (T, S)
    """
    e = np.exp(s - s.real.max(-1, keepdims=True))
    a = e / e.sum(-1, keepdims=True)
    return a


np.testing.assert_allclose(our_softmax(np.array([[np.log(3), 0.0]])), [[3 / 4, 1 / 4]])

# %% [markdown]
# Tutorial 7 derives its backward. If $da$ is the gradient of $a$, then the gradient of the scores is
#
# $$B(a, da)_{ts} = a_{ts} \Bigl(da_{ts} - \sum_j a_{tj}\, da_{tj}\Bigr) .$$
#
# It is called $B$ in what follows.

# %% [markdown]
# ## The temporal block: forward
#
# One sequence $x$ of shape $(T, C)$ is read twice: by an LSTM, $h = \mathrm{LSTM}(x)$, and by a TCN, $\tau = \mathrm{TCN}(x)$.
# Both are of shape $(T, C)$. Where a recording is shorter than the window, both get a mask: with `mask=`, an LSTM keeps its
# state at a padded step and gives the output 0 there.
#
# Queries come from the LSTM, keys and values from the TCN:
#
# $$q = h\,W_q, \qquad k = \tau\, W_k, \qquad v = \tau\, W_v, \qquad S_{ts} = \frac{1}{\sqrt D} \sum_d q_{td}\, k_{sd} .$$
#
# The three maps have the shape $(C, D)$ and no bias. In the paper $D = C$. $S$ is of shape $(T, T)$: its row is the step $t$ of
# the query, its column the step $s$ of the key.
#
# The same scores are used for two maps. The first is ordinary attention, "global" in the paper. The second takes the softmax of
# the transposed scores, $k q^\top / \sqrt D$, and is called "local":
#
# $$G_{ts} = \frac{e^{S_{ts}}}{\sum_j e^{S_{tj}}} \;\text{(eq. 4)}, \qquad
#   A_{ts} = \frac{e^{S_{st}}}{\sum_j e^{S_{jt}}} \;\text{(eq. 5)} .$$
#
# The local map is applied to the values first, and the global map to the result (eq. 6):
#
# $$m = A\,v, \qquad y = G\,m .$$
#
# By hand: two steps, one channel, $h = (\ln 3, 0)$, $\tau = (1, 0)$, all three maps equal to 1. Then $q = (\ln 3, 0)$,
# $k = v = (1, 0)$, and
#
# $$S = \begin{pmatrix} \ln 3 & 0 \\ 0 & 0 \end{pmatrix}, \qquad
#   G = A = \begin{pmatrix} 3/4 & 1/4 \\ 1/2 & 1/2 \end{pmatrix}, \qquad
#   m = \begin{pmatrix} 3/4 \\ 1/2 \end{pmatrix}, \qquad y = \begin{pmatrix} 11/16 \\ 5/8 \end{pmatrix} .$$
#
# $G = A$ here because this $S$ is symmetric. In general they differ.


# %%
def our_tlab(h, tau, Wq, Wk, Wv):
    """Return queries, keys and values, the global map G, the local map A, m = A v, and y =
    G m, of one sequence.

    h, tau (T, C), Wq, Wk, Wv (C, D) -> q, k, v (T, D), G, A (T, T), m, y (T, D)
    """
    q, k, v = h @ Wq, tau @ Wk, tau @ Wv
    S = q.shape[1] ** -0.5 * q @ k.T
    G, A = our_softmax(S), our_softmax(S.T)
    m = A @ v
    y = G @ m
    return q, k, v, G, A, m, y


one = np.ones((1, 1))
two_steps = our_tlab(np.array([[np.log(3)], [0.0]]), np.array([[1.0], [0.0]]), one, one, one)
np.testing.assert_allclose(two_steps[-1][:, 0], [11 / 16, 5 / 8])

# %% [markdown]
# ## The temporal block: backward
#
# Read the forward from its end. Let $dy$ be the gradient of $y$, of shape $(T, D)$.
#
# $y = G\,m$ is a product of two matrices, so
#
# $$dm = G^\top dy, \qquad dG = dy\, m^\top .$$
#
# $m = A\,v$ is another one:
#
# $$dv = A^\top dm, \qquad dA = dm\, v^\top .$$
#
# $S$ is used twice: $G$ is the softmax of $S$, and $A$ is the softmax of $S^\top$. The gradient of $S^\top$ is $B(A, dA)$, so
# it has to be transposed before the two are added:
#
# $$dS = B(G, dG) + B(A, dA)^\top .$$
#
# $S = q k^\top / \sqrt D$ gives
#
# $$dq = dS\, k / \sqrt D, \qquad dk = dS^\top q / \sqrt D .$$
#
# At last the three maps. $h$ is used once, $\tau$ twice, for keys and for values:
#
# $$dh = dq\, W_q^\top, \qquad d\tau = dk\, W_k^\top + dv\, W_v^\top, \qquad
#   dW_q = h^\top dq, \quad dW_k = \tau^\top dk, \quad dW_v = \tau^\top dv .$$


# %%
def our_tlab_backward(dy, h, tau, Wq, Wk, Wv, q, k, v, G, A, m):
    """Return the gradients of m, v, of the scores S (scaled), of q, k, h and tau, and of
    the three maps.

    dy (T, D), the others as in our_tlab
    -> dm, dv (T, D), dS (T, T), dq, dk (T, D), dh, dtau (T, C), dWq, dWk, dWv (C, D)
    """
    c = q.shape[1] ** -0.5
    dm = G.T @ dy
    dv = A.T @ dm
    dG, dA = dy @ m.T, dm @ v.T
    dS = G * (dG - (G * dG).sum(-1, keepdims=True)) + (A * (dA - (A * dA).sum(-1, keepdims=True))).T
    dq = c * dS @ k
    dk = c * dS.T @ q
    dh = dq @ Wq.T
    dtau = dk @ Wk.T + dv @ Wv.T
    dWq, dWk, dWv = h.T @ dq, tau.T @ dk, tau.T @ dv
    return dm, dv, dS, dq, dk, dh, dtau, dWq, dWk, dWv


# %% [markdown]
# refmer's block is `tlab(p, recurrent, convolved)`. It is compared with ours on a random sequence, with $T = 16$ and
# $C = D = 6$.

# %%
T, C = 16, 6
p = params.init(describe_tlab(C), seed=0, dtype=np.float64)
h, tau, dy = rng.normal(size=(3, T, C))

y, backward = tlab(p, h[None], tau[None])
g = params.zeros_like(p)
dh, dtau = backward(dy[None], g)

maps = p.query.W, p.key.W, p.value.W
*saved, our_y = our_tlab(h, tau, *maps)
gradients = our_tlab_backward(dy, h, tau, *maps, *saved)

# Lesson 1: refmer's block is these equations, forwards and backwards.
np.testing.assert_allclose(our_y, y[0], rtol=1e-9, atol=1e-12)
for ours, theirs in zip(gradients[5:], (dh[0], dtau[0], g.query.W, g.key.W, g.value.W), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)

# %% [markdown]
# ## The "local" map is not local
#
# An attention is local if $A_{ts}$ is small wherever $|t - s|$ is large. Whether eq. (5) is local can be found out without any
# training: shuffle the steps.
#
# Let $\Pi$ be a permutation matrix, so that $\Pi h$ and $\Pi \tau$ are the sequences with their steps in another order, the
# same for both. Then
#
# $$q \to \Pi q, \qquad k \to \Pi k, \qquad S \to \Pi S \Pi^\top .$$
#
# A softmax treats the numbers of a row alike, whatever their order. So $A$ becomes $\Pi A \Pi^\top$: the weight of each pair of
# steps stays the same, wherever the two steps now stand. $A_{ts}$ depends on the contents of the steps $t$ and $s$ and not on
# $|t - s|$. It cannot be local.
#
# refmer has a switch that the paper does not have: `band=w` hides all pairs with $|t - s| > w$ from $A$. With it, the map of
# the shuffled steps is another one.


# %%
def global_and_local(h, tau, band=None):
    trace = {}
    tlab(p, h[None], tau[None], band=band, trace=trace)
    return trace["global"][0], trace["local"][0]


shuffle = np.eye(T)[rng.permutation(T)]  # the matrix Π


def change_by_shuffling(band):
    local = global_and_local(h, tau, band)[1]
    of_shuffled = global_and_local(shuffle @ h, shuffle @ tau, band)[1]
    return np.abs(of_shuffled - shuffle @ local @ shuffle.T).max()


# Lesson 2: if steps are shuffled, the weights of the "local" map move along with them; those of a banded map do not.
assert change_by_shuffling(None) < 1e-12
assert change_by_shuffling(1) > 0.1

# %% [markdown]
# ## Two averages in a row
#
# Each row of $A$ has positive numbers with sum 1, so each row of $Av$ is a weighted average of the rows of $v$. $G$ averages
# again. Averages of similar weights are similar. How much two averages lose can be bounded.
#
# Let $\delta(A)$ measure how different the rows of $A$ are:
#
# $$\delta(A) = \max_{t, t'} \tfrac12 \sum_s |A_{ts} - A_{t's}| .$$
#
# It is 0 if all rows are equal, and 1 if two rows have no step in common.
#
# By hand, with the map of the example above: the rows $(3/4, 1/4)$ and $(1/2, 1/2)$ differ by $1/4$ in each of two places, so
# $\delta(A) = \frac12 (\frac14 + \frac14) = \frac14$.
#
# Let the *spread* of a channel $v$ be its largest minus its smallest value. For two steps $t$ and $t'$,
#
# $$(Av)_t - (Av)_{t'} = \sum_s (A_{ts} - A_{t's})\, v_s .$$
#
# Both rows have the sum 1, so the differences $A_{ts} - A_{t's}$ have the sum 0: their positive part and their negative part
# are of the same size, at most $\delta(A)$. The positive part is multiplied by at most $\max v$, the negative part by at least
# $\min v$. So
#
# $$\mathrm{spread}(Av) \le \delta(A)\ \mathrm{spread}(v), \qquad
#   \mathrm{spread}(G A v) \le \delta(G)\, \delta(A)\ \mathrm{spread}(v) .$$
#
# In the example $v = (1, 0)$ has the spread 1, and $y = (11/16, 5/8)$ has the spread $1/16 = \frac14 \cdot \frac14$.


# %%
def delta(a):
    rows, other_rows = a[:, None, :], a[None, :, :]
    return 0.5 * np.abs(rows - other_rows).sum(-1).max()


example_G, example_A = two_steps[3:5]
np.testing.assert_allclose([delta(example_A), np.ptp(two_steps[-1])], [1 / 4, 1 / 16])

# %% [markdown]
# The same for the random sequence, and for scores that are ten times smaller. Before training, scores are small: both maps are
# nearly uniform, $\delta$ is near 0, and all steps of a window come out alike.

# %%
G, A = global_and_local(h, tau)
G_small, A_small = global_and_local(h / 10, tau)

fig, axes = plt.subplots(1, 4, figsize=(12, 3.6), layout="constrained")
images = {"global map G": G, "local map A": A, "product G A": G @ A, "G A, scores / 10": G_small @ A_small}
for ax, (name, weights) in zip(axes, images.items(), strict=True):
    ax.imshow(weights, vmin=0, vmax=0.3)
    ax.set(xlabel="step s of the key", ylabel="step t")
    ax.set_title(f"{name}, δ = {delta(weights):.2f}", fontsize=10)
fig.suptitle("Attention weights of one random sequence of 16 steps, untrained block, seed 0")
plt.show()

# Lesson 3: the product of both maps is one more average, whose rows are at least as similar as the bound says.
assert np.allclose((G @ A).sum(-1), 1)
assert delta(G @ A) <= delta(G) * delta(A) + 1e-12
assert delta(G_small @ A_small) < 0.1 * delta(G @ A)

# %% [markdown]
# ## Attention over positions of the face (AVGA)
#
# The face has $N$ positions at each step, and the next block reads one vector. AVGA averages the positions, with weights that
# depend on the face and on the sound. The step $t$ is the same everywhere in this section: nothing is summed along time.
#
# From here on $a$ and $v$ are the outputs of the two blocks, as in the table at the top of the page. (Inside a block, $v$ was
# the values.)
#
# First, both inputs go through a linear map with bias and a ReLU, $\max(\cdot, 0)$. $f_{tn}$ is the face at position $n$, $a_t$
# the sound's block:
#
# $$R_{tn} = \max(f_{tn} U_f + b_f,\ 0), \qquad Q_t = \max(a_t U_a + b_a,\ 0) .$$
#
# Second, both are mapped to $E$ numbers and added; the sound's term is the same for all positions. A tanh follows, and a
# product with the vector $w$ gives one score for each position. These maps have no bias:
#
# $$e_{tn} = \tanh(R_{tn} M_f + Q_t M_a), \qquad z_{tn} = e_{tn} \cdot w .$$
#
# Third, a softmax over positions gives weights, and the face is averaged with them. This is eq. (7). One more linear map with
# bias follows:
#
# $$\alpha_{tn} = \frac{e^{z_{tn}}}{\sum_j e^{z_{tj}}}, \qquad c_t = \sum_n \alpha_{tn}\, f_{tn}, \qquad y_t = c_t W_o + b_o .$$
#
# $y$ is what the block of the face reads, the $x$ of the table at the top of the page.
#
# $f$ is used twice: for the scores and for the average.
#
# | symbol | shape | name in refmer | bias |
# |---|---|---|---|
# | $U_f$, $b_f$ | $(V, C)$, $(C)$ | `visual` | yes |
# | $U_a$, $b_a$ | $(C, C)$, $(C)$ | `audio` | yes |
# | $M_f$ | $(C, E)$ | `from_visual` | no |
# | $M_a$ | $(C, E)$ | `from_audio` | no |
# | $w$ | $(E, 1)$ | `score` | no |
# | $W_o$, $b_o$ | $(V, C)$, $(C)$ | `out` | yes |
#
# Our functions take $w$ as a vector of shape $(E)$; refmer stores it as a map of shape $(E, 1)$.
#
# $V$ is the number of channels of a position, $C$ the width of the network. $E$ is the hidden width of AVGA. In refmer's
# `Config` it has the name `positions`, because it is 49 in the authors' code, and so is the number $N$ of positions there. The
# two need not be equal: $N$ follows from the input alone, no map of the table has the axis $N$.
#
# By hand: two positions with one channel each, $f = (4, 8)$, and let the scores be $(\ln 3, 0)$. Then the weights are
# $(3/4, 1/4)$, and $c = \frac34 \cdot 4 + \frac14 \cdot 8 = 5$.

# %%
np.testing.assert_allclose(our_softmax(np.array([[np.log(3), 0.0]])) @ np.array([[4.0], [8.0]]), 5)

# %% [markdown]
# ## Attention over positions: backward
#
# Let $dy_t$ be the gradient of $y_t$. The output map gives
#
# $$dc_t = dy_t W_o^\top, \qquad dW_o = \sum_t c_t^\top dy_t, \qquad db_o = \sum_t dy_t .$$
#
# The average $c_t = \sum_n \alpha_{tn} f_{tn}$ gives the gradient of the weights, and the first part of the gradient of $f$:
#
# $$d\alpha_{tn} = dc_t \cdot f_{tn}, \qquad df_{tn} = \alpha_{tn}\, dc_t + \dots$$
#
# The softmax runs over positions, so its backward has a sum over positions:
#
# $$dz_{tn} = \alpha_{tn} \Bigl(d\alpha_{tn} - \sum_j \alpha_{tj}\, d\alpha_{tj}\Bigr) .$$
#
# Let $\eta_{tn} = R_{tn} M_f + Q_t M_a$, so that $e_{tn} = \tanh \eta_{tn}$. With $\tanh' = 1 - \tanh^2$,
#
# $$dw = \sum_{tn} e_{tn}\, dz_{tn}, \qquad d\eta_{tn} = dz_{tn}\; w \odot (1 - e_{tn}^2) .$$
#
# Here $dz_{tn}$ is one number, while $w$, $e_{tn}$ and $d\eta_{tn}$ have $E$ numbers each.
#
# $R_{tn}$ belongs to one position. $Q_t$ is used at all positions, so its gradient is a sum over them:
#
# $$dR_{tn} = d\eta_{tn} M_f^\top, \qquad dQ_t = \sum_n d\eta_{tn} M_a^\top .$$
#
# $dR$ and $dQ$ are the gradients of the outputs of the ReLUs. A ReLU lets the gradient pass where its output is positive. The
# two linear maps follow, and complete the gradients of both inputs:
#
# $$df_{tn} = \alpha_{tn}\, dc_t + \bigl(dR_{tn} \odot [R_{tn} > 0]\bigr) U_f^\top, \qquad
#   da_t = \bigl(dQ_t \odot [Q_t > 0]\bigr) U_a^\top .$$
#
# The gradients of $M_f$, $M_a$, $U_f$, $U_a$ and of the two biases follow as for every linear map (tutorial 1): input times
# gradient of the output, summed over all uses. For $M_f$ and $U_f$, that is over steps and positions; for $M_a$ and $U_a$, over
# steps. The term $Q_t M_a$ has the gradient $\sum_n d\eta_{tn}$, so
#
# $$dM_f = \sum_{tn} R_{tn}^\top\, d\eta_{tn}, \qquad dM_a = \sum_t Q_t^\top \sum_n d\eta_{tn} .$$


# %%
def our_avga(f, a, Uf, bf, Ua, ba, Mf, Ma, w, Wo, bo):
    """Return R = max(f Uf + bf, 0), Q = max(a Ua + ba, 0), e = tanh(R Mf + Q Ma), the weights
    alpha of the positions, the average c of f, and y = c Wo + bo, of one sequence.

    f (T, N, V), a (T, C), Uf (V, C), bf (C,), Ua (C, C), ba (C,), Mf, Ma (C, E), w (E,),
    Wo (V, C), bo (C,)
    -> R (T, N, C), Q (T, C), e (T, N, E), alpha (T, N), c (T, V), y (T, C)
    """
    R, Q = f @ Uf + bf, a @ Ua + ba
    R, Q = np.where(R.real > 0, R, 0), np.where(Q.real > 0, Q, 0)
    e = np.tanh(R @ Mf + (Q @ Ma)[:, None])
    alpha = our_softmax(e @ w)
    c = (alpha[..., None] * f).sum(1)
    y = c @ Wo + bo
    return R, Q, e, alpha, c, y


def our_avga_backward(dy, f, Uf, Ua, Mf, Ma, w, Wo, R, Q, e, alpha):
    """Return the gradients of c, alpha, the scores z, eta = R Mf + Q Ma, R, Q, f and a, and
    of the map Ma. R and Q are 0 exactly where their ReLU cuts.

    dy (T, C), the others as in our_avga
    -> dc (T, V), dalpha, dz (T, N), deta (T, N, E), dR (T, N, C), dQ (T, C), df (T, N, V),
    da (T, C), dMa (C, E)
    """
    dc = dy @ Wo.T
    dalpha = (f * dc[:, None]).sum(-1)
    dz = alpha * (dalpha - (alpha * dalpha).sum(-1, keepdims=True))
    deta = dz[..., None] * w * (1 - e * e)
    dR = deta @ Mf.T
    dQ = deta.sum(1) @ Ma.T
    df = alpha[..., None] * dc[:, None] + np.where(R.real > 0, dR, 0) @ Uf.T
    da = np.where(Q.real > 0, dQ, 0) @ Ua.T
    dMa = Q.T @ deta.sum(1)
    return dc, dalpha, dz, deta, dR, dQ, df, da, dMa


# %% [markdown]
# Compared with refmer, with random biases (a fresh network has biases of 0). Here $V = 5$, $N = 4$ and $E = 7$.

# %%
V, N, E = 5, 4, 7
p_avga = params.init(describe_avga(V, C, C, E), seed=0, dtype=np.float64)
p_avga.vector[:] = rng.normal(size=p_avga.vector.size) / 2
f, a, dy = rng.normal(size=(T, N, V)), rng.normal(size=(T, C)), rng.normal(size=(T, C))

Uf, bf, Ua, ba = p_avga.visual.W, p_avga.visual.b, p_avga.audio.W, p_avga.audio.b
Mf, Ma, w = p_avga.from_visual.W, p_avga.from_audio.W, p_avga.score.W[:, 0]
Wo, bo = p_avga.out.W, p_avga.out.b
R, Q, e, alpha, c, our_y = our_avga(f, a, Uf, bf, Ua, ba, Mf, Ma, w, Wo, bo)
our_df, our_da, our_dMa = our_avga_backward(dy, f, Uf, Ua, Mf, Ma, w, Wo, R, Q, e, alpha)[-3:]

y, backward = avga(p_avga, f[None], a[None])
g = params.zeros_like(p_avga)
df, da = backward(dy[None], g)

# Lesson 4: AVGA is these equations, with three biases; the sound's gradient is a sum over the positions.
np.testing.assert_allclose(our_y, y[0], rtol=1e-9)
for ours, theirs in ((our_df, df[0]), (our_da, da[0]), (our_dMa, g.from_audio.W)):
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)

# %% [markdown]
# The authors' code differs here. It adds the sound's term along the axis of positions and not along the hidden axis, which
# raises no error because both have the length 49. And it reads channels of its flattened maps as positions. refmer follows the
# equation; both have the same number of parameters.

# %% [markdown]
# ## Joint cross-attention: forward
#
# The two blocks have returned $a$ for the sound and $v$ for the face, of shape $(T, C)$ each. *Joint* is the matrix of both,
# side by side (eq. 8):
#
# $$J_t = (a_t, v_t), \qquad J \text{ of shape } (T, D) \text{ with } D = 2C .$$
#
# $a$ is updated from $J$, and so is $v$. The equations are the same for both, so they are written for $x$, which is either $a$
# or $v$. $x^\top$ has the shape $(C, T)$: the maps act *along time*, which is why they fix the number $T$ of steps.
#
# | equation | shape | what it is |
# |---|---|---|
# | $u = x^\top W_J$ | $(C, T)$ | $x$, mixed along time by $W_J$ of shape $(T, T)$ |
# | $K = \tanh\bigl(u J / \sqrt D\bigr)$ (eq. 9) | $(C, D)$ | each channel of $x$ with each channel of $J$, summed over time |
# | $P = x^\top W + K W_K$ | $(C, E)$ | $W$ is $(T, E)$ and $W_K$ is $(D, E)$; $E$ hidden numbers |
# | $H = \max(P, 0)$ (eq. 10) | $(C, E)$ | a ReLU |
# | $y = (H W_H)^\top + x$ (eq. 11) | $(T, C)$ | $W_H$ is $(E, T)$: back to time; then the residual $+\,x$ |
#
# The shapes that the paper prints for these maps do not fit each other (see `docs/deviations.md`). These are the shapes of the
# code of Praveen et al., whose method it is. $E$ is 32 there; in refmer's `Config` it is `hidden`, and not the $E$ of AVGA.
#
# The sound and the face have four maps each, of the same shapes. No map is shared:
#
# | | $W_J$ | $W$ | $W_K$ | $W_H$ |
# |---|---|---|---|---|
# | update of $a$ | $W_J^a$ | $W^a$ | $W_K^a$ | $W_H^a$ |
# | update of $v$ | $W_J^v$ | $W^v$ | $W_K^v$ | $W_H^v$ |
# | name in refmer (`fuse.audio`, `fuse.visual`) | `correlate` | `time` | `relate` | `expand` |
#
# By hand: one step, one channel, $x = 2$, $J = (0, 0)$. Then $u J = 0$ and $K = (0, 0)$. With $W = 3$, $P = 6$ and $H = 6$.
# With $W_H = 1/2$, $y = 3 + 2 = 5$. With $W = -3$ instead, $P = -6$ is cut to $H = 0$, and $y = x = 2$: only the residual
# remains.


# %%
def our_update(x, J, WJ, W, WK, WH):
    """Return u = x^T WJ, K = tanh(u J / sqrt(D)), H = max(x^T W + K WK, 0), and y =
    (H WH)^T + x, of one sequence.

    x (T, C), J (T, D), WJ (T, T), W (T, E), WK (D, E), WH (E, T)
    -> u (C, T), K (C, D), H (C, E), y (T, C)
    """
    u = x.T @ WJ
    K = np.tanh(u @ J * J.shape[1] ** -0.5)
    P = x.T @ W + K @ WK
    H = np.where(P.real > 0, P, 0)
    y = (H @ WH).T + x
    return u, K, H, y


no_joint, column = np.zeros((1, 2)), np.ones((2, 1))
assert our_update(2 * one, no_joint, one, 3 * one, column, one / 2)[-1] == 5
assert our_update(2 * one, no_joint, one, -3 * one, column, one / 2)[-1] == 2

# %% [markdown]
# ## Joint cross-attention: backward of one update
#
# Read the table above from its last line. Let $dy$ be the gradient of $y$, of shape $(T, C)$.
#
# $y = (H W_H)^\top + x$. The product is transposed, so it receives $dy^\top$, of shape $(C, T)$:
#
# $$dH = dy^\top W_H^\top, \qquad dW_H = H^\top dy^\top .$$
#
# The ReLU lets the gradient pass where $P > 0$, which is where $H > 0$:
#
# $$dP = dH \odot [P > 0] .$$
#
# $P = x^\top W + K W_K$ has two products:
#
# $$dK = dP\, W_K^\top, \qquad dW = x\, dP, \qquad dW_K = K^\top dP .$$
#
# Let $N = uJ$, so that $K = \tanh(N / \sqrt D)$:
#
# $$dN = dK \odot (1 - K^2) / \sqrt D, \qquad du = dN\, J^\top, \qquad dJ = u^\top dN, \qquad dW_J = x\, du .$$
#
# $x$ is used three times: in $u$, in $x^\top W$ and as the residual. So its gradient has three terms:
#
# $$dx = dy + \bigl(du\, W_J^\top + dP\, W^\top\bigr)^\top .$$


# %%
def our_update_backward(dy, x, J, WJ, W, WK, WH, u, K, H):
    """Return the gradients of H, P, K, N = u J, u, x and J, and of the four maps. H is 0
    exactly where P is 0 or less.

    dy (T, C), the others as in our_update
    -> dH, dP (C, E), dK, dN (C, D), du (C, T), dx (T, C), dJ (T, D), dWJ, dW, dWK, dWH in
    their shapes
    """
    dH = dy.T @ WH.T
    dP = np.where(H.real > 0, dH, 0)
    dK = dP @ WK.T
    dN = dK * (1 - K * K) * J.shape[1] ** -0.5
    du = dN @ J.T
    dx = dy + (du @ WJ.T + dP @ W.T).T
    dJ = u.T @ dN
    dWJ, dW, dWK, dWH = x @ du, x @ dP, K.T @ dP, H.T @ dy.T
    return dH, dP, dK, dN, du, dx, dJ, dWJ, dW, dWK, dWH


# %% [markdown]
# ## Joint cross-attention: both updates
#
# $J$ is made once, of the old $a$ and the old $v$. Both updates read this $J$. The new $a$ is not put into $J$ before $v$ is
# updated, so the order of the two updates does not matter.
#
# In the backward, $J$ was used by both updates, so
#
# $$dJ = dJ_a + dJ_v ,$$
#
# where $dJ_a$ comes from the update of $a$ and $dJ_v$ from that of $v$. The first $C$ columns of $J$ are $a$, the last $C$
# columns are $v$. With $dx_a$ and $dx_v$ the gradients of $x$ of the two updates,
#
# $$da = dx_a + dJ_{:,\,:C}, \qquad dv = dx_v + dJ_{:,\,C:} .$$
#
# So a gradient of the new $a$ alone reaches the old $v$, through $J$: the face receives a gradient from the sound.


# %%
def our_joint_backward(dy_a, dy_v, a, v, WJ_a, W_a, WK_a, WH_a, WJ_v, W_v, WK_v, WH_v):
    """Return the gradients of J = [a, v] side by side, of a and of v, when both are updated
    from the same J.

    dy_a, dy_v, a, v (T, C), maps as in our_update -> dJ (T, 2 C), da, dv (T, C)
    """
    J = np.concatenate([a, v], axis=1)
    u, K, H, _ = our_update(a, J, WJ_a, W_a, WK_a, WH_a)
    da, dJ_a = our_update_backward(dy_a, a, J, WJ_a, W_a, WK_a, WH_a, u, K, H)[5:7]
    u, K, H, _ = our_update(v, J, WJ_v, W_v, WK_v, WH_v)
    dv, dJ_v = our_update_backward(dy_v, v, J, WJ_v, W_v, WK_v, WH_v, u, K, H)[5:7]
    dJ = dJ_a + dJ_v
    da = da + dJ[:, : a.shape[1]]
    dv = dv + dJ[:, a.shape[1] :]
    return dJ, da, dv


# %% [markdown]
# Compared with refmer, on random $a$ and $v$ with $T = 8$. `small` is a small configuration of the whole system; here only its
# part `fuse` is used. `positions=7` is the hidden width of AVGA, `hidden=3` the $E$ of joint cross-attention, and `joint=10`
# the width $2L$ of the BLSTM. The face has 4 positions of 5 numbers, the sound 6 numbers.

# %%
small = tlab_jca.Config(sound=(6,), face=(4, 5), width=6, joint=10, head=7, hidden=3, positions=7, joint_layers=1, steps=8)
p = params.init(tlab_jca.describe(small), seed=0, dtype=np.float64)


def four_maps(tree):
    return tree.correlate.W, tree.time.W, tree.relate.W, tree.expand.W


a, v, dy_a, dy_v = rng.normal(size=(4, 8, 6))
(y_a, y_v), backward = joint_cross_attention(p.fuse, a[None], v[None])
g = params.zeros_like(p).fuse
da, dv = backward((dy_a[None], dy_v[None]), g)

J = np.concatenate([a, v], axis=1)
*saved_a, our_y_a = our_update(a, J, *four_maps(p.fuse.audio))
*saved_v, our_y_v = our_update(v, J, *four_maps(p.fuse.visual))
dmaps_a = our_update_backward(dy_a, a, J, *four_maps(p.fuse.audio), *saved_a)[7:]
dmaps_v = our_update_backward(dy_v, v, J, *four_maps(p.fuse.visual), *saved_v)[7:]
_, our_da, our_dv = our_joint_backward(dy_a, dy_v, a, v, *four_maps(p.fuse.audio), *four_maps(p.fuse.visual))

ours = our_y_a, our_y_v, our_da, our_dv, *dmaps_a, *dmaps_v
theirs = y_a[0], y_v[0], da[0], dv[0], *four_maps(g.audio), *four_maps(g.visual)
# Lesson 5: joint cross-attention is two updates from one J, and each input receives a gradient from both of them.
for mine, other in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)
dv_of_a = our_joint_backward(dy_a, 0 * dy_v, a, v, *four_maps(p.fuse.audio), *four_maps(p.fuse.visual))[2]
assert np.abs(dv_of_a).max() > 1e-3

# %% [markdown]
# ## The bidirectional LSTM
#
# The new $v$ and the new $a$ are laid side by side, the face first (eq. 12): $z_t = (v_t, a_t)$, of shape $(T, 2C)$. Two LSTMs
# read $z$, one from the first step on and one from the last step on (eq. 13). Each has parameters of its own and $L$ units:
#
# $$\overrightarrow h_t = \overrightarrow{\mathrm{LSTM}}(z_t, \overrightarrow h_{t-1}), \qquad
#   \overleftarrow h_t = \overleftarrow{\mathrm{LSTM}}(z_t, \overleftarrow h_{t+1}), \qquad
#   o_t = (\overrightarrow h_t, \overleftarrow h_t) .$$
#
# $o$ has the shape $(T, 2L)$. At step $t$ its first half depends on the steps up to $t$, its second half on the steps from $t$
# on. So the answer at a step depends on the whole window: this system cannot run on a live signal without a delay.
#
# By hand, take a running sum in place of an LSTM. Of $z = (1, 2, 3)$ the sum forwards is $(1, 3, 6)$ and backwards $(6, 5, 3)$.
# Now let the third step be padded. A padded step keeps the state and gives the output 0: forwards $(1, 3, 0)$, backwards
# $(3, 2, 0)$. Backwards, the padded step comes first; it leaves the state at its start, so that step 2 begins as if it were the
# last one. refmer's `lstm(p, x, mask=mask)` does the same in both directions.

# %%
z, valid = np.array([1.0, 2, 3]), np.array([1.0, 1, 0])
assert (np.cumsum(z * valid) * valid).tolist() == [1, 3, 0]
assert (np.cumsum((z * valid)[::-1])[::-1] * valid).tolist() == [3, 2, 0]

# %% [markdown]
# **Backward.** The gradient $do_t$ is cut in two halves, one for each direction. Each half goes back through its own LSTM, as
# in tutorial 10: the forward direction from the last step to the first, the other one from the first to the last. $z$ was read
# by both, so
#
# $$dz = \overrightarrow{dz} + \overleftarrow{dz} .$$
#
# Below, the backward direction is made of a forward one: reverse the steps of $z$, apply the LSTM, reverse the result.

# %%
L = 5
p_blstm = params.init(describe_lstm(12, L, bidirectional=True), seed=0, dtype=np.float64)
z, do = rng.normal(size=(1, 8, 12)), rng.normal(size=(1, 8, 2 * L))
start = np.zeros((1, L))
forwards, backwards = p_blstm.layers[0]

to_right, back_right = lstm_direction(forwards, z, start, start)
to_left, back_left = lstm_direction(backwards, z[:, ::-1], start, start)
our_o = np.concatenate([to_right, to_left[:, ::-1]], axis=-1)

g = params.zeros_like(p_blstm).layers[0]
dz_right = back_right(do[..., :L], g[0])[0]
dz_left = back_left(do[:, ::-1, L:], g[1])[0][:, ::-1]

o, backward = lstm(p_blstm, z)
padded = np.concatenate([z, rng.normal(size=(1, 3, 12))], axis=1)
o_padded, _ = lstm(p_blstm, padded, mask=np.arange(11)[None] < 8)

# Lesson 6: a BLSTM is two LSTMs, and the gradient of its input is a sum of two.
np.testing.assert_allclose(our_o, o, rtol=1e-10)
np.testing.assert_allclose(dz_right + dz_left, backward(do, params.zeros_like(p_blstm)), rtol=1e-9, atol=1e-12)
# Lesson 7: with a mask, padded steps give 0 and change no other output, in either direction.
np.testing.assert_allclose(o_padded[:, :8], o, rtol=1e-10)
assert not o_padded[:, 8:].any()

# %% [markdown]
# ## The whole system
#
# The last part is two linear maps with a ReLU between them, at each step: valence and arousal (eq. 14). As printed, eq. (13)
# and (14) average over time and give one pair of numbers for a window. The labels have a pair for each step, and so has the
# authors' code; refmer follows the labels.
#
# With refmer's layers, the system is ten lines.


# %%
def temporal_block(p, x):
    recurrent, convolved = lstm(p.lstm, x)[0], tcn(p.tcn, x)[0]
    return tlab(p.attention, recurrent, convolved)[0]


def whole_system(p, sound, face):
    a = temporal_block(p.audio, sound)
    x = avga(p.avga, face, a)[0]
    v = temporal_block(p.visual, x)
    a, v = joint_cross_attention(p.fuse, a, v)[0]
    o = lstm(p.join, np.concatenate([v, a], axis=-1))[0]
    return mlp(p.head, o)[0]


all_valid = np.ones((2, 8), bool)
batch = {"audio": rng.normal(size=(2, 8, 6)), "visual": rng.normal(size=(2, 8, 4, 5))}
batch |= {"audio_mask": all_valid, "visual_mask": all_valid}
out, _ = tlab_jca.forward(p, batch, small)

# Lesson 8: the system is these ten lines, and its gradient is right in every parameter.
np.testing.assert_allclose(whole_system(p, batch["audio"], batch["visual"]), out["logits"], rtol=1e-10)
error = assert_gradient(lambda p, batch: tlab_jca.forward(p, batch, small), p, batch, rng=rng, directions=True)
print(f"largest relative error of the gradient: {error:.1e}")

# %% [markdown]
# Its backward is the backward of each part, in reverse order. Two variables are used twice. $a$ is used by AVGA and by joint
# cross-attention, so its gradient is the sum of both. The output of the sound's block therefore also receives a gradient from
# the face's block.
#
# Tutorial 18 trains the system.

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `17_tlab_jca.py` (`refmer exercises --out DIR`, then `refmer grade DIR/17_tlab_jca.py`).
#
# 1. Let the LSTM and the TCN return the same sequence, $h = \tau$. For which $W_q, W_k$ is $A = G$, whatever $h$ is?
# 2. You want $A$ to depend on $|t - s|$, without a band. What can you add to $x$, the input of the block? Which lesson then
#    fails if $x$ is shuffled before the addition?
# 3. What is the gradient $dW_J$ if $J = 0$? And if $W_K = 0$? Does $W_J$ learn in the first step if $W_K$ starts as 0?

# %% tags=["hide-cell"]
# Solution 1: if and only if W_q W_k^T is symmetric. If A = G, row t of S and of S^T differ by a number c_t, since a softmax
# fixes its scores up to a constant per row: S_ts - S_st = c_t. With s = t, c_t = 0, so S is symmetric. S = h W_q W_k^T h^T /
# sqrt(D) is symmetric for every h if and only if W_q W_k^T is. W_k = W_q is a special case; W_q = 1 with any symmetric W_k is
# another.
W_q, W_k = np.eye(C), rng.normal(size=(C, C))
for key, equal in ((W_k + W_k.T, True), (W_k, False)):
    G, A = our_tlab(h, h, W_q, key, W_q)[3:5]
    assert np.allclose(G, A) == equal

# Solution 2: positions (tutorial 9). A step then has a content and a place, and the scores can depend on the difference of
# places.
# Lesson 2 fails: the place is added after the shuffling and does not move along with the content.
place = np.sin(np.arange(T)[:, None] / 2 + np.arange(C))
p = params.init(describe_tlab(C), seed=0, dtype=np.float64)
local = global_and_local(h + place, tau + place)[1]
of_shuffled = global_and_local(shuffle @ h + place, shuffle @ tau + place)[1]
assert np.abs(of_shuffled - shuffle @ local @ shuffle.T).max() > 0.1

# Solution 3: 0 in both cases. dW_J = x du with du = dN J^T, which is 0 for J = 0. For W_K = 0, dK = dP W_K^T = 0, and with it
# dN and du. So W_J does not change in the first step; W_K does, since dW_K = K^T dP needs neither.
WJ, W, WK, WH = rng.normal(size=(8, 8)), rng.normal(size=(8, 3)), rng.normal(size=(12, 3)), rng.normal(size=(3, 8))
for joint, relate in ((0 * J, WK), (J, 0 * WK)):
    *saved, _ = our_update(v, joint, WJ, W, relate, WH)
    dWJ, _, dWK, _ = our_update_backward(dy_v, v, joint, WJ, W, relate, WH, *saved)[7:]
    assert not dWJ.any()
assert dWK.any()
