# %% [markdown]
# # 2. How to prove a gradient
#
# Introduces: `refmer.check.assert_pair`, `refmer.check.assert_gradient`, `refmer.ops.norms.layer_norm`,
# `refmer.ops.norms.layer_norm_backward`
#
# **After this page** you can derive the backward of layer norm, prove a gradient by a step along the imaginary axis, say why a
# difference quotient cannot tell a small mistake from rounding, and why a test whose upstream gradient is all ones can miss a
# mistake.
#
# **Time.** 60 minutes to read, 5 seconds to run.
#
# **You need** tutorial 1: the contract of forward and backward; and $i^2 = -1$.

# %%
import matplotlib.pyplot as plt
import numpy as np

from refmer import params
from refmer.check import assert_gradient, assert_pair
from refmer.layers.dense import describe_linear, linear
from refmer.ops.norms import layer_norm, layer_norm_backward

rng = np.random.default_rng(0)

# %% [markdown]
# ## Layer norm
#
# Layer norm works on each row of an array of shape $(B, C)$ separately. It centres the row and scales it to unit variance. Then
# it multiplies by a learned vector $\gamma$ and adds a learned vector $\beta$. For one row $x$ of $C$ numbers:
#
# $$\mu = \frac1C \sum_c x_c, \qquad v = \frac1C \sum_c (x_c - \mu)^2, \qquad r = (v + \epsilon)^{-1/2}, \qquad
#   z_c = (x_c - \mu)\, r, \qquad y_c = \gamma_c z_c + \beta_c .$$
#
# | symbol | shape | meaning |
# |---|---|---|
# | $\mu$, $v$ | a number for each row | mean and variance of the row |
# | $r$ | a number for each row | the factor by which the row is scaled |
# | $z$ | $(C,)$ for each row | the centred and scaled row |
# | $\gamma$, $\beta$ | $(C,)$, the same for all rows | learned scale and shift |
#
# The small $\epsilon = 10^{-5}$ stands inside the root. In a row of equal numbers, $v = 0$. Then $r$ is still finite, and
# $z = 0$.
#
# **Example.** The row $(1, 1, 5, 5)$ has the mean $\mu = 3$ and the variance $v = 4$. So $r = 1/2$ and $z = (-1, -1, 1, 1)$, up
# to the small effect of $\epsilon$.


# %%
def our_layer_norm(x, gamma, beta):
    """Return z, the centred and scaled rows of x, r, by which each row was
    scaled (epsilon is 1e-5), and y = gamma z + beta.

    x (B, C), gamma (C,), beta (C,) -> z (B, C), r (B, 1), y (B, C)
    """
    d = x - x.mean(-1, keepdims=True)
    v = (d * d).mean(-1, keepdims=True)
    r = (v + 1e-5) ** -0.5
    z = d * r
    y = gamma * z + beta
    return z, r, y


four = np.array([[1.0, 1.0, 5.0, 5.0]])
z, r, y = our_layer_norm(four, np.ones(4), np.zeros(4))
np.testing.assert_allclose(z, [[-1, -1, 1, 1]], atol=1e-5)

# %% [markdown]
# ## Its derivative
#
# The upstream gradient of $y$ is $dy$. Since $y_c = \gamma_c z_c + \beta_c$, the gradient that reaches $z_c$ is
# $dz_c = \gamma_c\, dy_c$.
#
# Now from $z$ to $x$. Every $z_c$ of a row depends on every $x_k$ of the same row, in three ways: directly, through $\mu$, and
# through $r$. Three derivatives are needed:
#
# $$\frac{\partial \mu}{\partial x_k} = \frac1C, \qquad
#   \frac{\partial v}{\partial x_k} = \frac2C (x_k - \mu), \qquad
#   \frac{\partial r}{\partial v} = -\frac12 r^3 .$$
#
# In the second one, $v$ also depends on $x_k$ through $\mu$. That part is 0, because the deviations $x_c - \mu$ sum to 0.
#
# Let $\delta_{ck}$ be 1 if $c = k$ and else 0. The product rule for $z_c = (x_c - \mu)\, r$ gives one term for each way:
#
# $$\frac{\partial z_c}{\partial x_k}
#   = \underbrace{r\,\delta_{ck}}_{\text{directly}} - \underbrace{\frac rC}_{\text{through } \mu}
#   + \underbrace{(x_c - \mu) \Bigl(-\tfrac12 r^3\Bigr) \frac2C (x_k - \mu)}_{\text{through } r}
#   = r \Bigl( \delta_{ck} - \frac1C - \frac1C z_c z_k \Bigr).$$
#
# The last step uses $(x_c - \mu)\, r = z_c$ and $(x_k - \mu)\, r = z_k$.
#
# The loss depends on $x_k$ through all $z_c$ of the row. So multiply by $dz_c$ and sum over $c$:
#
# $$dx_k = \sum_c dz_c \frac{\partial z_c}{\partial x_k}
#   = r \Bigl( dz_k - \underbrace{\tfrac1C \sum_c dz_c}_{\text{mean of } dz}
#     - z_k \underbrace{\tfrac1C \sum_c dz_c z_c}_{\text{mean of } dz\, z} \Bigr).$$
#
# Both means run over the $C$ numbers of one row.
#
# The vectors $\gamma$ and $\beta$ are used in every row $b$, so their gradients are sums over rows:
#
# $$d\gamma_c = \sum_b dy_{bc}\, z_{bc}, \qquad d\beta_c = \sum_b dy_{bc} .$$
#
# **Example.** Take the row above, with $r = 1/2$ and $z = (-1, -1, 1, 1)$, and let $dz = (1, 0, 0, 0)$. The mean of $dz$ is
# $1/4$, and the mean of $dz\, z$ is $-1/4$. So
#
# $$dx = \tfrac12 \bigl( (1, 0, 0, 0) - \tfrac14 + \tfrac14 (-1, -1, 1, 1) \bigr)
#   = \bigl(\tfrac14, -\tfrac14, 0, 0\bigr) .$$
#
# The result sums to 0. It has to: adding the same number to the whole row changes $\mu$ and nothing else, so $y$ stays as it
# is.


# %%
def our_layer_norm_backward(dy, z, r, gamma):
    """Return the gradients of z, x, gamma and beta for the upstream gradient dy.

    dy (B, C), z (B, C), r (B, 1), gamma (C,)
    -> dz (B, C), dx (B, C), dgamma (C,), dbeta (C,)
    """
    dz = dy * gamma
    dx = r * (dz - dz.mean(-1, keepdims=True) - z * (dz * z).mean(-1, keepdims=True))
    dgamma = (dy * z).sum(0)
    dbeta = dy.sum(0)
    return dz, dx, dgamma, dbeta


dz, dx, dgamma, dbeta = our_layer_norm_backward(np.array([[1.0, 0, 0, 0]]), z, r, np.ones(4))
np.testing.assert_allclose(dx, [[1 / 4, -1 / 4, 0, 0]], atol=1e-5)

# %% [markdown]
# refmer's pair is `layer_norm` and `layer_norm_backward`. The forward returns $y$ and what the backward needs. Both agree with
# ours.

# %%
C = 7
x, gamma, beta, dy = rng.normal(size=(3, C)), np.ones(C), np.zeros(C), rng.normal(size=(3, C))
y, *saved = layer_norm(x, gamma, beta)  # saved: z, r, gamma
np.testing.assert_allclose(our_layer_norm(x, gamma, beta)[2], y, rtol=1e-12)
ours = our_layer_norm_backward(dy, *saved)[1:]
for mine, theirs in zip(ours, layer_norm_backward(dy, *saved), strict=True):
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)

# %% [markdown]
# For the tests below we keep the right gradient of $x$, and a wrong one, in which the term through $r$ is missing. That is a
# common mistake.


# %%
def right_backward(dy, z, r, gamma):
    return our_layer_norm_backward(dy, z, r, gamma)[1]


def wrong_backward(dy, z, r, gamma):
    """The gradient of x without its last term."""
    dz = dy * gamma
    return r * (dz - dz.mean(-1, keepdims=True))


# %% [markdown]
# ## The usual test: a difference quotient
#
# A backward is tested on a number whose gradient it should return. Choose any array $dy$ and define
# $f(x) = \sum_{bc} dy_{bc}\, y_{bc}(x)$. Then $\partial f / \partial y = dy$. So the gradient of $f$ with respect to $x$ is
# what the backward returns for the upstream gradient $dy$.
#
# Let $e$ be an array of zeros with a single 1, at the element to be tested. The central difference along $e$ is about
#
# $$\frac{f(x + h e) - f(x - h e)}{2h} = f'(x) + \frac{h^2}{6} f'''(x) + \frac{\text{rounding} \approx 10^{-16} |f|}{h} .$$
#
# A large $h$ suffers from the second term. A small $h$ suffers from the third: the two values of $f$ are nearly equal, and the
# subtraction cancels their common digits.
#
# The two errors are about equal if $h^2 = 10^{-16} / h$, that is near $h = 10^{-5}$. Then each is about $10^{-10}$. So at best
# about ten of sixteen digits are correct, and a mistake smaller than that cannot be told from rounding.
#
# **Example.** Take $f(x) = 1 + x^2 + x^3$ at $x = 2$, with $h = 0.1$. The derivative is $2x + 3x^2 = 4 + 12 = 16$. The central
# difference is $(14.671 - 11.469) / 0.2 = 16.01$. Its error 0.01 is the second term: $f''' = 6$, and $h^2 / 6 \cdot 6 = 0.01$.
#
# ## The complex step
#
# Take the step along the imaginary axis instead. The function $f$ is analytic: it is made of sums, products, roots and
# exponentials. So its Taylor series also holds for complex steps. With $i^2 = -1$ and $i^3 = -i$ it is
#
# $$f(x + ih) = f(x) + ih\, f'(x) - \frac{h^2}{2} f''(x) - \frac{i h^3}{6} f'''(x) + \dots$$
#
# The derivative stands in the imaginary part:
#
# $$\frac{\operatorname{Im} f(x + ih)}{h} = f'(x) - \frac{h^2}{6} f'''(x) + \dots$$
#
# Nothing is subtracted, so no digits are lost. Therefore $h$ may be very small. refmer uses $10^{-30}$: its square is far below
# the last digit of $f'$.
#
# The test costs one evaluation of $f$ in complex numbers for each element. It also makes one demand on the code: every step has
# to be analytic. So there is no `abs` and no `.conj()`, and a maximum compares real parts (`.real`).
#
# **Example.** For $f(x) = 1 + x^2 + x^3$ at 2 again, $\operatorname{Im} (2 + ih)^2 = 4h$ and
# $\operatorname{Im} (2 + ih)^3 = 12h - h^3$. So the quotient is $16 - h^2$: for $h = 10^{-30}$ it is 16 to the last digit.
#
# ### Both tests on a polynomial
#
# The general case of the example is a polynomial with $K$ coefficients,
#
# $$f(x) = \sum_{k=0}^{K-1} c_k x^k, \qquad f'(x) = \sum_{k=1}^{K-1} k\, c_k x^{k-1}, \qquad
#   \frac{\partial f}{\partial c_k} = x^k .$$
#
# It is evaluated at $B$ places $x_b$, with an upstream gradient $dy_b$ for each. Every $x_b$ is used once, and every $c_k$ is
# used at all places:
#
# $$dx_b = dy_b\, f'(x_b), \qquad dc_k = \sum_b dy_b\, x_b^k .$$


# %%
def our_polynomial(c, x):
    """Return f = c[0] + c[1] x + c[2] x^2 + ..., for each element of x, which may be
    complex.

    c (K,), x (B,) -> f (B,)
    """
    f = sum(c[k] * x**k for k in range(len(c)))
    return f


def our_polynomial_backward(dy, c, x):
    """Return the gradients of x and c for the upstream gradient dy of f.

    dy (B,), c (K,), x (B,) -> dx (B,), dc (K,)
    """
    dx = dy * sum(k * c[k] * x ** (k - 1) for k in range(1, len(c)))
    dc = np.stack([(dy * x**k).sum() for k in range(len(c))])
    return dx, dc


def our_derivatives(c, x, h):
    """Return the derivative of the polynomial at every x, by a central difference with step
    h and by a complex step of 1e-30.

    c (K,) with K at least 2, x (B,), h a number -> central (B,), imaginary (B,)
    """
    central = (our_polynomial(c, x + h) - our_polynomial(c, x - h)) / (2 * h)
    imaginary = our_polynomial(c, x + 1e-30j).imag / 1e-30
    return central, imaginary


# Lesson 1: for 1 + x^2 + x^3 at 2 the slope is 4 + 12; a central difference with step 1/10 is off by h^2 times 6 / 6.
slopes = our_derivatives(np.array([1.0, 0.0, 1.0, 1.0]), np.array([2.0]), 0.1)
np.testing.assert_allclose(slopes, [[16.01], [16]], rtol=1e-12)

# %% [markdown]
# ## Both tests on layer norm
#
# The same comparison for one element of layer norm's gradient, for steps $h$ from $10^{-40}$ to $10^{-1}$. To an error of
# exactly 0 we add $10^{-17}$, so that the logarithmic axis can show it.


# %%
def f(x):
    return (dy * layer_norm(x, gamma, beta)[0]).sum()


def central(h):
    e = np.zeros_like(x)
    e[0, 0] = h
    return (f(x + e) - f(x - e)) / (2 * h)


def complex_step(h):
    e = np.zeros(x.shape, complex)
    e[0, 0] = 1j * h
    return f(x + e).imag / h


true = right_backward(dy, *saved)[0, 0]
steps = 10.0 ** np.arange(-40, 0)
errors = {}
for name, derivative in (("central", central), ("complex_step", complex_step)):
    errors[name] = [abs(derivative(h) - true) / abs(true) + 1e-17 for h in steps]

fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.loglog(steps, errors["central"], ".-", label="central difference")
ax.loglog(steps, errors["complex_step"], ".-", label="complex step")
ax.axhline(1e-12, color="k", ls=":", label="refmer's limit")
ax.set(
    xlabel="step h",
    ylabel="relative error of the derivative",
    title="Derivative of layer norm by one element (3 rows of 7, seed 0)",
)
ax.legend(loc="center left")
plt.show()

# %% [markdown]
# The central difference is best near $h = 10^{-5}$, with an error of about $10^{-11}$. From $10^{-17}$ down it is 0, with a
# relative error of 1: the step no longer changes $x$. For steps of $10^{-8}$ and less, the complex step is correct up to
# rounding.

# %%
# Lesson 2: the best central difference is thousands of times worse than the complex step.
assert errors["complex_step"][10] < 1e-14
assert min(errors["central"]) > 1000 * errors["complex_step"][10]

# %% [markdown]
# ## An upstream gradient of ones proves nothing
#
# Many tests take $f(x) = \sum y$, that is $dy = 1$. For layer norm with $\gamma = 1$ this test cannot fail.
#
# The rows of $z$ sum to 0 whatever $x$ is. So $f$ is constant, and its true gradient is 0. The wrong backward, without the last
# term, returns $r\,(1 - 1)$, which is 0, too. Right and wrong agree.
#
# With a random upstream gradient they differ.

# %%
ones = np.ones_like(x)
right_ones, wrong_ones = right_backward(ones, *saved), wrong_backward(ones, *saved)
right_random, wrong_random = right_backward(dy, *saved), wrong_backward(dy, *saved)
print(f"ones:   largest element {np.abs(right_ones).max():.1e} right, {np.abs(wrong_ones).max():.1e} wrong")
print(f"random: right and wrong differ by up to {np.abs(right_random - wrong_random).max():.2f}")

# Lesson 3: with ones, right and wrong agree to 15 digits; with a random upstream they do not agree to one.
assert np.abs(right_ones - wrong_ones).max() < 1e-14
assert np.abs(right_random - wrong_random).max() > 0.05

# %% [markdown]
# ## refmer's proofs
#
# Two functions of refmer test a gradient with the complex step:
#
# - `assert_pair(f, ...)` tests an operation `f` and the function `f_backward` in the same file, in every element of every
#   input.
# - `assert_gradient(layer, p, ...)` tests a layer, whose backward is a closure, also in every parameter.
#
# Both use a random upstream gradient. They accept a relative error below $10^{-12}$, and return the worst error.
#
# They test two more parts of the contract: no function writes into an array that is not its own, and a second call of the
# backward adds the same gradients again.

# %%
worst_pair = assert_pair(layer_norm, x, rng.normal(size=C), rng.normal(size=C), rng=rng)
p = params.init(describe_linear(5, 3), seed=0, dtype=np.float64)
worst_layer = assert_gradient(linear, p, rng.normal(size=(2, 5)), rng=rng)
print(f"layer norm {worst_pair:.1e}, linear {worst_layer:.1e}")

# Lesson 4: the error of a correct gradient is of the size of rounding.
assert max(worst_pair, worst_layer) < 1e-14

# %% [markdown]
# A wrong gradient fails. In the layer below, the backward lacks a transpose. Its $W$ is square, so all shapes agree and NumPy
# raises no error. `assert_gradient` raises one.
#
# In tests, choose sizes that are pairwise different. Then NumPy finds such a mistake already.


# %%
def careless(p, x):
    """A linear layer whose backward uses W in place of its transpose."""

    def backward(dy, g):
        g.W += x.T @ dy
        g.b += dy.sum(0)
        return dy @ p.W

    return x @ p.W + p.b, backward


square = params.init(describe_linear(3, 3), seed=0, dtype=np.float64)
try:
    assert_gradient(careless, square, rng.normal(size=(2, 3)), rng=rng)
    noticed = False
except AssertionError as error:
    noticed = True
    print(error)

# Lesson 5: a missing transpose is found, even where all shapes agree.
assert noticed

# %% [markdown]
# ## Limits of such a proof
#
# The test proves that the backward is the derivative of the forward. It does not prove that the forward is what a paper means:
# a focal loss with a wrong sign passes.
#
# A forward needs other tests: values computed by hand, laws (rows of attention sum to 1), and comparison with other
# implementations.
#
# At a kink, such as $\max(u, 0)$ at exactly 0, there is no derivative. There the test means nothing.
#
# ## On your own
#
# Write it yourself: exercise file `02_how_to_prove_a_gradient.py` (`refmer exercises --out DIR`, then
# `refmer grade DIR/02_how_to_prove_a_gradient.py`).
#
# 1. Derive the backward of $y_c = x_c / \sqrt{\frac1C \sum_k x_k^2}$ (RMS norm), and prove it with `complex_step`'s idea.
# 2. `np.abs(x)` has derivative $\pm 1$. What does the complex step answer for it, and why?
# 3. Find the best $h$ for the one-sided quotient $(f(x + h) - f(x)) / h$. Why is it smaller than $10^{-5}$, and its error
#    larger?


# %% tags=["hide-cell"]
# Solution 1: with r = (mean x^2)^(-1/2), dx = r (dy - y mean(dy y)): layer norm's formula without the centring.
def rms(x):
    return x / np.sqrt((x * x).mean(-1, keepdims=True))


row, d = rng.normal(size=C), rng.normal(size=C)
r, out = 1 / np.sqrt((row * row).mean()), rms(row)
ours = r * (d - out * (d * out).mean())
theirs = [(d * rms(row + 1e-30j * e)).sum().imag / 1e-30 for e in np.eye(C)]
np.testing.assert_allclose(ours, theirs, rtol=1e-12)

# Solution 2: 0. |x + ih| = sqrt(x^2 + h^2) is real: abs is not analytic, it drops the imaginary part.
assert np.imag(np.abs(2 + 1e-30j)) == 0

# Solution 3: its own error falls only like h, so the balance with rounding / h lies near 1e-8, where each is 1e-8.
one_sided = [abs((np.exp(1 + h) - np.exp(1)) / h / np.exp(1) - 1) for h in steps]
assert 1e-10 < steps[np.argmin(one_sided)] < 1e-6 and min(one_sided) > min(errors["complex_step"])
