"""Trust over time (paper 000, Fig. 3): the gates on a sliding window while the face is covered and then the sound is noisy."""

from refmer.data.corrupt import corrupt
from refmer.data.synthesize import synthesize
from refmer.data.windows import windows

SECONDS, WINDOW, HOP = 6.0, 0.5, 0.1
COVERED, NOISY = (2.0, 3.0), (4.0, 5.0)
SEED = 1  # of new clips, with speakers of their own: the bundled corpus is seed 0


def gates(model, train):
    """Mean and standard deviation over clips of both gates at the end of each window.

    The clips are synthetic, 6 s long, with 4 new speakers. From 2 to 3 s a hand covers the whole face (the tracker guesses:
    refmer/data/sight.py); from 4 to 5 s there is white noise as loud as the voice (0 dB), before the front end.

    Returns
    -------
    dict
        n, time (W,) in s, and for visual and audio the lists mean (W,) and sd (W,).
    """
    clips = synthesize(speakers=4, takes=1, seed=SEED, duration=(SECONDS, SECONDS))
    clips = corrupt(clips, "voice", "white", 0.0, span=NOISY, seed=SEED)
    clips = corrupt(clips, "face", "hand", 1.0, scale_from=train, span=COVERED, seed=SEED)
    parts, ends = windows(clips, WINDOW, HOP)
    trace = model.explain(parts)
    found = {"n": len(clips), "time": ends.round(6).tolist()}
    for modality in ("visual", "audio"):
        alpha = trace[f"{modality}.gate"].reshape(len(clips), len(ends)).astype(float)
        found[modality] = {"mean": alpha.mean(0).tolist(), "sd": alpha.std(0, ddof=1).tolist()}
    return found
