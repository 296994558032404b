"""Three situations of users, each a script of at most 12 lines from files to a cross-validated score by group."""

import csv
import re

import numpy as np
import pytest
from scipy.io import wavfile

SCRIPTS = {
    "utterances of three feature vectors": """
import numpy as np, refmer
from sklearn.model_selection import GroupKFold, cross_val_score
rows = np.genfromtxt("utterances.csv", delimiter=",", names=True, dtype=None, encoding="utf8")
streams = {kind: np.load(f"{kind}.npy") for kind in ("vgg", "egemaps", "glove")}
clips = refmer.Clips(streams, rows["name"], rows["speaker"], {"answer": rows["answer"]})
read = {"visual": "vgg", "audio": "egemaps", "text": "glove"}
model = refmer.Recognizer("openface_adaptive", streams=read, label="answer", epochs=2)
scores = cross_val_score(model, clips, groups=clips.speaker, cv=GroupKFold(3))
""",
    "recordings of nine prediction streams": """
import numpy as np, refmer
from pathlib import Path
from sklearn.model_selection import GroupKFold, cross_val_score
files = [np.load(path) for path in sorted(Path("recordings").glob("*.npz"))]
streams = {f"model{k}": refmer.Stream([f[f"model{k}"] for f in files], rate=5) for k in range(9)}
affect = refmer.Label([f["affect"] for f in files], rate=5, names=("valence", "arousal"))
clips = refmer.Clips(streams, speaker=[str(f["speaker"]) for f in files], labels={"affect": affect})
read = {"audio": ["model0", "model1", "model2", "model3"], "visual": [f"model{k}" for k in range(4, 9)]}
model = refmer.Recognizer("tlab_jca", streams=read, label="affect", epochs=2)
scores = cross_val_score(model, clips, groups=clips.speaker, cv=GroupKFold(3))
""",
    "a folder of speech": """
import refmer
from sklearn.model_selection import GroupKFold, cross_val_score
clips = refmer.read_data("ravdess:speech")
model = refmer.Recognizer("unimodal", config={"modality": "audio"}, label="emotion", epochs=1)
scores = cross_val_score(model, clips, groups=clips.speaker, cv=GroupKFold(3))
""",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files of all three, small and made of random numbers."""
    rng = np.random.default_rng(0)
    with open(tmp_path / "utterances.csv", "w", newline="") as f:
        csv.writer(f).writerows([("name", "speaker", "answer"), *((f"u{i}", f"s{i % 6}", "yn?"[i % 3]) for i in range(30))])
    for kind, width in (("vgg", 7), ("egemaps", 5), ("glove", 3)):
        np.save(tmp_path / f"{kind}.npy", rng.normal(size=(30, width)))
    (tmp_path / "recordings").mkdir()
    for i in range(7):
        T = rng.integers(20, 40)
        streams = {f"model{k}": rng.normal(size=(T, 2)) for k in range(9)}
        np.savez(tmp_path / "recordings" / f"{i}", **streams, affect=rng.uniform(-1, 1, (T, 2)), speaker=f"s{i}")
    for actor in range(1, 7):
        (tmp_path / "speech" / f"Actor_{actor:02}").mkdir(parents=True)
        for emotion in (1, 3, 5):
            wave = np.sin(2 * np.pi * (100 + 30 * emotion) * np.arange(8000) / 16000) * rng.normal(1, 0.1, 8000)
            path = tmp_path / "speech" / f"Actor_{actor:02}" / f"03-01-{emotion:02}-01-01-01-{actor:02}.wav"
            wavfile.write(path, 16000, (8000 * wave).astype(np.int16))
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore")  # few clips, not the totals of the corpus, hardly a voice
@pytest.mark.parametrize("situation", SCRIPTS)
def test_a_score_by_group_takes_twelve_lines(folder, situation):
    script = SCRIPTS[situation].strip()
    assert script.count("\n") < 12 and not re.search("reshape|pad|newaxis|concatenate|stack", script)
    names = {}
    exec(script, names)
    assert names["scores"].shape == (3,) and np.isfinite(names["scores"]).all()
