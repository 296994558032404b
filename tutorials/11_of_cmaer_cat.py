# %% [markdown]
# # 11. OF-CMAER-CAT
#
# Introduces: `refmer.systems.of_cmaer_cat.Config`, `refmer.systems.of_cmaer_cat.describe`,
# `refmer.systems.of_cmaer_cat.forward`, `refmer.systems.of_cmaer_cat.encode`, `refmer.systems.of_cmaer_cat.masks`,
# `refmer.layers.cmaer.context`, `refmer.ops.losses.weight_entropy`
#
# **What you will do.** Build OF-CMAER-CAT (paper 001): three senses ask each other, are weighted, and are summed up. Then
# follow one term of its loss downhill, once with the sign that is printed and once with the sign that is meant.
#
# **What you will learn.** Attention between more than two senses; weights that know what is missing; how a contrastive loss
# pulls senses together; how a sign in a paper is checked with a derivative, before any training.
#
# **What you need.** Tutorials 2, 4, 5 and 6. The paper gives no sizes, no factors and no code: every number here is refmer's.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer import params
from refmer.check import assert_gradient, assert_pair
from refmer.layers.cmaer import context
from refmer.layers.dense import layer_norm, mlp
from refmer.ops.losses import info_nce, weight_entropy
from refmer.systems import of_cmaer_cat

# %% [markdown]
# ## Cross-modal attention
#
# Face (images), voice (log-mel) and body (skin, heart) each go through a small convolutional encoder (tutorial 7), which leaves
# $F_i$ (B, $T_i$, C) with their own numbers of steps, and means over time $f_i$ (eq. 1-2). One set of maps serves all senses
# (eq. 3-5):
#
# $$A_{ij} = \text{softmax}\bigl(F_i W_Q (F_j W_K)^\top / \sqrt C\bigr)\, F_j W_V \qquad (T_i \times C).$$
#
# Sense $i$ hears from all others $j$, by how well their means fit (eq. 6), and a gate scales each feature of that (eq. 7):
#
# $$\alpha_{ij} = \text{softmax}_{j \ne i}(f_i W_\phi f_j^\top), \quad \tilde F_i = \sum_{j \ne i} \alpha_{ij} A_{ij} W_O, \quad
#   F_i^a = \text{LN}\bigl(F_i + \sigma(\text{MLP}([F_i; \tilde F_i]))\, \tilde F_i\bigr) .$$
#
# ## Adaptive weights
#
# A score from mean and variance over time, $s_i = \text{MLP}([f_i; \text{var}_t F_i])$, becomes a weight. The paper takes a
# softmax, multiplies with the availability $m_i \in \{0, 1\}$ and divides by the sum (eq. 8-10). The softmax' own sum cancels:
#
# $$\tilde w_i = \frac{m_i w_i}{\sum_j m_j w_j} = \frac{m_i e^{s_i} / Z}{\sum_j m_j e^{s_j} / Z}
#   = \frac{m_i e^{s_i}}{\sum_j m_j e^{s_j}}, \qquad Z = \sum_j e^{s_j} :$$
#
# a masked softmax. The paper masks only here; refmer masks $A$ and $\alpha$ too, or the absent would speak through their
# neighbours. Last, all steps $\tilde w_i F_i^a$ of all senses form one sequence for a Transformer (positions, and a learned
# vector per sense), and the means of the three parts, side by side, normed, go through an MLP.


# %%
def masked_softmax(s, mask):
    e = np.where(mask, np.exp(s - s.max(-1, keepdims=True)), 0)
    return e / np.maximum(e.sum(-1, keepdims=True), 1e-300)


def time_mean(x, valid):
    return (x * valid[..., None]).sum(1) / np.maximum(valid.sum(1), 1)[:, None]


def align(p, F, valid, there):
    f = np.stack([time_mean(F[m], valid[m]) for m in F], 1)  # (B, M, C)
    others = there[:, :, None] & there[:, None, :] & ~np.eye(len(F), dtype=bool)
    alpha = masked_softmax(f @ p.compatibility.W @ f.swapaxes(1, 2), others)  # (B, M, M)
    aligned = {}
    for i, to in enumerate(F):
        mixed = 0
        for j, origin in enumerate(F):
            if i != j:
                scores = F[to] @ p.query.W @ (F[origin] @ p.key.W).swapaxes(1, 2) / F[to].shape[-1] ** 0.5
                mixed = mixed + alpha[:, i, j, None, None] * (
                    masked_softmax(scores, valid[origin][:, None]) @ F[origin] @ p.value.W
                )
        mixed = mixed @ p.out.W
        gate = 1 / (1 + np.exp(-mlp(p.gate, np.concatenate([F[to], mixed], -1))[0]))
        aligned[to] = layer_norm(p.norm, F[to] + gate * mixed)[0]
    return aligned


def weigh(p, F, valid, there):
    scores = []
    for m in F:
        f = time_mean(F[m], valid[m])
        variance = time_mean((F[m] - f[:, None]) ** 2, valid[m])
        scores.append(mlp(p.score, np.concatenate([f, variance], -1))[0][:, 0])
    return masked_softmax(np.stack(scores, 1), there)  # (B, M)


def ours(p, batch, config):
    shown, valid, there = of_cmaer_cat.masks(batch, config)
    F, _ = of_cmaer_cat.encode(p.encoders, batch, shown, config)
    w = weigh(p.awom, F, valid, there)
    z, _ = context(p.context, align(p.cmaa, F, valid, there), w, valid, config.heads)  # (B, M, C)
    return mlp(p.head, layer_norm(p.norm, z.reshape(len(z), -1))[0])[0], w


rng = np.random.default_rng(0)
config = of_cmaer_cat.Config.tiny(visual=(8, 6), audio=5, physiology=3, width=8, hidden=7, head=9, ffn=10)
p = params.init(of_cmaer_cat.describe(config), seed=0, dtype=np.float64)
shapes = {"visual": (3, 4, 8, 6), "audio": (3, 12, 5), "physiology": (3, 6, 3)}
batch = {m: rng.normal(size=shape) for m, shape in shapes.items()}
batch |= {f"{m}_mask": np.ones(shape[:2], bool) for m, shape in shapes.items()}
zero = ("*.key.b", "awom.score.maps.1.b")  # they move all scores alike, which softmax ignores
worst = assert_gradient(lambda p, b: of_cmaer_cat.forward(p, b, config), p, batch, rng=rng, zero=zero, directions=True)
print(f"forward against backward: {worst:.0e}")
batch["audio_mask"][0, 7:], batch["audio_mask"][1], batch["physiology_mask"][2, 4:] = False, False, False
out, _ = of_cmaer_cat.forward(p, batch, config)
logits, w = ours(p, batch, config)
print("weights of face, voice, body:", *w.round(2))

# Lesson 1: these lines are the system, and a missing voice (second clip) has no weight.
np.testing.assert_allclose(logits, out["logits"], rtol=1e-9)
assert w[1, 1] == 0 and np.allclose(w.sum(1), 1)

# %% [markdown]
# ## Contrastive loss
#
# What face and voice of one clip $n$ say should fit better than face of $n$ and voice of another clip $m$. With $s_{nm}$ the
# cosine of $f_i$ of clip $n$ and $f_j$ of clip $m$, and $\tau = 0.1$, InfoNCE asks "which clip is yours?":
#
# $$L = -\frac1B \sum_n \log q_{nn}, \qquad q_{nm} = \frac{e^{s_{nm} / \tau}}{\sum_k e^{s_{nk} / \tau}}, \qquad
#   \frac{\partial L}{\partial s_{nm}} = \frac{1}{B \tau} (q_{nm} - \delta_{nm}),$$
#
# then the mean over ordered pairs $i \ne j$. As printed (eq. 16) all terms of the denominator belong to clip $n$: no other clip
# is in it.

# %%
f = rng.normal(size=(6, 2, 5))
z = f / np.sqrt((f * f).sum(-1, keepdims=True))
s = z[:, 0] @ z[:, 1].T  # (B, B): face of n, voice of m
by_hand = -np.mean([np.log(np.diag(masked_softmax(t / 0.1, True))) for t in (s, s.T)])
np.testing.assert_allclose(by_hand, info_nce(f)[0], rtol=1e-12)
print(f"gradients: {assert_pair(info_nce, f, rng=rng):.0e}, {assert_pair(weight_entropy, w[2:], rng=rng):.0e}")


def nce_slope(s):  # of one direction, by s
    return (masked_softmax(s / 0.1, True) - np.eye(len(s))) / (len(s) * 0.1)


# Lesson 2: it only compares: a pull on the matching pair is paid for by pushes on the others, so every row sums to 0.
assert np.abs(nce_slope(s).sum(1)).max() < 1e-12 and (np.diag(nce_slope(s)) < 0).all()

# %% [markdown]
# ## The entropy term
#
# "To prevent any single modality from dominating", the loss has a term $+\lambda_4 R$, and $R = -\sum_i w_i \log w_i$ (eq.
# 18-19). $R$ is the entropy. It is *largest* for equal weights; a loss is made small. Let us see where $+R$ leads. With
# $\partial w_i / \partial s_k = w_i (\delta_{ik} - w_k)$ of the softmax,
#
# $$\frac{\partial R}{\partial w_i} = -(\log w_i + 1), \qquad
#   \frac{\partial R}{\partial s_k} = -\sum_i (\log w_i + 1)\, w_i (\delta_{ik} - w_k) = -w_k (\log w_k + R) .$$
#
# A large weight has $\log w_k > -R$, so its slope is negative: a step downhill *raises* its score, and the small ones sink. The
# sign is wrong. refmer minimises $-R$; `literal_entropy=True` keeps what is printed.


# %%
def slope(s):
    w = masked_softmax(s, True)
    return -w * (np.log(w) - (w * np.log(w)).sum())


start = np.log([0.5, 0.3, 0.2])
paths = {}
for name, sign in (("printed, + R", 1), ("meant, - R", -1)):
    u, path = start, []
    for _ in range(150):
        path.append(masked_softmax(u, True))
        u = u - 0.3 * sign * slope(u)
    paths[name] = np.array(path)

# Lesson 3: a sign can be read off one derivative: downhill on +R one sense takes all, on -R they share.
assert paths["printed, + R"][-1].max() > 0.9 and paths["meant, - R"][-1].max() < 0.35

# %% [markdown]
# ## In training
#
# The whole loss is $L_{class} + 0.1\, L_{contrastive} + 0.1\, L_{rec} + \lambda_4 (\mp R)$ ($L_{rec}$, never defined, is here
# the squared error of rebuilding all $f_i$ from $\sum_i \tilde w_i f_i^a$). Our $\lambda_4$ is 0.01; to see something we take
# 0.3.

# %%
train, test = refmer.load_samples().split(by="speaker", test_size=0.25, seed=0)
kinds = {"meant": {"entropy": 0.3}, "none": {"entropy": 0.0}, "printed": {"entropy": 0.3, "literal_entropy": True}}
models = {name: refmer.Recognizer("of_cmaer_cat", config=kind, epochs=12).fit(train) for name, kind in kinds.items()}
noisy = refmer.corrupt(test, "face", "gaussian", 2.0, scale_from=train)
gone = refmer.corrupt(test, "face", "missing", 1.0)
weights = {name: model.explain(test)["weights"] for name, model in models.items()}
entropy = {name: -(w * np.log(w + 1e-12)).sum(1).mean() for name, w in weights.items()}
broken = {"whole": test, "noisy": noisy, "gone": gone}
shares = {name: models["meant"].explain(clips)["weights"].mean(0) for name, clips in broken.items()}

fig, axes = plt.subplots(1, 4, figsize=(10, 3.3), layout="constrained", width_ratios=(1.1, 1, 1, 1))
for (name, path), style in zip(paths.items(), ("-", ":"), strict=True):
    axes[0].plot(path, style, color="C3" if style == "-" else "C0", label=[name, None, None])
axes[0].set(xlabel="step downhill", ylabel="weight", title="The term alone", ylim=(0, 1))
for name, model in models.items():
    axes[1].plot([e["dev_loss"] for e in model.history_], label=name)
axes[1].set(xlabel="epoch", ylabel="development loss, term included", title="Learning")
for ax, title, values in ((axes[2], "Weights, by sign", weights), (axes[3], "Sign as meant; the face", shares)):
    for i, sense in enumerate(("face", "voice", "body")):
        ax.bar(np.arange(3) + 0.27 * (i - 1), [np.mean(v.T[i]) for v in values.values()], 0.25, label=sense)
    ax.set(xticks=range(3), xticklabels=values, ylim=(0, 1), title=title)
for ax in axes:
    ax.legend(fontsize=8)
plt.show()
for name, model in models.items():
    accuracy = f"accuracy {model.score(test):.2f}, without the face {model.score(gone):.2f}"
    print(f"{name:8} entropy {entropy[name]:.2f} of at most {np.log(3):.2f}, {accuracy}")

# Lesson 4: in a trained system, too, the printed sign makes one sense dominate, against what it is there for.
assert entropy["printed"] < entropy["none"] - 0.1 and entropy["printed"] < 0.75 * entropy["meant"]
# Lesson 5: a missing face has no weight; its weight is not learned away but masked away.
assert shares["gone"][0] == 0

# %% [markdown]
# *What does not show.* That noise on the face costs it weight: here it does, with seed 1 the face gains. The score sees mean
# and variance of features, and nothing in the loss asks whether they can be trusted. Nor are these good classifiers.
#
# *Beside the paper.* Its 93.2 % on IEMOCAP is of classes that it does not name, with a sense that IEMOCAP lacks, and without
# code: nothing can be compared. One number can be checked with a pencil: exercise 3.
#
# ## On your own
#
# 1. With weights (0.8, 0.1, 0.1), what are $\partial R / \partial w_i$ and $\partial R / \partial s_i$?
# 2. With two senses and eq. 16 as printed, the denominator holds one term (q is the other sense). What is the loss?
# 3. The paper has precision 94.8, recall 93.2 and F1 93.6. Is that possible?

# %%
# Solution 1: dR/dw = -(log w + 1) = (-0.78, 1.30, 1.30). Downhill: the large one up, the small ones down, in scores too.
assert np.allclose(-(np.log([0.8, 0.1]) + 1), [-0.78, 1.30], atol=0.005)
assert slope(np.log([0.8, 0.1, 0.1]))[0] < 0 < slope(np.log([0.8, 0.1, 0.1]))[1]

# Solution 2: -log(e^a / e^a) = 0 for all features: it teaches nothing. A contrast needs somebody else.
e = np.exp(np.diag(s) / 0.1)
assert (-np.log(e / e) == 0).all()

# Solution 3: not for one class or one average: the harmonic mean is 94.0. (A mean of F1 over classes may differ from it.)
assert round(2 * 94.8 * 93.2 / (94.8 + 93.2), 1) == 94.0
