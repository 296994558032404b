"""Use of the public interface, for a type checker: `mypy --strict tests/typed_use.py` must pass. It is not run."""

from pathlib import Path

import numpy as np

import refmer


def use(folder: Path) -> None:
    clips = refmer.load_samples("clips")
    train, test = clips.split(by="speaker", test_size=0.25, seed=0)
    model = refmer.Recognizer("openface_adaptive", config={"width": 8}, seed=0, epochs=1).fit(train, dev=test, progress=False)
    score: float = model.score(refmer.corrupt(test, "face", "gaussian", 2.0, scale_from=train))
    answers: np.ndarray = model.predict(test)
    maps: dict[str, np.ndarray] = model.explain(test[:1])
    model.save(folder / "model.npz")
    small: refmer.Recognizer = refmer.quantize(refmer.load_recognizer("model.npz"), train)
    label = refmer.Label(answers, kind="classes", names=("a", "b"))
    stream = refmer.Stream(np.zeros((2, 3, 4)), rate=25.0, sense="face")
    own = refmer.Clips({"vgg": stream}, labels={"answer": label}).select(speaker="a").with_labels(answer=label)
    refmer.save_folder(own, folder)
    several: list[refmer.Clips] = [
        refmer.load_folder(folder),
        refmer.read_clip(wav="me.wav", openface_csv=folder / "me.csv"),
        refmer.read_clips(folder, speaker=str.lower),
        refmer.read_data("ravdess:DIR"),
        refmer.read_table("clips.csv", labels=["emotion"]),
        refmer.synthesize(speakers=2, duration=2.0),
        refmer.corrupt(own, "face", "bursty", (0.05, 0.45)),
        refmer.synthesize_recordings(speakers=2, duration=(1.0, 2.0)),
    ]
    print(score, maps, small.task, len(several), refmer.raw_signals("s03-anger-1").wave, refmer.__version__)
