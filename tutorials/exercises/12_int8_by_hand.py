# %% [markdown]
# # Exercise 12. INT8 by hand
#
# Write numbers in 8 bits, with a zero point and without, the product of such numbers, and the backward of a layer that is
# trained with rounding in it. Replace every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 12_int8_by_hand.py
#
# The equations are derived in tutorial 12, "INT8 by hand". Sizes: $B$ rows of $K$ numbers, $N$ columns of weights.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# Numbers from $l$ to $h$ are written as $x \approx s\,(q - z)$, with whole numbers $q$ from 0 to 255. The range is widened
# first, so that it holds 0: $l \le 0 \le h$. Then
#
# $$s = \frac{h - l}{255}, \qquad z = \mathrm{round}\!\left(-\frac ls\right), \qquad
#   q = \mathrm{clip}\!\left(\mathrm{round}\!\left(\frac xs\right) + z,\ 0,\ 255\right) .$$
#
# (With `top`, 255 is another number.) `np.rint` rounds. Inputs have a range for each row. Weights have no zero point, and a
# scale for each column: $t_n = \max_k |W_{kn}| / 127$, $w_{kn} = \mathrm{round}(W_{kn} / t_n)$ from $-127$ to 127.
# The codes are bytes: `astype(np.uint8)` for $q$, `astype(np.int8)` for $w$.
#
# The product of two such matrices is one of whole numbers, exact in 32 bits; scales come last:
#
# $$\mathrm{sums}_{bn} = \sum_k (q_{bk} - z_b)\, w_{kn} = \sum_k q_{bk} w_{kn} - z_b \sum_k w_{kn}, \qquad\qquad
#   y_{bn} = s_b t_n\, \mathrm{sums}_{bn} .$$


# %%
def our_affine(x, low, high, top=255):
    """Return scale, zero point and codes of x for ranges from low to high, widened to hold
    0. A range of width 0: s = 1, z = 0.

    x (B, K), low, high (B, 1) or numbers, top the largest code
    -> s, z as low and high, z in int32; q as x, 0 to top, in uint8
    """
    ...


def our_affine_rows(x):
    """Return scales, zero points and codes of x, each row with the range of its own
    numbers.

    x (B, K) -> s (B, 1), z (B, 1) in int32, q (B, K) in uint8, from 0 to 255
    """
    ...


def our_symmetric(W):
    """Return a scale for each column and the codes of W, without a zero point. A column of
    zeros has t = 1.

    W (K, N) -> t (N,), w (K, N) in int8, from -127 to 127
    """
    ...


def our_product(s, z, q, t, w):
    """Return sum_k (q - z) w, exact, and the numbers that it stands for, y.

    s, z (B, 1), q (B, K), t (N,), w (K, N), as of our_affine_rows and our_symmetric
    -> sums (B, N) in int32, y (B, N)
    """
    ...


# %% [markdown]
# In *fake* quantization numbers are rounded, but stay floats: $u = s\,(q - z)$ takes the place of $x$, and
# $V_{kn} = t_n w_{kn}$ the place of $W$. The scales $s$ and $t$ and the zero point are given. The layer is $y = uV$.


# %%
def our_fake(x, s, z):
    """Return the codes of x, from 0 to 255, and the numbers u that they stand for.

    x (B, K), s, z (B, 1) -> q, u (B, K)
    """
    ...


def our_rounded_linear(x, W, s, z, t):
    """Return the rounded inputs u, the rounded weights V with codes from -127 to 127, and y
    = u V.

    x (B, K), W (K, N), s, z (B, 1), t (N,) -> u (B, K), V (K, N), y (B, N)
    """
    ...


# %% [markdown]
# ## By hand
#
# A row from $-1$ to 1.55 has $s = 2.55 / 255 = 0.01$ and $z = 100$. So 0.5 is $q = 50 + 100$.
#
#     >>> s, z, q = our_affine_rows(np.array([[-1.0, 0.0, 0.5, 1.55]]))
#     >>> s.round(6).tolist(), z.tolist(), q.tolist()
#     ([[0.01]], [[100]], [[0, 100, 150, 255]])
#
# A column $(1.27, -0.5, 0, 0.1)$ has $t = 0.01$ and codes 127, $-50$, 0, 10. In the product
# $0 \cdot 127 - 100 \cdot 50$ $+\ 150 \cdot 0 + 255 \cdot 10 = -2450$, minus $100 \cdot 87$: the sum is $-11150$ and
# $y = -1.115$.
#
#     >>> t, w = our_symmetric(np.array([[1.27], [-0.5], [0.0], [0.1]]))
#     >>> t.round(6).tolist(), w.ravel().tolist()
#     ([0.01], [127, -50, 0, 10])
#     >>> sums, y = our_product(s, z, q, t, w)
#     >>> sums.tolist(), y.round(6).tolist()
#     ([[-11150]], [[-1.115]])
#
# Fake quantization with $s = 0.5$, $z = 0$: 0.7 has $x / s = 1.4$ and becomes 0.5, with a rounding error of $-0.4$ steps.
# 200 is too large and becomes $0.5 \cdot 255 = 127.5$. The first passes its gradient to $x$, the second does not; $s$ gets
# $-0.4$ from the first and 255 from the second.
#
#     >>> x, s, z = np.array([[0.7, 200.0]]), np.array([[0.5]]), np.array([[0]])
#     >>> our_fake(x, s, z)[1].tolist()
#     [[0.5, 127.5]]
#     >>> dx, ds = our_fake_backward(np.array([[1.0, 1.0]]), x, s, z)
#     >>> dx.tolist(), ds.round(6).tolist()
#     ([[1.0, 0.0]], [[254.6]])
#
# ## Backward
#
# The derivative of rounding is 0 almost everywhere. The *straight-through* rule takes it as 1: hold the rounding error
# $\rho = \mathrm{round}(x / s) - x / s$ fixed, and derive the rest. An $x$ is inside if $\mathrm{round}(x / s) + z$ is from
# 0 to 255. What is $u$ inside, as a function of $x$ and $s$, and what where the code saturates? $s$ is shared by a row.
#
# In the layer, `du` and `dV` come first: are they made with $W$ and $x$, or with $V$ and $u$? The gradient of $V$ goes
# straight to $W$ where $\mathrm{round}(W / t)$ is from $-127$ to 127, else it is 0. No gradient of $t$, of $z$ or of codes is
# asked for: codes are whole numbers.


# %%
def our_fake_backward(dy, x, s, z):
    """Return the gradients of x and s by the straight-through rule; dy is the upstream
    gradient of u.

    dy (B, K), x (B, K), s, z (B, 1) -> dx (B, K), ds (B, 1)
    """
    ...


def our_rounded_linear_backward(dy, x, W, s, z, t, u, V):
    """Return the gradients of u, V, x, s and W by the straight-through rule; t is held
    fixed.

    dy (B, N), the others as in our_rounded_linear
    -> du (B, K), dV (K, N), dx (B, K), ds (B, 1), dW (K, N)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * A row of zeros: $s = 1$, $z = 0$, all codes 0. A column of zeros: $t = 1$.
# * A row that is all positive or all negative: the range has to hold 0 nevertheless.
# * Numbers outside the given range saturate at 0 or 255; as bytes, 256 would be 0 again.
# * Products of bytes do not fit into bytes, nor their sums into 16 bits: make them `int32` first.
# * Weights larger than $127\, t_n$, where $t$ was found without them.
