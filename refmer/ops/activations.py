"""Pointwise non-linearities and the softmax family."""

import numpy as np

from refmer.ops.masks import fitting


def relu(x):
    """y = x where x > 0, else 0; nan stays nan."""
    return np.where(x.real <= 0, 0, x)


def relu_backward(dy, y):
    return np.where(y.real > 0, dy, 0)


def sigmoid(x):
    """y = 1 / (1 + exp(-x)), as (1 + tanh(x / 2)) / 2: finite everywhere."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def sigmoid_backward(dy, y):
    return dy * y * (1 - y)


def softmax(x, mask=None):
    """a_k = exp(x_k) / sum_j exp(x_j) over the last axis. Masked entries get 0; a row with nothing left is all 0."""
    if mask is not None:
        x = np.where(fitting(mask, x), x, -np.inf)
    top = x.real.max(-1, keepdims=True)
    e = np.exp(x - np.where(top > -np.inf, top, 0))  # subtract the row maximum: exp stays finite
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total)


def softmax_backward(da, a):
    # a_k = e_k / sum_j e_j:  dx_k = a_k (da_k - sum_j a_j da_j); where a = 0 (masked) so is dx
    return a * (da - (a * da).sum(-1, keepdims=True))


def log_softmax(x):
    """y_k = x_k - log sum_j exp(x_j) over the last axis."""
    x = x - x.real.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def log_softmax_backward(dy, y):
    # y_k = x_k - log sum_j exp(x_j):  dx_k = dy_k - softmax(x)_k sum_j dy_j
    return dy - np.exp(y) * dy.sum(-1, keepdims=True)
