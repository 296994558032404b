"""Pickles of MMSA in their real layout, with invented contents."""

import pickle
import warnings

import numpy as np
import pytest
from error_table import errors

from refmer.data.corpora import mmsa

WIDTHS = {"text": 4, "audio": 5, "vision": 3}
LENGTHS = {"text": 6, "audio": 8, "vision": 7}


def part(n, seed, lengths=LENGTHS, sims=False, **changes):
    """A part with n clips; clip i has i + 2 frames of each stream."""
    rng = np.random.default_rng(seed)
    part = {"id": [f"video{seed}_{i // 2}$_${i}" for i in range(n)], "raw_text": np.array(["SO GOOD"] * n, object)}
    for name, width in WIDTHS.items():
        part[name] = rng.normal(size=(n, lengths[name], width))
        for i in range(n):
            part[name][i, i + 2 :] = 0
    score = np.array([0.6, -2.4, 3.0, 0.0])[:n]
    labels = {
        "regression_labels": score / 3 if sims else score,
        "annotations": ["Positive", "Negative", "Positive", "Neutral"][:n],
    }
    if sims:
        labels |= {f"regression_labels_{k}": score / 6 for k in "TAV"}
    return part | labels | {"classification_labels": np.sign(score) + 1} | changes


@pytest.fixture
def read(tmp_path):
    def read(protocol=4, **parts):
        parts = parts or {"train": part(4, 0), "valid": part(2, 1), "test": part(3, 2)}
        (tmp_path / "unaligned_50.pkl").write_bytes(pickle.dumps(parts, protocol))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "unaligned_50.pkl has .* clips in")
            return mmsa.read(tmp_path / "unaligned_50.pkl")

    return read


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_streams_labels_and_speakers(read, protocol):
    clips = read(protocol)
    assert len(clips) == 9 and clips.name[1] == "video0_0$_$1" and len(set(clips.speaker)) == 5
    assert {name: (s.x.shape[2], s.sense, s.rate) for name, s in clips.streams.items()} == {
        "text": (4, "words", 2.5),
        "audio": (5, "voice", 20.0),
        "vision": (3, "face", 15.0),
    }
    assert all(s.mask.sum(1).tolist() == [2, 3, 4, 5, 2, 3, 2, 3, 4] for s in clips.streams.values())
    np.testing.assert_array_equal(clips.streams["audio"].x[3, :5], part(4, 0)["audio"][3, :5].astype(np.float32))
    assert clips.labels["sentiment"].kind == "ordinal" and clips.sentiment[:4].tolist() == [0.6, -2.4, 3, 0]
    assert clips.labels["sentiment"].targets[:4].tolist() == [4, 1, 6, 3]
    assert clips.labels["polarity"].names == ("Negative", "Neutral", "Positive")
    assert clips.select(part="valid").name.tolist() == part(2, 1)["id"]


def test_sims_is_a_regression_and_rates_each_stream(read):
    clips = read(train=part(4, 0, sims=True))
    assert {name: label.kind for name, label in clips.labels.items() if name.startswith("sentiment")} == dict.fromkeys(
        ("sentiment", "sentiment_text", "sentiment_audio", "sentiment_vision"), "regression"
    )
    np.testing.assert_allclose(clips.sentiment, [0.2, -0.8, 1, 0])


def test_lengths_of_the_file_count_frames_that_are_zero(read):
    given = part(3, 0, audio_lengths=[4, 4, 8], vision_lengths=np.array([1, 2, 7]))
    given["text_bert"] = np.zeros((3, 3, 6))
    given["text_bert"][:, 1, :5] = 1
    given["text"] += 0.5
    clips = read(train=given)
    assert clips.streams["vision"].mask.sum(1).tolist() == [1, 2, 7]
    assert clips.streams["text"].mask.sum(1).tolist() == [5, 5, 5]


def test_zeros_before_the_first_frame_are_masked(read):
    given = part(2, 0)
    given["vision"] = given["vision"][:, ::-1].copy()
    mask = read(train=given).streams["vision"].mask
    assert mask[0].tolist() == [False] * 5 + [True] * 2 and mask[1].tolist() == [False] * 4 + [True] * 3


def test_a_list_of_arrays_of_different_lengths_is_padded(read):
    given = part(2, 0)
    given["audio"] = [x[: i + 2] for i, x in enumerate(given["audio"])]
    np.testing.assert_array_equal(read(train=given).streams["audio"].x[:, :3], read(train=part(2, 0)).streams["audio"].x[:, :3])


def test_an_aligned_file_has_a_frame_per_word(read):
    clips = read(train=part(3, 0, dict.fromkeys(LENGTHS, 6)))
    assert {s.rate for s in clips.streams.values()} == {2.5}


def test_values_that_are_not_finite_are_zero_and_counted(read):
    given = part(2, 0)
    given["audio"][0, 0, :3] = -np.inf, np.nan, np.inf
    with pytest.warns(UserWarning, match="3 values of audio are not finite and read as 0"):
        clips = read(train=given)
    assert not clips.streams["audio"].x[0, 0, :3].any()


def test_totals_are_compared_with_the_published_ones(tmp_path):
    (tmp_path / "mosi.pkl").write_bytes(pickle.dumps({"train": part(4, 0), "test": part(1, 1)}))
    with pytest.warns(
        UserWarning, match=r"mosi.pkl has \(4, 1\) clips in train, test; published: MOSI \(1284, 229, 686\); MOSEI"
    ):
        assert mmsa.read(tmp_path / "mosi.pkl").source == "MMSA, mosi.pkl"


def test_a_hostile_pickle_is_refused(tmp_path):
    (tmp_path / "x.pkl").write_bytes(b"cos\nsystem\n(S'touch mark'\ntR.")
    with pytest.raises(ValueError, match="x.pkl is not read, and nothing of it was run: it asks for os.system"):
        mmsa.read(tmp_path / "x.pkl")


test_errors = errors(
    (lambda read: read(a=1), "is a dict of a; accepted: a pickle of MMSA, a dict of train, valid and test"),
    (lambda read: read(train={"id": []}), "train has no audio, regression_labels, text, vision; accepted"),
    (lambda read: read(train=part(2, 0, audio=np.zeros((2, 3)))), r"audio of train is no array \(N, T, D\) for 2 clips"),
    (lambda read: read(train=part(2, 0, vision=[np.zeros((2, 3))] * 2)), "vision of train is no array"),
    (lambda read: read(train=part(2, 0, text=[[1.0], [2.0]])), "text of train is no array"),
    (
        lambda read: read(train=part(2, 0), test=part(2, 0, audio=np.ones((2, 3, 9)))),
        r"audio has \[5, 9\] features in its parts; accepted: as many in all",
    ),
)
