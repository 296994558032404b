# %% [markdown]
# # 17. TLAB-JCA, and the attention that is not local
#
# Introduces: `refmer.layers.tlab.describe_tlab`, `refmer.layers.tlab.tlab`, `refmer.layers.tlab.avga`,
# `refmer.layers.tlab.joint_cross_attention`, `refmer.systems.tlab_jca.Config`, `refmer.systems.tlab_jca.describe`,
# `refmer.systems.tlab_jca.forward`
#
# **What you will do.** Derive the temporal block of paper 003, build and train the system, and cover its eyes and ears.
#
# **What you will learn.** Why transposed logits make no attention local; what two averages in a row do; how a network comes to
# use one sense only, and how to prevent it.
#
# **What you need.** Tutorials 5 to 7.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer import params
from refmer.check import assert_gradient
from refmer.layers.convolution import tcn
from refmer.layers.dense import mlp
from refmer.layers.sequence import lstm
from refmer.layers.tlab import avga, describe_tlab, joint_cross_attention, tlab
from refmer.systems import tlab_jca

rng = np.random.default_rng(0)

# %% [markdown]
# ## The block: TLAB, equations (1) to (6)
#
# One sequence $x$ is read twice: $h = \mathrm{LSTM}(x)$ and $\tau = \mathrm{TCN}(x)$, of shape $(T, C)$ each. Then
#
# $$q = h\,W_q, \quad k = \tau W_k, \quad v = \tau W_v, \qquad S_{ts} = \frac{1}{\sqrt C} \sum_c q_{tc} k_{sc},$$
#
# $$G_{ts} = \frac{e^{S_{ts}}}{\sum_r e^{S_{tr}}} \;\text{("global", eq. 4)}, \qquad
#   A_{ts} = \frac{e^{S_{st}}}{\sum_r e^{S_{rt}}} \;\text{("local", eq. 5)}, \qquad y = G\,(A\,v) \;\text{(eq. 6)}.$$
#
# The second is the first with queries and keys swapped, $\mathrm{softmax}(k q^\top / \sqrt C)$. Backwards, with $m = A v$:
#
# $$dG = dy\, m^\top, \qquad dm = G^\top dy, \qquad dA = dm\, v^\top, \qquad dv = A^\top dm .$$
#
# A softmax in rows has $D(a, da)_{ts} = a_{ts} (da_{ts} - \sum_r da_{tr} a_{tr})$ as its backward (tutorial 7). $S$ is used
# twice, the second time transposed, so its gradient is a sum with a transposition:
#
# $$dS = D(G, dG) + D(A, dA)^\top, \qquad dq = dS\, k / \sqrt C, \qquad dk = dS^\top q / \sqrt C,$$
#
# $$dh = dq\, W_q^\top, \quad d\tau = dk\, W_k^\top + dv\, W_v^\top, \quad
#   dW_q = h^\top dq, \quad dW_k = \tau^\top dk, \quad dW_v = \tau^\top dv .$$


# %%
def our_softmax(s):
    """Return a, the softmax of each row, finite even for scores of 1000.

    s (T, S) -> a (T, S)
    """
    e = np.exp(s - s.real.max(-1, keepdims=True))
    a = e / e.sum(-1, keepdims=True)
    return a


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


T, p = 16, params.init(describe_tlab(6), seed=0, dtype=np.float64)
h, tau, dy = rng.normal(size=(3, T, 6))
y, backward = tlab(p, h[None], tau[None])
g = params.zeros_like(p)
theirs = (y[0], *(d[0] for d in backward(dy[None], g)), g.query.W, g.key.W, g.value.W)
weights = p.query.W, p.key.W, p.value.W
*saved, ours = our_tlab(h, tau, *weights)
gradients = our_tlab_backward(dy, h, tau, *weights, *saved)[5:]

# Lesson 1: refmer's block is these equations, forwards and backwards.
for a, b in zip((ours, *gradients), theirs, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)

# %% [markdown]
# ## What "local" would mean
#
# That $A_{ts}$ is small when $|t - s|$ is large. Let $P$ shuffle the steps of $h$ and $\tau$ alike. $S$ becomes $P S P^\top$,
# and since a softmax sees a row as a set, $A$ becomes $P A P^\top$: every weight goes along with its two steps. It depends on
# what is at $t$ and $s$, not on $t$ and $s$, so it cannot be local. (`band=w`, refmer's own switch, hides $|t - s| > w$.)
#
# What $G A$ does is average, twice. Let $\delta(a) = \max_{t,t'} \frac12 \sum_s |a_{ts} - a_{t's}|$, between 0 (equal rows) and
# 1. Rows have equal sums, so a difference has a positive and a negative part of the same size, at most $\delta$. For any $v$,
#
# $$(Av)_t - (Av)_{t'} = \sum_s (A_{ts} - A_{t's})\, v_s \le \delta(A)\, (\max v - \min v), \qquad
#   \mathrm{spread}(G A v) \le \delta(G)\, \delta(A)\, \mathrm{spread}(v) .$$
#
# Where both maps are nearly uniform, as before training, all steps come out alike.


# %%
def delta(a):
    return 0.5 * np.abs(a[..., :, None, :] - a[..., None, :, :]).sum(-1).max((-1, -2))


def maps(h, tau, band=None):
    trace = {}
    tlab(p, h[None], tau[None], band=band, trace=trace)
    return trace["global"][0], trace["local"][0]


P, (G, A) = np.eye(T)[rng.permutation(T)], maps(h, tau)
shuffled = {band: maps(P @ h, P @ tau, band)[1] - P @ maps(h, tau, band)[1] @ P.T for band in (None, 1)}

# Lesson 2: shuffle time, and the "local" map is only shuffled; a truly local one is another one.
assert np.abs(shuffled[None]).max() < 1e-12 and np.abs(shuffled[1]).max() > 0.1
# Lesson 3: rows of the product still sum to 1, and it contracts at least as much as both maps together promise.
assert np.allclose((G @ A).sum(-1), 1) and delta(G @ A) <= delta(G) * delta(A) + 1e-12

# %% [markdown]
# ## The system
#
# A recording is cut into sub-sequences of 0.64 s; a window has $T = 16$. Encoders (frozen in the paper, small and trained along
# in refmer's tiny size) give a vector $s_t$ of the sound and vectors $f_{tn}$ at $N$ positions of the face: in the tiny size
# nine patches of the images, $f_{tn} = r(W_n p_{tn} + b_n)$ with a map of its own for each. Then:
#
# 1. $a = \mathrm{TLAB}_a(s)$.
# 2. The sound tells where to look: $z_{tn} = w \cdot \tanh(e_{tn})$ with $e_{tn} = M\, r(U f_{tn} + b) + M' r(U' a_t + b')$ and
#    $r(u) = \max(u, 0)$; $x_t = W_o \sum_n \mathrm{softmax}_n(z_{tn})\, f_{tn} + b_o$, and $x$ goes through a second block,
#    $v = \mathrm{TLAB}_v(x)$. ($M$, $M'$ and $w$ have no bias. `positions` of the Config is the length of $w$, which is 49 in
#    the authors' code, as $N$ is; here the two differ.)
# 3. Joint cross-attention makes new $a$ and $v$ of the old ones; see below.
# 4. A BLSTM reads $[v; a]$, and two linear maps answer valence and arousal at every step, eq. (12)-(14).

# %% [markdown]
# ## Joint cross-attention: equations (8) to (11)
#
# Side by side, $J_{t} = (a_t, v_t)$, of shape $(T, D)$ with $D = 2C$. The voice and the face have maps of their own; written
# for one of them, $x$ (which is $a$ or $v$) of shape $(T, C)$, with sums along time ($T$ is fixed):
#
# $$u = x^\top W_J, \quad K = \tanh\bigl(u J / \sqrt D\bigr), \quad H = \max(x^\top W + K W_K,\ 0), \quad
#   y = (H W_H)^\top + x .$$
#
# The shapes: $W_J$ $(T, T)$, so $u$ is $(C, T)$ and $K$ $(C, D)$; $W$ $(T, E)$ and $W_K$ $(D, E)$, so $H$ is $(C, E)$; $W_H$
# $(E, T)$. Both updates read the same, old $J$: $a$ is not replaced before $v$ is.
#
# Backward, $y$'s first term is transposed, so $dZ = dy^\top$ reaches $Z = H W_H$. Then, with $P = x^\top W + K W_K$,
#
# $$dH = dZ\, W_H^\top, \qquad dP = dH\, [P > 0], \qquad dK = dP\, W_K^\top, \qquad
#   dN = dK\, (1 - K^2) / \sqrt D \ \text{ with } N = uJ, \qquad du = dN\, J^\top .$$
#
# $x$ is used three times, in $u$, in $x^\top W$ and in the sum at the end, and $J$ once:
#
# $$dx = dy + \bigl(du\, W_J^\top + dP\, W^\top\bigr)^\top, \qquad dJ = u^\top dN, \qquad
#   dW_J = x\, du, \quad dW = x\, dP, \quad dW_K = K^\top dP, \quad dW_H = H^\top dZ .$$
#
# With both updates, $dJ$ is the sum of two, and its halves belong to $a$ and $v$: $da = dx_a + dJ_{:, :C}$ and
# $dv = dx_v + dJ_{:, C:}$.


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
# ## All of it


# %%
def block(p, x):
    return tlab(p.attention, lstm(p.lstm, x)[0], tcn(p.tcn, x)[0])[0]


def whole_system(p, sound, face):
    a = block(p.audio, sound)
    v = block(p.visual, avga(p.avga, face, a)[0])
    a, v = joint_cross_attention(p.fuse, a, v)[0]
    return mlp(p.head, lstm(p.join, np.concatenate([v, a], axis=-1))[0])[0]


small = tlab_jca.Config(sound=(6,), face=(4, 5), width=6, joint=10, head=7, hidden=3, positions=7, joint_layers=1, steps=8)
p = params.init(tlab_jca.describe(small), seed=0, dtype=np.float64)
there = np.ones((2, 8), bool)
batch = {"audio": rng.normal(size=(2, 8, 6)), "visual": rng.normal(size=(2, 8, 4, 5))}
batch |= {"audio_mask": there, "visual_mask": there}
out, _ = tlab_jca.forward(p, batch, small)

a, v, *dy = rng.normal(size=(4, 8, 6))
names = "correlate", "time", "relate", "expand"
maps_of = [[getattr(m, name).W for name in names] for m in (p.fuse.audio, p.fuse.visual)]
theirs, back = joint_cross_attention(p.fuse, a[None], v[None])
g = params.zeros_like(p).fuse
gradients = back(tuple(d[None] for d in dy), g)
J = np.concatenate([a, v], axis=1)
for x, weights, y, d, m in zip((a, v), maps_of, theirs, dy, (g.audio, g.visual), strict=True):
    *saved, ours = our_update(x, J, *weights)
    np.testing.assert_allclose(ours, y[0], rtol=1e-10)
    for ours, name in zip(our_update_backward(d, x, J, *weights, *saved)[7:], names, strict=True):
        np.testing.assert_allclose(ours, getattr(m, name).W, rtol=1e-9, atol=1e-12, err_msg=name)
for ours, other in zip(our_joint_backward(*dy, a, v, *maps_of[0], *maps_of[1])[1:], gradients, strict=True):
    np.testing.assert_allclose(ours, other[0], rtol=1e-9, atol=1e-12)

# Lesson 4: the system is ten lines of layers; and its gradient is right in every parameter.
np.testing.assert_allclose(whole_system(p, batch["audio"], batch["visual"]), out["logits"], rtol=1e-10)
print("gradient:", assert_gradient(lambda p, batch: tlab_jca.forward(p, batch, small), p, batch, rng=rng, directions=True))

# %% [markdown]
# ## Training
#
# The loss is $1 - (\rho_v + \rho_a) / 2$ with Lin's concordance $\rho$ (tutorial 5). Training takes one random window of each
# recording per epoch. The tiny size adds in step 3 what went into the blocks, not what came out (`residual`): lesson 3 is why.
# So $x_t$ and $s_t$ also reach the BLSTM past the blocks, and switching a block's parts off changes little. The control has a
# face encoder that resembles the paper's, a small R(2+1)D network, and no sound is hidden from it in training.

# %%
train, test = refmer.load_samples("recordings").split(by="speaker", test_size=0.33, seed=0)
model = refmer.Recognizer("tlab_jca", seed=0).fit(train)
shared = {"face_encoder": "r2plus1d", "sound_dropout": 0.0}
listener = refmer.Recognizer("tlab_jca", config=shared, seed=0, epochs=30).fit(train)
broken = {"whole": test} | {f"{sense} gone": refmer.corrupt(test, sense, "missing", 1.0) for sense in ("face", "voice")}
ccc, one_sense = ({name: m.score(clips) for name, clips in broken.items()} for m in (model, listener))

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained", width_ratios=(1.4, 1))
affect = test.labels["affect"]
truth = affect.values[0, affect.mask[0], 0]
left.plot(np.arange(len(truth)) / affect.rate, truth, "k", label="raters")
for name in broken:
    answer = model.predict(broken[name][:1])[0, : int(len(truth) / affect.rate / 0.64), 0]
    left.plot((np.arange(len(answer)) + 0.5) * 0.64, answer, ".-", lw=1, label=name)
left.set(xlabel="seconds", ylabel="valence", ylim=(-1, 1.5), title="A recording of a new speaker")
left.legend(fontsize=8, ncols=2, loc="upper center")
for i, (name, scores) in enumerate({"patches, some sound hidden": ccc, "shared filters, none hidden": one_sense}.items()):
    right.barh(np.arange(3) + 0.4 * i, list(scores.values()), height=0.4, label=name)
right.set(xlabel="mean concordance", title="What breaks it", xlim=(-0.05, 1.3))
right.set_yticks(np.arange(3) + 0.2, ccc)
right.legend(fontsize=8)
plt.show()

# Lesson 5: it works, and it uses both senses: it loses when either is gone, and follows with either.
assert ccc["whole"] > max(ccc["face gone"], ccc["voice gone"]) + 0.05 and min(ccc.values()) > 0.25
# Lesson 6: with the other encoder it works as well, and nobody would see that it is a system of sound. Only breaking it shows.
assert one_sense["whole"] > 0.5 and one_sense["voice gone"] < 0.15

# %% [markdown]
# Filters that all positions share, and a sum over positions, cannot say *where* something is, and layer norm at each position
# takes the contrast of the image away. And the sound alone is enough to fit 24 recordings: the loss leaves nothing for the face
# to explain, unless some sound is hidden (`sound_dropout`). It says nothing about the paper's network on real faces.
#
# ## Looking inside
#
# Where does $A$ look, in windows of unseen speakers? If nothing were preferred, each of 16 steps would have weight $1/16$.

# %%
banded = refmer.Recognizer("tlab_jca", config={"band": 1}, seed=0, epochs=30).fit(train)
fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained", width_ratios=(1, 1, 1.4))
distance, near = np.abs(np.arange(T)[:, None] - np.arange(T)), {}
for ax, (name, m) in zip(axes, {"as in the paper": model, "band = 1": banded}.items(), strict=False):
    mean = m.explain(test)["audio.attention.local"][:, 0].mean(0)  # over first windows, in which all steps are there
    near[name] = mean[distance <= 1].mean() * T
    ax.imshow(mean, vmin=0, vmax=0.3)
    ax.set(title=f"A, {name}", xlabel="step s looked at", ylabel="step t")
    axes[2].plot([mean[distance == d].mean() * T for d in range(T)], ".-", label=name)
axes[2].axhline(1, color="k", ls=":", label="no preference")
axes[2].set(xlabel="distance |t - s|", ylabel="mean weight x 16", title="Local?")
axes[2].legend()
plt.show()

# Lesson 7: trained, too, the "local" map has no liking for neighbours; one with a band has nothing else.
assert near["as in the paper"] < 2 and near["band = 1"] > 4

# %% [markdown]
# ## One number of the paper
#
# Table 2 has a concordance of .602, on Aff-Wild2: real faces, large pretrained backbones. Ours is on 12 synthetic recordings
# and a network 500 times smaller. **The two cannot be compared**, whichever is larger. What can be: the published size.

# %%
sizes = {v: params.count(tlab_jca.describe(tlab_jca.Config.paper(variant=v))) for v in ("paper", "code")}
print(f"published: 26.97 million; equations {sizes['paper']:,}, authors' code {sizes['code']:,}; ours {model.p_.vector.size:,}")
# Lesson 8: what was counted is the code, which has other attention, and not the equations.
assert round(sizes["code"] / 1e6, 2) == 26.97 and sizes["paper"] < 18e6

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `17_tlab_jca.py` (`refmer exercises --out DIR`, then `refmer grade DIR/17_tlab_jca.py`).
#
# 1. For which $W_q, W_k$ is $A = G$ whatever $x$ is, if the LSTM and the TCN give the same $h = \tau$?
# 2. Give $A$ a sense of place without a band: what could be added to $h$ and $\tau$, and which lesson then fails?
# 3. Table 4 of the paper: attention alone .420, no part at all .420. Would $\delta(G)\, \delta(A)$ near 0 explain it?

# %%
# Solution 1: for W_k = W_q: then S is symmetric.
np.testing.assert_allclose(our_softmax(h @ h.T), our_softmax((h @ h.T).T), rtol=1e-9)
# Solution 2: positions (tutorial 7), added to x; lesson 2, since shuffling no longer carries what is at a place along with it.
# Solution 3: no. It explains that attention alone is bad, but without any part each step keeps its own features.
