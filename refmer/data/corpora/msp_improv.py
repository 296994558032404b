"""MSP-IMPROV: twelve actors improvise in pairs, around target sentences in four emotions (Busso et al. 2017).

Where: the MSP lab of the University of Texas at Dallas (MSP-Improv on its pages), to academic institutions after a signed
agreement, for research.

Layout (assumed from public code that reads it): Audio/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav, at any depth (sentence
and intended emotion, speaker, scenario, turn), and Evalution.txt (spelled so), with a line for each turn and for its raters:

    UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.500000; V:3.000000; D:3.250000 ; N:4.000000;
    RATER; Neutral; Neutral, Other (bored); A:3.000000; V:3.000000; D:3.000000; N:4.000000;

A, the arousal, goes from 1, excited, to 5, calm; it is turned round.
"""

import re

import numpy as np

from refmer.choices import choose
from refmer.data.corpora.parts import clips_of_rows, compare, files, locate, text, unmatched

EMOTIONS = {"A": "anger", "H": "happiness", "N": "neutral", "S": "sadness", "O": "other"}  # X: no agreement
SCENARIOS = {"P": "natural", "R": "read", "S": "improvised", "T": "target"}
NAME = r"MSP-IMPROV-(S\d\d)([AHNS])-([FM]0[1-6])-([PRST])-[FM]{2}\d+"
NUMBER = r"\s*(\d+\.?\d*|NaN)\s*;\s*"
TURN = re.compile(rf"UTD(-IMPROV-[\w-]+)\.avi\s*;\s*([A-Z])\s*;\s*A:{NUMBER}V:{NUMBER}D:{NUMBER}")
AFFECT = ("valence", "arousal", "dominance")
PUBLISHED = (8438, 12)


def read(path, *, classes=None, **options):
    """Read MSP-IMPROV.

    Parameters
    ----------
    path : path
        Folder of the corpus.
    classes : 4, optional
        Anger, happiness, neutral and sadness alone (7,798 turns). Default: also "other", and no emotion without agreement.
    **options
        Of `refmer.read_clips`: cache, jobs, seconds.

    Returns
    -------
    Clips
        Streams of the voice; labels "emotion" (the release's: most votes), "votes" of the raters, "affect" (their mean valence,
        arousal and dominance, from 1 for negative, calm and weak to 5), "intended", "scenario" and "sentence".
        Published: 8,438 turns of 12 actors.
    """
    names = tuple(EMOTIONS.values())[: choose("classes", classes, {None: 5, 4: 4})]
    sounds, remarks = files(path, NAME, "MSP-IMPROV-S01A-F01-P-FM01.wav, ...")
    table = locate(path, "Evalution.txt", "Evaluation.txt")
    if table is None:
        raise ValueError(f"{path} has no Evalution.txt; accepted: a folder with it")
    turns, rows = evaluations(text(table)), {}
    for name in [name for name in sounds if name in turns]:
        sentence, intended, speaker, scenario = sounds[name][1].groups()
        acted = {"intended": EMOTIONS[intended], "scenario": SCENARIOS[scenario], "sentence": sentence}
        rows[name] = turns[name] | acted | {"speaker": speaker}
    compare("MSP-IMPROV", rows, PUBLISHED, remarks | unmatched(sounds, turns, "an evaluation"))
    kinds = {label: ("classes",) for label in ("intended", "scenario", "sentence")} | {"emotion": ("classes", names)}
    kinds |= {"votes": ("votes", tuple(EMOTIONS.values())), "affect": ("regression", AFFECT)}
    rows = {name: row for name, row in rows.items() if classes is None or row["emotion"] in names}
    return clips_of_rows("MSP-IMPROV", rows, kinds, sounds, **options)


def evaluations(lines):
    """Return {clip: its emotion, votes and affect}; a rater counts once."""
    turns = {}
    for line in lines.splitlines():
        if match := TURN.match(line):
            a, v, d = map(float, match.groups()[2:])
            turns[f"MSP{match[1]}"] = row = {"emotion": EMOTIONS.get(match[2]), "affect": np.array([v, 6 - a, d])}
            row["votes"], heard = np.zeros(len(EMOTIONS)), set()
        elif turns and line.count(";") > 1:
            rater, answer = (cell.strip() for cell in line.split(";")[:2])
            if rater not in heard and answer[:1] in EMOTIONS:
                heard.add(rater)
                row["votes"][list(EMOTIONS).index(answer[0])] += 1
    return turns
