"""Random arguments of an operation, right or wrong, made from its contract (refmer/ops/contracts.py)."""

import re

import numpy as np

from refmer.ops.contracts import python

NAMES = re.compile(r"(?<![.\w])[A-Za-z]\w*")
WRONG = ("axis", "axis", "axis", "less", "more", "transposed", "dtype", "list", "none", "text", "number", "nan")


def draw(contract, rng, dtype=np.float64, smallest=1):
    """Return {name: value} of arguments that follow the contract: sizes from `smallest` to 7, None where it is accepted.

    Arrays are contiguous, Fortran-ordered, strided, read-only or broadcast; sometimes two are the same.
    """
    for _ in range(1000):
        values = _values(contract, rng, dtype, smallest)
        if rng.random() < 0.2:
            _share(values, rng)
        try:
            contract.check(**values)
        except (TypeError, ValueError):
            continue
        return values
    raise ValueError(f"{contract.name}: no arguments drawn that follow the contract")


def _values(contract, rng, dtype, smallest):
    terms = contract.terms
    values = {t.name: _number(t, rng) for t in terms if t.dims is None}
    letters = {name for t in terms for dim in t.dims or () for name in NAMES.findall(python(dim))} - set(values)
    sizes = dict(
        zip(sorted(letters), map(int, rng.permutation(np.arange(smallest, smallest + max(7, len(letters))))), strict=False)
    )
    lead = tuple(map(int, rng.integers(smallest, 4, rng.integers(3))))
    for condition in contract.conditions:
        if size := re.match(r"(\w+) = (.*)", condition):
            sizes[size[1]] = max(0, eval(size[2], values | sizes))
    for term in terms:
        if "None" in term.others and rng.random() < 0.4:
            values[term.name] = None
        elif "number" in term.others and rng.random() < 0.4:
            values[term.name] = float(rng.uniform(0.2, 1))
        elif term.dims is not None:
            shape = [lead if dim == "..." else (_size(dim, values | sizes, rng),) for dim in term.dims]
            values[term.name] = layout(_array(term.kind, sum(shape, ()), rng, dtype), rng, term.kind)
    return values


def _share(values, rng):
    """Make two arguments of one shape and dtype the same array, if there are such."""
    arrays = {name: x for name, x in values.items() if isinstance(x, np.ndarray)}
    same = [(a, b) for a, x in arrays.items() for b, y in arrays.items() if a < b and (x.shape, x.dtype) == (y.shape, y.dtype)]
    if same:
        a, b = same[rng.integers(len(same))]
        values[b] = values[a]


def _size(dim, scope, rng):
    return int(rng.choice([eval(python(choice), dict(scope)) for choice in dim.split("|")]))


def _number(term, rng):
    low = eval(term.low or "0")
    if term.kind == "bool":
        return bool(rng.integers(2))
    if term.kind == "int":
        high = eval(term.high) - (term.end == "below") if term.high else low + 3
        return int(rng.integers(low, high, endpoint=True))
    return float(rng.uniform(low, eval(term.high or str(low + 1))))


def _array(kind, shape, rng, dtype):
    if kind == "bool":
        return rng.random(shape) < 0.6
    if kind == "int":
        return rng.integers(0, 3, shape)
    return rng.normal(size=shape).astype(dtype)


def layout(x, rng, kind="floating"):
    """Return the same values in another memory layout."""
    way = rng.integers(7)
    if way == 0:
        return np.asfortranarray(x)
    if way == 1 and x.ndim:
        return np.repeat(x, 2, -1)[..., ::2]
    if way == 2 and kind != "written":
        x.flags.writeable = False
    if way == 3 and x.ndim and len(x) and kind != "written":
        return np.broadcast_to(x[:1], x.shape)
    return x


def damage(contract, values, rng):
    """Return the arguments with one of them changed at random; most changes break the contract."""
    term = contract.terms[rng.integers(len(contract.terms))]
    x, way = values[term.name], WRONG[rng.integers(len(WRONG))]
    wrong = {"list": np.asarray(x).tolist(), "none": None, "text": "3", "number": float(rng.normal()), "nan": np.nan}
    if isinstance(x, np.ndarray) and way not in wrong:
        wrong = {
            "axis": lambda: _resized(x, rng),
            "less": lambda: x[0] if x.ndim and len(x) else x[None],
            "more": lambda: x[None],
            "transposed": lambda: x.T,
            "dtype": lambda: x.astype(rng.choice(["?", "i8", "c16", "U3", "O", "f2"])),
        }
        return values | {term.name: wrong[way]()}
    return values | {term.name: wrong.get(way, -1)}


def _resized(x, rng):
    """Return an array with another length of one axis, longer ones repeated."""
    shape = list(x.shape)
    if not shape:
        return x[None]
    shape[rng.integers(len(shape))] += int(rng.choice([-1, 1, 3, 50]))
    return np.resize(x, [max(0, n) for n in shape])
