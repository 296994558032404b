"""Sounds added to the wave: the stated SNR, the stated shape, and features computed again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refmer
from refmer.data.clips import Clips
from refmer.data.corrupt import SOUNDS, overlaid
from refmer.data.corrupt_sound import babble
from refmer.data.front_end import front_end
from refmer.data.synthetic.synthesize import Remake

VOICE = ("logmel", "prosody", "mfcc", "layers")


@given(kind=st.sampled_from(SOUNDS), snr=st.floats(-20, 30), clip=st.integers(0, 47), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=20)
def test_the_snr_is_the_stated_one_where_the_sound_sounds(clips, kind, snr, clip, seed):
    name = clips.name[clip]
    clean = clips.raw(name).wave.astype(np.float64)
    added = overlaid(clips, kind, snr, None, seed)(name).wave - clean
    sounds = np.abs(added) > 0
    assert 10 * np.log10(np.mean(clean**2) / np.mean(added[sounds] ** 2)) == pytest.approx(snr, abs=0.05)


def test_raw_signals_of_clips_are_those_they_were_made_from(clips):
    np.testing.assert_array_equal(clips.raw(clips.name[5]).wave, refmer.raw_signals(clips.name[5], seed=5).wave)
    short = refmer.synthesize(speakers=1, takes=1, seed=2, duration=[0.6, 0.7])
    assert len(short.raw(short.name[0]).wave) == 320 * short.streams["logmel"].mask[0].sum()
    frames = short.streams["frames"]
    np.testing.assert_array_equal(short.raw(short.name[3]).frames, frames.x[3, frames.mask[3]])
    assert refmer.load_samples().raw == Remake(0, None)


def test_all_features_of_the_voice_are_made_again(clips):
    part = clips[[3, 17, 40]]
    broken = refmer.corrupt(part, "voice", "white", 5.0, seed=2)
    for i, name in enumerate(part.name):
        expected = front_end(broken.raw(name).wave, 16000)
        for k in ("logmel", "prosody"):
            b = broken.streams[k]
            np.testing.assert_allclose(b.x[i, b.mask[i]], expected[k], rtol=1e-5, atol=1e-5)
    for k in VOICE:
        s, b = part.streams[k], broken.streams[k]
        np.testing.assert_array_equal(b.mask, s.mask)
        assert (b.x != s.x).any() and not b.x[~b.mask].any() and b.x.dtype == s.x.dtype
    assert broken.streams["units"] is part.streams["units"]


def test_features_of_an_inaudible_sound_are_those_of_the_corpus(clips):
    quiet = refmer.corrupt(clips[:5], "voice", "white", 120.0)
    for k in VOICE[:1] + VOICE[2:]:
        np.testing.assert_allclose(quiet.streams[k].x, clips[:5].streams[k].x, atol=0.05)
    assert refmer.corrupt(clips, "voice", "white", np.inf) is clips


def test_the_louder_the_sound_the_more_the_features_change(clips):
    clean, *noisy = [refmer.corrupt(clips[:3], "voice", "white", snr).streams["logmel"].x for snr in (np.inf, 20, 5, -10)]
    assert (np.diff([np.abs(x - clean).mean() for x in noisy]) > 0).all()


def test_the_sound_of_a_clip_does_not_depend_on_the_other_clips(clips):
    alone = refmer.corrupt(clips[[7]], "voice", "peaks", 0.0, seed=3).streams["logmel"].x
    np.testing.assert_array_equal(refmer.corrupt(clips[[2, 7]], "voice", "peaks", 0.0, seed=3).streams["logmel"].x[1:], alone)


def test_babble_is_of_clean_waves_of_other_speakers(clips):
    noisy = refmer.corrupt(clips, "voice", "white", 0.0)
    voices = overlaid(noisy, "babble", 0.0, None, 1).others(np.random.default_rng(1), clips.name[0])
    others = [clips.raw(name).wave for name in clips.name[clips.speaker != clips.speaker[0]]]
    assert len(voices) == 4 and all(any(np.array_equal(wave, other) for other in others) for wave in voices)


def test_voices_of_a_babble_are_equally_loud_and_repeat():
    quiet, loud = np.sin(np.arange(50) * 2 * np.pi / 10), 9 * np.sin(np.arange(50) * 2 * np.pi / 25)
    power = np.abs(np.fft.rfft(babble(np.random.default_rng(1), 200, [quiet, loud])))
    assert power[20] == pytest.approx(power[8]) and power[20] > 100 * np.delete(power, (8, 20)).max()


def test_sounds_compose_and_the_span_holds(clips):
    part = clips[:2]
    one = refmer.corrupt(part, "voice", "white", 5.0, seed=1)
    two = refmer.corrupt(one, "voice", "peaks", -5.0, seed=1)
    first, second, name = one.raw(part.name[0]).wave, two.raw(part.name[0]).wave, part.name[0]
    added = second - first
    assert 0 < (added != 0).mean() < 0.6 and (first != part.raw(name).wave).mean() > 0.9
    only = refmer.corrupt(part, "voice", "white", -5.0, span=(0.3, 0.5))
    s, b = part.streams["logmel"], only.streams["logmel"]
    t = (np.arange(s.mask.shape[1]) + 0.5) / 50
    inside = (t >= 0.3) & (t < 0.5)
    np.testing.assert_array_equal(b.x[:, ~inside], s.x[:, ~inside])
    assert (b.x[:, inside] != s.x[:, inside]).all()
    wave = only.raw(name).wave - part.raw(name).wave
    assert wave[4800:8000].any() and not wave[:4800].any() and not wave[8000:].any()
    late = refmer.corrupt(part, "voice", "laughter", -5.0, span=(90, 91))  # after the end of every clip
    np.testing.assert_array_equal(late.streams["logmel"].x, s.x)


def test_laughter_is_calls_with_silence_between_them(clips):
    name = clips.name[int(np.argmax(clips.streams["logmel"].mask.sum(1)))]
    loud = np.abs(overlaid(clips, "laughter", 0.0, None, 1)(name).wave - clips.raw(name).wave) > 1e-6
    held = np.convolve(loud, np.ones(160), "same") > 80  # over 10 ms
    calls = (np.diff(held.astype(int)) == 1).sum()
    assert 5 <= calls <= 6 and loud.sum() < 1.2 * 16000  # 1.2 s at 4.4 calls per second


@pytest.mark.parametrize(
    "bad, message",
    [
        (lambda c: Clips(c.streams, c.name, c.speaker), "babble needs waves; these clips .* have none"),
        (lambda c: refmer.corrupt(c, "voice", "missing", 0.3), "babble needs waves; these clips .* have none"),
        (lambda c: c.with_streams(wavlm=c.streams["layers"])[:20:15], "voice streams wavlm cannot .*; accepted: logmel"),
        (lambda c: Clips({"logmel": c[:2].streams["logmel"]}, c.name[::-40], c.speaker[::-40], raw=c.raw), "not last as long"),
        (lambda c: c[:3], "kind is 'babble', but all clips are of speaker s00; accepted: clips of several speakers"),
    ],
)
def test_clips_without_waves_raise_errors(clips, bad, message):
    with pytest.raises(ValueError, match=message):
        refmer.corrupt(bad(clips), "voice", "babble", 0.0)
    assert refmer.corrupt(clips, "face", "missing", 0.3).raw is clips.raw
