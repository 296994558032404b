"""Readers of corpora, by name; each is a module with one public function, `read`."""

from importlib import import_module
from typing import Any

from refmer.choices import choose
from refmer.data.clips import Clips

READERS = {  # name -> module of this package; loaded on first use
    **{name: name for name in ("crema_d", "ravdess", "emodb", "msp_improv", "iemocap")},
    **{name: "mmsa" for name in ("mosi", "mosei", "sims")},
    **{name: name for name in ("aff_wild2", "sewa", "openface", "opensmile", "covarep", "table", "folder")},
}


def read_data(data: str, **options: Any) -> Clips:
    """Read the clips of a corpus, a table or a folder by the name of its reader.

    Parameters
    ----------
    data : str
        "NAME:PATH", as "ravdess:recordings/RAVDESS"; NAME is a key of `READERS`.
    **options
        Of the function `read` in the reader's module, as `refmer.data.corpora.ravdess`.

    Returns
    -------
    Clips

    Raises
    ------
    ValueError
        If there is no such reader, a table is damaged, or none of the files can be read.
    FileNotFoundError
        If there is no such path.

    Warns
    -----
    UserWarning
        Once of what differs from the published corpus: numbers of clips and speakers, files with other names, rows without a
        file; once of files that cannot be read, which are left out; once of files that were not read as they are.
    """
    name, _, path = str(data).partition(":")
    if not path:
        raise ValueError(f"data is {data!r}; accepted: NAME:PATH with a NAME of {', '.join(READERS)}")
    return import_module(f"{__name__}.{choose('data', name, READERS)}").read(path, **options)
