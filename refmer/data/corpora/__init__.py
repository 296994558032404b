"""Readers of corpora, by name; each is a module with one public function, `read`."""

from importlib import import_module

from refmer.choices import choose

READERS = {  # name -> module of this package; loaded on first use
    **{name: name for name in ("crema_d", "ravdess", "emodb", "msp_improv", "iemocap")},
    **{name: "mmsa" for name in ("mosi", "mosei", "sims")},
    **{name: name for name in ("aff_wild2", "sewa", "openface", "opensmile", "covarep", "table", "folder")},
}


def read_data(data, **options):
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
        If there is no such reader, or it cannot read the files.
    FileNotFoundError
        If there is no such path.
    """
    name, _, path = str(data).partition(":")
    if not path:
        raise ValueError(f"data is {data!r}; accepted: NAME:PATH with a NAME of {', '.join(READERS)}")
    return import_module(f"{__name__}.{choose('data', name, READERS)}").read(path, **options)
