"""Aff-Wild2: videos from the Internet with valence, arousal and expressions for each frame (Kollias and Zafeiriou 2019)."""

from pathlib import Path

import numpy as np

from refmer.choices import ABOVE_0, SECONDS, plain, typed
from refmer.data.clips import Clips
from refmer.data.corpora.annotations import differences, read_annotations
from refmer.data.corpora.faces import grey, images, read_vectors
from refmer.data.corpora.tables import remark
from refmer.data.labels import Label
from refmer.data.read_clip import filled


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
    folder, source = Path(path).expanduser(), f"Aff-Wild2, {path}"
    rate = typed("rate", plain(rate), float, ABOVE_0)
    seconds = typed("seconds", plain(seconds), float | None, SECONDS)
    tables = read_annotations(folder, source)
    videos = sorted(set().union(*tables.values()))
    faces = {v: images(folder / frames / v) for v in videos} if frames else {}
    vectors = read_vectors(folder / features, videos, source) if features else {}
    if not any(faces.values()) and not vectors:
        raise FileNotFoundError(f"no image {folder / str(frames)}/{videos[0]}/00001.jpg; accepted: faces, or features=FOLDER")
    remark("Aff-Wild2", differences(tables) | {"videos without faces": [v for v in faces if not faces[v]]})
    T = {v: max([len(t[v][2]) for t in tables.values() if v in t] + [max(faces.get(v, {}), default=0)]) for v in videos}
    n = max(T.values()) if seconds is None else max(round(seconds * rate), 1)
    cuts = [(v, slice(k, min(k + n, T[v]))) for v in videos for k in range(0, T[v], n)]
    streams, labels = {}, {}
    if any(faces.values()):
        streams["frames"] = filled([grey(faces[v], cut, size) for v, cut in cuts], rate, "face")
    if vectors:
        parts = [(x := vectors[v][cut], np.ones(len(x), bool)) if v in vectors else () for v, cut in cuts]
        streams[Path(features).name] = filled(parts, rate, "face")
    for label, videos_of in tables.items():
        _, names, x = next(iter(videos_of.values()))
        own = [videos_of.get(v, ("", names, x[:0])) for v, _ in cuts]
        values = [x[cut] for (_, _, x), (_, cut) in zip(own, cuts, strict=True)]
        labels[label] = Label(values, "regression" if label == "affect" else "classes", names, rate)
        labels[f"{label}_part"] = Label([part for part, *_ in own])
    names = [v if seconds is None else f"{v}-{cut.start // n:04d}" for v, cut in cuts]
    return Clips(streams, names, [v for v, _ in cuts], labels, source=source)
