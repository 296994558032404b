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

float32 = np.float32
rng = np.random.default_rng(0)

# %% [markdown]
# ## A number in 8 bits
#
# A real number $x$ is stored as a whole number $q$ from 0 to 255, which fits into one byte. It stands for
#
# $$x \approx s\,(q - z) .$$
#
# | symbol | meaning |
# |---|---|
# | $s > 0$ | *scale*: the distance of two neighbouring numbers |
# | $z$ | *zero point*: the whole number that stands for 0 |
# | $q$ | *code* of $x$ |
# | $l$, $h$ | lowest and highest number of the range to be covered |
#
# The code 0 should stand for $l$ and the code 255 for $h$: $l = -sz$ and $h = s\,(255 - z)$. Subtract the two equations to get
# $s$. Then divide the first by $s$ to get $z$. Rounding makes $z$ and $q$ whole numbers:
#
# $$s = \frac{h - l}{255}, \qquad z = \mathrm{round}\!\left(-\frac ls\right), \qquad
#   q = \mathrm{clip}\!\left(\mathrm{round}\!\left(\frac xs\right) + z,\ 0,\ 255\right) .$$
#
# Numbers outside the range *saturate*: they get the code 0 or 255. With fewer bits, 255 is replaced by a smaller number: 7 for
# 3 bits. In the code it is `top`.
#
# **Zero is exact.** Because $z$ is a whole number, the code $q = z$ stands for exactly 0. Padding, masks and ReLU produce very
# many zeros. Without rounding of $z$, all of them would be off by the same amount. For the same reason the range is widened
# first, so that it holds 0: $l$ becomes $\min(l, 0)$ and $h$ becomes $\max(h, 0)$.
#
# **Ranges of width 0.** If $l = h = 0$ after widening, the formulas give $0 / 0$. The range holds 0 alone, and any scale is
# right. We take $s = 1$, so $z = 0$ and $q = 0$.
#
# **Rounding** is to the nearest whole number, and for $\frac12$ to the even one (`np.rint`).
#
# **Example.** The range from $-0.8$ to 2 in 3 bits has $s = 2.8 / 7 = 0.4$ and $z = 2$. The number $0.5$ has
# $x / s = 1.25$ and the code $1 + 2 = 3$. It is stored as $0.4\,(3 - 2) = 0.4$, with an error of $-0.1$. The number 3 has
# $x / s = 7.5$, which is rounded to 8. The code 10 saturates at 7, and 3 is stored as $0.4 \cdot 5 = 2$.


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


s, z, q = our_affine(np.array([0.5, 3]), -0.8, 2, top=7)
np.testing.assert_allclose([s, z, *q, *(s * (q - z))], [0.4, 2, 3, 7, 0.4, 2])

x = np.linspace(-1.3, 2.5, 2001, dtype=float32)
s, z, q = our_affine(x, -0.8, 2, top=7)
stored = s * (q - z)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
axes[0].plot(x, stored, label="s (q - z)")
axes[0].plot(x, x, "k:", label="x")
axes[0].set(xlabel="x", ylabel="stored number", title=f"From -0.8 to 2 in 3 bits: s = {s:.1f}, z = {z:.0f}")
axes[0].legend()
axes[1].plot(x, (stored - x) / s)
axes[1].set(xlabel="x", ylabel="error / s", title="Error in steps; outside of the range it saturates")
plt.show()

# %% [markdown]
# ## The error of a code
#
# Rounding moves $x / s$ by at most $\frac12$. So inside the range the error is at most half a step:
#
# $$|s\,(q - z) - x| \le \frac s2 .$$
#
# If an error $e$ is equally likely anywhere between $-\frac s2$ and $\frac s2$, its mean square is
#
# $$\frac1s \int_{-s/2}^{s/2} e^2\, de = \frac{s^2}{12} .$$
#
# We test this on 100,000 normal numbers, in the range from the least to the greatest of them. In float32 the code rounds, too,
# so the error can be slightly larger than $s / 2$.

# %%
x = rng.normal(size=100_000).astype(float32)
s, z, q = our_affine(x, x.min(), x.max())
scale, zero = arithmetic.affine_range(x.min(), x.max())
assert (s, z) == (scale, zero) and (q == arithmetic.affine(x, scale, zero)).all()

error = s * (q - z) - x
code_of_zero = our_affine(np.zeros(1, float32), x.min(), x.max())[2]
# Lesson 1: 0 is exact, an error is at most s / 2 (plus the rounding of float32), and its mean square is s^2 / 12.
assert s * (code_of_zero - z) == 0
assert np.abs(error).max() < 0.5001 * s
assert abs((error**2).mean() / (s**2 / 12) - 1) < 0.05

# %% [markdown]
# ## A product of bytes
#
# Let $x$ have $B$ rows of $K$ numbers, and $W$ have $K$ rows and $N$ columns. We look for $xW$ from the codes of both.
#
# Each row of $x$ has a scale and a zero point: $x_{bk} \approx s_b (q_{bk} - z_b)$. Each column of $W$ has a scale and a zero
# point: $W_{kn} \approx t_n (w_{kn} - v_n)$. Then
#
# $$\sum_k x_{bk} W_{kn} \approx s_b t_n \sum_k (q_{bk} - z_b)(w_{kn} - v_n) = s_b t_n \Bigl( \sum_k q_{bk} w_{kn}
#   - z_b \sum_k w_{kn} - v_n \sum_k q_{bk} + K z_b v_n \Bigr) .$$
#
# The scales come out of the sum because they do not depend on $k$. So there can be one scale for each row of $x$ and one for
# each column of $W$, but no more.
#
# **No zero point for weights.** The sum $\sum_k w_{kn}$ can be computed before any $x$ is known. The sum $\sum_k q_{bk}$ has to
# be computed for each $x$. Weights lie around 0 anyway, so we take $v_n = 0$, and the last two terms vanish. The code is then
# *symmetric*:
#
# $$t_n = \frac{\max_k |W_{kn}|}{127}, \qquad w_{kn} = \mathrm{round}\!\left(\frac{W_{kn}}{t_n}\right) \text{ from } -127
#   \text{ to } 127 .$$
#
# For a column of zeros, $t_n = 1$. What remains of the product is
#
# $$\mathrm{sums}_{bn} = \sum_k q_{bk} w_{kn} - z_b \sum_k w_{kn}, \qquad y_{bn} = s_b t_n\, \mathrm{sums}_{bn} .$$
#
# **Sizes of numbers.** A product of two bytes needs 16 bits, and a sum of such products more. So the bytes have to become
# `int32` first. In 32 bits the sums are exact as long as $255 \cdot 127\, K < 2^{31}$, that is up to $K = 66\,311$.
#
# **Example.** A row of codes $q = (3, 0)$ with $s = 0.5$ and $z = 1$ stands for $x = (1, -0.5)$. A column $w = (2, -4)$ with
# $t = 0.1$ stands for $(0.2, -0.4)$. The sum is $3 \cdot 2 + 0 \cdot (-4) - 1 \cdot (2 - 4) = 8$. So
# $y = 0.5 \cdot 0.1 \cdot 8 = 0.4$. Directly, $1 \cdot 0.2 + (-0.5) \cdot (-0.4) = 0.4$.


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


s, z, q = np.array([[0.5]]), np.array([[1]]), np.array([[3, 0]], np.uint8)
t, w = np.array([0.1]), np.array([[2], [-4]], np.int8)
sums, y = our_product(s, z, q, t, w)
np.testing.assert_allclose([sums.item(), y.item()], [8, 0.4])

# %% [markdown]
# refmer has the same functions: `affine_rows` for the inputs, `symmetric_scale` and `symmetric` for the weights, `accumulate`
# for the sums, and `dequantize` for $y$ (its last argument is a bias).

# %%
B, K, N = 8, 192, 50
x, W = rng.normal(size=(B, K)).astype(float32), rng.normal(size=(K, N)).astype(float32)
s, z, q = our_affine_rows(x)
t, w = our_symmetric(W)
sums, y = our_product(s, z, q, t, w)

q_refmer, s_refmer, z_refmer = arithmetic.affine_rows(x)
t_refmer = arithmetic.symmetric_scale(W)
w_refmer = arithmetic.symmetric(W, t_refmer)
sums_refmer = arithmetic.accumulate(q_refmer, z_refmer, w_refmer)  # int32: no float in between
y_refmer = arithmetic.dequantize(sums_refmer, s_refmer, t_refmer, float32(0))
assert (q == q_refmer).all() and (w == w_refmer).all() and (sums == sums_refmer).all()
np.testing.assert_allclose(y, y_refmer, rtol=1e-6)

# %% [markdown]
# `QuantizedMatrix` holds the codes and scales of a matrix. It can take the place of `W` in `x @ W`, so the code of a forward
# stays the same.
#
# The result of a float sum depends on the order of its terms (tutorial 11). A sum of whole numbers does not. So the kernel and
# NumPy return the same bits.

# %%
matrix = QuantizedMatrix.of(W)
with kernels(False):
    y_numpy = x @ matrix
with kernels(True):
    y_kernel = x @ matrix
# Lesson 2: sums of whole numbers do not depend on the order: kernel and NumPy give the same bits.
assert (y_numpy == y_kernel).all() and np.allclose(y_numpy, y, rtol=1e-6)

# %% [markdown]
# ## The error of a product
#
# Let the inputs have the errors $e_{bk}$ and the weights the errors $d_{kn}$, with $|e_{bk}| \le s_b / 2$ and
# $|d_{kn}| \le t_n / 2$. One product is off by $(x + e)(W + d) - xW = eW + xd + ed$. So the sum is off by at most
#
# $$\Bigl| \sum_k (x_{bk} + e_{bk})(W_{kn} + d_{kn}) - x_{bk} W_{kn} \Bigr|
#   \le \sum_k \Bigl( \frac{s_b}2 |W_{kn}| + \frac{t_n}2 |x_{bk}| + \frac{s_b t_n}4 \Bigr) .$$
#
# **Example.** For $x = (1, -0.5)$, $W = (0.2, -0.4)$, $s = 0.5$ and $t = 0.1$ the bound is
# $0.25 \cdot 0.6 + 0.05 \cdot 1.5 + 2 \cdot 0.0125 = 0.25$.
#
# The bound holds, but it is far from the usual error. Errors of both signs partly cancel: their sum grows like $\sqrt K$, the
# bound like $K$.

# %%
np.testing.assert_allclose(0.25 * 0.6 + 0.05 * 1.5 + 2 * 0.5 * 0.1 / 4, 0.25)

error = np.abs(y - x.astype(float) @ W)
bound = np.abs(W).sum(0) * s / 2 + np.abs(x).sum(1)[:, None] * t / 2 + K * s * t / 4
worst = error.argmax()
print(f"worst error {error.max():.2f} of elements up to {np.abs(y).max():.0f}; the bound there is {bound.flat[worst]:.1f}")
# Lesson 3: the bound holds, and the largest error is less than a quarter of it.
assert (error < bound).all() and error.max() < bound.min() / 4

# %% [markdown]
# ## The instruction of the processor
#
# The instruction `vpdpbusd` (AVX512-VNNI) takes 64 unsigned bytes $q$ and 64 signed bytes $w$. It multiplies them in pairs, and
# adds each four neighbouring products to one of 16 sums of 32 bits. Nothing is rounded.
#
# That is 64 products and 64 additions, 128 operations in one instruction. An instruction of the same width for float32 has 32.
#
# The older `vpmaddubsw` adds two products in 16 bits. There $2 \cdot 255 \cdot 127 = 64770$ does not fit: the sum saturates at
# 32767.
#
# The cell below computes 16 columns of row 0 in this way. In each step four $k$ of 16 columns lie side by side, and the four
# $q$ of the row are repeated for every column.

# %%
lanes = np.zeros(16, np.int32)
for k in range(0, K, 4):
    four_q = np.tile(q[0, k : k + 4], 16).astype(np.int32)
    four_w = w[k : k + 4, :16].T.ravel()
    lanes += (four_q * four_w).reshape(16, 4).sum(1, dtype=np.int32)
# Lesson 4: with the correction for z it is the same product, exactly.
assert (lanes - z[0] * w[:, :16].sum(0, dtype=np.int32) == sums[0, :16]).all()

four_q, four_w = q[0, :4].astype(int), w[:4, :4].T.astype(int)
fig, ax = plt.subplots(figsize=(9, 2.4), layout="constrained")
for n in range(4):
    products = four_q * four_w[n]
    for k in range(4):
        left = 4 * n + k
        for height, number in ((3, four_q[k]), (2, four_w[n, k]), (1, products[k])):
            ax.add_patch(plt.Rectangle((left, height), 1, 0.9, fc=f"C{n}", alpha=0.1 + 0.1 * height, ec="0.4"))
            ax.text(left + 0.5, height + 0.45, number, ha="center", va="center", fontsize=8)
    ax.add_patch(plt.Rectangle((4 * n, 0), 4, 0.9, fc=f"C{n}", alpha=0.5, ec="0.4"))
    ax.text(4 * n + 2, 0.45, f"sum {n} += {products.sum()}", ha="center", va="center")
ax.set(xlim=(0, 16), ylim=(0, 4), xticks=[], yticks=[0.45, 1.45, 2.45, 3.45])
ax.set_yticklabels(["sum, int32", "product q w", "w: k = 0..3 of a column", "q: k = 0..3 of row 0"])
ax.set_title("vpdpbusd: the first 4 of 16 sums, one for each column of W")
plt.show()

# %% [markdown]
# ## A range for each row, a scale for each column
#
# **Weights.** With one scale for the whole of $W$, $t = \max_n t_n$. A column with small weights then has steps that were made
# for the largest weights. So every column has a scale of its own. It is computed once, before any input is known.
#
# **Inputs.** With one range for all rows of $x$, the result for a clip depends on the other clips of the batch. So every row
# has a range of its own, which is computed with the product. This is called *dynamic* quantization. The alternative is
# *static*: a range that was measured on calibration clips.
#
# **Experiment.** On the left, the columns of $W$ differ in size by up to 100. On the right, row 0 of $x$ is multiplied together
# with rows that are 100 times as large.

# %%
wide = W * np.geomspace(1, 100, N).astype(float32)  # columns of different size
truth = x.astype(float) @ wide
column_error = {}  # {per_channel: relative error of each column}
for per_channel in (True, False):
    difference = x @ QuantizedMatrix.of(wide, per_channel=per_channel) - truth
    column_error[per_channel] = np.linalg.norm(difference, axis=0) / np.linalg.norm(truth, axis=0)

loud = x * float32(100)
loud[0] = x[0]
alone, beside = {}, {}  # {per_tensor: product}, row 0 beside its own batch and beside loud rows
for per_tensor in (True, False):
    matrix = QuantizedMatrix.of(W, per_tensor=per_tensor)
    alone[per_tensor], beside[per_tensor] = x @ matrix, loud @ matrix

fig, axes = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
largest = np.abs(wide).max(0)
axes[0].loglog(largest, column_error[True], ".", label="a scale for each column")
axes[0].loglog(largest, column_error[False], ".", label="one scale for all")
axes[0].set(xlabel="largest weight of a column", ylabel="relative error", title="Weights: 50 columns of 192, seed 0")
axes[1].plot(x[0] @ W, beside[True][0], "x", label="one range for the batch")
axes[1].plot(x[0] @ W, beside[False][0], ".", label="a range for each row")
axes[1].set(xlabel="x W in float32", ylabel="in 8 bits", title="Inputs: row 0 beside 7 rows 100 times as large")
for ax in axes:
    ax.legend()
plt.show()

# %% [markdown]
# With one scale for all, the error of the smallest columns is at least a third of their size. With a scale for each column it
# is about 1 %.
#
# With one range for the batch, the products of row 0 are off by 10 and more. With a range for each row, its result does not
# depend on the other rows.

# %%
# Lesson 5: a common scale makes the error of small columns large; a common range does so for a small row beside large ones.
assert column_error[False][:10].mean() > 5 * column_error[True][:10].mean()
assert (beside[False][0] == alone[False][0]).all() and np.abs(beside[True][0] - alone[True][0]).max() > 1

# %% [markdown]
# ## A quantized recognizer
#
# `refmer.quantize(model)` replaces every learned map of a trained recognizer by a `QuantizedMatrix`. Biases, norms, softmax and
# sigmoids stay in float32.
#
# **Size.** A map of $KN$ numbers of 4 bytes becomes $KN + 4N$ bytes: a byte for each code and 4 bytes for each scale. The ratio
# is
#
# $$\frac{KN + 4N}{4KN} = \frac14 + \frac1K .$$
#
# `refmer.int8.size_table` lists all tensors with their types and bytes.
#
# **Answers.** When can the predicted class change? Let $p$ be the probabilities before and $p'$ those after, and let no
# probability change by more than $\epsilon$. Let class $a$ be the largest before, and class $b$ after. Then
#
# $$p_a - \epsilon \le p'_a \le p'_b \le p_b + \epsilon, \qquad \text{so} \qquad p_a - p_b \le 2\epsilon .$$
#
# So an answer can change only if the two classes were nearly equal before.
#
# **Example.** With $\epsilon = 0.01$ and $p_a = 0.5$, the class $b$ needs at least $p_b = 0.48$.

# %%
train, test = refmer.load_samples().split(by="speaker", test_size=0.25, seed=0)
model = refmer.Recognizer("openface_adaptive", label="emotion", epochs=40).fit(train, progress=False)
small = refmer.quantize(model)

bytes_before = sum(row["bytes"] for row in refmer.int8.size_table(model))
rows = refmer.int8.size_table(small)
bytes_after = sum(row["bytes"] for row in rows)
bytes_maps = sum(row["bytes"] for row in rows if row["dtype"] == "int8")
print(f"{bytes_before:,} bytes -> {bytes_after:,}: {bytes_maps:,} of learned maps, {bytes_after - bytes_maps:,} in float32")

p, p8 = model.predict_proba(test), small.predict_proba(test)
a, b = p.argmax(1), p8.argmax(1)
changed = np.flatnonzero(a != b)
epsilon = np.abs(p - p8).max()
print(f"accuracy {model.score(test):.3f} -> {small.score(test):.3f}, {len(changed)} of {len(test)} answers differ")

# %% [markdown]
# The bytes become about a third, and not a quarter: in a small system the float32 tensors count, and so do the scales. Nearly
# all answers stay as they were.

# %%
# Lesson 6: about a third of the bytes, and nearly all answers; an answer changes only where two classes were nearly equal.
assert 0.25 < bytes_after / bytes_before < 0.4 and (a == b).mean() > 0.9
assert (p[changed, a[changed]] - p[changed, b[changed]] <= 2 * epsilon + 1e-6).all()

# %% [markdown]
# **Which maps are sensitive?** `refmer.int8.sensitivity` quantizes one map at a time and returns how much the logits change.

# %%
costs = refmer.int8.sensitivity(model, test)
names = [row["tensor"] for row in costs]
mean = np.array([row["mean"] for row in costs])
fig, ax = plt.subplots(figsize=(7, 4.4), layout="constrained")
ax.barh(names[::-1], mean[::-1])
ax.set(xlabel="mean change of a logit", title="One map at a time in 8 bits (72 test clips, seed 0)")
ax.tick_params(axis="y", labelsize=8)
plt.show()

# %% [markdown]
# Maps whose results go through a softmax or a sigmoid (queries, keys, gates) change the logits least.

# %%
# Lesson 7: maps before a softmax or a sigmoid are the least sensitive.
squeezed = np.array([any(part in name for part in ("query", "key", "gate")) for name in names])
assert mean[squeezed].mean() < 0.5 * mean[~squeezed].mean()

# %% [markdown]
# **Scales.** In this model the columns of a matrix hardly differ in size. So a scale for each column gains little here.

# %%
one_scale = refmer.quantize(model, per_channel=False)
epsilon_one_scale = np.abs(one_scale.predict_proba(test) - p).max()
print(f"worst change of a probability: {epsilon:.4f} with a scale per column, {epsilon_one_scale:.4f} with one per matrix")

# %% [markdown]
# **Speed.** Ranges and rounding take time, too. Only in a large product is this less than what 8 bits save.
#
# The function below returns the median times of 31 calls; `process_time` counts the time of all cores together. A
# `QuantizedMatrix` keeps the codes of an input that it has seen before. So each call gets a new copy, `x + 0`.


# %%
def median_times(*functions):
    """Return the median time of each function in microseconds; they are called in turn."""
    times = [[] for _ in functions]
    for _ in range(31):
        for function, own_times in zip(functions, times, strict=True):
            start = process_time()
            function()
            own_times.append(process_time() - start)
    return np.median(times, axis=1) * 1e6


def time_products(x, W):
    """Return the times of x @ W in float32 and in 8 bits."""
    matrix = QuantizedMatrix.of(W)
    return median_times(lambda: (x + 0) @ W, lambda: (x + 0) @ matrix)


for rows, inner, columns in ((1, 24, 24), (32, 64, 64), (1, 192, 1024), (32, 192, 1024)):
    x, W = rng.normal(size=(rows, inner)).astype(float32), rng.normal(size=(inner, columns)).astype(float32)
    time_float, time_int8 = time_products(x, W)
    print(f"{rows} x {inner} by {inner} x {columns}: {time_float:.0f} us in float32, {time_int8:.0f} in 8 bits")
time_float, time_int8 = median_times(lambda: model.predict(test), lambda: small.predict(test))
print(f"recognizer, {len(test)} clips: {time_float:.0f} us in float32, {time_int8:.0f} in 8 bits")

# %% [markdown]
# The recognizer has a third of the bytes, but it does not take a third of the time: its products are small, and 8 bits gain
# nothing here.

# %%
# Lesson 8: in this small model, a scale for each column changes the probabilities little, and 8 bits save bytes, not time.
assert epsilon_one_scale < 5 * epsilon

# %% [markdown]
# ## A gradient through rounding
#
# A network can be trained with the rounding in its forward. Then its weights adapt to the rounding. The forward uses
# $u = s\,(q - z)$ in place of $x$. This is *fake* quantization: $u$ is a float, but it has only 256 values.
#
# The function $\mathrm{round}$ is a staircase. Its derivative is 0 wherever it exists, so no gradient would pass. The
# *straight-through* rule (Bengio et al. 2013) takes the derivative of rounding as 1. To do so, hold the rounding error $\rho$
# fixed:
#
# $$\rho = \mathrm{round}\!\left(\frac xs\right) - \frac xs .$$
#
# **Inside the range**, that is if $\mathrm{round}(x / s) + z$ is from 0 to 255 before it is clipped,
#
# $$u = s \left( \frac xs + \rho \right) = x + s \rho, \qquad\qquad \frac{\partial u}{\partial x} = 1, \qquad
#   \frac{\partial u}{\partial s} = \rho .$$
#
# **Where the code saturates**, $u = -s z$ or $u = s\,(255 - z)$. This does not depend on $x$:
#
# $$\frac{\partial u}{\partial x} = 0, \qquad\qquad \frac{\partial u}{\partial s} = q - z .$$
#
# The codes $q$ have no gradient, since they are whole numbers, and $z$ is held fixed. A row shares its $s$, so $ds$ is a sum
# along the row: $ds = \sum_k dy_k\, \partial u_k / \partial s$.
#
# **Example.** Let $s = 0.5$, $z = 10$ and $x = (0.8, -6)$, with $dy = (1, 1)$.
#
# - $0.8 / s = 1.6$ is rounded to 2. The code 12 is inside, so $u = 1$ and $\rho = 0.4$. The gradient passes to $x$.
# - $-6 / s = -12$ has the code $-2$, which saturates at 0. So $u = -5$ and $q - z = -10$. No gradient passes to $x$.
#
# So $dx = (1, 0)$ and $ds = 0.4 - 10 = -9.6$.
#
# ### A linear layer with rounding
#
# The layer is $y = uV$. Here $u$ are the rounded inputs, and $V_{kn} = t_n w_{kn}$ the rounded weights.
#
# In its backward, the gradient of each factor contains the *rounded* other factor, since that is what the forward used:
#
# $$du = dy\, V^\top, \qquad dV = u^\top dy .$$
#
# From $u$ the gradient passes to $x$ and $s$ as above. From $V$ it passes to $W$ by the same rule, with $t$ held fixed:
# $dW_{kn} = dV_{kn}$ where $\mathrm{round}(W_{kn} / t_n)$ is from $-127$ to 127, and else 0. With $t_n = \max_k |W_{kn}| / 127$
# no weight saturates.
#
# The float weights $W$ are kept and trained. Many small steps add up in $W$, until a code changes.


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


x, s, z = np.array([[0.8, -6.0]]), np.array([[0.5]]), np.array([[10]])
dx, ds = our_fake_backward(np.array([[1.0, 1.0]]), x, s, z)
np.testing.assert_allclose([*our_fake(x, s, z)[1][0], *dx[0], *ds[0]], [1, -5, 1, 0, -9.6])

# %% [markdown]
# The gradients are those of refmer's linear layer with the rounded inputs and the rounded weights. Nothing saturates here, so
# $dx = du$ and $dW = dV$.

# %%
x, W = rng.normal(size=(B, K)), rng.normal(size=(K, N))
s, z, _ = our_affine_rows(x)
t, _ = our_symmetric(W)
u, V, y = our_rounded_linear(x, W, s, z, t)
dy = rng.normal(size=y.shape)
du, dV, dx, ds, dW = our_rounded_linear_backward(dy, x, W, s, z, t, u, V)

p = params.init(describe_linear(K, N), seed=0, dtype=np.float64)
p.W[:] = arithmetic.symmetric(W, t) * t
y_refmer, backward = linear(p, u)
g = params.zeros_like(p)
# Lesson 9: it is refmer's linear layer of rounded numbers; its gradients pass to the float numbers unchanged.
np.testing.assert_allclose(y, y_refmer, rtol=1e-12)
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
assert arithmetic.affine_range(0, 6) == (float32(6) / float32(255), 0)
# Solution 2: a share e less costs (127 e t)^2 once, and K t^2 / 12 becomes smaller by a share of about 2e: it pays only below
# e = K / (6 127^2) = 0.2 percent. In 8 bits hardly ever; with 7 instead of 127 (4 bits) below 68 percent.
column = np.append(rng.normal(size=200), 20).astype(float32)[:, None]
assert arithmetic.symmetric_scale(column, "mse") == arithmetic.symmetric_scale(column)
# Solution 3: norms undo common factors and shifts, and residual paths lead around a map. After the last nothing comes.
