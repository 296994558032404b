"""CSV and ARFF files of openSMILE, functionals and low-level descriptors."""

import pytest
from error_table import errors

from refmer.data.corpora import opensmile

ARFF = """\ufeff% a comment
@RELATION SMILEfeatures

@attribute name string
@attribute 'F0 semitone' numeric
@attribute jitter REAL
@attribute class {anger, 'no anger',?}

@data

'wav/a.wav',1.5,2,anger
'b, c.wav',?,-1e2,'no anger'
"""


@pytest.fixture
def read(tmp_path):
    def read(text, name="features.csv", **options):
        (tmp_path / name).write_text(text, newline="")
        return opensmile.read(tmp_path / name, **options)

    return read


@pytest.mark.parametrize(
    "text",
    [
        "name;frameTime;F0;jitter\n'a';0.0;1.5;2\n'b';0.0;3;-4\n",
        "\ufeffname;frameTime;F0;jitter\r\n'a.wav';0.0;1.5;2\r\n'b.wav';0.0;3;-4\r\n",
        "name,F0,jitter\na,1.5,2\nb,3,-4\n",
        "name\tF0\tjitter\na\t1,5\t2\nb\t3\t-4\n",
        "file,start,end,F0,jitter\nx/a.wav,0 days,0 days 00:00:02.5,1.5,2\nx/b.wav,0 days,0 days 00:00:02,3,-4\n".replace(
            "0 days,", "0 days 00:00:00,"
        ),
    ],
)
def test_functionals_are_one_frame_per_clip(read, text):
    clips = read(text, speaker=str.upper)
    stream = clips.streams["opensmile"]
    assert clips.name.tolist() == ["a", "b"] and clips.speaker.tolist() == ["A", "B"]
    assert stream.features == ("F0", "jitter") and (stream.rate, stream.sense) == (1, "voice")
    assert stream.x.tolist() == [[[1.5, 2]], [[3, -4]]] and stream.mask.all()


@pytest.mark.parametrize("times", [("0.000", "0.010", "0.020"), tuple(f"0 days 00:00:00.0{k}0000" for k in range(3))])
def test_descriptors_are_many_frames_per_clip(read, times):
    rows = [f"{name};{time};{k};1" for name, n in (("a", 3), ("b", 2)) for k, time in enumerate(times[:n])]
    stream = read("\n".join(["name;frameTime;F0;energy", *rows]), stream="lld").streams["lld"]
    assert stream.rate == 100 and stream.mask.tolist() == [[True] * 3, [True, True, False]]
    assert stream.x[0, :, 0].tolist() == [0, 1, 2]


def test_files_of_a_folder_name_clips_that_are_unknown(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.CSV").write_text("name;frameTime;F0\nunknown;0;1\nunknown;0.01;2\n")
    assert opensmile.read(tmp_path).name.tolist() == ["a", "b"]


@pytest.mark.filterwarnings("ignore:openSMILE.*1 values are missing")
def test_arff_has_quoted_names_missing_values_and_nominal_labels(read):
    clips = read(ARFF, "features.ARFF")
    assert clips.name.tolist() == ["a", "b, c"] and clips.streams["opensmile"].features == ("F0 semitone", "jitter")
    assert clips.streams["opensmile"].x.tolist() == [[[1.5, 2]], [[0, -100]]]
    assert clips.select(**{"class": "no anger"}).name.tolist() == ["b, c"]


def test_an_arff_of_descriptors_without_classes(read):
    kinds = {"name": "string", "frameTime": "numeric", "F0": "numeric", "class": "numeric"}
    text = "@relation x\n" + "".join(f"@attribute {name} {kind}\n" for name, kind in kinds.items()) + "@data\n"
    clips = read(text + "".join(f"'unknown',{t / 50},{t},?\n" for t in range(4)), "clip.arff")
    assert clips.name.tolist() == ["clip"] and clips.streams["opensmile"].x[0, :, 0].tolist() == [0, 1, 2, 3]
    assert clips.streams["opensmile"].rate == 50 and not clips.labels


def test_missing_values_are_zero_and_counted(read):
    with pytest.warns(UserWarning, match="openSMILE, .*: 2 values are missing or not finite, and read as 0"):
        assert read("name,F0,x\na,,1\nb,-inf,2\n").streams["opensmile"].x[:, 0, 0].tolist() == [0, 0]


def test_damaged_files_are_named_and_the_rest_is_read(tmp_path):
    for name, text in {"a.csv": "F0,x\n1,2\n", "b.csv": "F0,y\n1,2\n", "c.csv": "F0,x\n1,two\n", "d.csv": "F0,x\n1\n"}.items():
        (tmp_path / name).write_text(text)
    with pytest.warns(UserWarning, match="(?s)3 of 4 files.*b.csv has other.*c.csv: column x of row 1.*d.csv: line 2"):
        assert opensmile.read(tmp_path).name.tolist() == ["a"]


HEAD = "@relation x\n@attribute a numeric\n@data\n"
test_errors = errors(
    (lambda read: read("name;frameTime\n"), r"features.csv has 0 rows of 0 features; accepted: at least one of each"),
    (lambda read: read("name;frameTime;x\na;0;1\na;0;1\n"), r"features.csv \(a\): times do not rise"),
    (lambda read: read("name\n1", "x.arff"), "x.arff has the line 'name' in its header; accepted: an ARFF file"),
    (lambda read: read(HEAD + "{0 1}\n", "x.arff"), "x.arff has sparse rows; accepted: a value for each attribute"),
    (lambda read: read(HEAD + "1,2\n", "x.arff"), "x.arff: row 1 has 2 values; accepted: 1, one for each attribute"),
    (lambda read: read("@attribute a date\n", "x.arff"), "x.arff has an attribute of type 'date'; accepted: numeric, real"),
)
