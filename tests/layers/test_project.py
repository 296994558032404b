"""Bias-free maps."""

import numpy as np
import pytest

from refmer.layers.project import describe_project, project
from refmer.proofs import moved


def test_zero_stays_zero_and_a_wrong_width_is_named():
    p = moved(describe_project(4, 3))
    assert not project(p, np.zeros((2, 4)))[0].any()
    with pytest.raises(ValueError, match="x has width 5 .* accepted: 4"):
        project(p, np.zeros((2, 5)))
