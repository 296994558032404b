# %% [markdown]
# # Exercise 2. Layer norm, and how to prove a gradient
#
# Write layer norm and its backward, a polynomial and its backward, and two ways to test a derivative. Replace every `...` by
# your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 02_how_to_prove_a_gradient.py
#
# The equations are derived in tutorial 2, "How to prove a gradient". Sizes: $B$ rows, $C$ numbers each, $K$ coefficients.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# Of every row $x$ of $C$ numbers, with $\epsilon = 10^{-5}$:
#
# $$\mu = \frac1C \sum_c x_c, \qquad v = \frac1C \sum_c (x_c - \mu)^2, \qquad r = (v + \epsilon)^{-1/2}, \qquad
#   z_c = (x_c - \mu)\, r, \qquad y_c = \gamma_c z_c + \beta_c .$$


# %%
def our_layer_norm(x, gamma, beta):
    """Return z, the centred and scaled rows of x, r, by which each row was
    scaled (epsilon is 1e-5), and y = gamma z + beta.

    x (B, C), gamma (C,), beta (C,) -> z (B, C), r (B, 1), y (B, C)
    """
    ...


# %% [markdown]
# A polynomial: $f(x) = \sum_k c_k x^k$. `x` may be complex: use sums, products and powers alone.


# %%
def our_polynomial(c, x):
    """Return f = c[0] + c[1] x + c[2] x^2 + ..., for each element of x, which may be
    complex.

    c (K,), x (B,) -> f (B,)
    """
    ...


# %% [markdown]
# ## By hand
#
# The row $(1, 3)$ has $\mu = 2$, $v = 1$, $r = 1 / \sqrt{1.00001}$, so $z = (-1, 1)$ to five digits. With $\gamma = (2, 3)$ and
# $\beta = (10, 10)$: $y = (8, 13)$.
#
#     >>> z, r, y = our_layer_norm(np.array([[1.0, 3.0]]), np.array([2.0, 3.0]), np.array([10.0, 10.0]))
#     >>> z.round(4).tolist(), y.round(4).tolist()
#     ([[-1.0, 1.0]], [[8.0, 13.0]])
#
# $f(x) = 1 + x^2 + x^3$ at 2 is $1 + 4 + 8 = 13$, and $f'(2) = 4 + 12 = 16$. The central difference with $h = 0.1$ is off by
# $h^2 f^{(3)}(x) / 6 = 0.01$; the complex step is exact.
#
#     >>> c, x = np.array([1.0, 0.0, 1.0, 1.0]), np.array([2.0])
#     >>> our_polynomial(c, x).tolist()
#     [13.0]
#     >>> central, imaginary = our_derivatives(c, x, 0.1)
#     >>> central.round(6).tolist(), imaginary.tolist()
#     ([16.01], [16.0])
#     >>> dx, dc = our_polynomial_backward(np.array([1.0]), c, x)
#     >>> dx.tolist(), dc.tolist()
#     ([16.0], [1.0, 2.0, 4.0, 8.0])
#
# ## Two tests of a derivative
#
# The central difference $(f(x + h) - f(x - h)) / 2h$, and the complex step $\operatorname{Im} f(x + ih) / h$ with $h =
# 10^{-30}$.


# %%
def our_derivatives(c, x, h):
    """Return the derivative of the polynomial at every x, by a central difference with step
    h and by a complex step of 1e-30.

    c (K,) with K at least 2, x (B,), h a number -> central (B,), imaginary (B,)
    """
    ...


# %% [markdown]
# ## Backward
#
# Of the polynomial: what does each element of $x$ do, and what each coefficient?


# %%
def our_polynomial_backward(dy, c, x):
    """Return the gradients of x and c for the upstream gradient dy of f.

    dy (B,), c (K,), x (B,) -> dx (B,), dc (K,)
    """
    ...


# %% [markdown]
# Of layer norm: first $dz$, then $dx$. Every $z_c$ of a row depends on every $x_k$ of it in three ways: directly, through
# $\mu$ and through $r$. `z` and `r` are those of the forward. $\gamma$ and $\beta$ serve all rows.


# %%
def our_layer_norm_backward(dy, z, r, gamma):
    """Return the gradients of z, x, gamma and beta for the upstream gradient dy.

    dy (B, C), z (B, C), r (B, 1), gamma (C,)
    -> dz (B, C), dx (B, C), dgamma (C,), dbeta (C,)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * A row of equal numbers has $v = 0$; $\epsilon$ keeps everything finite, and $z = 0$.
# * Small numbers, for which $\epsilon$ counts: is it inside the root?
# * The polynomial at 0: $0^0$ is 1.
