"""RAVDESS: 24 actors speak and sing two sentences in eight emotions (Livingstone and Russo 2018).

Where: zenodo.org/records/1188976, to everyone, under CC BY-NC-SA 4.0 (no commercial use). The audio archives are
Audio_Speech_Actors_01-24.zip and Audio_Song_Actors_01-24.zip.

Layout: Actor_XX/03-01-06-01-02-01-12.wav, at any depth: modality (03: sound only), channel (01 speech, 02 song), emotion,
intensity (01 normal, 02 strong), statement, repetition, actor.
"""

from itertools import product

from refmer.choices import choose
from refmer.data.corpora.parts import clips_of_rows, compare, files

FIELDS = {  # label -> names of the codes 01, 02, ...
    "channel": ("speech", "song"),
    "emotion": ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"),
    "intensity": ("normal", "strong"),
    "statement": ("kids", "dogs"),  # "Kids are talking by the door", "Dogs are sitting by the door"
    "repetition": ("first", "second"),
}
CODES = "-".join(f"(0[1-{len(names)}])" for names in FIELDS.values())
ACTORS = 24
NOT_SUNG = (("02", "07"), ("02", "08"))  # channel and emotions that were not sung
CHANNELS = {"speech": ("01",), "song": ("02",), "both": ("01", "02")}


def read(path, *, channel="speech", **options):
    """Read RAVDESS.

    Parameters
    ----------
    path : path
        Folder of the corpus.
    channel : "speech", "song" or "both"
    **options
        Of `refmer.read_clips`: cache, jobs, seconds.

    Returns
    -------
    Clips
        Streams of the voice; labels "emotion" (8 classes; 6 are sung), "intensity", "statement", "repetition" and "channel".
        Published: 1,440 files of speech by 24 actors, 1,012 of song by 23.
    """
    wanted = choose("channel", channel, CHANNELS)
    chosen, remarks = files(path, f"03-{CODES}-(0[1-9]|1[0-9]|2[0-4])", "03-01-06-01-02-01-12.wav, ...")
    rows = {}
    for name, (_, match) in chosen.items():
        *codes, actor = match.groups()
        if codes[0] in wanted:
            rows[name] = {k: int(code) - 1 for k, code in zip(FIELDS, codes, strict=True)} | {"speaker": actor}
    if not rows:
        raise ValueError(f"{path} has no {channel}; accepted: a folder of 03-{wanted[0]}-06-01-02-01-12.wav, ...")
    expected = published(wanted)
    remarks = {"published files missing": sorted(expected - set(rows))} | remarks
    compare("RAVDESS", rows, (len(expected), ACTORS - (channel == "song")), remarks)
    kinds = {label: ("classes", names) for label, names in FIELDS.items()}
    return clips_of_rows("RAVDESS", rows, kinds, chosen, **options)


def published(channels):
    """Return the names of the published files: nothing neutral is strong, actor 18 does not sing."""
    codes = [[f"{k + 1:02d}" for k in range(len(names))] for names in FIELDS.values()]
    return {
        "-".join(("03", *code, f"{actor:02d}"))
        for *code, actor in product(*codes, range(1, ACTORS + 1))
        if code[0] in channels
        and code[1:3] != ["01", "02"]
        and tuple(code[:2]) not in NOT_SUNG
        and (code[0], actor) != ("02", 18)
    }
