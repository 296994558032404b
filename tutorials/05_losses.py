# %% [markdown]
# # 5. Losses, and what they do to a gradient
#
# Introduces: `refmer.ops.losses.cross_entropy`, `refmer.ops.losses.focal`, `refmer.ops.losses.class_balanced_weights`,
# `refmer.ops.losses.info_nce`, `refmer.ops.losses.info_nce_backward`, `refmer.ops.losses.mse`,
# `refmer.ops.losses.ccc`, `refmer.ops.losses.ccc_loss`
#
# **What you will do.** Derive the gradients of five losses; compute concordance in one right way and in four wrong ones.
#
# **What you will learn.** That a loss is known by its gradient: who is pulled, where to, how hard. Why a system trained on
# squared error is timid. And which small laws unmask a wrong metric.
#
# **What you need.** Tutorials 1 to 3.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer.ops.losses import ccc, ccc_loss, class_balanced_weights, cross_entropy, focal, info_nce, info_nce_backward, mse

rng = np.random.default_rng(0)

# %% [markdown]
# ## Cross-entropy
#
# A system answers with *logits* $x_{bk}$, any numbers; softmax makes them probabilities, and the loss is the surprise at the
# truth $y_{bk}$ (one-hot, or shares of votes), each class with a weight $w_k$:
#
# $$p_{bk} = \frac{e^{x_{bk}}}{\sum_j e^{x_{bj}}}, \qquad L = -\frac1B \sum_b \sum_k w_k\, y_{bk} \log p_{bk}.$$
#
# Since $\log p_{bk} = x_{bk} - \log \sum_j e^{x_{bj}}$, its derivative is
# $\partial \log p_{bk} / \partial x_{bj} = \delta_{kj} - p_{bj}$, and
#
# $$dx_{bj} = -\frac1B \sum_k w_k y_{bk} (\delta_{kj} - p_{bj}) = \frac1B \Bigl( p_{bj} \sum_k w_k y_{bk} - w_j y_{bj} \Bigr),$$
#
# which is $\frac1B (p_{bj} - y_{bj})$ when all $w_k = 1$: *what was said minus what was true*. refmer's losses return value and
# slope.
#
# With $x_{bk} = 1000$ the exponential overflows, and with $x_{bk} = -1000$ the probability is 0 and has no logarithm. So
# subtract the largest logit of the row first, which changes no ratio, and compute $\log p_{bk} = x_{bk} - \log \sum_j
# e^{x_{bj}}$ from the logits, not from $p$.


# %%
def our_log_softmax(x):
    """Return the logarithms of the probabilities, finite even for logits of 1000, and the
    probabilities p.

    x (B, K) -> log_p (B, K), p (B, K)
    """
    shifted = x - x.real.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    p = np.exp(log_p)
    return log_p, p


def our_cross_entropy(x, y, w):
    """Return the probabilities p and the loss L, a number; w weighs the classes, and L is
    divided by B alone.

    x (B, K), y (B, K), w (K,) -> p (B, K), L
    """
    log_p, p = our_log_softmax(x)
    L = -(w * y * log_p).sum() / len(x)
    return p, L


def our_cross_entropy_backward(y, w, p):
    """Return the gradient of x. The rows of y need not sum to 1.

    y (B, K), w (K,), p (B, K) -> dx (B, K)
    """
    dx = (p * (w * y).sum(-1, keepdims=True) - w * y) / len(y)
    return dx


def softmax(x):
    return our_log_softmax(x)[1]


B, K = 5, 3
x, y, w = rng.normal(size=(B, K)), rng.dirichlet(np.ones(K), B), np.array([1.0, 2.0, 0.5])
p, L = our_cross_entropy(x, y, w)
value, slope = cross_entropy(x, y, w)
# Lesson 1: the slope of cross-entropy is a difference of probabilities. It never exceeds the weight: no clip can shout.
np.testing.assert_allclose([L, *our_cross_entropy_backward(y, w, p).ravel()], [value, *slope.ravel()], rtol=1e-12)
assert np.abs(cross_entropy(1000 * x, y, w)[1]).max() <= w.max() / B

# %% [markdown]
# ## Focal loss
#
# With one true class $t$ and $q = p_t$, the focal loss (Lin et al. 2017; paper 000) is $L = -(1 - q)^\gamma \log q$. Clips
# already right ($q$ near 1) count little. How little? From $\partial q / \partial x_j = q\,(\delta_{tj} - p_j)$,
#
# $$dx_j = \Bigl( \gamma (1-q)^{\gamma-1} \log q - \frac{(1-q)^\gamma}{q} \Bigr)\, q\, (\delta_{tj} - p_j)
#        = m(q)\,(p_j - \delta_{tj}), \qquad m(q) = (1-q)^\gamma - \gamma\, q\, (1-q)^{\gamma-1} \log q .$$
#
# So focal loss *is* cross-entropy with a weight $m(q)$ of the clip. Where $m > 1$, it pulls harder: at clips that are rather
# wrong. The second term of $m$ is the derivative of the factor $(1 - q)^\gamma$; without it the gradient is another one's.
#
# In code, let $\ell_b = \log q_b$ be the logarithm of the true class's probability. Over $B$ clips
# $L = -\frac1B \sum_b (1 - q_b)^\gamma \ell_b$ with $q_b = e^{\ell_b}$, so $d\ell_b = -m(q_b) / B$, and
# $dx_{bj} = d\ell_b\, (\delta_{tj} - p_{bj})$.


# %%
def our_focal(x, y, gamma):
    """Return the probabilities p, the logarithms of those of the true classes, log_q, and
    the loss L, a mean over clips.

    x (B, K), y (B, K) with one 1 in each row, gamma a number from 1
    -> p (B, K), log_q (B, 1), L
    """
    every, p = our_log_softmax(x)
    log_q = (y * every).sum(-1, keepdims=True)
    L = -((1 - np.exp(log_q)) ** gamma * log_q).sum() / len(x)
    return p, log_q, L


def our_focal_backward(y, gamma, p, log_q):
    """Return the gradients of log_q and x.

    y (B, K), gamma a number from 1, p (B, K), log_q (B, 1) -> dlog_q (B, 1), dx (B, K)
    """
    q = np.exp(log_q)
    dlog_q = -((1 - q) ** gamma - gamma * q * (1 - q) ** (gamma - 1) * log_q) / len(y)
    dx = dlog_q * (y - p)
    return dlog_q, dx


def m(q, gamma):
    return (1 - q) ** gamma - gamma * q * (1 - q) ** (gamma - 1) * np.log(q)


q = np.linspace(0.005, 0.995, 199)
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for gamma in (0, 1, 2, 5):
    left.plot(q, -((1 - q) ** gamma) * np.log(q), label=f"γ = {gamma}" + ", cross-entropy" * (gamma == 0))
    right.plot(q, m(q, gamma))
left.set(xlabel="q, probability of the true class", ylim=(0, 4), title="focal loss")
right.set(xlabel="q, probability of the true class", title="m(q), what multiplies the gradient")
left.legend()
plt.show()
# Lesson 2: the gradient is that of cross-entropy times m(q): a hundredth where q = .95, but more than 1 where q = .2.
truth, ones = np.eye(K)[[0, 1, 2, 0, 1]], np.ones(K)
ours = m((p * truth).sum(1, keepdims=True), 2) * cross_entropy(x, truth, ones)[1]
np.testing.assert_allclose(focal(x, truth, ones, gamma=2.0)[1], ours, rtol=1e-10)
np.testing.assert_allclose(our_focal_backward(truth, 2.0, *our_focal(x, truth, 2.0)[:2])[1], ours, rtol=1e-10)
assert m(0.95, 2) < 0.01 and m(0.2, 2) > 1.1
# Lesson 3: a trap. The code of paper 000 takes exp(-weighted loss) for q, the class's weight inside the exponential; `literal`
# (True by default) is that reading, `literal=False` weighs only the loss. With weight 2 and q = 1/2 the loss more than doubles.
half = np.zeros((1, 2)), np.array([[1.0, 0.0]]), np.array([2.0, 1.0])
np.testing.assert_allclose([focal(*half)[0], focal(*half, literal=False)[0]], [0.346574, 0.779791], rtol=1e-5)

# %% [markdown]
# ## Class-balanced weights
#
# 77 of our clips are neutral by votes, 20 sad. Which weights balance them? Cui et al. (2019): let a class have room for $M$
# different clips. If $E_{n-1}$ are known, the next one is an old one with probability $E_{n-1}/M$. So
# $E_n = E_{n-1} + 1 - E_{n-1}/M = 1 + \beta E_{n-1}$ with $\beta = 1 - 1/M$, a geometric series:
#
# $$E_n = 1 + \beta + \dots + \beta^{n-1} = \frac{1 - \beta^n}{1 - \beta}, \qquad w_k \propto \frac1{E_{n_k}}, \qquad
#   \sum_k w_k = K .$$
#
# $\beta = 0$ gives equal weights, $\beta \to 1$ gives $w_k \propto 1/n_k$, and all $w_k n_k$ are the same. Then a fresh system
# that answers $p = 1/K$ to everything has no reason to prefer a class: the gradient of its output bias is a sum over clips,
# $\sum_b dx_{bj}$ $= \frac1B \bigl( \frac1K \sum_k w_k n_k - w_j n_j \bigr) = 0$. All classes pull equally hard.


# %%
def our_class_weights(n, beta):
    """Return the weights of classes with n clips each; they sum to the number of classes.

    n (K,), beta a number from 0 to below 1 -> w (K,)
    """
    inverse = (1 - beta) / (1 - beta**n)
    w = len(n) * inverse / inverse.sum()
    return w


np.testing.assert_allclose(our_class_weights(np.array([77.0, 20, 3]), 0.99), class_balanced_weights([77, 20, 3], 0.99))

# %%
clips = refmer.load_samples()
units, target = clips.streams["units"], np.eye(6)[clips.emotion]
face = np.stack([frames[there].mean(0) for frames, there in zip(units.x, units.mask, strict=True)])
sad, right = np.zeros((2, 6)), np.zeros((2, 6))
for beta, seed in np.ndindex(2, 6):  # six splits of the speakers
    train = np.isin(clips.speaker, clips.split(by="speaker", test_size=0.25, seed=seed)[0].speaker)
    f, y = np.c_[(face - face[train].mean(0)) / face[train].std(0), np.ones(len(face))], target[train]  # 1 for a bias
    W, w = np.zeros((f.shape[1], 6)), class_balanced_weights(y.sum(0), beta)
    for _ in range(150):
        W -= 0.5 * f[train].T @ cross_entropy(f[train] @ W, y, w)[1]
    answer = (f[~train] @ W).argmax(1)
    sad[beta, seed], right[beta, seed] = (answer == 5).sum(), (answer == clips.emotion[~train]).mean()
print("beta 0 and 1: answers 'sadness'", sad.sum(1), "accuracy on unseen speakers", right.mean(1).round(3))
# Lesson 4: with weights 1/n all classes pull equally at first; "sadness" is answered more often, and accuracy hardly moves.
assert np.abs(cross_entropy(np.zeros_like(y), y, w)[1].sum(0)).max() < 1e-12
assert sad[1].sum() > 1.3 * sad[0].sum() and abs(right[1].mean() - right[0].mean()) < 0.05

# %% [markdown]
# ## Contrastive loss
#
# Paper 001 wants voice and face of one clip close to each other, those of different clips apart. With unit vectors
# $z_n = x_n r_n$, $r_n = |x_n|^{-1}$, of the voice and $z'_m$ of the face, and a temperature $\tau$,
#
# $$s_{nm} = \frac{z_n \cdot z'_m}{\tau}, \qquad L = -\frac1B \sum_n \log \frac{e^{s_{nn}}}{\sum_m e^{s_{nm}}}$$
#
# (and the same with voice and face exchanged, averaged). Look again: it is cross-entropy over the *clips of the batch*, and the
# right class is oneself. So with $p_{nm}$ the softmax over $m$,
#
# $$ds_{nm} = \frac1B (p_{nm} - \delta_{nm}), \qquad dz_n = \frac1\tau \sum_m ds_{nm}\, z'_m, \qquad
#   dx_n = r_n \bigl( dz_n - z_n\, (z_n \cdot dz_n) \bigr).$$
#
# With both directions, $L$ is the mean of two such terms, $s$ read by rows and by columns: half of the difference comes from
# the softmax along the row, half from that along the column, and $\partial L / \partial s_{nm}$ is the sum of the two halves.
#
# Every other clip pushes with force $p_{nm}$: the nearest most, and the smaller $\tau$, the more only the nearest. The last
# formula follows from $\partial r / \partial x_c = -r^3 x_c$. Lengths do not count: no gradient along $x_n$.


# %%
def our_info_nce(x, tau):
    """Return the inverse lengths r, the unit vectors z, the similarities s, and the loss L,
    the mean of both directions.

    x (B, 2, C), voice and face of each clip, tau a number
    -> r (B, 2, 1), z (B, 2, C), s (B, B), voice by face, L
    """
    r = (x * x).sum(-1, keepdims=True) ** -0.5
    z = x * r
    s = z[:, 0] @ z[:, 1].T / tau
    rows, columns = our_log_softmax(s)[0], our_log_softmax(s.T)[0]
    L = -(np.trace(rows) + np.trace(columns)) / (2 * len(x))
    return r, z, s, L


def our_info_nce_backward(r, z, s, tau):
    """Return the gradients of s, z and x.

    r (B, 2, 1), z (B, 2, C), s (B, B), tau a number
    -> ds (B, B), dz (B, 2, C), dx (B, 2, C)
    """
    rows, columns, itself = our_log_softmax(s)[1], our_log_softmax(s.T)[1].T, np.eye(len(s))
    ds = (rows - itself + columns - itself) / (2 * len(s))
    dz = np.stack([ds @ z[:, 1], ds.T @ z[:, 0]], axis=1) / tau
    dx = r * (dz - z * (z * dz).sum(-1, keepdims=True))
    return ds, dz, dx


pairs = rng.normal(size=(12, 2, 8))  # voice and face of 12 clips
gradient = info_nce_backward(1.0, *info_nce(pairs, temperature=0.5)[1:])
# Lesson 5: ours is refmer's; the gradient is at right angles to the features; where all are alike, the loss is that of a guess.
r, z, s, L = our_info_nce(pairs, 0.5)
np.testing.assert_allclose(our_info_nce_backward(r, z, s, 0.5)[-1], gradient, atol=1e-12)
assert np.abs((gradient * pairs).sum(-1)).max() < 1e-14 and abs(info_nce(np.ones((12, 2, 8)))[0] - np.log(12)) < 1e-12

# %% [markdown]
# ## Concordance
#
# Valence and arousal are predicted as numbers $x_n$ for $y_n$. Papers report Lin's concordance (1989; paper 003, eq. 15):
#
# $$\rho = \frac{2s}{D},\ s = \frac1N \sum_n (x_n - \bar x)(y_n - \bar y),\quad D = s_x^2 + s_y^2 + (\bar x - \bar y)^2 .$$
#
# $D - 2s$ is the mean squared error, so $\rho = 1$ only for $x = y$. With $\partial s / \partial x_n = (y_n - \bar y) / N$ and
# $\partial D / \partial x_n = \frac2N (x_n - \bar x) + \frac2N (\bar x - \bar y)$ $= \frac2N (x_n - \bar y)$:
#
# $$\frac{\partial \rho}{\partial x_n} = \frac{2}{N D} \bigl( y_n - \bar y - \rho\, (x_n - \bar y) \bigr).$$
#
# What does it want, that squared error does not? Predict $x = a z$ from a feature $z$; let $y$ and $z$ have mean 0, variance 1,
# correlation $r$. Squared error $a^2 - 2ar + 1$ is least at $a = r$: timid, the less it knows. Concordance $2ar / (a^2 + 1)$ is
# greatest at $a = 1$: as lively as the truth.


# %%
def our_ccc(x, y):
    """Return the covariance s, the denominator D, and the concordance rho of predictions x
    and truths y. Moments are over N.

    x (N,), y (N,) -> s, D, rho, numbers
    """
    dx, dy = x - x.mean(), y - y.mean()
    s = (dx * dy).mean()
    D = (dx * dx).mean() + (dy * dy).mean() + (x.mean() - y.mean()) ** 2
    rho = 2 * s / D
    return s, D, rho


def our_ccc_backward(x, y, D, rho):
    """Return the gradient of x: the derivative of rho by each prediction.

    x (N,), y (N,), D and rho numbers -> dx (N,)
    """
    dx = 2 / (len(x) * D) * (y - y.mean() - rho * (x - y.mean()))
    return dx


# %%
recordings = refmer.load_samples("recordings")
affect = recordings.labels["affect"]
y = affect.values[affect.mask][:, :1].astype(float)  # (N, 1), valence
y, z = ((v - v.mean()) / v.std() for v in (y, y + 0.6 * rng.normal(size=y.shape)))  # truth, and what is known of it
a = {loss: np.argmin([loss(k / 100 * z, y)[0] for k in range(150)]) / 100 for loss in (mse, ccc_loss)}
rho, slope = ccc(0.3 * z + 0.2, y)  # another mean, another scale
x_given, y_given = 0.3 * z[:, 0] + 0.2, y[:, 0]
np.testing.assert_allclose(our_ccc_backward(x_given, y_given, *our_ccc(x_given, y_given)[1:]), slope[:, 0], atol=1e-12)
# Lesson 6: the slope is the one we derived; squared error wants a = r, concordance a = 1.
np.testing.assert_allclose(slope, 2 / (len(y) * 1.13) * (y - rho * (0.3 * z + 0.2)), atol=1e-12)  # D = 0.09 + 1 + 0.04
np.testing.assert_allclose([a[mse], a[ccc_loss]], [(y * z).mean(), 1], atol=0.011)

# %% [markdown]
# ## Four wrong concordances
#
# 1. *Mixed moments*: $s$ divided by $N$, variances by $N - 1$, in public code of a challenge. Then $\rho(x, x) = (N-1)/N$.
# 2. *Pearson's correlation*, $s / (s_x s_y)$: blind to shift and scale.
# 3. *Misplaced square*: $\bar x^2 - \bar y^2$ for $(\bar x - \bar y)^2$. It can exceed 1, and is not symmetric.
# 4. *Mean of batches*. $\rho$ is no mean over clips; within a short batch the truth hardly varies, and small errors loom large.
#
# Laws find them: $\rho(x, x) = 1$, $\rho(x, y) = \rho(y, x)$, $\rho(x, x + c) = s_x^2 / (s_x^2 + c^2/2)$; the order is free.


# %%
def concordance(x, y, ddof=0, square=lambda a, b: (a - b) ** 2):
    s = ((x - x.mean()) * (y - y.mean())).mean()
    return 2 * s / (x.var(ddof=ddof) + y.var(ddof=ddof) + square(x.mean(), y.mean()))


def batches(x, y, n=16):
    return np.mean([concordance(x[i : i + n], y[i : i + n]) for i in range(0, len(x) - n + 1, n)])


measures = {
    "right": lambda x, y: ccc(x[:, None], y[:, None])[0][0],
    "mixed": lambda x, y: concordance(x, y, ddof=1),
    "Pearson": lambda x, y: np.corrcoef(x, y)[0, 1],
    "square": lambda x, y: concordance(x, y, square=lambda a, b: a * a - b * b),
    "batches": batches,
}
y = affect.values[0, affect.mask[0], 0].astype(float)  # (N,), one recording
x, order = y + 0.1 * rng.normal(size=y.shape), rng.permutation(len(y))
laws = {
    "itself": lambda f: f(y, y) - 1,
    "symmetry": lambda f: f(x, y + 0.5) - f(y + 0.5, x),
    "shift": lambda f: f(y, y + 0.5) - y.var() / (y.var() + 0.125),
    "order": lambda f: f(x, y) - f(x[order], y[order]),
}
broken = {name: [law for law, gap in laws.items() if not abs(gap(f)) < 1e-6] for name, f in measures.items()}
print(broken)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
for name in ("right", "Pearson", "square", "batches"):
    axes[0].plot(np.linspace(-1, 1, 51), [measures[name](y + c, y) for c in np.linspace(-1, 1, 51)], label=name)
axes[1].semilogx(2 ** np.arange(2, 9), [batches(x, y, n) for n in 2 ** np.arange(2, 9)], "C3.-", base=2)
axes[1].axhline(measures["right"](x, y), color="C0")
axes[0].set(title="truth + c", xlabel="c", ylabel="what is reported", ylim=(-0.1, 1.8))
axes[1].set(title="truth + noise", xlabel="frames in a batch")
axes[0].legend(ncols=2)
plt.show()
# Lesson 7: the right one keeps all laws, each wrong one breaks some, and batches of 16 frames hide a good prediction.
assert not broken.pop("right") and all(broken.values()) and batches(x, y) < 0.5 * measures["right"](x, y)
# Lesson 8: torchmetrics' example in Lin's form, in the form of samples (all moments by N - 1), and what mixing does to N = 4.
x, y = np.array([[2.5], [0], [2], [8]]), np.array([[3], [-0.5], [2], [7]])
np.testing.assert_allclose([ccc(x, y)[0][0], ccc(x, y, ddof=1)[0][0]], [0.9767891683, 0.9777347532], rtol=1e-9)
np.testing.assert_allclose(concordance(x, x, ddof=1), 0.75)

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `05_losses.py` (`refmer exercises --out DIR`, then `refmer grade DIR/05_losses.py`).
#
# 1. Where is $m(q)$ greatest for $\gamma = 2$? What would a focal loss do to clips whose label is wrong?
# 2. Show that $|\rho| \le |\text{Pearson}|$.
# 3. Compute $w_k$ for CREMA-D's counts, 1067, 1222, 1180, 1230, 2071 and 672, with $\beta = .999$. Why does it hardly balance?

# %%
# Solution 1: near q = .12, where clips are plainly wrong. It pulls hardest at wrong labels, too.
assert 0.05 < q[m(q, 2).argmax()] < 0.2
# Solution 2: D >= s_x^2 + s_y^2 >= 2 s_x s_y (their difference is a square), so 2|s| / D <= |s| / (s_x s_y).
assert ccc(x, y)[0][0] < np.corrcoef(x[:, 0], y[:, 0])[0, 1]
# Solution 3: M = 1000 clips are all there is to a class; of larger ones most is known, whatever their size.
assert abs(class_balanced_weights([1067, 1222, 1180, 1230, 2071, 672], 0.999)[-1] - 1.364354) < 1e-6
