"""A source-filter voice (Fant 1960): glottal pulses and breath, shaped by the formants of a vocal tract.

An emotion moves pitch, range, rate, loudness, voice quality and formants (directions after Scherer 2003, Table 2).
Controls run at 100 Hz, sound at 16 kHz, and the formants are held for 20 ms.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg.blas import dtbsv

from refmer.data.noise import generator

RATE = 16000  # samples per second of the wave
CONTROL = 100  # control points per second
BLOCK = 320  # samples with the same filter of the vocal tract
PART = 8  # blocks that are filtered at a time
EXPRESSIVENESS = 2.7  # multiplies the table: clarity of the voice's expression (calibrated, see the data card)

# fmt: off
#             pitch  range  rate  loudness bright pressed jitter breath  formants
#             (st)   (x)    (x)   (dB)                    (x)    (dB)    1, 2, 3 (%)
STYLE = np.array((
    (  3.0,   0.60,  0.15,  3.5,   0.25,  0.15,  0.5,   -4.0,    12,  -2,   0),  # anger: loud, bright, an open jaw
    ( -2.0,  -0.25, -0.25,  1.0,   0.08,  0.10,  1.5,    2.0,     8, -12,  -6),  # disgust: low, creaky, a narrow throat
    (  4.0,  -0.45,  0.35,  1.0,   0.10, -0.10,  1.5,    9.0,    -4,   5,   2),  # fear: high, fast, breathy
    (  3.0,   0.80,  0.10,  2.5,   0.15,  0.00,  0.0,   -1.0,     4,  10,   8),  # happiness: lively, a smile's short tract
    (  0.0,   0.00,  0.00,  0.0,   0.00,  0.00,  0.0,    0.0,     0,   0,   0),  # neutral
    ( -1.5,  -0.60, -0.30, -3.0,  -0.25, -0.15,  0.3,    6.0,    -8,  -4,  -2),  # sadness: soft, dull, slow, monotonous
))
CLIP_SD =    (0.5,   0.12,  0.05,  1.0,   0.03,  0.02,  0.2,    0.8,     1,   1,   1)   # of one clip around its speaker
SPEAKER_SD = (0.0,   0.15,  0.05,  1.0,   0.03,  0.02,  0.2,    1.0,     1,   1,   1)   # of speakers around the mean
VOWELS = np.array((  # formants in Hz, men's means of Peterson and Barney (1952)
    (270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410), (730, 1090, 2440),
    (570, 840, 2410), (440, 1020, 2240), (300, 870, 2240), (640, 1190, 2390),
))
# fmt: on


@dataclass(frozen=True)
class Speaker:
    """A voice: pitch (Hz), length of the tract relative to men's (formants are divided by it), habits, microphone."""

    pitch: float
    tract: float
    habit: np.ndarray  # (11,), columns of STYLE
    noise: float  # dB of the room under the voice


@lru_cache
def make_speaker(seed, what, index):
    """Return speaker `index` of a corpus `what`; even ones are men (about 115 Hz), odd ones women (about 205 Hz)."""
    rng = generator(seed, what + " voice", index)
    woman = index % 2
    pitch = (205 if woman else 115) * 2 ** (rng.normal(0, 1.2) / 12)
    tract = (0.92 if woman else 1.0) * (1 + rng.normal(0, 0.015))
    return Speaker(pitch, tract, rng.standard_normal(11) * SPEAKER_SD, rng.uniform(36, 40))


def speak(rng, speaker, show):
    """Return a wave of a voice that shows emotions, and the opening of its mouth.

    show (T, 6) at 25 Hz: intensity of each emotion over time; 1 is a typical expression. -> wave (640 T,) within [-1, 1], at
    16 kHz; opening (4 T,) at 100 Hz, from 0 to about 1.
    """
    style = EXPRESSIVENESS * np.repeat(show, 4, axis=0) @ STYLE + speaker.habit + rng.standard_normal(11) * CLIP_SD
    pitch, span, rate, loudness, bright, pressed, jitter, breath = style.T[:8]
    syllable, level, hiss, vowel = syllables(rng, rate)
    f0 = intonation(rng, speaker, syllable, pitch, span, jitter)
    formants = vowel * (1 + style[:, 8:] / 100) / speaker.tract
    level = level * 10 ** (loudness / 20)
    noise = rng.standard_normal(len(level) * RATE // CONTROL)
    wave = tract_filter(source(noise, f0, level * (1 - hiss), pressed, breath), formants, bright)
    wave += 0.08 * np.diff(noise, prepend=0) * at_samples(hiss * level)  # fricatives: noise of high frequency
    room = np.sqrt(np.mean(wave**2)) * 10 ** (-speaker.noise / 20)
    wave += room * rng.standard_normal(len(wave))
    opening = level * (vowel[:, 0] - 150) / 600
    wave *= min(0.07, 0.95 / np.abs(wave).max())  # a lower gain for the loudest: nothing is clipped
    return wave, np.minimum(opening, 1.2)


def syllables(rng, rate):
    """Return position (in syllables), level, hiss and the vowel's formants (n, 3) over n control points."""
    n = len(rate)
    place = np.cumsum(4.4 * np.clip(1 + rate, 0.5, 1.8)) / CONTROL  # about 4.4 syllables per second
    count = int(place[-1]) + 2
    strength = rng.uniform(0.8, 1, count) * (np.arange(count) % 6 != 4)  # a pause in six
    fricative = rng.uniform(0.5, 0.9, count) * (np.arange(count) % 2)
    vowels = VOWELS[(rng.integers(len(VOWELS)) + 4 * np.arange(count)) % len(VOWELS)]  # all of them, in turn
    k, within = place.astype(int), place % 1
    t = np.arange(n) / CONTROL
    ends = np.clip(t / 0.06, 0, 1) * np.clip((t[-1] - t) / 0.12, 0, 1)
    level = strength[k] * np.sin(np.pi * within) ** 0.75 * ends
    hiss = fricative[k] * np.clip(1 - within / 0.3, 0, 1)
    glide = np.clip(2 * ((place - 0.5) % 1) - 0.5, 0, 1)[:, None]  # a vowel is held for half a syllable, then glides
    before = np.floor(place + 0.5).astype(int) - 1
    vowel = (1 - glide) * vowels[np.maximum(before, 0)] + glide * vowels[np.minimum(before + 1, count - 1)]
    return place, level, hiss, vowel


def intonation(rng, speaker, syllable, pitch, span, jitter):
    """Return F0 (Hz): the speaker's pitch, an accent per syllable, a slow fall and jitter, in semitones."""
    count = int(syllable[-1]) + 2
    accents = np.interp(syllable, np.arange(count) + 0.5, rng.uniform(1, 2.5, count) * (-1) ** np.arange(count))
    fall = 1.5 - 3 * np.linspace(0, 1, len(syllable))
    cycles = 0.12 * np.maximum(1 + jitter, 0.2) * rng.standard_normal(len(syllable))
    semitones = pitch + np.maximum(1 + span, 0.2) * (accents + fall) + cycles
    return np.clip(speaker.pitch * 2 ** (semitones / 12), 65, 450)


def source(noise, f0, level, pressed, breath):
    """Return the air flow's derivative (S,): pulses of KLGLOTT88 (Klatt and Klatt 1990), t (2 - 3 t / open), and breath."""
    phase = np.cumsum(at_samples(f0)) / RATE
    phase -= np.floor(phase)
    open_share = at_samples(np.clip(0.6 - pressed, 0.35, 0.9))
    pulse = phase * (2 - 3 * phase / open_share) * (phase < open_share)
    return (pulse + noise * at_samples(0.02 * 10 ** (breath / 20))) * at_samples(level)


def tract_filter(wave, formants, bright):
    """Apply an all-pole filter: a resonance per formant (Klatt 1980), five in all, and one real pole for the source's tilt."""
    blocks = len(wave) // BLOCK
    formants = formants.reshape(blocks, -1, 3).mean(1)  # (blocks, 3)
    upper = formants[:, 2:] * np.array([1.35, 1.75])
    f = np.minimum(np.concatenate([formants, upper], axis=1), 7000)  # (blocks, 5)
    radius = np.exp(-np.pi * np.array([70, 100, 140, 220, 300]) / RATE)
    pole = np.clip(0.45 - bright.reshape(blocks, -1).mean(1), 0, 0.95)
    order, samples = 1 + 2 * len(radius), PART * BLOCK
    a = np.zeros((blocks + -blocks % PART, order + 1))
    a[:blocks, 0], a[:blocks, 1] = 1, -pole
    for r, c in zip(radius, np.cos(2 * np.pi * f / RATE).T, strict=True):
        b = a.copy()
        a[:blocks, 1:] -= 2 * r * c[:, None] * b[:blocks, :-1]
        a[:, 2:] += r**2 * b[:, :-2]
    y = np.zeros(len(a) * BLOCK + order)
    y[: len(wave)] = wave * np.repeat(a[:blocks].sum(1), BLOCK)  # gain 1 at 0 Hz
    diagonals = np.zeros((samples + order, order + 1))  # of a triangular matrix: sum over k of a[n - k, k] y[n - k] = x[n]
    for i in range(0, len(a), PART):
        diagonals[:samples].reshape(PART, BLOCK, -1)[:] = a[i : i + PART, None]
        at = slice(i * BLOCK, i * BLOCK + samples + order)
        y[at] = dtbsv(order, diagonals.T, y[at], lower=1, diag=1)
    return y[: len(wave)]


def at_samples(control):
    """Interpolate a control track (n,) at 100 Hz to 16 kHz (160 n,); point i is at i / 100 seconds."""
    ramp = np.arange(RATE // CONTROL) * CONTROL / RATE
    y = np.diff(control, append=control[-1:])[:, None] * ramp
    y += control[:, None]
    return y.ravel()
