"""Files of OpenFace 2 (Baltrusaitis et al. 2018): the columns about a face, and reading them at 25 frames per second."""

import csv

import numpy as np

FACE_RATE = 25  # frames per second
LONGEST = 600.0  # seconds
AU = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
FEATURES = (
    *(f"AU{k:02d}_r" for k in AU),  # intensity, 0 to 5
    *(f"AU{k:02d}_c" for k in sorted((*AU, 28))),  # presence, 0 or 1; OpenFace rates AU28 (lips sucked in) only so
    *("pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz"),  # mm and radians
    *(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"),  # unit vectors in the camera's coordinates
    *("gaze_angle_x", "gaze_angle_y"),  # radians
)
FIRST = ("frame", "timestamp", "confidence", "success")
ACCEPTED = "a CSV that OpenFace 2 FeatureExtraction wrote (-aus -pose -gaze), with one face"


def read_face(path, confidence):
    """Return features (T, 49) at 25 Hz and where they show a face, (T,) bool."""
    file = f"openface_csv {path.name}"
    header, rows = read_table(path, file)
    missing = [column for column in (*FIRST, *FEATURES) if column not in header]
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        raise ValueError(f"{file} lacks the columns {', '.join(missing[:4])}{more}; accepted: {ACCEPTED}")
    if len(rows) < 2:
        raise ValueError(f"{file} has {len(rows)} frames; accepted: at least 2")
    at = {column: k for k, column in enumerate(header)}
    faces = np.unique(rows[:, at["face_id"]]) if "face_id" in at else ()
    if len(faces) > 1:
        raise ValueError(f"{file} has {len(faces)} faces; accepted: {ACCEPTED}")
    number, seconds, certainty, success = (rows[:, at[column]] for column in FIRST)
    good = (success == 1) & (certainty >= confidence)
    x = rows[:, [at[column] for column in FEATURES]]
    check_numbers(file, number, seconds, x, good)
    if not 5 <= (len(rows) - 1) / (seconds[-1] - seconds[0]) <= 1000:
        raise ValueError(f"{file} has {len(rows)} frames in {np.ptp(seconds):.3f} s; accepted: 5 to 1000 a second")
    if seconds[-1] > LONGEST:
        raise ValueError(f"{file} lasts {seconds[-1]:.1f} s; accepted: at most {LONGEST:g} s")
    if not good.any():
        raise ValueError(
            f"{file} has {len(rows)} frames and none with success 1 and a confidence of {confidence:g}; "
            "accepted: at least one frame with a face"
        )
    return to_rate(x.astype(np.float64), number, seconds, good)


def read_table(path, file):
    """Return the names of the columns and numbers (rows, columns), NaN for text that is not a number."""
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as f:
            lines = [line for line in csv.reader(f) if line]
    except (csv.Error, OSError) as error:
        raise ValueError(f"{file} cannot be read ({error}); accepted: {ACCEPTED}") from error
    header = [column.strip() for column in lines[0]] if lines else []  # OpenFace writes ", timestamp"
    for k, line in enumerate(lines[1:], 2):
        if len(line) != len(header):
            raise ValueError(f"{file}: line {k} has {len(line)} columns, the header {len(header)}")
    rows = [[number_of(text) for text in line] for line in lines[1:]]
    return header, np.array(rows).reshape(len(rows), len(header))


def number_of(text):
    try:
        return float(text)
    except ValueError:  # "-nan(ind)", which Windows writes
        return np.nan


def check_numbers(file, number, seconds, x, good):
    """Raise ValueError unless times rise and every frame with a face has finite numbers."""
    if not (np.isfinite(number).all() and np.isfinite(seconds).all() and (np.diff(seconds) > 0).all() and (seconds >= 0).all()):
        raise ValueError(f"{file}: frame or timestamp is missing or does not rise; accepted: rising numbers")
    bad = np.argwhere(~np.isfinite(x) & good[:, None])
    if len(bad):
        frame, column = number[bad[0][0]], FEATURES[bad[0][1]]
        raise ValueError(
            f"{file}: {column} is not finite in frame {frame:g} ({len(bad)} such values in frames "
            "with a face); accepted: finite numbers"
        )


def to_rate(x, number, seconds, good):
    """Resample frames of any rate to 25 Hz: frame t is centred at (t + 0.5) / 25 s.   -> (T, 49) float32, (T,) bool."""
    step = (seconds[-1] - seconds[0]) / (number[-1] - number[0])
    regular = seconds[0] + step * (number - number[0])
    if np.abs(regular - seconds).max() < 0.002:
        seconds = regular  # timestamps are rounded to milliseconds
    middle = seconds + step / 2
    T = max(round((seconds[-1] + step) * FACE_RATE), 1)
    t = (np.arange(T) + 0.5) / FACE_RATE
    after = np.clip(np.searchsorted(middle, t), 1, len(middle) - 1)
    nearest = after - (t - middle[after - 1] < middle[after] - t)
    present = good[nearest] & (np.abs(middle[nearest] - t) <= max(step, 1 / FACE_RATE))
    valid = np.flatnonzero(good)
    y = np.stack([np.interp(t, middle[valid], column) for column in x[valid].T], axis=1)
    presence = [k for k, column in enumerate(FEATURES) if column.endswith("_c")]
    y[:, presence] = np.where(present[:, None], x[nearest][:, presence], 0)
    return y.astype(np.float32), present
