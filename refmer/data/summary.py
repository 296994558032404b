"""A summary of clips as text: what is there, what is missing, and what a model cannot use."""

import numpy as np

from refmer.data.arrays import listed
from refmer.text import table

CHUNK = 256  # clips that are read at a time


def summary(clips):
    """Return the summary of clips: speakers, labels with counts, streams with lengths, gaps, ranges, constant features."""
    speakers, counts = np.unique(clips.speaker, return_counts=True)
    few, many = (counts.min(), counts.max()) if len(counts) else (0, 0)
    lines = [f"{len(clips)} clips of {len(speakers)} speakers ({few} to {many} clips each); {clips.source}", ""]
    if len(np.unique(clips.name)) < len(clips):
        lines[:1] += [f"{len(clips) - len(np.unique(clips.name))} clips have the name of another one"]
    labels = [[name, label.counts(), missing(label, clips)] for name, label in clips.labels.items()]
    streams = [[name, s.sense, *about(s)] for name, s in clips.streams.items()]
    lines += [table(["label", "values", "clips without"], labels), ""] if labels else ["no labels", ""]
    heads = ["stream", "sense", "features", "rate (Hz)", "seconds", "clips without", "gaps", "range", "constant features"]
    return "\n".join(lines + ([table(heads, streams)] if streams else ["no streams"]))


def missing(label, clips):
    """Return the number of clips without any label, as text."""
    present = label.present.any(1) if label.over_time else label.present
    return f"{len(clips) - int(present.sum())}"


def about(stream):
    """Return the columns of one stream."""
    lengths, gaps, low, high = [], 0, np.inf, -np.inf
    for start in range(0, len(stream.x), CHUNK):
        part = stream.read(slice(start, start + CHUNK))
        valid = part.x[part.mask]
        last = (part.mask * np.arange(1, part.mask.shape[1] + 1)).max(1, initial=0)
        lengths, gaps = [*lengths, *last.tolist()], gaps + int(last.sum() - part.mask.sum())
        if len(valid):
            low, high = np.minimum(low, valid.min(0)), np.maximum(high, valid.max(0))
    seconds = np.array([n for n in lengths if n]) / stream.rate
    shape = " x ".join(map(str, stream.x.shape[2:]))
    if not len(seconds):
        return [shape, f"{stream.rate:g}", "-", f"{len(lengths)}", "-", "-", "-"]
    constant = np.flatnonzero((low == high).ravel())
    names = [stream.features[i] if stream.features else int(i) for i in constant] if np.ndim(low) == 1 else []
    return [
        shape,
        f"{stream.rate:g}",
        f"{seconds.min():.3g} to {seconds.max():.3g}",
        f"{sum(n == 0 for n in lengths)}",
        f"{100 * gaps / sum(lengths):.1f} %",
        f"{np.min(low):.3g} to {np.max(high):.3g}",
        f"{len(constant)}" + (f" ({listed(names)})" if names else ""),
    ]
