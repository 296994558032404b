"""CREMA-D: 91 actors say twelve sentences in six emotions, rated by voice, by face and by both (Cao et al. 2014).

Where: github.com/CheyneyComputerScience/CREMA-D, to everyone, under the Open Database License.

Layout: AudioWAV/1001_DFA_ANG_XX.wav (actor, sentence, intended emotion, level), at any depth, and tabulatedVotes.csv (rows
whose number begins with 1 are of voices, 2 of faces, 3 of both) or summaryTable.csv (the answers with most votes).
"""

import re

import numpy as np

from refmer.choices import choose
from refmer.data.clips import EMOTIONS
from refmer.data.corpora.parts import clips_of_rows, compare, counts, csv_rows, files, locate, unmatched
from refmer.data.labels import plurality

LETTERS = "ADFHNS"  # of EMOTIONS
CODES = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
CHANNELS = {"voice": ("1", "VoiceVote"), "face": ("2", "FaceVote"), "multimodal": ("3", "MultiModalVote")}
NAME = rf"(\d{{4}})_([A-Z]{{3}})_({'|'.join(CODES)})_({'|'.join(LEVELS)})"
PUBLISHED = (7442, 91)


def read(path, *, channel="multimodal", voice=True, openface=None, **options):
    """Read CREMA-D.

    Parameters
    ----------
    path : path
        Folder of the corpus.
    channel : "voice", "face" or "multimodal"
        What the raters saw or heard whose votes are read.
    voice : bool
        False: no sound is read.
    openface : path, optional
        Folder of CSV of OpenFace with the names of the clips.
    **options
        Of `refmer.read_clips`: cache, jobs, seconds, confidence, face, rate.

    Returns
    -------
    Clips
        Streams of the voice, and "units" of the face; labels "emotion" (most votes; of tied answers the intended one, else the
        first), "votes" (of tabulatedVotes.csv), "intended", "level", "sentence". Without a table: no emotion, no votes.
        Published: 7,442 clips of 91 actors.
    """
    channel = choose("channel", channel, CHANNELS)
    sounds, remarks = files(path, NAME, "1001_DFA_ANG_XX.wav, ...") if voice else ({}, {})
    faces, others = files(openface, NAME, "1001_DFA_ANG_XX.csv, ...", ".csv") if openface is not None else ({}, {})
    votes, tabulated = read_votes(path, *channel)
    names = [name for name in sounds or faces or votes if re.fullmatch(NAME, name)]
    if not names:
        raise ValueError(f"{path} has no votes; accepted: a folder with tabulatedVotes.csv or summaryTable.csv")
    remarks |= unmatched(names, votes or names, "a row of the table") | {f"OpenFace, {k}": v for k, v in others.items()}
    remarks |= {"clips without a CSV of OpenFace": [name for name in names if faces and name not in faces]}
    rows = {name: row_of(name, votes.get(name)) for name in names if name in (votes or names)}
    compare("CREMA-D", rows, PUBLISHED, remarks)
    kinds = {"intended": ("classes", EMOTIONS), "level": ("classes", tuple(LEVELS.values())), "sentence": ("classes",)}
    kinds |= {"emotion": ("classes", EMOTIONS)} if votes else {}
    kinds |= {"votes": ("votes", EMOTIONS)} if tabulated else {}
    return clips_of_rows("CREMA-D", rows, kinds, sounds, faces, **options)


def row_of(name, votes):
    """Return the speaker and labels of a clip."""
    speaker, sentence, code, level = re.fullmatch(NAME, name).groups()
    row = {"speaker": speaker, "sentence": sentence, "intended": CODES.index(code), "level": LEVELS[level], "votes": votes}
    return row if votes is None else row | {"emotion": int(plurality(votes, np.array(row["intended"])))}


def read_votes(path, block, column):
    """Return {clip: votes (6,)}, of summaryTable.csv 1 for answers with most, and whether they are numbers of raters."""
    if file := locate(path, "tabulatedVotes.csv"):
        rows = csv_rows(file, "", "fileName", *LETTERS)
        return {row["fileName"]: counts(file, row, LETTERS) for row in rows if row[""].startswith(block)}, True
    file = locate(path, "summaryTable.csv")
    rows = csv_rows(file, "FileName", column) if file else []
    return {row["FileName"]: np.isin(list(LETTERS), row[column].split(":")).astype(int) for row in rows}, False
