"""A recognizer in 8 bits: every learned map W of the system becomes a QuantizedMatrix; its forward code does not notice."""

from copy import copy
from dataclasses import replace

import numpy as np
from sklearn.utils.validation import check_is_fitted

from refmer import params
from refmer.data import targets
from refmer.data.read import load_samples
from refmer.int8 import observers
from refmer.int8.files import fold, folded, inputs
from refmer.int8.matrix import QuantizedMatrix
from refmer.systems import find

ACTIVATIONS = ("row", "tensor", "static")
WHY = {
    "b": "bias: added to the product in float32",
    "gamma": "norm",
    "beta": "norm",
    "mean": "running statistics of a norm",
    "var": "running statistics of a norm",
    "W": "table or depthwise kernel: no matrix product",
}


def quantize(model, calibration_clips=None, *, activations=None, per_channel=True, clip="max", observer="min-max", finetune=0):
    """The recognizer with all its learned maps in 8 bits.

    What is multiplied by `x @ W` in the system's forward becomes int8: projections, convolutions, recurrent matrices. Biases,
    norms, softmax, gates' sigmoids and tables stay float32; `refmer.int8.size_table(small)` says so for each tensor.

    Parameters
    ----------
    model : Recognizer
        A fitted one.
    calibration_clips : Clips, optional
        What "static" measures the ranges of inputs on, and fine-tuning learns from (then with labels).
    activations : "row", "tensor" or "static", optional
        The range of what W is multiplied with: of each row by itself, so that a clip's answer does not depend on its
        neighbours; of the whole input, to study what that costs; or fixed by calibration, beyond which inputs saturate.
        Default: "static" with calibration clips, else "row".
    per_channel : bool
        A scale for each column of W, or one for all.
    clip : "max" or "mse"
        Scale of the weights: see arithmetic.symmetric_scale.
    observer : str
        How "static" finds a range: a name in observers.OBSERVERS.
    finetune : int
        Epochs of quantization-aware training before (finetune.py).

    Returns
    -------
    Recognizer
        With the same interface, and with `quantized_`: how it was made. The model itself does not change.

    Raises
    ------
    ValueError
        A model that is not fitted or quantized already, no clips where they are needed, an unknown option, calibration inputs
        that are not finite, a matrix so deep that its sums may not fit into 32 bits.
    """
    activations = activations or ("row" if calibration_clips is None else "static")
    check(model, calibration_clips, activations, observer, finetune)
    p = float_tree(model)
    maps = maps_of(model, p, calibration_clips)
    if finetune:
        from refmer.int8.finetune import fine_tune

        p = fine_tune(model, p, maps, calibration_clips, finetune, per_channel, clip)
    ranges = calibrate(model, p, maps, calibration_clips, observer) if activations == "static" else {}
    how = {"activations": activations, "per_channel": per_channel, "clip": clip, "finetune": finetune, "ranges": ranges}
    how["observer"] = observer if ranges else None
    matrices = {path: QuantizedMatrix.of(params.get(p, path), per_channel, clip, **inputs(how, path)) for path in maps}
    small = with_leaves(model, p, matrices)
    small.quantized_ = how
    return small


def check(model, clips, activations, observer, finetune):
    """ValueError for what cannot be."""
    check_is_fitted(model)
    if hasattr(model, "quantized_"):
        raise ValueError("this recognizer is quantized already; accepted: one with float parameters")
    if activations not in ACTIVATIONS:
        raise ValueError(f"activations is {activations!r}; accepted: {', '.join(ACTIVATIONS)}")
    if observer not in observers.OBSERVERS:
        raise ValueError(f"observer is {observer!r}; accepted: {', '.join(observers.OBSERVERS)}")
    if not finetune >= 0 or finetune != int(finetune):
        raise ValueError(f"finetune is {finetune}; accepted: a whole number of epochs, 0 or more")
    if clips is None and (activations == "static" or finetune):
        raise ValueError("no calibration_clips; accepted: clips, since static ranges and fine-tuning are learned from them")


def float_tree(model):
    """The float parameters, weight norm folded."""
    description = find(model.system).describe(model.config_)
    return params.from_named(folded(description), fold(params.named(model.p_)))


def with_leaves(model, p, leaves):
    """The recognizer with the parameters p, some of them replaced."""
    other = copy(model)
    other.p_ = params.from_named(p.description, params.named(p) | leaves)
    return other


class Watched(np.ndarray):
    """A matrix that tells `see(path, x)` when it is multiplied as x @ W. What is cut out of it or computed from it does not."""

    see = path = None

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if ufunc is np.matmul and getattr(inputs[1], "see", None) is not None:
            inputs[1].see(inputs[1].path, np.asarray(inputs[0]))
        if out is not None:
            kwargs["out"] = tuple(np.asarray(x) for x in out)
        return getattr(ufunc, method)(*(np.asarray(x) if isinstance(x, Watched) else x for x in inputs), **kwargs)


def watch(model, p, paths, clips, see):
    """Run the forward on clips and tell `see(path, x)` of every product with the leaves at `paths`."""
    leaves = {}
    for path in paths:
        leaves[path] = params.get(p, path).view(Watched)
        leaves[path].see, leaves[path].path = see, path
    other = copy(model)
    other.p_ = params.grow(p.description, lambda path, _: leaves.get(path, params.get(p, path)))
    other.outputs(clips)


def maps_of(model, p, clips=None):
    """Paths of the learned maps: the matrices that the forward multiplies something with, found by letting it run on a clip."""
    found, tables = set(), [path for path, leaf in params.walk(p.description) if len(leaf.shape) == 2]
    watch(model, p, tables, some_clip(model) if clips is None else clips[:1], lambda path, _: found.add(path))
    return [path for path in tables if path in found]


def some_clip(model):
    """A silent clip with streams of the widths that the recognizer has learned."""
    samples = load_samples("recordings" if model.task == "regression" else "clips")[:1]
    strange = sorted(set(model.scaling_) - set(samples.streams))
    if strange:
        raise ValueError(f"this recognizer reads the streams {strange}, which refmer does not know; give calibration_clips")
    streams = {name: samples.streams[name] for name in model.scaling_}
    shapes = {name: (*s.mask.shape, *model.scaling_[name][0].shape) for name, s in streams.items()}
    return samples.with_streams(
        **{name: replace(s, x=np.zeros(shapes[name], np.float32), features=()) for name, s in streams.items()}
    )


def calibrate(model, p, maps, clips, observer):
    """{path: (low, high)}: the range of the inputs of each map over clips."""
    observe, seen = observers.OBSERVERS[observer], {}
    watch(model, p, maps, clips, lambda path, x: seen.update({path: observe(seen.get(path), x)}))
    return {path: [float(end) for end in seen[path]] for path in maps}


def size_table(model):
    """Where the bytes are: a dict for each tensor, with `tensor`, `dtype`, `shape`, `bytes` (as stored) and `why`."""
    rows = []
    for path, x in params.named(model.p_).items():
        small = isinstance(x, QuantizedMatrix)
        if small:
            why = f"learned map, scale per {'column' if x.scale.ndim else 'matrix'}: {x.scale.size}"
        else:
            why = WHY.get(path.rpartition(".")[2], "used element by element")
        rows.append({"tensor": path, "dtype": "int8" if small else str(x.dtype), "shape": list(x.shape), "bytes": x.nbytes})
        rows[-1]["why"] = why
    return rows


def sensitivity(model, clips, *, per_channel=True, clip="max"):
    """What each learned map costs: quantize one at a time, inputs by row, and compare with the float recognizer.

    Parameters
    ----------
    model : Recognizer
        A fitted float one.
    clips : Clips
        Labelled ones to compare on.
    per_channel, clip
        As for `quantize`.

    Returns
    -------
    list of dict
        `tensor`, `score` (change of the headline score), `worst` and `mean` (absolute change of the logits, or of valence and
        arousal), the worst tensor first.
    """
    check(model, clips, "row", next(iter(observers.OBSERVERS)), 0)
    p = float_tree(model)
    whole, score, rows = model.outputs(clips), model.score(clips), []
    key = "affect" if model.task == "regression" else "logits"
    for path in maps_of(model, p, clips):
        small = with_leaves(model, p, {path: QuantizedMatrix.of(params.get(p, path), per_channel, clip)})
        error = np.abs(small.outputs(clips)[key] - whole[key])
        rows.append({"tensor": path, "score": small.score(clips) - score, "worst": float(error.max())})
        rows[-1]["mean"] = float(error.mean())
    return sorted(rows, key=lambda row: -row["mean"])


def decisions(model, clips):
    """(answer, right) of each decision: a class per clip; of votes, yes or no per clip and class; None of a regression."""
    if model.task == "regression":
        return None
    answer, truth = model.predict(clips), targets.labels(clips, model.config_.target)
    truth = targets.above_chance(truth) if model.task == "votes" else truth
    return answer, answer == truth
