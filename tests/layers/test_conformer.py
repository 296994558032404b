"""The Conformer block."""

import numpy as np

from refmer import params
from refmer.layers import conformer
from refmer.layers.dense import describe_linear
from refmer.proofs import moved

C, HIDDEN, SIZE = 6, 7, 3
X = np.random.default_rng(1).normal(size=(2, 5, C))


def test_its_size_is_the_sum_of_its_parts():
    half = 2 * C + C * HIDDEN + HIDDEN + HIDDEN * C + C
    attend = 2 * C + 4 * params.count(describe_linear(C, C))
    convolve = 4 * C + params.count(describe_linear(C, 2 * C)) + SIZE * C + C + params.count(describe_linear(C, C))
    assert params.count(conformer.describe_conformer_block(C, HIDDEN, SIZE)) == 2 * half + attend + convolve + 2 * C


def test_its_output_is_normalised():
    p = params.init(conformer.describe_conformer_block(C, HIDDEN, SIZE), 0, np.float64)
    y, _ = conformer.conformer_block(p, X, 2)
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(-1), 1, rtol=1e-3)


def test_a_branch_is_added_to_the_input():
    p = moved(conformer.describe_half(C, HIDDEN))
    p.ffn.down.W[:], p.ffn.down.b[:] = 0, 2
    np.testing.assert_allclose(conformer.half(p, X)[0], X + 1, rtol=1e-12)  # half of the branch
    p = moved(conformer.describe_convolution_module(C, SIZE))
    p.project.W[:], p.project.b[:] = 0, 2
    np.testing.assert_allclose(conformer.convolution_module(p, X)[0], X + 2, rtol=1e-12)


def test_only_the_convolution_reaches_beyond_a_frame_in_its_module():
    p = moved(conformer.describe_convolution_module(C, SIZE))
    other = X.copy()
    other[:, 4] += np.arange(C)
    changed = (conformer.convolution_module(p, X)[0] != conformer.convolution_module(p, other)[0]).any((0, 2))
    np.testing.assert_array_equal(changed, [False, False, False, True, True])
