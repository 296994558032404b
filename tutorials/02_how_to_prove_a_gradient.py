# %% [markdown]
# # 2. How to prove a gradient
#
# Introduces: `refmer.check.assert_pair`, `refmer.check.assert_gradient`, `refmer.ops.norms.layer_norm`,
# `refmer.ops.norms.layer_norm_backward`
#
# **After this page** you can derive the backward of layer norm, prove a gradient by a step along the imaginary axis, say why a
# difference quotient cannot tell a small mistake from rounding, and why a test whose upstream gradient is all ones is blind.
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
# Every row $x$ of $C$ numbers is centred, scaled to unit variance, stretched and moved:
#
# $$\mu = \frac1C \sum_c x_c, \qquad v = \frac1C \sum_c (x_c - \mu)^2, \qquad r = (v + \epsilon)^{-1/2}, \qquad
#   z_c = (x_c - \mu)\, r, \qquad y_c = \gamma_c z_c + \beta_c .$$
#
# The small $\epsilon = 10^{-5}$, inside the root, keeps a row of equal numbers finite: $v = 0$, and $z = 0$.
#
# ## Its derivative
#
# Let $dz_c = \gamma_c\, dy_c$ be the gradient that reaches $z_c$. Every $z_c$ depends on every $x_k$, in three ways: directly,
# through $\mu$, and through $r$. With $\partial \mu / \partial x_k = 1/C$, and
# $\partial v / \partial x_k = \frac2C (x_k - \mu)$ (the part through $\mu$ vanishes, because deviations sum to 0), and
# $\partial r / \partial v = -\frac12 r^3$:
#
# $$\frac{\partial z_c}{\partial x_k}
#   = r\,\delta_{ck} - \frac rC + (x_c - \mu) \Bigl(-\tfrac12 r^3\Bigr) \frac2C (x_k - \mu)
#   = r \Bigl( \delta_{ck} - \frac1C - \frac1C z_c z_k \Bigr).$$
#
# Sum over $c$, each term weighted with $dz_c$:
#
# $$dx_k = \sum_c dz_c \frac{\partial z_c}{\partial x_k}
#   = r \Bigl( dz_k - \underbrace{\tfrac1C \sum_c dz_c}_{\text{mean of } dz}
#     - z_k \underbrace{\tfrac1C \sum_c dz_c z_c}_{\text{mean of } dz\, z} \Bigr).$$
#
# $\gamma$ and $\beta$ serve every row $b$, so their gradients are sums: $d\gamma_c = \sum_b dy_{bc}\, z_{bc}$ and
# $d\beta_c = \sum_b dy_{bc}$.


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


def right_backward(dy, z, r, gamma):
    return our_layer_norm_backward(dy, z, r, gamma)[1]


def wrong_backward(dy, z, r, gamma):
    """The last term is forgotten: the mistake that everybody makes once."""
    dz = dy * gamma
    return r * (dz - dz.mean(-1, keepdims=True))


C = 7
x, gamma, beta, dy = rng.normal(size=(3, C)), np.ones(C), np.zeros(C), rng.normal(size=(3, C))
y, *saved = layer_norm(x, gamma, beta)
np.testing.assert_allclose(our_layer_norm(x, gamma, beta)[2], y, rtol=1e-12)
ours = our_layer_norm_backward(dy, *saved)[1:]
for mine, theirs in zip(ours, layer_norm_backward(dy, *saved), strict=True):
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)

# %% [markdown]
# ## The usual test: a difference quotient
#
# With $f(x) = \sum_{bc} dy_{bc}\, y_{bc}(x)$, a number, the derivative along one element is about
#
# $$\frac{f(x + h e) - f(x - h e)}{2h} = f'(x) + \frac{h^2}{6} f'''(x) + \frac{\text{rounding} \approx 10^{-16} |f|}{h} .$$
#
# A large $h$ suffers from the second term, a small one from the third: the two nearly equal values of $f$ lose their common
# digits in the subtraction. The best compromise, near $h = 10^{-5}$, leaves ten correct digits of sixteen.
#
# ## The complex step
#
# Take the step along the imaginary axis instead. $f$ is analytic (made of sums, products, roots, exponentials), so its Taylor
# series holds there too:
#
# $$f(x + ih) = f(x) + ih\, f'(x) - \frac{h^2}{2} f''(x) - \dots \qquad\Longrightarrow\qquad
#   \frac{\operatorname{Im} f(x + ih)}{h} = f'(x) - \frac{h^2}{6} f'''(x) + \dots$$
#
# Nothing is subtracted, so nothing is lost, and $h$ may be $10^{-30}$, whose square is beyond all digits. It costs one
# evaluation in complex numbers, and one discipline: code must stay analytic (no `abs`, no `.conj()`, maxima by `.real`).
#
# Both are short. To try them by hand, take a polynomial $f(x) = c_0 + c_1 x + c_2 x^2 + \dots$, whose derivative is
# $f'(x) = c_1 + 2 c_2 x + \dots$ And $c_k$ is multiplied by $x^k$, so $\partial f / \partial c_k = x^k$.


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
errors = {g.__name__: [abs(g(h) - true) / abs(true) + 1e-17 for h in steps] for g in (central, complex_step)}

fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.loglog(steps, errors["central"], ".-", label="central difference")
ax.loglog(steps, errors["complex_step"], ".-", label="complex step")
ax.axhline(1e-12, color="k", ls=":", label="what refmer asks for")
ax.set(xlabel="step h", ylabel="relative error of the derivative", title="One element of layer norm's gradient")
ax.legend(loc="center left")
plt.show()

# Lesson 2: the best central difference is thousands of times worse than the complex step.
assert errors["complex_step"][10] < 1e-14
assert min(errors["central"]) > 1000 * errors["complex_step"][10]

# %% [markdown]
# ## Why an upstream of ones is blind
#
# Many tests take $f(x) = \sum y$, that is $dy = 1$. With $\gamma = 1$ the rows of $z$ sum to 0 whatever $x$ is, so $f$ is
# constant and its true gradient is 0. The wrong backward answers $r\,(1 - 1) = 0$, too. They agree, and prove nothing.

# %%
blind = np.ones_like(x)
print("ones:  ", np.abs(right_backward(blind, *saved)).max(), np.abs(wrong_backward(blind, *saved)).max())
print("random:", np.abs(right_backward(dy, *saved) - wrong_backward(dy, *saved)).max())

# Lesson 3: with ones, right and wrong agree to 15 digits; with a random upstream they do not agree to one.
assert np.abs(right_backward(blind, *saved) - wrong_backward(blind, *saved)).max() < 1e-14
assert np.abs(right_backward(dy, *saved) - wrong_backward(dy, *saved)).max() > 0.05

# %% [markdown]
# ## refmer's proofs
#
# `assert_pair(f, ...)` does all this for a function `f` and the `f_backward` under it: a random upstream, every element of
# every input, relative error below $10^{-12}$. `assert_gradient` does it for layers, whose backward is a closure, in every
# parameter too. Both return the worst error. They also see to it that nothing writes into an array that is not its own, and
# that a second backward adds the same gradients again.

# %%
worst_pair = assert_pair(layer_norm, x, rng.normal(size=C), rng.normal(size=C), rng=rng)
p = params.init(describe_linear(5, 3), seed=0, dtype=np.float64)
worst_layer = assert_gradient(linear, p, rng.normal(size=(2, 5)), rng=rng)
print(f"layer norm {worst_pair:.1e}, linear {worst_layer:.1e}")

# Lesson 4: what is right is right to the last bits.
assert max(worst_pair, worst_layer) < 1e-14


# %%
def careless(p, x):
    """A linear layer that forgets to transpose; its W is square, so no shape complains."""

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

# Lesson 5: a transposed matrix is noticed. Better still, choose sizes that are pairwise different: then NumPy notices.
assert noticed

# %% [markdown]
# ## What it does not prove
#
# That backward is the derivative of forward, not that forward is what a paper means: a focal loss with a wrong sign passes.
# Forward needs other witnesses: values computed by hand, laws (rows of attention sum to 1), other people's implementations. And
# at a kink, such as $\max(u, 0)$ at exactly 0, there is no derivative to be right about.
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

# Solution 2: 0. |x + ih| = sqrt(x^2 + h^2) is real: abs is not analytic, it throws the imaginary part away.
assert np.imag(np.abs(2 + 1e-30j)) == 0

# Solution 3: its own error falls only like h, so the balance with rounding / h lies near 1e-8, where each is 1e-8.
one_sided = [abs((np.exp(1 + h) - np.exp(1)) / h / np.exp(1) - 1) for h in steps]
assert 1e-10 < steps[np.argmin(one_sided)] < 1e-6 and min(one_sided) > min(errors["complex_step"])
