# %% [markdown]
# # 20. RAVER: class balance, lost frames and calibration
#
# Introduces: `refmer.systems.raver.loss`, `refmer.data.gaps.GilbertElliott`, `refmer.evaluate.calibration.brier_labels`,
# `refmer.evaluate.calibration.reliability`, `refmer.evaluate.calibration.ece_positive`,
# `refmer.evaluate.calibration.ece_macro`
#
# **After this page** you can derive what a network learns from class-weighted cross-entropy and undo it, compute the loss rate
# of a burst channel on short clips, derive the gradient of the Brier score, and say what a low Brier score does not show.
#
# **Time.** 60 minutes to read, 20 seconds to run.
#
# **You need** tutorials 2, 4, 5 and 19: the complex step (2), `Recognizer` and `corrupt` (4), cross-entropy, its gradient and
# class weights (5), and the parts of RAVER (19; it builds on attention, masks and encoders of 7, 8 and 9).

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer.check import assert_gradient
from refmer.data.gaps import GilbertElliott
from refmer.evaluate.calibration import brier_labels, ece_macro, ece_positive, reliability
from refmer.ops.losses import class_balanced_weights, cross_entropy
from refmer.systems import raver

rng = np.random.default_rng(0)

# %% [markdown]
# ## Overview
#
# Tutorial 19 builds RAVER (paper 004): its output is one logit for each class. This page trains it, and examines the
# probabilities that it returns. The subjects are:
#
# * the targets and the loss, with weights that favour rare classes;
# * frames that are lost in bursts;
# * two measures of probabilities: the Brier score and the calibration error.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $\ell_{bk}$ | $(B, K)$ | logit of clip $b$ for class $k$ |
# | $p_{bk}$ | $(B, K)$ | probability: softmax of the logits of clip $b$ |
# | $y_{bk}$ | $(B, K)$ | target: share of the votes, or 0 and 1 (said where it appears) |
# | $n_k$, $w_k$ | $(K,)$ | number of clips of class $k$, and its weight in the loss |
#
# ## Shares of votes
#
# Several raters vote for the emotion of a clip. The training target $y_{bk}$ is the share of raters who chose class $k$. Shares
# of a clip sum to 1.
#
# For evaluation each class is either *present* or not. It is present if its share is above $1/K$, the share of a rater who
# guesses. More than one class can be present.
#
# By hand: ten raters and six classes, with 7 votes for the fifth class, 2 for the fourth and 1 for the first. The shares are
# 0.7, 0.2 and 0.1. $1/6 = 0.167$, so the fourth and the fifth class are present.
#
# The clips are split by speaker into three parts: `fitted` for training, `dev` for development, `test` for results.

# %%
train, test = refmer.load_samples().split(by="speaker", test_size=0.25, seed=0)
fitted, dev = train.split(by="speaker", test_size=0.15, seed=0)
names = test.labels["votes"].names
shares = test.votes / test.votes.sum(1, keepdims=True)
present = (shares > 1 / 6).astype(int)
print(f"clips: {len(fitted)} fitted, {len(dev)} dev, {len(test)} test")
print(f"classes present in a test clip: {present.sum(1).mean():.2f}")
np.testing.assert_array_equal(np.array([0.1, 0, 0, 0.2, 0.7, 0]) > 1 / 6, [False, False, False, True, True, False])

# %% [markdown]
# ## Class-balanced weights
#
# Paper 004 weighs the classes by their *effective number* of clips (tutorial 5). $n_k$ is the number of training clips in which
# class $k$ is present. With $N = \sum_k n_k$ and $\beta = (N - 1) / N$,
#
# $$w_k \propto \frac{1 - \beta}{1 - \beta^{n_k}}, \qquad \sum_k w_k = K .$$
#
# A rare class has a large weight. $N$ may exceed the number of clips, as a clip can count for several classes.
#
# The paper gives the formula (eq. 3) with $\beta$ in $(0, 1]$ and without the scaling to a sum of $K$. At $\beta = 1$ the
# formula is 0/0. The value $(N - 1) / N$ and the scaling are those of public code of one of its authors.
#
# By hand: three clips and two classes; two clips contain the first class, one the second. $N = 3$ and $\beta = 2/3$. The
# weights are proportional to $1 / (1 - 4/9) = 1.8$ and $1 / (1 - 2/3) = 3$. Scaled to the sum 2 they are 0.75 and 1.25.


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


n, w = our_balance(np.array([[1.0, 0.0], [0.7, 0.3], [0.2, 0.8]]))
np.testing.assert_allclose(w, [0.75, 1.25])

# %% [markdown]
# On the corpus, neutral is present in most clips and has the smallest weight.

# %%
n, w = our_balance(fitted.votes / fitted.votes.sum(1, keepdims=True))
for name, count, weight in zip(names, n, w, strict=True):
    print(f"{name:10} in {count:3} of {len(fitted)} clips, weight {weight:.2f}")
# Lesson 1: these weights are refmer's, and the commonest class has the smallest.
np.testing.assert_allclose(w, class_balanced_weights(n, 1 - 1 / n.sum()), rtol=1e-10)
assert names[n.argmax()] == names[w.argmin()] == "neutral"

# %% [markdown]
# ## Class-balanced cross-entropy
#
# The loss, CBCE, is cross-entropy with these weights:
#
# $$L = -\frac1B \sum_{bk} w_k\, y_{bk} \log p_{bk} .$$
#
# The derivative of the logarithm of softmax is $\partial \log p_{bk} / \partial \ell_{bj} = \delta_{jk} - p_{bj}$. So
#
# $$d\ell_{bj} = -\frac1B \sum_k w_k\, y_{bk}\, (\delta_{jk} - p_{bj})
#   = \frac1B \Bigl( p_{bj} \sum_k w_k\, y_{bk} - w_j\, y_{bj} \Bigr) .$$
#
# Setting this to 0 gives the probabilities with the smallest loss:
#
# $$p_{bj} = \frac{w_j\, y_{bj}}{\sum_k w_k\, y_{bk}} .$$
#
# They are not the shares $y$, but shares tilted towards rare classes.
#
# By hand: one clip, $y = (\frac12, \frac12)$ and $w = (\frac12, \frac32)$. $\sum_k w_k y_k = 1$. At $p = y$ the gradient is
# $(\frac12 - \frac14, \frac12 - \frac34) = (\frac14, -\frac14)$: descent lowers the first logit. At
# $p = (\frac14, \frac34)$ the gradient is 0.

# %%
halves, two_weights = np.array([[0.5, 0.5]]), np.array([0.5, 1.5])
at_the_shares = cross_entropy(np.log(halves), halves, two_weights)[1]
at_the_tilted = cross_entropy(np.log([[0.25, 0.75]]), halves, two_weights)[1]
np.testing.assert_allclose(at_the_shares, [[1 / 4, -1 / 4]])
np.testing.assert_allclose(at_the_tilted, [[0, 0]], atol=1e-15)

# %% [markdown]
# The loss of refmer's RAVER takes the numbers of clips $n$ and computes the weights. The cell evaluates its gradient at the
# shares of the ten raters above, and at the tilted shares.

# %%
y = np.array([[0.1, 0, 0, 0.2, 0.7, 0]])
tilted = w * y / (w * y).sum()
config, batch = raver.Config.tiny(), {"target": y, "class_count": n.astype(float)}
gradient = {}
for name, q in (("shares", y), ("tilted shares", tilted)):
    logits = np.log(np.maximum(q, 1e-30))
    gradient[name] = raver.loss({"logits": logits}, batch, config)[2]["logits"]
# Lesson 2: at the shares the gradient of CBCE is not 0; at the tilted shares it is.
assert np.abs(gradient["shares"]).max() > 0.05
assert np.abs(gradient["tilted shares"]).max() < 1e-12

# %% [markdown]
# ## Undo the weights
#
# The paper offers CBCE as a remedy for miscalibration. The formula above shows the contrary. A network with the smallest CBCE
# returns probabilities that differ from the shares.
#
# If you know the weights, you can undo the tilt. Divide each probability by its weight, and scale the result to the sum 1:
#
# $$q_{bk} = \frac{p_{bk} / w_k}{\sum_j p_{bj} / w_j} .$$
#
# Inserting the tilted shares gives $q_{bk} = y_{bk} / \sum_j y_{bj} = y_{bk}$.
#
# By hand: $p = (\frac14, \frac34)$ and $w = (\frac12, \frac32)$. $p / w = (\frac12, \frac12)$, which sums to 1 already: the
# shares of the example above.


# %%
def our_undone(p, w):
    """Return probabilities without the tilt of the weights: p / w, scaled so that rows sum
    to 1.

    p (B, K), w (K,) -> q (B, K)
    """
    q = p / w
    q = q / q.sum(-1, keepdims=True)
    return q


np.testing.assert_allclose(our_undone(np.array([[0.25, 0.75]]), two_weights), halves)
# Lesson 3: dividing by the weights gives the shares back.
np.testing.assert_allclose(our_undone(tilted, w), y, atol=1e-15)

# %% [markdown]
# ## Frames lost in bursts
#
# In a transmission, frames are lost in bursts. Paper 004 models this by the channel of Gilbert and Elliott. It has two states,
# good and bad. In each time slot it switches with a fixed probability:
#
# $$P(\text{good} \to \text{bad}) = p, \qquad P(\text{bad} \to \text{good}) = r .$$
#
# A frame in the bad state is lost. The chain starts in the good state.
#
# **Length of a burst.** A burst has $k$ slots if the chain stays $k - 1$ times and then leaves, with probability
# $(1 - r)^{k-1} r$. The mean of $k$ is $1 / r$. With $r = 0.2$ a burst has 5 slots on average.
#
# **Probability of a loss.** Let $b_s$ be the probability of the bad state in slot $s$. The chain is bad in slot $s + 1$ if it
# was bad and stays, or was good and switches:
#
# $$b_{s+1} = (1 - r)\, b_s + p\, (1 - b_s), \qquad b_0 = 0 .$$
#
# By hand, with $p = r = 0.2$: $b_1 = 0.2$, and $b_2 = 0.8 \cdot 0.2 + 0.2 \cdot 0.8 = 0.32$.
#
# The value $\pi = p / (p + r)$ reproduces itself: insert it for both $b_s$ and $b_{s+1}$. Subtract this equation from the one
# above. With $\lambda = 1 - p - r$,
#
# $$b_{s+1} - \pi = \lambda\, (b_s - \pi), \qquad\text{so}\qquad b_s = \pi\, (1 - \lambda^s) .$$
#
# In the example $\pi = 0.5$ and $\lambda = 0.6$, so $b_2 = 0.5 \cdot (1 - 0.36) = 0.32$.
#
# **Loss rate of a clip.** The mean of $b_s$ over $S$ slots contains a geometric sum:
#
# $$\frac1S \sum_{s=0}^{S-1} b_s = \pi \Bigl( 1 - \frac{1 - \lambda^S}{S\, (1 - \lambda)} \Bigr) .$$
#
# For the three slots of the example it is $(0 + 0.2 + 0.32) / 3 = 0.1733$.


# %%
def mean_loss(p, r, slots):
    pi, kept = p / (p + r), 1 - p - r
    return pi * (1 - (1 - kept**slots) / (slots * (1 - kept)))


np.testing.assert_allclose(mean_loss(0.2, 0.2, 3), (0 + 0.2 + 0.32) / 3)
np.testing.assert_allclose(GilbertElliott(0.2, 0.2).mean_burst(), 5)

# %% [markdown]
# $\pi$ is the loss rate of an infinitely long clip. A short clip loses fewer frames, because it starts in the good state. The
# longer the bursts, the longer this start has an effect.
#
# The cell draws three chains with the same $\pi = 0.5$, on 4,000 clips of 76 slots (2.5 s at 30 frames a second).

# %%
slots = 76
chains = {"short bursts, p = r = 0.2": 0.2, "longer bursts, p = r = 0.05": 0.05, "long bursts, p = r = 0.01": 0.01}
fig, axes = plt.subplots(1, 4, figsize=(13, 3.4), layout="constrained")
expected, drawn = [], []
for ax, (name, p) in zip(axes[1:], chains.items(), strict=True):
    chain = GilbertElliott(p, p)
    lost = chain.states(rng, 4000, slots)  # (clips, slots)
    expected.append(mean_loss(p, p, slots))
    drawn.append(lost.mean())
    np.testing.assert_allclose(expected[-1], chain.expected_loss(slots))
    axes[0].plot(0.5 * (1 - (1 - 2 * p) ** np.arange(slots)), label=name)
    ax.imshow(lost[:40], cmap="Greys", aspect="auto", interpolation="nearest")
    ax.set(title=f"{name}:\n{drawn[-1]:.0%} lost", xlabel="slot (black: lost)", ylabel="40 of 4,000 clips", yticks=[])
axes[0].set(xlabel="slot", ylabel="probability of a loss", title="Probability of a loss (formula)", ylim=(0, 0.85))
axes[0].legend(fontsize=8, loc="upper left")
plt.show()

# Lesson 4: the formula is right, and a nominal loss rate of 50 % is 24 % on clips of this length.
np.testing.assert_allclose(drawn, expected, atol=0.03)
assert expected[0] > 0.48 and 0.24 < expected[2] < 0.25

# %% [markdown]
# If the "percentage of dropped frames" of the paper is $\pi$, it is too large for short clips.

# %% [markdown]
# ## The Brier score of a softmax
#
# The Brier score is the mean squared error of probabilities. From here on $y_{bk}$ is 1 if class $k$ is present in clip $b$,
# and else 0:
#
# $$\text{BS} = \frac1{BK} \sum_{bk} (p_{bk} - y_{bk})^2 .$$
#
# Brier's own definition of 1950 divides by $B$ alone. The paper divides by $BK$.
#
# $p$ is the softmax of the logits. Backward has two steps: first the square,
#
# $$dp_{bk} = \frac2{BK}\, (p_{bk} - y_{bk}),$$
#
# then softmax, with $\partial p_k / \partial \ell_j = p_k\, (\delta_{jk} - p_j)$:
#
# $$d\ell_{bj} = \sum_k dp_{bk}\, p_{bk}\, (\delta_{jk} - p_{bj}) = p_{bj} \Bigl( dp_{bj} - \sum_k p_{bk}\, dp_{bk} \Bigr) .$$
#
# By hand: one clip, two classes, logits $(\ln 3, 0)$ and $y = (1, 0)$.
#
# * Forward: $p = (\frac34, \frac14)$, and $\text{BS} = \frac12 (\frac1{16} + \frac1{16}) = \frac1{16}$.
# * Square: $dp = (-\frac14, \frac14)$.
# * Softmax: $\sum_k p_k\, dp_k = -\frac3{16} + \frac1{16} = -\frac18$, so
#   $d\ell = (\frac34 \cdot (-\frac18),\ \frac14 \cdot \frac38) = (-\frac3{32}, \frac3{32})$.
#
# In the code the logits are `x`.


# %%
def our_brier(x, y):
    """Return the probabilities p, a softmax of the logits x, and the Brier score, the mean of
    squared errors over clips and classes.

    x (B, K), y (B, K) of 0 and 1, any number of ones in a row -> p (B, K), brier
    """
    e = np.exp(x - x.real.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    brier = ((p - y) ** 2).mean()
    return p, brier


def our_brier_backward(y, p):
    """Return the gradients of the Brier score in the probabilities p and in the logits x.

    y (B, K) of 0 and 1, p (B, K) -> dp, dx (B, K)
    """
    dp = 2 * (p - y) / p.size
    dx = p * (dp - (p * dp).sum(-1, keepdims=True))
    return dp, dx


x_small, y_small = np.log([[3.0, 1.0]]), np.array([[1.0, 0.0]])
p_small, brier_small = our_brier(x_small, y_small)
np.testing.assert_allclose(brier_small, 1 / 16)
np.testing.assert_allclose(our_brier_backward(y_small, p_small)[1], [[-3 / 32, 3 / 32]])


# %%
def brier_of_logits(x, y):
    y = y.astype(x.real.dtype)
    p, brier = our_brier(x, y)
    return brier, lambda dy: dy * our_brier_backward(y, p)[1]


x, y = rng.normal(size=(5, 6)), (rng.random((5, 6)) < 0.3).astype(float)
# Lesson 5: the score is refmer's, and its gradient is right.
np.testing.assert_allclose(our_brier(x, y)[1], brier_labels(y, our_brier(x, y)[0]), rtol=1e-12)
assert assert_gradient(lambda x: brier_of_logits(x, y), None, x, rng=rng) < 1e-12

# %% [markdown]
# $d\ell_j$ has the factor $p_j$. If a network gives the present class a probability near 0 and another class one near 1, all
# $d\ell$ are near 0: the most certain errors are not corrected. The gradient of cross-entropy, $p - y$, is largest there.
# refmer trains by cross-entropy, and uses the Brier score as a measure alone.
#
# By hand: with logits $(-20, 0)$ and $y = (1, 0)$, $p_1 = e^{-20} = 2 \cdot 10^{-9}$. The gradient of cross-entropy is
# $(-1, 1)$. That of the Brier score is $p_1\, (-1 - 1) = -4 \cdot 10^{-9}$ for the first logit.

# %%
x_wrong = np.array([[-20.0, 0.0]])
brier_gradient = our_brier_backward(y_small, our_brier(x_wrong, y_small)[0])[1]
entropy_gradient = cross_entropy(x_wrong, y_small, np.ones(2))[1]
# Lesson 6: where a network is certain and wrong, the gradient of the Brier score vanishes, that of cross-entropy does not.
assert np.abs(brier_gradient).max() < 1e-8 and np.abs(entropy_gradient).max() > 0.99

# %% [markdown]
# ## Brier score and calibration
#
# "Lower BS indicates better calibration", says the paper. *Calibrated* means: of all answers with probability $p$, a share $p$
# comes true.
#
# Group the answers by their probability. Group $g$ has $n_g$ answers with the same $p_g$, of which a share $f_g$ comes true.
# Because $y$ is 0 or 1, $y^2 = y$, and the sum of squares in one group is
#
# $$\sum (p_g - y)^2 = n_g\, (p_g^2 - 2 p_g f_g + f_g) = n_g \bigl( (p_g - f_g)^2 + f_g\, (1 - f_g) \bigr) .$$
#
# By hand: two answers of $\frac12$, one of which comes true. The sum is $\frac14 + \frac14 = \frac12$. The formula gives
# $2 \cdot (0 + \frac14)$.
#
# The first term, $(p_g - f_g)^2$, is miscalibration. The second, $f_g (1 - f_g)$, is 0 if all answers of a group come true, or
# none: it measures how well the answers separate the cases.
#
# The Brier score is the sum of both. It can fall while miscalibration rises, if the second term falls by more.
#
# The *calibration error* measures the first term alone, as an absolute value: $\sum_g n_g\, |p_g - f_g| / \sum_g n_g$. In
# practice answers have many different probabilities, so groups are ten intervals of the same width.
#
# Issue 10883 of scikit-learn has an example of twelve answers, A, and twelve others to the same questions, B.

# %%
truth = np.array([0, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 1])
twelve = {
    "A": np.array([0, 0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 0.75, 0.75, 1]),
    "B": np.array([0, 0.25, 0.25, 0.25, 0.75, 0.5, 0.5, 0.25, 0.75, 0.75, 0.75, 1]),
}
brier = {name: brier_labels(truth, q) for name, q in twelve.items()}
error = {name: ece_positive(truth, q) for name, q in twelve.items()}

fig, axes = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained", sharey=True)
for ax, (name, q) in zip(axes, twelve.items(), strict=True):
    _, mean_answer, came_true = reliability(truth, q)
    ax.plot([0, 1], [0, 1], "k:", label="calibrated")
    ax.plot(mean_answer, came_true, "C3o-", label="share that came true")
    ax.set(title=f"{name}: Brier {brier[name]:.3f}, calibration error {error[name]:.3f}", xlabel="probability")
axes[0].set(ylabel="share that came true")
axes[0].legend()
fig.suptitle("Reliability curves of the twelve answers A and B (n = 12)")
plt.show()

# Lesson 7: B has half the Brier score of A. A is calibrated perfectly, B is not.
np.testing.assert_allclose([brier["A"], brier["B"]], [1 / 6, 1 / 12])
np.testing.assert_allclose([error["A"], error["B"]], [0, 1 / 6], atol=1e-12)

# %% [markdown]
# ## The calibration error of a softmax
#
# The probabilities of a softmax sum to 1. But a clip has $m$ present classes, and $m$ may be above 1. So the probabilities of a
# softmax are too low on average, if they are taken as probabilities that a class is present.
#
# Let $\bar p_k$ and $\bar y_k$ be means over clips. The calibration error of class $k$ is a mean of $|p_g - f_g|$ over groups,
# which is at least the absolute value of the mean, $|\bar y_k - \bar p_k|$. The mean over classes is at least
#
# $$\frac1K \Bigl| \sum_k (\bar y_k - \bar p_k) \Bigr| = \frac{\bar m - 1}K,$$
#
# where $\bar m$ is the mean number of present classes.
#
# By hand: two classes, both present in every clip, and $p = (\frac12, \frac12)$. Each class comes true always, so each has the
# error $\frac12$. The formula gives $(2 - 1) / 2$.

# %%
both = np.ones((4, 2), int)
np.testing.assert_allclose(ece_macro(both, np.full((4, 2), 0.5)), (2 - 1) / 2)
least_error = (present.sum(1).mean() - 1) / 6
print(f"least calibration error of a softmax on the {len(test)} test clips: {least_error:.3f}")

# %% [markdown]
# ## Training
#
# In training, modalities are removed at random (tutorial 16). Of each batch 20 % of the clips lose the voice, 20 % lose the
# face, and 60 % keep both. The paper says "for each training batch", which can also mean one draw for the whole batch.
#
# | | published | refmer's tiny |
# |---|---|---|
# | optimizer | AdamW, betas 0.95 and 0.999 | the same |
# | learning rate | $10^{-5}$ | $2 \cdot 10^{-3}$, along a cosine |
# | weight decay | $5 \cdot 10^{-7}$ | 1, of matrices |
# | batch, epochs | 32, 60 | 16, 30 epochs or 960 updates; on this page 7 epochs |
#
# The cell trains with CBCE (`balance = "class"`) and with plain cross-entropy (`"none"`), for 1, 3, 5 and 7 epochs and three
# seeds each. Every one is trained from the start, along its own cosine. The third row, "class, undone", takes the
# probabilities of the first and undoes the weights.

# %%
EPOCHS, SEEDS = (1, 3, 5, 7), (0, 1, 2)
models, answers = {}, {}
for epochs in EPOCHS:
    for seed in SEEDS:
        for balance in ("class", "none"):
            model = refmer.Recognizer("raver", config={"balance": balance}, epochs=epochs, seed=seed)
            models[balance, epochs, seed] = model.fit(fitted, dev=dev, progress=False)
            answers[balance, epochs, seed] = model.predict_proba(test)
        answers["class, undone", epochs, seed] = our_undone(answers["class", epochs, seed], w)
ROWS = ("class", "class, undone", "none")

# %% [markdown]
# ## Learning curves
#
# The loss in `history_` is that of each model: CBCE for one, cross-entropy for the other. These two must not be compared. In
# CBCE each clip has the total weight $\sum_k w_k\, y_{bk}$. Its mean is below 1 here, because common classes have weights
# below 1.
#
# So all three rows are measured by the same number: cross-entropy *without* weights, on the same test clips, with the shares of
# votes as $y$,
#
# $$-\frac1B \sum_{bk} y_{bk} \log p_{bk} .$$


# %%
def plain_cross_entropy(q):
    return -(shares * np.log(q)).sum(1).mean()


plain = {}
for row in ROWS:
    plain[row] = np.array([[plain_cross_entropy(answers[row, epochs, seed]) for seed in SEEDS] for epochs in EPOCHS])

fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for color, row in zip(("C0", "C2", "C1"), ROWS, strict=True):
    ax.plot(EPOCHS, plain[row].mean(1), color, label=row)
    ax.plot(EPOCHS, plain[row], color + ".", ms=5)
ax.set(xlabel="epochs of training", ylabel="cross-entropy without weights", xticks=EPOCHS)
ax.set_title(f"Plain cross-entropy of n = {len(test)} test clips\nlines: mean of seeds 0 to 2, points: seeds", fontsize=10)
ax.legend(title="balance")
plt.show()

# %%
last = {row: plain[row][-1] for row in ROWS}
own = {b: np.mean([models[b, 7, seed].history_[-1]["dev_loss"] for seed in SEEDS]) for b in ("class", "none")}
total_weight = (dev.votes / dev.votes.sum(1, keepdims=True) @ w).mean()
print(f"own development loss after 7 epochs: CBCE {own['class']:.3f}, cross-entropy {own['none']:.3f}")
print(f"mean total weight of a development clip in CBCE: {total_weight:.3f}")
for row in ROWS:
    print(f"{row:14} plain cross-entropy of test clips after 7 epochs, seeds 0 to 2: {last[row].round(3)}")
# Lesson 8: by its own loss the model with CBCE seems better; by plain cross-entropy, in the mean, it is not.
assert own["class"] < own["none"] and total_weight < 1
assert last["class"].mean() > last["none"].mean()
# Lesson 9: the difference by plain cross-entropy is smaller than that between two seeds.
assert last["class"].mean() - last["none"].mean() < np.ptp(last["class"])

# %% [markdown]
# ## Probabilities of the trained models
#
# The next cell compares the mean probability of each class with its mean share of votes.

# %%
mean_answers = {"votes": shares.mean(0)}
for row in ROWS:
    mean_answers[row] = np.mean([answers[row, 7, seed].mean(0) for seed in SEEDS], axis=0)

fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
for i, (name, values) in enumerate(mean_answers.items()):
    ax.bar(np.arange(6) + 0.2 * (i - 1.5), values, 0.2, label=name, color=("0.6", "C0", "C2", "C1")[i])
ax.set_xticks(range(6), names)
ax.set(ylabel="mean share or probability", title=f"Mean of n = {len(test)} test clips, after 7 epochs, seeds 0 to 2")
ax.legend()
plt.show()

neutral = list(names).index("neutral")
# Lesson 10: CBCE lowers the probability of the commonest class; undoing the weights raises it again.
assert mean_answers["class"][neutral] < mean_answers["none"][neutral] - 0.05
assert mean_answers["class, undone"][neutral] > mean_answers["class"][neutral] + 0.05

# %% [markdown]
# The next cell prints the Brier score and the calibration error, as means of the seeds.

# %%
scores = {}
for row in ROWS:
    of_seeds = [answers[row, 7, seed] for seed in SEEDS]
    scores[row] = np.array([[brier_labels(present, q), ece_macro(present, q)] for q in of_seeds])
    brier_mean, error_mean = scores[row].mean(0)
    print(f"{row:14} Brier {brier_mean:.3f}, calibration error {error_mean:.3f} (least: {least_error:.3f})")
# Lesson 11: undoing the weights lowers the mean Brier score; no row has a calibration error below (m - 1) / K.
assert scores["class, undone"][:, 0].mean() < scores["class"][:, 0].mean()
assert min(scores[row][:, 1].min() for row in ROWS) >= least_error

# %% [markdown]
# The means over five seeds (0 to 4), on the same 72 test clips:
#
# | epochs | balance | plain cross-entropy | Brier | calibration error | macro F1 |
# |---|---|---|---|---|---|
# | 7 | class | 1.354 | .167 | .149 | .612 |
# | 7 | class, undone | 1.351 | .166 | .143 | .596 |
# | 7 | none | 1.332 | .162 | .138 | .603 |
# | 30 | class | 1.221 | .149 | .133 | .666 |
# | 30 | class, undone | 1.223 | .147 | .131 | .656 |
# | 30 | none | 1.202 | .144 | .131 | .668 |
#
# In plain cross-entropy, Brier score and calibration error, training without weights is best in the mean, for both numbers of
# epochs. But each of these differences is smaller than the range over the seeds of the row "class". 72 clips do not show
# that training without weights is better. Nor do they show that CBCE calibrates.
#
# The derivation says what the minimum of the loss is. A network after a few epochs on 180 clips is not at the minimum. Undoing
# the weights raises the probability of neutral in every seed, but it brings little else back.

# %% [markdown]
# ## Missing frames
#
# The model without weights is tested on clips with frames missing at random: of the voice, of the face, or of both at the same
# times. The score is macro F1 of the present classes.

# %%
amounts, modalities = (0, 0.5, 0.9, 1), ("voice", "face", "voice+face")
curves = {}
for modality in modalities:
    corrupted = [refmer.corrupt(test, modality, "missing", amount) for amount in amounts]
    curves[modality] = np.mean([[models["none", 7, seed].score(clips) for clips in corrupted] for seed in SEEDS], axis=0)

fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for modality, values in curves.items():
    ax.plot(amounts, values, "o-", label=modality)
ax.set(xlabel="share of frames missing", ylabel="macro F1", ylim=(0, 0.8))
ax.set_title(f"Missing frames, balance = none, n = {len(test)} test clips, mean of seeds 0 to 2", fontsize=10)
ax.legend()
plt.show()
for modality, values in curves.items():
    print(f"{modality:10} macro F1 with {amounts} missing: {values.round(3)}")

# Lesson 12: with half of the frames missing, macro F1 falls by less than .06; without any frame it falls by more than .15.
assert curves["voice+face"][1] > curves["voice+face"][0] - 0.06
assert curves["voice+face"][3] < curves["voice+face"][0] - 0.15

# %% [markdown]
# Without any frame, the logits are the same for every clip. No summary can change this.

# %% [markdown]
# ## The summary of a missing modality
#
# Tutorial 19 shows that the summary of a clip without frames depends on the queries and the weights alone. `explain` returns
# the summary of the trained model. The cell compares its root mean square with that of clips whose voice is complete.

# %%
model = models["none", 7, 0]
complete = model.explain(test)["audio.context"]
missing = model.explain(refmer.corrupt(test, "voice", "missing", 1.0))["audio.context"]
size_complete, size_missing = (np.sqrt((summary**2).mean()) for summary in (complete, missing))
print(f"root mean square of the summary of the voice: complete {size_complete:.2f}, missing {size_missing:.2f}")
# Lesson 13: the summary of a missing voice is the same for all clips, and it is not small.
assert np.ptp(missing, axis=0).max() < 1e-4
assert size_missing > 0.2 * size_complete

# %% [markdown]
# The paper says that a missing modality makes a "near-zero update" of the other. This does not hold: the layer norm in front of
# the cross-attention scales any summary to variance 1.
#
# In trained tiny models, where the face is missing, what the first layer of the cross encoder adds to the voice
# keeps .74 of its norm (five seeds, `refmer claims`, line 004-g).

# %% [markdown]
# ## Comparison with the paper
#
# The Brier score of RAVER on CREMA-D is .119 (Table 4). The scores of this page cannot be compared with it. Each corpus has its
# own least Brier score (question 1), and here faces are drawn and voices synthesized.
#
# The following does not depend on the data:
#
# 1. CBCE does not calibrate: its minimum is at tilted shares (lessons 2 and 3).
# 2. A lower Brier score does not imply better calibration (lesson 7).
# 3. The .119 is to be read against the least value of a softmax, and not against 0. With two of six classes present, this is
#    $1/12 = .083$. The paper's own example of a training label, $(.75, .25, 0, \dots)$ in Table 1, scores .104.
# 4. "Outperforms all baseline models on four of the six emotion classes" counts a tie: sadness is .669 for RAVER and for VAVL.
#    RAVER is first on three (anger, fear, happiness).
# 5. "Smaller gaps between emotional classes": in Table 4 the range over classes is .253 for RAVER, .219 for AuxFormer, .231 for
#    VAVL and .238 for MulT. RAVER's is the largest of these four.
# 6. The parameters $(p_L, p_N)$ of the bursts are not defined (question 2), and a nominal loss rate is too large for
#    short clips (lesson 4).
# 7. A missing modality does not make a near-zero update (tutorial 19, lesson 3; lesson 13 here).
#
# `docs/deviations.md` lists every difference.

# %%
label = np.array([[0.75, 0.25, 0, 0, 0, 0]])
np.testing.assert_allclose(brier_labels((label > 0).astype(int), label), 0.1042, atol=1e-4)

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `20_raver_training.py` (`refmer exercises --out DIR`, then `refmer grade
# DIR/20_raver_training.py`).
#
# 1. $m$ of $K$ classes are present. Which $p$ of a softmax has the least Brier score, and what is it? Confirm that the gradient
#    is 0 there. What is the least score on the test clips?
# 2. The paper's $(p_L, p_N)$ are not defined. If they are probabilities of *staying* lost and received, what are $p$, $r$ and
#    $\pi$ of this page?
# 3. With a single bin, A and B above have the same calibration error. Which is it, and what does it say about their quality?

# %% tags=["hide-cell"]
# Solution 1: p = 1/m for each present class and 0 for the others, by symmetry: m (1 - 1/m)^2 / K, which is 1/12 for two of six.
# The score 0 is reached only if one class is present.
two_of_six = np.array([[1.0, 1, 0, 0, 0, 0]])
p_best, least = our_brier(np.where(two_of_six == 1, 0, -100.0), two_of_six)
np.testing.assert_allclose(least, 1 / 12)
assert np.abs(our_brier_backward(two_of_six, p_best)[1]).max() < 1e-15
least_of_test = np.mean([m * (1 - 1 / m) ** 2 / 6 for m in present.sum(1)])
print(f"least Brier score of a softmax on the test clips: {least_of_test:.3f}")
assert all(scores[row][:, 0].min() > least_of_test for row in ROWS)

# Solution 2: p = 1 - p_N and r = 1 - p_L, so pi = (1 - p_N) / (2 - p_N - p_L). With p_N = 0.9 and p_L = 0.6, 0.1 / 0.5 = 0.2.
np.testing.assert_allclose(GilbertElliott(1 - 0.9, 1 - 0.6).expected_loss(), 0.2)

# Solution 3: 0. On average both answer 1/2, and half of the cases come true. It says nothing about their quality: twelve times
# the answer 1/2 has the error 0, too.
for q in (twelve["A"], twelve["B"], np.full(12, 0.5)):
    np.testing.assert_allclose(ece_positive(truth, q, bins=1), 0, atol=1e-12)
