# %% [markdown]
# # 12. INT8 by hand
#
# Introduces: `refmer.int8.arithmetic.affine_range`, `refmer.int8.arithmetic.affine`,
# `refmer.int8.arithmetic.symmetric_scale`, `refmer.int8.arithmetic.symmetric`,
# `refmer.int8.arithmetic.affine_rows`, `refmer.int8.arithmetic.accumulate`, `refmer.int8.arithmetic.dequantize`,
# `refmer.int8.matrix.QuantizedMatrix`, `refmer.quantize`, `refmer.int8.size_table`, `refmer.int8.sensitivity`
#
# **After this page** you can write numbers in 8 bits with a bounded error, multiply matrices of them, make a trained recognizer
# small, send a gradient through rounding, and say when 8 bits save time and when they do not.
#
# **Time.** 75 minutes to read, 15 seconds to run.
#
# **You need** tutorials 1, 4 and 11: layers, a trained recognizer, kernels.

# %%
from time import process_time

import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer import params
from refmer.int8 import arithmetic
from refmer.int8.matrix import QuantizedMatrix
from refmer.layers.dense import describe_linear, linear
from refmer.ops.twins import kernels

f, rng = np.float32, np.random.default_rng(0)

# %% [markdown]
# ## A number in 8 bits
#
# We write $x \approx s\,(q - z)$ with a *scale* $s > 0$ and whole numbers $q$ from 0 to 255 and $z$, the *zero point*. Numbers
# from $l$ to $h$ shall fit: $l$ at 0 and $h$ at 255, that is $l = -sz$ and $h = s\,(255 - z)$. Subtract, then divide:
#
# $$s = \frac{h - l}{255}, \qquad z = \mathrm{round}\!\left(-\frac ls\right), \qquad
#   q = \mathrm{clip}\!\left(\mathrm{round}\!\left(\frac xs\right) + z,\ 0,\ 255\right) .$$
#
# Why round $z$? Then $q = z$ means *exactly* 0. Padding, masks and ReLU make zeros by the thousand, and all of them would be
# off by the same amount. For the same reason the range is widened to $l \le 0 \le h$. Rounding moves $x / s$ by at most
# $\frac12$, so, inside the range, $|s\,(q - z) - x| \le \frac s2$. If an error $e$ is as likely anywhere between
# $-\frac s2$ and $\frac s2$, its mean square is $\frac1s \int_{-s/2}^{s/2} e^2\, de = s^2 / 12$.
#
# A range of width 0, after it was widened, holds 0 alone, and the formulas give $0 / 0$. Any scale is right: we take $s = 1$,
# so $z = 0$ and $q = 0$. Rounding is to the nearest whole number, and for $\frac12$ to the even one (`np.rint`).


# %%
def our_affine(x, low, high, top=255):
    """Return scale, zero point and codes of x for ranges from low to high, widened to hold
    0. A range of width 0: s = 1, z = 0.

    x (B, K), low, high (B, 1) or numbers, top the largest code
    -> s, z as low and high, z in int32; q as x, 0 to top, in uint8
    """
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    width = (high - low) / top
    s = np.where(width > 0, width, 1)
    z = np.rint(-low / s).astype(np.int32)
    q = np.clip(np.rint(x / s).astype(np.int32) + z, 0, top).astype(np.uint8)
    return s, z, q


x = np.linspace(-1.3, 2.5, 2001, dtype=f)
s, z, q = our_affine(x, -0.8, 2, top=7)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
axes[0].plot(x, s * (q - z), x, x, "k:")
axes[0].set(xlabel="x", ylabel="s (q - z)", title=f"From -0.8 to 2 in 3 bits: s = {s:.1f}, z = {z:.0f}")
axes[1].plot(x, (s * (q - z) - x) / s)
axes[1].set(xlabel="x", ylabel="error / s", title="Half a step at most; outside it saturates")
plt.show()

x = rng.normal(size=100_000).astype(f)
s, z, q = our_affine(x, x.min(), x.max())
scale, zero = arithmetic.affine_range(x.min(), x.max())
assert (s, z) == (scale, zero) and (q == arithmetic.affine(x, scale, zero)).all()
# Lesson 1: 0 is exact, an error at most s / 2 (and a hair: float32 rounds, too), its mean square s^2 / 12.
assert s * (our_affine(np.zeros(1, f), x.min(), x.max())[2] - z) == 0
assert np.abs(s * (q - z) - x).max() < 0.5001 * s and abs(((s * (q - z) - x) ** 2).mean() / (s**2 / 12) - 1) < 0.05

# %% [markdown]
# ## A product of bytes
#
# Let $x_{bk} \approx s_b (q_{bk} - z_b)$ and $W_{kn} \approx t_n (w_{kn} - v_n)$. Then
#
# $$\sum_k x_{bk} W_{kn} \approx s_b t_n \sum_k (q_{bk} - z_b)(w_{kn} - v_n) = s_b t_n \Bigl( \sum_k q_{bk} w_{kn}
#   - z_b \sum_k w_{kn} - v_n \sum_k q_{bk} + K z_b v_n \Bigr) .$$
#
# The scales come out of the sum because they do not depend on $k$: one per row of $x$ and one per column of $W$ is as much as
# can be had. The second sum is known before any $x$ is; the third is work for each $x$. Weights lie around 0 anyway, so we
# take $v_n = 0$: $t_n = \max_k |W_{kn}| / 127$ and $w_{kn} = \mathrm{round}(W_{kn} / t_n)$, from $-127$ to 127 (for a column of
# zeros $t_n = 1$). A product of two bytes needs 16 bits, and a sum of them 32: bytes have to become `int32` first.
# What is left is exact in 32 bits as long as $255 \cdot 127\, K < 2^{31}$, that is up to $K = 66\,311$.
# With errors $|e_{bk}| \le s_b / 2$ and $|d_{kn}| \le t_n / 2$ of inputs and weights, how far is the product off?
#
# $$\Bigl| \sum_k (x_{bk} + e_{bk})(W_{kn} + d_{kn}) - x_{bk} W_{kn} \Bigr|
#   \le \sum_k \Bigl( \frac{s_b}2 |W_{kn}| + \frac{t_n}2 |x_{bk}| + \frac{s_b t_n}4 \Bigr) .$$


# %%
def our_affine_rows(x):
    """Return scales, zero points and codes of x, each row with the range of its own
    numbers.

    x (B, K) -> s (B, 1), z (B, 1) in int32, q (B, K) in uint8, from 0 to 255
    """
    s, z, q = our_affine(x, x.min(-1, keepdims=True), x.max(-1, keepdims=True))
    return s, z, q


def our_symmetric(W):
    """Return a scale for each column and the codes of W, without a zero point. A column of
    zeros has t = 1.

    W (K, N) -> t (N,), w (K, N) in int8, from -127 to 127
    """
    width = np.abs(W).max(0) / 127
    t = np.where(width > 0, width, 1)
    w = np.clip(np.rint(W / t), -127, 127).astype(np.int8)
    return t, w


def our_product(s, z, q, t, w):
    """Return sum_k (q - z) w, exact, and the numbers that it stands for, y.

    s, z (B, 1), q (B, K), t (N,), w (K, N), as of our_affine_rows and our_symmetric
    -> sums (B, N) in int32, y (B, N)
    """
    sums = q.astype(np.int32) @ w.astype(np.int32) - z * w.sum(0, dtype=np.int32)
    y = sums.astype(s.dtype) * (s * t)
    return sums, y


B, K, N = 8, 192, 50
x, W = rng.normal(size=(B, K)).astype(f), rng.normal(size=(K, N)).astype(f)
s, z, codes = our_affine_rows(x)
t, w = our_symmetric(W)
ours, y = our_product(s, z, codes, t, w)
q, scale, zero = arithmetic.affine_rows(x)
w8 = arithmetic.symmetric(W, t8 := arithmetic.symmetric_scale(W))
sums = arithmetic.accumulate(q, zero, w8)  # int32: one byte times another, no float in between
assert (codes == q).all() and (w == w8).all() and (ours == sums).all()
np.testing.assert_allclose(y, arithmetic.dequantize(sums, scale, t8, f(0)), rtol=1e-6)
matrix, found = QuantizedMatrix.of(W), []  # takes the place of W: forward code does not notice
for on in (False, True):
    with kernels(on):
        found.append(x @ matrix)
off = np.abs(y - x.astype(float) @ W)
bound = np.abs(W).sum(0) * s / 2 + np.abs(x).sum(1)[:, None] * t / 2 + K * s * t / 4
print(f"worst error {off.max():.2f} of entries up to {np.abs(y).max():.0f}; the bound there {bound.flat[off.argmax()]:.1f}")
# Lesson 2: sums of whole numbers have no order: kernel and NumPy give the same bits. Tutorial 11 could not say that.
assert (found[0] == found[1]).all() and np.allclose(found[0], y, rtol=1e-6)
# Lesson 3: the bound holds, and is far from what happens: errors of both signs add up like sqrt(K), the bound like K.
assert (off < bound).all() and off.max() < bound.min() / 4

# %% [markdown]
# ## What the processor does
#
# `vpdpbusd` (AVX512-VNNI) takes 64 unsigned bytes $q$ and 64 signed bytes $w$, and adds each four neighbouring products to one
# of 16 sums of 32 bits: 128 operations in one instruction, nothing rounded. (A float32 instruction has 32.) The older
# `vpmaddubsw` adds two products in 16 bits, where $2 \cdot 255 \cdot 127 = 64770$ does not fit: it saturates at 32767.

# %%
lanes = np.zeros(16, np.int32)
for k in range(0, K, 4):  # four k of 16 columns lie side by side; the four q of a row are repeated for every column
    products = np.tile(q[0, k : k + 4], 16).astype(np.int32) * w8[k : k + 4, :16].T.ravel()
    lanes += products.reshape(16, 4).sum(1, dtype=np.int32)
fig, ax = plt.subplots(figsize=(9, 2.4), layout="constrained")
head, body = q[0, :4].astype(int), w8[:4, :4].T.astype(int)
for n in range(4):
    for k in range(4):
        for row, text in ((3, head[k]), (2, body[n, k]), (1, head[k] * body[n, k])):
            ax.add_patch(plt.Rectangle((4 * n + k, row), 1, 0.9, fc=f"C{n}", alpha=0.1 + 0.1 * row, ec="0.4"))
            ax.text(4 * n + k + 0.5, row + 0.45, text, ha="center", va="center", fontsize=8)
    ax.add_patch(plt.Rectangle((4 * n, 0), 4, 0.9, fc=f"C{n}", alpha=0.5, ec="0.4"))
    ax.text(4 * n + 2, 0.45, f"sum {n} += {head @ body[n]}", ha="center", va="center")
ax.set(xlim=(0, 16), ylim=(0, 4), xticks=[], yticks=[0.45, 1.45, 2.45, 3.45], title="vpdpbusd, the first 4 of 16 sums")
ax.set_yticklabels(["int32", "q w", "w: 4 k of a column", "q: 4 k of a row"])
plt.show()
# Lesson 4: with the correction for z it is the same product, exactly.
assert (lanes - zero[0] * w8[:, :16].sum(0, dtype=np.int32) == sums[0, :16]).all()

# %% [markdown]
# ## Whose range?
#
# One scale for all of $W$ is $t = \max_n t_n$: a column with small weights gets a step made for the largest. And one range for
# all rows of $x$ makes a clip's answer depend on its neighbours in the batch. So: a scale per column, found once, and a range
# per row, found while it runs (*dynamic*). The alternative is *static*: a range measured on calibration clips.

# %%
wide = W * np.geomspace(1, 100, N).astype(f)  # columns of different size
truth, error = x.astype(float) @ wide, {}
for per_channel in (True, False):
    off = x @ QuantizedMatrix.of(wide, per_channel=per_channel) - truth
    error[per_channel] = np.linalg.norm(off, axis=0) / np.linalg.norm(truth, axis=0)
loud, alone, beside = x * f(100), {}, {}
loud[0] = x[0]
for per_tensor in (True, False):
    matrix = QuantizedMatrix.of(W, per_tensor=per_tensor)
    alone[per_tensor], beside[per_tensor] = x @ matrix, loud @ matrix
fig, axes = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
for key in (True, False):
    axes[0].loglog(np.abs(wide).max(0), error[key], ".", label="a scale per column" if key else "one for all")
    axes[1].plot(x[0] @ W, beside[key][0], "x" if key else ".", label="one range for the batch" if key else "a range per row")
axes[0].set(xlabel="largest weight of a column", ylabel="relative error", title="Weights")
axes[1].set(xlabel="x W in float32", ylabel="in 8 bits", title="Inputs: row 0 beside rows 100 times as loud")
for ax in axes:
    ax.legend()
plt.show()
# Lesson 5: small columns drown under a common scale; a quiet row drowns beside loud ones, unless each has its own range.
assert error[False][:10].mean() > 5 * error[True][:10].mean()
assert (beside[False][0] == alone[False][0]).all() and np.abs(beside[True][0] - alone[True][0]).max() > 1

# %% [markdown]
# ## A recognizer
#
# `refmer.quantize(model)` puts a `QuantizedMatrix` in the place of every learned map. Biases, norms, softmax and sigmoids stay
# float32. A map of $KN$ numbers of 4 bytes becomes $KN + 4N$ bytes: a quarter, and $1 / K$.
#
# When can an answer change? Let class $a$ win before, $b$ after, and no probability move by more than $\epsilon$. Then
# $p_a - \epsilon \le p'_a \le p'_b \le p_b + \epsilon$, so $p_a - p_b \le 2\epsilon$: only what was nearly undecided.

# %%
train, test = refmer.load_samples().split(by="speaker", test_size=0.25, seed=0)
model = refmer.Recognizer("openface_adaptive", label="emotion", epochs=40).fit(train, progress=False)
small = refmer.quantize(model)
rows, before = refmer.int8.size_table(small), sum(row["bytes"] for row in refmer.int8.size_table(model))
maps, all_bytes = sum(row["bytes"] for row in rows if row["dtype"] == "int8"), sum(row["bytes"] for row in rows)
print(f"{before:,} bytes -> {all_bytes:,}: {maps:,} of learned maps, {all_bytes - maps:,} left in float32")
p, p8 = model.predict_proba(test), small.predict_proba(test)
a, b = p.argmax(1), p8.argmax(1)
changed, epsilon = np.flatnonzero(a != b), np.abs(p - p8).max()
print(f"accuracy {model.score(test):.3f} -> {small.score(test):.3f}, {len(changed)} of {len(test)} answers differ")
costs = refmer.int8.sensitivity(model, test)
mean, names = np.array([row["mean"] for row in costs]), [row["tensor"] for row in costs]
fig, ax = plt.subplots(figsize=(7, 4.4), layout="constrained")
ax.barh(names[::-1], mean[::-1])
ax.set(xlabel="mean change of a logit", title="One map at a time in 8 bits")
ax.tick_params(axis="y", labelsize=8)
plt.show()
# Lesson 6: about a third of the bytes (not a quarter: what stays float32 counts in a small system), and nearly all answers.
assert 0.25 < all_bytes / before < 0.4 and (a == b).mean() > 0.9
assert (p[changed, a[changed]] - p[changed, b[changed]] <= 2 * epsilon + 1e-6).all()

# Lesson 7: what is squeezed afterwards hurts least.
squeezed = np.array([any(part in name for part in ("query", "key", "gate")) for name in names])
assert mean[squeezed].mean() < 0.5 * mean[~squeezed].mean()

# %% [markdown]
# Maps whose results go through softmax or a sigmoid (queries, keys, gates) bear it best. Scales per column matter little here,
# where columns of a matrix hardly differ in size. And time? A product must be large enough to pay for ranges and rounding.

# %%
other = np.abs(refmer.quantize(model, per_channel=False).predict_proba(test) - p).max()
print(f"worst change of a probability: {epsilon:.4f} with a scale per column, {other:.4f} with one per matrix")


def race(*functions):
    spent = [[] for _ in functions]
    for _ in range(31):
        for function, times in zip(functions, spent, strict=True):
            start = process_time()
            function()
            times.append(process_time() - start)
    return np.median(spent, axis=1) * 1e6


for shape in ((1, 24, 24), (32, 64, 64), (1, 192, 1024), (32, 192, 1024)):
    x, W = rng.normal(size=shape[:2]).astype(f), rng.normal(size=shape[1:]).astype(f)
    a, b = race(*[lambda x=x, m=m: (x + 0) @ m for m in (W, QuantizedMatrix.of(W))])  # + 0: of an x seen before it keeps q
    print(f"{shape}: {a:.0f} us in float32, {b:.0f} in 8 bits")
times = race(lambda: model.predict(test), lambda: small.predict(test))
print(f"{len(test)} clips: {times[0]:.0f} us in float32, {times[1]:.0f} in 8 bits")
# Lesson 8: a third of the bytes is no third of the time: here 8 bits gain nothing, and scales per column little.
assert other < 5 * epsilon

# %% [markdown]
# ## A gradient through rounding
#
# A network can be trained with the rounding in it, so that it learns to live with it. Its forward uses $u = s\,(q - z)$ in
# place of $x$: *fake* quantization, floats that have only 256 values. But $\mathrm{round}$ is a staircase: its derivative is 0,
# and no gradient comes through. The *straight-through* rule (Bengio et al. 2013) takes the derivative of rounding as 1. With
# the rounding error $\rho = \mathrm{round}(x / s) - x / s$ held fixed, inside the range
#
# $$u = s \left( \frac xs + \rho \right) = x + s \rho, \qquad\qquad \frac{\partial u}{\partial x} = 1, \qquad
#   \frac{\partial u}{\partial s} = \rho ,$$
#
# and where the code saturates, $u = -s z$ or $u = s\,(255 - z)$, which does not depend on $x$:
#
# $$\frac{\partial u}{\partial x} = 0, \qquad\qquad \frac{\partial u}{\partial s} = q - z .$$
#
# Inside means that $\mathrm{round}(x / s) + z$ is from 0 to 255 before it is clipped. The codes $q$ themselves have no
# gradient: they are whole numbers. $s$ is shared by a row, so $ds$ is a sum along the row. ($z$ is held fixed.)
#
# In $y = uV$, with $V = t w$ the rounded weights, each factor's gradient has the *rounded* other one, since that is what the
# forward used: $du = dy\, V^\top$ and $dV = u^\top dy$. The gradient of $V$ goes straight to $W$ (of which nothing saturates
# where $t_n = \max_k |W_{kn}| / 127$; $t$ is held fixed). Small gradients add up in $W$, until a code changes.


# %%
def our_fake(x, s, z):
    """Return the codes of x, from 0 to 255, and the numbers u that they stand for.

    x (B, K), s, z (B, 1) -> q, u (B, K)
    """
    q = np.clip(np.rint(x / s) + z, 0, 255)
    u = s * (q - z)
    return q, u


def our_fake_backward(dy, x, s, z):
    """Return the gradients of x and s by the straight-through rule; dy is the upstream
    gradient of u.

    dy (B, K), x (B, K), s, z (B, 1) -> dx (B, K), ds (B, 1)
    """
    code = np.rint(x / s) + z
    inside = (code >= 0) & (code <= 255)
    dx = np.where(inside, dy, 0)
    ds = (dy * np.where(inside, code - z - x / s, np.clip(code, 0, 255) - z)).sum(-1, keepdims=True)
    return dx, ds


def our_rounded_linear(x, W, s, z, t):
    """Return the rounded inputs u, the rounded weights V with codes from -127 to 127, and y
    = u V.

    x (B, K), W (K, N), s, z (B, 1), t (N,) -> u (B, K), V (K, N), y (B, N)
    """
    _, u = our_fake(x, s, z)
    V = t * np.clip(np.rint(W / t), -127, 127)
    y = u @ V
    return u, V, y


def our_rounded_linear_backward(dy, x, W, s, z, t, u, V):
    """Return the gradients of u, V, x, s and W by the straight-through rule; t is held
    fixed.

    dy (B, N), the others as in our_rounded_linear
    -> du (B, K), dV (K, N), dx (B, K), ds (B, 1), dW (K, N)
    """
    du = dy @ V.T
    dV = u.T @ dy
    dx, ds = our_fake_backward(du, x, s, z)
    dW = np.where(np.abs(np.rint(W / t)) <= 127, dV, 0)
    return du, dV, dx, ds, dW


x, W = rng.normal(size=(B, K)), rng.normal(size=(K, N))
s, z, _ = our_affine_rows(x)
t, _ = our_symmetric(W)
u, V, y = our_rounded_linear(x, W, s, z, t)
dy = rng.normal(size=y.shape)
du, dV, dx, ds, dW = our_rounded_linear_backward(dy, x, W, s, z, t, u, V)
p = params.init(describe_linear(K, N), seed=0, dtype=np.float64)
p.W[:] = arithmetic.symmetric(W, t) * t
theirs, backward = linear(p, u)
g = params.zeros_like(p)
# Lesson 9: it is refmer's linear layer of rounded numbers; its gradients go to the float numbers as they are.
np.testing.assert_allclose(y, theirs, rtol=1e-12)
np.testing.assert_allclose(dx, backward(dy, g), rtol=1e-12)
np.testing.assert_allclose(dW, g.W, rtol=1e-12)

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `12_int8_by_hand.py` (`refmer exercises --out DIR`, then
# `refmer grade DIR/12_int8_by_hand.py`).
#
# 1. A ReLU's outputs go from 0 to 6. What are $s$ and $z$? What would a symmetric code from $-127$ to 127 waste?
# 2. 200 normal weights and one of 20 share a column. Does it pay to let the one saturate? (`clip="mse"` tries 2, 4, ... %.)
# 3. Why does an error of weights hurt less in the middle of a network with layer norms than in its last map?

# %% tags=["hide-cell"]
# Solution 1: s = 6 / 255, z = 0. The symmetric code never uses its negative half: its step is twice as wide.
assert arithmetic.affine_range(0, 6) == (f(6) / f(255), 0)
# Solution 2: a share e less costs (127 e t)^2 once, and K t^2 / 12 becomes smaller by a share of about 2e: it pays only below
# e = K / (6 127^2) = 0.2 percent. In 8 bits hardly ever; with 7 instead of 127 (4 bits) below 68 percent.
column = np.append(rng.normal(size=200), 20).astype(f)[:, None]
assert arithmetic.symmetric_scale(column, "mse") == arithmetic.symmetric_scale(column)
# Solution 3: norms undo common factors and shifts, and residual paths lead around a map. After the last nothing comes.
