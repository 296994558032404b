"""Parts of the readers: files by their names, text, the clips of rows, and the check against what was published."""

import re
import warnings
from pathlib import Path

from refmer.data.arrays import listed
from refmer.data.clips import Clips
from refmer.data.labels import Label
from refmer.data.read_clip import existing
from refmer.data.read_clips import clips_of


def files(path, pattern, accepted, ending=".wav"):
    """Find the files of a corpus at any depth of a folder.

    Parameters
    ----------
    path : path
    pattern : str
        Regular expression of a whole name without its ending.
    accepted : str
        The files that are looked for, for errors.
    ending : str
        In lower case; files that end in upper case count too, hidden ones do not.

    Returns
    -------
    dict
        Name to (path, match), in the order of the paths.
    dict
        What is to be remarked on to the names: odd ones, and those of second copies, which are left out.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If no file has such a name.
    """
    folder, chosen, odd, copies = Path(path).expanduser(), {}, [], []
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; accepted: a folder of {accepted}")
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() != ending or file.name.startswith(".") or not file.is_file():
            continue
        if not (match := re.fullmatch(pattern, file.stem)):
            odd.append(file.name)
        elif file.stem in chosen:
            copies.append(file.name)
        else:
            chosen[file.stem] = file, match
    if not chosen:
        others = f" (it has {listed(odd)})" if odd else ""
        raise ValueError(f"{folder} has no file of a name as expected{others}; accepted: a folder of {accepted}")
    return chosen, {"files with other names, left out": odd, "second copies of a file, left out": copies}


def text(path):
    """Return the text of a file without the mark of its encoding, with "\\n" at the ends of lines."""
    return existing("file", path).read_text("utf-8-sig", "replace")


def clips_of_rows(corpus, rows, kinds, paths=None, **options):
    """Return Clips of {name: row}, a row a dict of "speaker" and labels.

    Parameters
    ----------
    corpus : str
        Name of the corpus.
    rows : dict
    kinds : dict
        Label to its (kind, names), as in `refmer.Label`; None for the values in a row is a missing label.
    paths : dict, optional
        Name to {"wav": path, "openface_csv": path}, one of the two or both. Without: clips without streams.
    **options
        Of `refmer.read_clips`: cache, jobs, seconds, confidence, face, rate.
    """
    speakers = {name: row["speaker"] for name, row in rows.items()}
    if paths is None:
        clips = Clips({}, name=list(speakers), speaker=list(speakers.values()), source=corpus)
    else:
        clips = clips_of({name: paths[name] for name in rows}, speakers, corpus, **options)
    chosen = [rows[name] for name in clips.name.tolist()]
    return clips.with_labels(**{k: Label([row[k] for row in chosen], *kind) for k, kind in kinds.items()})


def compare(corpus, rows, published, remarks):
    """Warn, once, of numbers of clips and speakers that are not the published ones, and of what a reader remarks.

    published: numbers (clips, speakers); remarks: {text: names}, those without names are left out.
    """
    numbers = len(rows), len({row["speaker"] for row in rows.values()})
    lines = [f"{n} of {N} {what}" for n, N, what in zip(numbers, published, ("clips", "speakers"), strict=True) if n != N]
    lines += [f"{len(names)} {what}: {listed(names)}" for what, names in remarks.items() if names]
    if lines:
        warnings.warn(f"{corpus} is not as published: " + "; ".join(lines), stacklevel=3)
