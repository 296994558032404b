"""Corruptions of the waveform before the front end: white noise, babble, loud peaks, laughter-like bursts."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from refmer.data.front_end import sound_streams
from refmer.data.gaps import extent
from refmer.data.noise import generator
from refmer.data.synthetic.voice import VOWELS

TALKERS = 4  # voices in a babble
PEAKS = 2.0  # loud peaks per second
CALLS = 4.4  # calls ("ha") per second of laughter; this and their pitch (Hz) after Bachorowski, Smoski and Owren (2001)
LAUGHTER_PITCH = (282, 421)
LAUGHTER = 1.2  # seconds


@dataclass(frozen=True)
class NoisySignals:
    """Raw signals with a sound added to the wave: called with a clip's name, as `Clips.raw`.

    raw: the signals without that sound. kind: "white", "babble", "peaks" or "laughter". snr: 10 log10 of the mean power of the
    clip over the mean power of the sound where it is not 0 (dB). The sound depends on seed, kind and the clip's name only, so
    it is the same at every SNR. span: seconds (start, end) within which it is added, or None. crowd: tuple of (name, speaker),
    the clips whose other speakers are the voices of babble.
    """

    raw: object
    kind: str
    snr: float
    seed: int
    span: tuple | None
    crowd: tuple

    def __call__(self, name):
        signals = self.raw(name)
        wave, rate = signals.wave.astype(np.float64), signals.rate
        start, stop = (0, len(wave)) if self.span is None else (round(min(s * rate, len(wave))) for s in self.span)
        rng = generator(self.seed, f"{self.kind} {name}")
        sound = np.zeros(len(wave))
        if self.kind == "babble":
            sound[start:stop] = babble(rng, stop - start, self.others(rng, name))
        else:
            sound[start:stop] = {"white": white, "peaks": peaks, "laughter": laughter}[self.kind](rng, stop - start, rate)
        return replace(signals, wave=overlay(wave, sound, self.snr).astype(np.float32))

    def others(self, rng, name):
        """Return uncorrupted waves of TALKERS clips of other speakers."""
        speaker = dict(self.crowd)[name]
        names = [other for other, who in self.crowd if who != speaker]
        if not names:
            raise ValueError(f"kind is 'babble', but all clips are of speaker {speaker}; accepted: clips of several speakers")
        raw = self.raw
        while isinstance(raw, NoisySignals):
            raw = raw.raw
        return [wave_of(raw, str(other)) for other in rng.choice(names, TALKERS, replace=len(names) < TALKERS)]


@lru_cache(maxsize=512)
def wave_of(raw, name):
    """Return the wave of a clip, cached: babble needs each of them several times."""
    return raw(name).wave


def overlay(wave, sound, snr):
    """Return wave + gain sound (S,): where the sound is not 0, its mean power is `snr` dB below that of the whole wave."""
    if not sound.any():
        return wave
    ratio = np.mean(wave**2) / np.mean(sound[sound != 0] ** 2)
    return wave + np.sqrt(ratio * 10 ** (-snr / 10)) * sound


def white(rng, n, rate):
    """Return noise (n,) of equal power at all frequencies."""
    return rng.standard_normal(n)


def babble(rng, n, voices):
    """Return the sum (n,) of several voices, equally loud, each rotated by a random number of samples and repeated."""
    parts = [np.resize(np.roll(v, -rng.integers(len(v))), n).astype(np.float64) for v in voices]
    return sum(part / (np.sqrt(np.mean(part**2)) + 1e-12) for part in parts) if n else np.zeros(0)


def peaks(rng, n, rate):
    """Return knocks (n,): white noise that rises at once and decays by 1/e in 20 ms, cut after 60 ms; at least one."""
    sound = np.zeros(n)
    knock = np.exp(-np.arange(int(0.06 * rate)) / (0.02 * rate))
    for start in rng.integers(n, size=max(rng.poisson(PEAKS * n / rate), 1)) if n else ():
        part = sound[start : start + len(knock)]
        part += knock[: len(part)] * rng.standard_normal(len(part))
    return sound


def laughter(rng, n, rate):
    """Return a bout of laughter (n,): calls of falling pitch in the timbre of an open vowel, with breath and pauses."""
    length = min(n, int(LAUGHTER * rate))
    t = np.arange(length) / rate
    call = t * CALLS % 1
    pitch = rng.choice(LAUGHTER_PITCH) * (1.1 - 0.2 * call)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = VOWELS[4]  # the a of "father"
    voice = sum((1 / (1 + ((k * pitch[:, None] - formants) / 120) ** 2)).sum(1) * np.sin(k * phase) for k in range(1, 13))
    loud = np.where(call < 0.6, np.sin(np.pi * call / 0.6) ** 2, 0)
    sound = np.zeros(n)
    start = rng.integers(n - length + 1)
    sound[start : start + length] = loud * (voice + 0.2 * rng.standard_normal(length))
    return sound


def voice_streams(raw, names, streams):
    """Return the streams of the voice, computed again from the waves of `raw`; missing frames stay missing."""
    signals = [raw(str(name)) for name in names]
    new = sound_streams([s.wave for s in signals], signals[0].rate)
    unknown = sorted(set(streams) - set(new))
    if unknown:
        raise ValueError(f"voice streams {', '.join(unknown)} cannot be made from a wave; accepted: {', '.join(new)}")
    return {k: fill(k, s, new[k]) for k, s in streams.items()}


def fill(name, stream, new):
    """Return a stream with new features and its old padding and gaps."""
    T = min(stream.mask.shape[1], new.mask.shape[1])
    if (extent(stream.mask).sum(1) > new.mask.sum(1)).any() or new.mask[:, T:].any():
        raise ValueError(f"{name} does not last as long as the sound it was made from; accepted: whole clips")
    x = np.zeros(stream.x.shape, np.float32)
    x[:, :T] = new.x[:, :T]
    x[~stream.mask] = 0
    return replace(stream, x=x)
