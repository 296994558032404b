"""Aff-Wild2: videos from the Internet with valence, arousal and expressions for each frame (Kollias and Zafeiriou 2019)."""

from pathlib import Path

import numpy as np

from refmer.choices import ABOVE_0, SECONDS, plain, typed
from refmer.data.clips import Clips
from refmer.data.corpora.faces import grey, images
from refmer.data.corpora.parts import text
from refmer.data.corpora.tables import collect, stream_of
from refmer.data.labels import Label

PARTS = {"train": "train", "val": "validation", "test": "test"}  # beginning of the name of a folder: part
UNLABELLED = {"affect": -5, "expression": -1}


def read(path, *, frames="cropped_aligned", features=None, size=24, rate=30.0, seconds=10.0):
    """Read Aff-Wild2, or another corpus with its annotations.

    It is asked for at ibug.doc.ic.ac.uk/resources/aff-wild2, with a signed agreement, for research. Layout: VA_Set and EXPR_Set
    at any depth, in them Train_Set and Validation_Set with a text file per video, NAME.txt: a line of names, then a line per
    frame, "valence,arousal", -5 where unlabelled; or the number of an expression, -1 where unlabelled. Cropped faces are
    FRAMES/NAME/00001.jpg, ...; frames without a face have none. Published: 564 videos with valence and arousal, 546 with
    expressions, the test parts without labels.

    Parameters
    ----------
    path : path
    frames : str, optional
        Folder of the cropped faces, in `path` or absolute; None: they are not read.
    features : str, optional
        Folder of files NAME.npy (T, D), a row per frame, for example of a network.
    size : int
        Height and width of the grey images that faces are reduced to.
    rate : float
        Frames per second.
    seconds : float, optional
        Length of the clips into which videos are cut. None: whole videos, all padded to the longest.

    Returns
    -------
    Clips
        Streams "frames" (uint8), and one by the name of the folder of features (face). Labels over time "affect" (valence and
        arousal) and "expression" (classes), and the parts "affect_part" and "expression_part", as far as they are there. The
        speaker is the video. Images that are missing or damaged are masked.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such folder, or no annotation in it can be read. Single files that cannot be are named in a warning.
    """
    folder, n = Path(path).expanduser(), None
    rate = typed("rate", plain(rate), float, ABOVE_0)
    if (seconds := typed("seconds", plain(seconds), float | None, SECONDS)) is not None:
        n = max(round(seconds * rate), 1)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; accepted: a folder of annotations, and one of cropped faces")
    notes = {str(f): f for f in sorted(folder.rglob("*.txt")) if part_of(f)}
    if not notes:
        raise ValueError(
            f"{folder} has no file Train_Set/NAME.txt or Validation_Set/NAME.txt; accepted: a folder of annotations"
        )
    tables = [(Path(name), *table) for name, table in collect(f"Aff-Wild2, {path}", notes, annotation).items()]
    videos = sorted({file.stem for file, *_ in tables})
    faces = {v: images(folder / frames / v) for v in videos} if frames else {}
    vectors = {}
    if features:
        stored = {v: file for v in videos if (file := folder / features / f"{v}.npy").is_file()}
        vectors = collect(f"Aff-Wild2, {folder / features}", stored, lambda file: np.load(file, allow_pickle=False))
    if not any(faces.values()) and not vectors:
        raise FileNotFoundError(f"no image {folder / str(frames)}/{videos[0]}/00001.jpg; accepted: faces, or features=FOLDER")
    lengths = {
        v: max([len(x) for file, _, _, x in tables if file.stem == v] + [max(faces.get(v, {}), default=0)]) for v in videos
    }
    cuts = [(v, slice(k, min(k + (n or T), T))) for v, T in lengths.items() for k in range(0, T, n or T)]
    streams, labels = {}, {}
    if any(faces.values()):
        streams["frames"] = stream_of([grey(faces[v], cut, size) for v, cut in cuts], rate, "face")
    if vectors:
        parts = [(x := vectors[v][cut], np.ones(len(x), bool)) if v in vectors else () for v, cut in cuts]
        streams[Path(features).name] = stream_of(parts, rate, "face")
    for label in UNLABELLED:
        if own := {file.stem: (part_of(file), names, x) for file, kind, names, x in tables if kind == label}:
            empty = "", None, next(iter(own.values()))[2][:0]
            values = [own.get(v, empty)[2][cut] for v, cut in cuts]
            names = next(iter(own.values()))[1]
            labels[label] = Label(values, "regression" if label == "affect" else "classes", names, rate)
            labels[f"{label}_part"] = Label([own.get(v, empty)[0] for v, _ in cuts])
    names = [f"{v}-{cut.start // n:04d}" if n else v for v, cut in cuts]
    return Clips(streams, names, [v for v, _ in cuts], labels, source=f"Aff-Wild2, {path}")


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
    if label == "affect":
        x[x == UNLABELLED[label]] = np.nan
    elif names[0] != "neutral" or x.shape[1:] != (1,) or not np.isin(x, range(-1, len(names))).all():
        raise ValueError(
            f"{file.name} begins with {first[:40]!r}; accepted: valence,arousal, or Neutral,Anger,... and their numbers"
        )
    return label, names, x if label == "affect" else x[:, 0].astype(int)
