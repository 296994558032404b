"""A drawn face moved by action units (Ekman and Friesen 1978), and the columns that OpenFace 2 would write about it.

The units of an emotion follow EMFACS.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter1d

from refmer.data.noise import gauss_markov, generator
from refmer.data.openface import AU, FACE_RATE

SIZE = 24  # pixels per side
EXPRESSIVENESS = 0.9  # multiplies the table: clarity of the face's expression (calibrated, see the data card)
TRACKER_SD = (0.15, 0.33)  # noise of the tracked intensities: of a frame, of a whole clip

MOVES = (  # intensities at the apex of a typical expression
    {4: 3.0, 5: 1.5, 7: 2.0, 23: 2.0, 17: 0.8},  # anger
    {9: 2.8, 10: 2.0, 15: 0.8, 17: 1.2, 4: 1.2},  # disgust
    {1: 2.4, 2: 1.8, 4: 1.4, 5: 2.2, 20: 1.8, 26: 0.8},  # fear
    {6: 2.4, 12: 3.2, 25: 0.8, 14: 0.5},  # happiness
    {},  # neutral
    {1: 2.0, 4: 1.4, 15: 2.0, 17: 1.0},  # sadness
)
TABLE = np.array([[move.get(k, 0) for k in AU] for move in MOVES])  # (6, 17)


@dataclass(frozen=True)
class Person:
    """A face: its units at rest (17,), its proportions and its greys."""

    rest: np.ndarray
    width: float
    brow: float  # pixels above the eye
    mouth: float  # half its width, pixels
    skin: float
    hair: float
    fringe: float  # where the hair ends, pixels from the top


@lru_cache
def make_person(seed, what, index):
    """Return person `index` of a corpus `what`."""
    rng = generator(seed, what + " face", index)
    rest = np.abs(rng.normal(0, 0.35, len(AU)))
    return Person(
        rest, rng.uniform(8.2, 9.6), rng.uniform(2.6, 3.3), rng.uniform(3.0, 3.8),
        rng.uniform(0.65, 0.85), rng.uniform(0.05, 0.35), rng.uniform(3.6, 5.2),
    )  # fmt: skip


def move(rng, person, show, opening):
    """Return the motion of a face: action units (T, 17) in 0..5, pose (T, 6) in mm and radians, gaze angles (T, 2).

    show (T, 6) is the intensity of each emotion, opening (T,) the opening of the mouth by speech.
    """
    T = len(show)
    au = EXPRESSIVENESS * show @ TABLE * np.exp(rng.normal(0, 0.25, len(AU))) + person.rest
    au += 0.35 * smooth_noise(rng, T, len(AU), 0.4) + rng.normal(0, 0.25, len(AU))
    au[:, AU.index(25)] += 2.2 * opening
    au[:, AU.index(26)] += 1.6 * opening
    au[:, AU.index(45)] = blinks(rng, T)
    down = show[:, 5] + 0.3 * show[:, 1]  # sad and disgusted people look down
    pose = smooth_noise(rng, T, 6, 1.5) * (9, 7, 15, 0.05, 0.07, 0.04) + (0, 0, 600, 0, 0, 0)
    pose[:, 3] += 0.06 * down
    gaze = gauss_markov(rng, T, 2, 0.5, FACE_RATE) * (0.10, 0.06)
    gaze[:, 1] += 0.06 * down
    return np.clip(au, 0, 5), pose, gaze


def smooth_noise(rng, T, width, seconds):
    """Return random tracks (T, width), smooth from frame to frame."""
    return gaussian_filter1d(gauss_markov(rng, T, width, seconds, FACE_RATE), 3, axis=0)


def blinks(rng, T):
    """Return AU45 (T,): about one blink in three seconds, each a fifth of a second long."""
    start = rng.random(T) < 0.33 / FACE_RATE
    return np.convolve(start * rng.uniform(3, 5, T), (0.5, 1, 1, 0.6, 0.2))[:T]


def track(rng, au, pose, gaze):
    """Return the output of a tracker (T, 49), columns FEATURES: the motion with noise, and decisions on presence."""
    T = len(au)
    noisy = au + TRACKER_SD[0] * gauss_markov(rng, T, len(AU), 0.1, FACE_RATE) + TRACKER_SD[1] * rng.standard_normal(len(AU))
    presence = noisy + 0.3 * rng.standard_normal(noisy.shape) > 1
    sucked = gauss_markov(rng, T, 1, 0.5, FACE_RATE) > 2.3
    presence = np.insert(presence, AU.index(45), sucked[:, 0], axis=1)
    angles = gaze + 0.015 * rng.standard_normal(gaze.shape)
    eyes = []
    for inward in (0.03, -0.03):  # the eyes converge on the camera
        look = np.stack([np.sin(angles[:, 0] + inward), np.sin(angles[:, 1]), -np.ones(T)], axis=1)
        eyes.append(look / np.sqrt((look**2).sum(1, keepdims=True)))
    pose = pose + rng.standard_normal(pose.shape) * (0.5, 0.5, 2, 0.01, 0.01, 0.01)
    return np.concatenate([np.clip(noisy, 0, 5), presence, pose, *eyes, angles], axis=1)


def draw(person, au, pose, gaze):
    """Draw frames (T, 24, 24) uint8 in 16 greys (multiples of 17) of a face with this motion."""
    a = {k: v for k, v in zip(AU, au.T.astype(np.float32)[:, :, None, None], strict=True)}  # each (T, 1, 1)
    tx, ty, _, nod, turn, roll = pose.T.astype(np.float32)[:, :, None, None]
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) - (SIZE - 1) / 2
    x, y = x - tx / 12, y - ty / 12  # the head's own coordinates, (T, 24, 24), one pixel for 12 mm
    x, y = x + roll * y, y - roll * x
    image = np.full_like(x, 0.45)
    head = disc(x, y / 1.2, person.width)
    paint(image, head, person.skin)
    paint(image, head * edge(person.fringe - 11.5 - y + 0.04 * x * x), person.hair)
    x, y = x - 7 * turn, y - 7 * nod  # features in the middle of the face move further when it turns
    gaze = gaze.astype(np.float32)[:, :, None, None]
    for side, part in ((-1, np.s_[:, 1:16, :15]), (1, np.s_[:, 1:16, 9:])):  # only the pixels that a part can cover
        draw_eye(image[part], person, a, side * x[part], y[part], side * gaze[:, 0], gaze[:, 1])
    part = np.s_[:, 7:19, 4:20]
    draw_nose(image[part], person, a, x[part], y[part])
    part = np.s_[:, 11:]
    draw_mouth(image[part], person, a, x[part], y[part] - 6.2)
    return (np.rint(np.clip(image, 0, 1) * 15) * 17).astype(np.uint8)


def draw_eye(image, person, a, x, y, look_x, look_y):
    """Draw one eye, its brow and the cheek under it; x grows outwards from the middle of the face."""
    height = np.clip(1.3 + 0.28 * a[5] - 0.22 * a[7] - 0.16 * a[6] - 0.1 * a[9], 0.4, 2.6) * np.clip(1 - a[45] / 3, 0, 1)
    u, v = x - 4.0, y + 1.8
    paint(image, edge(height - np.abs(v) - 0.22 * u * u * height) * edge(2.1 - np.abs(u)), 1.0)
    paint(image, edge(height - np.abs(v)) * disc(u - 4 * look_x, v - 4 * look_y, 0.9), 0.05)
    paint(image, edge(0.35 - np.abs(v - height)) * edge(2 - np.abs(u)), 0.7 * person.skin)  # lower lid
    outer = np.clip(x / 7, 0, 1)
    rise = 0.5 * a[2] * outer + 0.5 * (a[1] - a[4]) * (1 - outer)
    inner = 1.6 - 0.25 * a[4]
    brow = edge(0.55 - np.abs(v + person.brow + rise)) * edge(x - inner) * edge(6.6 - x)
    paint(image, brow, 0.6 * person.hair)
    cheek = edge(0.4 - np.abs(y - 1.2 + 0.15 * a[6] - 0.08 * u * u)) * edge(2.4 - np.abs(u))
    paint(image, cheek * np.clip(a[6] / 5, 0, 1), 0.5 * person.skin)


def draw_nose(image, person, a, x, y):
    """Draw the nose's shadow, its wrinkles (AU9) and the fold beside it (AU10)."""
    shade = 0.65 * person.skin
    up = 0.25 * a[9]
    paint(image, edge(1.4 - np.abs(x)) * edge(0.4 - np.abs(y - 2.6 + up)), shade)
    paint(image, edge(1.0 - np.abs(x)) * edge(0.8 - np.abs(y + 1.0)) * np.clip(a[9] / 4, 0, 1), 0.4 * person.skin)
    fold = edge(0.4 - np.abs(np.abs(x) - 2.4 - 0.5 * (y - 3))) * edge(1.6 - np.abs(y - 3.6))
    paint(image, fold * np.clip((a[9] + a[10]) / 6, 0, 1), shade)


def draw_mouth(image, person, a, x, y):
    """Draw lips around an opening: corners up with AU12, down with AU15, wide with AU20, narrow and thin with AU23."""
    half = person.mouth + 0.35 * a[12] + 0.4 * a[20] - 0.3 * a[23] - 0.15 * a[17]
    bend = (0.45 * a[12] - 0.55 * a[15] - 0.2 * a[17]) * (0.5 - (x / half) ** 2)
    gap = np.clip(0.22 * (a[25] - 0.3) + 0.42 * a[26] + 0.12 * a[10], 0, 3.2) * np.clip(1 - (x / half) ** 2, 0, 1)
    lips = np.clip(0.75 - 0.12 * a[23], 0.3, 1)
    off = np.abs(y - bend + 0.25 * a[10] * edge(bend - y) - 0.3 * gap)
    inside = edge(half - np.abs(x))
    paint(image, edge(gap + lips - off) * inside, 0.45 * person.skin)
    paint(image, edge(gap - 0.25 - off) * inside, 0.02)
    paint(image, edge(0.4 - np.abs(y - 3.3)) * edge(1.5 - np.abs(x)) * np.clip(a[17] / 5, 0, 1), 0.6 * person.skin)  # chin


def edge(inside):
    """Return the coverage of a pixel from its distance (pixels) inside a shape's border (anti-aliasing)."""
    return np.clip(inside + np.float32(0.5), 0, 1)


def disc(x, y, radius):
    return edge(radius - np.sqrt(x * x + y * y))


def paint(image, coverage, grey):
    """Set image = (1 - coverage) image + coverage grey, in place."""
    image += coverage * (np.float32(grey) - image)
