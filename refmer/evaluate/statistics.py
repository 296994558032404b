"""Spreads and intervals, tests over seeds, verdicts on claims.

Effects are differences of scores, one for each seed, both systems trained and tested on the same split (matched pairs).
The splits of different seeds overlap, so effects are not independent and the plain t-test is too optimistic. With
`test_per_train`, the clips tested for each clip trained on (.15 / .70 in paper 002), the standard error is that of Nadeau and
Bengio (2003), sd sqrt(1/n + test_per_train); with 0 it is the plain one, sd sqrt(1/n).
"""

import numpy as np
from scipy import optimize, stats

from refmer.choices import floats

ALPHA = 0.05
POWER = 0.8


def spread(values):
    """Mean and standard deviation (ddof 1; None for a single value) over seeds, and the values themselves."""
    (array,) = floats(values=values)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"values have shape {array.shape}; accepted: (n,), at least one")
    return {"mean": float(array.mean()), "sd": float(array.std(ddof=1)) if len(array) > 1 else None, "values": values}


def bootstrap_interval(score, n, repeats=1000, seed=0, coverage=0.95):
    """Percentile interval of score(index (n,)) over n clips drawn with replacement (Efron 1979).

    A coverage of 0.95 gives the 2.5 % and 97.5 % points (paper 004 prints "2.75 %": a slip).
    """
    if n < 2:
        raise ValueError(f"n is {n}; accepted: at least two clips")
    options = {"n_resamples": repeats, "confidence_level": coverage, "random_state": np.random.default_rng(seed)}
    result = stats.bootstrap((np.arange(n),), score, vectorized=False, method="percentile", **options)
    return tuple(map(float, result.confidence_interval))


def draws_interval(scores, coverage=0.95):
    """Percentile interval of the scores (R,) of repeated draws of a corruption, clips and model fixed.

    It is another uncertainty than that over clips, and never added to it.
    """
    if not len(scores) or not 0 < coverage < 1:
        raise ValueError(f"{len(scores)} scores, coverage {coverage}; accepted: at least one score, between 0 and 1")
    low, high = np.quantile(scores, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)


def paired_test(effects, test_per_train=0.0):
    """One-tailed matched-pair t-test of "the mean effect is above 0" (paper 002, 5), corrected for overlapping splits.

    t = mean / (sd sqrt(1/n + test_per_train)) with n - 1 degrees of freedom. With test_per_train 0 it is
    scipy.stats.ttest_rel(a, b, alternative="greater") of effects = a - b. Effects that are all equal have no sd and no t: then
    p is that of flipping their signs, 2^-n if they are positive and 1 if not.

    Parameters
    ----------
    effects : array (n,)
        ours - theirs, by seed.
    test_per_train : float
        Clips tested for each clip trained on.

    Returns
    -------
    dict of t, df, p

    Raises
    ------
    ValueError
        Less than two seeds, no finite numbers, a negative test_per_train.
    """
    effects = _effects(effects, test_per_train)
    n, mean = len(effects), effects.mean()
    if _constant(effects):
        t, p = None, 0.5**n if mean > 0 else 1.0
    else:
        t = float(mean / standard_error(effects.std(ddof=1), n, test_per_train))
        p = float(stats.t.sf(t, n - 1))
    return {"t": t, "df": n - 1, "p": p}


def equivalence_test(effects, margin, test_per_train=0.0):
    """p of two one-sided tests (Schuirmann 1987) that the mean effect lies within the margin: the larger of the two."""
    if not margin > 0:
        raise ValueError(f"margin is {margin}; accepted: above 0")
    effects = _effects(effects, test_per_train)
    return max(paired_test(side, test_per_train)["p"] for side in (margin + effects, margin - effects))


def holm(p):
    """p-values (m,) of several comparisons, adjusted so that all errors together stay below alpha (Holm 1979).

    The i-th smallest (from 0) becomes (m - i) times itself, at least the one before, at most 1.
    """
    (p,) = floats(p=p)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p is {p.tolist()}; accepted: a list of numbers from 0 to 1")
    order = np.argsort(p)
    adjusted = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted[np.argsort(order)]


def standard_error(sd, n, test_per_train=0.0):
    """sd sqrt(1/n + test_per_train): of a mean over n seeds whose splits overlap (Nadeau and Bengio 2003)."""
    return sd * np.sqrt(1 / n + test_per_train)


def detectable_effect(sd, n, test_per_train=0.0, alpha=ALPHA, power=POWER):
    """The smallest true effect that the one-tailed test finds with the given power.

    With standard error e = sd sqrt(1/n + test_per_train) and a true effect d, t follows the noncentral t distribution with
    n - 1 degrees of freedom and noncentrality d / e. So d = e c, where c solves P(T(n - 1, c) > t_alpha) = power.

    Parameters
    ----------
    sd : float
        Standard deviation (ddof 1) of the effects over seeds, itself uncertain when seeds are few.
    n : int
        Seeds.
    test_per_train, alpha, power : float

    Returns
    -------
    float, in the unit of sd

    Raises
    ------
    ValueError
        Less than two seeds, a negative sd, an alpha or power that is not between 0 and 1, power not above alpha.
    """
    if n < 2 or not sd >= 0 or not 0 < alpha < power < 1:
        raise ValueError(f"n is {n}, sd {sd}, alpha {alpha}, power {power}; accepted: n > 1, sd >= 0, 0 < alpha < power < 1")
    critical = stats.t.isf(alpha, n - 1)
    shift = optimize.brentq(lambda c: stats.nct.sf(critical, n - 1, c) - power, 0, 4 + 4 * abs(critical))
    return float(standard_error(sd, n, test_per_train) * shift)


def verdicts(contrasts, margin, direction="greater", test_per_train=0.0):
    """Return a verdict for each contrast of a claim, p-values adjusted over them (Holm).

    "holds": one-sided, corrected p < .05 and a mean effect beyond the margin in the claimed direction; "reversed": the same,
    the other way round; else "undecided". A claim of direction "equal" holds if `equivalence_test` finds p < .05, and is
    reversed if a two-sided test finds a difference and its mean is beyond the margin.

    Parameters
    ----------
    contrasts : dict of name -> array (n,)
        Effects by seed.
    margin : float
        The smallest effect worth calling one, in the unit of the effects.
    direction : "greater", "less" or "equal"
        The claim about the mean effect: above 0, below 0, within the margin.
    test_per_train : float
        Clips tested for each clip trained on: see the head of this file.

    Returns
    -------
    dict of name -> dict
        effect, as from `spread`; interval, the 95 % t-interval of its mean with the corrected standard error; p and p_reversed,
        adjusted; verdict; detectable, the `detectable_effect` at alpha / number of contrasts (the first step of Holm), None if
        all effects are equal. For "equal", detectable is the margin within which systems without any difference would have
        been found equivalent, with that power at least.

    Raises
    ------
    ValueError
        No contrast, an unknown direction, a margin below 0 (of "equal": not above), and as `paired_test`.
    """
    if direction not in ("greater", "less", "equal") or not margin >= 0 or not contrasts:
        given = f"direction is {direction!r}, margin {margin}, contrasts {list(contrasts)}"
        raise ValueError(f"{given}; accepted: greater, less or equal; 0 or more; at least one")
    effects = {name: _effects(values, test_per_train) for name, values in contrasts.items()}
    sides = [_p_values(values, margin, direction, test_per_train) for values in effects.values()]
    adjusted = zip(*(holm(side).tolist() for side in zip(*sides, strict=True)), strict=True)
    return {
        name: _bounds(values, direction, test_per_train, len(effects)) | _verdict(values, margin, direction, *p)
        for (name, values), p in zip(effects.items(), adjusted, strict=True)
    }


def _p_values(effects, margin, direction, test_per_train):
    """p of the claim, and p of its reversal."""
    above, below = (paired_test(side, test_per_train)["p"] for side in (effects, -effects))
    if direction == "equal":
        return equivalence_test(effects, margin, test_per_train), min(2 * min(above, below), 1.0)
    return (above, below) if direction == "greater" else (below, above)


def _verdict(effects, margin, direction, p, p_reversed):
    """p, p_reversed and the verdict of one contrast."""
    mean = effects.mean()
    toward = {"greater": mean, "less": -mean, "equal": -abs(mean)}[direction]
    if p < ALPHA and (direction == "equal" or toward > margin):
        verdict = "holds"
    elif p_reversed < ALPHA and toward < -margin:
        verdict = "reversed"
    else:
        verdict = "undecided"
    return {"p": p, "p_reversed": p_reversed, "verdict": verdict}


def _bounds(effects, direction, test_per_train, contrasts):
    """The mean effect, its interval and the detectable effect."""
    n, mean, sd = len(effects), effects.mean(), effects.std(ddof=1)
    reach = stats.t.isf(0.025, n - 1) * standard_error(sd, n, test_per_train)
    power = (1 + POWER) / 2 if direction == "equal" else POWER  # each of two tests misses half as often
    detectable = None if _constant(effects) else detectable_effect(sd, n, test_per_train, ALPHA / contrasts, power)
    return {
        "effect": spread(effects.tolist()),
        "interval": [float(mean - reach), float(mean + reach)],
        "detectable": detectable,
    }


def _constant(effects):
    """All equal, but for rounding."""
    return np.ptp(effects) <= 1e-12 * np.abs(effects).max()


def _effects(effects, test_per_train):
    """The effects as an array, checked."""
    (effects,) = floats(effects=effects)
    if effects.ndim != 1 or len(effects) < 2 or not np.isfinite(effects).all():
        raise ValueError(f"effects are {effects.tolist()}; accepted: a finite number for each of at least two seeds")
    if not test_per_train >= 0:
        raise ValueError(f"test_per_train is {test_per_train}; accepted: 0 or more")
    return effects
