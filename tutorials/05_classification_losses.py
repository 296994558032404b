# %% [markdown]
# # 5. Losses for classes: cross-entropy, focal loss, class weights
#
# Introduces: `refmer.ops.losses.cross_entropy`, `refmer.ops.losses.focal`, `refmer.ops.losses.class_balanced_weights`
#
# **After this page** you can derive the gradients of cross-entropy and focal loss, compute both without overflow, distinguish
# the two readings of a class-weighted focal loss, and compute class weights from the numbers of clips.
#
# **Time.** 60 minutes to read, 10 seconds to run.
#
# **You need** tutorials 1, 2 and 3: gradients of a linear layer, the complex step, and streams, masks and splits by speaker.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer.ops.losses import class_balanced_weights, cross_entropy, focal

rng = np.random.default_rng(0)

# %% [markdown]
# ## Symbols
#
# | symbol | shape | meaning |
# |---|---|---|
# | $x_{bk}$ | $(B, K)$ | logit of clip $b$ for class $k$: any real number |
# | $p_{bk}$ | $(B, K)$ | predicted probability of class $k$ |
# | $y_{bk}$ | $(B, K)$ | target: one-hot, or the shares of raters' votes |
# | $w_k$ | $(K,)$ | weight of class $k$ |
# | $L$ | number | loss, a mean over the $B$ clips |
# | $dx_{bk}$ | $(B, K)$ | gradient $\partial L / \partial x_{bk}$ |
#
# A loss is the last function of a network. So its upstream gradient is 1, and its own gradient is where backward begins.
#
# ## Softmax
#
# The last layer of a classifier returns one number for each class, the *logit*. Softmax turns the logits of a clip into
# probabilities:
#
# $$p_{bk} = \frac{e^{x_{bk}}}{\sum_j e^{x_{bj}}},$$
#
# where $j$ runs over all classes. All $p_{bk}$ are positive, and each row sums to 1.
#
# **Example.** Take one clip and two classes, with the logits $\ln 3$ and $0$. The exponentials are 3 and 1, and their sum is 4.
# So $p = (3/4, 1/4)$.

# %%
logits = np.array([[np.log(3), 0.0]])
exponentials = np.exp(logits)
np.testing.assert_allclose(exponentials / exponentials.sum(), [[3 / 4, 1 / 4]])

# %% [markdown]
# ## The logarithm of softmax
#
# The losses of this page need $\log p_{bk}$. The logarithm of the fraction above is
#
# $$\log p_{bk} = x_{bk} - \log \sum_j e^{x_{bj}} .$$
#
# In floating point, two things go wrong for large logits.
#
# * $e^{1000}$ overflows: the largest number of float64 is about $e^{709}$.
# * Beside a logit of 1000, a logit of $-1000$ has the probability $e^{-2000}$, which is rounded to 0. Its logarithm is
#   $-\infty$.
#
# The first is solved by subtracting the largest logit of each row. That multiplies numerator and denominator by the same
# number, so no probability changes, and no exponent is above 0.
#
# The second is solved by computing $\log p$ from the logits, with the formula above, and not from $p$.
#
# The code takes the maximum of `x.real`, so that it also accepts the complex numbers of the complex step (tutorial 2).


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


log_p, p = our_log_softmax(np.array([[1000.0, -1000.0]]))
# Lesson 1: the probability is rounded to 0, but its logarithm, computed from the logits, is exact.
assert p.tolist() == [[1, 0]] and log_p.tolist() == [[0, -2000]]

# %% [markdown]
# ## Cross-entropy
#
# Cross-entropy is the mean of $-\log p$ of the true classes. With targets $y$ and class weights $w$,
#
# $$L = -\frac1B \sum_b \sum_k w_k\, y_{bk} \log p_{bk}.$$
#
# $-\log p$ is 0 where the true class has the probability 1, and grows without bound as $p$ falls to 0.
#
# Note the divisor: it is $B$ alone, not $B K$ and not a sum of weights.
#
# **Example.** With $p = (3/4, 1/4)$, the first class true and $w = (1, 1)$, $L = -\ln (3/4) = \ln (4/3) = 0.2877$.


# %%
def our_cross_entropy(x, y, w):
    """Return the probabilities p and the loss L, a number; w weighs the classes, and L is
    divided by B alone.

    x (B, K), y (B, K), w (K,) -> p (B, K), L
    """
    log_p, p = our_log_softmax(x)
    L = -(w * y * log_p).sum() / len(x)
    return p, L


first_is_true = np.array([[1.0, 0.0]])
p, L = our_cross_entropy(logits, first_is_true, np.ones(2))
np.testing.assert_allclose(L, np.log(4 / 3))

# %% [markdown]
# ## The gradient of cross-entropy
#
# First the derivative of $\log p_{bk} = x_{bk} - \log \sum_j e^{x_{bj}}$ by a logit $x_{bj}$. The first term has the derivative
# $\delta_{kj}$, which is 1 if $k = j$ and else 0. The second has the derivative $e^{x_{bj}} / \sum_i e^{x_{bi}} = p_{bj}$. So
#
# $$\frac{\partial \log p_{bk}}{\partial x_{bj}} = \delta_{kj} - p_{bj} .$$
#
# Insert it into the derivative of $L$:
#
# $$dx_{bj} = -\frac1B \sum_k w_k y_{bk} (\delta_{kj} - p_{bj}) = \frac1B \Bigl( p_{bj} \sum_k w_k y_{bk} - w_j y_{bj} \Bigr).$$
#
# If all weights are 1 and the row of $y$ sums to 1, this is $\frac1B (p_{bj} - y_{bj})$: predicted minus true probability.
#
# **Example 1.** With $p = (3/4, 1/4)$ and $y = (1, 0)$, $dx = p - y = (-1/4, 1/4)$. A step of descent raises the first logit
# and lowers the second.
#
# **Example 2.** With the same $p$, votes $y = (1/2, 1/2)$ and weights $w = (2, 1)$, the sum $\sum_k w_k y_k$ is $1 + 1/2 =
# 3/2$. So $dx_1 = \frac34 \cdot \frac32 - 1 = \frac18$ and $dx_2 = \frac14 \cdot \frac32 - \frac12 = -\frac18$.
#
# In both examples $dx$ sums to 0. This holds in general, because the probabilities of a row sum to 1.


# %%
def our_cross_entropy_backward(y, w, p):
    """Return the gradient of x. The rows of y need not sum to 1.

    y (B, K), w (K,), p (B, K) -> dx (B, K)
    """
    dx = (p * (w * y).sum(-1, keepdims=True) - w * y) / len(y)
    return dx


halves, weights = np.array([[0.5, 0.5]]), np.array([2.0, 1.0])
np.testing.assert_allclose(our_cross_entropy_backward(first_is_true, np.ones(2), p), [[-1 / 4, 1 / 4]])
np.testing.assert_allclose(our_cross_entropy_backward(halves, weights, p), [[1 / 8, -1 / 8]])

# %% [markdown]
# refmer's losses return two things: the value, and the *slope*, which is the gradient $dx$. `cross_entropy(x, y, w)` agrees
# with the functions above on random logits and votes.

# %%
B, K = 5, 3
x = rng.normal(size=(B, K))
y = rng.dirichlet(np.ones(K), B)  # every row sums to 1
w = np.array([1.0, 2.0, 0.5])
p, L = our_cross_entropy(x, y, w)
dx = our_cross_entropy_backward(y, w, p)
value, slope = cross_entropy(x, y, w)
# Lesson 2: the slope of cross-entropy is a difference of probabilities, each weighted.
np.testing.assert_allclose(L, value, rtol=1e-12)
np.testing.assert_allclose(dx, slope, rtol=1e-12)

# %% [markdown]
# Probabilities lie between 0 and 1. So no element of $dx$ exceeds the largest weight, divided by $B$, however large the logits
# are. No single clip can dominate the gradient of a batch.

# %%
# Lesson 3: the slope is bounded, even for logits of a thousand times the size.
largest = np.abs(cross_entropy(1000 * x, y, w)[1]).max()
assert largest <= w.max() / B

# %% [markdown]
# ## Focal loss
#
# Many clips of a batch are easy: the network is right and certain. Focal loss (Lin et al. 2017; used by paper 000) gives them
# less weight than cross-entropy does.
#
# Let $t$ be the one true class of a clip and $q = p_t$ its predicted probability. With a number $\gamma \ge 0$,
#
# $$L = -(1 - q)^\gamma \log q .$$
#
# The factor $(1 - q)^\gamma$ is near 0 where $q$ is near 1. With $\gamma = 0$ it is 1, and $L$ is cross-entropy.
#
# **Example.** With $\gamma = 2$: at $q = 3/4$ the factor is $1/16$, and $L = 0.2877 / 16 = 0.0180$. At $q = 1/4$ the factor is
# $9/16$, and $L = 1.3863 \cdot 9/16 = 0.7798$. The ratio of the two losses is 43; with cross-entropy it is 4.8.
#
# In code, let $\ell_b = \log q_b$ be the logarithm of the probability of clip $b$'s true class. Over $B$ clips
#
# $$L = -\frac1B \sum_b (1 - q_b)^\gamma\, \ell_b \qquad\text{with}\qquad q_b = e^{\ell_b} .$$


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


second_is_true = np.array([[0.0, 1.0]])
right = our_focal(logits, first_is_true, 2.0)[2]  # q = 3/4
wrong = our_focal(logits, second_is_true, 2.0)[2]  # q = 1/4
np.testing.assert_allclose([right, wrong], [0.017980, 0.779791], rtol=1e-4)

# %% [markdown]
# ## The gradient of focal loss
#
# $q$ stands in $L$ twice: in the factor and in the logarithm. By the product rule,
#
# $$\frac{\partial L}{\partial q} = \gamma (1-q)^{\gamma-1} \log q - \frac{(1-q)^\gamma}{q} .$$
#
# From $\partial \log q / \partial x_j = \delta_{tj} - p_j$ follows $\partial q / \partial x_j = q\,(\delta_{tj} - p_j)$. The
# product of both is
#
# $$dx_j = m(q)\,(p_j - \delta_{tj}), \qquad m(q) = (1-q)^\gamma - \gamma\, q\, (1-q)^{\gamma-1} \log q .$$
#
# $p_j - \delta_{tj}$ is the gradient of cross-entropy. So the gradient of focal loss is that of cross-entropy, multiplied by a
# number $m(q)$ for each clip.
#
# The first term of $m$ is the factor itself. The second is the derivative of the factor. Without it the formula is not the
# gradient of focal loss.
#
# **Example.** With $\gamma = 2$ and $q = 3/4$: the first term is $1/16 = 0.0625$. The second is
# $2 \cdot \frac34 \cdot \frac14 \cdot 0.2877 = 0.1079$. So $m = 0.1704$, and most of it comes from the second term.


# %%
def m(q, gamma):
    return (1 - q) ** gamma - gamma * q * (1 - q) ** (gamma - 1) * np.log(q)


np.testing.assert_allclose(m(3 / 4, 2), 0.1704, rtol=1e-3)

# %% [markdown]
# The code goes backward in two steps, through $\ell_b$. The gradient of $\ell_b$ is $d\ell_b = -m(q_b) / B$, and then
#
# $$dx_{bj} = d\ell_b\, (\delta_{tj} - p_{bj}) .$$


# %%
def our_focal_backward(y, gamma, p, log_q):
    """Return the gradients of log_q and x.

    y (B, K), gamma a number from 1, p (B, K), log_q (B, 1) -> dlog_q (B, 1), dx (B, K)
    """
    q = np.exp(log_q)
    dlog_q = -((1 - q) ** gamma - gamma * q * (1 - q) ** (gamma - 1) * log_q) / len(y)
    dx = dlog_q * (y - p)
    return dlog_q, dx


one_hot = np.eye(K)[[0, 1, 2, 0, 1]]  # the true classes of 5 clips
ones = np.ones(K)
p, log_q, L = our_focal(x, one_hot, 2.0)
dx = our_focal_backward(one_hot, 2.0, p, log_q)[1]
value, slope = focal(x, one_hot, ones, gamma=2.0)
# Lesson 4: the gradient of focal loss is that of cross-entropy, times m(q); ours is refmer's.
np.testing.assert_allclose(m(np.exp(log_q), 2) * cross_entropy(x, one_hot, ones)[1], slope, rtol=1e-10)
np.testing.assert_allclose(dx, slope, rtol=1e-10)
np.testing.assert_allclose(L, value, rtol=1e-10)

# %% [markdown]
# The figure shows the loss and $m(q)$ for several $\gamma$. Where $m < 1$, a clip counts less than with cross-entropy. Where
# $m > 1$, it counts more. With $\gamma = 2$, $m$ is below $1/100$ at $q = 0.95$, but 1.16 at $q = 0.2$: the gradients of clips
# that are rather wrong are larger than those of cross-entropy.

# %%
q = np.linspace(0.005, 0.995, 199)
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for gamma, label in {0: "γ = 0, cross-entropy", 1: "γ = 1", 2: "γ = 2", 5: "γ = 5"}.items():
    left.plot(q, -((1 - q) ** gamma) * np.log(q), label=label)
    right.plot(q, m(q, gamma))
left.set(xlabel="q, probability of the true class", ylabel="loss of one clip", ylim=(0, 4), title="Focal loss (formula)")
right.set(xlabel="q, probability of the true class", ylabel="m(q)", title="Factor of the gradient, m(q) (formula)")
left.legend()
plt.show()
# Lesson 5: focal loss all but drops clips that are right, and enlarges the gradient of clips that are rather wrong.
assert m(0.95, 2) < 0.01 and m(0.2, 2) > 1.1

# %% [markdown]
# ## Focal loss with class weights: two readings
#
# "Focal loss with class weights" can mean two different functions. Let $w$ be the weight of the true class.
#
# **Reading 1: the weight multiplies the loss.**
#
# $$L_1 = -w\, (1 - q)^\gamma \log q$$
#
# This is the formula of Lin et al. (2017, eq. 5) and of paper 000. The factor contains the probability $q$ itself.
#
# **Reading 2: the weight is also inside the factor.** The authors' code of paper 000 first computes the weighted cross-entropy,
# $c = -w \log q$. Then it takes $e^{-c}$ for the probability. But $e^{-c} = q^w$, so this is
#
# $$L_2 = -w\, (1 - q^w)^\gamma \log q .$$
#
# | reading | loss of a clip | source | option of `focal` | option of the system of paper 000 |
# |---|---|---|---|---|
# | 1 | $-w\,(1 - q)^\gamma \log q$ | the papers' formula | `literal=True` (default) | `literal_focal=True` (default) |
# | 2 | $-w\,(1 - q^w)^\gamma \log q$ | the authors' code | `literal=False` | `literal_focal=False` |
#
# `literal` means: literally as in the paper. The option changes nothing where $w = 1$, because $q^1 = q$.
#
# **Example.** With $w = 2$, $q = 1/2$ and $\gamma = 2$, cross-entropy without weights is $\ln 2 = 0.6931$. Reading 1 gives
# $2 \cdot (1/2)^2 \cdot 0.6931 = 0.3466$. In reading 2, $q^w = 1/4$, and the loss is $2 \cdot (3/4)^2 \cdot 0.6931 = 0.7798$,
# which is 2.25 times as much.
#
# For $w > 1$, $q^w < q$, so the factor of reading 2 is the larger one. For $w < 1$ it is the smaller one. Reading 2 therefore
# applies the class weights more strongly than reading 1.

# %%
equal_logits = np.zeros((1, 2))  # q = 1/2
reading_1 = focal(equal_logits, first_is_true, weights, gamma=2.0, literal=True)[0]
reading_2 = focal(equal_logits, first_is_true, weights, gamma=2.0, literal=False)[0]
# Lesson 6: with weight 2 and q = 1/2 the two readings differ by a factor of more than 2; with weight 1 they agree.
np.testing.assert_allclose([reading_1, reading_2], [0.346574, 0.779791], rtol=1e-5)
np.testing.assert_allclose(focal(x, one_hot, ones, literal=True)[0], focal(x, one_hot, ones, literal=False)[0])

# %% [markdown]
# ## Class-balanced weights
#
# The classes of a corpus have different sizes. By the raters' votes, 77 of the 288 clips of our corpus are neutral, and 20 are
# sad. With equal weights, neutral clips contribute most to the loss. Larger weights for small classes can balance this.
#
# Cui et al. (2019) derive the weights from an *effective number* $E_n$: the expected number of different clips among $n$ clips
# of a class. Assume that a class contains $M$ different clips and each new clip is one of them at random.
#
# * One clip is always new: $E_1 = 1$.
# * If $E_{n-1}$ of the $M$ are known, the next clip is a known one with the probability $E_{n-1}/M$. So
#   $E_n = E_{n-1} + 1 - E_{n-1}/M$.
#
# Let $\beta = 1 - 1/M$. Then $E_n = 1 + \beta E_{n-1}$, and $E_n$ is a geometric series:
#
# $$E_n = 1 + \beta + \dots + \beta^{n-1} = \frac{1 - \beta^n}{1 - \beta} .$$
#
# **Example.** With $M = 2$, $\beta = 1/2$. The first clip is new, and the second is new with the probability $1/2$. So
# $E_2 = 3/2$; the formula gives $(1 - 1/4) / (1/2) = 3/2$.
#
# The weight of class $k$ with $n_k$ clips is proportional to $1/E_{n_k}$. The weights are scaled so that they sum to $K$, the
# number of classes:
#
# $$w_k \propto \frac{1 - \beta}{1 - \beta^{n_k}}, \qquad \sum_k w_k = K .$$
#
# **Example.** With $\beta = 1/2$ and the numbers $n = (1, 2)$, $1/E = (1, 2/3)$, with the sum $5/3$. Multiplied by
# $2 / (5/3) = 6/5$ this is $w = (1.2, 0.8)$.


# %%
def our_class_weights(n, beta):
    """Return the weights of classes with n clips each; they sum to the number of classes.

    n (K,), beta a number from 0 to below 1 -> w (K,)
    """
    inverse = (1 - beta) / (1 - beta**n)
    w = len(n) * inverse / inverse.sum()
    return w


np.testing.assert_allclose(our_class_weights(np.array([1.0, 2.0]), 0.5), [1.2, 0.8])
np.testing.assert_allclose(our_class_weights(np.array([77.0, 20, 3]), 0.99), class_balanced_weights([77, 20, 3], 0.99))

# %% [markdown]
# $\beta$ selects how strongly the sizes count. With $\beta = 0$, all $E_n = 1$ and all weights are equal. As $\beta$ approaches
# 1, $E_n$ approaches $n$ and $w_k$ becomes proportional to $1/n_k$. Then $w_k n_k$ is the same for all classes.
# `class_balanced_weights` accepts $\beta = 1$ and returns this limit.

# %%
sizes = np.array([77, 20, 3])
# Lesson 7: beta = 0 gives equal weights; beta = 1 gives weights with the same w n for every class.
np.testing.assert_allclose(class_balanced_weights(sizes, 0), [1, 1, 1])
products = class_balanced_weights(sizes, 1) * sizes
np.testing.assert_allclose(products, products[0])

# %% [markdown]
# ## Class weights and the first gradient
#
# At the start of training, a classifier with zero weights predicts $p_{bk} = 1/K$ for every clip and class. Consider the bias
# of its last layer. The bias of class $j$ is added to the logits $x_{bj}$ of all clips, so its gradient is the sum over clips.
# For one-hot targets, class $k$ occurs in $n_k$ clips, and
#
# $$\sum_b dx_{bj} = \frac1B \Bigl( \frac1K \sum_k w_k n_k - w_j n_j \Bigr).$$
#
# If $w_k n_k$ is the same for all classes, the mean of the $w_k n_k$ equals each of them, and the gradient is 0: at the start,
# no class is preferred.
#
# **Example.** Take $n = (1, 2)$. With $w = (1, 1)$ the gradient is $\frac13 (\frac32 - n_j) = (\frac16, -\frac16)$: descent
# raises the bias of the larger class. With $w \propto 1/n$, $w = (4/3, 2/3)$, both $w_k n_k$ are $4/3$, and the gradient is 0.

# %%
three_clips = np.eye(2)[[0, 1, 1]]
same_logits = np.zeros((3, 2))
# Lesson 8: with weights proportional to 1/n, the first gradient of the output bias is 0.
np.testing.assert_allclose(cross_entropy(same_logits, three_clips, np.array([1.0, 1.0]))[1].sum(0), [1 / 6, -1 / 6])
np.testing.assert_allclose(cross_entropy(same_logits, three_clips, np.array([4 / 3, 2 / 3]))[1].sum(0), 0, atol=1e-15)

# %% [markdown]
# ## Class weights on our clips
#
# Does the balance change what a trained classifier predicts? We train a linear classifier on the mean action units of each clip
# (49 numbers, and a 1 for the bias) and compare $\beta = 0$, equal weights, with $\beta = 1$, weights proportional to $1/n_k$.
#
# One quarter of the speakers is kept for testing. This is repeated for six splits of the speakers.

# %%
clips = refmer.load_samples()
units = clips.streams["units"]
face = np.stack([frames[valid].mean(0) for frames, valid in zip(units.x, units.mask, strict=True)])  # (288, 49)
target = np.eye(6)[clips.emotion]  # (288, 6), by votes


def trained(features, target, w):
    W = np.zeros((features.shape[1], target.shape[1]))
    for _ in range(150):
        dlogits = cross_entropy(features @ W, target, w)[1]
        W -= 0.5 * features.T @ dlogits
    return W


SADNESS, BETAS, SEEDS = 5, (0, 1), range(6)
sad, accuracy = np.zeros((2, 2, 6))  # each: one row for a beta, one column for a seed
tested = 0
for seed in SEEDS:
    training_clips, test_clips = clips.split(by="speaker", test_size=0.25, seed=seed)
    train = np.isin(clips.speaker, training_clips.speaker)
    scaled = (face - face[train].mean(0)) / face[train].std(0)
    features = np.hstack([scaled, np.ones((len(face), 1))])
    tested += len(test_clips.speaker)
    for beta in BETAS:
        w = class_balanced_weights(target[train].sum(0), beta)
        W = trained(features[train], target[train], w)
        predicted = (features[~train] @ W).argmax(1)
        sad[beta, seed] = (predicted == SADNESS).sum()
        accuracy[beta, seed] = (predicted == clips.emotion[~train]).mean()
print(f"'sadness' predicted, of {tested} test clips: {sad.sum(1)}; mean accuracy {accuracy.mean(1).round(3)}")

# %% [markdown]
# With equal weights, sadness is predicted for 11 of the 432 test clips of all splits. With weights $1/n_k$ it is predicted for
# 28. The mean accuracy hardly changes: 0.650 and 0.639. Class weights move predictions from one class to another; they do not
# make the features more informative.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.plot(["equal, β = 0", "1/n, β = 1"], sad, ".-", color="C0")
left.set(
    xlabel="class weights", ylabel="clips predicted as sadness", title="Sadness predicted", xlim=(-0.5, 1.5), ylim=(0, None)
)
right.plot(["equal, β = 0", "1/n, β = 1"], accuracy, ".-", color="C1")
right.set(xlabel="class weights", ylabel="accuracy", title="Accuracy", xlim=(-0.5, 1.5), ylim=(0, 1))
fig.suptitle(f"Six splits by speaker (seeds 0 to 5, one line each), n = {tested} test clips in all")
plt.show()
# Lesson 9: with weights 1/n, sadness is predicted more often, and accuracy on unseen speakers hardly changes.
assert sad[1].sum() > 1.3 * sad[0].sum()
assert abs(accuracy[1].mean() - accuracy[0].mean()) < 0.05

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `05_classification_losses.py` (`refmer exercises --out DIR`, then
# `refmer grade DIR/05_classification_losses.py`).
#
# 1. At which $q$ is $m(q)$ greatest for $\gamma = 2$? What does focal loss do with clips whose label is wrong?
# 2. Derive the gradient $dx_j$ of reading 2, $L_2 = -w\,(1 - q^w)^\gamma \log q$. Compare it with the slope of `focal`.
# 3. Compute the weights $w_k$ for the numbers of clips of CREMA-D's six classes, 1067, 1222, 1180, 1230, 2071 and 672, with
#    $\beta = 0.999$. Why do they hardly balance the classes?

# %% tags=["hide-cell"]
# Solution 1: near q = 0.12, where a clip is clearly wrong. So clips with wrong labels get the largest gradients, too.
q = np.linspace(0.005, 0.995, 199)
assert 0.05 < q[m(q, 2).argmax()] < 0.2

# Solution 2: with P = q^w, the derivative of P by log q is w P. So the derivative of L_2 by log q is
# -w ((1 - P)^gamma - gamma w P (1 - P)^(gamma - 1) log q), and dx_j is this times (delta_tj - p_j). For w = 1 it is m(q) again.
w, gamma = np.array([1.5, 0.5, 2.0]), 2.0
p, log_q, _ = our_focal(x, one_hot, gamma)
w_true = (one_hot * w).sum(1, keepdims=True)
P = np.exp(w_true * log_q)
dlog_q = -w_true * ((1 - P) ** gamma - gamma * w_true * P * (1 - P) ** (gamma - 1) * log_q) / len(x)
np.testing.assert_allclose(dlog_q * (one_hot - p), focal(x, one_hot, w, gamma, literal=False)[1], rtol=1e-10)

# Solution 3: beta = 0.999 means M = 1000 different clips in a class. Classes of that size and above are mostly known, whatever
# their size: the smallest class, 672 clips, has the weight 1.36, although the largest is three times as large.
w = class_balanced_weights([1067, 1222, 1180, 1230, 2071, 672], 0.999)
assert abs(w[-1] - 1.364354) < 1e-6 and w.max() / w.min() < 2 < 2071 / 672
