"""From standardised streams to the arrays that a system reads: one row per clip, made once, before training."""

import numpy as np


def width(streams, names):
    """Number of features of some streams side by side."""
    return sum(streams[name].x.shape[-1] for name in names)


def segment_means(streams, names):
    """The mean frame of each clip, streams side by side.

    streams: masked frames are zero. -> means (N, D), zero where there is no frame; present (N,) bool.
    """
    parts = [streams[name] for name in names]
    means = [s.x.sum(1) / np.maximum(s.mask.sum(1), 1)[:, None].astype(s.x.dtype) for s in parts]
    return np.concatenate(means, -1), np.any([s.mask.any(1) for s in parts], 0)


def side_by_side(streams, names, every=1):
    """Streams of one rate as one sequence.

    streams: standardised, masked frames are zero; every: frames that are averaged into one (those that are there). Streams of
    different lengths are cut to the shortest. -> x (N, T, D), mask (N, T), False where none of `every` frames is there.
    """
    T = min(streams[name].x.shape[1] for name in names)
    x = np.concatenate([streams[name].x[:, :T].reshape(*streams[name].x[:, :T].shape[:2], -1) for name in names], -1)
    mask = np.any([streams[name].mask[:, :T] for name in names], 0)
    if every == 1:
        return x, mask
    fill = -T % every
    x, mask = np.pad(x, ((0, 0), (0, fill), (0, 0))), np.pad(mask, ((0, 0), (0, fill)))
    x, mask = x.reshape(len(x), -1, every, x.shape[-1]), mask.reshape(len(mask), -1, every)
    return x.sum(2) / np.maximum(mask.sum(2), 1)[..., None].astype(x.dtype), mask.any(2)


def sequences(streams, modalities, config):
    """The sequence of every modality {name: its streams} and its mask: a batch of NAME (N, T, D) and NAME_mask (N, T).

    Frames are averaged by `config.NAME_every` where the Config has that field.
    """
    batch = {}
    for m, names in modalities.items():
        batch[m], batch[f"{m}_mask"] = side_by_side(streams, names, getattr(config, f"{m}_every", 1))
    return batch


def sub_sequences(stream, seconds, sampled=None):
    """A stream cut into sub-sequences of equal duration, the last one filled with zeros (paper 003).

    Sub-sequence s begins with frame round(s seconds rate) and has F = round(seconds rate) of them, or `sampled` of these at
    even distances. -> x (N, S, F, ...), 0 where no frame is; there (N, S, F) bool; valid (N, S) bool: at least half of the F
    frames are there, so that a ragged end counts from its half on.
    """
    T, F = stream.x.shape[1], round(seconds * stream.rate)
    kept = F if sampled is None else sampled
    if not 1 <= kept <= F:
        raise ValueError(
            f"{seconds} s at {stream.rate:g} Hz are {F} frames, sampled is {sampled}; accepted: at least 1 frame, and no more"
        )
    begins = np.round(np.arange(max(int(np.ceil(T / (seconds * stream.rate) - 1e-9)), 1)) * seconds * stream.rate).astype(int)
    index = begins[:, None] + np.arange(F)  # (S, F)
    fill = max(index[-1, -1] + 1 - T, 0)
    mask = np.pad(stream.mask, ((0, 0), (0, fill)))
    valid = 2 * mask[:, index].sum(2) >= F
    index = index[:, ((np.arange(kept) + 0.5) * F / kept).astype(int)]
    there = mask[:, index]
    x = np.pad(stream.x, [(0, 0), (0, fill)] + [(0, 0)] * (stream.x.ndim - 2))[:, index]
    return np.where(there.reshape(there.shape + (1,) * (x.ndim - 3)), x, x.dtype.type(0)), there, valid


def sub_sequence_means(stream, seconds):
    """The mean of the frames that are there in each sub-sequence. -> (N, S, ...) float32, 0 where not valid; valid (N, S)."""
    x, there, valid = sub_sequences(stream, seconds)
    share = (there * valid[..., None]) / np.maximum(there.sum(2, keepdims=True), 1)  # (N, S, F)
    return np.einsum("nsf,nsf...->ns...", share, x).astype(np.float32), valid


def same_steps(*parts):
    """Pairs (x (N, S, ...), mask (N, S)) filled with zeros to the largest S among them."""
    S = max(x.shape[1] for x, _ in parts)
    return [tuple(np.pad(a, [(0, 0), (0, S - a.shape[1])] + [(0, 0)] * (a.ndim - 2)) for a in part) for part in parts]


def features(streams, names):
    """Streams that have a frame per sub-sequence already: x (N, S, ...) and <name>_mask (N, S), filled to one length."""
    parts = same_steps(*((streams[name].x, streams[name].mask) for name in names))
    return {key: y for name, (x, mask) in zip(names, parts, strict=True) for key, y in ((name, x), (f"{name}_mask", mask))}


def sound_and_face(streams, seconds, sampled, every=1, coarse=1):
    """What the encoders of paper 003 read of each sub-sequence: log-mel frames, and `sampled` images.

    every: log-mel frames that are averaged into one; coarse: pixels along each side that are averaged into one (a remainder of
    either is left out). -> logmel (N, S, F, mel), logmel_mask (N, S), frames (N, S, sampled, h, w), frames_mask (N, S).
    """
    sound, _, heard = sub_sequences(streams["logmel"], seconds)
    face, _, seen = sub_sequences(streams["frames"], seconds, sampled)
    F, h, w = sound.shape[2] // every, *(n // coarse for n in face.shape[-2:])
    sound = sound[:, :, : F * every].reshape(*sound.shape[:2], F, every, -1).mean(3)
    face = face[..., : h * coarse, : w * coarse].reshape(*face.shape[:3], h, coarse, w, coarse).mean((4, 6))
    (sound, heard), (face, seen) = same_steps((sound, heard), (face, seen))
    return {"logmel": sound, "logmel_mask": heard, "frames": face, "frames_mask": seen}


def sound_and_face_shapes(streams, seconds, sampled, every=1, coarse=1):
    """The shapes of a sub-sequence that `sound_and_face` gives: (F, mel) and (sampled, h, w)."""
    F = round(seconds * streams["logmel"].rate) // every
    return (F, streams["logmel"].x.shape[-1]), (sampled, *(n // coarse for n in streams["frames"].x.shape[2:]))
