"""A recording: parts are joined without a trace; offset, hum, silence, opposite channels do not change its voice."""

import tracemalloc

import numpy as np
import pytest
from scipy.io import wavfile
from scipy.signal import resample_poly

import refmer
from refmer.data import recording as module
from refmer.data.front_end import FrontEnd, analyse, front_end, log_mel, pitch
from refmer.data.recording import recording
from refmer.data.wav import open_wav

RATE = 16000
CONFIG = FrontEnd(recorded=True)
T = np.arange(2 * RATE) / RATE


def vowel(f0=130, rate=RATE, seconds=2.0):
    t = np.arange(int(rate * seconds)) / rate
    y = sum(np.sin(2 * np.pi * k * f0 * t + k) / k for k in range(1, 20))
    return 0.1 * y * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))


def read(folder, wave, rate=RATE):
    wavfile.write(folder / "me.wav", rate, wave)
    return recording(open_wav(folder / "me.wav"), CONFIG.rate, CONFIG.level, CONFIG.hop)


def features(folder, wave, rate=RATE):
    return analyse(read(folder, wave, rate), CONFIG)


def f0(folder, wave):
    return features(folder, wave)["prosody"][:, 0]


@pytest.mark.parametrize("rate", [8000, 11027, 16000, 44100])
def test_a_wave_in_parts_is_the_wave_as_a_whole(tmp_path, monkeypatch, rate):
    wave = vowel(rate=rate, seconds=2.5)
    whole = read(tmp_path, wave, rate)
    monkeypatch.setattr(module, "PART", int(0.6 * rate))
    np.testing.assert_allclose(read(tmp_path, wave, rate), whole, atol=1e-6)
    heights = [np.abs(np.fft.rfft(x[RATE // 2 : 2 * RATE])) for x in (whole, resample_poly(wave, RATE, rate))]
    assert np.corrcoef(heights)[0, 1] > 0.999 and len(whole) == 2.5 * RATE


def test_frames_in_blocks_are_the_frames_of_the_whole(monkeypatch):
    wave = vowel(seconds=2.9)[:-100]
    whole = analyse(wave, CONFIG)
    monkeypatch.setattr("refmer.data.front_end.BLOCK", 11)
    for name, x in analyse(wave, CONFIG).items():
        np.testing.assert_allclose(x, whole[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "added", [0.6, 0.1 * np.sin(2 * np.pi * 50 * T), 0.2 * np.sin(2 * np.pi * 20 * T)], ids=["offset", "hum", "rumble"]
)
def test_what_lies_below_a_voice_does_not_change_its_pitch_or_its_features(tmp_path, added):
    clean, more = (features(tmp_path, vowel() + x) for x in (0, added))
    assert np.abs(more["prosody"][2:-2, 0] - 130).max() < 1
    assert np.abs(more["logmel"] - clean["logmel"])[2:-2, 2:].max() < 0.05


def test_a_quiet_voice_on_a_large_offset_is_kept(tmp_path):
    assert np.abs(f0(tmp_path, 0.001 * vowel() + 0.9)[2:-2] - 130).max() < 1


@pytest.mark.parametrize("hertz", [20, 50, 60, 530, 1000, 1030, 3700])
def test_a_tone_is_not_voiced(tmp_path, hertz):
    assert not f0(tmp_path, 0.5 * np.sin(2 * np.pi * hertz * T))[1:-1].any()


@pytest.mark.parametrize("hertz", [75, 130, 220, 400])
def test_the_pitch_of_a_voice_is_kept(tmp_path, hertz):
    assert np.abs(f0(tmp_path, vowel(hertz))[3:-3] / hertz - 1).max() < 0.02


def test_pitch_is_a_peak_of_the_autocorrelation_beside_a_slow_wave():
    hertz = pitch(vowel() + 0.05 * np.sin(2 * np.pi * 30 * T), CONFIG)[0][3:-3]
    assert np.abs(hertz[hertz > 0] - 130).max() < 1 and (hertz > 0).mean() > 0.5


def test_silence_beside_a_voice_changes_nothing_and_has_no_voice(tmp_path):
    clean, padded = (features(tmp_path, np.r_[vowel(), np.zeros(n)]) for n in (0, 2 * RATE))
    for name, x in padded.items():
        np.testing.assert_allclose(x[:98], clean[name][:98], atol=0.15 if name == "prosody" else 0.04)  # 0.1 dB
    assert not padded["prosody"][102:, 0].any()


def test_eight_bits_add_their_quantisation_noise_and_nothing_else(tmp_path):
    wave = vowel()
    clean = features(tmp_path, wave)["logmel"]
    coarse = features(tmp_path, np.rint(wave * 128 + 128).astype(np.uint8))["logmel"]
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, wave.shape) / 128 * CONFIG.level / wave.std()
    noise, clean, coarse = (np.exp(x)[3:-3].mean(0) for x in (log_mel(noise, CONFIG), clean, coarse))  # power of each band
    assert np.abs(np.log(coarse / (clean + noise))).max() < 0.5
    assert (clean > 20 * noise).sum() > 15 and np.abs(np.log(coarse / clean))[clean > 20 * noise].max() < 0.1


def test_channels_are_averaged_unless_they_cancel(tmp_path):
    wave = vowel()
    np.testing.assert_allclose(read(tmp_path, np.stack([wave, 0 * wave], 1)), read(tmp_path, wave), atol=1e-6)
    with pytest.warns(UserWarning, match="channels cancel each other; channel 2, the loudest, is read"):
        opposite = read(tmp_path, np.stack([-0.95 * wave + 0.2, wave], 1))
    np.testing.assert_allclose(opposite, read(tmp_path, wave), atol=1e-6)


@pytest.mark.parametrize(
    "wave, message",
    [
        (np.zeros(RATE), "is silent: samples differ by at most 0; accepted: a sound"),
        (np.random.default_rng(0).integers(-1, 2, RATE).astype(np.int16), "is silent: samples differ by at most 6e-05"),
        (
            np.where(np.arange(RATE) % 999 == 5, np.nan, vowel(seconds=1)),
            "has 17 samples that are NaN, infinite or above 1e.12",
        ),
        (vowel(seconds=1) * 1e300, r"has \d+ samples that are NaN, infinite or above"),
        (np.r_[np.zeros(RATE), 1.0], "is silent but for its offset and its last 320 samples"),
        (np.full(RATE, np.inf), "has 16000 samples that are NaN"),
    ],
)
def test_a_wave_without_sound_is_refused(tmp_path, wave, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, wave)


def test_a_clean_recording_has_the_features_of_the_front_end():
    wave = refmer.raw_signals("s03-anger-1").wave.astype(float)
    expected = front_end(wave, RATE)["prosody"]
    assert np.mean(np.abs(analyse(wave * 0.1 / wave.std(), CONFIG)["prosody"] - expected)[:, 0] > 5) < 0.05


def test_ten_minutes_take_bounded_memory(tmp_path):
    wavfile.write(tmp_path / "long.wav", 8000, np.tile((vowel(rate=8000) * 2**15).astype(np.int16), 300))
    tracemalloc.start()
    try:
        clips = refmer.read_clip(wav=tmp_path / "long.wav")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert clips.streams["logmel"].x.shape[1] == 30000 and peak < 150e6
