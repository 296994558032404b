"""The benchmark of a corpus of CREMA-D's shape, with few clips."""

import json

import numpy as np
import pytest

import corpus
import hardware
from memory import STATUS
from refmer.train import batches


@pytest.fixture
def here(monkeypatch):
    """Measure in this process, on 96 clips, which are not small."""
    monkeypatch.setattr(corpus, "alone", corpus.measure)
    monkeypatch.setattr(corpus, "CLIPS", 96 * corpus.QUICK)
    monkeypatch.setattr(batches, "SMALL", 0)


def test_the_corpus_has_the_shape_of_crema_d():
    clips = corpus.corpus(corpus.CLIPS // 10)
    frames = clips.streams["face"].mask.sum(1)
    assert (frames.min(), frames.max()) == (40, 200) and 72 < frames.mean() < 80
    assert len(np.unique(clips.speaker)) == 91 and len(clips.labels["emotion"].names) == 6
    assert clips.streams["voice"].x.shape[1] == 334 and "synthetic" in clips.source
    assert not clips.streams["voice"].x[~clips.streams["voice"].mask].any()


def test_every_side_of_a_system_is_measured(here, tmp_path):
    text = corpus.run(["raver"], quick=True, as_list=True, out=tmp_path / "corpus.json", rounds=1)
    (row,) = json.loads(text)
    sides = corpus.SIDES if hardware.version_of("torch") != "-" else corpus.SIDES[:2]
    assert set(row["seconds"]) == set(row["bytes"]) == set(sides) and row["clips"] == 96
    assert all(s > 0 for s in row["seconds"].values())
    assert not STATUS.exists() or all(b > 1e6 for b in row["bytes"].values())
    assert json.loads((tmp_path / "corpus.json").read_text()) == [row]


def test_a_baseline_without_a_pytorch_model_has_empty_columns(here):
    text = corpus.run(["sfav"], quick=True, rounds=1)
    cells = next(line for line in text.splitlines() if line.startswith("sfav")).split()
    assert len(cells) == 10 and cells[4:7] == ["-"] * 3 and cells[9] == "-" and float(cells[1]) >= 0
    assert "96 synthetic clips of 40 to 200 frames" in text


def test_an_epoch_by_length_computes_less_than_a_padded_one(here):
    computed = {}
    for padded in (True, False):
        sizes = []
        corpus.epoch(lambda part, sizes=sizes: sizes.append(part["visual_mask"].size), *whole(), padded=padded)
        computed[padded] = sum(sizes)
    assert computed[True] == 96 * 200 and computed[False] < 0.6 * computed[True]


def whole():
    """A batch and the size of its mini-batches."""
    face = corpus.corpus(96).streams["face"]
    return {"visual": face.x, "visual_mask": face.mask, "target": np.zeros((96, 6))}, 8


def test_an_unknown_system_is_an_error_before_the_work():
    with pytest.raises(KeyError, match="no system is called 'wave'"):
        corpus.run(["wave"])
