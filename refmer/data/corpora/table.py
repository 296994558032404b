"""A table with a row per clip: names, speakers, labels, and paths of files with streams."""

from typing import Any

import numpy as np

from refmer.choices import choose
from refmer.data.arrays import MISSING
from refmer.data.clips import Clips
from refmer.data.corpora.cells import ENDINGS, ending, frames_of, label_groups, label_of
from refmer.data.corpora.tables import collect, sense_of
from refmer.data.delimited import read_cells
from refmer.data.files import FileName
from refmer.data.read_clip import existing, file_streams, filled
from refmer.data.read_clips import read_contents


def read(
    path: FileName,
    *,
    name: str = "name",
    speaker: str = "speaker",
    labels: Any = None,
    rates: dict[str, float] | None = None,
    senses: dict[str, str] | None = None,
    cache: FileName | None = None,
    jobs: int | None = None,
) -> Clips:
    """Read clips from a table: a row per clip, a column per name, speaker, label and stream.

    A column with paths of files, relative to the table, is a stream of the column's name; an empty cell: the clip has no frame
    of it. Files: .npy, an array (T, D), (D,) or (T, H, W); .npz, one array or x, rate and mask; .csv, numbers in columns, with
    or without a line of names, or a file of OpenFace; .wav, a sound: "logmel", "prosody", "mfcc" and "layers" (COLUMN_logmel,
    ..., if there are several columns of sounds, or another of that name). All other columns are labels. The table has commas,
    semicolons or tabs between its cells.

    Parameters
    ----------
    path : path
    name, speaker : str
        Columns of the clips' names and speakers. Without the usual ones, clips are numbered, and each is its own speaker.
    labels : dict, optional
        Of a column or a prefix: kind ("classes", "votes", "ordinal", "regression") or "ignore"; or of a new label: the list of
        its columns, a regression, {"affect": ["valence", "arousal"]}. Columns of one prefix, votes_anger, votes_fear, ..., are
        one label with {"votes": "votes"}, which is also the default for this prefix. Other defaults: classes for text and whole
        numbers, else regression.
    rates : dict, optional
        Frames per second by stream. Default: as an .npz says, 25 of OpenFace, else 1.
    senses : dict, optional
        Sense by stream. Default: "voice", "face", "words" or "body" for usual names, else the name of the stream.
    cache, jobs
        Of `refmer.read_clips`, for sounds.

    Returns
    -------
    Clips

    Raises
    ------
    FileNotFoundError
        If there is no such table.
    ValueError
        If it is no table, has no stream or no clip that can be read, or a name in an argument is none of its columns.

    Warns
    -----
    UserWarning
        Once of the clips of which a file is missing or damaged: they are left out.
    """
    path = existing("table", path)
    names, speakers, table, separator = columns_of(path, name, speaker)
    endings = {column: ending(cells) for column, cells in table.items() if ending(cells)}
    if not endings:
        raise ValueError(f"{path.name} has no column of files {', '.join(ENDINGS)}; accepted: one or more, e.g. clips/a.npy")
    files = {column: table.pop(column) for column in endings}
    for argument, values in (("rates", rates or {}), ("senses", senses or {})):
        for column in values:
            choose(f"a stream in {argument}", column, tuple(k for k, kind in endings.items() if kind != ".wav"))
    groups = label_groups(table, labels or {})
    contents, about = read_all(path, names, files, endings, cache, jobs)
    kept = [k for k, clip in enumerate(names) if all((column, clip) in contents or not files[column][k] for column in files)]
    if not kept:
        raise ValueError(f"{path.name}: of each clip a file cannot be read; accepted: clips whose files are all whole")
    streams = {}
    for column, kind in endings.items():
        parts = [contents.get((column, clip), ()) for clip in names]
        if kind == ".wav":
            voice, _ = file_streams([part or (None, None) for part in parts])
            several = list(endings.values()).count(".wav") > 1 or set(voice) & set(files)
            streams |= {f"{column}_{k}" if several else k: s for k, s in voice.items()}
        elif any(parts):
            rate = (rates or {}).get(column) or about[column][1] or 1.0
            streams[column] = filled(parts, rate, (senses or {}).get(column) or sense_of(column), about[column][2])
    try:
        labels = {label: label_of(label, *group, table, separator, names) for label, group in groups.items()}
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    clips = Clips(streams, names, speakers, {k: x for k, x in labels.items() if x is not None}, source=path.name)
    return clips if len(kept) == len(clips) else clips[np.array(kept)]


read_table = read  # its public name


def columns_of(path, name, speaker):
    """Return the names and speakers of a table, {column: cells} of the others, "" for a missing cell, and the separator."""
    header, rows, separator = read_cells(path, path.name)
    if len(set(header)) < len(header) or not rows:
        given = f"{len(rows)} rows and columns {', '.join(header)}"
        raise ValueError(f"{path.name} has {given}; accepted: rows, columns of different names")
    for argument, column in (("name", name), ("speaker", speaker)):
        if column != argument:
            choose(argument, column, tuple(header))
    table = {column: ["" if row[k].lower() in MISSING else row[k] for row in rows] for k, column in enumerate(header)}
    names = table.pop(name, None) or [str(k) for k in range(len(rows))]
    if len(set(names)) < len(names) or "" in names:
        raise ValueError(f"{path.name}: column {name} has an empty or repeated name; accepted: one for each row")
    return names, table.pop(speaker, None), table, separator


def read_all(path, names, files, endings, cache, jobs):
    """Return {(column, clip): content} of the files that can be read, and (shape, rate, features) by column."""
    about, places = {}, {}
    for column, cells in files.items():
        places[column] = {clip: path.parent / cell for clip, cell in zip(names, cells, strict=True) if cell}

    def read_file(entry):
        column, clip = entry
        try:
            x, present, rate, features = frames_of(places[column][clip])
            own = x.shape[1:], rate, features
            if own != about.setdefault(column, own):
                raise ValueError(f"its frames, rate and features are {own}; accepted: {about[column]}, as before it")
        except (ValueError, OSError) as error:
            raise ValueError(f"column {column} of clip {clip}, {places[column][clip].name}: {error}") from error
        return x, present

    contents = {}
    for column, kind in endings.items():
        if kind == ".wav":
            sounds = {clip: {"wav": place} for clip, place in places[column].items()}
            contents |= {
                (column, k): v for k, v in read_contents(sounds, f"{path.name}, {column}", cache=cache, jobs=jobs).items()
            }
    entries = {(column, clip): (column, clip) for column, kind in endings.items() if kind != ".wav" for clip in places[column]}
    return contents | (collect(path.name, entries, read_file) if entries else {}), about
