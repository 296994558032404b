"""Scores of predictions: scikit-learn's where it has them; where several conventions exist, the name says which.

The truth `y` always comes first. All scores are floats in [0, 1], more is better, unless said otherwise. `macro` means the
unweighted mean over the classes that occur in y. 0 / 0 (the precision of a class that is never answered) counts as 0.
"""

import numpy as np
from sklearn.metrics import confusion_matrix, f1_score, mean_absolute_error, precision_recall_fscore_support, precision_score

from refmer.ops.losses import ccc


def acc2_has0(y, prediction):
    """Share of right signs, 0 counted as positive: (y >= 0) against (y < 0), as MMSA's regression branch."""
    y, prediction = _pair(y, prediction)
    return float(np.mean((y >= 0) == (prediction >= 0)))


def acc2_non0(y, prediction):
    """Share of right signs among clips with y != 0: (y > 0) against (y < 0), as MulT's training script. nan if none is left.

    A prediction of 0 counts as negative, so that a neutral answer to a negative clip is right.
    """
    y, prediction = _pair(y, prediction)
    signed = y != 0
    return float(np.mean((y[signed] > 0) == (prediction[signed] > 0))) if signed.any() else float("nan")


def acc5(y, prediction):
    """Share of sentiments in the right one of five classes: clipped to [-2, 2] and rounded, halves to even (MulT, MMSA)."""
    y, prediction = (np.round(np.clip(x, -2, 2)) for x in _pair(y, prediction))
    return float(np.mean(y == prediction))


def within_one(y, prediction):
    """Share of ordered classes that are right or missed by one: |prediction - y| <= 1 (paper 000, IV-B: "adjacent classes")."""
    y, prediction = _pair(y, prediction)
    return float(np.mean(np.abs(prediction - y) <= 1))


def per_class(y, answer, classes):
    """{precision, recall, f1, support: array (K,)} of every class.   y, answer: int (N,), or bool (N, K)."""
    y, answer = _pair(y, answer)
    unknown = np.setdiff1d([y, answer], range(classes))
    if unknown.size:
        raise ValueError(f"y or answer has class {unknown[0]}; accepted: 0 to {classes - 1}")
    scores = precision_recall_fscore_support(y, answer, labels=range(classes), zero_division=0)
    return dict(zip(("precision", "recall", "f1", "support"), scores, strict=True))


def votes(y, answer):
    """All scores of multi-label answers, y and answer (N, K) bool (paper 004, V).

    Returns
    -------
    dict
        n; macro_f1, macro_precision, macro_recall; weighted_f1, weighted by the number of clips with the label; micro_f1, over
        all clips and labels together; sample_precision, the mean over clips of the share of named labels that are right (0
        where none is named; paper 004); f1_per_class, f1_range, f1_sd: see `spread_over_classes`.

    Raises
    ------
    ValueError
        No clip, different shapes, one axis.
    """
    y, answer = _pair(y, answer)
    if y.ndim != 2:
        raise ValueError(f"y has shape {y.shape}; accepted: (N, K)")
    each = per_class(y, answer, y.shape[1])
    return {
        "n": len(y),
        "macro_f1": _macro(each, "f1"),
        "macro_precision": _macro(each, "precision"),
        "macro_recall": _macro(each, "recall"),
        "micro_f1": float(f1_score(y, answer, average="micro", zero_division=0)),
        "weighted_f1": _weighted(each, "f1"),
        "sample_precision": float(precision_score(y, answer, average="samples", zero_division=0)),
    } | spread_over_classes(each)


def regression(y, answer, mask=None, names=("valence", "arousal"), ddof=0):
    """Scores of the dimensions of a regression: pooled over all valid steps together, and as a mean over recordings.

    Parameters
    ----------
    y, answer : array (N, K) or (N, T, K)
    mask : bool array (N, T), optional
        Valid steps, of values over time.
    names : tuple of str
        Of the K dimensions.
    ddof : 0 or 1
        Moments of the concordance: of the population (Lin 1989, and what the authors of paper 003 report) or of the sample.

    Returns
    -------
    dict
        n; ccc_NAME of each dimension, the pooled concordance in [-1, 1], 0 for a constant, and ccc, their mean (paper 003, eq.
        15); of values over time ccc_recordings, the mean of the ccc of each recording that has a valid step; mae, the mean
        absolute error in units of the annotation, less is better. Errors as for `votes`.
    """
    y, answer = (x.astype(np.float64) for x in _alike(y, answer))
    over_time = mask is not None
    mask = np.asarray(mask) if over_time else np.ones(y.shape[:-1], bool)
    if y.ndim != 2 + over_time or mask.dtype != bool or mask.shape != y.shape[:-1] or y.shape[-1] != len(names):
        raise ValueError(
            f"y has shape {y.shape}, mask {mask.dtype} {mask.shape}, {len(names)} names; accepted: (N, K), or (N, T, K) and "
            "bool (N, T), and K names"
        )
    error = float(mean_absolute_error(*_pair(y[mask], answer[mask])))
    pooled = ccc(answer, y, mask, ddof)[0].tolist()
    scores = {"n": len(y), "ccc": float(np.mean(pooled))} | {
        f"ccc_{name}": value for name, value in zip(names, pooled, strict=True)
    }
    if not over_time:
        return scores | {"mae": error}
    each = [ccc(answer[i : i + 1], y[i : i + 1], mask[i : i + 1], ddof)[0].mean() for i in np.flatnonzero(mask.any(1))]
    return scores | {"ccc_recordings": float(np.mean(each)), "mae": error}


def classification(y, prediction, names):
    """All scores of class predictions.

    Parameters
    ----------
    y, prediction : int array (N,)
        Below K.
    names : sequence of str
        The K classes.

    Returns
    -------
    dict
        n; accuracy, also called WAR, equal to micro F1 (of sentiment, Acc-7); uar, the unweighted average recall, which is
        macro recall and scikit-learn's balanced accuracy; macro_f1, macro_precision; weighted_f1, weighted by the true counts;
        f1_per_class, f1_range, f1_sd: see `spread_over_classes`; confusion (K, K), rows true, columns predicted.

    Raises
    ------
    ValueError
        No clip, different shapes, a class that is not one of the K.
    """
    y, prediction = _pair(y, prediction)
    each = per_class(y, prediction, len(names))
    scores = {
        "n": len(y),
        "accuracy": float(np.mean(y == prediction)),
        "uar": _macro(each, "recall"),
        "macro_f1": _macro(each, "f1"),
        "macro_precision": _macro(each, "precision"),
        "weighted_f1": _weighted(each, "f1"),
    } | spread_over_classes(each)
    return scores | {"confusion": confusion_matrix(y, prediction, labels=range(len(names))).tolist()}


def ordinal(y, prediction, names, low):
    """All scores of predicted levels: those of `classification`, and those of numbers.

    Parameters
    ----------
    y, prediction : int array (N,)
        Below K.
    names : sequence of str
        The K levels, from the least to the greatest.
    low : int
        Number of the first level.

    Returns
    -------
    dict
        As `classification`; within_one, mae, the mean absolute error in levels, less is better; on a scale that has negative
        and positive numbers acc2_has0 and acc2_non0, and acc5 where it reaches beyond -2 and 2.
    """
    scores = classification(y, prediction, names)
    numbers = np.asarray(y) + low, np.asarray(prediction) + low
    signed = low < 0 < low + len(names) - 1
    used = (acc2_has0, acc2_non0) * signed + (acc5,) * (low < -2 and low + len(names) > 3) + (within_one,)
    scores |= {score.__name__: score(*numbers) for score in used}
    return scores | {"mae": float(mean_absolute_error(*numbers))}


def spread_over_classes(each):
    """Inequality of the classes, from `per_class`; less is better: f1_per_class (K,); f1_range, highest minus lowest; f1_sd.

    Both over the classes that occur in y and 0 if that is less than two; sd with ddof 1, as paper 004's Table 4 gives .0865.
    """
    f1 = each["f1"][each["support"] > 0]
    several = len(f1) > 1
    return {
        "f1_per_class": each["f1"].tolist(),
        "f1_range": float(np.ptp(f1)) if several else 0.0,
        "f1_sd": float(np.std(f1, ddof=1)) if several else 0.0,
    }


def _macro(each, name):
    """Unweighted mean of a score over the classes that occur in y; 0 if none does."""
    present = each["support"] > 0
    return float(each[name][present].mean()) if present.any() else 0.0


def _weighted(each, name):
    """Mean of a score over the classes, weighted by their frequency in y; 0 if none occurs."""
    return float(each[name] @ each["support"] / max(each["support"].sum(), 1))


def _alike(y, answer):
    """Both as arrays of numbers of one shape."""
    try:
        y, answer = np.asarray(y), np.asarray(answer)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y or the answer is no array ({error}); accepted: numbers") from error
    if not {y.dtype.kind, answer.dtype.kind} <= set("biuf"):
        raise ValueError(f"y is {y.dtype}, the answer {answer.dtype}; accepted: numbers")
    if y.shape != answer.shape or not y.size:
        raise ValueError(f"y has shape {y.shape}, the answer {answer.shape}; accepted: the same shape, at least one clip")
    return y, answer


def _pair(y, answer):
    """The same, finite."""
    y, answer = _alike(y, answer)
    if not (np.isfinite(y).all() and np.isfinite(answer).all()):
        raise ValueError("y or the answer contains nan or infinity; accepted: finite numbers")
    return y, answer
