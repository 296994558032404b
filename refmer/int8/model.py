"""Recognizers in 8 bits: every learned map W of the system becomes a QuantizedMatrix; its forward code stays the same."""

from copy import copy
from typing import TypeVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from refmer import params
from refmer.choices import choose
from refmer.data import labels
from refmer.data.clips import Clips, Stream
from refmer.int8.files import fold, folded, inputs
from refmer.int8.finetune import fine_tune
from refmer.int8.matrix import QuantizedMatrix
from refmer.int8.observers import OBSERVERS
from refmer.systems import find

Model = TypeVar("Model")  # a Recognizer

SILENCE = 4.0  # seconds of the clip on which learned maps are recognised
ACTIVATIONS = ("row", "tensor", "static")
WHY = {
    "b": "bias: added to the product in float32",
    "gamma": "norm",
    "beta": "norm",
    "mean": "running statistics of a norm",
    "var": "running statistics of a norm",
    "W": "table or depthwise kernel: no matrix product",
}


def quantize(
    model: Model,
    calibration_clips: Clips | None = None,
    *,
    activations: str | None = None,
    per_channel: bool = True,
    clip: str = "max",
    observer: str = "min-max",
    finetune: int = 0,
) -> Model:
    """Return the recognizer with all its learned maps in 8 bits.

    Every matrix W of a product `x @ W` in the system's forward becomes int8: projections, convolutions, recurrent matrices.
    Biases, norms, softmax, gates' sigmoids and tables stay float32; `refmer.int8.size_table` lists each tensor.

    Parameters
    ----------
    model : Recognizer
        A fitted recognizer with float parameters, which does not change.
    calibration_clips : Clips, optional
        Clips to measure static ranges on and, if labelled, to fine-tune on.
    activations : {"row", "tensor", "static"}, optional
        Range of the inputs of a map: of each row, so that the result for a clip does not depend on the other clips; of the
        whole input, to study the cost of that; or fixed by calibration, beyond which inputs saturate. Default: "static" with
        calibration clips, else "row".
    per_channel : bool, default True
        One scale for each column of W instead of one for the matrix.
    clip : {"max", "mse"}, default "max"
        Rule for the scale of the weights: see `refmer.int8.arithmetic.symmetric_scale`.
    observer : {"min-max", "percentile", "moving average"}, default "min-max"
        Rule for a static range: see `refmer.int8.observers`.
    finetune : int, default 0
        Epochs of quantization-aware training before rounding: see `refmer.int8.finetune`.

    Returns
    -------
    Recognizer
        With the same interface, and with `quantized_`, the options and ranges.

    Raises
    ------
    ValueError
        For a model that is not fitted or already quantized, missing clips, an unknown option, calibration inputs that are not
        finite, a matrix so deep that its sums may not fit into 32 bits.

    Notes
    -----
    The integer kernels give the bits of their definition. Those of float operations do not (1e-7): where that moves the input
    of a map across the border between two of its 256 steps, the answer moves too, as it does when the features change by 1e-7.
    With kernels off, the answers of all systems move by at most 3 % of the largest, and by less than quantization moves them.
    """
    activations = activations or ("row" if calibration_clips is None else "static")
    check(model, calibration_clips, activations, observer, finetune)
    p = float_tree(model)
    maps = maps_of(model, p, calibration_clips)
    if finetune:
        p = fine_tune(model, p, maps, calibration_clips, finetune, per_channel, clip)
    ranges = calibrate(model, p, maps, calibration_clips, observer) if activations == "static" else {}
    how = {"activations": activations, "per_channel": per_channel, "clip": clip, "finetune": finetune, "ranges": ranges}
    how["observer"] = observer if ranges else None
    matrices = {path: QuantizedMatrix.of(params.get(p, path), per_channel, clip, **inputs(how, path)) for path in maps}
    small = with_leaves(model, p, matrices)
    small.quantized_ = how
    return small


def check(model, clips=None, activations="row", observer="min-max", finetune=0):
    """Raise ValueError if the recognizer cannot be quantized with these options."""
    check_is_fitted(model)
    if hasattr(model, "quantized_"):
        raise ValueError("this recognizer is quantized already; accepted: one with float parameters")
    choose("activations", activations, ACTIVATIONS)
    choose("observer", observer, OBSERVERS)
    if not finetune >= 0 or finetune != int(finetune):
        raise ValueError(f"finetune is {finetune}; accepted: a whole number of epochs, 0 or more")
    if clips is None and (activations == "static" or finetune):
        raise ValueError("no calibration_clips; accepted: clips, since static ranges and fine-tuning are learned from them")


def float_tree(model):
    """Return the float parameters, weight norm folded."""
    description = find(model.system).describe(model.config_)
    return params.from_named(folded(description), fold(params.named(model.p_)))


def with_leaves(model, p, leaves):
    """Return the recognizer with the parameters p, those in {path: array} replaced."""
    other = copy(model)
    other.p_ = params.from_named(p.description, params.named(p) | leaves)
    return other


class Watched(np.ndarray):
    """A matrix that calls `record(path, x)` for each product x @ W. Arrays sliced or computed from it do not."""

    record = path = None

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if ufunc is np.matmul and getattr(inputs[1], "record", None) is not None:
            inputs[1].record(inputs[1].path, np.asarray(inputs[0]))
        if out is not None:
            kwargs["out"] = tuple(np.asarray(x) for x in out)
        return getattr(ufunc, method)(*(np.asarray(x) if isinstance(x, Watched) else x for x in inputs), **kwargs)


def watch(model, p, paths, clips, record):
    """Run the forward on clips and call `record(path, x)` for every product with the leaves at `paths`."""
    leaves = {}
    for path in paths:
        leaves[path] = params.get(p, path).view(Watched)
        leaves[path].record, leaves[path].path = record, path
    other = copy(model)
    other.p_ = params.grow(p.description, lambda path, _: leaves.get(path, params.get(p, path)))
    other.outputs(clips)


def maps_of(model, p, clips=None):
    """Return the paths of the learned maps: the matrices that take part in a product when the forward runs on one clip."""
    maps, tables = set(), [path for path, leaf in params.walk(p.description) if len(leaf.shape) == 2]
    watch(model, p, tables, silent_clip(model) if clips is None else clips[:1], lambda path, _: maps.add(path))
    return [path for path in tables if path in maps]


def silent_clip(model):
    """Return one clip of zeros with streams of the widths that the recognizer was fitted on."""
    streams = {}
    for name, (mean, _) in model.scaling_.items():
        rate = model.rates_[name]
        streams[name] = Stream(np.zeros((1, max(round(SILENCE * rate), 1), *mean.shape), np.float32), rate)
    return Clips(streams)


def calibrate(model, p, maps, clips, observer):
    """Return {path: [low, high]}, the range of the inputs of each map over clips."""
    observe, ranges = OBSERVERS[observer], {}
    watch(model, p, maps, clips, lambda path, x: ranges.update({path: observe(ranges.get(path), x)}))
    return {path: [float(end) for end in ranges[path]] for path in maps}


def size_table(model):
    """List the tensors of a recognizer and their sizes.

    Parameters
    ----------
    model : Recognizer
        A fitted recognizer, quantized or not.

    Returns
    -------
    list of dict
        For each tensor `tensor` (its path), `dtype`, `shape`, `bytes` (as stored), and `why` it has this type.
    """
    rows = []
    for path, x in params.named(model.p_).items():
        small = isinstance(x, QuantizedMatrix)
        why = WHY.get(path.rpartition(".")[2], "used element by element")
        if small:
            why = f"learned map, scale per {'column' if x.scale.ndim else 'matrix'}: {x.scale.size}"
        dtype = "int8" if small else str(x.dtype)
        rows.append({"tensor": path, "dtype": dtype, "shape": list(x.shape), "bytes": x.nbytes, "why": why})
    return rows


def sensitivity(model, clips, *, per_channel=True, clip="max"):
    """Quantize one learned map at a time, inputs by row, and compare with the float recognizer.

    Parameters
    ----------
    model : Recognizer
        A fitted recognizer with float parameters.
    clips : Clips
        Labelled clips to compare on.
    per_channel, clip
        As for `quantize`.

    Returns
    -------
    list of dict
        For each map `tensor` (its path), `score` (change of the headline score), `worst` and `mean` (absolute change of the
        logits), in descending order of `mean`.

    Raises
    ------
    ValueError
        For a model that is not fitted or already quantized.
    """
    check(model)
    p = float_tree(model)
    whole, score, rows = model.outputs(clips), model.score(clips), []
    for path in maps_of(model, p, clips):
        small = with_leaves(model, p, {path: QuantizedMatrix.of(params.get(p, path), per_channel, clip)})
        error = np.abs(small.outputs(clips)["logits"] - whole["logits"])
        change = {"score": small.score(clips) - score, "worst": float(error.max()), "mean": float(error.mean())}
        rows.append({"tensor": path} | change)
    return sorted(rows, key=lambda row: -row["mean"])


def decisions(model, clips):
    """Return (prediction, correct) of each decision: one per clip, of votes one per clip and class; None of a regression."""
    if model.task == "regression":
        return None
    prediction, truth = model.predict(clips), model.labels(clips).targets
    truth = labels.above_chance(truth) if model.task == "votes" else truth
    return prediction, prediction == truth
