"""A recording as the front end analyses it: one channel at one rate, without DC and rumble, at one level; in bounded memory."""

import warnings
from functools import lru_cache
from math import gcd

import numpy as np
from scipy.signal import cheby2, resample_poly, sosfilt, sosfilt_zi

PART = 2**18  # samples of each channel that are decoded at a time
LARGEST = 1e12  # of a sample; floating point is full at 1
CANCELLED = 0.01  # power of the channels' average over that of the loudest, below which they cancel each other
SILENCE = 1e-6  # power of a frame's changes over that of the loudest, below which it has no part in the level


def recording(wav, rate, level, hop):
    """Return the wave (S,) float32 of a Wav at `rate`; its frames of `hop` samples that are not silent have the RMS `level`."""
    weights = channel_weights(wav)
    up, down = rate // gcd(rate, wav.rate), wav.rate // gcd(rate, wav.rate)
    margin = -(-10 * max(up, down) // (up * down)) * down  # reach of the filter of resample_poly, a multiple of `down`
    size = -(-PART // down) * down
    wave, sos, state = np.empty(-(-wav.frames * up // down), np.float32), high_pass(rate), None
    for start in range(0, wav.frames, size):
        first, stop = max(start - margin, 0), min(start + size, wav.frames)
        samples = wav.read(first, min(stop + margin, wav.frames))
        part = resample_poly(samples @ weights if wav.channels > 1 else samples[:, 0], up, down)
        at = slice(start * up // down, -(-stop * up // down))
        part = part[(start - first) * up // down :][: at.stop - at.start]
        if state is None:  # begin as if the mirrored sound came before: the filter does not ring
            before = 2 * part[0] - part[rate // 2 : 0 : -1]
            state = sosfilt(sos, before, zi=sosfilt_zi(sos) * before[0])[1]
        wave[at], state = sosfilt(sos, part, zi=state)
    frames = wave[: len(wave) // hop * hop].reshape(-1, hop)
    power, change = (np.einsum("ij,ij->i", x, x, dtype=np.float64) / hop for x in (frames, np.diff(frames, axis=1)))
    power = power[change > SILENCE * change.max()]  # of changes: they do not ring into a silence
    if not len(power):
        raise ValueError(f"wav {wav.path.name} is silent but for its offset and its last {hop} samples; accepted: a sound")
    wave *= level / np.sqrt(power.mean())
    return wave


@lru_cache
def high_pass(rate):
    """Return a filter as second-order sections: 50 Hz and less is 40 dB lower (an offset gone), 60 Hz 2 dB, 65 Hz 0.2 dB."""
    return cheby2(9, 40, 50, "highpass", output="sos", fs=rate)


def channel_weights(wav):
    """Return the weights (channels,) that make one wave: equal, or those of the loudest channel where the others cancel it.

    Raises
    ------
    ValueError
        If samples are not finite, or the sound is silent: not more than one step of an integer beside its middle.
    """
    n, bad, total, product = wav.frames, 0, 0.0, 0.0
    low, high = np.full(wav.channels, np.inf), np.full(wav.channels, -np.inf)
    shift = np.nan_to_num(wav.read(0, 1)[0])  # near the offset: the variance of a small sound on it keeps its digits
    for start in range(0, n, PART):
        x = wav.read(start, min(start + PART, n)) - shift
        low, high = np.minimum(low, x.min(0)), np.maximum(high, x.max(0))  # NaN and infinity stay
        if not (np.maximum(-low, high) < LARGEST).all():
            bad += np.count_nonzero(~(np.abs(x) < LARGEST))
        elif wav.channels > 1:
            total, product = total + x.sum(0), product + x.T @ x
    if bad:
        raise ValueError(f"wav {wav.path.name} has {bad} samples that are NaN, infinite or above {LARGEST:g}")
    if (high - low).max() <= max(1e-5, 2 * wav.step):
        raise ValueError(
            f"wav {wav.path.name} is silent: samples differ by at most {(high - low).max():.1g}; accepted: a sound"
        )
    if wav.channels == 1:
        return np.ones(1)
    covariance = product / n - np.outer(total, total) / n**2
    power, mono = covariance.diagonal(), covariance.mean()  # of the channels and of their average
    loudest = power.argmax()
    if mono > CANCELLED * power[loudest]:
        return np.full(wav.channels, 1 / wav.channels)
    warnings.warn(
        f"wav {wav.path.name}: its channels cancel each other; channel {loudest + 1}, the loudest, is read", stacklevel=2
    )
    return np.eye(wav.channels)[loudest]
