"""How kernels that sum over many numbers are compiled, and the sums that several of them need.

The sums are taken in any order, so that they vectorise; nan and infinity are kept. What a kernel calls for that is inlined:
code of its own would sum in another order, and which of the two ran would depend on what is cached.
"""

from numba import njit

OPTIONS = {"error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}
kernel = njit(cache=True, **OPTIONS)
part = njit(forceinline=True, **OPTIONS)


@part
def total(x):
    """sum_i x_i."""
    found = x.dtype.type(0)
    for i in range(len(x)):
        found += x[i]
    return found


@part
def dot(x, y):
    """sum_i x_i y_i."""
    found = x.dtype.type(0)
    for i in range(len(x)):
        found += x[i] * y[i]
    return found
