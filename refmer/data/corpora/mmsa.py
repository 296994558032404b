"""MOSI, MOSEI and SIMS as the pickles of MMSA (Mao et al. 2022)."""

import warnings
from pathlib import Path

import numpy as np

from refmer.data.clips import WORD_RATE, Clips, Stream
from refmer.data.corpora.padded_parts import joined
from refmer.data.corpora.safe_pickle import load
from refmer.data.labels import SENTIMENT, Label

PARTS = ("train", "valid", "test")
TOTALS = {"MOSI": (1284, 229, 686), "MOSEI": (16326, 1871, 4659), "SIMS": (1368, 456, 457), "SIMS v2": (2722, 647, 1034)}
STREAMS = {"text": "words", "audio": "voice", "vision": "face"}  # key and name of the stream: sense
RATES = {"text": WORD_RATE, "audio": 20.0, "vision": 15.0}  # of MOSEI (Tsai et al. 2019), where rates= does not say it
SINGLE = {"T": "text", "A": "audio", "V": "vision"}  # SIMS also rates each stream alone


def read(path, *, rates=None):
    """Read MOSI, MOSEI or SIMS from a pickle of MMSA, aligned or unaligned.

    The files are linked from github.com/thuiar/MMSA; MOSI and MOSEI are asked for at CMU (multicomp.cs.cmu.edu), SIMS at
    github.com/thuiar/ch-sims-v2, for research only. Layout: a dict of "train", "valid" and "test", each a dict of "id"
    (VIDEO$_$SEGMENT), "text", "audio", "vision" (N, T, D), "regression_labels", and in most versions "annotations",
    "text_bert", "audio_lengths", "vision_lengths", for SIMS also "regression_labels_T", "_A" and "_V". Published: TOTALS.
    The pickle is read as data: a file that holds anything but arrays, lists, dicts, text and numbers is refused.

    Parameters
    ----------
    path : path
    rates : dict of str to float, optional
        Frames per second by stream. Default: text 2.5, audio 20, vision 15; 2.5 for all in an aligned file, a frame per word.

    Returns
    -------
    Clips
        Streams "text" (words), "audio" (voice), "vision" (face). Labels "part" (train, valid, test), "sentiment" (from -3 to 3,
        ordinal; of SIMS a regression in [-1, 1], also "sentiment_text", "sentiment_audio", "sentiment_vision") and "polarity".
        The speaker is the video. Values that are not finite, as COVAREP has them, are 0; a warning counts them.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it is another pickle, or damaged.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; accepted: a pickle of MMSA, e.g. aligned_50.pkl")
    data = load(path)
    if not isinstance(data, dict) or not set(PARTS) & set(data):
        given = f"a dict of {', '.join(map(str, data))}" if isinstance(data, dict) else type(data).__name__
        raise ValueError(f"{path.name} is {given}; accepted: a pickle of MMSA, a dict of train, valid and test")
    parts = {name: data[name] for name in PARTS if name in data}
    for name, part in parts.items():
        if missing := {"id", "regression_labels", *STREAMS} - set(part if isinstance(part, dict) else ()):
            raise ValueError(f"{path.name}: {name} has no {', '.join(sorted(missing))}; accepted: a part with all of them")
    frames = {name: joined(path, name, parts) for name in STREAMS}
    aligned = len({max(map(len, part[name]), default=0) for name in STREAMS for part in parts.values()}) == 1
    rates = {name: WORD_RATE if aligned else rate for name, rate in RATES.items()} | (rates or {})
    streams = {name: Stream(x, rates[name], mask, STREAMS[name]) for name, (x, mask) in frames.items()}
    names = [str(entry) for part in parts.values() for entry in part["id"]]
    sizes = tuple(len(part["id"]) for part in parts.values())
    if (source := {total: name for name, total in TOTALS.items()}.get(sizes, "MMSA")) == "MMSA":
        published = "; ".join(f"{name} {total}" for name, total in TOTALS.items())
        warnings.warn(f"{path.name} has {sizes} clips in {', '.join(parts)}; published: {published}", stacklevel=2)
    return Clips(streams, names, [name.split("$_$")[0] for name in names], labels_of(parts), source=f"{source}, {path.name}")


def labels_of(parts):
    """Return the labels of all parts."""
    keys = {"sentiment": "regression_labels"} | {f"sentiment_{name}": f"regression_labels_{k}" for k, name in SINGLE.items()}
    kinds = ("regression",) if any(keys["sentiment_text"] in part for part in parts.values()) else ("ordinal", SENTIMENT)
    labels = {"part": Label([name for name, part in parts.items() for _ in part["id"]], names=tuple(parts))}
    for label, key in keys.items():
        if all(key in part for part in parts.values()):
            labels[label] = Label(np.concatenate([np.ravel(part[key]).astype(float) for part in parts.values()]), *kinds)
    if all("annotations" in part for part in parts.values()):
        labels["polarity"] = Label([str(entry) for part in parts.values() for entry in part["annotations"]])
    return labels
