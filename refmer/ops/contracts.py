"""Contracts: the arguments of an operation, stated once and read as documentation, as a check, and as a generator of arguments.

    @contract("x (..., D), W (D, E), b (E) -> y (..., E)")

The shape of an array is in parentheses. A letter is a size, the same in every shape; "4H" and "heads*D" are products, "B|1" is
B or 1, "..." any axes, the same in every shape. The elements are floating, real or complex, unless "bool", "int", "number"
(not bool) or "any" follows; "written" marks an array that is modified in place. A number is "size int from 1" or "rate float
from 0 below 1"; "or None" and "or number" accept these too. After "where" follow sizes that depend on others ("S = T - size")
and conditions, in Python. An argument without a term is not checked.
"""

import re
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, signature
from keyword import iskeyword

import numpy as np

ARRAY = re.compile(r"(?P<name>\w+) \((?P<dims>.*)\)(?: (?P<kind>bool|int|number|any|written))?")
NUMBER = re.compile(r"(?P<name>\w+) (?P<kind>bool|int|float)(?: from (?P<low>\S+))?(?: (?P<end>to|below) (?P<high>\S+))?")
LETTER = re.compile(r"(?<![.\w])[A-Za-z_]\w*")
INTS = {int} | {t for t in np.sctypeDict.values() if issubclass(t, np.integer)}
FLOATS = INTS | {float} | {t for t in np.sctypeDict.values() if issubclass(t, np.floating)}
CLASSES = {"bool": {bool, np.bool_}, "int": INTS, "float": FLOATS, "number": FLOATS | {complex, np.complex128, np.complex64}}
DTYPES = {"bool": "b", "int": "iu", "number": "iufc", "any": "biufc", "written": "f", "floating": "fc"}


@dataclass(frozen=True)
class Term:
    """An argument: an array with dimensions, or a number (`dims` None) in a range."""

    name: str
    kind: str
    dims: tuple | None = None
    low: str | None = None
    end: str | None = None
    high: str | None = None
    others: tuple = ()  # "None", "number"

    def source(self, bound):
        """Return Python statements that fail for a wrong argument; add the letters that they bind to `bound`."""
        lines = self._number() if self.dims is None else self._array(bound)
        for other in self.others:
            array = "is not None" if other == "None" else ".__class__ not in CLASSES['number']"
            lines = [f"if {self.name} {array}:", *("    " + line for line in lines)]
        return lines

    def _number(self):
        tests = [f"{self.name}.__class__ in CLASSES['{self.kind}']"]
        tests += [f"{self.low} <= {self.name}"] if self.low else []
        tests += [f"{self.name} {'<' if self.end == 'below' else '<='} {self.high}"] if self.high else []
        return [_require(tests)]

    def _array(self, bound):
        shape, dims, lines = f"{self.name}.shape", list(self.dims), []
        tests = [f"{self.name}.dtype.kind in '{DTYPES[self.kind]}'"]
        tests += [f"{self.name}.flags.writeable"] * (self.kind == "written")
        if dims[:1] == ["..."]:
            del dims[0]
            cut = f"[:-{len(dims)}]" if dims else ""
            if "lead" in bound:
                tests.append(f"{shape}{cut} == lead")
            else:
                lines.append(f"lead = {shape}{cut}")
                bound.add("lead")
            shape += f"[-{len(dims)}:]" if dims else "[:0]"
        if all(_letters(dim) <= bound and "|" not in dim for dim in dims):
            return [*lines, _require([f"{shape} == {_tuple(map(python, dims))}", *tests])]
        free = [LETTER.fullmatch(dim) and dim not in bound and dims.count(dim) == 1 for dim in dims]
        sizes = [dim if new else f"_{i}" for i, (dim, new) in enumerate(zip(dims, free, strict=True))]
        lines.append(f"{_tuple(sizes)} = {shape}")
        bound |= set(sizes)
        for size, dim in zip(sizes, dims, strict=True):
            for letter in _letters(dim) - bound:  # one letter of a product
                others = re.sub(rf"\b{letter}\b", "1", python(dim))
                lines.append(f"{letter} = {size} // ({others})")
                bound.add(letter)
            if size != dim:
                tests.append(f"{size} in {_tuple(map(python, dim.split('|')))}")
        return [*lines, _require(tests)]

    def message(self, value, scope):
        """Return what was given and what is expected; sizes that are known are numbers."""
        if self.dims is None:
            limits = [f"from {self.low}"] * bool(self.low) + [f"{self.end} {self.high}"] * bool(self.high)
            return f"{self.name} is {value!r}; expected {' '.join([self.kind, *limits])}{self._or()}"
        if not hasattr(value, "shape") or not hasattr(value, "dtype"):
            return f"{self.name} is {type(value).__name__}; expected an array {self._shape()}{self._or()}"
        letters, numbers = self._shape(), f"({', '.join(_evaluated(dim, scope) for dim in self.dims)})"
        if value.dtype.kind not in DTYPES[self.kind]:
            kind = "float32 or float64" if self.kind == "written" else self.kind
            return f"{self.name} has dtype {value.dtype}; expected {kind}, shape {letters}{self._or()}"
        if self.kind == "written" and not value.flags.writeable:
            return f"{self.name} is read-only; expected an array that can be written"
        numbers = "" if numbers == letters else f" = {numbers}"
        return f"{self.name} has shape {value.shape}; expected {letters}{numbers}{self._or()}"

    def _shape(self):
        return f"({', '.join(self.dims)})"

    def _or(self):
        return "".join(f" or {other}" for other in self.others)


class Contract:
    """The terms of a function: `check(*args, **kwargs)` raises a ValueError that names the first argument that breaks one."""

    def __init__(self, function, text):
        self.name, self.text, self.parameters = function.__name__, text, signature(function).parameters
        given, _, rest = text.partition(" -> ")
        results, _, where = rest.partition(" where ")
        self.leading = ["..." in part for part in _parts(results)]  # of each result: it has these axes
        self.terms = [_term(part) for part in _parts(given)]
        if unknown := {term.name for term in self.terms} - set(self.parameters):
            raise TypeError(f"{self.name}: the contract names {sorted(unknown)}, which are not arguments")
        self.conditions = [part.strip() for part in where.split(";") if part.strip()]
        self.steps = self._steps()  # (term or condition, its statements)
        self.check = self.define([])

    def _steps(self):
        """Numbers first, then arrays in order; a size or condition as soon as its letters are bound."""
        bound, steps, waiting = {"len"}, [], list(self.conditions)
        for term in sorted(self.terms, key=lambda term: term.dims is not None):
            steps.append((term, term.source(bound)))
            bound.add(term.name)
            for condition in list(waiting):
                size = re.match(r"(\w+) = (.*)", condition)
                if _letters(size[2] if size else condition) <= bound | set(self.parameters):
                    waiting.remove(condition)
                    steps.append((condition, [condition] if size else [_require([condition])]))
                    bound |= {size[1]} if size else set()
        assert not waiting, f"{self.name}: nothing binds the letters of {waiting}"
        return steps

    def define(self, lines, **scope):
        """Return a function of the same parameters: the check, then these statements, with these names in its scope.

        The check is all statements in one pass; only a failure looks for its place.
        """
        optional = {p.name for p in self.parameters.values() if p.default is not Parameter.empty}
        head = ", ".join(f"{name}=_{name}" if name in optional else name for name in self.parameters)
        check = [f"    {line}" for _, statements in self.steps for line in statements]
        values = ", ".join(f"{name}={name}" for name in self.parameters)
        body = ["try:", *check, "except Exception:", f"    fail(dict({values}))", *lines]
        scope |= SCOPE | {f"_{name}": self.parameters[name].default for name in optional} | {"fail": self.fail}
        exec("\n    ".join([f"def {self.name}({head}):", *body]), scope)  # a text that the contract alone determines
        return scope[self.name]

    def fail(self, values):
        """Raise the error of the first statement that fails."""
        scope = SCOPE | values
        for part, statements in self.steps:
            try:
                exec("\n".join(statements), scope)
            except Exception:
                conditions = [part] if isinstance(part, str) else []
                term = self._subject(part) if conditions else part
                conditions += [f"{name} = {values[name]}" for name in values if name in _letters(" ".join(term.dims or ()))]
                where = f" where {' and '.join(conditions)}" if conditions else ""
                raise ValueError(f"{self.name}: {term.message(values[term.name], scope)}{where}") from None

    def _subject(self, condition):
        """Return the term of the first argument that a condition is about."""
        defined = [c for c in self.conditions if c.partition(" = ")[0] in _letters(condition)]
        letters = _letters(" ".join([condition, *defined]))
        return next(t for t in self.terms if letters & {t.name, *(x for dim in t.dims or () for x in _letters(dim))})


def contract(text):
    """Check the arguments of a function before each call, and append the contract to its documentation."""

    def decorate(function):
        checked = Contract(function, text)

        @wraps(function)
        def call(*args, **kwargs):
            checked.check(*args, **kwargs)
            return function(*args, **kwargs)

        return documented(call, checked)

    return decorate


def closure(layer):
    """Check the gradients that the backward of a layer or system receives: they have the shapes of its outputs.

    A gradient 0.0 stands for zeros; of an output that is a dict, some keys may be missing.
    """

    @wraps(layer)
    def call(*args, **kwargs):
        y, *others, backward = layer(*args, **kwargs)
        shape = y.shape if type(y) is np.ndarray else _shapes(y)
        shapes = others and [_shapes(y) for y in others if y.dtype.kind in "fc"]

        def checked(dy, *rest):  # the gradients of other outputs, then the tree of gradients
            if type(dy) is not np.ndarray or dy.shape != shape:
                _fit(layer.__name__, "dy", dy, shape)
            if shapes:
                for other, expected in zip(rest, shapes, strict=False):
                    _fit(layer.__name__, "dy", other, expected)
            return backward(dy, *rest)

        return y, *others, checked

    return call


def _shapes(y):
    """Return the shapes in a nest of arrays."""
    if isinstance(y, dict):
        return {name: _shapes(part) for name, part in y.items()}
    if isinstance(y, (tuple, list)):
        return [_shapes(part) for part in y]
    return getattr(y, "shape", None)


def _fit(layer, name, dy, shape):
    """Raise a ValueError unless dy is a nest of arrays of these shapes."""
    if isinstance(shape, dict) and isinstance(dy, dict) and dy.keys() <= shape.keys():
        for key, part in dy.items():
            _fit(layer, f"{name}[{key!r}]", part, shape[key])
    elif isinstance(shape, list) and isinstance(dy, (tuple, list)) and len(dy) == len(shape):
        for i, part in enumerate(dy):
            _fit(layer, f"{name}[{i}]", part, shape[i])
    elif getattr(dy, "shape", None) != shape and not (isinstance(dy, float) and dy == 0):
        received = f"shape {dy.shape}" if hasattr(dy, "shape") else f"type {type(dy).__name__}"
        raise ValueError(f"{layer}: {name} has {received}; expected the output's {shape}")


def documented(call, checked):
    """Attach a contract to the function that checks it, and to its documentation."""
    call.contract = checked
    call.__doc__ = f"{call.__doc__ or ''}\n\n    Arguments: `{checked.text}`"
    return call


def broken():
    """Raise the error that a failing statement of a contract ends in."""
    raise ValueError


SCOPE = {"CLASSES": CLASSES, "broken": broken}


def python(dim):
    """Return a dimension as a Python expression: "4H" is 4*H."""
    return re.sub(r"(\d)([A-Za-z])", r"\1*\2", dim)


def _parts(text):
    """Return the terms of a text, between commas outside of parentheses."""
    return re.split(r",\s*(?![^(]*\))", text)


def _term(text):
    text, *others = text.split(" or ")
    match = ARRAY.fullmatch(text.strip()) or NUMBER.fullmatch(text.strip())
    if match is None:
        raise TypeError(f"{text!r} is no term of a contract; see refmer/ops/contracts.py")
    parts = match.groupdict()
    parts["kind"] = parts["kind"] or "floating"
    if "dims" in parts:
        parts["dims"] = tuple(dim.strip() for dim in parts["dims"].split(",") if dim.strip())
    return Term(**parts, others=tuple(others))


def _require(tests):
    return f"if not ({' and '.join(tests)}): broken()"


def _letters(dim):
    return {name for name in LETTER.findall(python(dim)) if not iskeyword(name)}


def _tuple(parts):
    return f"({''.join(f'{part}, ' for part in parts)})"


def _evaluated(dim, scope):
    """Return a dimension with known sizes as numbers."""
    if dim == "...":
        return ", ".join(map(str, scope["lead"])) if "lead" in scope else "..."
    try:
        return " or ".join(str(eval(python(choice), dict(scope))) for choice in dim.split("|"))
    except NameError:
        return dim
