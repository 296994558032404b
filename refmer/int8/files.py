"""What becomes of a tree of parameters before and after it is a file: weight norm folded, matrices taken apart."""

from refmer.int8.matrix import QuantizedMatrix
from refmer.ops.convolution import weight_norm
from refmer.params import Leaf


def folded(description):
    """The description with W in place of v and gain: weight norm is only a way to train W."""
    if isinstance(description, Leaf):
        return description
    if not isinstance(description, dict):
        return [folded(part) for part in description]
    if not {"v", "gain"} <= set(description):
        return {name: folded(part) for name, part in description.items()}
    return {"W": description["v"]} | {name: part for name, part in description.items() if name not in ("v", "gain")}


def fold(leaves):
    """{path: array} of a description -> that of the folded one."""
    normed = sorted(path.removesuffix("gain") for path in leaves if path.endswith(".gain"))
    gone = {f"{at}{name}" for at in normed for name in ("v", "gain")}
    kept = {path: x for path, x in leaves.items() if path not in gone}
    return kept | {f"{at}W": weight_norm(leaves[f"{at}v"], leaves[f"{at}gain"])[0] for at in normed}


def stored(leaves):
    """{path: array} of a file: a quantized matrix is PATH/q (int8) and PATH/scale (float32)."""
    arrays = {}
    for path, x in leaves.items():
        quantized = isinstance(x, QuantizedMatrix)
        arrays |= {f"{path}/q": x.q, f"{path}/scale": x.scale} if quantized else {path: x}
    return arrays


def restored(arrays, how):
    """What `stored` took apart. how: the recognizer's `quantized_`.

    Raises
    ------
    ValueError, KeyError
        If the parts do not make a matrix.
    """
    leaves = {path: x for path, x in arrays.items() if "/" not in path}
    for path in (path.removesuffix("/q") for path in arrays if path.endswith("/q")):
        leaves[path] = QuantizedMatrix(arrays[f"{path}/q"], arrays[f"{path}/scale"], **inputs(how, path))
    return leaves


def inputs(how, path):
    """How the matrix at a path quantizes what it is multiplied with."""
    low_high = how["ranges"].get(path)
    return {"static": None if low_high is None else tuple(low_high), "per_tensor": how["activations"] == "tensor"}
