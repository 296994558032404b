"""The front end, compared with tones and pulses of given features."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer.data import front_end as parts
from refmer.data.clips import Stream
from refmer.data.front_end import PRESETS, FrontEnd, front_end


def pulses(f0, rate, seconds=0.7):
    """A voice-like sound of known pitch: harmonics that fall by 6 dB per octave."""
    t = np.arange(int(seconds * rate)) / rate
    return sum(np.sin(2 * np.pi * k * f0 * t + k) / k for k in range(1, int(0.45 * rate / f0) + 1))


@settings(max_examples=25)
@given(f0=st.floats(75, 440), preset=st.sampled_from(sorted(PRESETS)))
def test_pitch_of_pulses(f0, preset):
    config = PRESETS[preset]
    f0s, voicing = parts.pitch(pulses(f0, config.rate), config)
    assert np.abs(f0s[3:-3] / f0 - 1).max() < 0.02 and voicing[3:-3].min() > 0.8


def test_noise_is_mostly_unvoiced():
    f0, _ = parts.pitch(np.random.default_rng(0).standard_normal(16000), PRESETS["samples"])
    assert (f0 == 0).mean() > 0.8


@settings(max_examples=20)
@given(rate=st.sampled_from([8000, 11025, 16000, 44100]), seconds=st.floats(0.3, 0.9), preset=st.sampled_from(sorted(PRESETS)))
def test_a_frame_for_every_hop(rate, seconds, preset):
    config = PRESETS[preset]
    out = front_end(pulses(150, rate, seconds), rate, preset)
    T = np.ceil(int(seconds * rate) * config.rate / rate) // config.hop
    assert out["logmel"].shape == (T, config.bands) and out["prosody"].shape == (T, 6)
    assert out["rate"] == config.rate / config.hop
    assert np.isfinite(out["logmel"]).all() and np.isfinite(out["prosody"]).all()


def test_published_settings():
    assert {k: (1000 * c.window / c.rate, 1000 * c.hop / c.rate, c.bands) for k, c in PRESETS.items()} == {
        "samples": (32, 20, 40), "auxformer": (32, 16, 40), "tlab_jca": (20, 10, 128), "raver": (25, 20, 40),
    }  # fmt: skip


def test_frames_are_centred_at_half_a_hop():
    wave = np.zeros(1600)
    wave[5 * 320 // 2] = 1  # the centre of frame 2 of 5
    energy = (parts.framed(wave, 512, 320) * np.hanning(512)).sum(1)
    assert len(energy) == 5 and energy.argmax() == 2 and energy[2] > 0.99


def test_a_tone_lies_in_its_mel_band():
    mel = np.log1p(np.array([50, 8000]) / 700)
    centres = 700 * np.expm1(np.linspace(*mel, 42))[1:-1]
    t = np.arange(8000) / 16000
    for band in (5, 17, 33):
        assert parts.log_mel(np.sin(2 * np.pi * centres[band] * t))[5].argmax() == band


def test_mel_filters_sum_to_one_even_when_narrower_than_a_bin():
    np.testing.assert_allclose(parts.mel_filters(44100, 882, 128).sum(0), 1)
    assert not np.isnan(parts.mel_filters(16000, 512, 40)).any()


def test_centroid_energy_and_slope():
    t = np.arange(16000) / 16000
    low, high = (parts.prosody(np.sin(2 * np.pi * f * t))[10] for f in (500, 2000))
    assert abs(low[4] - 500) < 5 and abs(high[4] - 2000) < 5
    quiet = parts.prosody(0.1 * np.sin(2 * np.pi * 500 * t))[10]
    assert abs(low[2] - quiet[2] - 20) < 1e-3
    noise = np.random.default_rng(0).standard_normal(16000)
    dull = np.convolve(noise, np.ones(4) / 4)[:16000]
    assert parts.prosody(dull)[:, 3].mean() < parts.prosody(noise)[:, 3].mean() - 1


def test_flux_measures_change_only():
    t = np.arange(16000) / 16000
    tone = np.where(t < 0.5, np.sin(2 * np.pi * 500 * t), np.sin(2 * np.pi * 1500 * t))
    flux = parts.prosody(tone)[:, 5]
    assert flux.argmax() in (24, 25, 26) and flux[5:20].max() < 1e-6


def test_loudness_of_the_recording_does_not_matter_but_dynamics_do():
    wave = pulses(150, 16000) * np.linspace(0.1, 1, 11200)
    a, b = front_end(0.02 * wave, 16000), front_end(0.3 * wave, 16000)
    np.testing.assert_allclose(a["logmel"], b["logmel"], rtol=1e-9)
    assert a["prosody"][-3, 2] - a["prosody"][3, 2] > 10


def test_integers_and_channels():
    wave = 0.5 * pulses(150, 16000) / 4
    whole = np.rint(wave * 32767).astype(np.int16)
    np.testing.assert_allclose(front_end(wave, 16000)["logmel"], front_end(whole, 16000)["logmel"], atol=0.5)
    two = np.stack([wave, wave], axis=1)
    np.testing.assert_array_equal(front_end(wave, 16000)["logmel"], front_end(two, 16000)["logmel"])
    unsigned = np.rint(wave * 127 + 128).astype(np.uint8)
    assert np.abs(front_end(unsigned, 16000)["prosody"][:, 0] - 150)[3:-3].max() < 3


@pytest.mark.parametrize("preset, samples", [("samples", 512), ("samples", 640), ("tlab_jca", 1340)])  # one window or less
def test_voicing_is_the_autocorrelation_at_the_period(preset, samples):
    config = PRESETS[preset]
    wave = pulses(150, config.rate, 1)[:samples] + 0.01 * np.random.default_rng(0).standard_normal(samples)
    f0, voicing = parts.pitch(wave, config)
    taper = np.hanning(samples + 1)[:-1]
    frame = parts.framed(wave, samples, config.hop)[0] * taper
    r, window = (np.correlate(x, x, "full")[samples - 1 :][: samples // 2] for x in (frame, taper))
    r = (r / r[0]) / (window / window[0])
    np.testing.assert_allclose(voicing[0], r[round(config.rate / f0[0])], rtol=1e-6)  # a small power is added to both


def test_trimming_returns_the_span_of_the_remaining_part():
    wave = np.concatenate([np.zeros(3200), pulses(150, 16000, 0.5), np.zeros(1600)])
    part, span = parts.trim_silence(wave, 16000)
    assert span == (0.2, 0.7) and len(part) == 8000
    assert front_end(wave, 16000, trim=True)["span"] == (0.2, 0.7)
    assert front_end(wave, 16000)["span"] == (0.0, 0.8)


def test_deltas_of_a_line_are_its_slope():
    line = np.arange(9.0)[:, None] * [2, -3]
    np.testing.assert_allclose(parts.deltas(line)[2:-2], np.tile([2, -3], (5, 1)))


def test_mfcc_is_an_orthonormal_map_and_starts_with_the_mean():
    x = np.random.default_rng(0).standard_normal((7, 11))
    c = parts.mfcc(x, coefficients=11)
    np.testing.assert_allclose(c[:, 0], x.mean(1) * 11**0.5)
    np.testing.assert_allclose((c[:, :11] ** 2).sum(1), (x**2).sum(1))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: front_end(np.array([]), 16000), "shape"),
        (lambda: front_end(np.zeros((100, 9)), 16000), "shape"),
        (lambda: front_end(np.full(9000, np.nan), 16000), "9000 samples that are NaN"),
        (lambda: front_end(np.zeros(9000), 16000), "silent"),
        (lambda: front_end(np.ones(9000, complex), 16000), "complex128"),
        (lambda: front_end(np.array(["a"]), 16000), "dtype"),
        (lambda: front_end(pulses(150, 16000), 0), "rate is 0"),
        (lambda: front_end(pulses(150, 16000), -8000.5), "rate is -8000.5"),
        (lambda: front_end(pulses(150, 16000), "fast"), "rate is 'fast'"),
        (lambda: front_end(pulses(150, 16000), np.nan), "rate is"),
        (lambda: front_end(pulses(150, 16000, 0.03), 16000), "at least one window of 512"),
        (lambda: front_end(pulses(150, 16000), 16000, "mine"), "'samples', 'auxformer', 'tlab_jca', 'raver'"),
        (lambda: FrontEnd(hop=600), "hop <= window"),
    ],
)
def test_bad_waves_and_settings_raise_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_layers_are_moving_averages_at_half_the_rate_and_ignore_padding():
    rng = np.random.default_rng(0)
    x, mask = rng.normal(size=(2, 13, 5)).astype(np.float32), np.arange(13) < np.array([[13], [7]])
    x[~mask] = 0
    layers = parts.layers_stream(Stream(x, 50.0, mask, "voice"))
    assert layers.x.shape == (2, 6, 4, 5) and layers.rate == 25
    assert layers.mask.sum(1).tolist() == [6, 3] and not layers.x[~layers.mask].any()
    halved = x[0, :12].reshape(6, 2, 5).mean(1)
    np.testing.assert_allclose(layers.x[0, :, 0], halved, rtol=1e-6)
    np.testing.assert_allclose(layers.x[0, 2, 1], halved[1:4].mean(0), rtol=1e-5, atol=1e-6)
