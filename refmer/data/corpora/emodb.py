"""EmoDB, the Berlin database of emotional speech: ten actors say ten sentences in seven emotions (Burkhardt et al. 2005).

Where: emodb.bilderbar.info/download, to everyone, for research; a newer release at zenodo.org/records/7447302.

Layout: wav/03a01Fa.wav, at any depth: speaker (03), sentence (a01), the first letter of the German word for the emotion
(Freude: happiness), version of a take (a).
"""

from refmer.data.corpora.parts import clips_of_rows, compare, files

EMOTIONS = {
    "W": "anger",  # Wut
    "L": "boredom",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fear",  # Angst
    "F": "happiness",  # Freude
    "N": "neutral",
    "T": "sadness",  # Trauer
}
SPEAKERS = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
PUBLISHED = 535


def read(path, **options):
    """Read EmoDB.

    Parameters
    ----------
    path : path
        Folder of the corpus.
    **options
        Of `refmer.read_clips`: cache, jobs, seconds.

    Returns
    -------
    Clips
        Streams of the voice; labels "emotion" (7 classes) and "sentence" (a01, ..., b10). Published: 535 files of 10 speakers.
    """
    pattern = rf"({'|'.join(SPEAKERS)})([ab]\d\d)([{''.join(EMOTIONS)}])[a-z]?"
    chosen, remarks = files(path, pattern, "03a01Fa.wav, ...")
    rows = {}
    for name, (_, match) in chosen.items():
        speaker, sentence, letter = match.groups()
        rows[name] = {"speaker": speaker, "sentence": sentence, "emotion": EMOTIONS[letter]}
    missing = sorted(set(SPEAKERS) - {row["speaker"] for row in rows.values()})
    compare("EmoDB", rows, (PUBLISHED, len(SPEAKERS)), {"speakers missing": missing} | remarks)
    kinds = {"emotion": ("classes", tuple(EMOTIONS.values())), "sentence": ("classes",)}
    return clips_of_rows("EmoDB", rows, kinds, chosen, **options)
