"""Corruptions of the face's images and units: an occluding hand, blur, dim or flickering light, a turned head.

The images are changed directly. The action units of the synthetic corpus are not computed from pixels (they replace the output
of OpenFace), so the effect of a corruption on them is a model: see `track`.
"""

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter

from refmer.data.gaps import centres, fastest
from refmer.data.noise import gauss_markov
from refmer.data.scaling import moments

HEAD = 0.75  # radius of the head, as a share of half the image's width
DETAIL = 0.25  # wavelength of details that a tracker measures (a brow, a lip), as a share of the image's side
UNSTEADY = 0.3  # seconds over which a changing light stays correlated
PLACE = {  # heights of the features, as shares of the image's height from the top
    **dict.fromkeys(("AU01", "AU02", "AU04"), 0.28),  # brows
    **dict.fromkeys(("AU05", "AU07", "AU45", "gaze"), 0.40),  # eyes
    **dict.fromkeys(("AU06", "AU09", "pose"), 0.52),  # cheeks, nose; the pose is measured on the whole head
    "AU10": 0.65,
    **dict.fromkeys(("AU12", "AU14", "AU15", "AU20", "AU23", "AU25", "AU26", "AU28"), 0.75),  # mouth
    "AU17": 0.88,  # chin
}


def face_streams(rng, streams, kind, amount, reference):
    """Return the streams "frames" and "units" of a corrupted face; the moments of `reference` replace hidden features.

    amount: "hand": share of the image that it covers, from the chin upwards. "blur": standard deviation of the blur, as a share
    of the image's side. "dim": share of the light that is removed. "flicker": standard deviation of the logarithm of the light
    over time. "turn": degrees by which the head turns towards the image's right.
    """
    unknown = sorted(set(streams) - {"frames", "units"})
    if unknown:
        raise ValueError(f"{kind} cannot be applied to {', '.join(unknown)}; accepted: the face streams frames and units")
    light = lights(rng, streams, kind, amount)
    made = {}
    if "frames" in streams:
        made["frames"] = repaint(streams["frames"], kind, amount, light["frames"])
    if "units" in streams:
        visible = visibility(streams["units"], kind, amount, light["units"])
        made["units"] = units = track(rng, streams["units"], visible, reference["units"])
        if kind == "turn":
            yaw = np.deg2rad(amount) * (np.array(units.features) == "pose_Ry")
            made["units"] = replace(units, x=(units.x + yaw * units.mask[..., None]).astype(units.x.dtype))
    return made


def lights(rng, streams, kind, amount):
    """Return {name: (N, T)}, the light on the face: 1 unchanged, 0 dark; equal at the same moment in every stream."""
    if kind != "flicker":
        return {k: np.full(s.mask.shape, 1 - amount if kind == "dim" else 1.0) for k, s in streams.items()}
    clock = streams[fastest(streams)]
    N, T = clock.mask.shape
    light = np.exp(amount * gauss_markov(rng, T, N, UNSTEADY, clock.rate).T)
    return {k: np.array([np.interp(centres(s), centres(clock), clip) for clip in light]) for k, s in streams.items()}


def repaint(stream, kind, amount, light):
    """Return changed images, of the same dtype."""
    x = stream.x.astype(np.float32)
    if kind == "hand":
        x = cover(x, amount)
    elif kind == "blur":
        x = gaussian_filter(x, (0, 0, amount * x.shape[2], amount * x.shape[3]), mode="nearest")
    elif kind == "turn":
        x = turn(x, np.deg2rad(amount))
    x *= light[:, :, None, None]
    if stream.x.dtype.kind == "u":
        x = np.rint(x).clip(0, np.iinfo(stream.x.dtype).max)  # too bright is white
    x[~stream.mask] = 0
    return replace(stream, x=x.astype(stream.x.dtype))


def cover(x, share):
    """Cover the lower `share` of images (N, T, h, w) with the grey of the face's middle and dark lines between fingers."""
    h, w = x.shape[2:]
    rows = (np.arange(h) + 0.5) / h > 1 - share
    skin = x[:, :, h // 3 : -(h // 3), w // 3 : -(w // 3)].mean((2, 3), keepdims=True)
    fingers = 0.9 + 0.1 * np.cos(12 * np.pi * (np.arange(w) + 0.5) / w)
    return np.where(rows[:, None], skin * fingers, x).astype(x.dtype)


def turn(x, angle):
    """Turn the head in images (N, T, h, w), a cylinder, by `angle` (radians); its far side repeats its rim."""
    w = x.shape[-1]
    u = (2 * np.arange(w) + 1) / w - 1  # -1 to 1 across the image
    across = np.arcsin(np.clip(u / HEAD, -1, 1)) - angle
    source = np.where(np.abs(u) < HEAD, HEAD * np.sin(np.clip(across, -np.pi / 2, np.pi / 2)), u)
    column = np.clip((source + 1) * w / 2 - 0.5, 0, w - 1)
    left = np.minimum(column.astype(int), w - 2)
    part = (column - left).astype(x.dtype)
    return x[..., left] * (1 - part) + x[..., left + 1] * part


def visibility(stream, kind, amount, light):
    """Return the visibility of each feature, 0 to 1, (N, T, F) or (F,).

    A hand hides the features under it; a blur of deviation s leaves exp(-2 (pi s / DETAIL)^2) of the contrast of details (its
    transfer function); light d leaves min(d, 1 / d); a turn by an angle leaves its cosine, and all of the pose.
    """
    if not stream.features:
        raise ValueError("the units have no feature names; accepted: a stream with features, such as AU12_r and gaze_angle_x")
    unknown = [name for name in stream.features if name.split("_")[0] not in PLACE]
    if unknown:
        raise ValueError(f"feature {unknown[0]!r} has no place in the face; accepted: names that begin with {', '.join(PLACE)}")
    places = np.array([PLACE[name.split("_")[0]] for name in stream.features])
    if kind == "hand":
        return (places <= 1 - amount).astype(float)
    if kind == "blur":
        return np.full(len(places), np.exp(-2 * (np.pi * amount / DETAIL) ** 2))
    if kind == "turn":
        posed = [name.startswith("pose") for name in stream.features]
        return np.where(posed, 1, np.cos(np.deg2rad(amount)))
    contrast = np.minimum(light, 1 / np.maximum(light, 1e-9))
    return np.broadcast_to(contrast[..., None], stream.x.shape)


def track(rng, stream, visible, reference):
    """Model a tracker: v x + (1 - v) (m + s n), with v the visibility of a feature.

    m and s are the mean and standard deviation over the reference, n is standard normal noise, drawn for each frame.
    Intensities (AU.._r) stay within 0 to 5, presences (AU.._c) are decided again.
    """
    mean, sd = moments(reference)
    guess = mean + sd * rng.standard_normal(stream.x.shape)
    x = visible * stream.x + (1 - visible) * guess
    intensity = np.array([name.endswith("_r") for name in stream.features])
    presence = np.array([name.endswith("_c") for name in stream.features])
    x = np.where(intensity, np.clip(x, 0, 5), np.where(presence, x > 0.5, x))
    x = np.where((visible < 1) & stream.mask[..., None], x, stream.x)
    return replace(stream, x=x.astype(stream.x.dtype))
