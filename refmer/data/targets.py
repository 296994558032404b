"""Targets of training: the labels of clips, by name of the target."""

import warnings
from dataclasses import replace

import numpy as np

from refmer.choices import choose
from refmer.data.arrays import codes, listed, names_in

SENTIMENT_CLASSES = ("-3", "-2", "-1", "0", "+1", "+2", "+3")
MISSING = {  # target -> (function of the labels, True for a clip without one; clips with labels)
    "sentiment": (np.isnan, "clips[~np.isnan(clips.sentiment)]"),
    "emotion": (lambda value: value < 0, "clips[clips.emotion >= 0]"),
    "votes": (lambda value: ~value.any(1), "clips[clips.votes.any(1)]"),
    # a recording without annotated frames has no weight in losses and scores
    "affect": (lambda value: np.full(len(value.mask), not value.mask.any()), "clips with frames of affect"),
}
TASKS = {"sentiment": "classes", "emotion": "classes", "votes": "votes", "affect": "regression"}


def task_of(target):
    """Return "classes" (one of K), "votes" (the shares of raters) or "regression" (valence and arousal over time)."""
    return choose("target", target, TASKS)


def sentiment_class(sentiment):
    """Return one of seven classes 0..6: clipped to [-3, 3] and rounded, halves to even (numpy.round), as MulT and MMSA do."""
    return np.round(np.clip(sentiment, -3, 3)).astype(int) + 3


def class_names(clips, target):
    """Return the names of a target's classes or, for a regression, of its dimensions."""
    names = {"sentiment": SENTIMENT_CLASSES, "affect": ("valence", "arousal")}
    return names.get(target, tuple(clips.classes))


def labels(clips, target):
    """Return the labels that predictions are compared with; raise ValueError if clips lack them.

    -> int (N,) for classes; float (N, K), the shares of the votes, for votes; Stream (N, T, 2) for affect.
    """
    task_of(target)
    value = getattr(clips, target)
    if value is None:
        raise ValueError(f"these clips have no {target} labels ({clips.source})")
    is_missing, labelled = MISSING[target]
    if (missing := is_missing(value)).any():
        names = listed(clips.name[missing].tolist())
        raise ValueError(f"{missing.sum()} of {len(clips)} clips have no {target} ({names}); leave them out: {labelled}")
    if target == "sentiment":
        return sentiment_class(value)
    if target == "votes":
        return (value / value.sum(1, keepdims=True)).astype(np.float32)
    return value


def with_labels(clips, target, y):
    """Return clips whose labels of a target are y, as `labels` returns them; None: those that they have.

    Raises
    ------
    ValueError
        If y are no labels of these clips.
    """
    if y is None:
        return clips
    try:
        if task_of(target) == "classes" and names_in("y", y):
            raise ValueError("y holds names of classes; accepted: integers, as predict returns them")
        if task_of(target) == "regression":
            raise ValueError(f"y is {type(y).__name__}; accepted: None, as the labels over time are in clips.affect")
        if target == "sentiment":
            y = codes("y", y, SENTIMENT_CLASSES)
            y = np.where(y < 0, np.nan, y - 3.0)
        return replace(clips, **{target: y})
    except ValueError as error:
        raise ValueError(f"{error}. As y give refmer.data.targets.labels(clips, {target!r}), or None") from error


def above_chance(shares):
    """Return True for the classes of each clip (N, K): a share strictly above 1 / K (paper 004, IV)."""
    return shares > 1 / shares.shape[1]


def soft_targets(clips, target, classes):
    """Return the targets of a loss on logits, (N, K) float32: one-hot classes, or the shares of the votes."""
    value = labels(clips, target)
    return value if target == "votes" else np.eye(classes, dtype=np.float32)[value]


def class_count(clips, target, classes):
    """Return the number of clips of each class, (K,) float32; for votes, of clips in which the class is above chance."""
    soft = soft_targets(clips, target, classes)
    return (above_chance(soft) if target == "votes" else soft).sum(0).astype(np.float32)


def warn_of_absent(count, names):
    """Warn of classes without training clips; raise ValueError if there is no other."""
    absent = [name for name, n in zip(names, count, strict=True) if not n]
    if len(absent) == len(names):
        raise ValueError("votes of no training clip have a class above chance; accepted: raters who agree on some clips")
    if absent:
        text = f"no training clip is of the classes {', '.join(absent)}: they have weight 0 in the loss and are not learned"
        warnings.warn(text, stacklevel=3)
