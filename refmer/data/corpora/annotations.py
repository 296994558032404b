"""Annotations of the frames of a video, a text file each, as the ABAW challenges have them."""

import numpy as np

from refmer.data.corpora.parts import text
from refmer.data.corpora.tables import collect

PARTS = {"train": "train", "val": "validation", "test": "test"}  # beginning of the name of a folder: part
PUBLISHED = {  # videos of ABAW 3 or 5
    "affect": {"train": (341, 356), "validation": (71, 76)},
    "expression": {"train": (248,), "validation": (70,)},
}
UNLABELLED = -5  # of valence and arousal; -1 of classes, as in Label


def read_annotations(folder, source):
    """Return {label: {video: (part, names of dimensions or classes, values (T, 2) or (T,))}} of all files of a folder."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; accepted: a folder of annotations, and one of cropped faces")
    files = {str(f): f for f in sorted(folder.rglob("*.txt")) if part_of(f)}
    if not files:
        missing = "has no file Train_Set/NAME.txt or Validation_Set/NAME.txt"
        raise ValueError(f"{folder} {missing}; accepted: a folder of annotations")
    tables = {}
    for name, (label, names, x) in collect(source, files, annotation).items():
        tables.setdefault(label, {})[files[name].stem] = part_of(files[name]), names, x
    return tables


def differences(tables):
    """Return {text: names} of numbers of videos that are not those published, for `remark`."""
    remarks = {}
    for label, videos in tables.items():
        for part, totals in PUBLISHED[label].items():
            own = [video for video, (of, *_) in videos.items() if of == part]
            if len(own) not in totals:
                remarks[f"videos with {label} for {part}, of {' or '.join(map(str, totals))}"] = own or ["none"]
    return remarks


def part_of(file):
    """Return the part whose folder a file is in, None outside of them."""
    return next((part for start, part in PARTS.items() if file.parent.name.lower().startswith(start)), None)


def annotation(file):
    """Return the label of a file, the names of its dimensions or classes, and values (T, 2) or (T,)."""
    first, *lines = text(file).split("\n")
    names = tuple(name.strip().lower() for name in first.split(","))
    label = "affect" if names == ("valence", "arousal") else "expression"
    try:
        x = np.array([line.split(",") for line in lines if line.strip()], float)
    except ValueError as error:
        raise ValueError(f"{file.name}: {error}; accepted: as many numbers in each line") from error
    if label == "affect" and x.shape[1:] == (2,):
        return label, names, np.where(x == UNLABELLED, np.nan, x)
    if label == "expression" and names[0] == "neutral" and x.shape[1:] == (1,) and np.isin(x, range(-1, len(names))).all():
        return label, names, x[:, 0].astype(int)
    accepted = "valence,arousal, or Neutral,Anger,..., and their numbers in each line"
    raise ValueError(f"{file.name} begins with {first[:40]!r}; accepted: {accepted}")
