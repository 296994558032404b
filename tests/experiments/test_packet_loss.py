"""Bursty loss in both senses: expected and measured loss; the same moments; scores, tables, figure."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refmer.data.clips import Clips, Stream
from refmer.data.corrupt import corrupt
from refmer.data.gaps import GilbertElliott
from refmer.experiments import packet_loss, protocols
from refmer.experiments.run import run
from refmer.recognizer import Recognizer

pytestmark = pytest.mark.slow

ROWS = ("openface_adaptive@emotion", "concatenation@emotion")


@pytest.fixture(scope="module")
def done(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("packet-loss")
    return out, run("packet-loss", out, rows=ROWS, quick=True, corpora={"clips": clips})


def test_the_names_of_the_settings_say_the_long_run_loss_and_the_bursts():
    for name, (p, r) in ((n, c) for n, c in packet_loss.SETTINGS.items() if c):
        chain = GilbertElliott(p, r)
        assert round(100 * chain.expected_loss()) == int(name.split(" %")[0])
        assert chain.mean_burst() == (2 if "short" in name else 10)


def test_what_is_reported(done):
    out, result = done
    assert json.loads((out / "results.json").read_text()) == result
    assert tuple(result["settings"]) == packet_loss.QUICK and tuple(result["scores"]) == ROWS
    assert result["settings"]["none"]["measured"] == result["settings"]["none"]["long_run"] == 0
    long = result["settings"]["50 %, long bursts"]
    assert long["long_run"] == 0.5 and long["burst_seconds"] == pytest.approx(0.4)
    assert long["expected"] < 0.48  # clips start in the good state
    text = (out / "results.md").read_text()
    assert "**synthetic**" in text and "## macro F1 (%)" in text and "expected in these clips" in text and "2 seeds" in text
    ax = packet_loss.draw(result)["packet-loss"].axes[0]
    assert ax.get_ylabel() == "macro F1, emotion (%)" and "2 seeds, 12 test clips each" in ax.get_xlabel()
    assert [t.get_text() for t in ax.get_xticklabels()][0] == "nothing\nlost" and "0.40 s" in ax.get_xticklabels()[2].get_text()


def test_scores_are_those_of_the_trained_row_under_the_channel(done, clips):
    train, dev, test = protocols.find("default").split(clips, 1)
    model = Recognizer("concatenation", config={"target": "emotion"}, seed=1).fit(train, dev=dev, progress=False)
    broken = corrupt(test, "voice+face", "bursty", (0.1, 0.1), seed=1)
    truth = model.scores(model.predict(broken), test)
    scores = done[1]["scores"][ROWS[1]]["50 %, long bursts"]
    for metric in ("macro_f1", "accuracy"):
        assert scores[metric]["values"][1] == pytest.approx(truth[metric])


@given(p=st.floats(0.02, 0.9), r=st.floats(0.1, 0.9), seed=st.integers(0, 99))
def test_expected_loss_is_what_is_measured_on_clips_of_different_lengths(p, r, seed):
    mask = np.arange(50) < np.repeat([[50], [30], [11]], 400, axis=0)  # 1200 clips of 2, 1.2 and 0.44 s
    names = np.arange(1200).astype(str)
    streams = {"units": Stream(np.ones((1200, 50, 1)), 25.0, mask.reshape(1200, 50), "face")}
    streams["logmel"] = replace(streams["units"], sense="voice")
    clips = Clips(streams, names, names)
    broken = corrupt(clips, "voice+face", "bursty", (p, r), seed=seed)
    np.testing.assert_array_equal(broken.streams["units"].mask, broken.streams["logmel"].mask)  # the same moments
    expected = packet_loss.expected(clips, GilbertElliott(p, r))
    assert packet_loss.measured(clips, broken) == pytest.approx(expected, abs=0.05)


def test_expected_loss_weighs_clips_by_their_length():
    mask = np.arange(40) < np.array([[40], [10]])
    clips = Clips({"units": Stream(np.ones((2, 40, 3)), 20.0, mask, "face")}, np.array(["a", "b"]), np.array(["a", "b"]))
    chain = GilbertElliott(0.02, 0.1)  # 2 s and 0.5 s: 50 and 12 slots of 1/25 s
    by_hand = (50 * chain.expected_loss(50) + 12 * chain.expected_loss(12)) / 62
    assert packet_loss.expected(clips, chain) == pytest.approx(by_hand)


def test_rows_without_classes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="tlab_jca learns affect, a label of regression; accepted by packet-loss: classes"):
        run("packet-loss", tmp_path, quick=True, rows=("tlab_jca",))
