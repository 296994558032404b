"""Options of kernels that sum over many numbers, and the loops over vectors that several kernels share.

Sums are taken in any order, so that they vectorise; nan and infinity are kept. Functions marked `part` are inlined into the
kernel that calls them: code of their own would sum in another order, and the cache would decide which of the two runs.
"""

import numpy as np

from refmer.kernels import njit, scalar

ALL = np.empty((0, 0), bool)  # the mask that hides nothing
OPTIONS = {"fastmath": {"contract", "reassoc", "nsz"}}
kernel = njit(cache=True, **OPTIONS)
part = njit(forceinline=True, **OPTIONS)
elementwise = njit(fastmath={"contract"})


@part
def total(x):
    """sum_i x_i."""
    result = x.dtype.type(0)
    for i in range(len(x)):
        result += x[i]
    return result


@part
def dot(x, y):
    """sum_i x_i y_i."""
    result = x.dtype.type(0)
    for i in range(len(x)):
        result += x[i] * y[i]
    return result


@elementwise
def add_scaled(y, c, x):
    """y += c x."""
    for i in range(len(y)):
        y[i] += c * x[i]


@elementwise
def add_product(y, a, b):
    """y += a b."""
    for i in range(len(y)):
        y[i] += a[i] * b[i]


@elementwise
def copy(x, y):
    """y = x, in place of y[:] = x: the message of its error takes 3 s to compile."""
    for i in range(len(y)):
        y[i] = x[i]


@elementwise
def fill_rows(y, b):
    """y (N, E) = b."""
    for i in range(y.shape[0]):  # numba takes the rows of `for row in y` for strided ones, and does not vectorise
        for j in range(y.shape[1]):
            y[i, j] = b[j]


@elementwise
def add_rows(total, x):
    """total += the sum of the rows of x (N, E)."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            total[j] += x[i, j]


@elementwise
def apply_sigmoid(x):
    for i in range(len(x)):
        x[i] = scalar.sigmoid(x[i])


@elementwise
def apply_tanh(x):
    for i in range(len(x)):
        x[i] = scalar.tanh(x[i])
