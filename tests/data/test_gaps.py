"""Lost moments: rates and bursts of the closed forms, and the same moments for every stream."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refmer
from refmer.data import gaps
from refmer.data.corrupt import lose
from refmer.data.gaps import SHARES, Gaps, GilbertElliott

probability = st.floats(0.04, 0.96)
tenths = st.integers(0, 10).map(lambda k: k / 10)  # a loss in a million would need millions of draws
few = settings(deadline=None, max_examples=15)


def assert_mean(draws, expected):
    """The mean over independent rows is the expected value, within five standard errors."""
    rows = draws.mean(1)
    assert abs(rows.mean() - expected) < 5 * rows.std() / np.sqrt(len(rows)) + 1e-9


def test_the_long_run_loses_r_1_minus_k_plus_p_1_minus_h_over_p_plus_r():
    assert GilbertElliott(0.05, 0.45, loss_good=0.01).expected_loss() == pytest.approx(0.109, abs=1e-12)
    simple = GilbertElliott(0.05, 0.45)
    assert (simple.expected_loss(), simple.mean_burst()) == pytest.approx((0.1, 1 / 0.45))
    assert simple.autocorrelation(3) == pytest.approx(0.5**3)


@pytest.mark.parametrize(
    "p, r, short, long",
    [(0.1, 0.4, 0.19474, 0.2), (0.02, 0.08, 0.17369, 0.2), (0.05, 0.05, 0.43423, 0.5), (0.01, 0.01, 0.24190, 0.5)],
)
def test_a_start_in_the_good_state_loses_less_of_a_short_clip(p, r, short, long):
    """76 frames, 2.54 s at 30 frames per second: the mean length of CREMA-D's clips."""
    chain = GilbertElliott(p, r)
    assert chain.expected_loss(76) == pytest.approx(short, abs=5e-6)
    assert chain.expected_loss() == replace(chain, start="stationary").expected_loss(76) == pytest.approx(long)
    assert_mean(chain.states(np.random.default_rng(1), 3000, 76), short)


@given(p=probability, r=probability, good=tenths, bad=tenths, start=st.sampled_from(gaps.STARTS))
@few
def test_the_expected_loss_is_that_of_draws(clips, p, r, good, bad, start):
    chain = GilbertElliott(p, r, good, bad, start, rate=20.0)
    streams = {k: s[np.arange(1500) % len(clips)] for k, s in clips.streams.items() if k == "words"}
    drawn = gaps.bursty(np.random.default_rng(2), streams, chain)
    assert drawn.lost.shape == (1500, np.ceil(streams["words"].mask.shape[1] / 2.5 * 20)) and drawn.rate == 20
    assert_mean(drawn.lost, chain.expected_loss(drawn.lost.shape[1]))


@given(p=probability, r=probability)
@few
def test_bursts_gaps_and_correlation_are_those_of_draws(p, r):
    chain = GilbertElliott(p, r, start="stationary")
    bad = chain.states(np.random.default_rng(3), 700, 90)
    left, stayed = bad[:, :-1] & ~bad[:, 1:], bad[:, :-1]
    assert 1 / chain.mean_burst() == pytest.approx(left.sum() / stayed.sum(), rel=0.12)
    assert chain.p_good_to_bad == pytest.approx((~bad[:, :-1] & bad[:, 1:]).sum() / (~stayed).sum(), rel=0.12)
    share = chain.expected_loss()
    for lag in (1, 2, 5):
        product = (bad[:, :-lag] - share) * (bad[:, lag:] - share)
        assert_mean(product, share * (1 - share) * chain.autocorrelation(lag))


def test_the_first_slot_is_good_unless_stationary():
    rng = np.random.default_rng(5)
    assert not GilbertElliott(0.9, 0.1).states(rng, 300, 2)[:, 0].any()
    assert GilbertElliott(0.9, 0.1, start="stationary").states(rng, 300, 2)[:, 0].mean() == pytest.approx(0.9, abs=0.07)


def test_a_chain_that_never_turns_bad_loses_what_the_good_state_loses():
    still = GilbertElliott(0, 0, loss_good=0.2)
    assert still.expected_loss() == still.expected_loss(7) == 0.2 and still.mean_burst() == np.inf


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((1.2, 0.5), "p_good_to_bad is 1.2; accepted: numbers from 0 to 1"),
        ((0.5, float("nan")), "p_bad_to_good is nan"),
        ((0.5, 0.5, 0, -1), "loss_bad is -1"),
        (("0.5", 0.5), "p_good_to_bad is '0.5'; accepted: numbers"),
        ((0.5, 0.5, 0, 1, "bad"), "start is 'bad'; accepted: 'good', 'stationary'"),
        ((0.5, 0.5, 0, 1, "good", 0), "rate is 0"),
        ((0, 0, 0, 1, "stationary"), "the chain never switches"),
    ],
)
def test_what_no_chain_can_have_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        GilbertElliott(*arguments)


def test_a_stream_loses_the_frames_whose_centre_is_in_a_lost_slot(clips):
    drawn = Gaps(np.zeros((len(clips), 4), bool), 2.0)
    drawn.lost[:, 1] = True  # 0.5 to 1 s
    for name in ("logmel", "units", "layers", "body"):
        t = gaps.centres(clips.streams[name])
        np.testing.assert_array_equal(drawn.at(clips.streams[name])[6], (t >= 0.5) & (t < 1))
    drawn.lost[:, 3] = True
    assert drawn.at(clips.streams["units"])[:, 80:].all()  # after the last slot


def test_one_draw_serves_two_senses(clips):
    drawn = gaps.bursty(np.random.default_rng(6), clips.streams, GilbertElliott(0.1, 0.2))
    both = lose(lose(clips, "voice", drawn), "face", drawn)
    together = lose(clips, "voice+face", drawn)
    for name, s in clips.streams.items():
        lost = s.mask & ~both.streams[name].mask
        np.testing.assert_array_equal(lost, together.streams[name].mask != s.mask)
        np.testing.assert_array_equal(lost, drawn.at(s) & s.mask if s.sense in ("voice", "face") else np.zeros_like(lost))


@given(share=st.floats(0.02, 1), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_a_block_is_one_part_of_the_clip_of_the_stated_length(clips, share, seed):
    broken = refmer.corrupt(clips, "face", "block", share, seed=seed)
    s, b = clips.streams["units"], broken.streams["units"]
    lost = s.mask & ~b.mask
    assert (np.abs(lost.sum(1) - share * s.mask.sum(1)) <= 1).all()
    assert (np.abs(np.diff(np.pad(lost, ((0, 0), (1, 1))).astype(int), axis=1)).sum(1) <= 2).all()
    assert share < 1 or not b.mask.any()


@pytest.mark.parametrize("kind, all_of_it", [("missing", 1.0), ("block", 1.0), ("bursty", (0.0, 0.0, 1.0))])
def test_a_whole_modality_and_all_of_them_can_be_lost(clips, kind, all_of_it):
    gone = refmer.corrupt(clips, "voice+face+words+body", kind, all_of_it)
    assert not any(s.mask.any() or s.x.any() for s in gone.streams.values())
    raw = refmer.corrupt(clips, "face", kind, all_of_it, space="raw").streams
    assert all(not raw[k].x.any() and (raw[k].mask == clips.streams[k].mask).all() for k in ("units", "frames"))


def test_the_grids_of_the_papers():
    assert SHARES["002"] == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    assert SHARES["004"] == (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 1)
