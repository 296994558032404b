"""What befalls the drawn face before its features: a hand over it, blur, too little or unsteady light, a turned head.

The images themselves are changed. The action units are not computed from pixels in a synthetic corpus (they stand in for
OpenFace), so what a disturbance does to them is a model, not a measurement: see `track`.
"""

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter

from refmer.data.gaps import centres
from refmer.data.noise import gauss_markov

HEAD = 0.75  # radius of the head, as a share of half the image's width
DETAIL = 0.25  # wavelength of what a tracker looks at (a brow, a lip), as a share of the image's side
UNSTEADY = 0.3  # seconds over which a changing light stays correlated
PLACE = {  # where the features are, as shares of the image's height from the top
    **dict.fromkeys(("AU01", "AU02", "AU04"), 0.28),  # brows
    **dict.fromkeys(("AU05", "AU07", "AU45", "gaze"), 0.40),  # eyes
    **dict.fromkeys(("AU06", "AU09", "pose"), 0.52),  # cheeks, nose; the pose is known from the whole head
    "AU10": 0.65,
    **dict.fromkeys(("AU12", "AU14", "AU15", "AU20", "AU23", "AU25", "AU26", "AU28"), 0.75),  # mouth
    "AU17": 0.88,  # chin
}


def disturb(rng, streams, kind, amount, reference):
    """The streams "frames" and "units" of a disturbed face.

    Parameters
    ----------
    rng : numpy Generator
    streams : dict of str to Stream
        Of the face; a stream of another name cannot be made again from images.
    kind : "hand", "blur", "dim", "flicker" or "turn"
    amount : float
        "hand": share of the image that it covers, from the chin upwards. "blur": standard deviation of the blur, as a share of
        the image's side. "dim": share of the light that is gone. "flicker": standard deviation of the logarithm of the light
        over time. "turn": degrees by which the head turns towards the image's right.
    reference : dict of str to Stream
        Streams whose mean and standard deviation are what the tracker expects of a face.

    Returns
    -------
    dict of str to Stream

    Raises
    ------
    ValueError
        If there are other streams, or the units have no names.
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
        made["units"] = track(rng, streams["units"], visible, reference["units"])
        if kind == "turn":
            made["units"] = turn_pose(made["units"], amount)
    return made


def lights(rng, streams, kind, amount):
    """{name: (N, T)} the light on the face: 1 as it was, 0 dark; the same at the same moment in every stream."""
    if kind != "flicker":
        return {k: np.full(s.mask.shape, 1 - amount if kind == "dim" else 1.0) for k, s in streams.items()}
    fastest = max(streams.values(), key=lambda s: s.rate * s.mask.shape[1])
    N, T = fastest.mask.shape
    light = np.exp(amount * gauss_markov(rng, T, N, UNSTEADY, fastest.rate).T)
    return {k: np.array([np.interp(centres(s), centres(fastest), clip) for clip in light]) for k, s in streams.items()}


def repaint(stream, kind, amount, light):
    """Changed images, of the dtype they had."""
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
    """A hand over the lower `share` of images (N, T, h, w): of the grey in the middle of the face, with dark lines between the
    fingers."""
    h, w = x.shape[2:]
    rows = (np.arange(h) + 0.5) / h > 1 - share
    skin = x[:, :, h // 3 : -(h // 3), w // 3 : -(w // 3)].mean((2, 3), keepdims=True)
    fingers = 0.9 + 0.1 * np.cos(12 * np.pi * (np.arange(w) + 0.5) / w)
    return np.where(rows[:, None], skin * fingers, x).astype(x.dtype)


def turn(x, angle):
    """Images (N, T, h, w) of a head, taken as a cylinder, that turns by `angle` (radians); its far side looks like its rim."""
    w = x.shape[-1]
    u = (2 * np.arange(w) + 1) / w - 1  # -1 to 1 across the image
    across = np.arcsin(np.clip(u / HEAD, -1, 1)) - angle
    source = np.where(np.abs(u) < HEAD, HEAD * np.sin(np.clip(across, -np.pi / 2, np.pi / 2)), u)
    column = np.clip((source + 1) * w / 2 - 0.5, 0, w - 1)
    left = np.minimum(column.astype(int), w - 2)
    part = (column - left).astype(x.dtype)
    return x[..., left] * (1 - part) + x[..., left + 1] * part


def visibility(stream, kind, amount, light):
    """How well the tracker sees each feature, 0 to 1, (N, T, F) or (F,).

    A hand hides what is under it; a blur of deviation s leaves exp(-2 (pi s / DETAIL)^2) of the contrast of details (its
    transfer function); of dim light d remains d, and twice too bright is as bad as half; of a face turned by an angle its
    cosine is seen, and its pose as well as before.
    """
    places = np.array([place(name) for name in feature_names(stream)])
    if kind == "hand":
        return (places <= 1 - amount).astype(float)
    if kind == "blur":
        return np.full(len(places), np.exp(-2 * (np.pi * amount / DETAIL) ** 2))
    if kind == "turn":
        posed = [name.startswith("pose") for name in stream.features]
        return np.where(posed, 1, np.cos(np.deg2rad(amount)))
    contrast = np.minimum(light, 1 / np.maximum(light, 1e-9))
    return np.broadcast_to(contrast[..., None], stream.x.shape)


def feature_names(stream):
    """The names of a stream of units, or an error."""
    if not stream.features:
        raise ValueError("the units have no feature names; accepted: a stream with features, such as AU12_r and gaze_angle_x")
    return stream.features


def place(name):
    """Height at which a feature such as "AU12_r" is in the face."""
    key = name.split("_")[0]
    if key not in PLACE:
        raise ValueError(f"feature {name!r} has no place in the face; accepted: names that begin with {', '.join(PLACE)}")
    return PLACE[key]


def track(rng, stream, visible, reference):
    """The model of a tracker: v x + (1 - v) (m + s n), for v the visibility of a feature.

    What it does not see it guesses: the mean m of faces with the noise of their whole variety, s n, anew in each frame.
    Intensities (AU.._r) stay within 0 to 5, presences (AU.._c) are decided again.
    """
    valid = reference.x[reference.mask].astype(np.float64)
    guess = valid.mean(0) + valid.std(0) * rng.standard_normal(stream.x.shape)
    x = visible * stream.x + (1 - visible) * guess
    intensity = np.array([name.endswith("_r") for name in stream.features])
    presence = np.array([name.endswith("_c") for name in stream.features])
    x = np.where(intensity, np.clip(x, 0, 5), np.where(presence, x > 0.5, x))
    x = np.where((visible < 1) & stream.mask[..., None], x, stream.x)
    return replace(stream, x=x.astype(stream.x.dtype))


def turn_pose(stream, degrees):
    """The same units with a pose that is turned further."""
    turned = np.deg2rad(degrees) * (np.array(stream.features) == "pose_Ry")
    return replace(stream, x=(stream.x + turned * stream.mask[..., None]).astype(stream.x.dtype))
