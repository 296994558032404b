"""Updates of flat vectors. They work in place: the one exception to the rule that no argument is modified."""

import numpy as np

from refmer.ops.contracts import contract
from refmer.ops.twins import twin


@contract("grad (N) written, largest float from 0 -> norm")
def clip_norm(grad, largest):
    """Scale the gradient down to the norm `largest` if it is longer; return its norm before."""
    norm = float(np.sqrt(np.dot(grad, grad)))
    if norm > largest:
        grad *= largest / norm
    return norm


@twin(
    "x (N) written, grad (N), m (N) written, v (N) written, step int from 1, lr float, beta1 float from 0 below 1, "
    "beta2 float from 0 below 1, eps float from 0, decay float"
)
def adamw(x, grad, m, v, step, lr, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01):
    """One step of AdamW (Loshchilov and Hutter 2019, algorithm 2): x shrinks by lr * decay, independent of the gradient.

    m and v are the running means of the gradient and its square; step counts from 1.
    """
    m *= beta1
    m += (1 - beta1) * grad
    v *= beta2
    v += (1 - beta2) * grad * grad
    x *= 1 - lr * decay
    x -= lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps)
