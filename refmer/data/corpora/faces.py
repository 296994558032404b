"""Frames of videos: folders of images, and files of features."""

import warnings

import numpy as np

from refmer.data.corpora.cells import frames_of
from refmer.data.corpora.tables import collect

ENDINGS = (".jpg", ".jpeg", ".png")


def images(folder):
    """Return {number of the frame, from 1: file} of the images in a folder, which are called by their numbers."""
    if not folder.is_dir():
        return {}
    return {int(f.stem): f for f in folder.iterdir() if f.suffix.lower() in ENDINGS and f.stem.isdecimal() and int(f.stem)}


def read_vectors(folder, videos, source):
    """Return {video: features (T, D)} of those videos that have a file NAME.npy in a folder."""
    files = {v: file for v in videos if (file := folder / f"{v}.npy").is_file()}
    if not files:
        raise FileNotFoundError(f"no file {folder}/{videos[0]}.npy; accepted: features (T, D) of each video")
    return {v: x for v, (x, *_) in collect(f"{source}, {folder}", files, frames_of).items()}


def grey(files, cut, size):
    """Return grey images (T, size, size) uint8 of the frames of a slice, and where one can be read, (T,)."""
    from PIL import Image

    x, present = np.zeros((cut.stop - cut.start, size, size), np.uint8), np.zeros(cut.stop - cut.start, bool)
    unread = []
    for t in range(len(x)):
        if cut.start + t + 1 not in files:
            continue
        file = files[cut.start + t + 1]
        try:
            with Image.open(file) as image:
                image.draft("L", (size, size))  # decodes a JPEG at the nearest larger size only
                x[t] = image.convert("L").resize((size, size), Image.Resampling.BILINEAR)
            present[t] = True
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            unread.append(f"{file.name} ({error})")
    if unread:
        warnings.warn(
            f"{len(unread)} images of {next(iter(files.values())).parent} cannot be read: {', '.join(unread[:3])}",
            stacklevel=3,
        )
    return x, present
