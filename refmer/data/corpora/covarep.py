"""Voice features of COVAREP (Degottex et al. 2014) as MATLAB files."""

import struct

import numpy as np

from refmer.data.corpora.mat import read_mat
from refmer.data.corpora.tables import clips_of_streams, collect, data_files, finite
from refmer.data.read_clip import filled

RATE = 100.0  # frames per second
NAMES = (  # of the 74 features, where a file has none
    *("F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope", "Rd", "Rd_conf", "creak"),
    *(f"{name}_{k}" for name, n in (("MCEP", 25), ("HMPDM", 25), ("HMPDD", 13)) for k in range(n)),
)


def read(path, *, speaker=None, rate=RATE):
    """Read the voices of clips, a .mat file of COVAREP each.

    COVAREP is free (github.com/covarep/covarep, LGPL): `COVAREP_feature_extraction(DIR)` writes a file beside each sound, with
    `features` (T, 74), every 10 ms, and `names`. Files of version 7.3 (HDF5) and 4 are not read.

    Parameters
    ----------
    path : path
        A folder, with files at any depth, or a file.
    speaker : callable, optional
        Function of a clip's name. Default: each clip is its own speaker.
    rate : float
        Frames per second.

    Returns
    -------
    Clips
        Stream "covarep" (voice); no labels. Values that are not finite (minus infinity, NaN) are 0; a warning counts them.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such folder, or no file in it can be read. Single files that cannot be are named in a warning.
    """
    source, widths = f"COVAREP, {path}", {}

    def read_file(file):
        x, names = features_of(file)
        if names != widths.setdefault("names", names):
            raise ValueError(f"{file.name} has other features than the files before it")
        return x

    contents = collect(source, data_files(path, (".mat",)), read_file)
    parts = [(x, np.ones(len(x), bool)) for x in finite(source, contents.values())]
    return clips_of_streams({"covarep": filled(parts, rate, "voice", widths["names"])}, contents, speaker, {}, source)


def features_of(file):
    """Return the features (T, D) of a file, and their names."""
    try:
        data = read_mat(file)
        x, names = data.get("features"), data.get("names", NAMES)
        if not isinstance(x, np.ndarray) or x.ndim != 2 or 0 in x.shape:
            raise ValueError(f"it has {', '.join(data) or 'nothing'}, of which features is no matrix")
    except (ValueError, IndexError, struct.error) as error:
        accepted = "a MATLAB file of version 5 to 7 with `features` (T, D); in MATLAB: save(file, 'features', 'names', '-v7')"
        raise ValueError(f"{file.name} cannot be read ({error}); accepted: {accepted}") from error
    return x, names if isinstance(names, tuple) and len(names) == x.shape[1] and all(names) else ()
