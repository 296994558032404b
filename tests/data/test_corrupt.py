"""Corruptions are pure and seeded, and change the named sense only, by the stated amount."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refmer
from refmer.data.corrupt import FACES, KINDS, snr
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
    ("face", "bursty", (0.2, 0.3), {}),
    ("voice", "block", 0.3, {}),
    ("face", "features", 0.4, {}),
    ("words", "features", 0.5, {"space": "raw"}),
    ("voice", "babble", 0.0, {"span": (0.2, 0.9)}),
    ("face", "blur", 0.05, {"span": (0.5, 1.0)}),
]


@pytest.mark.parametrize("sense, kind, amount, options", CALLS)
def test_only_the_named_sense_changes_the_same_way_for_the_same_seed(clips, sense, kind, amount, options):
    before = arrays(clips)
    broken = refmer.corrupt(clips, sense, kind, amount, **options, scale_from=clips, seed=3)
    again = refmer.corrupt(clips, sense, kind, amount, **options, scale_from=clips, seed=3)
    other = refmer.corrupt(clips, sense, kind, amount, **options, scale_from=clips, seed=4)
    for name, x in arrays(broken).items():
        np.testing.assert_array_equal(arrays(clips)[name], before[name])
        np.testing.assert_array_equal(x, arrays(again)[name])
        if clips.streams[name.partition(".")[0]].sense != sense:
            np.testing.assert_array_equal(x, before[name])
    hit = [k for k, s in clips.streams.items() if s.sense == sense]
    assert all((broken.streams[k].x != clips.streams[k].x).any() for k in hit)
    if amount != 1:
        assert any((broken.streams[k].x != other.streams[k].x).any() for k in hit)


@pytest.mark.parametrize("kind", ["gaussian", "missing", "block", "features", "shift", *FACES])
def test_amount_zero_is_the_identity(clips, kind):
    assert refmer.corrupt(clips, "face", kind, 0.0) is clips


def test_a_share_of_the_frames_goes_missing_at_the_same_moments_in_all_streams_of_the_sense(clips):
    broken = refmer.corrupt(clips, "voice", "missing", 0.3, seed=1)
    masks = {k: broken.streams[k].mask[clips.streams[k].mask] for k in ("logmel", "prosody", "mfcc")}
    np.testing.assert_array_equal(masks["logmel"], masks["prosody"])
    n = len(masks["logmel"])
    assert abs(1 - masks["logmel"].mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / n)


def test_noise_stays_off_the_padding_and_may_be_one_draw_per_clip(clips):
    broken = refmer.corrupt(clips, "voice", "gaussian", 2.0, scale_from=clips, per="frame", seed=1)
    s, b = clips.streams["prosody"], broken.streams["prosody"]
    assert not b.x[~s.mask].any()
    held = refmer.corrupt(clips, "voice", "gaussian", 2.0, scale_from=clips, seed=1).streams["prosody"]
    offset = np.where(s.mask[..., None], held.x - s.x, np.nan)
    assert np.nanstd(offset, axis=1).max() < 1e-3 * np.nanstd(offset)  # one draw per clip and feature


@pytest.mark.parametrize("kind", KINDS)
def test_no_clips_come_back_as_no_clips(clips, kind):
    amount = (0.1, 0.2) if kind == "bursty" else 0.5
    broken = refmer.corrupt(clips[:0], (*KINDS[kind].senses, "voice")[0], kind, amount, space="raw")
    assert len(broken) == 0 and broken.streams.keys() == clips.streams.keys()


def test_only_clips_are_corrupted():
    with pytest.raises(TypeError, match="clips is ndarray; accepted: refmer.Clips"):
        refmer.corrupt(np.zeros((3, 4)), "face", "missing", 0.5)


def test_the_end_of_a_span_may_lie_beyond_the_clip(clips):
    for part in (clips[:2], clips[2]):
        a, b = (refmer.corrupt(part, "voice", "white", 0.0, span=(0.5, end)).streams["logmel"].x for end in (9.0, np.inf))
        np.testing.assert_array_equal(a, b)


def voice_only(clips):
    return replace(clips, streams={name: s for name, s in clips.streams.items() if s.sense == "voice"})


def test_a_span_protects_the_rest(clips):
    broken = refmer.corrupt(clips, "face", "missing", 1.0, span=(0.4, 0.8))
    s, b = clips.streams["units"], broken.streams["units"]
    t = (np.arange(s.mask.shape[1]) + 0.5) / s.rate
    inside = (t >= 0.4) & (t < 0.8)
    assert not b.mask[:, inside].any()
    np.testing.assert_array_equal(b.x[:, ~inside], s.x[:, ~inside])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda c: refmer.corrupt(c, "nose", "missing", 0.5), "sense is 'nose'; accepted: 'voice'"),
        (lambda c: refmer.corrupt(c, "face", "fog", 0.5), "kind is 'fog'; accepted: 'gaussian'"),
        (lambda c: refmer.corrupt(c, None, "missing", 0.5), "sense is None; accepted: 'voice'"),
        (lambda c: refmer.corrupt(c, ["face"], "missing", 0.5), "sense is .'face'.; accepted: 'voice'"),
        (lambda c: refmer.corrupt(c, "face", "missing", "half"), "amount is 'half'; accepted for missing: a share"),
        (lambda c: refmer.corrupt(c, "face", "missing", None), "amount is None"),
        (lambda c: refmer.corrupt(c, "face", "missing", np.ones(2)), "amount is .1.0, 1.0."),
        (lambda c: refmer.corrupt(c, "face", "bursty", ("a", "b")), "amount is .'a', 'b'.; accepted for bursty: .p_good_to"),
        (lambda c: refmer.corrupt(c, "face", "bursty", (0.1,)), "amount is .0.1,.; accepted for bursty"),
        (lambda c: refmer.corrupt(c, "face", "bursty", (0.1,) * 4 + ("good", 25, 9)), "accepted for bursty"),
        (
            lambda c: refmer.corrupt(c, "face", "bursty", (0.1,) * 4 + ("good", 1e18)),
            "rate is 1e.18; accepted: slots per second",
        ),
        (
            lambda c: refmer.corrupt(c, "face", "gaussian", 1e300, space="raw"),
            "amount is 1e.300; accepted for gaussian: 0 to 1e9",
        ),
        (lambda c: refmer.corrupt(c, "voice", "white", -1000.0), "amount is -1000.0; accepted for white"),
        (lambda c: refmer.corrupt(c, "face", "missing", 0.5, span=3), "span is 3; accepted: .start, end. in seconds"),
        (lambda c: refmer.corrupt(c, "face", "missing", 0.5, span=("a", "b")), "span is .'a', 'b'."),
        (lambda c: refmer.corrupt(c, "face", "missing", 0.5, span=(0, 1, 2)), "span is .0, 1, 2."),
        (lambda c: refmer.corrupt(c, "face", "missing", 0.5, span=(np.nan, 1)), "span is .nan, 1."),
        (
            lambda c: refmer.corrupt(c, "voice", "white", 0.0, span=(0.5, 0.2)),
            "span is .0.5, 0.2.; accepted: .* 0 <= start <= end",
        ),
        (lambda c: refmer.corrupt(c, "voice", "white", 0.0, span=(-1, 0.2)), "span is .-1, 0.2."),
        (lambda c: refmer.corrupt(c, "face", "hand", 0.5, scale_from=3), "scale_from is int; accepted: the training clips"),
        (
            lambda c: refmer.corrupt(c, "face", "hand", 0.5, scale_from=c[:0]),
            "scale_from has for units 0 frames of shape .49,.",
        ),
        (lambda c: refmer.corrupt(c, "face", "hand", 0.5, scale_from=voice_only(c)), "scale_from has for units no such stream"),
        (lambda c: refmer.corrupt(c, "face", "missing", 0.5, seed=1.5), "seed is 1.5; accepted: integers from 0 to"),
        (lambda c: refmer.corrupt(c, "face", "missing", 0.5, seed=None), "seed is None"),
        (lambda c: refmer.corrupt(c, "face", "missing", 0.5, seed=-1), "seed is -1"),
        (lambda c: refmer.corrupt(c, "face", "missing", 0.5, seed="3"), "seed is '3'"),
        (lambda c: refmer.corrupt(c, "face", "missing", 0.5, seed=True), "seed is True"),
        (lambda c: refmer.corrupt(c, "face", "missing", 1.5), "amount is 1.5; accepted for missing: a share"),
        (lambda c: refmer.corrupt(c, "face", "gaussian", -1.0), "amount is -1.0"),
        (lambda c: refmer.corrupt(c, "face", "gaussian", float("nan")), "amount is nan"),
        (lambda c: refmer.corrupt(c, "face", "gaussian", 1.0), "needs scale_from"),
        (lambda c: refmer.corrupt(c, "face", "features", 0.5), "features in standard space needs scale_from"),
        (lambda c: refmer.corrupt(c, "face+nose", "missing", 0.5), "sense is 'nose'"),
        (lambda c: refmer.corrupt(c, "face", "bursty", 0.5), "amount is 0.5; accepted for bursty: .p_good_to_bad"),
        (lambda c: refmer.corrupt(c, "face", "missing", (0.5, 0.5)), "accepted for missing: a share"),
        (lambda c: refmer.corrupt(c, "face", "bursty", (0.5, 1.5)), "p_bad_to_good is 1.5"),
        (
            lambda c: refmer.corrupt(c, "voice", "white", float("nan")),
            "amount is nan; accepted for white: a signal-to-noise ratio",
        ),
        (lambda c: refmer.corrupt(c, "face", "turn", 100.0), "amount is 100.0; accepted for turn: degrees"),
        (
            lambda c: refmer.corrupt(c, "voice+face", "babble", 0.0),
            r"sense is 'voice\+face'; accepted with kind 'babble': 'voice'$",
        ),
        (lambda c: refmer.corrupt(c, "voice", "hand", 0.5), "sense is 'voice'; accepted with kind 'hand': 'face'"),
        (lambda c: refmer.corrupt(c, "words", "missing", 0.5), r"sense is 'words'; accepted: 'voice', 'face', 'body'"),
        (lambda c: snr(c.streams["prosody"], c.streams["units"]), "shapes"),
        (lambda c: snr(c.streams["units"], replace(c.streams["units"], mask=~c.streams["units"].mask)), "no frame in common"),
        (lambda c: windows(c, 0, 0.1), "window is 0"),
        (lambda c: windows(c, "a", 1), "window is 'a'; accepted: finite numbers above 0"),
        (lambda c: windows(c, 0.5, -1), "hop is -1"),
        (lambda c: windows(c, 1e3, 0.1), "window is 1000"),
    ],
)
def test_wrong_arguments_raise_errors(clips, call, message):
    without_words = replace(clips, streams={k: s for k, s in clips.streams.items() if k != "words"})
    with pytest.raises(ValueError, match=message):
        call(without_words)


def test_several_senses_lose_the_same_moments_and_one_after_the_other_independent_ones(clips):
    together = refmer.corrupt(clips, "voice+face", "bursty", (0.1, 0.2), seed=1)
    apart = refmer.corrupt(refmer.corrupt(clips, "voice", "bursty", (0.1, 0.2), seed=1), "face", "bursty", (0.1, 0.2), seed=1)

    def lost(broken, name):
        return ~broken.streams[name].mask[:, 20:][clips.streams["units"].mask[:, 20:]]

    np.testing.assert_array_equal(lost(together, "layers"), lost(together, "units"))  # both at 25 Hz
    assert abs(np.corrcoef(lost(apart, "layers"), lost(apart, "units"))[0, 1]) < 0.2
    assert together.streams["words"] is clips.streams["words"]


def test_corruptions_of_both_senses_compose(clips):
    part = clips[:7]
    broken = refmer.corrupt(refmer.corrupt(part, "voice", "peaks", -5.0), "face", "hand", 0.5)
    for sense, kind, amount in (("voice", "peaks", -5.0), ("face", "hand", 0.5)):
        alone = refmer.corrupt(part, sense, kind, amount)
        for name, s in alone.streams.items():
            if s.sense == sense:
                np.testing.assert_array_equal(broken.streams[name].x, s.x)


@given(seconds=st.floats(-1.5, 1.5), name=st.sampled_from(["logmel", "units", "words", "body", "layers"]))
@settings(deadline=None, max_examples=25)
def test_a_shift_moves_every_frame_of_every_clip_by_the_same_seconds(clips, seconds, name):
    s = clips.streams[name]
    by, T = round(seconds * s.rate), s.mask.shape[1]
    b = refmer.corrupt(clips, s.sense, "shift", seconds).streams[name]
    for i in range(0, len(clips), 5):
        n = int(s.mask[i].sum())
        expected = np.zeros_like(s.x[i])
        present = np.zeros(T, bool)
        for t in range(n):
            if 0 <= t - by < n:
                expected[t], present[t] = s.x[i, t - by], True
        np.testing.assert_array_equal(b.x[i], expected)
        np.testing.assert_array_equal(b.mask[i], present if by else s.mask[i])


def test_a_shift_moves_gaps_and_keeps_the_mask_in_raw_space(clips):
    gappy = refmer.corrupt(clips, "face", "missing", 1.0, span=(0.2, 0.3))  # frames 5 and 6
    late = refmer.corrupt(gappy, "face", "shift", 0.12).streams["units"]
    np.testing.assert_array_equal(np.flatnonzero(~late.mask[0])[:5], [0, 1, 2, 8, 9])
    s, raw = clips.streams["units"], refmer.corrupt(clips, "face", "shift", 0.12, space="raw").streams["units"]
    np.testing.assert_array_equal(raw.mask, s.mask)
    assert not raw.x[:, :3].any() and not raw.x[~raw.mask].any()
    np.testing.assert_array_equal(raw.x[:, 3:10], s.x[:, :7])


def test_features_are_dropped_as_a_contiguous_block(clips):
    s = clips.streams["units"]
    b = refmer.corrupt(clips, "face", "features", 0.3, scale_from=clips, seed=2).streams["units"]
    mean = s.x[s.mask].astype(float).mean(0)
    dropped = np.array([(np.abs(x[m] - mean) < 1e-4).all(0) for x, m in zip(b.x, b.mask, strict=True)])
    edges = np.abs(np.diff(np.pad(dropped, ((0, 0), (1, 1))).astype(int), axis=1)).sum(1)
    assert (dropped.sum(1) == round(0.3 * 49)).all() and (edges == 2).all() and len(set(dropped.argmax(1))) > 5
    rest = ~np.broadcast_to(dropped[:, None], s.x.shape)
    np.testing.assert_array_equal(b.x[rest], s.x[rest])
    np.testing.assert_array_equal(b.mask, s.mask)
    assert not b.x[~b.mask].any()
    assert not refmer.corrupt(clips, "face", "features", 1.0, space="raw").streams["frames"].x.any()


def test_the_snr_of_standardised_noise_is_minus_20_log_sigma(clips):
    broken = refmer.corrupt(clips, "voice", "gaussian", 2.0, scale_from=clips, per="frame", seed=1)
    ratio = snr(clips.streams["prosody"], broken.streams["prosody"])
    np.testing.assert_allclose(ratio, -20 * np.log10(2), atol=0.3)  # -6.02 dB
    raw = refmer.corrupt(clips, "voice", "gaussian", 2.0, space="raw", per="frame", seed=1)
    per_feature = snr(clips.streams["prosody"], raw.streams["prosody"])
    s = clips.streams["prosody"]
    np.testing.assert_allclose(per_feature, 20 * np.log10(s.x[s.mask].astype(float).std(0) / 2), atol=0.3)
    assert np.ptp(per_feature) > 30  # the same noise is large for flux and negligible for pitch
    assert (snr(s, s) == np.inf).all()


def test_windows_are_the_clip_at_their_seconds(clips):
    parts, ends = windows(clips[2:5], 0.4, 0.2)
    s, w = clips[2:5].streams["units"], parts.streams["units"]
    assert w.x.shape == (3 * len(ends), 10, s.x.shape[-1])
    np.testing.assert_allclose(np.diff(ends), 0.2)
    np.testing.assert_array_equal(w.x[len(ends) + 2], s.x[1, 10:20])  # second clip, third window: 0.4 to 0.8 s
    assert list(parts.name[: len(ends) + 1]) == [clips.name[2]] * len(ends) + [clips.name[3]]
