# %% [markdown]
# # 1. One layer, forward and backward
#
# Introduces: `refmer.load_samples`, `refmer.params.init`, `refmer.params.zeros_like`, `refmer.params.named`,
# `refmer.layers.dense.describe_linear`, `refmer.layers.dense.linear`, `refmer.layers.dense.describe_mlp`,
# `refmer.layers.dense.mlp`
#
# **After this page** you can write one linear layer and its backward from the chain rule, train it on clips of the bundled
# corpus, put two of refmer's layers on top of each other, and say which contract every forward and backward of this library
# keeps.
#
# **Time.** 45 minutes to read, 5 seconds to run.
#
# **You need** NumPy and the chain rule.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer import params
from refmer.layers.dense import describe_linear, describe_mlp, linear, mlp

# %% [markdown]
# ## Something to learn
#
# The corpus is synthetic: computer-made voices, drawn faces, sentences of a small language, and simulated raters. Each of its
# 288 clips has a `sentiment` between $-3$ and $3$ and, among other streams, `words`: one vector of 16 numbers per spoken word.
# We take the mean vector of a clip, $x_b \in \mathbb{R}^{D}$ with $D = 16$, and want its sentiment $t_b$.

# %%
clips = refmer.load_samples()
words = clips.streams["words"]
x = np.stack([frames[there].mean(0) for frames, there in zip(words.x, words.mask, strict=True)])  # (B, D)
t = clips.sentiment[:, None]  # (B, 1)
B, D = x.shape
print(f"{B} clips, {D} numbers each; sentiment from {t.min():.2f} to {t.max():.2f}")

# %% [markdown]
# ## Forward
#
# $$y_{be} = \sum_d x_{bd} W_{de} + b_e$$
#
# or, for all clips at once, $y = xW + b$ with $W$ of shape $(D, E)$. Here $E = 1$. How wrong we are is one number,
#
# $$L = \frac{1}{B} \sum_b \sum_e (y_{be} - t_{be})^2 .$$
#
# ## Backward
#
# Suppose somebody hands us the *upstream gradient* $dy_{be} = \partial L / \partial y_{be}$. The layer need not know what $L$
# is. $L$ depends on $x_{bd}$ only through the outputs $y_{be}$ of the same clip, and
# $\partial y_{be} / \partial x_{bd} = W_{de}$:
#
# $$dx_{bd} = \frac{\partial L}{\partial x_{bd}} = \sum_e dy_{be} W_{de} \qquad\Longrightarrow\qquad dx = dy\, W^\top$$
#
# $W_{de}$ is used by every clip, so its gradient is a sum over clips; the same holds for $b_e$:
#
# $$dW_{de} = \sum_b x_{bd}\, dy_{be} \qquad\Longrightarrow\qquad dW = x^\top dy, \qquad\qquad db_e = \sum_b dy_{be} .$$
#
# Nothing has to be memorised: the shapes leave no other way. $dW$ must have the shape of $W$, $(D, E)$, and $x^\top dy$ is the
# only product of what is at hand that has it.


# %%
def our_linear(x, W, b):
    """Return y.

    x (B, D), W (D, E), b (E,) -> y (B, E)
    """
    y = x @ W + b
    return y


def our_linear_backward(dy, x, W):
    """Return the gradients of x, W and b for the upstream gradient dy.

    dy (B, E), x (B, D), W (D, E) -> dx (B, D), dW (D, E), db (E,)
    """
    dx = dy @ W.T
    dW = x.T @ dy
    db = dy.sum(0)
    return dx, dW, db


def our_squared_error(y, t):
    """Return the loss L, a number, and its gradient dy.

    y (B, E), t (B, E) -> L, dy (B, E)
    """
    L = ((y - t) ** 2).sum() / len(y)
    dy = 2 * (y - t) / len(y)
    return L, dy


# %% [markdown]
# ## Descent
#
# The gradient points uphill; we walk the other way, a little at a time.

# %%
W, b, losses = np.zeros((D, 1)), np.zeros(1), []
for _ in range(300):
    y = our_linear(x, W, b)
    L, dy = our_squared_error(y, t)
    dx, dW, db = our_linear_backward(dy, x, W)
    W, b = W - 0.2 * dW, b - 0.2 * db
    losses.append(L)

# %% [markdown]
# For a linear layer the best answer can also be computed at once (least squares). That is how we know that we have arrived.

# %%
ones = np.ones((B, 1))
best = np.linalg.lstsq(np.hstack([x, ones]), t, rcond=None)[0]
least = our_squared_error(np.hstack([x, ones]) @ best, t)[0]

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
left.plot(losses, label="gradient descent")
left.axhline(least, color="k", ls=":", label="least squares")
left.axhline(t.var(), color="0.6", ls="--", label="always answering the mean")
left.set(xlabel="step", ylabel="mean squared error", ylim=(0, None), title="We arrive where algebra says")
left.legend()
right.scatter(t, y, s=8)
right.plot([-3, 3], [-3, 3], "k:")
right.set(xlabel="sentiment by raters", ylabel="answer of one layer", title="What words alone tell")
plt.show()

# Lesson 1: descent on hand-written gradients ends at the least-squares answer.
assert abs(losses[-1] - least) < 0.02 * least
# Lesson 2: and it has learned something: words explain a good part of the sentiment.
assert losses[-1] < 0.6 * t.var()

# %% [markdown]
# ## refmer's contract
#
# `refmer.layers.dense.linear` is the pair above with three changes. Parameters come as a *tree* `p` with attributes, `p.W`
# and `p.b`. Forward returns the backward as a function, which remembers `x`. And backward *returns* the gradients of inputs but
# *adds* those of parameters into a tree `g` of the same shape: the gradient of `p.W` is `g.W`. Adding matters when one layer is
# used twice: both uses contribute.
#
#     y, backward = linear(p, x)
#     dx = backward(dy, g)
#
# Parameters are described before they exist, and live in one flat vector `p.vector`. So an optimizer is a line on vectors.

# %%
p = params.init(describe_linear(D, 1), seed=0)
print({path: array.shape for path, array in params.named(p).items()}, "of one vector of", p.vector.size)
g = params.zeros_like(p)
y, backward = linear(p, x.astype("f4"))
dy = our_squared_error(y, t.astype("f4"))[1]
dx = backward(dy, g)

# Lesson 3: refmer's layer is the one we wrote.
ours = our_linear_backward(dy, x.astype("f4"), p.W)
for theirs, mine in zip((dx, g.W, g.b), ours, strict=True):
    np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-6)
# Lesson 4: gradients add up; after a second way back they have doubled.
once = g.W.copy()
backward(dy, g)
np.testing.assert_allclose(g.W, 2 * once, rtol=1e-6)

# %% [markdown]
# ## Two layers
#
# With $u = xW_1 + b_1$, $r = \max(u, 0)$ and $y = rW_2 + b_2$, forward runs down the page, and backward runs up:
#
#     u, back_1 = linear(p.maps[0], x)             dr = back_2(dy, g.maps[1])
#     r = relu(u)                                  du = dr * (u > 0)
#     y, back_2 = linear(p.maps[1], r)             dx = back_1(du, g.maps[0])
#
# The middle line is new. $r_{bh} = \max(u_{bh}, 0)$ has the slope 1 where $u_{bh} > 0$ and 0 elsewhere, so
# $du_{bh} = dr_{bh}\, [u_{bh} > 0]$. ($[\cdot]$ is 1 where the condition holds, and else 0.)
#
# ## One matrix, used twice
#
# A *tied* network maps back with the same matrix: $y = rW^\top$, with $r = \max(xW + b, 0)$ and $W$ of shape $(D, H)$. Now $W$
# is used twice, and its gradient is the sum of both uses. For $y_{bd} = \sum_h r_{bh} W_{dh}$,
#
# $$dr_{bh} = \sum_d dy_{bd} W_{dh}, \qquad du_{bh} = dr_{bh}\, [u_{bh} > 0], \qquad
#   dW_{dh} = \underbrace{\sum_b x_{bd}\, du_{bh}}_{\text{first use}}
#   + \underbrace{\sum_b dy_{bd}\, r_{bh}}_{\text{second use}},$$
#
# $db_h = \sum_b du_{bh}$ and $dx_{bd} = \sum_h du_{bh} W_{dh}$. Whenever something is used twice, its gradient has two terms.


# %%
def our_tied(x, W, b):
    """Return u = x W + b, r = max(u, 0) and y, r mapped back with the transpose of W.

    x (B, D), W (D, H), b (H,) -> u (B, H), r (B, H), y (B, D)
    """
    u = x @ W + b
    r = np.where(u.real > 0, u, 0)
    y = r @ W.T
    return u, r, y


def our_tied_backward(dy, x, W, u, r):
    """Return the gradients of r, u, x, W and b for the upstream gradient dy. Where u is 0,
    the slope of the maximum is 0.

    dy (B, D), x (B, D), W (D, H), u (B, H), r (B, H)
    -> dr (B, H), du (B, H), dx (B, D), dW (D, H), db (H,)
    """
    dr = dy @ W
    du = np.where(u.real > 0, dr, 0)
    dx = du @ W.T
    dW = x.T @ du + dy.T @ r  # the first use and the second
    db = du.sum(0)
    return dr, du, dx, dW, db


rng = np.random.default_rng(0)
W, b, dy = rng.normal(size=(D, 5)), rng.normal(size=5), rng.normal(size=(B, D))
u, r, y = our_tied(x, W, b)
dr, du, dx, dW, db = our_tied_backward(dy, x, W, u, r)
step, h = rng.normal(size=W.shape), 1e-6
higher, lower = ((dy * our_tied(x, W + sign * h * step, b)[2]).sum() for sign in (1, -1))

# Lesson 5: along any direction the loss changes as dW says; with one of the two terms alone it does not.
assert abs((higher - lower) / (2 * h) / (dW * step).sum() - 1) < 1e-6
assert abs((x.T @ du * step).sum() / (dW * step).sum() - 1) > 0.01

# %% [markdown]
# ## Training two layers
#
# `mlp` is the network of two layers. In training, it needs no more than the function `linear` did; and no function in this
# library does.

# %%
p = params.init(describe_mlp(D, 24, 1), seed=0)
curve = []
for _ in range(400):
    g = params.zeros_like(p)
    y, backward = mlp(p, x.astype("f4"))
    L, dy = our_squared_error(y, t.astype("f4"))
    backward(dy, g)
    p.vector -= 0.1 * g.vector  # every W and b of every layer at once
    curve.append(L)
print(f"one layer {losses[-1]:.3f}, two layers {curve[-1]:.3f}")

# Lesson 6: the second layer can bend the line, and fits the clips it has seen better.
assert curve[-1] < losses[-1]

# %% [markdown]
# Better on clips *it has seen*. Whether it is better on others is another question, for which the corpus is split by speaker
# from the third tutorial on.
#
# ## On your own
#
# Write it yourself: exercise file `01_one_layer.py` (`refmer exercises --out DIR`, then `refmer grade DIR/01_one_layer.py`).
#
# 1. Without looking: what are $dx$, $dW$ and $db$ for $y = -xW + 2b$?
# 2. Multiply `t` by 10 and the step 0.2 by nothing. Does descent still converge? And with step 2?
# 3. In `our_linear_backward`, let $db$ be `dy.mean(0)`. Which lesson notices?

# %% tags=["hide-cell"]
# Solution 1: dx = -dy W^T, dW = -x^T dy, db = 2 sum_b dy_b.
W, b, h = best[:-1], best[-1], 1e-6
y0, y1 = -x @ W + 2 * b, -x @ W + 2 * (b + h)
slope = (our_squared_error(y1, t)[0] - our_squared_error(y0, t)[0]) / h
assert abs(slope - 2 * our_squared_error(y0, t)[1].sum()) < 1e-3

# Solution 2: the gradient is linear in t, so with 10 t everything is 10 times as large and converges alike. What decides is the
# curvature: steps above 2 / (the largest eigenvalue of the second derivative) diverge, whatever t is.
X = np.hstack([x, ones])
largest = np.linalg.eigvalsh(2 * X.T @ X / B).max()
print(f"descent diverges for steps above {2 / largest:.2f}")
assert 0.2 < 2 / largest < 2

# Solution 3: lesson 3, by its comparison with refmer. Lesson 1 sleeps: a bias that moves B times too slowly hardly matters
# where the mean of t is near 0. Falling losses prove no gradient; the next tutorial is about what does.
assert abs(t.mean()) < 0.2
