# %% [markdown]
# # 19. RAVER
#
# Introduces: `refmer.systems.raver.Config`, `refmer.systems.raver.describe`, `refmer.systems.raver.forward`,
# `refmer.systems.raver.loss`, `refmer.layers.sequence.describe_statistics_pool`, `refmer.layers.sequence.statistics_pool`,
# `refmer.data.gaps.GilbertElliott`, `refmer.evaluate.calibration.brier_labels`, `refmer.evaluate.calibration.reliability`,
# `refmer.evaluate.calibration.ece_positive`, `refmer.evaluate.calibration.ece_macro`
#
# **What you will do.** Build RAVER (paper 004), which reads what is left of a clip with learned queries. Lose frames in bursts.
#
# **What you will learn.** What a learned query holds when there is nothing to read; why a stated loss rate is wrong for short
# clips; why a low Brier score is not calibration; what class weights do to probabilities.
#
# **What you need.** Tutorials 4 to 6 and 12.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer import params
from refmer.check import assert_gradient
from refmer.data.gaps import GilbertElliott
from refmer.evaluate.calibration import brier_labels, ece_macro, ece_positive, reliability
from refmer.layers.attention import attention, cross_encoder, encoder
from refmer.layers.dense import feed_forward, layer_norm, linear, mlp
from refmer.layers.sequence import describe_statistics_pool, positions, statistics_pool
from refmer.ops.attention import key_mask
from refmer.systems import raver

# %% [markdown]
# ## Learned queries
#
# The voice comes as $L$ layers of a speech model (25 of WavLM; here 4 resolutions of a spectrogram), mixed by learned shares
# and mapped to width $C$; the face has one linear map. Frames that are there get positions $E$. Now $N$ learned vectors
# $Q_{nc}$, the same for every clip, read the result $z$ in a few layers (each with its own norms, GELU in the FFN):
#
# $$q_{bnc} = Q_{nc}, \quad s = q + \text{Attention}(\text{LN}_1 q, \text{LN}_1 q), \quad
#   h = s + \text{Attention}(\text{LN}_2 s, z), \quad q' = h + \text{FFN}(\text{LN}_3 h) .$$
#
# However long the clip, its *summary* has $N$ steps, all of them there; and $dQ_{nc} = \sum_b dq_{bnc}$. (GELU is
# $x\, \Phi(x)$ with the normal distribution's $\Phi$.)
#
# What is new is that one $Q$ reads every clip. Take the reading alone, with one head and without maps: keys and values are both
# $z$, and with $c = 1 / \sqrt C$
#
# $$s_{bnt} = c \sum_c Q_{nc} z_{btc}, \qquad a_{bnt} = \text{softmax}_t\, s_{bnt} \text{ over the valid } t, \qquad
#   y_{bnc} = \sum_t a_{bnt} z_{btc} .$$
#
# Backward as in tutorial 7, $da_{bnt} = \sum_c dy_{bnc} z_{btc}$ and
# $ds_{bnt} = a_{bnt} (da_{bnt} - \sum_r a_{bnr}\, da_{bnr})$. $Q$ is used by all clips, and $z$ twice, as key and as value:
#
# $$dQ_{nc} = c \sum_b \sum_t ds_{bnt} z_{btc}, \qquad
#   dz_{btc} = c \sum_n ds_{bnt} Q_{nc} + \sum_n a_{bnt}\, dy_{bnc} .$$


# %%
def our_summary(Q, z, valid):
    """Return the weights a and the summary y. A clip without a valid step has 0 in both.

    Q (N, C), z (B, T, C), valid (B, T) of bool -> a (B, N, T), y (B, N, C)
    """
    s = Q.shape[-1] ** -0.5 * Q @ z.swapaxes(1, 2)
    s = np.where(valid[:, None], s, -np.inf)
    top = s.real.max(-1, keepdims=True)
    e = np.exp(s - np.where(top > -np.inf, top, 0))
    total = e.sum(-1, keepdims=True)
    a = e / np.where(total == 0, 1, total)
    y = a @ z
    return a, y


def our_summary_backward(dy, Q, z, a):
    """Return the gradients of a, of the scores s (scaled by c), of Q and of z.

    dy (B, N, C), Q (N, C), z (B, T, C), a (B, N, T)
    -> da, ds (B, N, T), dQ (N, C), dz (B, T, C)
    """
    c = Q.shape[-1] ** -0.5
    da = dy @ z.swapaxes(1, 2)
    ds = a * (da - (a * da).sum(-1, keepdims=True))
    dQ = c * (ds @ z).sum(0)
    dz = c * ds.swapaxes(1, 2) @ Q + a.swapaxes(1, 2) @ dy
    return da, ds, dQ, dz


def read(Q, z, valid):
    a, y = our_summary(Q, z, valid)
    return y, lambda dy: our_summary_backward(dy, Q, z, a)[2:]


rng = np.random.default_rng(0)
Q, z, valid = rng.normal(size=(4, 5)), rng.normal(size=(3, 7, 5)), np.arange(7) < [[7], [4], [0]]
assert assert_gradient(read, None, Q, z, valid, rng=rng) < 1e-13

# %% [markdown]
# ## Statistics
#
# Summaries meet in cross encoders and go through encoders (tutorial 15, no positions). *Attentive statistics pooling* leaves of
# each channel
#
# $$a_t = \text{softmax}_t\bigl(v \cdot \tanh(W x_t + b)\bigr), \qquad \mu_c = \sum_t a_t x_{tc}, \qquad
#   \sigma_c = \Bigl(\sum_t a_t (x_{tc} - \mu_c)^2\Bigr)^{1/2} .$$
#
# The root has an infinite slope at 0, where a channel is constant. So a variance below $10^{-5}$ counts as $10^{-5}$, and
# sends no gradient back. A clip without a valid step has $a = 0$, $\mu = 0$ and $\sigma = 0$.
#
# The derivative of $\sigma_c^2$ by $\mu_c$ is $-2 \sum_t a_t (x_{tc} - \mu_c) = 0$, so only the direct ways count:
#
# $$dx_{tc} = a_t \Bigl(d\mu_c + d\sigma_c \frac{x_{tc} - \mu_c}{\sigma_c}\Bigr), \qquad
#   da_t = \sum_c \Bigl(d\mu_c\, x_{tc} + d\sigma_c \frac{(x_{tc} - \mu_c)^2}{2 \sigma_c}\Bigr) .$$
#
# $x$ is used a third time, in the scores. With $h_t = \tanh(W x_t + b)$ and $e_t = v \cdot h_t$:
#
# $$de_t = a_t \Bigl(da_t - \sum_r a_r\, da_r\Bigr), \qquad du_{tk} = de_t\, v_k (1 - h_{tk}^2), \qquad
#   dx_{tc} \mathrel{+}= \sum_k du_{tk} W_{ck}, \qquad dv_k = \sum_{bt} de_{bt} h_{btk},$$
#
# and $dW$, $db$ are those of a linear map, summed over clips and steps.


# %%
def our_statistics(x, W, b, v, valid):
    """Return h, the weights a, the mean mu, the variance var before the floor of 1e-5, and
    sigma, the root after it.

    A clip without a valid step has a, mu, var and sigma 0.

    x (B, T, C), W (C, H), b (H,), v (H,), valid (B, T) of bool
    -> h (B, T, H), a (B, T), mu, var, sigma (B, C)
    """
    h = np.tanh(x @ W + b)
    e = np.where(valid, h @ v, -np.inf)
    top = e.real.max(-1, keepdims=True)
    p = np.exp(e - np.where(top > -np.inf, top, 0))
    total = p.sum(-1, keepdims=True)
    a = p / np.where(total == 0, 1, total)
    mu = np.einsum("bt,btc->bc", a, x)
    var = np.einsum("bt,btc->bc", a, (x - mu[:, None]) ** 2)
    sigma = np.sqrt(np.where(var.real > 1e-5, var, 1e-5)) * valid.any(1, keepdims=True)
    return h, a, mu, var, sigma


def our_statistics_backward(dy_mu, dy_sigma, x, W, v, h, a, mu, var, sigma):
    """Return the gradients of a, of the scores e, of u = x W + b, and of x, W, b and v.

    dy_mu, dy_sigma (B, C), the others as in our_statistics
    -> da, de (B, T), du (B, T, H), dx (B, T, C), dW (C, H), db (H,), dv (H,)
    """
    above = var > 1e-5
    slope = np.where(above, dy_sigma / np.where(above, sigma, 1), 0)[:, None]  # (B, 1, C)
    d = x - mu[:, None]
    da = (dy_mu[:, None] * x + slope * d**2 / 2).sum(-1)
    de = a * (da - (a * da).sum(-1, keepdims=True))
    du = de[..., None] * v * (1 - h**2)
    dx = a[..., None] * (dy_mu[:, None] + slope * d) + du @ W.T
    dW = np.einsum("btc,bth->ch", x, du)
    db = du.sum((0, 1))
    dv = np.einsum("bt,bth->h", de, h)
    return da, de, du, dx, dW, db, dv


p = params.init(describe_statistics_pool(5), seed=0, dtype=np.float64)
g, dy = params.zeros_like(p), rng.normal(size=(3, 10))
theirs, back_pool = statistics_pool(p, z, valid)
weights = p.hidden.W, p.hidden.b, p.score.W[:, 0]
h, a, mu, var, sigma = our_statistics(z, *weights, valid)
np.testing.assert_allclose(np.hstack([mu, sigma]), theirs, rtol=1e-10, atol=1e-14)
ours = our_statistics_backward(dy[:, :5], dy[:, 5:], z, weights[0], weights[2], h, a, mu, var, sigma)
# Lesson 1: mean and deviation of each channel, and how they move with x and with the weights, are refmer's.
for mine, other in zip(ours[3:], (back_pool(dy, g), g.hidden.W, g.hidden.b, g.score.W[:, 0]), strict=True):
    np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-13)

# %% [markdown]
# ## The system


# %%
def summarize(p, x, valid, heads):
    if hasattr(p, "layers"):
        a = np.exp(p.layers.score)
        x = (a / a.sum()) @ x  # (B, T, L, D) -> (B, T, D)
    z = positions(linear(p.project, x)[0], valid)[0]
    q = np.broadcast_to(p.summary.queries.W, (len(z), *p.summary.queries.W.shape))
    for part in p.summary.layers:
        n = layer_norm(part.norm1, q)[0]
        s = q + attention(part.attend, n, n, heads)[0]
        h = s + attention(part.cross, layer_norm(part.norm2, s)[0], z, heads, key_mask(valid))[0]
        q = h + feed_forward(part.ffn, layer_norm(part.norm3, h)[0], activation="gelu")[0]
    return q


def ours(p, batch, heads):
    c = {m: summarize(getattr(p, m), batch[m], batch[f"{m}_mask"], heads) for m in ("audio", "visual")}
    pooled = []
    for m, other in (("audio", "visual"), ("visual", "audio")):
        part = getattr(p, m)
        y = encoder(part.encode, cross_encoder(part.cross, c[m], c[other], heads)[0], heads)[0]
        pooled.append(linear(part.reduce, statistics_pool(part.pool, y)[0])[0])
    return mlp(p.head, np.concatenate(pooled, -1))[0]


config = raver.Config.tiny(audio=5, audio_layers=3, visual=7, width=8, heads=2, n_context=4, hidden=9)
p = params.init(raver.describe(config), seed=0, dtype=np.float64)
batch = {"audio": rng.normal(size=(3, 9, 3, 5)), "visual": rng.normal(size=(3, 6, 7))}
batch |= {"audio_mask": rng.random((3, 9)) < 0.7, "visual_mask": np.arange(6) < [[6], [4], [2]]}
worst = assert_gradient(lambda p, b: raver.forward(p, b, config), p, batch, rng=rng, zero=("*.key.b",), directions=True)
print(f"forward against backward: {worst:.0e}")

# Lesson 2: these lines are RAVER.
np.testing.assert_allclose(ours(p, batch, config.heads), raver.forward(p, batch, config)[0]["logits"], rtol=1e-10)

# %% [markdown]
# ## Weights on votes
#
# The target $y_{bk}$ is the share of raters who chose class $k$. Class-balanced cross-entropy (CBCE, eq. 3) favours rare
# classes: with $n_k$ training clips whose share of $k$ is above $1/K$, $N = \sum_k n_k$ and $\beta = (N - 1) / N$,
#
# $$w_k \propto \frac{1 - \beta}{1 - \beta^{n_k}}, \quad \sum_k w_k = K, \quad L = -\frac1B \sum_{bk} w_k y_{bk} \log p_{bk} .$$
#
# With $\partial \log p_{bk} / \partial \ell_{bj} = \delta_{jk} - p_{bj}$:
#
# $$d\ell_{bj} = -\frac1B \sum_k w_k y_{bk} (\delta_{jk} - p_{bj})
#   = \frac1B \Bigl( p_{bj} \sum_k w_k y_{bk} - w_j y_{bj} \Bigr) .$$
#
# It vanishes where $p_{bj} = w_j y_{bj} / \sum_k w_k y_{bk}$: **the best answer is not the shares**, but shares tilted to rare
# classes. The paper offers CBCE as a cure of miscalibration. It is a cause, which $p_{bj} / w_j$, normalised, undoes.


# %%
def our_balance(shares):
    """Return the number n of clips that hold each class (a share above 1/K) and its weight
    w; weights sum to K.

    beta = (N - 1) / N, where N is the sum of n. Every class has at least one clip.

    shares (B, K) -> n (K,), w (K,)
    """
    K = shares.shape[1]
    n = (shares > 1 / K).sum(0)
    beta = 1 - 1 / n.sum()
    inverse = (1 - beta) / (1 - beta**n)
    w = K * inverse / inverse.sum()
    return n, w


def our_undone(p, w):
    """Return probabilities without the tilt of the weights: p / w, scaled so that rows sum
    to 1.

    p (B, K), w (K,) -> q (B, K)
    """
    q = p / w
    q = q / q.sum(-1, keepdims=True)
    return q


train, test = refmer.load_samples().split(by="speaker", test_size=0.25, seed=0)
counts, w = our_balance(train.votes / train.votes.sum(1, keepdims=True))
y = np.array([[0.1, 0, 0, 0.2, 0.7, 0]])
tilted = w * y / (w * y).sum()
one = {"target": y, "class_count": counts.astype(float)}
at = [raver.loss({"logits": np.log(np.maximum(q, 1e-30))}, one, config)[2]["logits"] for q in (y, tilted)]

# Lesson 3: at the shares themselves CBCE still pulls; at the tilted ones it is content.
assert np.abs(at[0]).max() > 0.05 and np.abs(at[1]).max() < 1e-12

# %% [markdown]
# ## Losing frames in bursts
#
# Frames are lost in bursts: a chain has a good and a bad state (Gilbert, Elliott), $P(\text{good} \to \text{bad}) = p$ and
# $P(\text{bad} \to \text{good}) = r$. The paper starts it in the good one. The chance $b_s$ of being bad in slot $s$ obeys
#
# $$b_{s+1} = (1 - r)\, b_s + p\, (1 - b_s), \quad b_0 = 0 \qquad\Longrightarrow\qquad
#   b_s = \pi (1 - \lambda^s), \quad \pi = \frac{p}{p + r}, \quad \lambda = 1 - p - r,$$
#
# and its mean over $S$ slots is a geometric sum, $\pi \bigl(1 - \frac{1 - \lambda^S}{S (1 - \lambda)}\bigr)$. Bursts last $1/r$
# slots. If $\pi$ is the paper's "percentage of dropped frames", it is too large: the good start of a short clip is not
# forgotten.

# %%
expected, seen, S = {}, {}, 76  # frames: 2.5 s at 30 a second
chains = {"short bursts": (0.2, 0.2), "longer": (0.05, 0.05), "long": (0.01, 0.01)}
fig, axes = plt.subplots(1, 4, figsize=(10, 3.2), layout="constrained")
for ax, (name, (good_bad, bad_good)) in zip(axes[1:], chains.items(), strict=True):
    chain = GilbertElliott(good_bad, bad_good)
    lost = chain.states(rng, 4000, S)  # (clips, slots)
    pi, keep = good_bad / (good_bad + bad_good), 1 - good_bad - bad_good
    expected[name], seen[name] = pi * (1 - (1 - keep**S) / (S * (1 - keep))), lost.mean()
    np.testing.assert_allclose(expected[name], chain.expected_loss(S))
    axes[0].plot(pi * (1 - keep ** np.arange(S)), label=f"{name} {good_bad}")
    ax.imshow(lost[:40], cmap="Greys", aspect="auto", interpolation="nearest")
    ax.set(title=f"{name}: {seen[name]:.0%} lost", xlabel="slot; black: lost", ylabel="clips", yticks=[])
axes[0].set(xlabel="slot", ylabel="chance of being lost", title="p = r: all 50 % in the end", ylim=(0, 0.55))
axes[0].legend(fontsize=8)
plt.show()

# Lesson 4: the formula is right, and a nominal 50 % is 24 % on clips of this length.
assert all(abs(expected[name] - seen[name]) < 0.03 for name in chains)
assert expected["short bursts"] > 0.48 and expected["long"] < 0.25

# %% [markdown]
# ## Why a low Brier score is not calibration
#
# The Brier score is $\frac{1}{BK} \sum_{bk} (p_{bk} - y_{bk})^2$ with $y \in \{0, 1\}$. "Lower BS indicates better
# calibration", says the paper. Group answers by their $p$. Of $n_g$ answers $p_g$ a share $f_g$ comes true, and $y^2 = y$:
#
# $$\sum (p - y)^2 = \sum_g n_g (p_g^2 - 2 p_g f_g + f_g) = \sum_g n_g \bigl((p_g - f_g)^2 + f_g (1 - f_g)\bigr) .$$
#
# The first term is miscalibration, the second what the answers fail to tell apart. The second can fall while the first rises:
# twelve answers of scikit-learn's issue 10883. (The calibration error is $\sum_g n_g |p_g - f_g| / \sum_g n_g$.)

# %%
truth = np.array([0, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 1])
twelve = {
    "A": np.array([0, 0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 0.75, 0.75, 1]),
    "B": np.array([0, 0.25, 0.25, 0.25, 0.75, 0.5, 0.5, 0.25, 0.75, 0.75, 0.75, 1]),
}
brier, ece = ({name: f(truth, q) for name, q in twelve.items()} for f in (brier_labels, ece_positive))
fig, axes = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
for ax, (name, q) in zip(axes, twelve.items(), strict=True):
    count, said, came = reliability(truth, q)
    ax.plot([0, 1], [0, 1], "k:", label="calibrated")
    ax.plot(said, came, "o-", color="C3", label="share that came true")
    ax.scatter(q, truth + rng.uniform(-0.03, 0.03, 12), color="0.6", label="answers")
    ax.set(title=f"{name}: Brier {brier[name]:.3f}, calibration error {ece[name]:.3f}", xlabel="said", ylabel="came true")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 0.12), fontsize=8)
plt.show()

# Lesson 5: B has half the Brier score of A. A is calibrated perfectly, B is not.
assert abs(brier["A"] - 1 / 6) < 1e-12 and abs(brier["B"] - 1 / 12) < 1e-12 and ece["A"] == 0 and abs(ece["B"] - 1 / 6) < 1e-12

# %% [markdown]
# ## Training it
#
# Of each batch 20 % of the clips lose the voice and 20 % the face (tutorial 15). A class is there if its share of votes is
# above $1/K$. Softmax cannot be calibrated about that: its $p$ sum to 1, but a clip has $m$ such classes, 1.7 in the mean. The
# error of class $k$ is at least $|\bar y_k - \bar p_k|$, their mean $|\sum_k (\bar y_k - \bar p_k)| / K = (\bar m - 1) / K$.

# %%
shares = test.votes / test.votes.sum(1, keepdims=True)
labels = (shares > 1 / 6).astype(int)
models = {b: refmer.Recognizer("raver", config={"balance": b}, epochs=7).fit(train) for b in ("class", "none")}
said = {name: model.predict_proba(test) for name, model in models.items()}
said["class, undone"] = our_undone(said["class"], w)
for name, q in said.items():
    floor = (labels.sum(1).mean() - 1) / 6
    print(f"{name:14} Brier {brier_labels(labels, q):.3f}, calibration error {ece_macro(labels, q):.3f}, at least {floor:.3f}")

amounts, senses, neutral = (0, 0.5, 0.9, 1), ("voice", "face", "voice+face"), test.labels["votes"].names.index("neutral")
curve = {s: [models["none"].score(refmer.corrupt(test, s, "missing", a)) for a in amounts] for s in senses}
fig, (learning, bars, lines) = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
for name, model in models.items():
    learning.plot([e["dev_loss"] for e in model.history_], label=f"balance = {name}")
learning.set(xlabel="epoch", ylabel="development loss", title="Learning")
for i, (name, q) in enumerate({"votes": shares, **said}.items()):
    bars.bar(np.arange(6) + 0.2 * (i - 1.5), q.mean(0), 0.2, label=name)
bars.set_xticks(range(6), test.labels["votes"].names, rotation=35, ha="right")
bars.set(ylabel="mean share", ylim=(0, 0.45), title="What is expected")
for sense, score in curve.items():
    lines.plot(amounts, score, "o-", label=sense)
lines.set(xlabel="share of frames missing", ylabel="macro F1", ylim=(0, 0.8), title="What is left (balance = none)")
for ax in (learning, bars, lines):
    ax.legend(fontsize=8)
plt.show()

# Lesson 6: weights push the commonest class down; undoing them brings it back, and brings the Brier score down.
assert said["class"][:, neutral].mean() < said["none"][:, neutral].mean() - 0.05
assert brier_labels(labels, said["class, undone"]) < brier_labels(labels, said["class"])
assert min(ece_macro(labels, q) for q in said.values()) >= floor
# Lesson 7: half of the frames carry nearly all; without any frame nothing is known, and no summary can help.
assert curve["voice+face"][1] > curve["voice+face"][0] - 0.06 and curve["voice+face"][-1] < curve["voice+face"][0] - 0.15

gone = models["none"].explain(refmer.corrupt(test, "voice", "missing", 1.0))["audio.context"]
size = [np.sqrt((c**2).mean()) for c in (gone, models["none"].explain(test)["audio.context"])]
print(f"summary of the voice: root mean square {size[0]:.2f} where there is none, {size[1]:.2f} where there is")
# Lesson 8: the summary of nothing is one for all clips and not small (the paper calls the update it makes "near-zero").
assert np.ptp(gone, axis=0).max() < 1e-4 and size[0] > 0.2 * size[1]

# %% [markdown]
# *Beside the paper.* RAVER's Brier score on CREMA-D is .119. Ours does not compare: each corpus has its own floor (exercise 1).
#
# ## On your own
#
# Write it yourself: exercise file `19_raver.py` (`refmer exercises --out DIR`, then `refmer grade DIR/19_raver.py`).
#
# 1. Two of six classes are there. What is the best Brier score of a softmax? And on `labels`?
# 2. The paper's $(p_L, p_N)$ are undefined. If they are chances of *staying* lost and received, what are our $p$ and $r$?
# 3. With a single bin A and B above have the same calibration error. Which, and why is that no comfort?

# %%
# Solution 1: p = 1/m for each of the m that are there: m (1 - 1/m)^2 / K, 1/12 for two of six. 0 is out of reach.
print(f"floor of the Brier score on the test clips: {np.mean([m * (1 - 1 / m) ** 2 / 6 for m in labels.sum(1)]):.3f}")

# Solution 2: p = 1 - p_N, r = 1 - p_L, so pi = (1 - p_N) / (2 - p_N - p_L).
assert abs(GilbertElliott(1 - 0.9, 1 - 0.6).expected_loss() - 0.1 / 0.5) < 1e-12

# Solution 3: 0. On average both say 1/2, and 1/2 comes true. An answer that is always 1/2 has error 0, too, and tells nothing.
assert all(ece_positive(truth, q, bins=1) < 1e-12 for q in twelve.values())
