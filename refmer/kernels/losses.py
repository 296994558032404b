"""Losses: value and slope from one pass over the logits or steps. Values are summed in float64."""

import math

import numpy as np

from refmer.kernels import scalar
from refmer.kernels.vectors import kernel, part


@kernel
def cross_entropy(logits, target, weight):
    """Gain: 3.7 times at (32, 7), 4.5 at (4096, 7)."""
    logp, p = _log_softmax(logits)
    value, share = 0.0, logits.dtype.type(1 / len(logits))
    for i in range(len(p)):
        total = logits.dtype.type(0)
        for k in range(p.shape[1]):
            c = weight[k] * target[i, k] * share
            total += c
            value -= c * logp[i, k]
        for k in range(p.shape[1]):
            p[i, k] = p[i, k] * total - weight[k] * target[i, k] * share
    return value, p


@kernel
def sample_weighted_cross_entropy(logits, target, weight):
    """Gain: 4 times at (32, 7), 4.4 at (4096, 7)."""
    logp, p = _log_softmax(logits)
    value, share = 0.0, logits.dtype.type(1 / len(logits))
    for i in range(len(p)):
        of_clip = total = logits.dtype.type(0)
        for k in range(p.shape[1]):
            of_clip += weight[k] * target[i, k]
            total += target[i, k]
        of_clip *= share
        for k in range(p.shape[1]):
            value -= of_clip * target[i, k] * logp[i, k]
            p[i, k] = of_clip * (p[i, k] * total - target[i, k])
    return value, p


@kernel
def focal(logits, target, weight, gamma=2.0, literal=True):
    """Gain: 3.8 times at (32, 7), 2.4 at (4096, 7)."""
    kind = logits.dtype.type
    logp, p = _log_softmax(logits)
    value, share, half, one, two, g = 0.0, kind(1 / len(logits)), kind(-0.5), kind(1), kind(2), kind(gamma)
    miss = np.empty_like(p)
    for i in range(len(p)):
        for k in range(p.shape[1]):
            miss[i, k] = half * logp[i, k] * (one if literal else weight[k])
    a = miss.reshape(-1)
    for i in range(a.size):
        t = scalar.tanh(a[i])
        a[i] = two * t / (one + t)  # 1 - e^-2x = 2 tanh x / (1 + tanh x), exact near 0
    for i in range(len(p)):
        total = kind(0)
        for k in range(p.shape[1]):
            m, power = miss[i, k], one if literal else weight[k]
            c = weight[k] * target[i, k] * share * _raise(m, gamma)
            ratio = -one / (power if power else one) if m == 0 else logp[i, k] / m
            value -= c * logp[i, k]
            logp[i, k] = c * (one - g * power * (one - m) * ratio)  # from here on -dL/dlog p
            total += logp[i, k]
        for k in range(p.shape[1]):
            p[i, k] = p[i, k] * total - logp[i, k]
    return value, p


@kernel
def binary_cross_entropy(logits, target, weight):
    """Gain: 4 times at (32, 7), 7 at (4096, 7)."""
    logp, logq, p, q = _log_sigmoids(logits)
    value, share, one = 0.0, logits.dtype.type(1 / logits.size), logits.dtype.type(1)
    for i in range(len(p)):
        for k in range(p.shape[1]):
            y, c = target[i, k], weight[k] * share
            value -= c * (y * logp[i, k] + (one - y) * logq[i, k])
            p[i, k] = c * ((one - y) * p[i, k] - y * q[i, k])
    return value, p


@part
def _raise(base, exponent):
    """base^exponent; the square, the default of the focal loss, without the C library."""
    return base * base if exponent == 2 else base ** type(base)(exponent)


@part
def _log_softmax(x):
    """log p and p of p = softmax(x)."""
    logp, p = np.empty_like(x), np.empty_like(x)
    for i in range(len(x)):
        top = x[i, 0]
        for k in range(1, x.shape[1]):
            top = x[i, k] if x[i, k] > top else top
        for k in range(x.shape[1]):
            logp[i, k] = x[i, k] - top
    a, b = logp.reshape(-1), p.reshape(-1)
    for i in range(a.size):
        b[i] = scalar.exp(a[i])
    for i in range(len(x)):
        total = x.dtype.type(0)
        for k in range(x.shape[1]):
            total += p[i, k]
        shift, share = x.dtype.type(math.log(total)), x.dtype.type(1) / total
        for k in range(x.shape[1]):
            logp[i, k] -= shift
            p[i, k] *= share
    return logp, p


@part
def _log_sigmoids(x):
    """log p, log(1 - p), p and 1 - p of p = sigmoid(x)."""
    logp, logq, p, q = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    a, b, c, d, e = x.reshape(-1), logp.reshape(-1), logq.reshape(-1), p.reshape(-1), q.reshape(-1)
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for i in range(a.size):
        b[i] = scalar.exp(-abs(a[i]))
    for i in range(a.size):
        small = b[i] / (one + b[i])
        large = one / (one + b[i])
        d[i] = large if a[i] > zero else small
        e[i] = small if a[i] > zero else large
    for i in range(a.size):
        tail = scalar.log1p(b[i])
        b[i] = (zero if a[i] > zero else a[i]) - tail
        c[i] = (zero if a[i] < zero else -a[i]) - tail
    return logp, logq, p, q


def mse(prediction, target, mask=None):
    """Error: the default up to 200 steps; beyond, the definition in float32 is less exact. Gain: 4 times at (32, 2), 2.6 at
    (8192, 2)."""
    return _mse(prediction, target, *_valid(prediction, mask))


@kernel
def _mse(prediction, target, valid, n):
    scale = 1 / (n * prediction.shape[-1])
    value, twice = 0.0, prediction.dtype.type(2 * scale)
    slope, D = np.empty_like(prediction), prediction.shape[-1]
    x, y, s = prediction.reshape(-1, D), target.reshape(-1, D), slope.reshape(-1, D)
    for i in range(len(x)):
        for d in range(D):
            error = x[i, d] - y[i, d] if valid[i] else prediction.dtype.type(0)
            value += error * error
            s[i, d] = twice * error
    return value * scale, slope


def ccc(prediction, target, mask=None, ddof=0):
    """Error: the default up to 200 steps; beyond, the definition in float32 is less exact. Gain: 8 times at (32, 2), 10 at
    (8192, 2)."""
    return _concordance(prediction, target, *_valid(prediction, mask), ddof, 1.0)


def ccc_loss(prediction, target, mask=None, ddof=0):
    """Error: the default up to 200 steps; beyond, the definition in float32 is less exact. Gain: 8 times at (32, 2), 10 at
    (8192, 2)."""
    rho, slope = _concordance(prediction, target, *_valid(prediction, mask), ddof, -1 / prediction.shape[-1])
    return 1 - rho.mean(), slope


def _valid(prediction, mask):
    """Return the mask as a vector and the number of valid steps, at least 1."""
    if mask is None:
        steps = prediction.size // prediction.shape[-1]
        return np.ones(steps, bool), float(steps)
    return mask.reshape(-1), max(float(mask.sum()), 1.0)


@kernel
def _concordance(prediction, target, valid, n, ddof, factor):
    """rho and factor times its slope."""
    rho, slope = np.empty(prediction.shape[-1], prediction.dtype), np.empty_like(prediction)
    D, free, first = rho.size, max(n - ddof, 1.0), np.argmax(valid)
    x, y, s = prediction.reshape(-1, D), target.reshape(-1, D), slope.reshape(-1, D)
    for d in range(D):
        # measured from a valid step, a constant has deviations of exactly 0
        start_x, start_y = np.float64(x[first, d]), np.float64(y[first, d])
        mean_x = mean_y = 0.0
        for i in range(len(x)):
            mean_x += x[i, d] - start_x if valid[i] else 0.0
            mean_y += y[i, d] - start_y if valid[i] else 0.0
        mean_x, mean_y = mean_x / n, mean_y / n
        both = joint = 0.0
        for i in range(len(x)):
            u = x[i, d] - start_x - mean_x if valid[i] else 0.0
            v = y[i, d] - start_y - mean_y if valid[i] else 0.0
            both += u * u + v * v
            joint += u * v
        gap = start_x + mean_x - start_y - mean_y
        spread = both / free + gap * gap
        rspread = 0.0 if spread == 0 else 1 / spread
        r = 2 * joint / free * rspread
        rho[d] = r
        a, b = 2 * factor * rspread / free, 2 * factor * rspread * r * gap / n
        for i in range(len(x)):
            u, v = x[i, d] - start_x - mean_x, y[i, d] - start_y - mean_y
            s[i, d] = a * (v - r * u) - b if valid[i] else 0.0
    return rho, slope
