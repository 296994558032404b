"""Files of recognizers: parameters and scaling as arrays, everything else as one JSON text."""

import json
from dataclasses import asdict, replace

import numpy as np

from refmer import __version__, params
from refmer.choices import plain
from refmer.data.clips import Stream
from refmer.int8.files import folded, restored, stored
from refmer.train.recipes import RECIPES

FORMAT = "refmer recognizer 2"
ARGUMENTS = ("system", "size", "config", "seed", "epochs", "lr", "streams", "label")
# fmt: off
SAVED = ("config_", "recipe_", "class_names_", "label_", "streams_", "speakers_", "history_", "rates_", "features_", "seed_",
         "quantized_")  # as JSON
# fmt: on


def contents(model):
    """Return {name: array} of a fitted recognizer: "meta", the JSON text, "p/..." and "scaling/..."."""
    values = vars(model) | {"speakers_": model.speakers_.tolist()}
    values |= {name: asdict(getattr(model, name)) for name in ("config_", "recipe_")}
    meta = {"format": FORMAT, "refmer": __version__, "numpy": np.__version__}
    meta |= {name: values[name] for name in ARGUMENTS + SAVED if name in values}
    arrays = {f"p/{name}": x for name, x in stored(params.named(model.p_)).items()}
    arrays |= {f"scaling/{name}": np.stack(pair) for name, pair in model.scaling_.items()}
    arrays["label_scaling"] = np.stack(model.label_scaling_)
    return {"meta": np.array(json.dumps(meta, default=plain)), **arrays}


def description(arrays):
    """Take the JSON text out of the arrays of a file; return its entries."""
    meta = json.loads(str(arrays.pop("meta")))
    if meta["format"] != FORMAT:
        raise ValueError(f"its format is {meta['format']!r}; accepted: {FORMAT!r}")
    check_arrays(arrays, meta["config_"])
    return meta


def restore(model, system, meta, arrays):
    """Set the attributes of a recognizer that was made with the arguments of a file; raise an error where parts do not fit."""
    model.config_ = system.Config(**meta["config_"])
    model.recipe_ = replace(RECIPES[system.RECIPE][model.size], **meta["recipe_"])
    model.class_names_, model.classes_ = tuple(meta["class_names_"]), np.arange(len(meta["class_names_"]))
    model.history_, model.speakers_ = meta["history_"], np.array(meta["speakers_"])
    model.seed_, model.label_ = meta["seed_"], meta["label_"]
    model.streams_ = {m: tuple(names) for m, names in meta["streams_"].items()}
    model.label_scaling_ = unstacked("label", arrays.pop("label_scaling"))
    parts = {k.removeprefix("p/"): x for k, x in arrays.items() if k.startswith("p/")}
    tree = system.describe(model.config_)
    if "quantized_" in meta:
        model.quantized_ = meta["quantized_"]
        tree, parts = folded(tree), restored(parts, model.quantized_)
    model.p_ = params.from_named(tree, parts)
    pairs = {k.removeprefix("scaling/"): x for k, x in arrays.items() if k.startswith("scaling/")}
    model.scaling_ = {name: unstacked(name, pair) for name, pair in pairs.items()}
    model.features_ = {name: tuple(names) for name, names in meta["features_"].items()}
    model.rates_ = {name: float(rate) for name, rate in meta["rates_"].items()}
    check_file(model, system)


def unstacked(name, pair):
    """Return (mean, standard deviation) of a file's array (2, ...); raise ValueError for one that is no scaling."""
    if pair.ndim < 2 or len(pair) != 2 or not (pair[1] > 0).all():
        raise ValueError(f"scaling/{name} has shape {pair.shape}; accepted: (2, width), means and standard deviations above 0")
    return tuple(pair.astype(np.float32))


def check_arrays(arrays, config):
    """Raise ValueError for an array that is not finite in float32 (or int8), and a size in the config that no array has."""
    for name, x in arrays.items():
        if x.dtype.kind != "f" and not name.endswith("/q"):
            raise ValueError(f"{name} has dtype {x.dtype}; accepted: floating point")
        if not (np.abs(x) <= np.finfo(np.float32).max).all():
            raise ValueError(f"{name} has values that are not finite in float32; accepted: finite values")
    largest = max(10_000, len(arrays), *(max(x.shape, default=0) for x in arrays.values()))
    for name, value in config.items():  # a description of a billion layers takes hours
        if isinstance(value, int) and value > largest:
            raise ValueError(f"config_ has {name} {value}; accepted: at most {largest}, the largest axis of its arrays")


def check_file(model, system):
    """Raise ValueError unless the parts of a recognizer from a file are of their kinds and fit its Config."""
    config, names, rates = model.config_, model.class_names_, model.rates_
    if len(names) != config.classes or not all(isinstance(name, str) for name in names):
        raise ValueError(f"class_names_ is {names}; accepted: {config.classes} names")
    for name, entries, kind in (("history_", model.history_, dict), ("speakers_", model.speakers_.tolist(), str | int)):
        if not isinstance(entries, list) or not all(isinstance(entry, kind) for entry in entries):
            raise ValueError(f"{name} is {entries!r}; accepted: a list of {getattr(kind, '__name__', kind)}")
    model.config_of(system)  # raises if `config` has other fields
    if set(model.streams_) != set(system.modalities(config)):
        raise ValueError(f"streams_ is {model.streams_}; accepted: names of streams for {', '.join(system.modalities(config))}")
    required = {name for names in model.streams_.values() for name in names}
    if model.label_["kind"] != config.task or tuple(model.label_["names"]) != names:
        raise ValueError(f"label_ is {model.label_}; accepted: {config.task} with the names {names}, as in config_")
    if model.label_scaling_[0].shape != (config.classes,):
        raise ValueError(f"label_scaling has shape {model.label_scaling_[0].shape}; accepted: {(config.classes,)}")
    if set(model.scaling_) != required:
        raise ValueError(f"it has the scaling of {sorted(model.scaling_)}; accepted: {sorted(required)}")
    if set(rates) != required or not all(0 < rate <= 1e6 for rate in rates.values()):
        raise ValueError(f"its rates are {rates}; accepted: frames per second of {sorted(required)}, at most 1e6")
    streams = {
        name: Stream(np.zeros((1, 1, *mean.shape)), rates[name], None, "", model.features_.get(name, ()))
        for name, (mean, _) in model.scaling_.items()
    }
    for name, width in system.widths(model.by_modality(streams), config).items():
        if getattr(config, name) != width:
            raise ValueError(f"its scaling has {name} {width}; accepted: {getattr(config, name)}, as in config_")
