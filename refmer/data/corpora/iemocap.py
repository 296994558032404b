"""IEMOCAP: ten actors in pairs, scripted and improvised dialogues, rated turn by turn (Busso et al. 2008).

Where: sail.usc.edu/iemocap, the University of Southern California, after a signed agreement, for research.

Layout: Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav (the last letter: who speaks) and
Session1/dialog/EmoEvaluation/Ses01F_impro01.txt, with a line for each turn and for its raters:

    [6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]
    C-E2:	Neutral; Frustration;	()

C-F and C-M, what actors said of themselves, is left out. The numbers are valence, activation (arousal) and dominance.
"""

import re

import numpy as np

from refmer.choices import choose
from refmer.data.corpora.parts import clips_of_rows, clips_of_sequences, compare, files, text, unmatched

EMOTIONS = ("anger", "disgust", "excitement", "fear", "frustration", "happiness", "neutral", "other", "sadness", "surprise")
CODES = {name[:3]: name for name in EMOTIONS}  # raters' answers begin so too: "Excited"
SIX = {code: CODES[code] for code in ("ang", "exc", "fru", "hap", "neu", "sad")}
MERGED = {None: CODES, 4: {code: name for code, name in SIX.items() if code != "fru"} | {"exc": "happiness"}, 6: SIX}
NUMBER = r"(\d+\.?\d*)"
DIALOGUE = r"(Ses0[1-5])[FM]_(?:impro|script)\w+"
TURN = re.compile(rf"\[{NUMBER} - [\d.]+\]\s+({DIALOGUE}_([FM])\d+)\s+(\w+)\s+\[{NUMBER}, {NUMBER}, {NUMBER}\]")
PUBLISHED = (10039, 10)


def read(path, *, classes=None, dialogues=False, **options):
    """Read IEMOCAP.

    Parameters
    ----------
    path : path
        Folder of the corpus, with Session1 to Session5.
    classes : 4 or 6, optional
        4, usual for turns: anger, happiness with excitement, neutral, sadness (5,531 turns). 6, usual for dialogues: these,
        excitement and frustration. Others are left out, in dialogues masked. Default: ten, none for "xxx" (no agreement).
    dialogues : bool
        True: a clip is a dialogue (151), a time step a turn in the order of the beginnings, with the means of its frames and
        with its labels. The speaker is the session: the two actors of all its dialogues.
    **options
        Of `refmer.read_clips`: cache, jobs, seconds.

    Returns
    -------
    Clips
        Streams of the voice; labels "emotion", "votes" of the raters (who may choose several), "affect" (valence, arousal,
        dominance, from 1 to 5). Published: 10,039 turns of 10 speakers.
    """
    merged = choose("classes", classes, MERGED)
    tables, odd = files(path, DIALOGUE, "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt, ...", ".txt", "EmoEvaluation/*")
    sounds, remarks = files(path, rf"{DIALOGUE}_[FM]\d+", "Session1/sentences/wav/...", inside="sentences/wav/*/*")
    turns = {k: row for dialogue, (file, _) in tables.items() for k, row in evaluations(text(file), dialogue, merged).items()}
    rows = {name: row for name, row in turns.items() if name in sounds}
    remarks = {k: [*remarks[k], *odd[k]] for k in remarks} | unmatched(sounds, turns, "an evaluation")
    compare("IEMOCAP", rows, PUBLISHED, remarks)
    kinds = {"votes": ("votes", EMOTIONS), "affect": ("regression", ("valence", "arousal", "dominance"))}
    kinds |= {"emotion": ("classes", tuple(sorted(set(merged.values()))))}
    if dialogues:
        return clips_of_sequences("IEMOCAP", rows, kinds, sounds, **options)
    rows = {name: row for name, row in rows.items() if classes is None or row["emotion"]}
    return clips_of_rows("IEMOCAP", rows, kinds, sounds, **options)


def evaluations(lines, dialogue, merged):
    """Return {turn: its row} of a dialogue, in the order of their beginnings."""
    turns = []
    for line in lines.splitlines():
        if match := TURN.match(line):
            start, name, session, speaker, code, *affect = match.groups()
            row = {"session": session, "sequence": dialogue, "speaker": session + speaker, "emotion": merged.get(code)}
            row |= {"affect": np.array(affect, float), "votes": np.zeros(len(EMOTIONS))}
            turns.append((float(start), name, row))
        elif turns and line.startswith("C-E"):
            answers = [answer.strip()[:3].lower() for answer in line.partition(":")[2].partition("(")[0].split(";")]
            row["votes"] += [code in answers for code in CODES]
    return {name: row for _, name, row in sorted(turns, key=lambda turn: turn[0])}
