# %% [markdown]
# # 6. Contrastive loss, squared error and concordance
#
# Introduces: `refmer.ops.losses.info_nce`, `refmer.ops.losses.info_nce_backward`, `refmer.ops.losses.mse`,
# `refmer.ops.losses.ccc`, `refmer.ops.losses.ccc_loss`
#
# **After this page** you can derive the gradients of the contrastive loss and of the concordance correlation coefficient, say
# which predictions squared error and concordance reward, and find a wrong implementation of a metric by the laws that it
# breaks.
#
# **Time.** 60 minutes to read, 10 seconds to run.
#
# **You need** tutorials 1, 2, 3 and 5: gradients, the complex step, the recordings with valence and arousal, and the gradient
# of cross-entropy.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer.ops.losses import ccc, ccc_loss, info_nce, info_nce_backward, mse

rng = np.random.default_rng(0)

# %% [markdown]
# ## Similarity of voice and face
#
# Paper 001 computes one feature vector of the voice and one of the face for every clip. It wants the two vectors of the same
# clip to be similar and those of different clips to be dissimilar.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $x_n$, $x'_n$ | $(C,)$ | voice and face of clip $n$; in code `x[n, 0]` and `x[n, 1]` of `x` $(B, 2, C)$ |
# | $r_n = 1 / \lvert x_n \rvert$ | number | inverse length |
# | $z_n = x_n r_n$ | $(C,)$ | vector of length 1; for the face $z'_n = x'_n r'_n$ |
# | $\tau$ | number | temperature, above 0 |
# | $s_{nm}$ | $(B, B)$ | similarity of voice $n$ and face $m$ |
#
# The similarity is the cosine of the angle between the two vectors, divided by the temperature:
#
# $$s_{nm} = \frac{z_n \cdot z'_m}{\tau} .$$
#
# **Example.** The vector $x = (3, 4)$ has the length 5. So $r = 1/5$ and $z = (0.6, 0.8)$. Its cosine with the vector $(1, 0)$
# is 0.6.

# %%
three_four = np.array([3.0, 4.0])
z_example = three_four * (three_four @ three_four) ** -0.5
np.testing.assert_allclose(z_example, [0.6, 0.8])
np.testing.assert_allclose(z_example @ [1, 0], 0.6)

# %% [markdown]
# ## Contrastive loss
#
# Take the voice of clip $n$. The faces of the batch are the classes, and the right class is the face of the same clip. Then
# cross-entropy (tutorial 5) with the logits $s_{nm}$ is
#
# $$L_\text{voice} = -\frac1B \sum_n \log \frac{e^{s_{nn}}}{\sum_m e^{s_{nm}}} .$$
#
# This loss is known as InfoNCE. It is small if every voice is more similar to its own face than to the other faces.
#
# Now exchange voice and face: for the face of clip $n$, the voices are the classes. The softmax runs along a column of $s$ in
# place of a row. The contrastive loss is the mean of both directions:
#
# $$L = -\frac1{2B} \sum_n \Bigl( \log \frac{e^{s_{nn}}}{\sum_m e^{s_{nm}}}
#   + \log \frac{e^{s_{nn}}}{\sum_m e^{s_{mn}}} \Bigr) .$$
#
# **Example.** Take two clips. In both, voice and face are the same unit vector: $(1, 0)$ in clip 1, $(0, 1)$ in clip 2. The
# cosines are 1 within a clip and 0 between clips. With $1/\tau = \ln 3$, a row of $s$ is $(\ln 3, 0)$ or $(0, \ln 3)$. Its
# softmax has $3/4$ at the right place. All four terms are equal, and $L = \ln (4/3) = 0.2877$.
#
# A cosine lies between $-1$ and $1$, so $|s_{nm}| \le 1/\tau$. With $\tau = 0.01$ the largest exponential is $e^{100}$, which
# float64 can represent. Therefore the code below does not subtract the maximum, as tutorial 5 has to.


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
    e = np.exp(s)
    rows, columns = s - np.log(e.sum(1, keepdims=True)), s - np.log(e.sum(0))
    L = -(np.trace(rows) + np.trace(columns)) / (2 * len(x))
    return r, z, s, L


two_clips = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])  # (B, 2, C)
np.testing.assert_allclose(our_info_nce(two_clips, 1 / np.log(3))[3], np.log(4 / 3))

# %% [markdown]
# ## The gradient of the contrastive loss
#
# The gradient passes through three stages: $s$, then $z$, then $x$.
#
# **Stage 1, $ds$.** In tutorial 5, the gradient of cross-entropy is predicted minus true probability. Here the loss is the mean
# of two cross-entropies. Let $p_{nm}$ be the softmax of $s$ along the row $n$, and $p'_{nm}$ the softmax along the column $m$.
# The true probability is $\delta_{nm}$: 1 if $n = m$ and else 0. So
#
# $$ds_{nm} = \frac1{2B} \bigl( p_{nm} - \delta_{nm} + p'_{nm} - \delta_{nm} \bigr).$$
#
# **Stage 2, $dz$.** The voice $z_n$ occurs in row $n$ of $s$, and the face $z'_m$ in column $m$:
#
# $$dz_n = \frac1\tau \sum_m ds_{nm}\, z'_m, \qquad dz'_m = \frac1\tau \sum_n ds_{nm}\, z_n .$$
#
# **Stage 3, $dx$.** Let $x_c$ be the elements of one vector, and $r = (\sum_c x_c^2)^{-1/2}$. Its length depends on $x$, too:
# $\partial r / \partial x_c = -r^3 x_c$. For $z_k = x_k r$ this gives
#
# $$\frac{\partial z_k}{\partial x_c} = r\, \delta_{kc} - x_k\, r^3 x_c = r\, (\delta_{kc} - z_k z_c) .$$
#
# Multiply by $dz_k$ and sum over $k$:
#
# $$dx_n = r_n \bigl( dz_n - z_n\, (z_n \cdot dz_n) \bigr).$$
#
# **Example for stage 1.** For the two clips above, all softmax values are $3/4$ on the diagonal and $1/4$ beside it. So the
# diagonal of $ds$ is $\frac14 (\frac34 - 1 + \frac34 - 1) = -\frac18$, and the other elements are $\frac14 (\frac14 + \frac14)
# = \frac18$.
#
# **Example for stage 3.** With $x = (3, 4)$, $z = (0.6, 0.8)$ and $dz = (1, 0)$, $z \cdot dz = 0.6$. So
#
# $$dx = \tfrac15 \bigl( (1, 0) - 0.6 \cdot (0.6, 0.8) \bigr) = (0.128, -0.096) .$$


# %%
def our_info_nce_backward(r, z, s, tau):
    """Return the gradients of s, z and x.

    r (B, 2, 1), z (B, 2, C), s (B, B), tau a number
    -> ds (B, B), dz (B, 2, C), dx (B, 2, C)
    """
    e, itself = np.exp(s), np.eye(len(s))
    rows, columns = e / e.sum(1, keepdims=True), e / e.sum(0)
    ds = (rows - itself + columns - itself) / (2 * len(s))
    dz = np.stack([ds @ z[:, 1], ds.T @ z[:, 0]], axis=1) / tau
    dx = r * (dz - z * (z * dz).sum(-1, keepdims=True))
    return ds, dz, dx


r, z, s, L = our_info_nce(two_clips, 1 / np.log(3))
ds, dz, dx = our_info_nce_backward(r, z, s, 1 / np.log(3))
np.testing.assert_allclose(ds, [[-1 / 8, 1 / 8], [1 / 8, -1 / 8]])
dz_example = np.array([1.0, 0.0])
np.testing.assert_allclose((dz_example - z_example * (z_example @ dz_example)) / 5, [0.128, -0.096])

# %% [markdown]
# refmer's pair is `info_nce` and `info_nce_backward`. It also accepts more than two modalities and missing ones.

# %%
pairs = rng.normal(size=(12, 2, 8))  # voice and face of 12 clips
value, *saved = info_nce(pairs, temperature=0.5)
gradient = info_nce_backward(1.0, *saved)
r, z, s, L = our_info_nce(pairs, 0.5)
ds, dz, dx = our_info_nce_backward(r, z, s, 0.5)
# Lesson 1: our contrastive loss and its gradient are refmer's.
np.testing.assert_allclose(L, value, rtol=1e-12)
np.testing.assert_allclose(dx, gradient, atol=1e-12)

# %% [markdown]
# The length of $x_n$ has no influence on the loss. So the gradient has no component along $x_n$: $dx_n \cdot x_n = 0$. In the
# example, $3 \cdot 0.128 - 4 \cdot 0.096 = 0$.

# %%
# Lesson 2: the gradient is at right angles to the features.
assert np.abs((gradient * pairs).sum(-1)).max() < 1e-14

# %% [markdown]
# If all vectors are alike, all similarities are equal, and each softmax value is $1/B$. Then $L = \log B$: the loss of a guess
# among $B$ clips. Compare a training loss with this number.

# %%
# Lesson 3: where all features are alike, the loss is the logarithm of the number of clips.
np.testing.assert_allclose(info_nce(np.ones((12, 2, 8)))[0], np.log(12))

# %% [markdown]
# ## What the temperature does
#
# The gradient of a wrong pair ($n \ne m$) is proportional to the softmax values $p_{nm}$ and $p'_{nm}$. So the most similar
# wrong clip has the largest gradient. The smaller $\tau$, the more the softmax concentrates on it.
#
# **Example.** Let two wrong faces have the cosines 0.5 and 0 with a voice. The ratio of their softmax values is $e^{0.5/\tau}$.
# That is 1.6 for $\tau = 1$, and 148 for $\tau = 0.1$.

# %%
# Lesson 4: at a low temperature only the most similar wrong clip counts.
np.testing.assert_allclose(np.exp(0.5 / np.array([1, 0.1])), [1.6, 148], rtol=0.04)

# %% [markdown]
# ## Squared error and concordance
#
# Valence and arousal are numbers that follow time. The rest of this page compares predictions $x_n$ with true values $y_n$, at
# $n = 1, \dots, N$. **The letters have new meanings from here on:**
#
# | symbol | meaning |
# |---|---|
# | $x_n$, $y_n$ | prediction and truth at step $n$ |
# | $\bar x$, $\bar y$ | their means over $N$ |
# | $s_x^2$, $s_y^2$ | their variances, $s_x^2 = \frac1N \sum_n (x_n - \bar x)^2$ |
# | $s$ | their covariance, $\frac1N \sum_n (x_n - \bar x)(y_n - \bar y)$ |
# | $\rho$ | concordance correlation coefficient |
#
# The mean squared error is $\frac1N \sum_n (x_n - y_n)^2$. Papers on valence and arousal report Lin's concordance instead (Lin
# 1989; paper 003, eq. 15):
#
# $$\rho = \frac{2s}{D}, \qquad D = s_x^2 + s_y^2 + (\bar x - \bar y)^2 .$$
#
# **Example.** Take $x = (1, 2, 3)$ and $y = (2, 3, 4)$: the prediction is too low by 1 everywhere. The deviations of both are
# $(-1, 0, 1)$, so $s = s_x^2 = s_y^2 = 2/3$. $D = 2/3 + 2/3 + 1 = 7/3$, and $\rho = (4/3) / (7/3) = 4/7$.


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


low, truth = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])
s, D, rho = our_ccc(low, truth)
np.testing.assert_allclose([s, D, rho], [2 / 3, 7 / 3, 4 / 7])

# %% [markdown]
# The two measures are related. Write the squared error with the means,
#
# $$(x_n - y_n)^2 = \bigl( (x_n - \bar x) - (y_n - \bar y) + (\bar x - \bar y) \bigr)^2 ,$$
#
# and expand its mean: it is $s_x^2 + s_y^2 - 2s + (\bar x - \bar y)^2 = D - 2s$. In the example, $7/3 - 4/3 = 1$.
#
# The squared error is 0 only if $x = y$. So $2s = D$, and with it $\rho = 1$, only if $x = y$.

# %%
# Lesson 5: D - 2 s is the mean squared error.
np.testing.assert_allclose(D - 2 * s, ((low - truth) ** 2).mean())

# %% [markdown]
# ## The gradient of concordance
#
# $s$ and $D$ both depend on $x_n$. Their derivatives are
#
# $$\frac{\partial s}{\partial x_n} = \frac1N (y_n - \bar y), \qquad
#   \frac{\partial D}{\partial x_n} = \frac2N (x_n - \bar x) + \frac2N (\bar x - \bar y) = \frac2N (x_n - \bar y) .$$
#
# In $\partial s$ and in the variance, the part through the mean $\bar x$ vanishes, because deviations sum to 0.
#
# The quotient rule for $\rho = 2s/D$ is $\partial \rho = (2\, \partial s - \rho\, \partial D) / D$. So
#
# $$\frac{\partial \rho}{\partial x_n} = \frac{2}{N D} \bigl( y_n - \bar y - \rho\, (x_n - \bar y) \bigr).$$
#
# Note the last mean: it is $\bar y$ and not $\bar x$, because $D$ depends on $\bar x$, too.
#
# **Example.** With the same $x$ and $y$, the factor is $2 / (3 \cdot 7/3) = 2/7$. $y_n - \bar y = (-1, 0, 1)$, and
# $\rho\, (x_n - \bar y) = \frac47 (-2, -1, 0)$. The differences are $(1/7, 4/7, 1)$, and the gradient is $(2, 8, 14) / 49$. All
# elements are positive: every prediction is too low.


# %%
def our_ccc_backward(x, y, D, rho):
    """Return the gradient of x: the derivative of rho by each prediction.

    x (N,), y (N,), D and rho numbers -> dx (N,)
    """
    dx = 2 / (len(x) * D) * (y - y.mean() - rho * (x - y.mean()))
    return dx


np.testing.assert_allclose(our_ccc_backward(low, truth, D, rho), np.array([2, 8, 14]) / 49)

# %% [markdown]
# refmer's `ccc` returns $\rho$ and its slope for arrays $(\dots, N, D)$ of $D$ quantities, such as valence and arousal.
# `ccc_loss` is $1 - \rho$, averaged over the quantities, because an optimizer minimizes. `mse` is the mean squared error.
#
# The data are the valence values of all 36 recordings, scaled to mean 0 and variance 1. A feature $z$ is the valence plus
# noise, scaled in the same way. The prediction $0.3 z + 0.2$ has another scale and another mean than the truth. Its $D$ is
# $0.3^2 + 1 + 0.2^2 = 1.13$.

# %%
recordings = refmer.load_samples("recordings")
affect = recordings.labels["affect"]
valence = affect.values[affect.mask][:, 0].astype(float)  # (N,)
noisy = valence + 0.6 * rng.normal(size=valence.shape)
y = (valence - valence.mean()) / valence.std()
z = (noisy - noisy.mean()) / noisy.std()
x = 0.3 * z + 0.2

rho, slope = ccc(x[:, None], y[:, None])
_, our_D, our_rho = our_ccc(x, y)
derived = 2 / (len(y) * 1.13) * (y - rho * (0.3 * z + 0.2))
# Lesson 6: refmer's slope of concordance is the one that we derived.
np.testing.assert_allclose(our_D, 1.13)
np.testing.assert_allclose(our_ccc_backward(x, y, our_D, our_rho), slope[:, 0], atol=1e-12)
np.testing.assert_allclose(derived, slope[:, 0], atol=1e-12)

# %% [markdown]
# ## What squared error and concordance reward
#
# Predict $x = a z$, with a single number $a$ to be trained. $y$ and $z$ have mean 0, variance 1 and the correlation $r$, which
# is also their covariance. Then $s = a r$ and $s_x^2 = a^2$.
#
# * **Squared error** is $D - 2s = a^2 - 2 a r + 1$. Its derivative $2a - 2r$ is 0 at $a = r$.
# * **Concordance** is $2 a r / (a^2 + 1)$. Its derivative $2 r\, (1 - a^2) / (a^2 + 1)^2$ is 0 at $a = 1$.
#
# So squared error shrinks predictions: the less the feature tells about $y$, the smaller the variance of the best prediction,
# $r^2$. Concordance keeps the variance of the truth, whatever $r$ is.
#
# **Example.** With $r = 0.6$, the squared error is $1 - 0.36 = 0.64$ at $a = 0.6$ and $2 - 1.2 = 0.8$ at $a = 1$. Concordance
# is $0.72 / 1.36 = 0.53$ at $a = 0.6$ and $0.6$ at $a = 1$. Each measure prefers its own $a$.

# %%
a_of_both, correlation = np.array([0.6, 1.0]), 0.6
np.testing.assert_allclose(a_of_both**2 - 2 * a_of_both * correlation + 1, [0.64, 0.8])
np.testing.assert_allclose(2 * a_of_both * correlation / (a_of_both**2 + 1), [0.529412, 0.6], rtol=1e-6)

# %% [markdown]
# The same on the valence of the recordings: compute both losses for $a = 0, 0.01, \dots, 1.49$ and take the $a$ of the
# smallest.

# %%
r = (y * z).mean()
scales = np.arange(150) / 100
squared = [mse(a * z[:, None], y[:, None])[0] for a in scales]
lack_of_concordance = [ccc_loss(a * z[:, None], y[:, None])[0] for a in scales]
best_squared = scales[np.argmin(squared)]
best_concordance = scales[np.argmin(lack_of_concordance)]

fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.plot(scales, squared, label="squared error")
ax.plot(scales, lack_of_concordance, label="1 - concordance")
ax.axvline(best_squared, color="C0", ls=":")
ax.axvline(best_concordance, color="C1", ls=":")
ax.set(xlabel="a, scale of the prediction", ylabel="loss")
ax.set_title(f"Valence predicted as a z, r = {r:.2f}; n = {len(y)} steps, seed 0")
ax.legend()
plt.show()
# Lesson 7: squared error is least at a = r, concordance greatest at a = 1.
np.testing.assert_allclose([best_squared, best_concordance], [r, 1], atol=0.011)

# %% [markdown]
# ## Four wrong concordances
#
# The following four versions of $\rho$ are wrong. The examples use $x = (1, 2, 3)$ and $y = (2, 3, 4)$, for which $\rho = 4/7$.
#
# **1. Mixed moments.** $s$ is divided by $N$, but the variances by $N - 1$, as in public code of a challenge. Then even
# $\rho(x, x)$ is not 1 but $(N-1)/N$. For $x = (1, 2, 3)$: $s = 2/3$, both variances are 1, and
# $\rho(x, x) = (4/3) / 2 = 2/3$.


# %%
def concordance(x, y):
    return ccc(x[:, None], y[:, None])[0][0]


def mixed_moments(x, y):
    s = ((x - x.mean()) * (y - y.mean())).mean()
    return 2 * s / (x.var(ddof=1) + y.var(ddof=1) + (x.mean() - y.mean()) ** 2)


np.testing.assert_allclose(mixed_moments(low, low), 2 / 3)

# %% [markdown]
# **2. Pearson's correlation**, $s / (s_x s_y)$. A shift and a scale do not change it. In the example it is 1, although every
# prediction is too low.


# %%
def pearson(x, y):
    return np.corrcoef(x, y)[0, 1]


np.testing.assert_allclose(pearson(low, truth), 1)

# %% [markdown]
# **3. Misplaced square.** $\bar x^2 - \bar y^2$ stands for $(\bar x - \bar y)^2$. This is not symmetric and can exceed 1. In
# the example, $D = 4/3 + 4 - 9 = -11/3$ and the result is $-4/11$. With $x$ and $y$ exchanged, $D = 4/3 + 9 - 4 = 19/3$, and it
# is $4/19$.


# %%
def misplaced_square(x, y):
    s = ((x - x.mean()) * (y - y.mean())).mean()
    return 2 * s / (x.var() + y.var() + x.mean() ** 2 - y.mean() ** 2)


np.testing.assert_allclose([misplaced_square(low, truth), misplaced_square(truth, low)], [-4 / 11, 4 / 19])

# %% [markdown]
# **4. Mean of batches.** $\rho$ is computed for every batch of consecutive steps, and then averaged. But $\rho$ is no mean over
# steps. Within a short batch the truth hardly varies, so $s$ and $s_y^2$ are small and the errors of the prediction dominate
# $D$.
#
# **Example.** Let $y = (0, 0, 1, 1)$ and $x = (0.1, -0.1, 1.1, 0.9)$. Concordance of all four steps is 0.98. In each batch of
# two steps $y$ is constant, so $s = 0$ and $\rho = 0$. The mean of the batches is 0.


# %%
def mean_of_batches(x, y, n=16):
    starts = range(0, len(x) - n + 1, n)
    return np.mean([concordance(x[i : i + n], y[i : i + n]) for i in starts])


x_steps, y_steps = np.array([0.1, -0.1, 1.1, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])
np.testing.assert_allclose(concordance(x_steps, y_steps), 0.980392, rtol=1e-6)
np.testing.assert_allclose(mean_of_batches(x_steps, y_steps, n=2), 0)

# %% [markdown]
# ## Laws that reveal a wrong metric
#
# A right concordance obeys four laws. None of them needs a reference implementation:
#
# * **Identity:** $\rho(x, x) = 1$.
# * **Symmetry:** $\rho(x, y) = \rho(y, x)$.
# * **Shift:** $\rho(x, x + c) = s_x^2 / (s_x^2 + c^2/2)$. For a shift by $c$, $s = s_x^2$ and $D = 2 s_x^2 + c^2$.
# * **Order:** the same permutation of $x$ and $y$ changes nothing.
#
# The cell applies all laws to the right version and the four wrong ones, on one recording. The prediction is the truth plus
# noise with the standard deviation 0.1.

# %%
y = affect.values[0, affect.mask[0], 0].astype(float)  # (N,), valence of one recording
x = y + 0.1 * rng.normal(size=y.shape)
order = rng.permutation(len(y))
measures = {
    "right": concordance,
    "mixed moments": mixed_moments,
    "Pearson": pearson,
    "misplaced square": misplaced_square,
    "mean of batches": mean_of_batches,
}
broken = {}
for name, f in measures.items():
    gaps = {
        "identity": f(y, y) - 1,
        "symmetry": f(x, y + 0.5) - f(y + 0.5, x),
        "shift": f(y, y + 0.5) - y.var() / (y.var() + 0.5**2 / 2),
        "order": f(x, y) - f(x[order], y[order]),
    }
    broken[name] = [law for law, gap in gaps.items() if abs(gap) > 1e-6]
    print(f"{name:17s} breaks {broken[name]}")

# %% [markdown]
# The result:
#
# | version | identity | symmetry | shift | order |
# |---|---|---|---|---|
# | right | holds | holds | holds | holds |
# | mixed moments | broken | holds | broken | holds |
# | Pearson | holds | holds | broken | holds |
# | misplaced square | holds | broken | broken | holds |
# | mean of batches | holds | holds | broken | broken |
#
# A single law does not suffice: three of the four wrong versions obey the identity. The shift law alone reveals all four.

# %%
# Lesson 8: the right version obeys all laws, and each wrong one breaks at least one.
assert broken["right"] == []
assert broken["mixed moments"] == ["identity", "shift"]
assert broken["Pearson"] == ["shift"]
assert broken["misplaced square"] == ["symmetry", "shift"]
assert broken["mean of batches"] == ["shift", "order"]

# %% [markdown]
# The left figure shows how the versions react to a shift of the truth. Pearson stays at 1. The version with the misplaced
# square exceeds 1. The right version falls on both sides.
#
# The right figure shows the mean of batches for batches of 4 to 256 steps. With 16 steps, it is less than half of the true
# concordance: short batches conceal a good prediction.

# %%
shifts = np.linspace(-1, 1, 51)
lengths = 2 ** np.arange(2, 9)
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
for name in ("right", "Pearson", "misplaced square", "mean of batches"):
    left.plot(shifts, [measures[name](y + c, y) for c in shifts], label=name)
right.semilogx(lengths, [mean_of_batches(x, y, n) for n in lengths], "C3.-", base=2, label="mean of batches")
right.axhline(concordance(x, y), color="C0", label="right")
left.set(title="Prediction: truth + c", xlabel="c", ylabel="reported concordance", ylim=(-0.1, 1.9))
right.set(title="Prediction: truth + noise (seed 0)", xlabel="steps in a batch")
left.legend(ncols=2)
right.legend()
fig.suptitle(f"Valence of one recording, n = {len(y)} steps")
plt.show()
# Lesson 9: the mean over batches of 16 steps is less than half of the concordance of a good prediction.
assert mean_of_batches(x, y) < 0.5 * concordance(x, y)

# %% [markdown]
# ## A value from another library
#
# A published value is a further check. The documentation of torchmetrics has an example with $N = 4$. torchmetrics divides
# *all* moments by $N - 1$; Lin's definition divides all by $N$. Both are consistent, and they differ in the third digit: 0.9777
# and 0.9768. refmer computes Lin's by default, and the other with `ddof=1`.
#
# For the same $N = 4$, mixed moments give $\rho(x, x) = 3/4$.

# %%
predicted, true = np.array([2.5, 0, 2, 8]), np.array([3, -0.5, 2, 7])
# Lesson 10: refmer reproduces torchmetrics' example with all moments by N - 1; mixing them is the error.
np.testing.assert_allclose(ccc(predicted[:, None], true[:, None])[0][0], 0.9767891683, rtol=1e-9)
np.testing.assert_allclose(ccc(predicted[:, None], true[:, None], ddof=1)[0][0], 0.9777347532, rtol=1e-9)
np.testing.assert_allclose(mixed_moments(predicted, predicted), 0.75)

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `06_contrastive_and_concordance.py` (`refmer exercises --out DIR`, then
# `refmer grade DIR/06_contrastive_and_concordance.py`).
#
# 1. Show that $|\rho| \le |s / (s_x s_y)|$: concordance never exceeds Pearson's correlation in size.
# 2. Derive the gradient of Pearson's correlation $c = s / (s_x s_y)$ by $x_n$. Check it by the complex step. What are its sum
#    over $n$ and its inner product with $x$, and why?
# 3. In a batch of $B$ clips, two clips have the same voice and the same face. Show that the contrastive loss is then at least
#    $\frac2B \ln 2$, whatever the features and the temperature are.

# %% tags=["hide-cell"]
# Solution 1: D >= s_x^2 + s_y^2 >= 2 s_x s_y, because s_x^2 + s_y^2 - 2 s_x s_y is a square. So 2|s| / D <= |s| / (s_x s_y).
assert abs(concordance(predicted, true)) < abs(pearson(predicted, true))

# Solution 2: ds = (y_n - mean y) / N and ds_x = (x_n - mean x) / (N s_x). By the quotient rule,
# dx_n = ((y_n - mean y) / s_y - c (x_n - mean x) / s_x) / (N s_x).
# A shift of all x and a scale of x change nothing, so the sum is 0, and so is the inner product with x.
deviations_x, deviations_y = predicted - predicted.mean(), true - true.mean()
c = pearson(predicted, true)
dx = (deviations_y / true.std() - c * deviations_x / predicted.std()) / (len(true) * predicted.std())


def analytic_pearson(x):
    d = x - x.mean()
    return (d * deviations_y).mean() / ((d * d).mean() ** 0.5 * true.std())


by_complex_step = [analytic_pearson(predicted + 1e-30j * e).imag / 1e-30 for e in np.eye(4)]
np.testing.assert_allclose(dx, by_complex_step, rtol=1e-12)
assert abs(dx.sum()) < 1e-15 and abs(dx @ predicted) < 1e-15

# Solution 3: if clips n and m are the same, s_nn = s_nm. So the softmax at the right place is at most 1/2, in the row and in
# the column, for both clips. Each of these four terms is at least ln 2, and 4 ln 2 / (2 B) = 2/B ln 2. The loss approaches the
# bound if all other vectors are orthogonal and the temperature is low.
basis = np.eye(4)[[0, 0, 1, 2]]  # clips 1 and 2 are the same
repeated = np.stack([basis, basis], axis=1)  # (4, 2, 4): voice and face are equal
for tau in (0.02, 0.1, 1.0):
    assert our_info_nce(repeated, tau)[3] >= 2 / 4 * np.log(2)
np.testing.assert_allclose(our_info_nce(repeated, 0.02)[3], 2 / 4 * np.log(2))
