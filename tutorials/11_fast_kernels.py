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

f = np.float32
rng = np.random.default_rng(0)

# %% [markdown]
# ## Rounding and timing
#
# A float32 has 24 binary digits. Rounding a result to the nearest float32 changes it by a share of at most $u = 2^{-24}$, about
# $6 \cdot 10^{-8}$. All error bounds of this page are multiples of $u$.

# %%
u = 2.0**-24

# %% [markdown]
# `race` measures the times of several functions with the same arguments. The functions take turns, so that other work of the
# machine slows all of them alike. Only the processor time of this process counts.


# %%
def race(functions, *arguments, turns=15):
    """Return the median seconds of each function.   (number of functions,)"""
    for function in 2 * list(functions):  # two calls to warm up: compilation is not part of a race
        function(*arguments)
    seconds = np.zeros((turns, len(functions)))
    for turn in range(turns):
        for k, function in enumerate(functions):
            start = process_time()
            function(*arguments)
            seconds[turn, k] = process_time() - start
    return np.median(seconds, axis=0)


# %% [markdown]
# ## Passes over memory
#
# Take a polynomial of degree 3 for every element of an array $x$, in six operations:
#
# $$y_i = ((c_3 x_i + c_2)\, x_i + c_1)\, x_i + c_0 .$$
#
# NumPy carries out the first operation for all $i$ and writes the result to memory. It reads this result for the second
# operation, and so on. Each operation is one *pass* over memory. In the order of the formula:
#
# | operation | numbers read per element | numbers written |
# |---|---|---|
# | times $c_3$ (a constant) | 1 | 1 |
# | plus $c_2$ | 1 | 1 |
# | times $x_i$ (an array) | 2 | 1 |
# | plus $c_1$ | 1 | 1 |
# | times $x_i$ | 2 | 1 |
# | plus $c_0$ | 1 | 1 |
#
# The sum is $8 + 6 = 14$ numbers per element.
#
# A loop can do all six operations for one $i$ before it goes on to the next. Then it reads $x_i$ and writes $y_i$: 2 numbers
# per element. The passes are *fused*. Where memory is the limit, we may hope for a factor of about $14 / 2 = 7$.
#
# NumPy cannot fuse passes. Each operation is a function call of its own, and it ends before the next operation is known.
#
# `njit` of Numba compiles such a loop. It accepts Python's loops over numbers and arrays as they stand, and compiles them at
# the first call, for the types of that call's arguments.


# %%
def cubic(x):
    return ((f(0.1) * x + f(0.2)) * x + f(0.3)) * x + f(0.4)


def loop_of(g):
    """Return a compiled function that applies g to each element of an array."""

    def loop(x):
        y = np.empty_like(x)
        for i in range(len(x)):
            y[i] = g(x[i])
        return y

    return njit(loop)


fused = loop_of(njit(cubic))
start = perf_counter()
fused(np.zeros(1, f))
print(f"first call: {perf_counter() - start:.2f} s, with the compilation for arrays of float32")

# %% [markdown]
# The same polynomial is timed for arrays of 30 to 3 million numbers.

# %%
sizes = np.array([30, 300, 3000, 30_000, 300_000, 3_000_000])
seconds = np.array([race([cubic, fused], np.ones(size, f)) for size in sizes])  # (sizes, 2)
nanoseconds_per_number = seconds / sizes[:, None] * 1e9

fig, ax = plt.subplots(figsize=(7, 3.3), layout="constrained")
ax.loglog(sizes, nanoseconds_per_number, "o-", label=["NumPy, six passes", "one fused loop"])
ax.set(xlabel="numbers in x", ylabel="ns per number", title="A polynomial of degree 3 in float32, medians of 15 runs")
ax.legend()
plt.show()

# %% [markdown]
# The fused loop is faster for two reasons. At the right, memory is the limit, and one pass moves fewer numbers. At the left,
# the arrays are so short that the time of a call dominates, and six calls cost more than one.
#
# Both compute the same numbers, up to rounding.

# %%
x = rng.normal(size=3000).astype(f)
# Lesson 1: one pass gives the numbers of six, and sooner: where memory is the limit (right), and where calls are (left).
assert np.abs(fused(x) - cubic(x)).max() < 99 * u

# %% [markdown]
# ## A polynomial, and back
#
# `cubic` is an instance of *Horner's rule*. It evaluates $p(x) = \sum_j c_j x^j$ with $K$ coefficients without computing a
# power:
#
# 1. Begin with the last coefficient, $y = c_{K-1}$.
# 2. For $j = K - 2, \dots, 0$, replace $y$ by $y\,x + c_j$.
#
# By hand, $1 + 2x + 3x^2$ at $x = 2$: begin with 3; then $3 \cdot 2 + 2 = 8$; then $8 \cdot 2 + 1 = 17$.
#
# **Backward.** The derivative by $x$ is a polynomial, too, with one coefficient less:
#
# $$p'(x) = \sum_{j \ge 1} j\, c_j\, x^{j-1}, \qquad\qquad dx_i = dy_i\, p'(x_i) .$$
#
# Each coefficient $c_j$ is used for all elements of $x$, so its gradient is a sum over them:
#
# $$dc_j = \sum_i dy_i\, x_i^j .$$
#
# In the example, with $dy = 1$: $dx = 2 + 6 \cdot 2 = 14$, and $dc = (1, 2, 4)$.


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


x, c = np.array([[2.0]]), np.array([1.0, 2.0, 3.0])
dx, dc = our_polynomial_backward(np.ones((1, 1)), x, c)
assert our_polynomial(x, c) == 17 and dx == 14 and dc.tolist() == [1, 2, 4]

# %% [markdown]
# On random numbers, both functions are compared with NumPy's polynomials, and the gradient of $c$ with a product of matrices.

# %%
x, dy = rng.normal(size=(2, 5, 40))
c = np.array([0.4, 0.3, 0.2, 0.1])
dx, dc = our_polynomial_backward(dy, x, c)
powers = np.vander(x.ravel(), len(c), increasing=True)  # (elements, K)
# Lesson 2: Horner's rule is the polynomial, its derivative is one of a lower degree, and coefficients sum over elements.
np.testing.assert_allclose(our_polynomial(x, c), np.polyval(c[::-1], x), rtol=1e-12)
np.testing.assert_allclose(dx, dy * np.polyval(np.polyder(c[::-1]), x), rtol=1e-12)
np.testing.assert_allclose(dc, powers.T @ dy.ravel(), rtol=1e-12)

# %% [markdown]
# ## An exponential that vectorises
#
# Processors have instructions that work on a *vector* of 8 or 16 float32 at once. A compiler can use them for a loop only if
# all operations of the loop have such an instruction. In a loop over `math.exp` there is a call to the C library, one number at
# a time. So we write the exponential in sums and products.
#
# **A small argument.** Let $n$ be the whole number nearest to $x / \ln 2$, and $r$ the rest:
#
# $$n = \mathrm{round}(x / \ln 2), \qquad r = x - n \ln 2, \qquad e^x = 2^n e^r .$$
#
# Since $n$ is the nearest whole number, $|r| \le \frac12 \ln 2 < 0.347$.
#
# **A polynomial.** For such a small $r$, Taylor's polynomial of degree $D$ is accurate:
#
# $$e^x \approx 2^n \sum_{j=0}^{D} \frac{r^j}{j!} .$$
#
# By hand, $e^{2.1}$ with $D = 1$: $2.1 / \ln 2 = 3.03$, so $n = 3$ and $r = 2.1 - 2.0794 = 0.0206$. The result is
# $8 \cdot (1 + 0.0206) = 8.1645$. The true value is $8.1662$, so the relative error is $2 \cdot 10^{-4}$.

# %%
n = round(2.1 / math.log(2))
r = 2.1 - n * math.log(2)
assert n == 3 and round(r, 4) == 0.0206 and round(2**n * (1 + r), 4) == 8.1645
assert round(1 - 2**n * (1 + r) / math.exp(2.1), 4) == 2e-4

# %% [markdown]
# **The error.** Lagrange's remainder of the polynomial is $e^\xi\, r^{D+1} / (D+1)!$ with some $\xi$ between 0 and $r$. The
# relative error is this remainder divided by $e^r$:
#
# $$\text{relative error} \le \frac{e^{\xi}}{e^{r}} \frac{|r|^{D+1}}{(D+1)!}
#   \le \sqrt2\, \frac{(\frac12 \ln 2)^{D+1}}{(D+1)!} .$$
#
# The last step uses $e^{\xi - r} \le e^{|r|} \le e^{\frac12 \ln 2} = \sqrt 2$.
#
# **Three details of the code.** Multiplying by $2^n$ costs almost nothing: $n$ is added to the bits of the exponent
# (`np.ldexp`).
#
# $\ln 2$ is the sum of two parts, $355 / 512 = 0.693359375$ and a small rest. 355 has only 9 binary digits, so $n$ times the
# first part has no rounding error (for $|n| < 2^{15}$).
#
# Horner's rule needs no factorials here, because $r^j / j!$ is $r^{j-1} / (j-1)!$ times $r / j$:
#
# $$\sum_{j=0}^{D} \frac{r^j}{j!} = 1 + r\, \Bigl(1 + \frac r2\, \Bigl(1 + \frac r3\, (\dots)\Bigr)\Bigr) .$$
#
# **Backward.** The derivative of $e^x$ is $e^x$, so $dx = dy\, y$. The forward result is its own derivative, up to the
# remainder of the polynomial.


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


# %% [markdown]
# The worst relative error in float32 is measured for degrees 1 to 10 and compared with the bound.

# %%
x = np.linspace(-20, 20, 5001, dtype=f)
true = np.exp(x.astype(float))
degrees = range(1, 11)
error, bound = {}, {}
for D in degrees:
    error[D] = np.abs(our_exp(x, D)[2] / true - 1).max()
    bound[D] = 2**0.5 * (math.log(2) / 2) ** (D + 1) / math.factorial(D + 1)

fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.semilogy(degrees, list(error.values()), "o-", label="measured")
ax.semilogy(degrees, list(bound.values()), "k:", label="bound")
ax.axhline(u, color="0.6", lw=0.8, label="u")
ax.set(xlabel="degree D", ylabel="worst relative error", ylim=(1e-10, 1))
ax.set_title("exp in float32 by Taylor's polynomial, 5001 numbers from -20 to 20")
ax.legend()
plt.show()

# %% [markdown]
# At degree 7 the bound falls below $u$. From there on the error is that of rounding alone, and a higher degree gains nothing in
# float32.

# %%
# Lesson 3: the bound holds, up to rounding; beyond D = 7, where it is below u, nothing is left to gain in float32.
assert all(bound[D] / 3 < error[D] < bound[D] + 4 * u for D in range(1, 6))
assert bound[6] > u > bound[7]
assert max(error[D] for D in range(7, 11)) < 4 * u and error[10] > error[7] / 2

# %% [markdown]
# refmer's `scalar.exp` is made in the same way, with fitted coefficients in place of Taylor's.

# %%
exps = {"math.exp": loop_of(math.exp), "np.exp": np.exp, "scalar.exp": loop_of(scalar.exp)}
nanoseconds = race(exps.values(), x) / len(x) * 1e9
for name, ns in zip(exps, nanoseconds, strict=True):
    print(f"{name:10} {ns:.2f} ns per number")
# Lesson 4: refmer's (with fitted coefficients) is exact to a few u, and several times as fast as calls to the library.
assert np.abs(exps["scalar.exp"](x) / true - 1).max() < 4 * u

# %% [markdown]
# ## What a compiler may not do, and fastmath
#
# Floating-point addition is not associative. By hand, in float32: $2^{24} + 1$ needs 25 binary digits and is rounded to
# $2^{24}$. So $(2^{24} + 1) + 1 = 2^{24}$, but $2^{24} + (1 + 1) = 2^{24} + 2$.

# %%
large = f(2**24)
assert (large + f(1)) + f(1) == large
assert large + (f(1) + f(1)) == large + f(2)

# %% [markdown]
# Since another order gives other bits, a compiler keeps the order of the program: one addition at a time, each waiting for the
# one before.
#
# **The error of a sum.** Every sum $s + x_i$ comes out as $(s + x_i)(1 + \delta)$ with $|\delta| \le u$. One after the other,
# $x_1$ goes through all $n - 1$ additions, and the others through fewer. So to first order
#
# $$|\hat s - s| \le (n - 1)\, u \sum_i |x_i| .$$
#
# **Another order.** Numba's option `fastmath={"reassoc"}` permits the compiler another order. Then $L$ partial sums run side by
# side, and each number goes through about $n / L$ additions. That is faster, and the bound is *smaller*.


# %%
def total(x):
    s = f(0)
    for i in range(len(x)):
        s += x[i]
    return s


def relative_error(x, computed):
    return abs(float(computed) / x.sum(dtype=float) - 1)


in_order, any_order = njit(total), njit(fastmath={"reassoc"})(total)
xs = rng.uniform(size=(30, 100_000)).astype(f)
microseconds = 1e6 * race([in_order, any_order], xs[0])
error_in_order = np.mean([relative_error(x, in_order(x)) for x in xs])
error_any_order = np.mean([relative_error(x, any_order(x)) for x in xs])
print(f"in order:  {microseconds[0]:3.0f} us, mean error {error_in_order:.0e} (bound {1e5 * u:.0e})")
print(f"any order: {microseconds[1]:3.0f} us, mean error {error_any_order:.0e}")

# %% [markdown]
# **All permissions at once.** `fastmath=True` gives seven permissions. One of them, `"nnan"`, promises the compiler that no
# number is nan. The usual test for nan is `v != v`, which is true for nan alone. Under the promise it can never be true, so the
# compiler removes it.
#
# refmer's kernels take single permissions, and never `"nnan"`.


# %%
def is_nan(v):
    return v != v


permissions_of_kernels = {"reassoc", "nsz", "contract"}
strict_answer = njit(is_nan)(np.nan)
answer_of_kernels = njit(fastmath=permissions_of_kernels)(is_nan)(np.nan)
careless_answer = njit(fastmath=True)(is_nan)(np.nan)
print(f"is nan nan? {strict_answer}; as in refmer's kernels: {answer_of_kernels}; with fastmath=True: {careless_answer}")
# Lesson 5: another order of a sum is no worse; a promise that nothing is nan is. Kernels take single permissions, never all.
assert error_any_order < error_in_order / 2 < 1e5 * u
assert strict_answer and answer_of_kernels and not careless_answer

# %% [markdown]
# ### Denormal numbers
#
# Below $2^{-126}$, about $10^{-38}$, float32 has *denormal* numbers. The exponent can get no smaller there, so the numbers lose
# digits instead.
#
# Many processors take 100 cycles for each operation on them. Ours takes no longer than for other numbers; the cell measures
# yours.

# %%
ordinary_numbers, denormal_numbers = np.ones(4096, f), np.full(4096, 1e-40, f)


def multiply_ordinary():
    return ordinary_numbers * f(0.999)


def multiply_denormal():
    return denormal_numbers * f(0.999)


ordinary, denormal = race([multiply_ordinary, multiply_denormal], turns=101)
print(f"a product of denormals takes {denormal / ordinary:.1f} times as long; 1e-42 is kept as {float(f(1e-42)):.4g}")
# Lesson 6: even where they are as fast, they have fewer digits.
assert abs(float(f(1e-42)) / 1e-42 - 1) > 1000 * u

# %% [markdown]
# ## A matrix product
#
# $c_{ij} = \sum_k a_{ik} b_{kj}$ with $M$ rows, $N$ columns and $K$ inner numbers is $2MKN$ operations on $MK + KN + MN$
# numbers. For the sizes below, $M = 64$ and $K = N = 192$, that is 4,718,592 operations on 61,440 numbers: 77 operations for
# each number. So memory need not be the limit. What counts is how often a number is loaded into a register.

# %%
M, K, N = 64, 192, 192
assert round(2 * M * K * N / (M * K + K * N + M * N)) == 77

# %% [markdown]
# **Plain loops.** With $j$ in the innermost loop, the multiply-adds of 16 neighbouring $j$ are one vector instruction. But each
# such instruction loads a vector of $b$, loads a vector of $c$, and stores a vector of $c$.
#
# **A tile.** A BLAS, the library behind NumPy's `@`, keeps a *tile* of $c$ in registers, $R$ rows by $V$ vectors, while $k$
# runs. A step of $k$ loads $V$ vectors of $b$ and $R$ numbers of $a$, for $RV$ multiply-adds. By hand, with $R = 8$ and
# $V = 2$: 10 loads for 16 multiply-adds. Plain loops need 32 loads and 16 stores for them.
#
# Numba's compiler does not make this tile from plain loops. So `njit` is not enough here: `gemm` writes the tile in vector
# instructions.


# %%
@njit
def plain(a, b, c):
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            for j in range(b.shape[1]):
                c[i, j] += a[i, k] * b[k, j]


def blas(a, b, c):
    c += a @ b


a, b = rng.normal(size=(M, K)).astype(f), rng.normal(size=(K, N)).astype(f)
products = {"plain loops": plain, "gemm": gemm, "NumPy (BLAS)": blas}
seconds = race(products.values(), a, b, np.ones((M, N), f))
rates = 2 * M * K * N / seconds / 1e9
for name, rate in zip(products, rates, strict=True):
    print(f"{name:13} {rate:3.0f} billion operations a second")

# %% [markdown]
# The time of BLAS is that of all its threads together. On a busy machine they wait for each other, and its rate comes out far
# too small.
#
# All three add $ab$ to $c$. With $c = 1$ at the start, an element is a sum of 193 numbers. The bound for the error of a sum,
# from the section on fastmath, holds for all three. It is taken with two $u$ more, since each product is rounded, too.

# %%
exact = 1 + a.astype(float) @ b
bound = 194 * u * (1 + np.abs(a) @ np.abs(b))
# Lesson 7: the operations and the numbers are the same; speed depends on what stays in registers.
for product in products.values():
    c = np.ones((M, N), f)
    product(a, b, c)
    assert (np.abs(c - exact) <= bound).all()

# %% [markdown]
# ## A product by blocks
#
# What does not fit into registers should at least fit into the cache. A product of matrices can be put together from products
# of blocks. With $I$, $J$ and $L$ running over blocks of rows, of columns, and of the inner index,
#
# $$Y_{IJ} = \sum_L X_{IL}\, W_{LJ} .$$
#
# The last block of each axis may be smaller.
#
# By hand, one row times one column in blocks of 2: $(1, 2, 3) \cdot (4, 5, 6)$ has a block of two and a rest of one. The
# products of the blocks are $4 + 10 = 14$ and $18$, and their sum is 32.
#
# **Backward.** The backward of $Y = XW$ consists of two products, so it runs by the same blocks:
#
# $$dX = dY\, W^\top, \qquad\qquad dW = X^\top dY .$$


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


assert our_block_product(np.array([[1, 2, 3]]), np.array([[4], [5], [6]]), 2) == 32

# %% [markdown]
# The matrices $a$ and $b$ from above are multiplied in blocks of 50, which divides neither 64 nor 192. The results differ from
# those of one product by rounding alone.

# %%
dy = a @ b
y = our_block_product(a, b, 50)
da, db = our_block_product_backward(dy, a, b, 50)
# Lesson 8: blocks change the order of a sum and nothing else; gemm and BLAS compute the same.
assert (np.abs(y - a @ b) <= 400 * u * (np.abs(a) @ np.abs(b))).all()
assert (np.abs(y - (c - 1)) <= 400 * u * (1 + np.abs(a) @ np.abs(b))).all()
assert (np.abs(da - dy @ b.T) <= 400 * u * (np.abs(dy) @ np.abs(b.T))).all()
assert (np.abs(db - a.T @ dy) <= 400 * u * (np.abs(a.T) @ np.abs(dy))).all()

# %% [markdown]
# ## Softmax in one pass
#
# In attention (tutorial 7), with scores $z_{ts}$ of $T$ queries and $S$ keys,
#
# $$y_{td} = \sum_s a_{ts}\, v_{sd}, \qquad a_{ts} = \frac{e^{z_{ts}}}{\sum_r e^{z_{tr}}} .$$
#
# Softmax seems to need three passes over a row: its maximum, its sum, and the quotients. $T \times S$ weights are written and
# read again. But one pass over blocks of keys is enough.
#
# **What is kept.** For one query, let $m$ be the largest score of the keys so far, $l$ the sum of the exponentials, and $Y$ the
# sum of the values, weighted with them:
#
# $$l = \sum_s e^{z_s - m}, \qquad Y = \sum_s e^{z_s - m}\, v_s .$$
#
# They start at $m = -\infty$, $l = 0$ and $Y = 0$. After the last block, $y = Y / l$.
#
# **A block.** Let a block with scores $z'$ and values $v'$ follow. The largest score is now $M = \max(m, \max_s z'_s)$. A
# factor $e^{m - M}$ turns every $e^{z_s - m}$ into $e^{z_s - M}$, so
#
# $$l \leftarrow e^{m - M}\, l + \sum_s e^{z'_s - M}, \qquad Y \leftarrow e^{m - M}\, Y + \sum_s e^{z'_s - M} v'_s, \qquad
#   m \leftarrow M .$$
#
# By hand: two keys with scores $(0, \ln 3)$ and values $(8, 4)$, in blocks of one key. The first block gives $m = 0$, $l = 1$,
# $Y = 8$. In the second, $M = \ln 3$ and $e^{m - M} = \frac13$. So $l = \frac13 + 1 = \frac43$ and
# $Y = \frac83 + 4 = \frac{20}3$. Then $y = \frac{20}3 / \frac43 = 5$. The weights $\frac14$ and $\frac34$ give the same:
# $2 + 3 = 5$.
#
# **Masks.** A masked key has $z_s = -\infty$. As long as all keys so far are masked, $M = -\infty$, and $z_s - M$ would be
# $-\infty + \infty$, which is nan. In that case 0 is subtracted in place of $M$. A query all of whose keys are masked ends with
# $l = 0$, and its $y$ is 0.
#
# **Backward.** The weights are not stored, but $m$ and $l$ are. So each block of weights can be computed again:
#
# $$a_{ts} = e^{z_{ts} - m_t} / l_t .$$
#
# For a query all of whose keys are masked, 0 is subtracted in place of $m_t$, and $l_t = 0$ is replaced by 1. Its weights are
# then 0.
#
# The gradient of softmax has a sum over the whole row, $\Delta_t = \sum_s a_{ts}\, da_{ts}$ (tutorial 7), and a block contains
# only a part of the row. But with $da_{ts} = \sum_d dy_{td} v_{sd}$,
#
# $$\Delta_t = \sum_s a_{ts} \sum_d dy_{td}\, v_{sd} = \sum_d dy_{td} \sum_s a_{ts}\, v_{sd} = \sum_d dy_{td}\, y_{td} ,$$
#
# which is known before the first block. The rest is done block by block:
#
# $$dz_{ts} = a_{ts} (da_{ts} - \Delta_t), \qquad\qquad dv_{sd} = \sum_t a_{ts}\, dy_{td} .$$
#
# In the example, with $dy = 1$: $\Delta = 5$ and $da = (8, 4)$, so $dz = (\frac14 \cdot 3, \frac34 \cdot (-1))$ and
# $dv = (\frac14, \frac34)$.
#
# This is the method of FlashAttention (Dao et al. 2022).


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


z, v, dy = np.array([[[0, np.log(3)]]]), np.array([[[8.0], [4.0]]]), np.ones((1, 1, 1))
m, sums, y = our_online_softmax(z, v, 1)
delta, dz, dv = our_online_softmax_backward(dy, z, v, m, sums, y, 1)
np.testing.assert_allclose([sums.item(), y.item(), delta.item()], [4 / 3, 5, 5])
np.testing.assert_allclose([dz.ravel(), dv.ravel()], [[3 / 4, -3 / 4], [1 / 4, 3 / 4]])

# %% [markdown]
# Both functions are compared with refmer's softmax, on 100 keys in blocks of 32. One row has a masked first block, and one is
# masked whole.

# %%
z, v, dy = 5 * rng.normal(size=(2, 3, 100)), rng.normal(size=(2, 100, 4)), rng.normal(size=(2, 3, 4))
z[0, 1, :40] = -np.inf
z[1, 2] = -np.inf
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
# Every fast function of refmer is a *twin* of a NumPy function, its *oracle*. The oracle defines the operation, and tutorial 2
# proves its gradient. Complex numbers always go to the oracle. Inside `with kernels(False)`, everything does.
#
# A twin may use another order of operations, so its results need not have the same bits. They must be as accurate. Layer norm
# shows that this is not a matter of course. It needs the variance $v$ of each row of $C$ numbers $x_c$ with the mean $\mu$, and
# divides by $\sigma = \sqrt v$:
#
# $$v = \frac1C \sum_c (x_c - \mu)^2, \qquad z_c = \frac{x_c - \mu}{\sigma} .$$
#
# This formula takes two passes over a row, one for $\mu$ and one for $v$. Another formula takes one pass:
#
# $$v = \frac1C \sum_c x_c^2 - \mu^2 .$$
#
# In exact numbers both are the same.
#
# By hand, $x = (10000, 10002)$: the mean is $\mu = 10001$, and $v = \frac12 (1 + 1) = 1$. The mean of the squares is
# $100{,}020{,}002$, and $\mu^2 = 100{,}020{,}001$. At this size, neighbouring float32 are 8 apart, and both are rounded to the
# same number. The one-pass formula gives $v = 0$.

# %%
assert f(100_020_002) - f(100_020_001) == 0

# %% [markdown]
# In general, both terms of the one-pass formula are rounded by about $u \mu^2$. So $v$ is off by a share of about
# $u (\mu / \sigma)^2$.
#
# In two passes only $\mu$ is rounded, by about $u \mu$, and $z_c$ is off by about $u\, \mu / \sigma$.


# %%
def normalize(x, on):
    with kernels(on):
        return layer_norm(x, np.ones(192, x.dtype), np.zeros(192, x.dtype))[0]


def oracle(x):
    return normalize(x, False)


def kernel(x):
    return normalize(x, True)


def one_pass(x):
    mean, square = x.mean(-1, keepdims=True), (x * x).mean(-1, keepdims=True)
    variance = np.maximum(square - mean * mean, 0)
    return (x - mean) / np.sqrt(variance + f(1e-5))


def worst_error(function, x):
    """Return the largest error of a float32 result; the reference is the oracle in float64."""
    return np.abs(function(x) - oracle(x.astype(float))).max()


x = rng.normal(size=(96, 192))
means = 10.0 ** np.arange(5)
errors = {}
for function in (oracle, kernel, one_pass):
    errors[function.__name__] = [worst_error(function, (x + mean).astype(f)) for mean in means]

fig, ax = plt.subplots(figsize=(7, 3.3), layout="constrained")
styles = {"oracle": "s-", "kernel": "o--", "one_pass": "^-"}
for name, style in styles.items():
    ax.loglog(means, errors[name], style, label=name.replace("_", " "))
ax.loglog(means, 3 * u * means, "k:", label=r"$3 u\, \mu / \sigma$")
ax.set(xlabel=r"mean of a row, in standard deviations: $\mu / \sigma$", ylabel="worst error of y")
ax.set_title("Layer norm in float32, 96 random rows of 192 numbers (seed 0)")
ax.legend()
plt.show()

# %% [markdown]
# With a mean of 0 or 1, all three are equally accurate: a test on such numbers cannot tell them apart. At larger means the
# error of the one-pass formula grows with the square of $\mu / \sigma$. So the kernel uses two passes.

# %%
microseconds = 1e6 * race([oracle, kernel], x)
print(f"layer norm (96, 192), float64: {microseconds[0]:.0f} us by the oracle, {microseconds[1]:.0f} us by the kernel")
# Lesson 10: equal in mathematics is not equal in float32, and a test with mean 0 or 1 cannot tell.
assert max(error[0] for error in errors.values()) < 1e-5 and errors["one_pass"][3] > 100 * errors["kernel"][3]
assert errors["kernel"][4] < 10 * errors["oracle"][4] and np.abs(oracle(x) - kernel(x)).max() < 1e-13

# %% [markdown]
# ## A whole system
#
# If kernels have a share $p$ of the time and become $g$ times faster, the whole takes the share $1 - p + p / g$ of its time. So
# it becomes faster by the factor (Amdahl's law)
#
# $$\frac{1}{1 - p + p / g} \le \frac{1}{1 - p} .$$
#
# By hand, $p = 0.8$ and $g = 4$: the whole becomes $1 / (0.2 + 0.2) = 2.5$ times faster. With any $g$, it is less than
# $1 / 0.2 = 5$ times.
#
# Two parts of the time stay as they were. Large matrix products used BLAS before. And Python's work between the operations on
# arrays is not compiled.
#
# The cell trains one epoch of a small system, with kernels off and on.

# %%
train, test = refmer.load_samples().split(by="speaker", test_size=0.25, seed=0)
slow_model = refmer.Recognizer("of_cmaer_cat", epochs=1)
fast_model = refmer.Recognizer("of_cmaer_cat", epochs=1)


def train_with_oracles():
    with kernels(False):
        slow_model.fit(train, progress=False)


def train_with_kernels():
    with kernels(True):
        fast_model.fit(train, progress=False)


slow, fast = race([train_with_oracles, train_with_kernels], turns=7)
slow_loss, fast_loss = slow_model.history_[-1]["train_loss"], fast_model.history_[-1]["train_loss"]
print(f"an epoch of OF-CMAER-CAT, tiny: {slow:.2f} s off, {fast:.2f} s on; losses {slow_loss:.6f}, {fast_loss:.6f}")
# Lesson 11: a whole gains less than its parts (on a quiet machine 1.6 times; its kernels 3 to 6 times), and learns the same.
assert abs(slow_loss - fast_loss) < 1e-4

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
assert (1 + 1) + (1 + 1) + (2 + 1) + (1 + 1) == 9 and 2 + 1 == 3
# Solution 2: 13, the first whose bound is below u.
assert min(D for D in range(20) if 2**0.5 * (math.log(2) / 2) ** (D + 1) / math.factorial(D + 1) < 2**-53) == 13
# Solution 3: half: 1 / 1.6 = 1 - p + p / 4, so p = (1 - 1 / 1.6) / (1 - 1 / 4).
assert abs((1 - 1 / 1.6) / (1 - 1 / 4) - 0.5) < 1e-12
