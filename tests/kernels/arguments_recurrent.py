"""Random arguments for the kernels of refmer/kernels/recurrent.py."""

from refmer.ops import recurrent
from refmer.ops.twins import kernels


def lstm(rng, dtype, n):
    return forward(rng, dtype, n, 4)


def gru(rng, dtype, n):
    return forward(rng, dtype, n, 3)


def forward(rng, dtype, n, gates):
    """One of the sizes is n: states as wide as a vector or not, one clip and many, more rows than a block of steps holds."""
    B, T, D, H = [3, 4, 5, 2]
    B, T, D, H = [(n, T, D, H), (B, n, D, H), (30, n, D, H), (B, T, n, H), (B, T, D, n), (1, 7, D, n)][rng.integers(6)]

    def normal(*size):
        return rng.normal(0, 0.5, size).astype(dtype)

    mask = None
    if rng.integers(2):
        mask = rng.random((B, T)) < 0.7
        mask[rng.integers(B)] = False
    maps = [normal(B, T, D), normal(D, gates * H) / dtype(D**0.5), normal(gates * H), normal(H, gates * H) / dtype(H**0.5)]
    states = [normal(B, H), normal(B, H)] if gates == 4 else [normal(3 * H), normal(B, H)]
    return [*maps, *states, mask, bool(rng.integers(2))]


def lstm_backward(rng, dtype, n):
    return backward(recurrent.lstm, rng, lstm(rng, dtype, n))


def gru_backward(rng, dtype, n):
    return backward(recurrent.gru, rng, gru(rng, dtype, n))


def backward(f, rng, arguments):
    with kernels(False):
        y, *saved = f(*arguments)
    return [rng.normal(size=y.shape).astype(y.dtype), *saved]


ARGUMENTS = {f"recurrent.{f.__name__}": f for f in (lstm, lstm_backward, gru, gru_backward)}
# rounding accumulates over the steps; gradients of weights are sums over all steps of all clips
FLOAT32 = {"recurrent.lstm": 3e-6, "recurrent.gru": 3e-6, "recurrent.lstm_backward": 1e-5, "recurrent.gru_backward": 1e-5}
