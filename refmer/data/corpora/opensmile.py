"""Features of openSMILE (Eyben et al. 2010), CSV or ARFF: functionals or low-level descriptors."""

import numpy as np

from refmer.data.corpora.tables import clips_of_streams, collect, data_files, finite, placed
from refmer.data.corpora.timed import read_timed
from refmer.data.labels import Label
from refmer.data.read_clip import filled


def read(path, *, speaker=None, stream="opensmile"):
    """Read functionals (one row per clip) or low-level descriptors (many rows per clip, with their time) of openSMILE.

    openSMILE is free for research (github.com/audeering/opensmile). Its files are CSV, name;frameTime;FEATURE;... (-csvoutput,
    -lldcsvoutput; those of the package for Python have file, start, end), or ARFF (-output, -lldarffoutput), of one clip or of
    many: the column of the name says which. A row without name, or named "unknown", is of the clip after which its file is
    named.

    Parameters
    ----------
    path : path
        A file, or a folder with files at any depth.
    speaker : callable, optional
        Function of a clip's name. Default: each clip is its own speaker.
    stream : str
        Name of the stream.

    Returns
    -------
    Clips
        One stream (voice); a label for each nominal attribute of ARFF files that has values. Missing values ("?") and others
        that are not finite are 0; a warning counts them.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such path, or none of its files can be read. Single files that cannot be are named in a warning.
    """
    source, first = f"openSMILE, {path}", {}

    def read_file(file):
        features, clips, nominal = read_timed(file)
        if features != first.setdefault("features", features):
            raise ValueError(f"{file.name} has other features than the files before it")
        first.setdefault("nominal", nominal)
        return clips

    files = collect(source, data_files(path, (".csv", ".arff")), read_file)
    clips = {name: clip for clips in files.values() for name, clip in clips.items()}
    frames = finite(source, [x for x, *_ in clips.values()])
    steps = [step for _, step, *_ in clips.values() if step]
    rate = round(1 / np.median(steps), 3) if steps else 1.0
    parts = [placed(x, at) for x, (_, _, at, _) in zip(frames, clips.values(), strict=True)]
    labels = {}
    for name, classes in first["nominal"].items():
        values = [cells.get(name, "?") for *_, cells in clips.values()]
        if len(set(values) - {"?"}) > 1:
            labels[name] = Label([None if v == "?" else v for v in values], "classes", classes)
    return clips_of_streams({stream: filled(parts, rate, "voice", first["features"])}, clips, speaker, labels, source)
