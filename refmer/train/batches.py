"""Batches of clips of similar length, trimmed to the longest of them, so that little padding is computed.

A batch is a dict of arrays with clips first. Its time axes are those of the masks NAME_mask (B, T), shared by NAME (B, T, ...);
axes of equally many steps are one axis, since a system may need them to stay equal. Every array with time has such a mask.

A system that computes with padding (AuxFormer with causal="padded", token="last" or hide_padding=False, RAVER with
mask_context=False) sees that of the trimmed batch: its outputs depend on the longest clip there, as in the authors' code.
"""

from itertools import pairwise

import numpy as np

CHUNK = 64  # clips in one forward pass of evaluation
STEP = 8  # lengths are rounded up to its multiples
GROUP = 16  # mini-batches whose clips are sorted by length
SMALL = 2**16  # steps of all clips on all time axes, up to which a batch is neither sorted nor trimmed: training takes seconds


class Lazy(dict):
    """A batch of targets with inputs made by `inputs(index)` for the rows that are taken: one mini-batch in memory."""

    def __init__(self, inputs, targets=()):
        super().__init__(targets)
        self.inputs, self.lengths = inputs, None

    def __or__(self, targets):
        return Lazy(self.inputs, {**self, **targets})


def take(batch, index):
    """Return rows of a batch; `class_count` has no rows."""
    inputs = batch.inputs(index) if isinstance(batch, Lazy) else {}
    return inputs | {k: x if k == "class_count" else x[index] for k, x in batch.items()}


def appended(parts):
    """Return the rows of all batches; the first one may be Lazy, and `class_count` is its."""
    first, *others = parts
    others = {k: np.concatenate([part[k] for part in others]) for k in others[0] if k != "class_count"}
    rows = {k: x if k == "class_count" else np.concatenate([x, others[k]]) for k, x in first.items()}
    if not isinstance(first, Lazy):
        return rows
    n, made = len(first["target"]), {k: x for k, x in others.items() if k not in rows}

    def inputs(index):
        index = np.arange(len(rows["target"]))[index]
        early = index < n
        read, known = first.inputs(index[early] if early.any() else slice(1)), take(made, index[~early] - n)
        part = {k: np.empty((len(index), *x.shape[1:]), x.dtype) for k, x in read.items()}
        for k, x in part.items():
            x[early], x[~early] = read[k][: early.sum()], known[k]
        return part

    return Lazy(inputs, rows)


def shuffled(batch, size, rng):
    """Yield all rows of a batch once, as mini-batches of `size` in random order.

    GROUP mini-batches at a time share their rows by length. Where lengths, rounded up, are equal, the order is that of
    `rng.permutation`, and nothing else is drawn.
    """
    n = len(batch["target"])
    order, length = rng.permutation(n), lengths(batch, n)
    for start in range(0, n, GROUP * size):
        rows = order[start : start + GROUP * size]
        cuts = [slice(i, i + size) for i in range(0, len(rows), size)]
        if length is not None and np.ptp(length[rows]):
            rows = rows[np.argsort(length[rows], kind="stable")]
            cuts = [cuts[i] for i in rng.permutation(len(cuts))]
        for cut in cuts:
            part = take(batch, rows[cut])
            yield part if length is None else trimmed(part)


def ordered(batch, bounds):
    """Yield (rows, part) for the rows of a batch in the order of their length, cut at `bounds`, from 0 to their number."""
    length = lengths(batch, bounds[-1])
    order = None if length is None else np.argsort(length, kind="stable")
    for start, stop in pairwise(bounds):
        rows = slice(start, stop) if order is None else order[start:stop]
        part = take(batch, rows)
        yield rows, part if length is None else trimmed(part)


def outputs(forward, batch, n):
    """Return the outputs {name: (n, ...)} of `forward(part)` for the n rows of a batch, at most CHUNK of them at a time.

    Outputs for each step (B, S, K) get all steps of the longest time axis again, 0 where a part was trimmed.
    """
    result, steps = {}, max(axes(take(batch, slice(1))), default=0)
    for rows, part in ordered(batch, [*range(0, n, CHUNK), n]):
        kept = max(axes(part), default=0)
        for name, y in forward(part).items():
            if y.ndim == 3 and y.shape[1] == kept:
                y = np.pad(y, [(0, 0), (0, steps - kept), (0, 0)])
            result.setdefault(name, np.empty((n, *y.shape[1:]), y.dtype))[rows] = y
    return result


def lengths(batch, n):
    """Return the steps (n,) that each row needs, of all time axes together; None for a small batch or one without time.

    Those of a Lazy batch are read once, in chunks, and kept.
    """
    if n * sum(axes(take(batch, slice(1)))) <= SMALL:
        return None
    length = getattr(batch, "lengths", None)
    if length is None:
        chunks = (take(batch, slice(start, start + CHUNK)) for start in range(0, n, CHUNK))
        length = np.concatenate([sum(needed(chunk).values()) for chunk in chunks])
        if isinstance(batch, Lazy):
            batch.lengths = length
    return length


def axes(batch):
    """Return the time axes of a batch: {number of steps: names of the masks (B, T)}."""
    result = {}
    for name, x in batch.items():
        if name.endswith("_mask") and x.ndim == 2:
            result.setdefault(x.shape[1], []).append(name)
    return result


def needed(batch):
    """Return {T: (B,)}: of each time axis, the steps up to a row's last valid one, rounded up; at least STEP, at most T."""
    need = {}
    for T, masks in axes(batch).items():
        valid = np.any([batch[name] for name in masks], 0)
        length = np.where(valid.any(1), T - valid[:, ::-1].argmax(1), 1)
        need[T] = np.minimum(-(-length // STEP) * STEP, T)
    return need


def trimmed(batch):
    """Return a batch without the steps that none of its rows needs."""
    need, cut = needed(batch), {}
    for T, masks in axes(batch).items():
        for name in [*masks, *(mask.removesuffix("_mask") for mask in masks)]:
            cut[name] = np.ascontiguousarray(batch[name][:, : need[T].max()])
    return batch | cut
