"""Tables with a row per clip."""

import numpy as np
import pytest
from error_table import errors
from scipy.io import wavfile

from refmer.data.corpora import table
from refmer.data.corpora.tables import sense_of

HEADER = "name,speaker,emotion,score,votes_anger,votes_fear,valence,arousal,vgg,words"
ROWS = [
    "a,s1,anger,2,3,0,0.5,-0.5,x/a.npy,x/a.npz",
    "b,s1,fear,1,1,4,0.25,1,x/b.NPY,",
    "c,s2,,0,,,,,x/c.npy,x/c.csv",
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "x").mkdir()
    for name, n in (("a.npy", 3), ("b.NPY", 1), ("c.npy", 2)):
        with open(tmp_path / "x" / name, "wb") as f:
            np.save(f, np.full((n, 4), ord(name[0]), np.float64))
    np.savez(tmp_path / "x" / "a.npz", x=np.ones((2, 2)), mask=np.array([True, False]))
    (tmp_path / "x" / "c.csv").write_text("1;2\n3;4,5\n")
    return tmp_path


@pytest.fixture
def read(folder):
    def read(rows=ROWS, header=HEADER, separator=",", encoding="utf-8", **options):
        text = "\r\n".join(line.replace(",", separator) for line in [header, *rows]) + "\r\n"
        (folder / "clips.csv").write_text(text, encoding=encoding, newline="")
        return table.read(folder / "clips.csv", **options)

    return read


@pytest.mark.parametrize("separator, encoding", [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-16")])
def test_columns_become_names_speakers_labels_and_streams(read, separator, encoding):
    clips = read(separator=separator, encoding=encoding, rates={"vgg": 25}, senses={"words": "text"})
    assert clips.name.tolist() == ["a", "b", "c"] and clips.speaker.tolist() == ["s1", "s1", "s2"]
    assert {k: (s.x.shape, s.rate, s.sense) for k, s in clips.streams.items()} == {
        "vgg": ((3, 3, 4), 25, "face"),
        "words": ((3, 2, 2), 1, "text"),
    }
    assert clips.streams["vgg"].mask.sum(1).tolist() == [3, 1, 2]
    assert clips.streams["words"].mask.tolist() == [[True, False], [False, False], [True, True]]
    assert clips.streams["words"].x[2].tolist() == [[1, 2], [3, 4.5]]
    kinds = {name: (label.kind, label.names) for name, label in clips.labels.items()}
    assert kinds == {
        "votes": ("votes", ("anger", "fear")),
        "emotion": ("classes", ("anger", "fear")),
        "score": ("classes", ("0", "1", "2")),
        "valence": ("regression", ("value",)),
        "arousal": ("regression", ("value",)),
    }
    assert clips.votes.tolist() == [[3, 0], [1, 4], [0, 0]] and clips.labels["emotion"].present.tolist() == [True, True, False]


def test_kinds_are_chosen_and_columns_joined(read):
    labels = {"score": "ordinal", "affect": ["valence", "arousal"], "votes": "ignore", "emotion": "ignore"}
    clips = read(labels=labels)
    assert {k: label.kind for k, label in clips.labels.items()} == {"score": "ordinal", "affect": "regression"}
    assert clips.labels["affect"].names == ("valence", "arousal") and np.isnan(clips.affect[2]).all()
    assert read(labels={"votes": "regression"}).labels["votes"].kind == "regression"


def test_numbers_with_a_point_are_a_regression_and_others_classes(read):
    clips = read(["1.0,3,0,x/a.npy", "2.0,,1e0,x/b.NPY"], "valence,item,seen,vgg")
    assert {name: label.kind for name, label in clips.labels.items()} == dict(
        valence="regression", item="classes", seen="classes"
    )
    assert clips.labels["item"].names == ("3",) and clips.item.tolist() == [0, -1]


def test_other_columns_are_names_and_speakers(read):
    clips = read(["u,1,x/a.npy", "v,2,x/b.NPY"], "clip,actor,vgg", name="clip", speaker="actor")
    assert clips.name.tolist() == ["u", "v"] and clips.speaker.tolist() == ["1", "2"] and not clips.labels
    assert read(["x/a.npy", "x/b.NPY"], "vgg").name.tolist() == ["0", "1"]


def test_decimal_commas_between_semicolons(read):
    assert read(["0;5;x/a.npy".replace("0;5", "0,5")], "score;vgg", separator=",").labels["score"].values.tolist() == [0.5]


def test_vectors_images_and_rates_of_npz_files(read, folder):
    np.save(folder / "v.npy", np.arange(5))
    np.save(folder / "i.npy", np.zeros((2, 6, 7), np.uint8))
    np.savez(folder / "r.npz", x=np.ones((4, 3), np.float16), rate=50)
    streams = read(["v.npy,i.npy,r.npz"], "eda,frames,mfcc").streams
    assert [(k, s.x.shape, s.x.dtype, s.rate, s.sense) for k, s in streams.items()] == [
        ("eda", (1, 1, 5), np.float32, 1, "body"),
        ("frames", (1, 2, 6, 7), np.uint8, 1, "face"),
        ("mfcc", (1, 4, 3), np.float32, 50, "voice"),
    ]


def test_sounds_become_streams_of_the_voice(read, folder):
    wave = np.sin(np.cumsum(np.full(8000, 2 * np.pi * 150 / 16000)) + 3 * np.sin(np.arange(8000) / 400))
    for k in range(2):
        wavfile.write(folder / f"{k}.wav", 16000, (wave * (9000 + k)).astype(np.int16))
    one = read(["0.wav,x/a.npy", ",x/b.NPY"], "sound,vgg")
    assert set(one.streams) == {"logmel", "prosody", "mfcc", "layers", "vgg"}
    assert one.streams["logmel"].mask.any(1).tolist() == [True, False]
    two = read(["0.wav,1.wav"], "near,far")
    assert set(two.streams) == {f"{k}_{s}" for k in ("near", "far") for s in ("logmel", "prosody", "mfcc", "layers")}
    assert set(read(["0.wav,x/a.npy"], "near,mfcc").streams) == {f"near_{k}" for k in one.streams if k != "vgg"} | {"mfcc"}
    assert read(["0.wav,x/a.npy"], "sound,vgg", cache=folder / "kept").streams["logmel"].x.any()


def test_missing_and_damaged_files_are_listed_together(read, folder):
    np.save(folder / "wide.npy", np.ones((2, 5)))
    np.save(folder / "nan.npy", np.full((2, 4), np.nan))
    np.save(folder / "text.npy", np.array(["a"]))
    np.save(folder / "object.npy", np.array([{}]), allow_pickle=True)
    np.savez(folder / "two.npz", a=np.ones(3), b=np.ones(3))
    (folder / "cut.npy").write_bytes((folder / "wide.npy").read_bytes()[:-8])
    (folder / "words.csv").write_text("a,b\n1,x\n")
    (folder / "head.npy").write_bytes((folder / "wide.npy").read_bytes()[:30])
    (folder / "empty.npy").write_bytes(b"")
    names = (
        "head.npy",
        "empty.npy",
        "wide.npy",
        "nan.npy",
        "text.npy",
        "object.npy",
        "two.npz",
        "cut.npy",
        "words.csv",
        "none.npy",
    )
    with pytest.warns(UserWarning) as caught:
        clips = read(["a,x/a.npy", *(f"{name},{name}" for name in names)], "name,vgg")
    (message,) = [str(w.message) for w in caught]
    assert clips.name.tolist() == ["a"] and "10 of 11 files of clips.csv are left out" in message
    for name in names:
        assert f"column vgg of clip {name}, {name}: " in message
    for reason in ("((5,), None, ())", "8 of its values are not finite", "<U1 of shape (1,)", "arrays a, b", "no such file"):
        assert reason in message


def test_a_file_of_openface_is_read_as_such(read, folder):
    lines = ["frame,timestamp,confidence,success,AU01_r,AU02_r", *(f"{t},{t / 25},0.9,{int(t > 1)},1,2" for t in range(6))]
    (folder / "face.csv").write_text("\n".join(lines))
    with pytest.warns(UserWarning, match="lacks the columns"):
        stream = read(["face.csv"], "face").streams["face"]
    assert (
        stream.features == ("AU01_r", "AU02_r") and stream.rate == 25 and stream.mask[0].tolist() == [False, False] + [True] * 4
    )


@pytest.mark.parametrize(
    "name, sense",
    [
        ("vgg", "face"),
        ("VGG16", "face"),
        ("openface_aus", "face"),
        ("audio_egemaps", "voice"),
        ("openSMILE", "voice"),
        ("glove", "words"),
        ("bert-base", "words"),
        ("ecg", "body"),
        ("depth", "depth"),
    ],
)
def test_usual_names_have_a_sense(name, sense):
    assert sense_of(name) == sense


test_errors = errors(
    (lambda read: read([]), "clips.csv has 0 rows and columns name, speaker"),
    (lambda read: read(["1,2"], "a,a"), "accepted: rows, columns of different names"),
    (lambda read: read(["a,x/a.npy", "a,x/b.NPY"], "name,vgg"), "column name has an empty or repeated name"),
    (
        lambda read: read(["a,1"], "name,score"),
        "clips.csv has no column of files .wav, .npy, .npz, .csv; accepted: one or more",
    ),
    (lambda read: read(name="clip"), "name is 'clip'; accepted: 'name', 'speaker'"),
    (lambda read: read(["a,,x/a.npy"], "name,speaker,vgg"), "speaker is missing for 1 of 1 clips"),
    (
        lambda read: read(["a,x/a.npy,x/b.NPY"], "name,speaker,vgg", speaker="x"),
        "speaker is 'x'; accepted: 'name', 'speaker', 'vgg'",
    ),
    (lambda read: read(["a,x/a.npy,1"], "name,vgg"), "clips.csv: line 2 has 3 cells, the first 2"),
    (lambda read: read(rates={"fps": 5}), "a stream in rates is 'fps'; accepted: 'vgg', 'words'"),
    (lambda read: read(senses={"fps": "face"}), "a stream in senses is 'fps'; accepted: 'vgg', 'words'"),
    (
        lambda read: read(labels={"mood": "classes"}),
        "labels has 'mood', which is no column and begins none; accepted: emotion, score",
    ),
    (
        lambda read: read(labels={"emotion": "nominal"}),
        r"labels\['emotion'\] is 'nominal'; accepted: 'classes', 'votes', 'ordinal'",
    ),
    (lambda read: read(labels={"affect": ["valence", "x"]}), r"a column of labels\['affect'\] is 'x'; accepted: 'emotion'"),
    (
        lambda read: read(["a,1,x,x/a.npy"], "name,votes_a,votes_b,vgg"),
        "clips.csv: column votes_b of clip a is 'x'; accepted: numbers",
    ),
    (
        lambda read: read(["a,none.npy"], "name,vgg"),
        "nothing of clips.csv can be read:\ncolumn vgg of clip a, none.npy: .*no such file",
    ),
)
test_missing = errors((lambda: table.read("none.csv"), "table is 'none.csv': no such file"), error=FileNotFoundError)
