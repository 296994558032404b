"""Naming of what is wrong with the results of a function: mistakes of the table, or else general ones."""

from itertools import combinations

import numpy as np

RIGHT = 1e-11  # relative to the largest element of an array; the best central difference is off by more
SAME = 1e-9  # agreement of a wrong result with that of a mistake


def agrees(received, expected, tolerance=RIGHT):
    """Return whether two arrays have one shape, the same places that are not finite, and else the same values."""
    a, b = numbers(received), numbers(expected)
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return False
    finite = np.isfinite(b)
    scale = np.abs(b[finite]).max(initial=0) or 1.0
    return bool(np.abs(a[finite] - b[finite]).max(initial=0) <= tolerance * scale)


def numbers(x):
    """Return an array of float64 or complex128: differences of flags and codes, too."""
    return np.asarray(x).astype(np.complex128 if np.iscomplexobj(x) else np.float64)


def error(received, expected):
    """Return the largest error relative to the largest element; inf where something is not finite."""
    a, b = numbers(received), numbers(expected)
    return np.abs(a - b).max(initial=0) / (np.abs(b).max(initial=0) or 1) if np.isfinite(a).all() else np.inf


def explain(received, expected, mutate, mistakes):
    """Return {place of an output: [mistakes]}: what turns the expected results into the received ones.

    Several mistakes of one output are alternatives; an output that is wrong without being named has an empty list.

    Parameters
    ----------
    received, expected : list of tuple of ndarray
        The outputs of each call.
    mutate : callable
        `mutate(*mistakes)` returns the results with these mistakes, as `expected`; None of a call that fails.
    mistakes : list of Mistake
        Those that are tried.
    """
    everything = range(len(expected[0]))
    wrong = [k for k in everything if not same(received, expected, [k], RIGHT)]
    if not wrong:
        return {}
    single = {m: mutate(m) for m in mistakes}
    single = {m: results for m, results in single.items() if not same(results, expected, everything, RIGHT)}
    if whole := [m for m, results in single.items() if same(results, received, everything)]:
        return dict.fromkeys(wrong, whole)
    first = wrong[0]
    begins = [m for m, r in single.items() if same(r, received, range(first + 1)) and not same(r, expected, [first])]
    for a in begins:
        for b in single:
            if b != a and same(mutate(a, b), received, everything):
                return {k: [a] if same(single[a], received, [k]) else [b] for k in wrong}
    found = {first: begins}
    for k in wrong[1:]:  # by itself, or as a consequence
        found[k] = [m for m in begins if same(single[m], received, [k])]
        found[k] = found[k] or [m for m in single if not same(single[m], expected, [k]) and same(single[m], received, [k])]
    return found


def same(some, others, places, tolerance=SAME):
    """Return whether the outputs at `places` agree in all calls."""
    return all(
        a is not None and b is not None and len(a) == len(b) and all(agrees(a[k], b[k], tolerance) for k in places)
        for a, b in zip(some, others, strict=True)
    )


def describe(received, expected, sizes, with_ones=None):
    """Return one line on a wrong output of one function.

    Parameters
    ----------
    received, expected : list of ndarray
        The output in each call.
    sizes : list of dict of str to int
        The sizes of each call, which name a factor.
    with_ones : ndarray, optional
        The right result of the first call for an upstream of ones.
    """
    calls = list(zip(map(numbers, received), map(numbers, expected), sizes, strict=True))
    bad = [(a, b, n) for a, b, n in calls if not agrees(a, b)]
    a, b, _ = bad[0]
    if a.shape != b.shape:
        return misshaped(a, b)
    if not np.isfinite(a).all():
        return f"has {places(~np.isfinite(a))} that are nan or infinite"
    if with_ones is not None and agrees(calls[0][0], with_ones, SAME):
        return "is the gradient for an upstream of ones: dy is not used"
    if not a.any():
        return "is 0 everywhere: a path is missing"
    if text := factor(bad):
        return text
    if a.ndim > 1 and a.shape[-1] == a.shape[-2] and agrees(a.swapaxes(-1, -2), b, SAME):
        return "is transposed"
    off = error(a, b)
    if off < 1e-4 and np.array_equal(a, a.astype(np.float32)):
        return "has the precision of float32; float64 came in"
    if off < 1e-4 and np.mean(a == b) < 0.5:
        return f"is right to {-np.log10(off):.0f} digits only, as a difference quotient is"
    return partly(a, b, off)


def misshaped(a, b):
    """Return one line on a wrong shape."""
    text = f"has the shape {a.shape}; expected: {b.shape}"
    if a.shape == b.shape[::-1] and agrees(a.T, b, SAME):
        return f"{text}; it is transposed"
    for axes in subsets(a.ndim):
        if any(agrees(a.sum(axes, keepdims=keep), b, SAME) for keep in (False, True)):
            return f"{text}; it is not summed over axis {' and '.join(map(str, axes))}"
    for axes in subsets(b.ndim):
        if any(agrees(a, b.sum(axes, keepdims=keep), SAME) for keep in (False, True)):
            return f"{text}; it is summed over axis {' and '.join(map(str, axes))}"
    return text


def subsets(ndim):
    """Yield the non-empty sets of axes, small ones first."""
    for count in range(1, ndim + 1):
        yield from combinations(range(ndim), count)


def factor(bad):
    """Return one line on a constant factor in all wrong calls, named by the sizes where it can be, or an empty text."""
    ratios = [float(np.vdot(b, a).real / np.vdot(b, b).real) for a, b, _ in bad if np.any(b)]
    if (
        len(ratios) < len(bad)
        or abs(ratios[0] - 1) < 1e-6
        or not all(agrees(a, r * b, SAME) for r, (a, b, _) in zip(ratios, bad, strict=True))
    ):
        return ""
    if np.allclose(ratios, -1, rtol=SAME):
        return "has the wrong sign"
    text, first = f"is {ratios[0]:.4g} times what it should be", bad[0][2]
    for name in factors(first):
        values = np.array([factors(sizes).get(name, np.nan) for *_, sizes in bad])
        for sign, s in (("", 1), ("-", -1)):
            if np.allclose(ratios, s * values, rtol=SAME, atol=0):
                letters = [f"{letter} = {n}" for letter, n in first.items() if letter in name]
                return f"{text}: {', '.join([sign + name, *letters])}"
    constant = np.allclose(ratios, ratios[0], rtol=SAME, atol=0) and any(b.size > 1 for _, b, _ in bad)
    return text if constant else ""  # a number is always a multiple of another


def factors(sizes):
    """Return {name: value} of the factors that occur: small numbers, sizes, their roots and products."""
    found = {"2": 2, "1/2": 1 / 2, "3": 3, "1/3": 1 / 3, "4": 4, "1/4": 1 / 4}
    for letter, n in sizes.items():
        found |= {letter: n, f"1/{letter}": 1 / n, f"sqrt({letter})": n**0.5, f"1/sqrt({letter})": n**-0.5}
        found |= {f"({letter} - 1)/{letter}": 1 - 1 / n, f"{letter}/({letter} - 1)": n / (n - 1) if n > 1 else np.inf}
    for (a, n), (b, m) in combinations(sizes.items(), 2):
        found |= {f"{a}*{b}": n * m, f"1/({a}*{b})": 1 / (n * m), f"{a}/{b}": n / m, f"{b}/{a}": m / n}
    return found


def partly(a, b, off):
    """Return one line on an output of which some elements may be right."""
    wrong = np.abs(a - b) > RIGHT * (np.abs(b).max() or 1)
    worst = np.unravel_index(np.abs(a - b).argmax(), a.shape)
    at = f"at {list(map(int, worst))}: " if worst else ""
    text = f"is off by {off:.2g} of its largest element; {at}received {a[worst]:.6g}, expected {b[worst]:.6g}"
    for axis in range(a.ndim):
        rows = wrong.any(axis=tuple(i for i in range(a.ndim) if i != axis))
        if not rows.all() and a.shape[axis] > 1:
            return f"{text}; wrong only at {listed(rows)} of axis {axis}"
    return text if wrong.all() else f"{text}; {places(~wrong)} are right"


def places(which):
    """Return a count, "3 of 12 elements"."""
    return f"{int(which.sum())} of {which.size} elements"


def listed(rows):
    """Return the places of the true elements, "0, 2"."""
    return ", ".join(map(str, np.flatnonzero(rows).tolist()))
