"""How sure a number is."""

import numpy as np


def bootstrap_interval(score, n, repeats=1000, seed=0, coverage=0.95):
    """Percentile interval of a score over clips drawn with replacement (Efron 1979).

    Parameters
    ----------
    score : callable
        score(index) of the clips at `index`, an int array (n,).
    n : int
        Number of clips.
    repeats, seed : int
    coverage : float
        0.95 gives the 2.5 % and 97.5 % points (paper 004 prints "2.75 %": a slip).

    Returns
    -------
    (float, float)
    """
    if n < 1:
        raise ValueError(f"n is {n}; accepted: at least one clip")
    rng = np.random.default_rng(seed)
    scores = [score(rng.integers(n, size=n)) for _ in range(repeats)]
    low, high = np.quantile(scores, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)
