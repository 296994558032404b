"""Files of OpenFace 2 (Baltrusaitis et al. 2018): the columns about a face, and reading them at 25 frames per second."""

import warnings

import numpy as np

from refmer.choices import choose
from refmer.data.delimited import number, read_lines

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
ALL = (  # in the order of the files
    *FEATURES[41:],
    *(f"eye_lmk_{axis}_{k}" for axis in "xyXYZ" for k in range(56)),  # pixels, then mm
    *FEATURES[35:41],
    *(f"{axis}_{k}" for axis in "xyXYZ" for k in range(68)),  # landmarks of the face
    *(f"p_{name}" for name in ("scale", "rx", "ry", "rz", "tx", "ty", *range(34))),  # of the shape model
    *FEATURES[:35],
)
CHOICES = {"units": FEATURES, "all": ALL, "paper": ("face_id", "timestamp", "confidence", "success", *ALL)}
COLUMNS = ("frame", "timestamp", "confidence", "success", "face_id", "face")  # "face": face_id, for single images
LATE = 1.0  # seconds at which a file begins that was cut from a longer one
ACCEPTED = "a CSV that OpenFace 2 wrote (-aus -pose -gaze)"


def read_face(path, confidence, face=None, rate=None, sound=0.0, columns="units"):
    """Read the features of one face from a CSV of OpenFace.

    Parameters
    ----------
    path : Path
    confidence, face, rate
        As in `refmer.read_clip`.
    sound : float
        Seconds of the clip's sound, 0 without: times that lie within it count from its beginning.
    columns : {"units", "all", "paper"}
        "units": the 49 action units, pose and gaze. "all": the 709 features of a file (also landmarks of eyes and face, and the
        shape). "paper": the 713 of paper 000. A file has 714 columns; the CMU-MOSEI features that the paper takes are 713 wide,
        and their source does not say which is left out: here the number of the frame.

    Returns
    -------
    x : array (T, F) float32
        Features at 25 Hz.
    present : array (T,) bool
        True where they show a face.
    features : tuple of str
        Names of the F features: those of `columns` that the file has.
    """
    file = f"openface_csv {path.name}"
    wanted = choose("columns", columns, CHOICES)
    table, n = read_table(path, file, wanted)
    features = tuple(column for column in wanted if column in table)
    missing = [column for column in wanted if column not in table]
    if not set(features) - set(COLUMNS):
        raise ValueError(f"{file} has no line with names of columns such as {', '.join(FEATURES[:2])}; accepted: {ACCEPTED}")
    if missing:
        names = f"{', '.join(missing[:4])}{f' and {len(missing) - 4} more' if len(missing) > 4 else ''}"
        warnings.warn(f"{file} lacks the columns {names}: its stream has {len(features)} features", stacklevel=2)
    if n < 2:
        raise ValueError(f"{file} has {n} frames; accepted: at least 2")
    number = table.get("frame", np.arange(float(n)))
    seconds = times(file, table, number, rate, sound)
    rows = np.flatnonzero(face_rows(file, table, n, face))
    rows = rows[np.argsort(seconds[rows], kind="stable")]
    number, seconds, table = number[rows], seconds[rows], {column: x[rows] for column, x in table.items()}
    good = shown(file, table, confidence, len(rows))
    x = np.stack([table[column] for column in features], axis=1)
    check_numbers(file, number, seconds, x, good, features)
    return *to_rate(x, number, seconds, good, features), features


def read_table(path, file, features):
    """Return {column: (rows,)} of those COLUMNS and features that a file has, NaN for text without number, and their length.

    Cells are separated by commas, semicolons (then with decimal points or commas) or tabs; blank lines and "sep=;" are skipped.
    """
    lines = read_lines(path, file, ACCEPTED)
    separator, rows, cut = next(lines), [], None
    header = ",".join(next(lines)[1]).rstrip(",").split(",")
    at = {column: header.index(column) for column in (*COLUMNS, *features) if column in header}
    for k, line in lines:
        if cut or any(line[len(header) :]):
            k, width = cut or (k, len(line))
            hint = "; decimal commas need semicolons between the columns" if width > len(header) else ""
            raise ValueError(f"{file}: line {k} has {width} columns, the header {len(header)}{hint}")
        if len(line) < len(header):
            cut = k, len(line)
        else:
            rows.append([number(line[k], separator) for k in at.values()])
    if cut:
        warnings.warn(f"{file}: its last line is cut off after {cut[1]} of {len(header)} columns and left out", stacklevel=2)
    return dict(zip(at, np.array(rows, float).reshape(len(rows), len(at)).T, strict=True)), len(rows)


def times(file, table, number, rate, sound):
    """Return the seconds (rows,) of all rows, from the beginning of the clip."""
    if rate is not None:
        return (number - number.min()) / rate
    seconds = table.get("timestamp", np.zeros(1))
    if np.ptp(seconds) == 0:
        raise ValueError(f"{file} has no times; give rate=, the frames per second of its video (accepted: 5 to 1000)")
    if seconds.min() > LATE and seconds.max() > sound:
        warnings.warn(f"{file} begins at {seconds.min():.3f} s: times are counted from its first row", stacklevel=2)
        return seconds - seconds.min()
    return seconds


def face_rows(file, table, n, face):
    """Return (rows,) bool: the rows of the chosen face."""
    ids = table.get("face_id", table.get("face", np.zeros(n)))
    faces, counts = np.unique(ids, return_counts=True)
    if face is None:
        chosen = faces[counts.argmax()]
        if len(faces) > 1:
            each = ", ".join(f"{k:g} in {count} rows" for k, count in zip(faces, counts, strict=True))
            warnings.warn(f"{file} has {len(faces)} faces ({each}); {chosen:g} is read, face= chooses another", stacklevel=2)
    elif isinstance(face, str):
        column, sign = choose("face", face, {"largest": ("pose_Tz", -1), "most confident": ("confidence", 1)})
        if column not in table:
            raise ValueError(f"face is {face!r}, but {file} has no column {column}; accepted: a number in its column face_id")
        chosen = faces[np.argmax([sign * np.nanmedian(table[column][ids == k]) for k in faces])]
    elif face in faces:
        chosen = face
    else:
        has = ", ".join(f"{k:g}" for k in faces)
        raise ValueError(f"face is {face!r}; accepted: 'largest', 'most confident' or a face of {file}: {has}")
    return ids == chosen


def shown(file, table, confidence, n):
    """Return (n,) bool: rows that show a face with enough confidence."""
    if not {"confidence", "success"} & set(table):
        warnings.warn(f"{file} has no column confidence or success: every frame counts as a face", stacklevel=2)
    certainty, success = (table.get(column, np.ones(n)) for column in ("confidence", "success"))
    highest = np.nan_to_num(certainty).max()
    if highest > 1:
        warnings.warn(f"{file}: confidence is up to {highest:g}; read as percent", stacklevel=2)
        certainty, highest = certainty / 100, highest / 100
    good = (success == 1) & (certainty >= confidence)
    if not good.any():
        raise ValueError(
            f"{file} has {n} frames and none with success 1 and a confidence of {confidence:g} (at most {highest:g}); "
            "accepted: at least one frame with a face; confidence= lowers the limit"
        )
    return good


def check_numbers(file, number, seconds, x, good, features):
    """Raise ValueError unless times rise and frames with a face have finite numbers; warn about negative intensities."""
    for name, values, step in (("timestamp", seconds, 1e-4), ("frame", number, 1)):
        if not (np.isfinite(values).all() and (np.diff(values) >= step).all() and values[0] >= 0):
            raise ValueError(f"{file}: {name} is missing, negative or occurs twice; accepted: a number of its own for each row")
    if len(seconds) < 2 or not 5 <= (len(seconds) - 1) / np.ptp(seconds) <= 1000:
        raise ValueError(f"{file} has {len(seconds)} frames in {np.ptp(seconds):.3f} s; accepted: 5 to 1000 a second")
    if seconds[-1] > LONGEST:
        raise ValueError(f"{file} lasts {seconds[-1]:.1f} s; accepted: at most {LONGEST:g} s")
    bad = np.argwhere(~np.isfinite(x) & good[:, None])
    if len(bad):
        raise ValueError(
            f"{file}: {features[bad[0][1]]} is not finite in frame {number[bad[0][0]]:g} ({len(bad)} such values in frames "
            "with a face); accepted: finite numbers"
        )
    intensities = [k for k, name in enumerate(features) if name.endswith("_r")]
    lowest = np.min(x[good][:, intensities], initial=0)
    if lowest < 0:
        warnings.warn(
            f"{file}: action units go down to {lowest:g}, where OpenFace gives 0 to 5: its run was stopped before it adapted "
            "them to the person; run it again",
            stacklevel=2,
        )


def to_rate(x, number, seconds, good, features):
    """Resample frames of any rate to 25 Hz: frame t is centred at (t + 0.5) / 25 s.   -> (T, F) float32, (T,) bool."""
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
    presence = [k for k, column in enumerate(features) if column.endswith("_c")]
    y[:, presence] = np.where(present[:, None], x[nearest][:, presence], 0)
    return y.astype(np.float32), present
