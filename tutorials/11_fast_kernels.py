# %% [markdown]
# # 11. Fast kernels
#
# Introduces: `refmer.ops.twins.kernels`, `refmer.kernels.scalar.exp`, `refmer.kernels.gemm.gemm`,
# `refmer.ops.activations.softmax`, `refmer.ops.activations.softmax_backward`
#
# **After this page** you can say what a pass over memory costs, what a compiler may not do to floating-point numbers, write a
# product in blocks and a softmax in one pass with their backward passes, and show that a fast function computes the same as its
# definition.
#
# **Time.** 90 minutes to read, 20 seconds to run.
#
# **You need** tutorials 1, 2, 4 and 7: layers, the proof, gates, attention. Your times will differ from ours: no assertion is
# about a time.

# %%
import math
from time import perf_counter, process_time

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

import refmer
from refmer.kernels import scalar
from refmer.kernels.gemm import gemm
from refmer.ops.activations import softmax, softmax_backward
from refmer.ops.norms import layer_norm
from refmer.ops.twins import kernels

f, rng, u = np.float32, np.random.default_rng(0), 2.0**-24  # 24 binary digits: rounding is a change by a share of at most u


def race(*functions, turns=15):
    """Median seconds of each. They take turns, so that what else the machine does slows all; only our processor time counts."""
    spent = [[] for _ in functions]
    for turn in range(-2, turns):  # two turns to warm up: compilation is no part of a race
        for function, times in zip(functions, spent, strict=True):
            start = process_time()
            function()
            if turn >= 0:
                times.append(process_time() - start)
    return np.median(spent, axis=1)


# %% [markdown]
# ## Passes over memory
#
# $y_i = ((c_3 x_i + c_2)\, x_i + c_1)\, x_i + c_0$ is six operations. NumPy does the first for all $i$, writes the result to
# memory, reads it for the second, and so on: six passes. `c * x` and `x + c` read one array and write one, `a * x` reads two:
# per element $4 \cdot 2 + 2 \cdot 3 = 14$ numbers move. A loop that does all six before the next $i$ reads one and writes one.
# Where memory is the limit we may hope for a factor of about 7 if the passes are *fused*. NumPy cannot: when it multiplies, it
# does not know what you will do with the product. `njit` compiles Python's loops over numbers and arrays as they stand.


# %%
def cubic(x):
    return ((f(0.1) * x + f(0.2)) * x + f(0.3)) * x + f(0.4)


def loop_of(g):
    def loop(x):
        y = np.empty_like(x)
        for i in range(len(x)):
            y[i] = g(x[i])
        return y

    return njit(loop)


fused, start = loop_of(njit(cubic)), perf_counter()
print(f"first call: {fused(np.zeros(1, f))[0]:.1f} after {perf_counter() - start:.2f} s: it compiles for arrays of float32")
sizes = [30, 300, 3000, 30_000, 300_000, 3_000_000]
times = np.array([race(lambda x=x: cubic(x), lambda x=x: fused(x)) for x in (np.ones(n, f) for n in sizes)])
fig, ax = plt.subplots(figsize=(7, 3.3), layout="constrained")
ax.loglog(sizes, times / np.array(sizes)[:, None] * 1e9, "o-", label=["NumPy, six passes", "one fused loop"])
ax.set(xlabel="numbers in x", ylabel="ns per number", title="The same polynomial, at six sizes")
ax.legend()
plt.show()
# Lesson 1: one pass gives the numbers of six, and sooner: where memory is the limit (right), and where calls are (left).
assert np.abs(fused(x := rng.normal(size=3000).astype(f)) - cubic(x)).max() < 99 * u

# %% [markdown]
# ## A polynomial, and back
#
# What `cubic` does is *Horner's rule*, for $p(x) = \sum_j c_j x^j$ with $K$ coefficients: begin with $c_{K-1}$, and for
# $j = K - 2, \dots, 0$ multiply by $x$ and add $c_j$. No power is computed. The derivative is a polynomial, too, with one
# coefficient less, and each $c_j$ serves all elements of $x$:
#
# $$p'(x) = \sum_{j \ge 1} j\, c_j\, x^{j-1}, \qquad\qquad dx_i = dy_i\, p'(x_i), \qquad dc_j = \sum_i dy_i\, x_i^j .$$


# %%
def our_polynomial(x, c):
    """Return y, the sum of c[j] x**j over all j, by Horner's rule.

    x (B, T), c (K,) -> y (B, T)
    """
    y = c[-1] + 0 * x
    for j in reversed(range(len(c) - 1)):
        y = y * x + c[j]
    return y


def our_polynomial_backward(dy, x, c):
    """Return the gradients of x and c.

    dy (B, T), x (B, T), c (K,) -> dx (B, T), dc (K,)
    """
    slope = 0 * x
    for j in reversed(range(1, len(c))):
        slope = slope * x + j * c[j]
    dx = dy * slope
    dc = np.stack([(dy * x**j).sum() for j in range(len(c))])
    return dx, dc


x, dy, c = rng.normal(size=(5, 40)), rng.normal(size=(5, 40)), np.array([0.4, 0.3, 0.2, 0.1])
dx, dc = our_polynomial_backward(dy, x, c)
# Lesson 2: Horner's rule is the polynomial, its derivative is one of a lower degree, and coefficients sum over elements.
np.testing.assert_allclose(our_polynomial(x, c), np.polyval(c[::-1], x), rtol=1e-12)
np.testing.assert_allclose(dx, dy * np.polyval(np.polyder(c[::-1]), x), rtol=1e-12)
np.testing.assert_allclose(dc, np.vander(x.ravel(), len(c), increasing=True).T @ dy.ravel(), rtol=1e-12)

# %% [markdown]
# ## An exponential that vectorises
#
# Processors have instructions for 8 or 16 float32 at once. A compiler uses them where it sees every operation. In a loop over
# `math.exp` it sees a call to the C library, one number at a time. So we give it operations that it can see. Let
# $n = \mathrm{round}(x / \ln 2)$ and $r = x - n \ln 2$. Then $|r| \le \frac12 \ln 2 < 0.347$, and
#
# $$e^x = 2^n e^r \approx 2^n \sum_{j=0}^{D} \frac{r^j}{j!}, \qquad \text{relative error} \le
#   \frac{e^{\xi}}{e^{r}} \frac{|r|^{D+1}}{(D+1)!} \le \sqrt2\, \frac{(\frac12 \ln 2)^{D+1}}{(D+1)!}$$
#
# (Lagrange's remainder, $\xi$ between 0 and $r$: the first factor is at most $e^{|r|} \le \sqrt 2$). $2^n$ costs nothing: $n$
# goes into the exponent's bits (`np.ldexp`). $\ln 2$ comes in two parts, the first, $355 / 512$, of so few digits that $n$
# times it is exact. Horner's rule needs no factorials: $1 + r\,(1 + \frac r2 (1 + \frac r3 (\dots)))$. And the backward is
# $dx = dy\, y$: what forward has computed is, up to the remainder of the polynomial, its own derivative.


# %%
def our_exp(x, D):
    """Return the whole number n nearest to x / ln 2, the rest r = x - n ln 2, and y: 2**n
    times Taylor's polynomial of e**r.

    x (B, T) or another shape, D the degree of the polynomial -> n, r, y, as x
    """
    ln2 = float(np.log(2))
    n = np.rint(x / ln2)
    r = x - n * (355 / 512) - n * (ln2 - 355 / 512)
    p = np.ones_like(x)
    for j in range(D, 0, -1):
        p = 1 + p * r / j  # Horner: r^j / j! is r / 1 times r / 2 times ... r / j
    y = np.ldexp(p, n.astype(int))
    return n, r, y


x = np.linspace(-20, 20, 5001, dtype=f)
true = np.exp(x.astype(float))
error = {D: np.abs(our_exp(x, D)[2] / true - 1).max() for D in range(1, 11)}
bound = {D: 2**0.5 * (math.log(2) / 2) ** (D + 1) / math.factorial(D + 1) for D in error}
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.semilogy(list(error), list(error.values()), "o-", label="measured")
ax.semilogy(list(bound), list(bound.values()), "k:", label="bound")
ax.set(xlabel="degree D", ylabel="worst relative error", ylim=(1e-10, 1), title="exp in float32 by Taylor's polynomial")
ax.legend()
plt.show()
# Lesson 3: the bound holds, up to rounding; beyond D = 7, where it is below u, nothing is left to gain in float32.
assert all(bound[D] / 3 < error[D] < bound[D] + 4 * u for D in range(1, 6)) and bound[6] > u > bound[7]
assert max(error[D] for D in range(7, 11)) < 4 * u and error[10] > error[7] / 2
exps = {"math.exp": loop_of(math.exp), "np.exp": np.exp, "scalar.exp": loop_of(scalar.exp)}
speed = dict(zip(exps, race(*[lambda g=g: g(x) for g in exps.values()]) / len(x) * 1e9, strict=True))
print("ns per number:", ", ".join(f"{name} {ns:.2f}" for name, ns in speed.items()))
# Lesson 4: refmer's (with fitted coefficients) is exact to a few u, and several times as fast as calls to the library.
assert np.abs(exps["scalar.exp"](x) / true - 1).max() < 4 * u

# %% [markdown]
# ## What a compiler may not do, and fastmath
#
# Floating-point addition is not associative. Every sum $s + x_i$ comes out as $(s + x_i)(1 + \delta)$, $|\delta| \le u$. One
# after the other, $x_1$ goes through $n - 1$ additions, and to first order $|\hat s - s| \le (n - 1)\, u \sum_i |x_i|$.
# Another order gives other bits, so a compiler keeps yours: one addition at a time, each waiting for the last. `"reassoc"`
# permits another order. Then $L$ partial sums run side by side, and each number goes through about $n / L$ additions: faster,
# and with a *smaller* bound. But `fastmath=True` permits seven things at once. One, `"nnan"`, is a promise that nothing is nan.
# The optimiser believes you and removes `x != x`, the test for nan, since it could never be true.


# %%
def total(x):
    s = f(0)
    for i in range(len(x)):
        s += x[i]
    return s


in_order, any_order = njit(total), njit(fastmath={"reassoc"})(total)
xs = rng.uniform(size=(30, 100_000)).astype(f)
slow, fast = 1e6 * race(lambda: in_order(xs[0]), lambda: any_order(xs[0]))
off = [np.mean([abs(float(g(x)) / x.sum(dtype=float) - 1) for x in xs]) for g in (in_order, any_order)]
print(f"in order {slow:.0f} us, mean error {off[0]:.0e} (bound {1e5 * u:.0e}); any order {fast:.0f} us, {off[1]:.0e}")
is_nan = [njit(fastmath=kind)(lambda v: v != v)(np.nan) for kind in (False, {"reassoc", "nsz", "contract"}, True)]
print(f"is nan nan? {is_nan[0]}; with what refmer's kernels permit: {is_nan[1]}; with fastmath=True: {is_nan[2]}")
# Lesson 5: another order of a sum is no worse. Believing that nothing is nan is: kernels take single permissions, never all.
assert off[1] < off[0] / 2 < 1e5 * u and is_nan == [True, True, False]
# Below 2^-126, about 1e-38, float32 has denormal numbers. Many processors take 100 cycles for each; ours does not mind. Yours?
x, tiny = np.ones(4096, f), np.full(4096, 1e-40, f)
normal, denormal = race(lambda: x * f(0.999), lambda: tiny * f(0.999), turns=101)
print(f"a product of denormals takes {denormal / normal:.1f} times as long; 1e-42 is kept as {float(f(1e-42)):.4g}")
# Lesson 6: even where they are as fast, they have fewer digits.
assert abs(float(f(1e-42)) / 1e-42 - 1) > 1000 * u

# %% [markdown]
# ## A matrix product
#
# $c_{ij} = \sum_k a_{ik} b_{kj}$ is $2MKN$ operations on $MK + KN + MN$ numbers. With $j$ in the inmost loop, 16 neighbouring
# $j$ are one instruction, but each multiply-add loads $b$, loads $c$ and stores $c$. BLAS keeps a *tile* of $c$ in registers,
# $R$ rows by $V$ vectors, while $k$ runs: a step loads $V$ vectors of $b$ and $R$ numbers of $a$ for $RV$ multiply-adds.
# Numba's compiler finds this tile in no plain loop, so `gemm` writes it in vector instructions: here `njit` is not enough.


# %%
@njit
def plain(a, b, c):
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            for j in range(b.shape[1]):
                c[i, j] += a[i, k] * b[k, j]


a, b = rng.normal(size=(64, 192)).astype(f), rng.normal(size=(192, 192)).astype(f)
products = {"plain loops": plain, "gemm": gemm, "NumPy (BLAS)": lambda a, b, c: np.add(c, a @ b, out=c)}
c = np.ones((64, 192), f)
rate = 2e-9 * a.size * b.shape[1] / race(*[lambda g=g: g(a, b, c) for g in products.values()])
print("billion operations a second:", ", ".join(f"{name} {r:.0f}" for name, r in zip(products, rate, strict=True)))
# Lesson 7: the same operations on the same numbers; what stays in registers makes a factor.
for product in products.values():
    product(a, b, c := np.ones((64, 192), f))  # c += a b: sums of 193 numbers
    assert (np.abs(c - 1 - a.astype(float) @ b) <= 194 * u * (1 + np.abs(a) @ np.abs(b))).all()

# %% [markdown]
# ## A product by blocks
#
# What does not fit into registers should at least fit into the cache. A product of matrices can be put together from products
# of blocks: with $I$, $J$ and $L$ running over blocks of rows, of columns, and of the inner index,
#
# $$Y_{IJ} = \sum_L X_{IL}\, W_{LJ} .$$
#
# The last block of each axis may be smaller. The backward of $Y = XW$ consists of two products, $dX = dY\, W^\top$ and
# $dW = X^\top dY$, so it runs by the same blocks.


# %%
def our_block_product(x, W, size):
    """Return y = x W, as products of blocks of at most `size` rows and columns, of which
    the last ones may be smaller.

    x (B, K), W (K, N), size a whole number from 1 -> y (B, N)
    """
    (B, K), N = x.shape, W.shape[1]
    y = np.zeros((B, N), np.result_type(x, W))
    for i in range(0, B, size):
        for j in range(0, N, size):
            for k in range(0, K, size):
                y[i : i + size, j : j + size] += x[i : i + size, k : k + size] @ W[k : k + size, j : j + size]
    return y


def our_block_product_backward(dy, x, W, size):
    """Return the gradients of x and W, by blocks of the same size.

    dy (B, N), the others as in our_block_product -> dx (B, K), dW (K, N)
    """
    dx = our_block_product(dy, W.T, size)
    dW = our_block_product(x.T, dy, size)
    return dx, dW


y = our_block_product(a, b, 50)
da, db = our_block_product_backward(c - 1, a, b, 50)
# Lesson 8: blocks change the order of a sum and nothing else; gemm and BLAS say the same.
assert (np.abs(y - (c - 1)) <= 400 * u * (1 + np.abs(a) @ np.abs(b))).all()
assert (np.abs(da - (c - 1) @ b.T) <= 400 * u * (np.abs(c - 1) @ np.abs(b.T))).all()
assert (np.abs(db - a.T @ (c - 1)) <= 400 * u * (np.abs(a.T) @ np.abs(c - 1))).all()

# %% [markdown]
# ## Softmax in one pass
#
# In attention (tutorial 7) $y_{td} = \sum_s a_{ts} v_{sd}$ with $a_{ts} = e^{z_{ts}} / \sum_r e^{z_{tr}}$. Softmax seems to
# need three passes over a row: its maximum, the sum, the quotient; and $T \times S$ weights are written and read. One pass over
# blocks of keys is enough. Suppose that of the keys so far we have, for each query, the largest score $m$, the sum
# $l = \sum_s e^{z_s - m}$, and $Y = \sum_s e^{z_s - m} v_s$. A block with scores $z'$ and values $v'$ comes. With
# $M = \max(m, \max_s z'_s)$,
#
# $$l \leftarrow e^{m - M}\, l + \sum_s e^{z'_s - M}, \qquad Y \leftarrow e^{m - M}\, Y + \sum_s e^{z'_s - M} v'_s, \qquad
#   m \leftarrow M ,$$
#
# since a factor $e^{m - M}$ turns every $e^{z_s - m}$ into $e^{z_s - M}$. Start with $m = -\infty$, $l = 0$, $Y = 0$, and end
# with $y = Y / l$. A masked key has $z_s = -\infty$. As long as $M = -\infty$, because all keys so far are masked, subtract 0
# instead: $-\infty + \infty$ is nan. A row that is masked altogether has $l = 0$ and $y = 0$.
#
# **Back.** The weights are not stored, but $m$ and $l$ are, so each block of them can be computed again:
# $a_{ts} = e^{z_{ts} - m_t} / l_t$. The gradient of softmax needs a sum over the whole row, and a block does not see the
# row. But
#
# $$\Delta_t = \sum_s a_{ts}\, da_{ts} = \sum_s a_{ts} \sum_d dy_{td} v_{sd} = \sum_d dy_{td}\, y_{td}$$
#
# is known before the first block. Then, block by block, $dz_{ts} = a_{ts} (da_{ts} - \Delta_t)$ and
# $dv_{sd} = \sum_t a_{ts}\, dy_{td}$. (FlashAttention: Dao et al. 2022.)


# %%
def our_online_softmax(z, v, size):
    """Return m, the largest score of each row, the total of exp(z - m), and y = softmax(z)
    v, in one pass over blocks of keys.

    Scores may be -inf; a row of -inf alone has m = -inf, and total and y are 0.

    z (B, T, S), v (B, S, D), size the number of keys of a
    block (the last one may have less)
    -> m, total (B, T, 1), y (B, T, D)
    """
    m = np.full_like(z[..., :1], -np.inf)
    total, y = np.zeros_like(m), 0
    for s in range(0, z.shape[-1], size):
        block = z[..., s : s + size]
        top = np.maximum(m, block.max(-1, keepdims=True))
        base = np.where(top > -np.inf, top, 0)
        e, old = np.exp(block - base), np.exp(m - base)
        total = old * total + e.sum(-1, keepdims=True)
        y = old * y + e @ v[:, s : s + size]
        m = top
    y = y / np.where(total == 0, 1, total)
    return m, total, y


def our_online_softmax_backward(dy, z, v, m, total, y, size):
    """Return delta, the inner sum of softmax's gradient, and the gradients of z and v, from
    blocks of weights made again.

    dy (B, T, D), the others as in our_online_softmax
    -> delta (B, T, 1), dz (B, T, S), dv (B, S, D)
    """
    delta = (dy * y).sum(-1, keepdims=True)
    dz, dv = np.zeros_like(z), np.zeros_like(v)
    for s in range(0, z.shape[-1], size):
        part = slice(s, s + size)
        a = np.exp(z[..., part] - np.where(m > -np.inf, m, 0)) / np.where(total == 0, 1, total)
        da = dy @ v[:, part].swapaxes(-1, -2)
        dz[..., part] = a * (da - delta)
        dv[:, part] = a.swapaxes(-1, -2) @ dy
    return delta, dz, dv


z, v, dy = 5 * rng.normal(size=(2, 3, 100)), rng.normal(size=(2, 100, 4)), rng.normal(size=(2, 3, 4))
z[0, 1, :40] = z[1, 2] = -np.inf
m, sums, y = our_online_softmax(z, v, 32)
delta, dz, dv = our_online_softmax_backward(dy, z, v, m, sums, y, 32)
weights = softmax(z)
# Lesson 9: one pass over blocks gives what refmer's softmax gives, and its gradients; no row of weights was ever stored.
np.testing.assert_allclose(y, weights @ v, rtol=1e-12)
np.testing.assert_allclose(dz, softmax_backward(dy @ v.swapaxes(-1, -2), weights), rtol=1e-9, atol=1e-15)
np.testing.assert_allclose(dv, weights.swapaxes(-1, -2) @ dy, rtol=1e-12)

# %% [markdown]
# ## A twin and its oracle
#
# Every fast function of refmer is a *twin* of a NumPy function, its *oracle*, which says what is meant and is what tutorial 2
# proves (complex numbers always go there). `with kernels(False)` sends all there. What must agree, and how closely?
# Layer norm needs $v = \frac1C \sum_c (x_c - \mu)^2$: two passes over a row, for $\mu$ and then for $v$. But
# $v = \frac1C \sum_c x_c^2 - \mu^2$ needs one. The same number? Both terms are rounded by about $u\mu^2$: $v$ is off by a share
# of about $u (\mu / \sigma)^2$. In two passes only $\mu$ is rounded, by about $u\mu$, and $z_c$ is off by $u\, \mu / \sigma$.


# %%
def one_pass(x):
    mean, square = x.mean(-1, keepdims=True), (x * x).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(np.maximum(square - mean * mean, 0) + f(1e-5))


def run(on, function, *args):
    with kernels(on):
        return function(*args)


def norm(x, on):
    return run(on, layer_norm, x, np.ones(192, x.dtype), np.zeros(192, x.dtype))[0]


x, means, off = rng.normal(size=(96, 192)), 10.0 ** np.arange(5), {}
fig, ax = plt.subplots(figsize=(7, 3.3), layout="constrained")
for name, way in {"oracle": lambda x: norm(x, False), "kernel": lambda x: norm(x, True), "one pass": one_pass}.items():
    off[name] = [np.abs(way(z) - norm(z.astype(float), False)).max() for z in ((x + mean).astype(f) for mean in means)]
    ax.loglog(means, off[name], "s--" if name == "kernel" else "o-", label=name)
ax.loglog(means, 3 * u * means, "k:", label=r"$3 u\, \mu / \sigma$")
ax.set(xlabel=r"mean of a row, in its deviations: $\mu / \sigma$", ylabel="worst error of y", title="Layer norm in float32")
ax.legend()
plt.show()
slow, fast = 1e6 * race(lambda: norm(x, False), lambda: norm(x, True))
print(f"layer norm (96, 192), float64: {slow:.0f} us by the oracle, {fast:.0f} us by the kernel")
# Lesson 10: equal in mathematics is not equal in float32, and a test with mean 0 or 1 cannot tell.
assert max(way[0] for way in off.values()) < 1e-5 and off["one pass"][3] > 100 * off["kernel"][3]
assert off["kernel"][4] < 10 * off["oracle"][4] and np.abs(norm(x, False) - norm(x, True)).max() < 1e-13

# %% [markdown]
# ## A whole system
#
# If kernels have a share $p$ of the time and become $g$ times faster, the whole becomes $1 / (1 - p + p / g)$ times faster
# (Amdahl), never more than $1 / (1 - p)$. Large matrix products were BLAS before, and Python between arrays stays Python.

# %%
train, test = refmer.load_samples().split(by="speaker", test_size=0.25, seed=0)
models = {on: refmer.Recognizer("of_cmaer_cat", epochs=1) for on in (False, True)}
slow, fast = race(*[lambda on=on: run(on, models[on].fit, train, None, None, False) for on in models], turns=7)
losses = [model.history_[-1]["train_loss"] for model in models.values()]
print(f"an epoch of OF-CMAER-CAT, tiny: {slow:.2f} s off, {fast:.2f} s on; losses {losses[0]:.6f}, {losses[1]:.6f}")
# Lesson 11: a whole gains less than its parts (here about 1.6 times, of kernels that gain 3 to 6), and learns the same.
assert abs(losses[0] - losses[1]) < 1e-4

# %% [markdown]
# ## On your own
#
# Write it yourself: exercise file `11_fast_kernels.py` (`refmer exercises --out DIR`, then
# `refmer grade DIR/11_fast_kernels.py`).
#
# 1. How many numbers does NumPy move for `np.sqrt(a * a + b * b)`, and how many a fused loop?
# 2. Which degree $D$ does `our_exp` need in float64, where $u = 2^{-53}$?
# 3. The epoch gains 1.6 times, its kernels 4 times. Which share of the time was theirs?

# %% tags=["hide-cell"]
# Solution 1: a * a reads one and writes one, so does b * b; their sum 3, the root 2: 9 against 3.
# Solution 2: 13, the first whose bound is below u.
assert min(D for D in range(20) if 2**0.5 * (math.log(2) / 2) ** (D + 1) / math.factorial(D + 1) < 2**-53) == 13
# Solution 3: half: 1 / 1.6 = 1 - p + p / 4, so p = (1 - 1 / 1.6) / (1 - 1 / 4).
