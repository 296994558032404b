# %% [markdown]
# # 4. Gates: trust that is learned
#
# Introduces: `refmer.layers.gate.describe_gate`, `refmer.layers.gate.gate`, `refmer.ops.losses.binary_cross_entropy`,
# `refmer.corrupt`, `refmer.Recognizer`
#
# **After this page** you can add up the gradients of an input that is used twice, say why a closed gate stays closed, and say
# when a gate falls where a sensor fails: not by itself, but if its loss asks for it.
#
# **Time.** 75 minutes to read, 15 seconds to run.
#
# **You need** tutorials 1, 2 and 3: layers, the proof, the corpus. Where cross-entropy is used its gradient is stated; tutorial
# 5 derives it.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer import params
from refmer.check import assert_gradient
from refmer.layers.dense import describe_linear, linear
from refmer.layers.gate import describe_gate, gate
from refmer.ops.losses import binary_cross_entropy

rng = np.random.default_rng(0)

# %% [markdown]
# ## Forward
#
# A gate looks at a vector $x$ of $C$ numbers and decides how much of it passes: a few hidden numbers, one score $s$, a share
# $\alpha$ between 0 and 1 (paper 000, eq. 2 and 3).
#
# $$u_h = \sum_c x_c W^1_{ch} + b^1_h, \qquad r_h = \max(u_h, 0), \qquad s = \sum_h r_h W^2_h + b^2, \qquad
#   \alpha = \sigma(s) = \frac{1}{1 + e^{-s}}, \qquad y_c = \alpha x_c .$$
#
# One gate serves all $B$ clips and all $T$ steps of a sequence; every step has a score and a share of its own.


# %%
def our_gate(x, W1, b1, W2, b2):
    """Return the hidden numbers u before their ReLU, the score s, its sigmoid alpha, and y
    = alpha x, for every step.

    x (B, T, C), W1 (C, H), b1 (H,), W2 (H, 1), b2 (1,)
    -> u (B, T, H), s (B, T, 1), alpha (B, T, 1), y (B, T, C)
    """
    u = x @ W1 + b1
    r = np.where(u.real > 0, u, 0)
    s = r @ W2 + b2
    alpha = 1 / (1 + np.exp(-s))
    y = alpha * x
    return u, s, alpha, y


# %% [markdown]
# ## Backward
#
# The sigmoid's derivative is a product of what it says and what it does not:
#
# $$\sigma'(s) = \frac{e^{-s}}{(1 + e^{-s})^2} = \frac{1}{1 + e^{-s}} \cdot \frac{e^{-s}}{1 + e^{-s}} = \alpha (1 - \alpha) .$$
#
# One $\alpha$ multiplies all $x_c$: its gradient is a sum over $c$. And $x$ is used twice, as what passes and as what decides:
#
# $$d\alpha = \sum_c dy_c\, x_c, \qquad ds = d\alpha\; \alpha (1 - \alpha), \qquad
#   du_h = ds\, W^2_h\, [u_h > 0], \qquad dx_c = \alpha\, dy_c + \sum_h du_h W^1_{ch} .$$
#
# The parameters are those of linear layers (tutorial 1) and serve every step; their gradients are sums over clips and steps:
#
# $$dW^2_h = \sum_{b,t} r_{bth}\, ds_{bt}, \qquad db^2 = \sum_{b,t} ds_{bt}, \qquad
#   dW^1_{ch} = \sum_{b,t} x_{btc}\, du_{bth}, \qquad db^1_h = \sum_{b,t} du_{bth} .$$


# %%
def our_gate_backward(dy, x, W1, W2, u, alpha):
    """Return the gradients of alpha, s, u, x, W1, b1, W2 and b2 for the upstream gradient
    dy; where u is 0 or less, du is 0.

    dy (B, T, C), the others as in our_gate
    -> dalpha, ds (B, T, 1), du (B, T, H), dx (B, T, C), dW1 (C, H), db1 (H,), dW2 (H, 1),
    db2 (1,)
    """
    r = np.where(u > 0, u, 0)
    dalpha = (dy * x).sum(-1, keepdims=True)
    ds = dalpha * alpha * (1 - alpha)
    du = ds @ W2.T * (u > 0)
    dx = alpha * dy + du @ W1.T
    dW1 = np.einsum("btc,bth->ch", x, du)
    db1 = du.sum((0, 1))
    dW2 = np.einsum("bth,bts->hs", r, ds)
    db2 = ds.sum((0, 1))
    return dalpha, ds, du, dx, dW1, db1, dW2, db2


def gate_of_weights(x, W1, b1, W2, b2):
    u, _, alpha, y = our_gate(x, W1, b1, W2, b2)
    return y, lambda dy: our_gate_backward(dy, x, W1, W2, u, alpha)[3:]


p = params.init(describe_gate(7, 5), seed=0, dtype=np.float64)
weights = p.hidden.W, p.hidden.b, p.score.W, p.score.b
x, dy = rng.normal(size=(2, 3, 4, 7))
y, back = gate_of_weights(x, *weights)
theirs, s, back_theirs = gate(p, x)
np.testing.assert_allclose(y, theirs, rtol=1e-12)
dx = back_theirs(dy, np.zeros_like(s), g := params.zeros_like(p))  # refmer's gate returns s too, so its backward takes ds
for ours, true in zip(back(dy), (dx, g.hidden.W, g.hidden.b, g.score.W, g.score.b), strict=True):
    np.testing.assert_allclose(ours, true, rtol=1e-10, atol=1e-14)

# Lesson 1: two uses of x, two terms of dx. (Leave one out: this fails.)
assert assert_gradient(gate_of_weights, None, x, *weights, rng=rng) < 1e-12

# %% [markdown]
# ## Why a closed gate stays closed
#
# $\alpha (1 - \alpha)$ is at most $1/4$, and about $e^{-|s|}$ far out. A gate near 0 hardly learns, and what stands before it
# hardly learns either: $\alpha\, dy_c$ is small, too. A gate near 1 has only the first trouble. Take one number $y = \alpha x$,
# $x = 1$, that should be $1/2$, with $L = (y - \frac12)^2$. The answer is $s = 0$. We descend on $s$ from several places.

# %%
fig, right = plt.subplots(figsize=(6, 3.2), layout="constrained")
ends = {}
for start in (8.0, 4.0, 1.0, -4.0, -8.0):
    s, way = start, []
    for _ in range(200):
        alpha = 1 / (1 + np.exp(-s))
        way.append(alpha)
        s -= 0.5 * 2 * (alpha - 0.5) * alpha * (1 - alpha)
    ends[start] = alpha
    right.plot(way, label=f"from s = {start:g}")
right.axhline(0.5, color="k", ls=":")
right.set(xlabel="step", ylabel=r"$\alpha$", xlim=(0, 330), title="Descent to 1/2 from five places")
right.legend(loc="center right")
plt.show()

# Lesson 2: from s = 1 or 4 it arrives; at -8 and 8 the gate is stuck. So gates start near 0, where alpha is 1/2.
assert abs(ends[1.0] - 0.5) < 0.01 and abs(ends[4.0] - 0.5) < 0.05
assert ends[-8.0] < 0.01 and ends[8.0] > 0.99

# %% [markdown]
# ## What a gate is told
#
# Nobody tells a gate what is reliable. Its only teacher is $d\alpha = \sum_c dy_c x_c$: it opens where more of $x$ lowers the
# loss *on training clips*. If these are clean, what a broken face looks like is in no gradient. Two things can be added: broken
# faces in training, and a term that asks for the state $r$ of the sensor, 1 clean, 0 useless. Noise of $s$ deviations leaves
# the share $r = 1 / (1 + s^2)$ of a feature's variance to the face. The term is binary cross-entropy; through the sigmoid,
# whose derivative cancels both denominators, comes a plain difference:
#
# $$\mathcal{L}_r = -r \log \alpha - (1 - r) \log (1 - \alpha), \qquad
#   ds = \left( -\frac{r}{\alpha} + \frac{1 - r}{1 - \alpha} \right) \alpha (1 - \alpha) = \alpha - r .$$
#
# The loss is its mean over clips and gates, so both are divided by their number. In floating point $\alpha$ may be exactly 0 or
# 1, and $\log 0$ is infinite; so write the logarithms by the score. With $\log \alpha = -\log(1 + e^{-s})$ and
# $\log (1 - \alpha) = \log \alpha - s$:
#
# $$\mathcal{L}_r = \log(1 + e^{-s}) + (1 - r)\, s = \log(1 + e^{s}) - r s, \qquad
#   \log(1 + e^s) = \max(s, 0) + \log(1 + e^{-|s|}) .$$


# %%
def our_reliability(s, r):
    """Return the shares alpha = sigmoid(s), and the mean L of binary cross-entropy; both
    are finite for scores of 1000, too.

    s (B, G), scores of G gates, r (B, G), states of their sensors from 0 to 1
    -> alpha (B, G), L
    """
    e = np.exp(np.where(s.real > 0, -s, s))
    alpha = np.where(s.real > 0, 1, e) / (1 + e)
    L = (np.where(s.real > 0, s, 0) + np.log1p(e) - r * s).mean()
    return alpha, L


def our_reliability_backward(r, alpha):
    """Return the gradient of the scores s.

    r (B, G), alpha (B, G) -> ds (B, G)
    """
    ds = (alpha - r) / alpha.size
    return ds


s, r = rng.normal(size=(3, 2)), rng.random((3, 2))
alpha, L = our_reliability(s, r)
value, slope = binary_cross_entropy(s, r, np.ones(2))
np.testing.assert_allclose([L, *our_reliability_backward(r, alpha).ravel()], [value, *slope.ravel()], rtol=1e-12)

# %% [markdown]
# ## An experiment
#
# A small system to find out: the emotion from the mean face (49 numbers, gated after a linear map and ReLU) and the mean voice
# (45, not gated). The loss is tutorial 5's cross-entropy: $dz = (\mathrm{softmax}(z) - t) / B$ above the scores $z$. Features
# are scaled by mean and deviation of the training means, and noise is measured on that scale.

# %%
clips = refmer.load_samples()
train, test = clips.split(by="speaker", test_size=0.25, seed=0)


def means(clips, names):
    streams = [clips.streams[name] for name in names]
    return np.hstack([(s.x * s.mask[..., None]).sum(1) / np.maximum(s.mask.sum(1), 1)[:, None] for s in streams])


def scaled(names):
    x, new = means(train, names), means(test, names)
    return [((z - x.mean(0)) / (x.std(0) + 1e-6)).astype("f4") for z in (x, new)]


(face, new_face), (voice, new_voice) = scaled(["units"]), scaled(["prosody", "mfcc"])
wanted = np.eye(6, dtype="f4")[train.emotion]
description = {"face": describe_linear(49, 24), "gate": describe_gate(24, 16), "voice": describe_linear(45, 24)}
description["out"] = describe_linear(48, 6)


def forward(p, face, voice, trace=None):
    u, back_face = linear(p.face, face)
    h = np.maximum(u, 0)
    y, _, back_gate = gate(p.gate, h, trace)
    w, back_voice = linear(p.voice, voice)
    r = np.maximum(w, 0)
    z, back_out = linear(p.out, np.hstack([y, r]))

    def backward(dz, ds, g):
        dy, dr = np.split(back_out(dz, g.out), 2, -1)
        back_voice(dr * (w > 0), g.voice)
        back_face(back_gate(dy, ds, g.gate) * (u > 0), g.face)

    return z, backward


def learn(broken, told=0, seed=0, bias=0.0):
    """500 steps; in each, this share of the faces drowns in noise of 3 deviations, and the gate is asked for r or not."""
    p, rng = params.init(description, seed), np.random.default_rng(seed)
    p.gate.score.b[:], velocity = bias, np.zeros_like(p.vector)
    for _ in range(500):
        hit = rng.random((len(face), 1)) < broken
        z, backward = forward(p, face + 3 * (hit * rng.normal(size=face.shape)).astype("f4"), voice, trace := {})
        e = np.exp(z - z.max(-1, keepdims=True))
        dz, ds = e / e.sum(-1, keepdims=True) - wanted, told * (trace["gate"] - np.where(hit, 0.1, 1))
        g = params.zeros_like(p)
        backward(dz / len(z), (ds / len(z)).astype("f4"), g)
        velocity = 0.9 * velocity + g.vector + 0.002 * p.vector  # the last term keeps parameters small
        p.vector -= 0.1 * velocity
    return p


def look(p, sd):
    """Mean gate and accuracy on new speakers whose faces have noise of this standard deviation."""
    noise = sd * np.random.default_rng(9).normal(size=new_face.shape)
    z, _ = forward(p, (new_face + noise).astype("f4"), new_voice, trace := {})
    return trace["gate"].mean(), (z.argmax(1) == test.emotion).mean()


deviations = np.array([0, 0.5, 1, 2, 3])
ways = {"clean faces": learn(0), "half of them broken": learn(0.5), "half broken, and told": learn(0.5, told=1)}
found = {way: np.array([look(p, sd) for sd in deviations]) for way, p in ways.items()}
clean, broken, told = found.values()
fig, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for way, values in found.items():
    axes[0].plot(deviations, values[:, 0], "o-", label=f"trained on {way}")
    axes[1].plot(deviations, values[:, 1], "o-")
axes[0].set(xlabel="noise on new faces (sd)", ylim=(0, 1.05), title=r"Mean gate $\alpha$ of the face")
axes[1].set(xlabel="noise on new faces (sd)", ylim=(0, 0.8), title="Accuracy with new speakers")
axes[0].legend(loc="lower left")
plt.show()

# %% [markdown]
# Trained on clean faces, the gate lets *more* through the more noise there is: noise makes $h$ larger, and large $h$ is what it
# has learned to let through. Broken faces in training make it fall a little. Only the gate that is asked for the state of the
# sensor falls to what it was asked for. In accuracy that is worth little: with or without the term, training with broken faces
# costs on clean ones.

# %%
# Lesson 3: trained on clean faces, the gate rises with noise.
assert clean[-1, 0] > clean[0, 0] > 0.9
# Lesson 4: broken faces alone make it fall a little, the term makes it fall to its target.
assert 0.08 < broken[0, 0] - broken[-1, 0] < 0.5 and told[0, 0] > 0.85 and told[-1, 0] < 0.25
# Lesson 5: training with broken faces costs accuracy on clean ones.
assert max(broken[0, 1], told[0, 1]) < clean[0, 1] - 0.05

# %% [markdown]
# ## Covering the face
#
# `refmer.corrupt(clips, sense, kind, amount)` returns new clips with one sense broken. `"hand"` covers a share of the face,
# from the chin upwards; the tracker then guesses what it cannot see. `"gaussian"` adds noise to the features; with
# `scale_from=train`, `amount` counts standard deviations. `refmer.Recognizer(system, config, seed)` is a whole system: `fit`,
# `score`, and `explain`, which returns what it noted on its way. Here that of paper 000 (tutorial 13), twice: as in the paper,
# on clean clips (`reliability` 0), and told, with corrupted copies of its clips and the term above (1, its default).

# %%
amounts = {"hand": (0, 0.25, 0.5, 0.75, 1), "gaussian": (0, 0.5, 1, 2, 3)}
broken = {kind: [refmer.corrupt(test, "face", kind, a, scale_from=train) for a in some] for kind, some in amounts.items()}
trust = {}
for name, reliability in (("as in the paper", 0.0), ("told", 1.0)):
    model = refmer.Recognizer("openface_adaptive", config={"reliability": reliability}, label="emotion", seed=0)
    model.fit(train)
    trust[name] = {k: [model.explain(part)["visual.gate"].mean() for part in parts] for k, parts in broken.items()}
    print(name, {k: [round(float(model.score(part)), 2) for part in parts] for k, parts in broken.items()})

fig, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained", width_ratios=[1, 2, 2])
axes[0].imshow(broken["hand"][2].streams["frames"].x[0, 20], cmap="gray")
axes[0].set(title="hand 0.5", xticks=[], yticks=[])
for ax, (name, values) in zip(axes[1:], trust.items(), strict=True):
    ax.plot(amounts["hand"], values["hand"], "o-", label="hand (share)")
    ax.plot(amounts["gaussian"], values["gaussian"], "s-", label="noise (sd)")
    ax.set(xlabel="amount", ylim=(0, 1.05), title=f"Gate of the face, {name}")
axes[1].legend(loc="lower left")
plt.show()

# %% [markdown]
# Trained as in the paper, the gate keeps trusting a covered face. The paper's demonstration shows a fall from 0.92 to 0.05;
# nothing in its loss asks for that. Told, the gate falls as in the paper's picture.

# %%
# Lesson 6: the covered face loses trust only where the loss asks for it.
paper, told = trust.values()
assert paper["hand"][-1] > 0.5 * paper["hand"][0]
assert told["hand"][-1] < 0.2 * told["hand"][0] and told["gaussian"][-1] < 0.4 * told["gaussian"][0]

# %% [markdown]
# The told gate reads well, for kinds of damage that it was shown; of others (`"turn"`) it promises nothing. And the target
# matters: a face under noise of 2 deviations, called broken (r = 0, not 0.2), is lost although it still tells something.
#
# ## On your own
#
# Write it yourself: exercise file `04_gates.py` (`refmer exercises --out DIR`, then `refmer grade DIR/04_gates.py`). With
# tutorials 1 and 5 you can then train a recognizer with code of your own: `22_gated_recognizer.py`.
#
# 1. Derive $dx_c$ for a gate per channel: $y_c = \alpha_c x_c$, $\alpha_c = \sigma(s_c)$, $s_c = w_c x_c$.
# 2. For which $s$ is $\alpha (1 - \alpha)$ a hundredth of its greatest value?
# 3. Train on clean faces with a gate that starts nearly closed, $b^2 = -12$. Does it open? What does the face contribute?

# %% tags=["hide-cell"]
# Solution 1: dx_c = dy_c (alpha_c + x_c alpha_c (1 - alpha_c) w_c). No sum: every channel has its own share.
w, x, dy = rng.normal(size=(3, 7))
alpha = 1 / (1 + np.exp(-w * x))
step = [(dy * (x + 1e-30j * e) / (1 + np.exp(-w * (x + 1e-30j * e)))).sum().imag / 1e-30 for e in np.eye(7)]
np.testing.assert_allclose(dy * (alpha + x * alpha * (1 - alpha) * w), step, rtol=1e-10)

# Solution 2: alpha (1 - alpha) = 1/400 gives alpha = 0.0025 (or 0.9975), s = log(alpha / (1 - alpha)) = -6 (or 6).
assert abs(np.log(0.0025 / 0.9975) + 6) < 0.02

# Solution 3: it stays shut, and the system is blind to the face for good.
shut, sees = look(learn(0, bias=-12.0), 0)
assert shut < 0.1 and sees < clean[0, 1] - 0.1
