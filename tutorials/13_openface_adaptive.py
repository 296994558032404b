# %% [markdown]
# # 13. OpenFace-Adaptive
#
# Introduces: `refmer.diagrams.draw`, `refmer.systems.openface_adaptive.Config`, `refmer.systems.openface_adaptive.describe`,
# `refmer.systems.openface_adaptive.forward`, `refmer.layers.dense.batch_norm`
#
# **After this page** you can build the system of paper 000 and prove its gradient, train it as in the paper and told of broken
# sensors, read its gates and attention maps, and compare two of its numbers with the paper's.
#
# **Time.** 90 minutes to read, 20 seconds to run.
#
# **You need** tutorials 2, 3, 4, 5, 7 and 9: the proof, the corpus, gates, focal loss, attention, the encoder layer. The file
# is `refmer/systems/openface_adaptive.py`. The corpus is synthetic.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer import params
from refmer.check import assert_gradient
from refmer.diagrams import draw
from refmer.layers.attention import post_norm_layer
from refmer.layers.dense import batch_norm, linear, mlp
from refmer.layers.gate import gate
from refmer.systems import openface_adaptive as system

rng = np.random.default_rng(0)

draw("openface_adaptive")

# %% [markdown]
# ## The system
#
# Of each clip three mean vectors remain: face $v$, voice $a$, words $t$. Time is gone. For each $m \in \{V, A, T\}$:
#
# $$n_m = \mathrm{BN}(x_m), \qquad r_m = \max(n_m W_m + b_m, 0), \qquad h_m = \alpha_m r_m \quad (h_T = r_T),$$
#
# with tutorial 4's gates $\alpha_V$ and $\alpha_A$, each from its own $r_m$.
#
# The three $h_m$, of width $d$, are the nodes of a graph in which every node sees every node: a sequence of three for a
# Transformer of post-norm layers (tutorial 9) with four heads. No positions: $h_V$, $h_A$, $h_T$ stay in their places. At the
# end they stand side by side, $3d$ numbers, and an MLP makes seven scores: sentiment from $-3$ to $3$, rounded.
#
# **Batch norm** is tutorial 2's layer norm along the other axis. With the batch's $\mu_c = \frac1B \sum_b x_{bc}$ and $v_c$:
#
# $$z_{bc} = \frac{x_{bc} - \mu_c}{\sqrt{v_c + \epsilon}}, \qquad n_{bc} = \gamma_c z_{bc} + \beta_c, \qquad
#   dx_{bc} = \frac{\gamma_c}{\sqrt{v_c + \epsilon}} \Bigl( dn_{bc} - \tfrac1B \sum_j dn_{jc}
#   - z_{bc}\, \tfrac1B \sum_j dn_{jc} z_{jc} \Bigr).$$
#
# The derivation is the same, letter by letter, with $b$ for $c$. What is new: clips of a batch mix. So at test time, when a
# clip may come alone, running means of $\mu$ and $v$ from training take their place, and
# $dx_{bc} = \gamma_c\, dn_{bc} / \sqrt{v_c + \epsilon}$. After each batch they move by a tenth of the way to the batch's,
# $\bar\mu \leftarrow \bar\mu + 0.1\, (\mu - \bar\mu)$ and $\bar v \leftarrow \bar v + 0.1\, (\frac{B}{B - 1} v - \bar v)$; the
# factor, PyTorch's habit, makes the variance unbiased. In both cases $\epsilon = 10^{-5}$. One clip alone has no variance:
# refmer takes the running moments for it in training, too.
#
# In refmer a generator `rng` says "training": batch norm takes the batch's moments, and dropout drops.


# %%
def our_batch_norm(x, gamma, beta):
    """Return z, each column of x centred and scaled with the batch's moments, r, the scale
    of each column, and y.

    x (B, C), gamma (C,), beta (C,) -> z (B, C), r (C,), y (B, C)
    """
    d = x - x.mean(0)
    r = ((d * d).mean(0) + 1e-5) ** -0.5
    z = d * r
    y = gamma * z + beta
    return z, r, y


def our_batch_norm_backward(dy, z, r, gamma):
    """Return the gradients of z, x, gamma and beta.

    dy (B, C), z (B, C), r (C,), gamma (C,) -> dz, dx (B, C), dgamma, dbeta (C,)
    """
    dz = dy * gamma
    dx = r * (dz - dz.mean(0) - z * (dz * z).mean(0))
    dgamma = (dy * z).sum(0)
    dbeta = dy.sum(0)
    return dz, dx, dgamma, dbeta


def our_running(mean, var, x):
    """Return the running mean and variance after a batch: a tenth of the way to the batch's
    mean and unbiased variance.

    mean (C,), var (C,), x (B, C) with B at least 2 -> new_mean (C,), new_var (C,)
    """
    d = x - x.mean(0)
    new_mean = mean + 0.1 * (x.mean(0) - mean)
    new_var = var + 0.1 * ((d * d).sum(0) / (len(x) - 1) - var)
    return new_mean, new_var


def our_evaluation(x, mean, var, gamma, beta):
    """Return z and y with the running mean and variance in place of the batch's.

    x (B, C), mean, var, gamma, beta (C,) -> z (B, C), y (B, C)
    """
    z = (x - mean) * (var + 1e-5) ** -0.5
    y = gamma * z + beta
    return z, y


def our_evaluation_backward(dy, z, var, gamma):
    """Return the gradients of x, gamma and beta; the running moments are constants.

    dy (B, C), z (B, C), var (C,), gamma (C,) -> dx (B, C), dgamma, dbeta (C,)
    """
    dx = dy * gamma * (var + 1e-5) ** -0.5
    dgamma = (dy * z).sum(0)
    dbeta = dy.sum(0)
    return dx, dgamma, dbeta


# %% [markdown]
# ## A node
#
# From $n$ to $h$ there are a linear map, a ReLU and the gate. With $r = \max(u, 0)$, $u = nW + b$, the gate is tutorial 4's:
# $\alpha = \sigma(\max(t, 0)\, V_2 + c_2)$, $t = rV_1 + c_1$, and $h = \alpha r$. $r$ is used twice, as what passes and as what
# decides:
#
# $$d\alpha_b = \sum_c dh_{bc} r_{bc}, \quad ds = d\alpha\, \alpha (1 - \alpha), \quad dt = (ds\, V_2^\top) [t > 0], \quad
#   dr = \alpha\, dh + dt\, V_1^\top, \quad du = dr\, [u > 0] .$$


# %%
def our_node(n, W, b, V1, c1, V2, c2):
    """Return u = n W + b, r = max(u, 0), t = r V1 + c1, the gate alpha = sigmoid(max(t, 0)
    V2 + c2), and h = alpha r.

    n (B, D), W (D, C), b (C,), V1 (C, H), c1 (H,), V2 (H, 1), c2 (1,)
    -> u, r (B, C), t (B, H), alpha (B, 1), h (B, C)
    """
    u = n @ W + b
    r = np.where(u.real > 0, u, 0)
    t = r @ V1 + c1
    s = np.where(t.real > 0, t, 0) @ V2 + c2
    alpha = 1 / (1 + np.exp(-s))
    h = alpha * r
    return u, r, t, alpha, h


def our_node_backward(dy, n, W, V1, V2, u, r, t, alpha):
    """Return the gradients of alpha, s, t, r, u, n, and of the weights; dy is the upstream
    gradient of h.

    dy (B, C), the others as in our_node
    -> dalpha, ds (B, 1), dt (B, H), dr, du (B, C), dn (B, D), dW, db, dV1, dc1, dV2, dc2 in
    their shapes
    """
    dalpha = (dy * r).sum(1, keepdims=True)
    ds = dalpha * alpha * (1 - alpha)
    dt = np.where(t.real > 0, ds @ V2.T, 0)
    dr = alpha * dy + dt @ V1.T
    du = np.where(u.real > 0, dr, 0)
    dn = du @ W.T
    dW, db = n.T @ du, du.sum(0)
    dV1, dc1 = r.T @ dt, dt.sum(0)
    dV2, dc2 = np.where(t.real > 0, t, 0).T @ ds, ds.sum(0)
    return dalpha, ds, dt, dr, du, dn, dW, db, dV1, dc1, dV2, dc2


# %% [markdown]
# ## All of it
#
# The same with refmer's layers, whose backward is a closure, for every sense; then the Transformer and the head.


# %%
def sense_node(p, x, rng):
    n, back_norm = batch_norm(p.norm, x, rng)
    u, back_project = linear(p.project, n)
    r = np.where(u.real > 0, u, 0)
    h, _, back_gate = gate(p.gate, r) if hasattr(p, "gate") else (r, None, lambda dh, ds, g: dh)

    def backward(dh, g):
        dr = back_gate(dh, 0.0, getattr(g, "gate", None))
        return back_norm(back_project(np.where(u.real > 0, dr, 0), g.project), g.norm)

    return h, backward


def whole_system(p, batch, config, rng=None):
    names = config.modalities
    nodes, back_nodes = zip(*(sense_node(getattr(p, m), batch[m], rng) for m in names), strict=True)
    x, back_layers = np.stack(nodes, 1), []  # (B, 3, d)
    for layer in p.layers:
        x, back = post_norm_layer(layer, x, config.heads, None, config.dropout, rng)
        back_layers.append(back)
    logits, back_head = mlp(p.head, x.reshape(len(x), -1), config.head_dropout, rng)

    def backward(dlogits, g):
        dx = back_head(dlogits, g.head).reshape(x.shape)
        for back, layer in zip(reversed(back_layers), reversed(g.layers), strict=True):
            dx = back(dx, layer)
        return {m: back(dx[:, i], getattr(g, m)) for i, (m, back) in enumerate(zip(names, back_nodes, strict=True))}

    return logits, backward


config = system.Config.tiny(visual=7, audio=5, text=3, width=8, hidden=12, head=6, gate_hidden=5)
p = params.init(system.describe(config), seed=0, dtype=np.float64)
batch = {m: rng.normal(size=(4, width)) for m, width in (("visual", 7), ("audio", 5), ("text", 3))}
theirs = system.forward(p, batch, config, np.random.default_rng(1))[0]["logits"]


def weights(p):
    return [array for map_ in (p.project, p.gate.hidden, p.gate.score) for array in (map_.W, map_.b)]


def same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-12)


x, face, norm, g = batch["visual"], p.visual, p.visual.norm, params.zeros_like(p).visual
h, back = sense_node(face, x, rng)
dh = rng.normal(size=h.shape)
dx = back(dh, g)
z, r, n = our_batch_norm(x, norm.gamma, norm.beta)
W, b, V1, c1, V2, c2 = weights(face)
*saved, our_h = our_node(n, W, b, V1, c1, V2, c2)
*_, dn, dW, db, dV1, dc1, dV2, dc2 = our_node_backward(dh, n, W, V1, V2, *saved)
same((our_h, dW, db, dV1, dc1, dV2, dc2), (h, *weights(g)))
same(our_batch_norm_backward(dn, z, r, norm.gamma)[1:], (dx, g.norm.gamma, g.norm.beta))
same(our_running(norm.mean, norm.var, x), (norm.mean + 0.1 * g.norm.mean, norm.var + 0.1 * g.norm.var))

g = params.zeros_like(p).visual.norm
n, back = batch_norm(norm, x)
z, our_n = our_evaluation(x, norm.mean, norm.var, norm.gamma, norm.beta)
dn = rng.normal(size=n.shape)
dx = back(dn, g)
same((our_n, *our_evaluation_backward(dn, z, norm.var, norm.gamma)), (n, dx, g.gamma, g.beta))

# Lesson 1: these are all its parts; in training, with batch statistics and dropout, the numbers are the same.
np.testing.assert_array_equal(whole_system(p, batch, config, np.random.default_rng(1))[0], theirs)


def training(p, batch):
    return whole_system(p, batch, config, np.random.default_rng(1))


worst = assert_gradient(training, p, batch, rng=rng, zero=("layers.*.attend.key.b",), directions=True)
print(f"worst error of the gradient, through batch norm and dropout: {worst:.1e}")

# %% [markdown]
# ## Training
#
# The paper's loss is tutorial 5's focal loss with balanced classes, and mixup blends pairs of clips. On our few clips plain
# cross-entropy does as well; AdamW's decay shrinks matrices, and dropout drops half of the last hidden layer.
#
# In the paper's loss the gate $\alpha_m$ appears only through what it passes, and training clips are whole: nothing asks it to
# be low for a broken sensor, for there is none. `reliability` adds, beyond the paper, copies of clips with one broken sensor,
# of a known state $r_m$, and tutorial 4's term: $ds_m$ gains $\rho\, (\alpha_m - r_m) / BG$, with $B$ clips and $G$ gates.
#
# $$\mathcal{L} = \mathcal{L}_{\text{classes}} + \rho \cdot \frac{1}{BG} \sum_{b, m}
#   \bigl( -r_{bm} \log \alpha_{bm} - (1 - r_{bm}) \log (1 - \alpha_{bm}) \bigr)$$
#
# with $r = 1$ for a clean sensor, $1 / (1 + s^2)$ for noise of $s$ standard deviations, 0 for a sensor covered or missing.

# %%
train, test = refmer.load_samples().split(by="speaker", test_size=0.25, seed=0)


def trained(seeds=(0,), epochs=50, **config):
    options = {"config": config, "label": "emotion", "epochs": epochs}
    return [refmer.Recognizer("openface_adaptive", seed=seed, **options).fit(train, progress=False) for seed in seeds]


(model,), (told,) = trained(reliability=0.0), trained(epochs=24)
# Lesson 2: what it learns is partly learned by heart: 216 clips are few.
first, last = model.history_[0], model.history_[-1]
assert last["train_loss"] < 0.6 * first["train_loss"] and last["dev_loss"] > 1.2 * last["train_loss"]

# %% [markdown]
# ## Looking inside
#
# "The network learns to output $\alpha_V \approx 0$ to minimize the propagation of noise", says the paper. Suppose it does.
# What is left of the node? A layer makes $\mathrm{LN}(\alpha x + \text{attention})$ of it. With $\alpha \to 0$ the attention's
# answer stays: a mix of values, in which $h_V$'s own is the bias $b^v$. So the node keeps its *size*, as LN restores it, and
# its share of the softmax, by its key $b^k$; but it is nearly the same row for every face. *What the face says* is gone.
#
# What hides a node altogether is a mask: `hide_missing=True` gives attention the `key_mask` of the modalities that are there.
# It is told by the streams' masks that a modality is gone; a gate has to see it. We take the face away, and look.

# %%
gone = refmer.corrupt(test, "face", "missing", 1.0)
(hiding,) = trained(reliability=0.0, hide_missing=True)
maps = {"as in the paper": model.explain(gone), "told": told.explain(gone), "hidden": hiding.explain(gone)}
fig, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained", width_ratios=[1, 1, 1, 1.3])
for ax, (name, seen) in zip(axes, maps.items(), strict=False):
    a = seen["layers.0.attention"].mean((0, 1))  # over clips and heads: (3, 3)
    ax.imshow(a, cmap="Blues", vmin=0, vmax=0.7)
    for t in range(3):
        for s in range(3):
            ax.text(s, t, f"{a[t, s]:.2f}", ha="center", va="center")
    ax.set(title=f"no face, {name}", xticks=range(3), xticklabels="VAT", yticks=range(3), yticklabels="VAT", xlabel="key")
share = {name: seen["layers.0.attention"][..., 0].mean() for name, seen in maps.items()}

# Lesson 3: a face that is not there keeps a share of the attention, trusted or not; a mask takes all of it.
assert min(share["as in the paper"], share["told"]) > 0.1 and share["hidden"] == 0
assert maps["told"]["visual.gate"].mean() < maps["as in the paper"]["visual.gate"].mean() / 4

faces = np.abs(np.random.default_rng(3).normal(size=(50, 32)))
others = np.abs(np.random.default_rng(4).normal(size=(2, 32)))


def node(alpha):
    """The face's node (50, 32) after the first layer: 50 faces, the same voice and words, the gate set to alpha."""
    nodes = np.stack([np.stack([alpha * face, *others]) for face in faces])
    return post_norm_layer(model.p_.layers[0], nodes, 4)[0][:, 0]


alphas = np.array([1, 0.2, 0.05, 0])
size, spread = ([f(node(a)) for a in alphas] for f in (lambda h: np.sqrt((h * h).mean()), lambda h: h.std(0).mean()))
print("size of the node:", np.round(size, 2), "spread over faces:", np.round(spread, 3))
axes[3].plot(alphas, size, "o-", label="size of the node")
axes[3].plot(alphas, spread, "s-", label="its spread over faces")
axes[3].set(xlabel=r"$\alpha_V$", ylim=(0, None), title="What a gate leaves of a node")
axes[3].legend()
plt.show()

# Lesson 4: the size stays, the message goes: at alpha 0.05 the node hardly depends on the face, at 0 not at all.
assert abs(size[2] / size[0] - 1) < 0.15 and spread[2] < 0.2 * spread[0] and spread[3] < 1e-6

# %% [markdown]
# ## Breaking it, and a number of the paper
#
# Section IV-D: with Gaussian noise of $\sigma = 2$ on the face, 41.2 % with gates and 37.6 % without, on CMU-MOSEI: 3.6 points,
# one run of each. What is to be compared here? Not the accuracies: another corpus, another label, a tiny model, 72 test clips.
# The *difference*, over several seeds, beside the difference without noise. One clip is 1.4 points.

# %%
sigmas = np.array([0, 1, 2, 3])
noisy = [refmer.corrupt(test, "face", "gaussian", sigma, scale_from=train) for sigma in sigmas]
hand = refmer.corrupt(test, "face", "hand", 1.0, scale_from=train)
fits = {"gates": trained(range(3), reliability=0.0), "none": trained(range(3), reliability=0.0, gate=False)}
fits |= {"gates, told": [told, *trained((2,), 24)], "none, same copies": trained((0, 2), 24, gate=False)}
accuracy = {name: np.array([[fit.score(clips) for clips in (*noisy, hand)] for fit in some]) for name, some in fits.items()}
gain = 100 * (accuracy["gates"] - accuracy["none"])[:, :4]  # (seeds, sigmas), in points
falls = {}
for name in ("gates", "gates, told"):
    falls[name] = np.array([[fit.explain(c)["visual.gate"].mean() for c in (test, hand)] for fit in fits[name]], float)

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for name, values in accuracy.items():
    left.plot(sigmas, values[:, :4].mean(0), "o-", label=name)
left.set(xlabel="noise on the face (sd)", ylim=(0, 0.9), title="Accuracy, 6 emotions (mean of seeds)")
left.axhline(1 / 6, color="k", ls=":")
left.legend()
for name, values in falls.items():
    right.plot(["clean", "covered"], values.T, "o-", color="C2" if "told" in name else "C0")
right.set(ylim=(0, 1.05), title="Mean gate of the face")
plt.show()
print("accuracy:", {name: values.mean(0).round(2).tolist() for name, values in accuracy.items()})

# Lesson 5: trained as in the paper, the gate keeps most of its trust in a covered face in every seed; told, it falls in each.
assert (falls["gates"][:, 1] > 0.5 * falls["gates"][:, 0]).all()
assert (falls["gates, told"][:, 1] < 0.5 * falls["gates, told"][:, 0]).all()
# Lesson 6: from seed to seed the gain at sigma = 2 varies by points: one run of each decides nothing.
print("gained by gates, points:", gain.round(1).tolist())
assert np.ptp(gain[:, 2]) > 2

# %% [markdown]
# What is the told gate worth? It says which sensor is broken. For accuracy the copies do the work: they help without gates.
#
# What *can* be compared to the digit is the size. 7.9 MB are 4 bytes for each parameter, if $d = 128$, as in the authors'
# quantization script; with $d = 192$, of which the paper speaks, it would be 12.3 MB.

# %%
sizes = {d: params.count(system.describe(system.Config.paper(width=d))) for d in (128, 192)}
print({d: f"{n:,} parameters, {4 * n / 1e6:.2f} MB" for d, n in sizes.items()})

# Lesson 7: the published size is that of d = 128.
assert round(4 * sizes[128] / 1e6, 1) == 7.9 and round(4 * sizes[192] / 1e6, 1) == 12.3

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `13_openface_adaptive.py` (`refmer exercises --out DIR`, then
# `refmer grade DIR/13_openface_adaptive.py`).
#
# 1. The paper gates the words, too (eq. 2-3); its authors' code does not. How many parameters does `gate_text=True` add at $d$?
# 2. At which $\alpha$ is $ds = \alpha - r$ zero for a clip half of whose copies are clean and half covered, but look the same?
# 3. The ablation without Transformer loses 6.9 points in the paper. What does it lose here? (`transformer=False`)

# %% tags=["hide-cell"]
# Solution 1: d -> 64 -> 1 with biases: 64 d + 129, or 8,321 at d = 128.
with_text = params.count(system.describe(system.Config.paper(gate_text=True)))
assert with_text - sizes[128] == 64 * 128 + 129 == 8_321

# Solution 2: the mean of alpha - 1 and alpha - 0 is 0 at 1/2: the gate says the expected state of what it cannot tell apart.
assert ((0.5 - 1) + (0.5 - 0)) / 2 == 0

# Solution 3: nothing that several seeds would show.
without = [fit.score(test) for fit in trained(range(3), reliability=0.0, transformer=False)]
difference = 100 * (accuracy["gates"][:, 0] - without)
print(f"gained by the Transformer: {difference.mean():.1f} points, sd of seeds {difference.std(ddof=1):.1f}")
