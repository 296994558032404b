# %% [markdown]
# # Exercise 11. Fast kernels
#
# Write the algorithms of four kernels: a polynomial by Horner's rule, the exponential, a product of matrices by blocks, and
# softmax in one pass, which never holds a whole row of weights; and the backward of three of them. No compiler is needed: the
# exercise is about the order of operations. Replace every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 11_fast_kernels.py
#
# The equations are derived in tutorial 11, "Fast kernels". Sizes: $B$ clips or rows, $T$ queries, $S$ keys, $D$ numbers of a
# value, $K$ coefficients or inner numbers, $N$ columns. In `our_exp`, $D$ is the degree.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# Horner's rule for $y = \sum_j c_j x^j$ begins with the last coefficient, and multiplies by $x$ and adds the next lower one
# until $c_0$ is in.
#
# The exponential goes through $n = \mathrm{round}(x / \ln 2)$ and $r = x - n \ln 2$, which is small:
#
# $$e^x = 2^n e^r, \qquad\qquad e^r \approx \sum_{j=0}^{D} \frac{r^j}{j!} .$$
#
# `np.ldexp(p, n.astype(int))` is $2^n p$, for every $n$ that a result can have.


# %%
def our_polynomial(x, c):
    """Return y, the sum of c[j] x**j over all j, by Horner's rule.

    x (B, T), c (K,) -> y (B, T)
    """
    ...


def our_exp(x, D):
    """Return the whole number n nearest to x / ln 2, the rest r = x - n ln 2, and y: 2**n
    times Taylor's polynomial of e**r.

    x (B, T) or another shape, D the degree of the polynomial -> n, r, y, as x
    """
    ...


# %% [markdown]
# The product of matrices by blocks: with $I$, $J$ and $L$ running over blocks of rows, of columns, and of the inner index,
# $Y_{IJ} = \sum_L X_{IL} W_{LJ}$. The last block of an axis may be smaller.
#
# Softmax in one pass: of the keys so far keep, for each query, the largest score $m$, the sum $l = \sum_s e^{z_s - m}$ (in the
# code, `total`), and $Y = \sum_s e^{z_s - m} v_s$. A block with scores $z'$ and values $v'$ comes; with
# $M = \max(m, \max_s z'_s)$,
#
# $$l \leftarrow e^{m - M}\, l + \sum_s e^{z'_s - M}, \qquad Y \leftarrow e^{m - M}\, Y + \sum_s e^{z'_s - M} v'_s, \qquad
#   m \leftarrow M .$$
#
# It starts with $m = -\infty$, $l = 0$, $Y = 0$. At the end $y = Y / l$.


# %%
def our_block_product(x, W, size):
    """Return y = x W, as products of blocks of at most `size` rows and columns, of which
    the last ones may be smaller.

    x (B, K), W (K, N), size a whole number from 1 -> y (B, N)
    """
    ...


def our_online_softmax(z, v, size):
    """Return m, the largest score of each row, the total of exp(z - m), and y = softmax(z)
    v, in one pass over blocks of keys.

    Scores may be -inf; a row of -inf alone has m = -inf, and total and y are 0.

    z (B, T, S), v (B, S, D), size the number of keys of a
    block (the last one may have less)
    -> m, total (B, T, 1), y (B, T, D)
    """
    ...


# %% [markdown]
# ## By hand
#
# $1 + 2x + 3x^2$ at $x = 2$: $3 \cdot 2 + 2 = 8$, $8 \cdot 2 + 1 = 17$. Its derivative there is $2 + 6 \cdot 2 = 14$, and those
# for the coefficients are 1, 2 and 4.
#
#     >>> x, c = np.array([[2.0]]), np.array([1.0, 2.0, 3.0])
#     >>> our_polynomial(x, c).tolist()
#     [[17.0]]
#     >>> [d.tolist() for d in our_polynomial_backward(np.array([[1.0]]), x, c)]
#     [[[14.0]], [1.0, 2.0, 4.0]]
#
# $e^{2.1}$: $2.1 / \ln 2 = 3.03$, so $n = 3$ and $r = 2.1 - 2.0794 = 0.0206$. With degree 1, $8 \cdot 1.0206 = 8.1645$.
#
#     >>> n, r, y = our_exp(np.array([2.1]), 1)
#     >>> n.tolist(), r.round(4).tolist(), y.round(4).tolist()
#     ([3.0], [0.0206], [8.1645])
#
# One query, scores $\ln 2$, 0 and $\ln 4$, in blocks of two. After the first block $m = \ln 2$ and $l = 1 + \frac12$. The
# second has the larger maximum $\ln 4$: the old sum is multiplied by $\frac12$, $l = \frac34 + 1$. The weights are
# $(2, 1, 4) / 7$.
#
#     >>> z, v = np.log([[[2.0, 1.0, 4.0]]]), np.array([[[7.0], [0.0], [14.0]]])
#     >>> m, total, y = our_online_softmax(z, v, 2)
#     >>> m.round(4).tolist(), total.round(6).tolist(), y.round(6).tolist()
#     ([[[1.3863]]], [[[1.75]]], [[[10.0]]])
#
# Backward for $dy = 1$: $da = (7, 0, 14)$, $\Delta = 10$, $7\, dz = (2 \cdot (-3), 1 \cdot (-10), 4 \cdot 4)$.
#
#     >>> delta, dz, dv = our_online_softmax_backward(np.array([[[1.0]]]), z, v, m, total, y, 2)
#     >>> delta.round(6).tolist(), (7 * dz).round(6).tolist(), (7 * dv).round(6).ravel().tolist()
#     ([[[10.0]]], [[[-6.0, -10.0, 16.0]]], [2.0, 1.0, 4.0])
#
# ## Backward
#
# * The polynomial: all elements of $x$ use the same coefficients.
# * The product: each of the two gradients is a product again, so use your own function.
# * Softmax: the weights $a_{ts}$ were not kept, but $m$ and $l$ were; make each block of weights again from them. The
#   gradient of softmax needs a sum over the whole row, $\Delta_t = \sum_s a_{ts}\, da_{ts}$, with
#   $da_{ts} = \sum_d dy_{td} v_{sd}$. Show that it can be had from $dy$ and $y$ alone, before the first block. Return it first.


# %%
def our_polynomial_backward(dy, x, c):
    """Return the gradients of x and c.

    dy (B, T), x (B, T), c (K,) -> dx (B, T), dc (K,)
    """
    ...


def our_block_product_backward(dy, x, W, size):
    """Return the gradients of x and W, by blocks of the same size.

    dy (B, N), the others as in our_block_product -> dx (B, K), dW (K, N)
    """
    ...


def our_online_softmax_backward(dy, z, v, m, total, y, size):
    """Return delta, the inner sum of softmax's gradient, and the gradients of z and v, from
    blocks of weights made again.

    dy (B, T, D), the others as in our_online_softmax
    -> delta (B, T, 1), dz (B, T, S), dv (B, S, D)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * A polynomial of one coefficient, and $x = 0$, where $x^0 = 1$.
# * $x$ of several hundreds, and of minus several hundreds: $r$ stays small.
# * Blocks of 1, and blocks larger than the matrix.
# * Scores of 1,000 and $-1{,}000$: no exponential may overflow.
# * Masked keys have the score $-\infty$. While all keys so far are masked, $m = -\infty$, and $m - m$ is nan: subtract 0
#   instead. A row that is masked altogether has $m = -\infty$, and $l$, $y$ and its gradients are 0.
