"""Inputs of the systems, from standardised streams: one row per clip, computed once, before training."""

import numpy as np


def width(streams, names):
    """Return the number of features of several streams side by side."""
    return sum(streams[name].x.shape[-1] for name in names)


def segment_means(streams, modalities):
    """Return the mean frame of each clip for every modality {name: its streams}, its streams side by side.

    streams: masked frames are zero. -> NAME (N, D), zero for a clip without frames; NAME_mask (N,) bool.
    """
    batch = {}
    for m, names in modalities.items():
        parts = [streams[name] for name in names]
        batch[m] = np.concatenate([s.x.sum(1) / np.maximum(s.mask.sum(1), 1)[:, None].astype(s.x.dtype) for s in parts], -1)
        batch[f"{m}_mask"] = np.any([s.mask.any(1) for s in parts], 0)
    return batch


def side_by_side(streams, names, every=1):
    """Join streams of one rate to one sequence.

    streams: standardised, masked frames are zero; every: frames whose valid ones are averaged into one. Streams of
    different lengths are cut to the shortest. -> x (N, T, D), mask (N, T), False where none of `every` frames is valid.
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
    """Return the sequence of every modality {name: its streams} and its mask: a batch of NAME (N, T, D) and NAME_mask (N, T).

    Frames are averaged by `config.NAME_every` or `config.every` where the Config has that field.
    A single stream keeps the shape of its frames: NAME (N, T, ...).
    """
    batch = {}
    for m, names in modalities.items():
        every = getattr(config, f"{m}_every", getattr(config, "every", 1))
        x, batch[f"{m}_mask"] = side_by_side(streams, names, every)
        batch[m] = x.reshape(*x.shape[:2], *streams[names[0]].x.shape[2:]) if len(names) == 1 else x
    return batch


def sub_sequences(stream, seconds, sampled=None):
    """Cut a stream into sub-sequences of equal duration, the last one filled with zeros (paper 003).

    Sub-sequence s begins with frame round(s seconds rate) and has F = round(seconds rate) of them, or `sampled` of these at
    even distances. -> x (N, S, F, ...), 0 where no frame is; present (N, S, F) bool; valid (N, S) bool: at least half of the F
    frames are present, which decides about the last sub-sequence of a clip.
    """
    T, F = stream.x.shape[1], round(seconds * stream.rate)
    count = F if sampled is None else sampled
    if not 1 <= count <= F:
        raise ValueError(
            f"{seconds} s at {stream.rate:g} Hz are {F} frames, sampled is {sampled}; accepted: at least 1 frame, and no more"
        )
    begins = np.round(np.arange(max(int(np.ceil(T / (seconds * stream.rate) - 1e-9)), 1)) * seconds * stream.rate).astype(int)
    index = begins[:, None] + np.arange(F)  # (S, F)
    fill = max(index[-1, -1] + 1 - T, 0)
    mask = np.pad(stream.mask, ((0, 0), (0, fill)))
    valid = 2 * mask[:, index].sum(2) >= F
    index = index[:, ((np.arange(count) + 0.5) * F / count).astype(int)]
    present = mask[:, index]
    x = np.pad(stream.x, [(0, 0), (0, fill)] + [(0, 0)] * (stream.x.ndim - 2))[:, index]
    return np.where(present.reshape(present.shape + (1,) * (x.ndim - 3)), x, x.dtype.type(0)), present, valid


def sub_sequence_means(stream, seconds):
    """Return the mean of the present frames of each sub-sequence. -> (N, S, ...) float32, 0 where not valid; valid (N, S)."""
    x, present, valid = sub_sequences(stream, seconds)
    share = (present * valid[..., None]) / np.maximum(present.sum(2, keepdims=True), 1)  # (N, S, F)
    return np.einsum("nsf,nsf...->ns...", share, x).astype(np.float32), valid


def same_steps(*parts):
    """Fill pairs (x (N, S, ...), mask (N, S)) with zeros to the largest S among them."""
    S = max(x.shape[1] for x, _ in parts)
    return [tuple(np.pad(a, [(0, 0), (0, S - a.shape[1])] + [(0, 0)] * (a.ndim - 2)) for a in part) for part in parts]


def features(streams, names):
    """Return streams with one frame per sub-sequence: x (N, S, ...) and <name>_mask (N, S), filled to one length."""
    parts = same_steps(*((streams[name].x, streams[name].mask) for name in names))
    return {key: y for name, (x, mask) in zip(names, parts, strict=True) for key, y in ((name, x), (f"{name}_mask", mask))}


def sound_and_face(streams, seconds, sampled, every=1, coarse=1):
    """Return the inputs of paper 003's encoders for each sub-sequence: log-mel frames and `sampled` images.

    every: log-mel frames that are averaged into one; coarse: pixels along each side that are averaged into one (a remainder of
    either is left out). -> logmel (N, S, F, mel), logmel_mask (N, S), frames (N, S, sampled, h, w), frames_mask (N, S).
    """
    sound, _, sound_mask = sub_sequences(streams["logmel"], seconds)
    face, _, face_mask = sub_sequences(streams["frames"], seconds, sampled)
    F, h, w = sound.shape[2] // every, *(n // coarse for n in face.shape[-2:])
    sound = sound[:, :, : F * every].reshape(*sound.shape[:2], F, every, -1).mean(3)
    face = face[..., : h * coarse, : w * coarse].reshape(*face.shape[:3], h, coarse, w, coarse).mean((4, 6))
    (sound, sound_mask), (face, face_mask) = same_steps((sound, sound_mask), (face, face_mask))
    return {"logmel": sound, "logmel_mask": sound_mask, "frames": face, "frames_mask": face_mask}


def sound_and_face_shapes(streams, seconds, sampled, every=1, coarse=1):
    """Return the shapes of a sub-sequence of `sound_and_face`: (F, mel) and (sampled, h, w)."""
    F = round(seconds * streams["logmel"].rate) // every
    return (F, streams["logmel"].x.shape[-1]), (sampled, *(n // coarse for n in streams["frames"].x.shape[2:]))
