"""Files of OpenFace: every way in which programs write them gives the same features; what is missing or wrong is named."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from refmer.data.openface import FEATURES, read_face

HEADER = ("frame", "face_id", "timestamp", "confidence", "success", *FEATURES)
N = 30


def table(n=N, rate=25, seed=0, face=0, **columns):
    """Return {column: texts} of one face."""
    rng = np.random.default_rng(seed)
    x = {name: [f"{v:.2f}" for v in np.abs(rng.normal(0, 1, n)).round(0 if name.endswith("_c") else 2)] for name in FEATURES}
    first = {"frame": range(1, n + 1), "face_id": [face] * n, "timestamp": [f"{t / rate:.3f}" for t in range(n)]}
    return first | {"confidence": [0.98] * n, "success": [1] * n} | x | columns


def lines(columns, separator=", "):
    rows = [columns, *zip(*columns.values(), strict=True)]
    return [separator.join(map(str, row)) for row in rows]


def read(folder, text, encoding="utf-8", confidence=0.7, **options):
    content = text if isinstance(text, str) else "\n".join(text) + "\n"
    (folder / "me.csv").write_bytes(content.encode(encoding))
    return read_face(Path(folder / "me.csv"), confidence, **options)


@pytest.fixture
def expected(tmp_path):
    x, present, features = read(tmp_path, lines(table()))
    assert x.shape == (N, 49) and present.all() and features == FEATURES
    return x


def without(*names):
    return {name: x for name, x in table().items() if not name.startswith(names)}


def both(*orders):
    """Rows of two faces, the second only in the last ten frames and nearer to the camera."""
    a, b = lines(table()), lines(table(seed=1, face=1, pose_Tz=["-1.00"] * N, confidence=[0.9] * N))
    return {"after": a + b[21:], "between": [*a[:25], b[25], *a[25:]] + b[21:25] + b[26:]}


SEMICOLONS = [line.replace(".", ",") for line in lines(table(), ";")]


@pytest.mark.parametrize(
    "text, encoding",
    [
        (lines(table(), ","), "utf-8"),
        ("\r\n".join(lines(table())), "utf-8-sig"),
        ("\r".join(lines(table())), "utf-8"),
        (lines(table()), "utf-16"),
        (lines(table(), "\t"), "utf-8"),
        (lines(table(), ";"), "utf-8"),
        (SEMICOLONS, "utf-8"),
        (["sep=;", *SEMICOLONS], "utf-8"),
        ([f'"{line}"' for line in lines(table(), '", "')], "utf-8"),
        ([line + "," for line in lines(table(), ",")], "utf-8"),
        ([lines(table())[0], *(line + "," for line in lines(table())[1:])], "utf-8"),
        ([lines(table())[0] + ",", *lines(table())[1:]], "utf-8"),
        (["", *lines(table()), "", "   ", ",,,"], "utf-8"),
        ([lines(table())[0], *lines(table())[:0:-1]], "utf-8"),
        (lines(table(frame=range(N))), "utf-8"),
        (lines(without("face_id")), "utf-8"),
        (lines(without("success")), "utf-8"),
    ],
)
def test_all_ways_of_writing_a_file_are_the_same_features(tmp_path, expected, text, encoding):
    x, present, features = read(tmp_path, text, encoding)
    np.testing.assert_allclose(x, expected, atol=2e-3)
    assert present.all() and features == FEATURES


@pytest.mark.parametrize(
    "text, options, message",
    [
        (lines(table())[:-1] + [lines(table())[-1][:-40]], {}, "last line is cut off after 4. of 54 columns and left out"),
        (
            lines(table(timestamp=[f"{3600 + t / 25:.3f}" for t in range(N)])),
            {},
            "begins at 3600.000 s: times are counted from",
        ),
        (both()["after"], {}, r"has 2 faces \(0 in 30 rows, 1 in 10 rows\); 0 is read, face= chooses another"),
        (both()["between"], {}, "0 is read"),
        (lines(table(confidence=[98] * N)), {}, "confidence is up to 98; read as percent"),
        (lines(without("confidence", "success")), {}, "no column confidence or success: every frame counts as a face"),
        (lines(table(timestamp=["0.000"] * N)), {"rate": 25}, None),
        (lines({"face": [0] * N} | without("frame", "face_id", "timestamp", "success")), {"rate": 25.0}, None),
        (both()["after"], {"face": 0}, None),
        (both()["after"], {"face": "most confident"}, None),
    ],
)
def test_what_is_not_sure_is_read_and_said(tmp_path, expected, text, options, message):
    with pytest.warns(UserWarning, match=f"openface_csv me.csv.*{message}") if message else nullcontext():
        x, present, _ = read(tmp_path, text, **options)
    np.testing.assert_allclose(x, expected[: len(x)], atol=2e-3)
    assert len(x) >= N - 1 and present.all()


@pytest.mark.parametrize("face", [1, "largest"])
def test_another_face_keeps_its_place_in_time(tmp_path, face):
    x, present, _ = read(tmp_path, both()["between"], face=face)
    assert np.flatnonzero(present).tolist() == list(range(20, 30)) and (x[20:, FEATURES.index("pose_Tz")] == -1).all()


def test_times_within_the_sound_count_from_its_beginning(tmp_path):
    late = table(timestamp=[f"{2 + t / 25:.3f}" for t in range(N)], frame=range(51, 51 + N))
    _, present, _ = read(tmp_path, lines(late), sound=3.5)
    assert np.flatnonzero(present).tolist() == list(range(50, 50 + N))


@pytest.mark.parametrize("missing", [("pose", "gaze"), ("gaze_angle",), ("AU01_r",), ("pose", "gaze", "AU28", "AU45_c")])
def test_missing_features_are_left_out(tmp_path, expected, missing):
    with pytest.warns(UserWarning, match="lacks the columns .*: its stream has"):
        x, present, features = read(tmp_path, lines(without(*missing)))
    assert features == tuple(name for name in FEATURES if not name.startswith(missing)) and present.all()
    np.testing.assert_array_equal(x, expected[:, [FEATURES.index(name) for name in features]])


def test_negative_intensities_are_kept_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="action units go down to -0.7, where OpenFace gives 0 to 5"):
        x, _, features = read(tmp_path, lines(table(AU12_r=["-0.70"] * N)))
    assert (x[:, features.index("AU12_r")] == np.float32(-0.7)).all()


def cell(column, value, row=5):
    return lines(table(**{column: [value if k == row else x for k, x in enumerate(table()[column])]}))


@pytest.mark.parametrize(
    "text, options, message",
    [
        ("", {}, "has no line with names of columns such as AU01_r, AU02_r; accepted: a CSV that OpenFace 2 wrote"),
        (lines(table())[1:], {}, "has no line with names of columns"),
        (lines(table())[:1], {}, "has 0 frames; accepted: at least 2"),
        (lines(table())[:2], {}, "has 1 frames; accepted: at least 2"),
        (lines(table(), ",")[:1] + [line.replace(".", ",") for line in lines(table(), ",")[1:]], {}, "need semicolons"),
        ([*lines(table())[:4], "1, 2", *lines(table())[4:]], {}, "line 5 has 2 columns, the header 54"),
        ([*lines(table()), "1, 2", "3"], {}, "line 32 has 2 columns, the header 54"),
        (cell("AU04_r", "nan"), {}, "AU04_r is not finite in frame 6 .1 such values"),
        (cell("AU04_r", ""), {}, "AU04_r is not finite in frame 6"),
        (cell("timestamp", "0.160"), {}, "timestamp is missing, negative or occurs twice"),
        (cell("timestamp", "x"), {}, "timestamp is missing"),
        (lines(table(frame=[f"{k}e-9" for k in range(N)])), {}, "frame is missing, negative or occurs twice"),
        (cell("frame", "5"), {}, "frame is missing, negative or occurs twice"),
        (
            lines(table(success=["0"] * N)),
            {},
            "none with success 1 and a confidence of 0.7 .at most 0.98.*; accepted: at least",
        ),
        (lines(table(timestamp=["0.000"] * N)), {}, "has no times; give rate=, the frames per second"),
        (lines(without("timestamp")), {}, "has no times; give rate="),
        (lines(table(rate=4)), {}, "accepted: 5 to 1000 a second"),
        (lines(table(rate=5, frame=range(1, 90000, 3000), timestamp=range(0, 7500, 250))), {}, "accepted: 5 to 1000 a second"),
        (
            both()["after"],
            {"face": 7},
            "face is 7; accepted: 'largest', 'most confident' or a face of openface_csv me.csv: 0, 1",
        ),
        (both()["after"], {"face": "nearest"}, "face is 'nearest'; accepted: 'largest', 'most confident'"),
        (lines(without("pose_Tz")), {"face": "largest"}, "has no column pose_Tz"),
    ],
)
@pytest.mark.filterwarnings("ignore:openface_csv me.csv lacks")
def test_what_cannot_be_read_is_named(tmp_path, text, options, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text, **options)
