"""Corruptions are pure, seeded, hit the sense they name, and say what they do."""

import numpy as np
import pytest

import refmer
from refmer.data.clips import Clips
from refmer.data.windows import windows


def arrays(clips):
    return {f"{k}.{part}": getattr(s, part).copy() for k, s in clips.streams.items() for part in ("x", "mask")}


CALLS = [
    ("face", "gaussian", 2.0, {}),
    ("face", "gaussian", 2.0, {"space": "raw", "per": "frame"}),
    ("voice", "missing", 0.4, {}),
    ("voice", "missing", 1.0, {"space": "raw"}),
    ("words", "missing", 1.0, {}),
    ("body", "gaussian", 0.5, {"span": (0.5, 1.0)}),
]


@pytest.mark.parametrize("sense, kind, amount, options", CALLS)
def test_only_the_named_sense_changes_the_same_way_for_the_same_seed(clips, sense, kind, amount, options):
    before = arrays(clips)
    broken = refmer.corrupt(clips, sense, kind, amount, **options, scale_from=clips, seed=3)
    again = refmer.corrupt(clips, sense, kind, amount, **options, scale_from=clips, seed=3)
    other = refmer.corrupt(clips, sense, kind, amount, **options, scale_from=clips, seed=4)
    assert isinstance(broken, Clips)
    for name, x in arrays(broken).items():
        np.testing.assert_array_equal(arrays(clips)[name], before[name])
        np.testing.assert_array_equal(x, arrays(again)[name])
        if clips.streams[name.partition(".")[0]].sense != sense:
            np.testing.assert_array_equal(x, before[name])
    hit = [k for k, s in clips.streams.items() if s.sense == sense]
    assert all((broken.streams[k].x != clips.streams[k].x).any() for k in hit)
    if amount != 1:
        assert any((broken.streams[k].x != other.streams[k].x).any() for k in hit)


@pytest.mark.parametrize("kind", ["gaussian", "missing"])
def test_amount_zero_is_the_identity(clips, kind):
    assert refmer.corrupt(clips, "face", kind, 0.0) is clips


def test_missing_all_leaves_nothing_and_the_mask_knows_unless_raw(clips):
    gone = refmer.corrupt(clips, "face", "missing", 1.0)
    raw = refmer.corrupt(clips, "face", "missing", 1.0, space="raw")
    for name in ("units", "frames"):
        assert not gone.streams[name].x.any() and not gone.streams[name].mask.any()
        assert not raw.streams[name].x.any()
        np.testing.assert_array_equal(raw.streams[name].mask, clips.streams[name].mask)


def test_a_share_of_the_frames_goes_missing_at_the_same_moments_in_all_streams_of_the_sense(clips):
    broken = refmer.corrupt(clips, "voice", "missing", 0.3, seed=1)
    kept = {k: broken.streams[k].mask[clips.streams[k].mask] for k in ("logmel", "prosody", "mfcc")}
    np.testing.assert_array_equal(kept["logmel"], kept["prosody"])
    n = len(kept["logmel"])
    assert abs(1 - kept["logmel"].mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / n)


def test_noise_has_the_stated_size_and_stays_off_the_padding(clips):
    broken = refmer.corrupt(clips, "voice", "gaussian", 2.0, scale_from=clips, per="frame", seed=1)
    s, b = clips.streams["prosody"], broken.streams["prosody"]
    sd = s.x[s.mask].std(0)
    np.testing.assert_allclose((b.x - s.x)[s.mask].std(0), 2 * sd, rtol=0.05)
    assert not b.x[~s.mask].any()
    held = refmer.corrupt(clips, "voice", "gaussian", 2.0, scale_from=clips, seed=1).streams["prosody"]
    offset = np.where(s.mask[..., None], held.x - s.x, np.nan)
    assert np.nanstd(offset, axis=1).max() < 1e-3 * np.nanstd(offset)  # one draw per clip and feature


def test_a_span_protects_the_rest(clips):
    broken = refmer.corrupt(clips, "face", "missing", 1.0, span=(0.4, 0.8))
    s, b = clips.streams["units"], broken.streams["units"]
    t = (np.arange(s.mask.shape[1]) + 0.5) / s.rate
    inside = (t >= 0.4) & (t < 0.8)
    assert not b.mask[:, inside].any()
    np.testing.assert_array_equal(b.x[:, ~inside], s.x[:, ~inside])


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("nose", "missing", 0.5), "sense is 'nose'; accepted: voice"),
        (("face", "blur", 0.5), "kind is 'blur'; accepted: gaussian"),
        (("face", "missing", 1.5), "amount is 1.5; accepted: a share"),
        (("face", "gaussian", -1.0), "amount is -1.0"),
        (("face", "gaussian", float("nan")), "amount is nan"),
        (("face", "gaussian", 1.0), "needs scale_from"),
    ],
)
def test_what_is_wrong_is_named(clips, arguments, said):
    with pytest.raises(ValueError, match=said):
        refmer.corrupt(clips, *arguments)


def test_a_sense_without_streams_is_named(clips):
    deaf = Clips({"units": clips.streams["units"]}, clips.name, clips.speaker)
    with pytest.raises(ValueError, match="no stream of voice; they have units"):
        refmer.corrupt(deaf, "voice", "missing", 0.5)


def test_windows_are_the_clip_at_their_seconds(clips):
    parts, ends = windows(clips[2:5], 0.4, 0.2)
    s, w = clips[2:5].streams["units"], parts.streams["units"]
    assert w.x.shape == (3 * len(ends), 10, s.x.shape[-1])
    np.testing.assert_allclose(np.diff(ends), 0.2)
    np.testing.assert_array_equal(w.x[len(ends) + 2], s.x[1, 10:20])  # second clip, third window: 0.4 to 0.8 s
    assert list(parts.name[: len(ends) + 1]) == [clips.name[2]] * len(ends) + [clips.name[3]]
    for window, hop in ((0, 0.1), (0.5, -1), (1e3, 0.1)):
        with pytest.raises(ValueError, match="window is"):
            windows(clips, window, hop)
