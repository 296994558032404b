"""Parts of the readers: files by their names, text, the clips of rows, and the check against what was published."""

import re
import warnings
from pathlib import Path

import numpy as np

from refmer.data.arrays import listed
from refmer.data.clips import Clips, Stream
from refmer.data.corpora.tables import lines_of
from refmer.data.delimited import read_cells
from refmer.data.labels import Label
from refmer.data.read_clip import existing, file_streams
from refmer.data.read_clips import clips_of, read_contents


def files(path, pattern, accepted, ending=".wav", inside="*"):
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
    inside : str
        The last parts of the paths, as `Path.rglob` takes them: "wav/*" for those directly in a folder wav.

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
    folder, chosen, odd, copies = existing_folder(path), {}, [], []
    for file in sorted(folder.rglob(inside)):
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


def existing_folder(path):
    """Return the path of a folder; raise FileNotFoundError if it does not exist."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; accepted: the folder of the corpus")
    return folder


def locate(path, *names):
    """Return the first file at any depth of a folder that has the first of the names, or the second, ...; None without one."""
    every = sorted(existing_folder(path).rglob("*"))
    return next((file for name in names for file in every if file.name.lower() == name.lower()), None)


def text(path):
    """Return the text of a file without the mark of its encoding, with "\n" at the ends of lines."""
    return existing("file", path).read_text("utf-8-sig", "replace")


def csv_rows(path, *columns):
    """Return the rows of a CSV as dicts; raise ValueError unless it has these columns."""
    header, rows, _ = read_cells(existing("file", path), f"file {path.name}")
    if lacking := [column for column in columns if column not in header]:
        raise ValueError(
            f"file {path.name} lacks the columns {', '.join(lacking)}; accepted: {', '.join(filter(None, columns))}"
        )
    return [dict(zip(header, row, strict=True)) for row in rows]


def counts(path, row, columns):
    """Return the numbers of raters in some columns of a row."""
    try:
        return np.array([int(row[column]) for column in columns])
    except ValueError as error:
        raise ValueError(f"file {path.name}: {error}; accepted: numbers of raters in {', '.join(columns)}") from error


def unmatched(files, rows, what):
    """Return remarks on files without a row, and on rows without a file."""
    files, rows = set(files), set(rows)
    return {f"files without {what}, left out": sorted(files - rows), f"{what} without a file": sorted(rows - files)}


def clips_of_rows(corpus, rows, kinds, sounds=None, faces=None, **options):
    """Return Clips of {name: row}, a row a dict of "speaker" and labels.

    Parameters
    ----------
    corpus : str
        Name of the corpus.
    rows : dict
    kinds : dict
        Label to its (kind, names), as in `refmer.Label`; None for the values in a row is a missing label.
    sounds, faces : dict, optional
        WAV files and CSV of OpenFace as `files` returns them. Without both: clips without streams.
    **options
        Of `refmer.read_clips`: cache, jobs, seconds, confidence, face, rate.
    """
    speakers = {name: row["speaker"] for name, row in rows.items()}
    if sounds or faces:
        clips = clips_of(paths_of(rows, sounds or {}, faces or {}), speakers, corpus, **options)
    else:
        clips = Clips({}, name=list(speakers), speaker=list(speakers.values()), source=corpus)
    chosen = [rows[name] for name in clips.name.tolist()]
    return clips.with_labels(**{k: Label([row[k] for row in chosen], *kind) for k, kind in kinds.items()})


def paths_of(rows, sounds, faces):
    """Return {name: {"wav": path, "openface_csv": path}} of rows."""
    sources = {"wav": sounds, "openface_csv": faces}
    return {name: {k: paths[name][0] for k, paths in sources.items() if name in paths} for name in rows}


def clips_of_sequences(corpus, rows, kinds, sounds, *, seconds=None, **options):
    """Return Clips of rows of a "sequence": a clip is a sequence, a step a row, its features the means of the row's frames.

    All labels have a value per step; the speaker of a sequence is its "session", the name of all who speak in it.
    """
    sequences, steps = {}, {}
    for name, content in read_contents(paths_of(rows, sounds, {}), corpus, **options).items():
        sequences.setdefault(rows[name]["sequence"], []).append(name)
        steps[name] = mean_frames(content, seconds)
    streams = {}
    for k, s in next(iter(steps.values())).items():
        x = [np.stack([steps[name][k].x[0, 0] for name in names]) for names in sequences.values()]
        streams[k] = Stream(x, 1.0, None, s.sense, s.features)
    speaker = [rows[names[0]]["session"] for names in sequences.values()]
    labels = {
        k: Label([np.array([rows[name][k] for name in names]) for names in sequences.values()], *kind, rate=1.0)
        for k, kind in kinds.items()
    }
    return Clips(streams, name=list(sequences), speaker=speaker, labels=labels, source=corpus)


def mean_frames(content, seconds):
    """Return the streams of a clip as `read_files` returns it, each with one frame, the mean of the frames."""
    streams, _ = file_streams([content], seconds)
    return {k: Stream(s.x[:, s.mask[0]].mean(1, keepdims=True), 1.0, None, s.sense, s.features) for k, s in streams.items()}


def compare(corpus, rows, published, remarks):
    """Warn, once, of numbers of clips and speakers that are not the published ones, and of what a reader remarks.

    published: numbers (clips, speakers); remarks: {text: names}, those without names are left out. ValueError without rows.
    """
    numbers = len(rows), len({row["speaker"] for row in rows.values()})
    lines = [f"{n} of {N} {what}" for n, N, what in zip(numbers, published, ("clips", "speakers"), strict=True) if n != N]
    lines += lines_of(remarks)
    if not rows:
        raise ValueError(f"{corpus} has no clip that can be read: {'; '.join(lines)}")
    if lines:
        warnings.warn(f"{corpus} is not as published: " + "; ".join(lines), stacklevel=3)
