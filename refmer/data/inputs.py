"""Inputs of the systems, from standardised streams, one for each modality: a row per clip, computed before training."""

from typing import NamedTuple

import numpy as np

SENSES = {"visual": "face", "audio": "voice", "text": "words", "physiology": "body"}  # of each modality


class Frames(NamedTuple):
    """Standardised frames x (N, T, ...), 0 where mask (N, T) is False, `rate` per second."""

    x: np.ndarray
    mask: np.ndarray
    rate: float


def assign(system, usual, given, streams):
    """Return the names of the streams that a system reads: {modality: (name, ...)}.

    Those that `given` names; else the usual ones; else the stream that has the modality's own name; else the only one of its
    sense.

    Parameters
    ----------
    system : str
        Its name, for the message.
    usual : dict of str to tuple of str
        Usual names of the streams of each modality that the system reads.
    given : dict of str to str or list of str
        Names that the user chose for some modalities.
    streams : dict of str to Stream

    Raises
    ------
    ValueError
        For a modality or a stream that does not exist, or a modality without one stream.
    """
    chosen = {}
    for modality, names in usual.items():
        if modality in given:
            names = (given[modality],) if isinstance(given[modality], str) else tuple(given[modality])
        elif not set(names) <= set(streams):
            own = [k for k, s in streams.items() if s.sense in (SENSES.get(modality), modality)]
            own = [modality] if modality in streams else own
            names = tuple(own) if len(own) == 1 else names
        if not names or not set(names) <= set(streams):
            have = ", ".join(f"{name} ({s.sense})" for name, s in streams.items()) or "no stream"
            raise ValueError(
                f"{system} needs for {modality} the streams {', '.join(map(str, names)) or '(none)'}; these clips lack them "
                f"and have {have}. To read others: streams={{{modality!r}: 'NAME'}}"
            )
        chosen[modality] = names
    return chosen


def joined(streams):
    """Return streams side by side as one: x (N, T, D), valid where one of them is; a single one keeps the shape of its frames.

    Where rates differ, frames are averaged within those of the slowest stream; shorter streams are filled with zeros.
    """
    if len(streams) == 1:
        return Frames(streams[0].x, streams[0].mask, streams[0].rate)
    rate = min(s.rate for s in streams)
    parts = [(s.x, s.mask) if s.rate == rate else sub_sequence_means(s, 1 / rate) for s in streams]
    T = max(x.shape[1] for x, _ in parts)
    x = np.concatenate([flat(fitted(x, T)) for x, _ in parts], -1)
    return Frames(x, np.any([fitted(mask, T) for _, mask in parts], 0), rate)


def flat(x):
    """Return frames as vectors: (N, T, ...) -> (N, T, D)."""
    return x.reshape(*x.shape[:2], -1)


def width(stream):
    """Return the number of features of a frame."""
    return int(np.prod(stream.x.shape[2:]))


def segment_means(streams):
    """Return the mean frame of each clip for every modality {name: its stream}.

    streams: masked frames are zero. -> NAME (N, D), zero for a clip without frames; NAME_mask (N,) bool.
    """
    batch = {}
    for m, s in streams.items():
        batch[m] = flat(s.x).sum(1) / np.maximum(s.mask.sum(1), 1)[:, None].astype(s.x.dtype)
        batch[f"{m}_mask"] = s.mask.any(1)
    return batch


def thinned(stream, fps):
    """Average frames to about `fps` per second (None: all frames).

    stream: standardised, masked frames are zero. -> x (N, T, ...), mask (N, T), False where none of the frames is valid.
    """
    x, mask = stream.x, stream.mask
    every = 1 if fps is None else max(round(stream.rate / fps), 1)
    if every == 1:
        return x, mask
    fill = -x.shape[1] % every
    x, mask = np.pad(flat(x), ((0, 0), (0, fill), (0, 0))), np.pad(mask, ((0, 0), (0, fill)))
    x, mask = x.reshape(len(x), -1, every, x.shape[-1]), mask.reshape(len(mask), -1, every)
    x = x.sum(2) / np.maximum(mask.sum(2), 1)[..., None].astype(x.dtype)
    return x.reshape(*x.shape[:2], *stream.x.shape[2:]), mask.any(2)


def sequences(streams, config):
    """Return the sequence of every modality {name: its stream} and its mask: a batch of NAME (N, T, ...) and NAME_mask (N, T).

    Frames are averaged to `config.NAME_fps` or `config.fps` per second where the Config has that field.
    """
    batch = {}
    for m, s in streams.items():
        batch[m], batch[f"{m}_mask"] = thinned(s, getattr(config, f"{m}_fps", getattr(config, "fps", None)))
    return batch


def sub_sequences(stream, seconds, sampled=None):
    """Cut a stream into sub-sequences of equal duration, the last one filled with zeros (paper 003).

    Sub-sequence s begins with frame round(s seconds rate) and has F = round(seconds rate) of them, at least 1 (which several
    sub-sequences share where frames are longer), or `sampled` of these at even distances. -> x (N, S, F, ...), 0 where no frame
    is; present (N, S, F) bool; valid (N, S) bool: at least half of the F frames are present, which decides about the last
    sub-sequence of a clip.
    """
    T, F = stream.x.shape[1], max(round(seconds * stream.rate), 1)
    count = F if sampled is None else sampled
    if not 1 <= count <= F:
        raise ValueError(
            f"{seconds} s at {stream.rate:g} Hz are {F} frames, sampled is {sampled}; accepted: at least 1 frame, and no more"
        )
    begins = first_frames(np.arange(step_count(stream, seconds)) * seconds, stream.rate, F)
    index = begins[:, None] + np.arange(F)  # (S, F)
    fill = max(index[-1, -1] + 1 - T, 0)
    mask = np.pad(stream.mask, ((0, 0), (0, fill)))
    valid = 2 * mask[:, index].sum(2) >= F
    index = index[:, ((np.arange(count) + 0.5) * F / count).astype(int)]
    present = mask[:, index]
    x = np.pad(stream.x, [(0, 0), (0, fill)] + [(0, 0)] * (stream.x.ndim - 2))[:, index]
    return np.where(present.reshape(present.shape + (1,) * (x.ndim - 3)), x, x.dtype.type(0)), present, valid


def first_frames(times, rate, F):
    """Return the numbers of the first of F frames from these times on; a single frame is the one that lasts at that time."""
    return (np.round(times * rate) if F > 1 else np.floor(times * rate + 1e-9)).astype(int)


def step_count(stream, seconds):
    """Return the number of steps of `seconds` in a stream, the last one may be shorter."""
    return max(int(np.ceil(stream.x.shape[1] / (seconds * stream.rate) - 1e-9)), 1)


def sub_sequence_means(stream, seconds):
    """Return the mean of the present frames of each sub-sequence. -> (N, S, ...) float32, 0 where not valid; valid (N, S)."""
    x, present, valid = sub_sequences(stream, seconds)
    share = (present * valid[..., None]) / np.maximum(present.sum(2, keepdims=True), 1)  # (N, S, F)
    return np.einsum("nsf,nsf...->ns...", share, x).astype(np.float32), valid


def fitted(x, steps):
    """Cut or fill (with zeros) the steps of x (N, S, ...) to a number."""
    missing = steps - x.shape[1]
    return x[:, :steps] if missing <= 0 else np.pad(x, [(0, 0), (0, missing)] + [(0, 0)] * (x.ndim - 2))


def same_steps(batch):
    """Fill all arrays (N, S, ...) of a batch with zeros to the largest S among them."""
    S = max(x.shape[1] for x in batch.values())
    return {name: fitted(x, S) for name, x in batch.items()}


def step_means(streams, seconds):
    """Return the mean frame of each step of `seconds`: NAME (N, S, ...) and NAME_mask (N, S), filled to one length."""
    batch = {}
    for m, s in streams.items():
        batch[m], batch[f"{m}_mask"] = sub_sequence_means(s, seconds)
    return same_steps(batch)


def sound_and_face(streams, seconds, sampled, every=1, coarse=1):
    """Return the inputs of paper 003's encoders for each sub-sequence: log-mel frames and `sampled` images.

    every: log-mel frames that are averaged into one; coarse: pixels along each side that are averaged into one (a remainder of
    either is left out). -> audio (N, S, F, mel), audio_mask (N, S), visual (N, S, sampled, h, w), visual_mask (N, S).
    """
    sound, _, sound_mask = sub_sequences(streams["audio"], seconds)
    face, _, face_mask = sub_sequences(streams["visual"], seconds, sampled)
    sound = sound.reshape(*sound.shape[:3], -1)
    every = min(every, sound.shape[2])
    F, h, w = sound.shape[2] // every, *(n // coarse for n in face.shape[-2:])
    sound = sound[:, :, : F * every].reshape(*sound.shape[:2], F, every, -1).mean(3)
    face = face[..., : h * coarse, : w * coarse].reshape(*face.shape[:3], h, coarse, w, coarse).mean((4, 6))
    return same_steps({"audio": sound, "audio_mask": sound_mask, "visual": face, "visual_mask": face_mask})


def sound_and_face_shapes(streams, seconds, sampled, every=1, coarse=1):
    """Return the shapes of a sub-sequence of `sound_and_face`: (F, mel) and (sampled, h, w)."""
    F = max(round(seconds * streams["audio"].rate), 1)
    F = F // min(every, F)
    return (F, width(streams["audio"])), (sampled, *(n // coarse for n in streams["visual"].x.shape[2:]))


def windows_of_steps(stream, seconds, context, rows, steps):
    """Return Frames whose clips are windows: steps (n,) of the clips `rows` (n,), with `context` steps before each.

    The windows have frames from (step - context) `seconds` to (step + 1) `seconds`; what lies outside the clip is missing.
    """
    T, F = stream.x.shape[1], max(round((context + 1) * seconds * stream.rate), 1)
    begins = first_frames((steps - context) * seconds, stream.rate, F)
    index = begins[:, None] + np.arange(F)  # (n, F)
    inside = (index >= 0) & (index < T)
    index = np.clip(index, 0, T - 1)
    mask = stream.mask[rows[:, None], index] & inside
    x = stream.x[rows[:, None], index]
    x[~mask] = 0
    return Frames(x, mask, stream.rate)
