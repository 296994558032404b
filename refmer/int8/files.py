"""Conversion of parameters for quantization and files: weight norm folded, quantized matrices split into arrays."""

from refmer.int8.matrix import QuantizedMatrix
from refmer.ops.convolution import weight_norm
from refmer.params import Leaf


def folded(description):
    """Return the description with W in place of v and gain: weight norm matters only in training."""
    if isinstance(description, Leaf):
        return description
    if not isinstance(description, dict):
        return [folded(part) for part in description]
    if not {"v", "gain"} <= set(description):
        return {name: folded(part) for name, part in description.items()}
    return {"W": description["v"]} | {name: part for name, part in description.items() if name not in ("v", "gain")}


def fold(leaves):
    """Return the {path: array} of the folded description."""
    normed = sorted(path.removesuffix("gain") for path in leaves if path.endswith(".gain"))
    parts = {f"{at}{name}" for at in normed for name in ("v", "gain")}
    rest = {path: x for path, x in leaves.items() if path not in parts}
    return rest | {f"{at}W": weight_norm(leaves[f"{at}v"], leaves[f"{at}gain"])[0] for at in normed}


def stored(leaves):
    """Return the {path: array} of a file: a quantized matrix is PATH/q (int8) and PATH/scale (float32)."""
    arrays = {}
    for path, x in leaves.items():
        quantized = isinstance(x, QuantizedMatrix)
        arrays |= {f"{path}/q": x.q, f"{path}/scale": x.scale} if quantized else {path: x}
    return arrays


def restored(arrays, how):
    """Return the leaves of which `stored` made arrays; how: the recognizer's `quantized_`."""
    leaves = {path: x for path, x in arrays.items() if "/" not in path}
    for path in (path.removesuffix("/q") for path in arrays if path.endswith("/q")):
        leaves[path] = QuantizedMatrix(arrays[f"{path}/q"], arrays[f"{path}/scale"], **inputs(how, path))
    return leaves


def inputs(how, path):
    """Return the arguments of QuantizedMatrix about the inputs of the matrix at a path."""
    ends = how["ranges"].get(path)
    return {"static": ends and tuple(ends), "per_tensor": how["activations"] == "tensor"}
