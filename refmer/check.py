"""Proof of gradients by the complex step: Im f(x + ih) / h with h = 1e-30 is the derivative to the last bit.

Without a subtraction there is no cancellation and no step size to tune: a correct backward agrees to about 1e-15; the tolerance
is 1e-12. The gradient from above is random: with ones, for example, a wrong layer norm can pass.
"""

import importlib
import warnings
from fnmatch import fnmatch
from functools import wraps
from inspect import Parameter, signature

import numpy as np

from refmer import params
from refmer.ops.twins import kernels

STEP = 1e-30
TOLERANCE = 1e-12


def assert_pair(f, *args, rng, **options):
    """Assert that `f_backward`, in the module of `f`, is the derivative of `f` in every element of every array input.

    `f(*args, **options)` returns `y`, or `(y, *saved)`; `f_backward(dy, *saved)` (saved is `y` itself where `f` returns it
    alone) returns the gradients of the floating arrays among `args`, in order; other args are passed on. Also asserted:
    a gradient has the shape and dtype of its input, inputs and dy are unchanged, and float32 inputs give float32 outputs. `rng`
    and the result: see `assert_gradient`.
    """
    return _worst(f.__name__, *_compared(_pair(f, options), None, args, rng))


def assert_gradient(f, p, *inputs, rng, zero=(), directions=False):
    """Assert that the closure that `f` returns is its derivative in every parameter and every floating input.

    `y, backward = f(p, *inputs)`; `dx = backward(dy, g)` returns the gradients of the floating inputs (one, or a tuple in
    order; a dict for a dict) and adds those of the parameters into `g`. With `p=None`, `f(*inputs)` and `backward(dy)`.
    y and inputs are arrays, or dicts or tuples of arrays. Also asserted: a gradient has the shape and dtype of its input,
    inputs and dy are unchanged, a second call adds the same gradients again, and float32 inputs give float32 outputs.

    Parameters
    ----------
    f : layer or system forward
    p : Tree of float64, or None
    *inputs
        Float64 arrays are differentiated; bool and int arrays, None and scalars are passed on.
    rng : numpy.random.Generator
        Draws the gradient from above.
    zero : patterns of leaf paths (inputs by name: "input.x", "input.batch.visual")
        Leaves whose gradient vanishes by a symmetry (a key bias in a softmax): below 1e-12 of the largest gradient.
    directions : bool
        Check one random direction per leaf and input instead of every element: for whole systems.

    Returns
    -------
    float
        The largest error, relative to the largest gradient of the same leaf (or input).
    """
    return _worst(getattr(f, "__name__", "layer"), *_compared(f, p, inputs, rng, zero, directions))


def pair_errors(f, *args, rng, **options):
    """Return {"input.NAME": relative error} of `assert_pair`."""
    return _compared(_pair(f, options), None, args, rng)[0]


def _pair(f, options):
    """Return a function of ops as a layer without parameters."""

    @wraps(f)
    def run(*inputs):
        single = any(_floating(x) and x.dtype == np.float32 for x in inputs)
        return as_layer(f, *inputs, **(narrow(options) if single else options))

    return run


def as_layer(f, *args, **options):
    """Return y of a function of ops and its backward, which calls `f_backward` with the saved arrays."""
    backward = getattr(importlib.import_module(f.__module__), f.__name__ + "_backward")
    result = f(*args, **options)
    y, *saved = result if isinstance(result, tuple) else (result, result)
    return y, lambda dy: backward(dy, *saved)


def narrow(x):
    """Return a nest with its floating arrays in float32."""
    return _map(lambda v: v.astype(np.float32) if _floating(v) else v, x)


def gradient_errors(f, p, *inputs, rng, zero=(), directions=False):
    """Return {path: relative error} of `assert_gradient`."""
    return _compared(f, p, inputs, rng, zero, directions)[0]


def _compared(f, p, inputs, rng, zero=(), directions=False):
    """Return {path: relative error} and {path: (true gradient, ours)}, arrays or, along a direction, numbers."""
    inputs = {f"input.{name}": x for name, x in zip(_names(f, p, len(inputs)), inputs, strict=True)}
    with kernels(False), warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        y, _ = _call(f, p, inputs)
        dy = _map(lambda v: np.asarray(rng.normal(size=np.shape(v))), y)
        values, grads = _values(p, inputs), _gradients(f, p, inputs, dy)
        _assert_keeps_dtype(f, p, inputs, dy)

        def derivative(path, step):
            moved, _ = _call(f, *_replace(p, inputs, {**values, path: values[path] + 1j * STEP * step}))
            return sum(np.sum(d * v).imag for d, v in zip(_leaves(dy), _leaves(moved), strict=True)) / STEP

        compare = _by_direction if directions else _by_element
        results = {k: compare(v, grads[k], lambda s, k=k: derivative(k, s), rng) for k, v in values.items()}
        return _relative(results, zero), {path: pair for path, (*pair, _, _) in results.items()}


def _names(f, p, count):
    """Return the names of the inputs of f; of those without a name, their places."""
    names = [name for name, parameter in signature(f).parameters.items() if parameter.kind != Parameter.VAR_POSITIONAL]
    names = names[p is not None :][:count]
    return names + list(range(len(names), count))


def _by_element(value, grad, derivative, rng):
    """Return the true gradient, ours, and their sizes, the largest over all elements of one leaf."""
    true = np.empty(value.shape)
    for i in np.ndindex(value.shape):
        step = np.zeros(value.shape)
        step[i] = 1
        true[i] = derivative(step)
    return true, grad, np.abs(true).max(initial=0), np.abs(grad).max(initial=0)


def _by_direction(value, grad, derivative, rng):
    """Return the same along one random direction; a size is the root of the sum of squares of the terms."""
    step = rng.normal(size=value.shape)
    true, size = derivative(step), np.sqrt(np.sum((grad * step) ** 2))
    return true, np.sum(grad * step), max(size, abs(true)), size


def _relative(results, zero):
    """Return errors relative to the gradient of each leaf; of leaves in `zero`, their size relative to the largest gradient."""
    for pattern in zero:
        if not any(fnmatch(path, pattern) for path in results):
            raise ValueError(f"zero names {pattern!r}, which matches none of {sorted(results)}")
    largest = max(size for *_, size, _ in results.values())
    errors = {}
    for path, (true, ours, true_size, our_size) in results.items():
        if any(fnmatch(path, pattern) for pattern in zero):
            errors[path] = max(true_size, our_size) / largest
        else:  # nan: not used, or a symmetry to be named in `zero`
            errors[path] = np.abs(true - ours).max(initial=0) / true_size if true_size else np.nan
    return errors


def _worst(name, errors, pairs):
    bad = [f"{path}: {_difference(error, *pairs[path])}" for path, error in errors.items() if not error < TOLERANCE]
    assert not bad, f"{name}: wrong gradient of " + "; of ".join(bad)
    return float(max(errors.values()))


def _difference(error, true, ours):
    """Return the worst place of a wrong gradient and what is recognised in it."""
    if np.isnan(error):
        return "it vanishes, but `zero` does not name it"
    place = np.unravel_index(np.abs(true - ours).argmax(), np.shape(true))
    at = f"at {list(map(int, place))}" if place else "along a random direction"
    text = f"relative error {error:.2g}; {at} expected {np.asarray(true)[place]:.6g}, received {np.asarray(ours)[place]:.6g}"
    return "; ".join([text, *_recognised(np.asarray(true), np.asarray(ours))])


def _recognised(true, ours):
    """Return a list of at most one known mistake."""
    right = np.abs(true - ours) <= 1e-9 * np.abs(true).max()
    factor = np.vdot(true, ours) / np.vdot(true, true)
    if not ours.any():
        return ["it is 0: a path is missing"]
    if np.allclose(ours, -true, rtol=1e-9, atol=0):
        return ["the sign is wrong"]
    if true.ndim and np.allclose(ours, factor * true, rtol=1e-9, atol=0):
        return [f"received = {factor:.12g} * expected: a constant factor"]
    if true.ndim > 1 and true.shape[-1] == true.shape[-2] and np.allclose(ours, true.swapaxes(-1, -2), rtol=1e-9, atol=0):
        return ["it is transposed"]
    return [f"{right.sum()} of {right.size} elements are right"] if right.any() else []


def _call(f, p, inputs):
    return f(*inputs.values()) if p is None else f(p, *inputs.values())


def _gradients(f, p, inputs, dy):
    """Return {path: gradient}; assert that inputs are unchanged and that a second call adds the same gradients again."""
    given = [*_leaves(list(inputs.values())), *_leaves(dy)] + ([] if p is None else [p.vector, p.state])
    before = [np.copy(v) for v in given]
    _, backward = _call(f, p, inputs)
    if p is None:
        dx, grads = backward(dy), {}
    else:
        g = params.zeros_like(p)
        dx = backward(dy, g)
        grads = _parameters(params.like(g, g.vector.copy()))
        backward(dy, g)
    for a, b in zip(before, given, strict=True):
        np.testing.assert_array_equal(a, b, "forward or backward wrote into one of its inputs")
    for path, once in grads.items():
        slack = 100 * np.finfo(once.dtype).eps * np.abs(once).max(initial=0)  # a shared leaf is a sum: its order differs
        message = f"a second backward must add the same to {path}"
        np.testing.assert_allclose(params.get(g, path), 2 * once, rtol=0, atol=slack, err_msg=message)
    dx = dx if isinstance(dx, tuple) else (dx,)
    expected = [(path, x) for path, x in inputs.items() if isinstance(x, dict) or _floating(x)]
    assert len(dx) == len(expected), f"backward returns {len(dx)} gradients for the inputs {[k for k, _ in expected]}"
    for (path, x), d in zip(expected, dx, strict=True):
        grads |= {f"{path}.{k}": d[k] for k, v in x.items() if _floating(v)} if isinstance(x, dict) else {path: d}
    for path, x in _values(None, inputs).items():
        d = grads[path]
        received = f"shape {d.shape} and dtype {d.dtype}" if isinstance(d, np.ndarray) else f"type {type(d).__name__}"
        message = f"the gradient of {path} has {received}; expected: shape {x.shape} and dtype {x.dtype}{_misshaped(d, x)}"
        assert isinstance(d, np.ndarray) and (d.shape, d.dtype) == (x.shape, x.dtype), message
    return grads


def _misshaped(d, x):
    """Return the known mistake in the shape of a gradient, or an empty text."""
    shape, before = np.shape(d), np.ndim(d) - x.ndim
    if shape == x.shape or not isinstance(d, np.ndarray):
        return ""
    if shape == x.shape[::-1]:
        return ": it is transposed"
    if before > 0 and shape[before:] == x.shape:
        return f": it is not summed over axes {list(range(before))}"
    return f": it is summed over axes {list(range(-before))}" if before < 0 and shape == x.shape[-before:] else ""


def _assert_keeps_dtype(f, p, inputs, dy):
    p32 = None if p is None else params.like(p, narrow(p.vector), narrow(p.state))
    inputs, dy = narrow(inputs), narrow(dy)
    y, _ = _call(f, p32, inputs)
    for path, v in [("the output", v) for v in _leaves(y)] + list(_gradients(f, p32, inputs, dy).items()):
        assert np.asarray(v).dtype == np.float32, f"float32 in, but {path} is {np.asarray(v).dtype}"


def _parameters(p):
    return {k: params.get(p, k) for k, leaf in params.walk(p.description) if not leaf.state}


def _values(p, inputs):
    """Return {path: array} of everything that is differentiated, in the order of the flat vector."""
    values = {} if p is None else _parameters(p)
    for name, x in inputs.items():
        parts = {f"{name}.{k}": v for k, v in x.items()} if isinstance(x, dict) else {name: x}
        values |= {path: v for path, v in parts.items() if _floating(v)}
    return values


def _replace(p, inputs, values):
    """Return p and the inputs with `values` in place of their floating arrays."""
    moved = {
        name: {k: values.get(f"{name}.{k}", v) for k, v in x.items()} if isinstance(x, dict) else values.get(name, x)
        for name, x in inputs.items()
    }
    if p is None:
        return None, moved
    flat = [v.ravel() for path, v in values.items() if path not in _values(None, inputs)]
    return params.like(p, np.concatenate(flat) if flat else p.vector), moved


def _floating(x):
    return isinstance(x, np.ndarray) and x.dtype.kind in "fc"


def _map(f, x):
    if isinstance(x, dict):
        return {k: _map(f, v) for k, v in x.items()}
    if isinstance(x, (tuple, list)):
        return type(x)(_map(f, v) for v in x)
    return f(x)


def _leaves(x):
    leaves = []
    _map(leaves.append, x)
    return leaves
