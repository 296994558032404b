"""Voice features of COVAREP (Degottex et al. 2014) as MATLAB files."""

import numpy as np
from scipy.io import loadmat, whosmat

from refmer.data.corpora.tables import clips_of_streams, collect, data_files, finite, stream_of
from refmer.data.read_clip import LARGEST, existing

RATE = 100.0  # frames per second
NAMES = (  # of the 74 features, where a file has none
    *("F0", "VUV", "NAQ", "QOQ", "H1H2", "PSP", "MDQ", "peakSlope", "Rd", "Rd_conf", "creak"),
    *(f"{name}_{k}" for name, n in (("MCEP", 25), ("HMPDM", 25), ("HMPDD", 13)) for k in range(n)),
)


def read(path, *, speaker=None, rate=RATE):
    """Read the voices of clips, a .mat file of COVAREP each.

    COVAREP is free (github.com/covarep/covarep, LGPL): `COVAREP_feature_extraction(DIR)` writes a file beside each sound, with
    `features` (T, 74), every 10 ms, and `names`. Files of version 7.3 (HDF5) are not read.

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
    return clips_of_streams({"covarep": stream_of(parts, rate, "voice", widths["names"])}, contents, speaker, {}, source)


def features_of(file):
    """Return the features (T, D) of a file, and their names."""
    accepted = "a MATLAB file up to version 7 with `features` (T, D); in MATLAB: save(file, 'features', 'names', '-v7')"
    existing("mat", file)
    try:
        shapes = {name: shape for name, shape, _ in whosmat(file)}
        shape = shapes.get("features", ())
        if len(shape) != 2 or 0 in shape or 8 * np.prod(shape, dtype=float) > LARGEST:
            raise ValueError(f"it has {', '.join(f'{name} {shape}' for name, shape in shapes.items()) or 'nothing'}")
        data = loadmat(file, variable_names=("features", "names"))
        x = data["features"].astype(float)
        names = tuple(str(np.squeeze(name)) for name in data.get("names", np.array(NAMES)).ravel())
    except Exception as error:  # of a damaged file SciPy raises errors of any kind
        raise ValueError(f"{file.name} cannot be read ({error}); accepted: {accepted}") from error
    return x, names if len(names) == x.shape[1] else ()
