"""The front end, from a wave to features: log-mel spectrogram, MFCC with deltas, F0, energy and descriptors of the spectrum."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.fft import dct, next_fast_len, rfft
from scipy.ndimage import uniform_filter1d
from scipy.signal import get_window, lfilter, resample_poly

from refmer.choices import choose
from refmer.data.arrays import pad
from refmer.data.clips import Stream

PROSODY = ("f0", "voicing", "energy", "slope", "centroid", "flux")
LAYERS = (1, 3, 9, 27)  # frames over which each layer of `layers_stream` averages
FLOOR = 1e-10  # power added to every band: the logarithm stays finite
ROWS = 32  # frames whose spectra are computed at a time
BLOCK = 1280  # frames that are analysed at a time: the memory of a long wave is bounded
SHORTEST = 0.04  # seconds of a window for F0: two periods and more of a deep voice
TONE = 0.95  # autocorrelation at a period shorter than a voice's from which a frame of a recording is a tone


@dataclass(frozen=True)
class FrontEnd:
    """Settings of the front end."""

    rate: int = 16000  # samples per second to which every wave is resampled
    window: int = 512  # samples in an analysis window
    hop: int = 320  # samples between windows: frame t is centred at (t + 0.5) hop
    bands: int = 40  # mel bands from 50 Hz to half the rate
    pre_emphasis: float = 0.97  # y[n] = x[n] - pre_emphasis x[n - 1], before the mel spectrum only
    level: float = 0.1  # root mean square that a wave is scaled to
    recorded: bool = False  # F0 only where a voice has it (see `pitch`): the synthetic corpus has no hum and no tones

    def __post_init__(self):
        if not (self.rate > 0 and 0 < self.hop <= self.window and self.bands > 0 and self.level > 0):
            raise ValueError(f"{self}; accepted: rate, bands, level > 0 and 0 < hop <= window")


PRESETS = {
    "samples": FrontEnd(),  # 32 ms windows at 50 Hz: two frames of voice per frame of face
    "auxformer": FrontEnd(window=512, hop=256),  # 32 / 16 ms (AuxFormer, section 4.2.2)
    "tlab_jca": FrontEnd(rate=44100, window=882, hop=441, bands=128),  # "window size 882, hop length 441", 128 bands
    "raver": FrontEnd(window=400, hop=320),  # the frames of WavLM: 25 / 20 ms
}


def front_end(wave, rate, config="samples", trim=False):
    """Compute the features of one wave: check, resample, trim (optional), normalise, analyse.

    Parameters
    ----------
    wave : array (S,) or (S, channels)
        Floating point within about [-1, 1], or integers of a sound file. Channels are averaged.
    rate : int
        Samples per second of the wave.
    config : FrontEnd or a name in PRESETS
    trim : bool
        Cut silence from both ends. Off by default, so that sound stays aligned with a face.

    Returns
    -------
    dict
        "logmel" (T, bands), natural logarithm of power; "prosody" (T, 6), see `prosody`; "rate", frames per second;
        "span", the part of the wave that is analysed, (start, stop) in seconds.

    Raises
    ------
    ValueError
        If the wave is empty, silent, not finite, of a wrong shape or dtype, or shorter than one window.
    """
    if isinstance(config, str):
        config = choose("config", config, PRESETS)
    wave = resample_poly(check_wave(wave, rate), config.rate, int(rate))  # band-limited
    wave, span = trim_silence(wave, config.rate) if trim else (wave, (0.0, len(wave) / config.rate))
    if len(wave) < config.window:
        raise ValueError(f"wave has {len(wave)} samples at {config.rate} Hz; accepted: at least one window of {config.window}")
    wave *= config.level / np.sqrt(np.mean(wave**2))  # one gain for all samples
    return analyse(wave, config) | {"rate": config.rate / config.hop, "span": span}


def analyse(wave, config):
    """Return "logmel" (T, bands) and "prosody" (T, 6) of a wave (S,) at the front end's rate, BLOCK frames at a time."""
    T, margin = len(wave) // config.hop, 2 + -(-max(config.window, int(SHORTEST * config.rate)) // config.hop)
    parts = []
    for start in range(0, T, BLOCK):
        first, stop = max(start - margin, 0), start + BLOCK
        end = None if stop + margin >= T else (stop + margin) * config.hop
        part = wave[first * config.hop : end].astype(np.float64)
        parts.append([feature(part, config)[start - first : stop - first] for feature in (log_mel, prosody)])
    return {name: np.concatenate(x) for name, x in zip(("logmel", "prosody"), zip(*parts, strict=True), strict=True)}


def check_wave(wave, rate):
    """Return the wave as float64 (S,); raise ValueError for one that is not accepted."""
    wave = np.asarray(wave)
    if isinstance(rate, bool | str) or not np.isscalar(rate) or not 0 < rate < 1e9 or rate != int(rate):
        raise ValueError(f"rate is {rate!r}; accepted: a positive whole number of samples per second")
    if wave.dtype.kind not in "fiu":
        raise ValueError(f"wave has dtype {wave.dtype}; accepted: floating point or integer")
    if wave.size == 0 or not (wave.ndim == 1 or wave.ndim == 2 and wave.shape[1] <= 8):
        raise ValueError(f"wave has shape {wave.shape}; accepted: (samples,) or (samples, up to 8 channels), not empty")
    y = wave.astype(np.float64)
    if wave.dtype.kind in "iu":
        full = 2.0 ** (8 * wave.dtype.itemsize - 1)
        y = (y - full * (wave.dtype.kind == "u")) / full
    if not np.isfinite(y).all():
        raise ValueError(f"wave has {(~np.isfinite(y)).sum()} samples that are NaN or infinite; accepted: finite values")
    y = y.mean(1) if y.ndim == 2 else y
    if np.ptp(y) < 1e-5:
        raise ValueError(f"wave is silent: its {len(y)} samples differ by less than 1e-5; accepted: a sound")
    return y


def trim_silence(wave, rate, below=35.0, step=0.01):
    """Cut both ends where 10 ms frames are `below` dB below the loudest. Returns the part and its (start, stop) in s."""
    n = max(int(step * rate), 1)
    frames = wave[: len(wave) // n * n].reshape(-1, n)
    if not len(frames):
        return wave, (0.0, len(wave) / rate)
    power = (frames**2).mean(1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-below / 10))
    start, stop = loud[0] * n, (loud[-1] + 1) * n
    return wave[start:stop], (start / rate, stop / rate)


def spectra(wave, window, hop):
    """Return power spectra (T, window // 2 + 1) of Hann windows; frame t is centred at (t + 0.5) hop, T = len(wave) // hop."""
    taper = get_window("hann", window)

    def power(frames):
        x = rfft(frames * taper)
        return (x.real**2 + x.imag**2) / window

    return by_rows(power, framed(wave, window, hop))


def by_rows(f, frames):
    """Return f of frames (T, window), ROWS at a time: their spectra stay in the processor's cache."""
    return np.concatenate([f(frames[i : i + ROWS]) for i in range(0, max(len(frames), 1), ROWS)])


def framed(wave, window, hop):
    """Return overlapping frames (T, window), a view; the ends are mirrored, so that every hop has a frame."""
    before = (window - hop) // 2
    wave = np.pad(wave, (before, window), mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(wave, window)[: (len(wave) - before - window) // hop * hop : hop]


@lru_cache
def mel_filters(rate, window, bands, low=50.0):
    """Return triangles (window // 2 + 1, bands) of equal width on the mel scale 2595 log10(1 + f / 700), each of sum 1."""
    mel = np.linspace(np.log1p(low / 700), np.log1p(rate / 2 / 700), bands + 2)
    edge = 700 * np.expm1(mel)
    f = np.arange(window // 2 + 1)[:, None] * rate / window
    triangle = np.minimum((f - edge[:-2]) / (edge[1:-1] - edge[:-2]), (edge[2:] - f) / (edge[2:] - edge[1:-1]))
    triangle = np.maximum(triangle, 0)
    narrow = triangle.sum(0) == 0  # a triangle between two bins: take the nearest bin
    triangle[np.abs(f - edge[1:-1]).argmin(0)[narrow], narrow.nonzero()[0]] = 1
    return triangle / triangle.sum(0)


def log_mel(wave, config=PRESETS["samples"]):
    """Return ln of the mel power spectrum (T, bands) of a pre-emphasised wave (S,)."""
    power = spectra(lfilter([1, -config.pre_emphasis], [1], wave), config.window, config.hop)
    return np.log(power @ mel_filters(config.rate, config.window, config.bands) + FLOOR)


def mfcc(logmel, coefficients=13, first=0, last=None):
    """Return MFCC, deltas and delta-deltas (T, 3 coefficients): the orthonormal DCT-II of the log-mel spectrum (T, bands).

    first, last: as in `deltas`.
    """
    c = dct(logmel, axis=-1, norm="ortho")[:, :coefficients]
    d = deltas(c, first, last)
    return np.concatenate([c, d, deltas(d, first, last)], axis=-1)


def mfcc_stream(logmel):
    """Return the stream "mfcc" (N, T, 39) of a stream of log-mel spectra, computed for each clip."""
    x = np.zeros((*logmel.mask.shape, 39), np.float32)
    length = logmel.mask.sum(1)
    end = np.repeat(length.cumsum(), length)
    x[logmel.mask] = mfcc(logmel.x[logmel.mask], 13, end - np.repeat(length, length), end - 1)
    names = tuple(f"{order}mfcc{k}" for order in ("", "delta_", "delta2_") for k in range(13))
    return Stream(x, logmel.rate, logmel.mask, logmel.sense, names)


def layers_stream(logmel):
    """Return the stream "layers" (N, T, L, 40): the log-mel at half its rate, in L = 4 resolutions.

    Layer l is the moving average over LAYERS[l] frames of each clip. It replaces the hidden layers of a pretrained speech
    encoder (paper 004 uses the 25 layers of WavLM).
    """
    pairs = logmel.mask[:, : logmel.mask.shape[1] // 2 * 2].reshape(len(logmel.mask), -1, 2)
    mask = pairs.all(2)
    x = np.zeros((*mask.shape, len(LAYERS), logmel.x.shape[-1]), np.float32)
    for clip, frames, valid in zip(x, logmel.x, mask, strict=True):
        halved = frames[: 2 * len(valid)].reshape(len(valid), 2, -1).mean(1)[valid]
        clip[valid] = np.stack([uniform_filter1d(halved, size, axis=0, mode="nearest") for size in LAYERS], axis=1)
    return Stream(x, logmel.rate / 2, mask, logmel.sense)


def derived(logmel):
    """Return the streams that are computed from "logmel" instead of being stored: "mfcc" and "layers"."""
    return {"mfcc": mfcc_stream(logmel), "layers": layers_stream(logmel)}


def sound_streams(waves, rate):
    """Return the streams of the voice, "logmel", "prosody", "mfcc" and "layers", of waves [(S,)]."""
    return streams_of([front_end(wave, rate) for wave in waves])


def streams_of(outputs):
    """Return the same streams of the outputs of `front_end`, one for each clip."""
    streams = {}
    for name, features in (("logmel", ()), ("prosody", PROSODY)):
        x, mask = pad([output[name].astype(np.float32) for output in outputs])
        streams[name] = Stream(x, outputs[0]["rate"], mask, "voice", features)
    return streams | derived(streams["logmel"])


def deltas(x, first=0, last=None, reach=2):
    """Return the slope of the line fitted over t - reach .. t + reach, per frame (T, C); the ends are repeated (Young, HTK).

    first, last: the ends of the clip of each frame, where x holds several, whole numbers (T,). Default: the ends of x.
    """
    t, last = np.arange(len(x)), len(x) - 1 if last is None else last
    steps = range(-reach, reach + 1)
    return sum(k * x[np.clip(t + k, first, last)] for k in steps) / sum(k * k for k in steps)


def prosody(wave, config=PRESETS["samples"]):
    """Return the features (T, 6) named in PROSODY.

    f0 (Hz, 0 without voice), voicing (the autocorrelation at that period, 0 to 1), energy (dB), slope (dB per
    kHz of the line fitted to the spectrum in dB), centroid (Hz), flux (sum of squared changes of the spectrum's shape).
    """
    power = spectra(wave, config.window, config.hop)
    f0, voicing = pitch(wave, config)
    f = np.arange(power.shape[1]) * config.rate / config.window
    db = 10 * np.log10(power + FLOOR)
    centred = (f - f.mean()) / 1000
    slope = db @ centred / (centred @ centred)
    shape = power / (power.sum(1, keepdims=True) + FLOOR)
    root = np.sqrt(shape)
    flux = (np.diff(root, axis=0, prepend=root[:1]) ** 2).sum(1)
    energy = 10 * np.log10(power.mean(1) + FLOOR)
    return np.stack([f0, voicing, energy, slope, shape @ f, flux], axis=1)


def pitch(wave, config, high=500.0, voiced=0.5):
    """Return F0 (T,) in Hz, 0 where unvoiced, and voicing (T,): the peak of the autocorrelation (Boersma 1993).

    The window is at least SHORTEST s long. Dividing by the window's own autocorrelation removes the effect of its taper.
    In a recording, F0 lies at a local maximum, and a frame that repeats itself faster than `high` is not voiced.
    """
    window = max(config.window, int(SHORTEST * config.rate))
    if len(wave) < window:
        window = len(wave)
    taper = get_window("hann", window)
    low = 62.0 if config.recorded else 60.0  # Hz; mains hum at 50 or 60
    shortest, lags = int(config.rate / high), np.arange(min(int(config.rate / low), window // 2) + 2)
    n = 2 * next_fast_len((window + len(lags)) // 2, real=True)  # even, at least window + len(lags) - 1

    def autocorrelation(frames):
        x = np.zeros((*frames.shape[:-1], n))
        np.multiply(frames, taper, out=x[..., :window])
        x = rfft(x)
        r = dct(x.real**2 + x.imag**2, 1) / n  # the inverse of a real spectrum
        return r[..., : len(lags)] / (r[..., :1] + FLOOR)

    r = by_rows(autocorrelation, framed(wave, window, config.hop)) / autocorrelation(np.ones(window))
    below, r, lags = r[:, : shortest + 1], r[:, shortest:], lags[shortest:]
    score = r[:, 1:-1] - 0.06 * np.log2(lags[1:-1] / lags[1])  # an octave lower costs 0.06
    allowed = np.ones(len(r), bool)
    if config.recorded:
        peaks = local_maxima(r)
        score = np.where(peaks, score, -np.inf)
        tone = (local_maxima(below) & (below[:, 1:-1] > TONE)).any(1)
        allowed = peaks.any(1) & ~tone
    peak = np.argmax(score, axis=1) + 1
    t = np.arange(len(r))
    left, top, right = r[t, peak - 1], r[t, peak], r[t, peak + 1]
    curve = left - 2 * top + right
    shift = np.where(curve < 0, 0.5 * (left - right) / np.where(curve < 0, curve, 1), 0)  # the parabola's summit
    voicing = np.where(allowed, np.clip(top, 0, 1), 0)
    return np.where(voicing > voiced, config.rate / (lags[peak] + np.clip(shift, -0.5, 0.5)), 0), voicing


def local_maxima(r):
    """Return (T, lags - 2) bool: where r (T, lags) is greater than on both sides."""
    return (r[:, 1:-1] > r[:, :-2]) & (r[:, 1:-1] >= r[:, 2:])
