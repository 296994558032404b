"""Every backward is the derivative of its forward, in every element (systems: along random directions), to 1e-12."""

import pytest

from refmer.check import TOLERANCE
from refmer.proofs import all_cases


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: f"{case.kind}: {case.label}")
def test_backward_is_the_derivative(case):
    errors = case.errors()
    assert errors
    for path, error in errors.items():
        assert error < TOLERANCE, f"{case.label}: {path} is off by {error:.1e}"
