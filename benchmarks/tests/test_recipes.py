"""Systems beside the linear reference, on a small table."""

import csv
import re

import numpy as np
import pytest

import command
import recipes
from refmer.experiments import references


@pytest.fixture
def data(tmp_path):
    """A table of 60 clips of 6 speakers: a vector of each of two senses, and an emotion that the first shows."""
    rng, path = np.random.default_rng(0), tmp_path / "clips.csv"
    with path.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["name", "speaker", "emotion", "face", "voice"])
        for i in range(60):
            for sense, x in (("face", rng.normal(size=4) + 2 * np.eye(4)[i % 3]), ("voice", rng.normal(size=3))):
                np.save(tmp_path / f"{sense}{i}.npy", x)
            writer.writerow([f"c{i}", f"s{i // 10}", "abc"[i % 3], f"face{i}.npy", f"voice{i}.npy"])
    return f"table:{path}"


def test_each_row_stands_beside_the_linear_model_on_its_streams(data, capsys):
    streams = "visual=face,audio=voice,text=voice"
    options = ["--label", "emotion", "--streams", streams, "--rows", "concatenation,raver"]
    assert command.main(["--recipes", "3", "--data", data, *options]) == 0
    text = capsys.readouterr().out
    assert "emotion: accuracy, 60 clips, 3 folds" in text and "for the 2 rows (Holm)" in text
    lines = [line for line in text.splitlines() if line.startswith(("concatenation", "raver"))]
    assert len(lines) == 2
    for line in lines:
        score, linear = (float(x) for x in re.findall(r"([0-9.]+) ±", line)[:2])
        assert linear > 60 and (references.BELOW in line) == (score < linear)


def test_models_are_tested_on_groups_that_they_have_not_seen(data, monkeypatch):
    seen = []

    class Spy(recipes.LinearReference):
        def fit(self, clips, by="speaker"):
            self.known = set(clips.speaker)
            return super().fit(clips, by)

        def predict(self, clips):
            seen.append((self.known, set(clips.speaker)))
            return super().predict(clips)

    monkeypatch.setattr(recipes, "LinearReference", Spy)
    recipes.run(data, "emotion", {"visual": "face", "audio": "voice", "text": "voice"}, names=["concatenation"], folds=3)
    assert len(seen) == 3 and not any(known & tested for known, tested in seen)
    assert set().union(*(tested for _, tested in seen)) == {f"s{k}" for k in range(6)}


def test_too_few_groups_are_an_error(data, capsys):
    assert command.main(["--recipes", "7", "--data", data, "--label", "emotion", "--rows", "concatenation"]) == 1
    assert "refmer: " in capsys.readouterr().err
