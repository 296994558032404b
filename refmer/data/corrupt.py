"""Corruptions: seeded functions from clips to new clips that change all streams of a sense."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from refmer.choices import SEED, choose, plain, typed
from refmer.data import corrupt_face, corrupt_sound, gaps
from refmer.data.clips import Clips, checked
from refmer.data.scaling import moments

SENSES = ("voice", "face", "words", "body")  # of the bundled corpus


@dataclass(frozen=True)
class Kind:
    """One kind of corruption: accepted amounts, the amount that changes nothing, and the only senses that it can change."""

    accepted: str
    low: float = 0.0
    high: float = 1.0
    nothing: float = 0.0
    senses: tuple = ()  # any


SHARE = Kind("a share from 0 to 1")
SNR = Kind("a signal-to-noise ratio in dB from -200; inf changes nothing", -200.0, np.inf, np.inf, ("voice",))
COVERED = Kind("a share from 0 to 1", senses=("face",))
KINDS = {
    "gaussian": Kind("0 to 1e9", high=1e9),
    "missing": SHARE,
    "bursty": Kind("(p_good_to_bad, p_bad_to_good), or more arguments of GilbertElliott"),
    "block": SHARE,
    "features": SHARE,
    "shift": Kind("seconds, less than 0 for earlier", -1e6, 1e6),
    "white": SNR,
    "babble": SNR,
    "peaks": SNR,
    "laughter": SNR,
    "hand": COVERED,
    "blur": Kind("0 or more, as a share of the image's side", high=100.0, senses=("face",)),
    "dim": COVERED,
    "flicker": Kind("0 to 10", high=10.0, senses=("face",)),
    "turn": Kind("degrees from -90 to 90", -90.0, 90.0, senses=("face",)),
}
GAPS = {"missing": gaps.scattered, "block": gaps.block, "bursty": gaps.bursty}
SOUNDS = ("white", "babble", "peaks", "laughter")
FACES = ("hand", "blur", "dim", "flicker", "turn")


def corrupt(
    clips: Clips,
    sense: str,
    kind: str,
    amount: float | Sequence[float],
    *,
    space: str = "standard",
    scale_from: Clips | None = None,
    per: str = "clip",
    span: tuple[float, float] | None = None,
    seed: int = 0,
) -> Clips:
    """Corrupt one or several senses of clips.

    Corruptions compose: call `corrupt` on its result. Those of the sound come first, since they compute the features again.

    Parameters
    ----------
    clips : Clips
        Not changed.
    sense : str
        A sense that streams of the clips name, as "voice", "face", "words" and "body" of the bundled corpus, or several as in
        "voice+face".
        Several senses lose the same moments, as in paper 004 (section IV-C2); to lose moments independently, corrupt one sense
        after the other.
    kind : str
        The corruption, and the meaning of `amount`:

        - "gaussian": noise is added to the features; its standard deviation.
        - "missing": frames go missing, independently of each other; their share (1: the whole modality).
        - "bursty": frames go missing in bursts; the arguments of `refmer.data.gaps.GilbertElliott`, e.g. (0.05, 0.45).
        - "block": a contiguous part of the clip goes missing; its share of the duration.
        - "features": a contiguous block of every stream's features (its last axis) is dropped; its share of them, rounded.
        - "shift": the sense is late; seconds (negative: early), to the nearest frame of each stream.
        - "white", "babble" (voices of other speakers among the clips), "peaks" (loud, two a second), "laughter" (a bout of
          1.2 s): a sound added to the wave of synthetic clips; the SNR in dB where it is not 0 (`refmer.data.corrupt_sound`).
        - "hand", "blur", "dim" (light), "flicker" (changing light), "turn" (of the head): see `refmer.data.corrupt_face`.
    amount : float (bursty: sequence)
        0 changes nothing, nor does an SNR of inf.
    space : "standard" or "raw"
        For gaussian: `amount` is in standard deviations of each feature (of images: of all pixels) over the frames of
        `scale_from` (the SNR of that is -20 log10(amount) dB), or in the features' own units (paper 000 adds N(0, 4) to raw
        features: negligible for some, large for others; see `snr`). For missing, bursty, block and shift: the mask becomes
        False in frames without data, which systems read as zero after standardising, or the raw feature becomes zero and the
        mask stays. For features: they become the mean over `scale_from`, which is zero after standardising, or zero.
    scale_from : Clips, optional
        The training clips; needed for gaussian and features in standard space. Hidden features of a face are drawn from their
        mean and standard deviation (default: from those of the clips themselves).
    per : "clip" or "frame"
        One draw of gaussian noise per clip and feature, as paper 000 (its features are segment means), or one per frame.
    span : (start, end), optional
        Seconds within which the corruption acts: frames centred elsewhere stay as they were. Default: the whole clip.
    seed : int

    Returns
    -------
    Clips

    Raises
    ------
    ValueError
        If an argument is not accepted, the clips have no stream of that sense, or they have no waves where the kind needs them.
    TypeError
        If `clips` is not Clips.
    """
    senses = check(clips, sense, span, kind=kind, space=space, per=per)
    amount = check_amount(kind, amount, senses)
    streams = {name: s for name, s in clips.streams.items() if s.sense in senses}
    check_scale_from(scale_from, streams)
    seed = typed("seed", plain(seed), int, SEED)
    if amount == KINDS[kind].nothing or len(clips) == 0:
        return clips
    rng = np.random.default_rng([seed, *map(number_of, senses), list(KINDS).index(kind)])
    if kind in GAPS:
        drawn = GAPS[kind](rng, streams, gaps.GilbertElliott(*amount) if kind == "bursty" else amount)
        return lose(clips, sense, drawn, space, span)
    raw = overlaid(clips, kind, amount, span, seed) if kind in SOUNDS else None
    if kind in SOUNDS:
        broken = corrupt_sound.voice_streams(raw, clips.name, streams)
    elif kind in FACES:
        broken = corrupt_face.face_streams(rng, streams, kind, amount, (clips if scale_from is None else scale_from).streams)
    elif kind == "shift":
        broken = {name: shift(s, amount, space) for name, s in streams.items()}
    else:
        if space == "standard" and scale_from is None:
            raise ValueError(f"{kind} in standard space needs scale_from, the training clips, whose features it is scaled by")
        broken = {}
        for name, s in streams.items():
            mean, sd = (0.0, 1.0) if space == "raw" else moments(scale_from.streams[name])
            broken[name] = add_noise(rng, s, amount * sd, per) if kind == "gaussian" else drop_features(rng, s, amount, mean)
    return put(clips, senses, broken, span, raw)


def lose(clips, sense, drawn, space="standard", span=None):
    """Remove the moments of one draw, Gaps that several senses can share.   sense, space and span as in `corrupt`."""
    senses = check(clips, sense, span, space=space)
    broken = {k: remove(s, drawn.at(s), space) for k, s in clips.streams.items() if s.sense in senses}
    return put(clips, senses, broken, span, None)


def snr(clean, corrupted):
    """Return the signal-to-noise ratio of each feature of a corrupted stream, in dB.   x (N, T, ...) -> (...)

    10 log10 of the variance of the clean feature over the mean square of its change, over the frames that both streams have.
    inf for an unchanged feature, -inf for a changed one that was constant.
    """
    if clean.x.shape != corrupted.x.shape:
        raise ValueError(f"the streams have shapes {clean.x.shape} and {corrupted.x.shape}; accepted: the same shape")
    both = clean.mask & corrupted.mask
    if not both.any():
        raise ValueError("the streams have no frame in common; accepted: at least one")
    x = clean.x[both].astype(np.float64)
    noise = np.mean((corrupted.x[both] - x) ** 2, axis=0)
    with np.errstate(divide="ignore"):
        return np.where(noise == 0, np.inf, 10 * (np.log10(x.var(0)) - np.log10(noise)))


def check(clips, sense, span, **switches):
    """Return the senses; raise an error for an unknown sense, kind, space or per, a sense without a stream, or a wrong span."""
    checked(clips)
    for name, value in switches.items():
        choose(name, value, {"kind": KINDS, "space": ("standard", "raw"), "per": ("clip", "frame")}[name])
    accepted = list(dict.fromkeys(s.sense for s in clips.streams.values()))
    senses = sense.split("+") if isinstance(sense, str) else [sense]
    for one in senses:
        choose("sense", one, accepted)
    pair = isinstance(span, (tuple, list, np.ndarray)) and len(span) == 2 and all(map(is_number, span))
    if span is not None and not (pair and 0 <= span[0] <= span[1]):
        raise ValueError(f"span is {span!r}; accepted: (start, end) in seconds, 0 <= start <= end")
    return senses


def number_of(sense):
    """Return a number for the seed, by the word."""
    return SENSES.index(sense) if sense in SENSES else zlib.crc32(sense.encode())


def is_number(x):
    return isinstance(x, int | float | np.integer | np.floating) and not isinstance(x, bool)


def check_amount(kind, amount, senses):
    """Return the amount; raise ValueError for one that the kind does not accept, or a sense that it cannot change."""
    amount = amount.tolist() if isinstance(amount, np.ndarray) else amount
    accepted = f"amount is {amount!r}; accepted for {kind}: {KINDS[kind].accepted}"
    if not (isinstance(amount, (tuple, list)) if kind == "bursty" else is_number(amount)):
        raise ValueError(accepted)
    if kind == "bursty":
        try:
            gaps.GilbertElliott(*amount)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{accepted} ({error})") from error
    elif not KINDS[kind].low <= amount <= KINDS[kind].high:
        raise ValueError(accepted)
    if KINDS[kind].senses and not set(senses) <= set(KINDS[kind].senses):
        raise ValueError(
            f"sense is {'+'.join(senses)!r}; accepted with kind {kind!r}: {', '.join(map(repr, KINDS[kind].senses))}"
        )
    return amount


def check_scale_from(scale_from, streams):
    """Raise ValueError unless `scale_from` is None or Clips with frames of the same streams."""
    if scale_from is None:
        return
    if not isinstance(scale_from, Clips):
        raise ValueError(f"scale_from is {type(scale_from).__name__}; accepted: the training clips, Clips")
    for name, s in streams.items():
        other = scale_from.streams.get(name)
        if other is None or other.x.shape[2:] != s.x.shape[2:] or not other.mask.any():
            what = "no such stream" if other is None else f"{other.mask.sum()} frames of shape {other.x.shape[2:]}"
            raise ValueError(f"scale_from has for {name} {what}; accepted: at least one frame of shape {s.x.shape[2:]}")


def overlaid(clips, kind, snr, span, seed):
    """Return `raw` of the clips with a sound added to the wave."""
    if clips.raw is None:
        raise ValueError(
            f"{kind} needs waves; these clips ({clips.source}) have none; accepted: synthetic clips whose voice is not yet "
            "corrupted, or only in its sound: corrupt the sound first, then its features"
        )
    crowd = tuple(zip(clips.name.tolist(), clips.speaker.tolist(), strict=True))
    return corrupt_sound.NoisySignals(clips.raw, kind, float(snr), seed, None if span is None else tuple(span), crowd)


def put(clips, senses, broken, span, raw):
    """Return the clips with broken streams in frames centred within the span; a broken voice keeps no wave other than `raw`."""
    if span is not None:
        for name, b in broken.items():
            s, t = clips.streams[name], gaps.centres(b)
            inside = (t >= span[0]) & (t < span[1])
            wide = inside[(...,) + (None,) * (s.x.ndim - 2)]
            broken[name] = replace(b, x=np.where(wide, b.x, s.x), mask=np.where(inside, b.mask, s.mask))
    return replace(clips.with_streams(**broken), raw=raw if "voice" in senses else clips.raw)


def remove(stream, lost, space):
    """Set the lost frames (N, T) to zero and, in standard space, their mask to False."""
    x = stream.x.copy()
    x[lost] = 0
    return replace(stream, x=x, mask=stream.mask if space == "raw" else stream.mask & ~lost)


def shift(stream, seconds, space):
    """Shift a stream by `seconds`, to the nearest frame.

    A clip keeps its length: frames shifted over its end are lost, and frames without a source are missing.
    """
    T = stream.mask.shape[1]
    source = np.arange(T) - round(seconds * stream.rate)
    inside = (source >= 0) & (source < T)
    source = np.clip(source, 0, T - 1)
    present = inside & stream.mask[:, source] & (stream.mask if space == "raw" else gaps.extent(stream.mask))
    x = stream.x[:, source]
    x[~present] = 0
    return replace(stream, x=x, mask=stream.mask if space == "raw" else present)


def add_noise(rng, stream, sd, per):
    """Add noise: x + sd n on valid frames; images become floating point."""
    shape = stream.x.shape if per == "frame" else (len(stream.x), 1, *stream.x.shape[2:])
    noise = (sd * rng.standard_normal(shape)).astype(np.float32)
    present = stream.mask[(...,) + (None,) * (stream.x.ndim - 2)]
    return replace(stream, x=stream.x.astype(np.float32) + np.where(present, noise, 0))


def drop_features(rng, stream, share, value):
    """Replace a contiguous block of features (last axis) by `value`, a different block in every clip."""
    D = stream.x.shape[-1]
    first = rng.integers(D - round(share * D) + 1, size=(len(stream.x), 1))
    hit = (np.arange(D) >= first) & (np.arange(D) < first + round(share * D))  # (N, D)
    hit = hit.reshape(len(hit), *(1,) * (stream.x.ndim - 2), D)
    present = stream.mask[(...,) + (None,) * (stream.x.ndim - 2)]
    return replace(stream, x=np.where(hit & present, value, stream.x).astype(stream.x.dtype))
