"""Named intermediates: a dict that is passed as `trace` collects attention maps and gates."""

from typing import NamedTuple

import numpy as np


class _Scope(NamedTuple):
    trace: object
    prefix: str


def scope(trace, prefix):
    """Return a trace whose names begin with `prefix.`; None stays None."""
    return None if trace is None else _Scope(trace, prefix)


def note(trace, name, value):
    """Store `value` under `name`; a name that is noted twice becomes a list."""
    while isinstance(trace, _Scope):
        trace, name = trace.trace, f"{trace.prefix}.{name}"
    if trace is None:
        return
    if name not in trace:
        trace[name] = value
    elif isinstance(trace[name], list):
        trace[name].append(value)
    else:
        trace[name] = [trace[name], value]


def stacked(trace):
    """Return the trace with each list of R arrays (N, ...) as one array (N, R, ...)."""
    return {name: np.stack(x, 1) if isinstance(x, list) else x for name, x in trace.items()}
