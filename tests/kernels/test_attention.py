"""The blocked attention never makes an array of the size of its weights."""

import numpy as np
import pytest

from memory import STATUS, ResidentPeak
from refmer.ops.attention import attend, attend_backward
from refmer.ops.twins import AVAILABLE, kernels


@pytest.mark.skipif(not AVAILABLE, reason="kernels are off")
@pytest.mark.skipif(not STATUS.exists(), reason="memory is read as Linux counts it")
def test_memory_does_not_grow_with_the_square_of_the_frames():
    T, heads, C = 2048, 4, 32
    rng = np.random.default_rng(0)
    q, k, v, dy = (rng.normal(size=(1, T, C)).astype(np.float32) for _ in range(4))
    weights = 4 * heads * T * T  # bytes, 67 MB
    peaks = {}
    for on in (True, False):
        with kernels(on):
            few = [x[:, :64] for x in (q, k, v)]
            _, *saved = attend(*few, heads, 0.35)  # compiled before it is measured
            attend_backward(dy[:, :64], *saved)
            with ResidentPeak() as peak:
                _, *saved = attend(q, k, v, heads, 0.35)
                attend_backward(dy, *saved)
        peaks[on] = peak.bytes
    assert peaks[True] < weights / 10 < weights < peaks[False]
