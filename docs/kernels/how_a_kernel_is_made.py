# %% [markdown]
# # How a kernel is made
#
# From the NumPy definition of layer norm to the kernel in `refmer/kernels/norms.py`, in five steps. Each step changes one
# thing, is compared with the definition, and is timed beside it. Tutorial 11 does the same for a matrix product, and explains
# rounding.
#
# The times on this page are from the machine that built it. Yours will differ: no assertion is about a time.

# %%
from functools import partial
from inspect import getsource
from time import process_time

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

from refmer.kernels import njit as njit_of_kernels
from refmer.kernels import norms
from refmer.kernels.vectors import OPTIONS
from refmer.ops.norms import layer_norm
from refmer.ops.twins import kernels

rng = np.random.default_rng(0)
SIZES = {"96 x 192, the tokens of a batch": (96, 192), "4096 x 256, larger than the caches": (4096, 256)}


def arguments(shape):
    x = rng.normal(size=shape).astype("f4")
    gamma, beta = rng.normal(size=(2, shape[1])).astype("f4")
    return x, gamma, beta


def race(*functions, turns=25, calls=8):
    """Return the median seconds of a call of each; they take turns, so that what else the machine does slows all."""
    spent = [[] for _ in functions]
    for turn in range(-2, turns):  # two turns to warm up: compilation is no part of a race
        for function, times in zip(functions, spent, strict=True):
            start = process_time()
            for _ in range(calls):
                function()
            if turn >= 0:
                times.append((process_time() - start) / calls)
    return np.median(spent, axis=1)


def definition(x, gamma, beta):
    with kernels(False):
        return layer_norm(x, gamma, beta)


steps = {}  # name -> function


def measure(name, function):
    """Check a step against the definition, and time it beside the definition and the steps before."""
    steps[name] = function
    for shape in SIZES.values():
        x, gamma, beta = arguments(shape)
        y, exact = function(x, gamma, beta)[0], definition(x.astype("f8"), gamma.astype("f8"), beta.astype("f8"))[0]
        print(
            f"{' x '.join(map(str, shape)):>10}: {y.dtype}, error {np.abs(y - exact).max() / np.abs(exact).max():.0e}", end=""
        )
        given = [partial(f, x, gamma, beta) for f in (definition, *steps.values())]
        first, *others = race(*given)
        print(f", {others[-1] * 1e6:.0f} us, {first / others[-1]:.1f} times as fast as the definition")
        assert np.abs(y - exact).max() < 1e-6 * np.abs(exact).max()


# %% [markdown]
# ## The definition
#
# For each row $x$ of $C$ numbers, $y = \gamma z + \beta$ with $z = (x - m) r$, $m$ the mean and $r = 1/\sqrt{v + \epsilon}$,
# $v$ the variance of the row. NumPy writes a whole array after every operation:

# %%
print(getsource(layer_norm.__wrapped__))

# %% [markdown]
# ## Step 1. Loops, compiled
#
# The same formula as loops that Numba compiles: the means of all rows, then the variances, then $z$, then $y$. Four passes
# over memory instead of about ten, and no temporary arrays.


# %%
@njit
def passes(x, gamma, beta, eps=1e-5):
    N, C = x.shape
    mean, rstd, y, z = np.zeros(N, x.dtype), np.zeros(N, x.dtype), np.empty_like(x), np.empty_like(x)
    for i in range(N):
        for j in range(C):
            mean[i] += x[i, j] / C
    for i in range(N):
        for j in range(C):
            rstd[i] += (x[i, j] - mean[i]) ** 2 / C
        rstd[i] = 1 / np.sqrt(rstd[i] + eps)
    for i in range(N):
        for j in range(C):
            z[i, j] = (x[i, j] - mean[i]) * rstd[i]
    for i in range(N):
        for j in range(C):
            y[i, j] = gamma[j] * z[i, j] + beta[j]
    return y, z, rstd


measure("1 loops", passes)

# %% [markdown]
# ## Step 2. All of a row before the next
#
# A row of 256 float32 numbers is 1 kB: it is still in the first cache when its variance, $z$ and $y$ are computed, if these
# follow at once. Now each number of $x$ is read from memory once, and each of $z$ and $y$ written once. A sum in a variable
# instead of in `mean[i]` need not be stored after every addition, and a division by $C$ is done once for a row, not for every
# number.


# %%
@njit
def rows(x, gamma, beta, eps=1e-5):
    N, C = x.shape
    y, z, rstd = np.empty_like(x), np.empty_like(x), np.empty((N, 1), x.dtype)
    for i in range(N):
        total = 0.0
        for j in range(C):
            total += x[i, j]
        mean, total = total / C, 0.0
        for j in range(C):
            total += (x[i, j] - mean) ** 2
        rstd[i, 0] = scale = 1 / np.sqrt(total / C + eps)
        for j in range(C):
            z[i, j] = (x[i, j] - mean) * scale
        for j in range(C):
            y[i, j] = gamma[j] * z[i, j] + beta[j]
    return y, z, rstd


measure("2 row by row", rows)

# %% [markdown]
# ## Step 3. One dtype
#
# `total = 0.0` is a Python float, 64 bits; so are `total / C`, `mean`, and with them every `x[i, j] - mean`. Half as many
# numbers of 64 bits fit into a vector, and each has to be converted there and back. `kind` is the dtype of $x$: every constant
# is one of it. That also keeps one function for float32 and float64. The price is a sum of float32 numbers in float32: see the
# error. These are the loops of the kernel:


# %%
single = norms.layer_norm.py_func
print(getsource(single).split('"""')[2])
measure("3 one dtype", njit(single))

# %% [markdown]
# ## Step 4. What the compiler may change
#
# A sum in the order of the loop waits for the result of each addition, 4 cycles; in any order, 8 or 16 partial sums run side
# by side in one vector. Rounding makes the results differ, so the compiler must not do it unless told: `reassoc`. `contract`
# joins a product and a sum in one instruction, `nsz` ignores the sign of zero. What stays forbidden are `nnan` and `ninf`,
# with which a compiler assumes that nan and infinity do not occur: they must come out as in the definition.
# The `njit` of `refmer.kernels` has `error_model="numpy"` too: a division by 0 is that of NumPy. Python's check of every
# division would end the vectors.
#
# The loops stay as they are.

# %%
print(OPTIONS)
fast = njit_of_kernels(**OPTIONS)(single)
measure("4 sums in any order", fast)

x, gamma, beta = arguments((2, 6))
x[0, 0] = np.nan
np.testing.assert_allclose(fast(x, gamma, beta)[0], definition(x, gamma, beta)[0], atol=1e-6)  # nan in row 0 alone

# %% [markdown]
# ## Step 5. The twin
#
# Numba compiles a function anew for every combination of types: another number of axes, an array that is not contiguous or not
# writable, a number that is once an `int` and once a `float`. That costs most of a second each, and a user waits for it.
# `@twin` above the definition brings arguments to one form before the call: contiguous arrays with all leading axes as one,
# Python's numbers. The contract `x (..., C), gamma (C), beta (C)` says which axes these are; it is also the check of the
# arguments, so that the kernel needs none. What this costs is a few microseconds for each call, which matter where arrays are
# small.

# %%
compiled, before = njit_of_kernels(**OPTIONS)(single), len(norms.layer_norm.signatures)
x, gamma, beta = arguments((6, 8))
fixed = x.copy()
fixed.flags.writeable = False
for view in (x, x[:, ::-1], fixed, fixed[::2]):
    np.testing.assert_allclose(compiled(view, gamma, beta)[0], layer_norm(view, gamma, beta)[0], atol=1e-6)
x = x.reshape(2, 3, 8)
np.testing.assert_allclose(layer_norm(x, gamma, beta)[0], definition(x, gamma, beta)[0], atol=1e-6)
print(f"variants: {len(compiled.signatures)} of the loops, {len(norms.layer_norm.signatures)} of the kernel under its twin")
assert len(norms.layer_norm.signatures) <= before + 1
measure("5 the twin", layer_norm)

# %% [markdown]
# ## What each step gave
#
# The test of every kernel (`tests/kernels/test_twins.py`) compares it with its definition on random arguments, in float32 and
# float64; a bound of the error and the gain stand in its documentation.

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", sharey=True)
for ax, (title, shape) in zip(axes, SIZES.items(), strict=True):
    given = arguments(shape)
    times = race(*(partial(f, *given) for f in (definition, *steps.values())))
    bars = ax.barh(["definition", *steps], times * 1e6, color="0.35")
    ax.bar_label(bars, [f"{times[0] / t:.1f}" for t in times], padding=3)
    ax.set(title=title, xlabel="us per call (beside: times as fast)", xlim=(0, times.max() * 1.2e6))
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# The backward was made the same way: `layer_norm_backward`, directly below. A norm has few operations for each number; kernels
# of products live in `refmer/kernels/gemm.py`.
