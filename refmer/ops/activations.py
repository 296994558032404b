"""Pointwise non-linearities and the softmax family."""

import math

import numpy as np
from scipy.special import erf

from refmer.ops.contracts import contract
from refmer.ops.dense import rows
from refmer.ops.twins import twin


@twin("x (...) -> y (...)")
def relu(x):
    """y = x where x > 0, else 0; nan stays nan."""
    return np.where(x.real <= 0, 0, x)


@twin("y (...), dy (...) -> dx (...)")
def relu_backward(dy, y):
    return np.where(y.real > 0, dy, 0)


@twin("x (...) -> y (...)")
def sigmoid(x):
    """y = 1 / (1 + exp(-x)), as (1 + tanh(x / 2)) / 2: finite everywhere."""
    return 0.5 * (1 + np.tanh(0.5 * x))


@twin("y (...), dy (...) -> dx (...)")
def sigmoid_backward(dy, y):
    return dy * y * (1 - y)


@contract("x (...) -> y (...)")
def tanh(x):
    """y = (e^x - e^-x) / (e^x + e^-x)."""
    return np.tanh(x)


@contract("y (...), dy (...) -> dx (...)")
def tanh_backward(dy, y):
    return dy * (1 - y * y)


@contract("x (...) -> y (...)")
def log_sigmoid(x):
    """y = -log(1 + exp(-x)), as min(x, 0) - log(1 + exp(-|x|)): exact in both tails."""
    positive = x.real > 0
    return np.where(positive, 0, x) - np.log1p(np.exp(np.where(positive, -x, x)))


@contract("y (...), dy (...) -> dx (...)")
def log_sigmoid_backward(dy, y):
    # y = log sigmoid(x):  dy/dx = 1 - sigmoid(x) = 1 - exp(y)
    return -dy * np.expm1(y)


@twin("x (...) -> y (...)")
def gelu(x):
    """y = x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016): exact, no tanh approximation."""
    below = 0.5 * (1 + erf(x * math.sqrt(0.5)))
    return x * below, x, below


@twin("x (...), below (...), dy (...) -> dx (...)")
def gelu_backward(dy, x, below):
    # y = x Phi(x):  dy/dx = Phi(x) + x phi(x), phi the normal density
    return dy * (below + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))


@twin("x (...) -> y (...)")
def swish(x):
    """y = x sigmoid(x)."""
    s = sigmoid(x)
    return x * s, x, s


@twin("x (...), s (...), dy (...) -> dx (...)")
def swish_backward(dy, x, s):
    # y = x s:  dy/dx = s + x s (1 - s)
    return dy * s * (1 + x * (1 - s))


@twin("x (..., 2C) -> y (..., C)")
def glu(x):
    """y = a sigmoid(b), where x = [a | b] are halves of the last axis (Dauphin et al. 2017)."""
    a, b = np.split(x, 2, axis=-1)
    s = sigmoid(b)
    return a * s, x, s


@twin("x (..., 2C), s (..., C), dy (..., C) -> dx (..., 2C)")
def glu_backward(dy, x, s):
    # y = a s, s = sigmoid(b):  da = dy s, db = dy a s (1 - s)
    a = x[..., : s.shape[-1]]
    return np.concatenate([dy * s, sigmoid_backward(dy * a, s)], axis=-1)


@contract("x (..., K) -> a (..., K)")
def softmax(x, mask=None):
    """a_k = exp(x_k) / sum_j exp(x_j) over the last axis. Masked entries get 0; a row that is all masked is 0."""
    if mask is not None:
        between = (1,) * (x.ndim - 2)  # one row for each clip needs no copy for each query
        shape = x.shape[:1] + between + x.shape[-1:]
        mask = fitting(mask, x)
        mask = rows(mask if mask.shape == shape else np.broadcast_to(mask, x.shape))
    return softmax_rows(rows(x), mask).reshape(x.shape)


@twin("a (..., K), da (..., K) -> dx (..., K)")
def softmax_backward(da, a):
    # a_k = e_k / sum_j e_j:  dx_k = a_k (da_k - sum_j a_j da_j); where a = 0 (masked) so is dx
    return a * (da - (a * da).sum(-1, keepdims=True))


@twin("x (N, K), mask (M, K) bool or None -> a (N, K) where mask is None or N == M == 0 or N % M == 0")
def softmax_rows(x, mask):
    """`softmax` of a matrix; each row of the mask serves N / M rows of x."""
    if mask is not None:
        x = np.where(np.repeat(mask, len(x) // max(len(mask), 1), 0), x, -np.inf)
    top = x.real.max(-1, keepdims=True, initial=-np.inf)
    e = np.exp(x - np.where(top > -np.inf, top, 0))  # subtract the row maximum: exp stays finite
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total)


@contract("x (..., K) -> y (..., K) where K >= 1")
def log_softmax(x):
    """y_k = x_k - log sum_j exp(x_j) over the last axis."""
    x = x - x.real.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@contract("y (..., K), dy (..., K) -> dx (..., K)")
def log_softmax_backward(dy, y):
    # y_k = x_k - log sum_j exp(x_j):  dx_k = dy_k - softmax(x)_k sum_j dy_j
    return dy - np.exp(y) * dy.sum(-1, keepdims=True)


def fitting(mask, x):
    """Return the mask if it is bool and broadcasts to x; else raise a ValueError with both shapes."""
    if mask.dtype != bool:
        raise ValueError(f"mask has dtype {mask.dtype}; accepted: bool, True where an entry is valid")
    try:
        np.broadcast_to(mask, x.shape)
    except ValueError:
        raise ValueError(f"mask has shape {mask.shape}; accepted: a shape that broadcasts to {x.shape}") from None
    return mask
