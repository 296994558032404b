"""Clips in a small file: valid frames, concatenated and quantised, in an npz without pickle."""

import numpy as np

from refmer.data.arrays import padded
from refmer.data.clips import Clips, Stream
from refmer.data.files import read_npz, write_npz
from refmer.data.labels import Label

LARGEST = 2 * 2**30  # bytes that a file may unfold to
BITS = {"logmel": 8, "prosody": 16, "units": 8, "words": 16, "body": 16, "affect": 16}  # of the synthetic corpora


def pack(path, clips, bits, compressed=True):
    """Write clips, whose masks are True up to each clip's length and False after it, to an npz, a path or an open file.

    bits: 8 or 16 per stream (and label over time): a feature becomes that many bits between its least and greatest value.
    compressed: a file a quarter as large that takes several times as long to write. Images (uint8) are stored exactly: as
    they are or, compressed, as differences from the frame before (multiples of 17: 16 greys).
    """
    arrays = {"name": clips.name, "speaker": clips.speaker, "source": np.array(clips.source)}
    arrays |= {f"truth/{k}": v for k, v in clips.truth.items()}
    streams = dict(clips.streams)
    for name, label in clips.labels.items():
        arrays |= {f"label/{name}/kind": np.array(label.kind), f"label/{name}/names": np.array(label.names)}
        if label.over_time:
            streams[name] = Stream(label.targets, label.rate, label.mask)
        else:
            arrays[f"label/{name}/values"] = label.values
    for name, s in streams.items():
        if not (s.mask == (np.arange(s.mask.shape[1]) < s.mask.sum(1)[:, None])).all():
            raise ValueError(f"{name} has gaps; accepted: masks that are True up to each clip's length")
        valid = s.x[s.mask]
        if s.x.dtype == np.uint8 and not compressed:
            arrays[f"{name}/image"] = valid
        elif s.x.dtype == np.uint8:
            if (valid % 17).any():
                raise ValueError(f"{name} has greys that are not multiples of 17; accepted: 16 greys")
            arrays[f"{name}/change"] = np.diff(valid // 17, axis=0, prepend=np.zeros_like(valid[:1])) & 15
        else:  # valid = low + step code
            top, low = 2 ** bits[name] - 1, valid.min(axis=0)
            step = np.maximum(valid.max(axis=0) - low, 1e-12) / top
            arrays[f"{name}/code"] = np.rint((valid - low) / step).clip(0, top).astype(f"u{bits[name] // 8}")
            arrays |= {f"{name}/low": low.astype(np.float64), f"{name}/step": step.astype(np.float64)}
        arrays |= {
            f"{name}/length": s.mask.sum(1).astype(np.int32),
            f"{name}/rate": np.float64(s.rate),
            f"{name}/sense": np.array(s.sense),
            f"{name}/features": np.array(s.features, dtype="U32"),
        }
    write_npz(path, arrays, compressed)


def unpack(path):
    """Read clips from a file (a path or an open one) that `pack` wrote.

    Raises
    ------
    ValueError
        If the file is damaged or unfolds to more than LARGEST.
    """
    what = "a file of clips that refmer.data.pack wrote"
    arrays = read_npz(path, what, LARGEST)
    try:
        names = [k.removesuffix("/length") for k in arrays if k.endswith("/length")]
        streams = {name: unpack_stream(name, arrays) for name in names}
        labels = [k.split("/")[1] for k in arrays if k.startswith("label/") and k.endswith("/kind")]
        return Clips(
            {k: s for k, s in streams.items() if k not in labels},
            arrays["name"],
            arrays["speaker"],
            {name: unpack_label(f"label/{name}", arrays, streams.get(name)) for name in labels},
            {k.removeprefix("truth/"): v for k, v in arrays.items() if k.startswith("truth/")},
            str(arrays["source"]),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as e:
        raise ValueError(f"{path} does not hold clips ({type(e).__name__}: {e}); accepted: {what}") from e


def unpack_label(key, arrays, stream):
    """Return one label; `stream` holds the values of one over time."""
    about = str(arrays[f"{key}/kind"]), tuple(arrays[f"{key}/names"].tolist())
    return Label(arrays[f"{key}/values"], *about) if stream is None else Label(stream.x, *about, stream.rate, stream.mask)


def unpack_stream(name, arrays):
    """Return one stream, zero-padded to its longest clip: float32, or uint8 images."""
    length = arrays[f"{name}/length"]
    if f"{name}/change" in arrays:
        valid = (np.add.accumulate(arrays[f"{name}/change"], axis=0, dtype=np.uint8) & 15) * np.uint8(17)
    elif f"{name}/image" in arrays:
        valid = arrays[f"{name}/image"]
    else:
        valid = (arrays[f"{name}/low"] + arrays[f"{name}/step"] * arrays[f"{name}/code"]).astype(np.float32)
    if length.ndim != 1 or length.dtype.kind not in "iu" or (length < 0).any() or length.sum() != len(valid):
        raise ValueError(f"{name} has lengths of sum {length.sum()} for {len(valid)} frames")
    if len(length) * length.max(initial=0) * valid[:1].nbytes > LARGEST:
        raise ValueError(f"{name} would take more than {LARGEST} bytes")
    x, mask = padded(valid, length)
    features = tuple(arrays[f"{name}/features"].tolist())
    return Stream(x, float(arrays[f"{name}/rate"]), mask, str(arrays[f"{name}/sense"]), features)
