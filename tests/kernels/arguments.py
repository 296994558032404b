"""Random arguments for the kernels, of an element type, with one size n."""

import numpy as np

from refmer.ops import convolution, pooling, recurrent
from refmer.ops.twins import kernels


def normal(rng, dtype, *shapes):
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def backward(f, forward):
    """Return the arguments of f's backward: a gradient and what f saved."""

    def make(rng, dtype, n):
        with kernels(False):
            y, *saved = f(*forward(rng, dtype, n))
        return [rng.normal(size=y.shape).astype(dtype), *saved]

    return make


# activations
def draw(rng, dtype, *shape):
    """Numbers of both signs and many sizes; the first of each row is 0 or far out."""
    x = (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 2)).astype(dtype)
    x[..., 0] = rng.choice([0.0, -0.0, 100.0, -100.0])
    return x


def activation(rng, dtype, n):
    return [draw(rng, dtype, *((n,), (3, n), (2, 3, n))[rng.integers(3)])]


def backward_of_output(rng, dtype, n):
    return [draw(rng, dtype, 3, n), rng.random((3, n)).astype(dtype) - dtype(0.3)]


def backward_of_product(rng, dtype, n):
    return [draw(rng, dtype, 3, n), draw(rng, dtype, 3, n), rng.random((3, n)).astype(dtype)]


def glu(rng, dtype, n):
    return [draw(rng, dtype, *((3, 2 * n), (2, 3, 2 * n))[rng.integers(2)])]


def glu_backward(rng, dtype, n):
    return [draw(rng, dtype, 3, n), draw(rng, dtype, 3, 2 * n), rng.random((3, n)).astype(dtype)]


def softmax_rows(rng, dtype, n):
    M, each = ((5, 1), (2, 3))[rng.integers(2)]
    return [draw(rng, dtype, M * each, n), (None, rng.random((M, n)) < rng.random((M, 1)))[rng.integers(2)]]


def softmax_backward(rng, dtype, n):
    a = rng.random((2, 3, n)).astype(dtype)
    return [draw(rng, dtype, 2, 3, n), a / a.sum(-1, keepdims=True)]


# attention
def attend(rng, dtype, n):
    B, H, D = (3, 2, int(rng.integers(1, 20))) if rng.random() < 0.5 else (11, 2, int(rng.integers(1, 4)))  # or side by side
    T, S = 3 * n, n + 1  # up to two blocks of queries
    q, k, v = normal(rng, dtype, *((B, length, H * D) for length in (T, S, S)))
    c = rng.uniform(0.2, 1, (B, 1, 1, 1)).astype(dtype) if rng.random() < 0.3 else D**-0.5
    shape = [(B, 1, 1, S), (1, 1, T, S), (B, 1, T, S), (B, H, T, S), None][rng.integers(5)]
    mask = None if shape is None else rng.random(shape) < 0.6
    if mask is not None:
        mask[0, 0, 0] = False  # one or all queries without a key
    keep = rng.random((B, H, T, S)) < 0.8 if rng.random() < 0.5 else None
    return [q, k, v, H, c, mask, keep, 0.0 if keep is None else 0.2]


def attend_backward(rng, dtype, n):
    arguments = attend(rng, dtype, n)
    return [*normal(rng, dtype, arguments[0].shape), *arguments]


# convolution
def window(rng, n):
    size, stride, dilation = (int(k) for k in rng.integers(1, 5, 3))
    before, after = (int(k) for k in rng.integers(0, 4, 2))
    reach = dilation * (size - 1)
    return size, stride, dilation, before, after + max(0, reach + 1 - n - before - after)  # a window fits


def conv1d(rng, dtype, n):
    size, *rest = window(rng, n)
    C, E = (int(k) for k in rng.integers(1, 40, 2))
    mask = [None, rng.random((3, n)) < 0.6, np.zeros((3, n), bool)][rng.integers(3)]
    return [*normal(rng, dtype, (3, n, C), (size * C, E), E), mask, size, *rest]


def conv2d(rng, dtype, n):
    size, stride, _, before, after = window(rng, min(n, 6))
    C, E = (int(k) for k in rng.integers(1, 20, 2))
    return [*normal(rng, dtype, (2, n, 6, C), (size * size * C, E), E), size, stride, before, after]


def depthwise_conv1d(rng, dtype, n):
    x, _, _, mask, size, *rest = conv1d(rng, dtype, n)
    return [x, *normal(rng, dtype, (size, x.shape[2]), x.shape[2]), mask, *rest]


# dense
def linear(rng, dtype, n):
    x, W, b = normal(rng, dtype, (3, n, 7), (7, 19), 19)
    return [x, W, b if n % 2 else 0.5]


def linear_backward(rng, dtype, n):
    return normal(rng, dtype, (3, n, 7), (3, n, 19), (19, 7))


def dropout(rng, dtype, n):
    return [*normal(rng, dtype, (2, n, 5)), *kept(rng, dtype, n)[1:]]


def kept(rng, dtype, n):
    return [n, int(rng.integers(2**63)), float(rng.uniform(0, 0.999))]


# losses
def classes(rng, dtype, n):
    """Logits, sometimes extreme, targets, one-hot or soft with rows of any sum, and weights."""
    B, K = int(rng.integers(1, 9)), n
    logits = (rng.normal(size=(B, K)) * 10.0 ** rng.integers(-2, 3)).astype(dtype)
    target = np.eye(K)[rng.integers(0, K, B)] if rng.random() < 0.5 else rng.random((B, K))
    return [logits, target.astype(dtype), rng.uniform(0.5, 2, n).astype(dtype)]


def focal(rng, dtype, n):
    return [*classes(rng, dtype, n), float(rng.choice([0.0, 0.5, 2.0])), bool(rng.integers(2))]


def steps(rng, dtype, n):
    shape = ((n,), (3, n))[rng.integers(2)]
    x = rng.normal(size=(*shape, int(rng.integers(1, 4))))
    mask = None if rng.random() < 0.3 else rng.random(shape) > rng.choice([0.4, 1.0])  # sometimes no step is valid
    return [x.astype(dtype), (x + rng.normal(1, 1, x.shape)).astype(dtype), mask]


def concordance(rng, dtype, n):
    return [*steps(rng, dtype, n), int(rng.integers(2))]


def markov(rng, dtype, n):
    return [rng.random((7, n)).astype(dtype), rng.random((1, n)) < 0.5, float(rng.random()), float(rng.random())]


# norms
def rows(rng, dtype, n):
    """(..., n), not centred."""
    return (rng.normal(size=((5,), (3, 4), (2, 3, 2))[rng.integers(3)] + (n,)) + rng.normal()).astype(dtype)


def layer_norm(rng, dtype, n):
    return [rows(rng, dtype, n), *normal(rng, dtype, n, n)]


def layer_norm_backward(rng, dtype, n):
    z = rows(rng, dtype, n)
    rstd = rng.uniform(0.5, 2, z.shape[:-1] + (1,)).astype(dtype)
    dy, gamma = normal(rng, dtype, z.shape, n)
    return [dy, z, rstd, gamma]


def batch_norm(rng, dtype, n):
    return [rng.normal(1, 1, (int(rng.integers(2, 40)), n)).astype(dtype), *normal(rng, dtype, n, n)]


def batch_norm_backward(rng, dtype, n):
    z = batch_norm(rng, dtype, n)[0]
    return [*normal(rng, dtype, z.shape), z, *np.abs(normal(rng, dtype, n, n))]


def moments(rng, dtype, n):
    return batch_norm(rng, dtype, n)[:1]


def l2_normalise(rng, dtype, n):
    x = rows(rng, dtype, n)
    x[0] = 0
    return [x]


def l2_normalise_backward(rng, dtype, n):
    y = rows(rng, dtype, n)
    return [*normal(rng, dtype, y.shape), y, rng.uniform(0.5, 2, y.shape[:-1] + (1,)).astype(dtype)]


def adamw(rng, dtype, n):
    x, grad, m, v = normal(rng, dtype, n, n, n, n)
    return [x, grad, m, v * v, int(rng.integers(1, 1000)), 1e-2]


# pooling
def masked(rng, dtype, n):
    shape = [(3, 5, 7), (2, 3, 5, 7)][rng.integers(2)]
    x = rng.integers(-9, 9, (*shape[:-2], n, shape[-1])).astype(dtype)  # with equals
    mask = rng.random(x.shape[:-1]) < 0.5
    mask[0] = False
    return [x, mask]


def statistics(rng, dtype, n):
    a = rng.random((3, n)) / n  # of another sum than 1
    a[0] = 0
    x = rng.normal(size=(3, n, 5))
    x[1, :, :2] = 1  # constant: below the floor
    return [x.astype(dtype), a.astype(dtype)]


# recurrences
def lstm(rng, dtype, n):
    """One of the sizes is n: states as wide as a vector or not, one clip and many, more rows than a block of steps holds."""
    B, T, D, H = [3, 4, 5, 2]
    B, T, D, H = [(n, T, D, H), (B, n, D, H), (30, n, D, H), (B, T, n, H), (B, T, D, n), (1, 7, D, n)][rng.integers(6)]
    mask = None
    if rng.integers(2):
        mask = rng.random((B, T)) < 0.7
        mask[rng.integers(B)] = False
    sizes = (B, T, D), (D, 4 * H), 4 * H, (H, 4 * H), (B, H), (B, H)
    x, W, b, U, *states = (rng.normal(0, 0.5, size).astype(dtype) for size in sizes)
    return [x, W / dtype(D**0.5), b, U / dtype(H**0.5), *states, mask, bool(rng.integers(2))]


ARGUMENTS = {
    **{f"activations.{f.__name__}": f for f in (glu, glu_backward, softmax_rows, softmax_backward)},
    **{f"activations.{name}": activation for name in ("relu", "sigmoid", "gelu", "swish")},
    **{f"activations.{name}_backward": backward_of_output for name in ("relu", "sigmoid")},
    **{f"activations.{name}_backward": backward_of_product for name in ("gelu", "swish")},
    **{f"attention.{f.__name__}": f for f in (attend, attend_backward)},
    **{f"dense.{f.__name__}": f for f in (kept, linear, linear_backward, dropout)},
    **{"losses.mse": steps, "losses.ccc": concordance, "losses.ccc_loss": concordance, "losses.focal": focal},
    **{f"losses.{name}": classes for name in ("cross_entropy", "sample_weighted_cross_entropy", "binary_cross_entropy")},
    **{f"norms.{f.__name__}": f for f in (layer_norm, batch_norm, moments, l2_normalise)},
    **{f"norms.{f.__name__}": f for f in (layer_norm_backward, batch_norm_backward, l2_normalise_backward)},
    **{"markov.markov": markov, "optimizers.adamw": adamw, "pooling.masked_max": masked},
}
for f, make in (
    *((getattr(convolution, make.__name__), make) for make in (conv1d, conv2d, depthwise_conv1d)),
    (pooling.masked_mean, masked),
    (pooling.statistics, statistics),
    (recurrent.lstm, lstm),
):
    name = f"{f.__module__.rpartition('.')[2]}.{f.__name__}"
    ARGUMENTS |= {name: make, f"{name}_backward": backward(f, make)}
# bounds where 1e-6 of the largest is too strict: long sums, in another order, and the rounding over the steps of a recurrence
FLOAT32 = dict.fromkeys(("attention.attend", "attention.attend_backward", "convolution.conv2d_backward"), 3e-6)
FLOAT32 |= dict.fromkeys(("norms.batch_norm_backward", "recurrent.lstm"), 3e-6) | {"recurrent.lstm_backward": 1e-5}
