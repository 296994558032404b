"""A folder of data of any of the kinds that refmer reads."""

from pathlib import Path

from refmer.data.clips import Clips
from refmer.data.corpora import table
from refmer.data.folder import INDEX, load_folder
from refmer.data.read_clips import ARGUMENTS, clips_of

TABLE = "clips.csv"
ACCEPTED = (
    f"one that refmer.save_folder wrote, one with a {TABLE}, or one of .wav and OpenFace .csv files, also in folders by class"
)


def read(path, **options):
    """Read a folder that `refmer.save_folder` wrote, one with a table clips.csv, or one of sounds and faces.

    Parameters
    ----------
    path : path
        A folder; of the last kind: NAME.wav and NAME.csv (of OpenFace), one of the two or both for each clip, or folders of
        such files, whose names are the classes of the label "emotion".
    **options
        Of `refmer.read_table` or `refmer.read_clips`, by the kind of the folder.

    Returns
    -------
    Clips

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it has no data of these kinds.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; accepted: {ACCEPTED}")
    if (folder / INDEX).is_file():
        return load_folder(folder, **options)
    if (folder / TABLE).is_file():
        return table.read(folder / TABLE, **options)
    files, classes = {}, {}
    for place in (folder, *sorted(f for f in folder.iterdir() if f.is_dir())):
        for file in sorted(place.iterdir()):
            if file.suffix.lower() in ARGUMENTS:
                name = file.stem if place == folder else f"{place.name}/{file.stem}"
                files.setdefault(name, {})[ARGUMENTS[file.suffix.lower()]] = file
                classes[name] = "" if place == folder else place.name
    if not files:
        raise ValueError(f"{folder} has no clips; accepted: {ACCEPTED}")
    speaker = options.pop("speaker", None)
    speakers = {name: speaker(name) if callable(speaker) else speaker or name for name in files}
    clips: Clips = clips_of(files, speakers, str(folder), **options)
    return clips.with_labels(emotion=[classes[name] for name in clips.name.tolist()]) if any(classes.values()) else clips
