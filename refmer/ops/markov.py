"""Markov chains: the frames that a bursty channel loses."""

import numpy as np

from refmer.ops.twins import twin


@twin("u (S, N), first (1, N) bool, p float from 0 to 1, r float from 0 to 1 -> states (S, N) bool")
def markov(u, first, p, r):
    """States of N Markov chains, False to True with probability p, back with r.   u is uniform in [0, 1)."""
    states = np.zeros(u.shape, bool)
    states[:1] = first
    for s in range(1, len(u)):
        states[s] = np.where(states[s - 1], u[s] >= r, u[s] < p)
    return states
