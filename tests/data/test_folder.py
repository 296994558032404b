"""Clips on disk: the same clips and the same training as in memory, lazy reading, and errors."""

import io
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refmer
from refmer.data.folder import Rows, chunks, describe
from refmer.data.inputs import joined
from refmer.data.scaling import scaling
from refmer.systems import BASELINES, SYSTEMS, find
from refmer.train.batches import Lazy, take


@pytest.fixture(scope="module")
def folder(clips, tmp_path_factory):
    refmer.save_folder(clips, path := tmp_path_factory.mktemp("folder") / "corpus")
    return path


@pytest.fixture(scope="module")
def on_disk(folder):
    return refmer.load_folder(folder)


def same(a, b):
    """Every label and stream of two corpora is equal."""
    for name in ("name", "speaker", *a.labels):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for name, label in a.labels.items():
        np.testing.assert_array_equal(label.present, b.labels[name].present)
    for name, s in a.streams.items():
        np.testing.assert_array_equal(np.asarray(s.x), np.asarray(b.streams[name].x))
        np.testing.assert_array_equal(np.asarray(s.mask), np.asarray(b.streams[name].mask))
    for name in a.truth:
        np.testing.assert_array_equal(a.truth[name], b.truth[name])
    return describe(a) == describe(b)  # rates, senses, dtypes, names


def test_saved_clips_are_read_back_and_stay_on_disk(clips, on_disk):
    assert same(clips, on_disk) and repr(on_disk) == repr(clips)
    for part in (on_disk, on_disk[3:9], on_disk[[4, 4, 0]], on_disk.split()[0]):
        for s in part.streams.values():
            assert isinstance(s.x, Rows) and isinstance(s.x.array, np.memmap) and not s.x.array.flags.writeable


def test_labels_over_time_are_read_back(tmp_path):
    recordings = refmer.load_samples("recordings")[:3]
    refmer.save_folder(recordings, tmp_path / "recordings")
    assert same(recordings, refmer.load_folder(tmp_path / "recordings"))


def test_parts_make_one_corpus_and_so_does_a_corpus_on_disk(clips, on_disk, tmp_path):
    refmer.save_folder((clips[i : i + 10] for i in range(0, len(clips), 10)), tmp_path / "parts")
    assert same(clips, refmer.load_folder(tmp_path / "parts"))
    refmer.save_folder(on_disk[::-2], tmp_path / "again")
    assert same(clips[::-2], refmer.load_folder(tmp_path / "again"))
    assert (tmp_path / "again" / "stream-units.npy").stat().st_mode & 0o444 == 0o444


ARRAY = np.arange(7 * 5 * 2).reshape(7, 5, 2)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    np.save(path := tmp_path_factory.mktemp("rows") / "x.npy", ARRAY)
    return Rows(np.load(path, mmap_mode="r"))


INDEX = st.one_of(st.slices(7), st.lists(st.integers(-7, 6), min_size=1), st.lists(st.booleans(), min_size=7, max_size=7))


@settings(max_examples=100)
@given(first=INDEX, second=st.slices(7), one=st.integers(-7, 6))
def test_rows_are_indexed_as_arrays_are(rows, first, second, one):
    result = rows[first][second]
    assert isinstance(result, Rows) and result.shape == ARRAY[first][second].shape and result.dtype == ARRAY.dtype
    np.testing.assert_array_equal(np.asarray(result), ARRAY[first][second])
    np.testing.assert_array_equal(rows[one], ARRAY[one])
    np.testing.assert_array_equal(rows[:, 1:, 0], ARRAY[:, 1:, 0])
    np.testing.assert_array_equal(rows[rows > 9], ARRAY[ARRAY > 9])


def test_rows_do_what_arrays_do(rows):
    assert type(rows * 2.0) is type(~rows[:3]) is type(rows.astype(float)) is np.ndarray
    assert (rows - ARRAY == 0).all() and rows.sum() == ARRAY.sum() and len(rows) == 7 and rows.ndim == 3
    np.testing.assert_array_equal(np.pad(rows, ((0, 1), (0, 0), (0, 0)))[:7], ARRAY)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(rows[2:])), ARRAY[2:])
    with pytest.raises(AttributeError, match="rows on disk have no colour"):
        _ = rows.colour
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(rows, copy=False)


def test_clips_on_disk_are_corrupted_as_those_in_memory(clips, on_disk):
    for corruption in (("face", "missing", 0.5), ("face", "gaussian", 1.0)):
        assert same(*(refmer.corrupt(c[5:9], *corruption, scale_from=c, seed=0) for c in (clips, on_disk)))


@pytest.mark.slow
@pytest.mark.parametrize("system, kind", [("auxformer", "clips"), ("openface_adaptive", "clips"), ("tlab_jca", "recordings")])
def test_training_from_disk_is_training_from_memory(clips, tmp_path, system, kind):
    corpus = replace(clips, raw=None) if kind == "clips" else refmer.load_samples("recordings")[::3]  # a folder has no waves
    refmer.save_folder(corpus, tmp_path / "corpus")
    both = corpus, refmer.load_folder(tmp_path / "corpus")
    memory, disk = (refmer.Recognizer(system, seed=1, epochs=2).fit(c, progress=False) for c in both)
    assert memory.p_.vector.tobytes() == disk.p_.vector.tobytes() and memory.history_ == disk.history_
    np.testing.assert_array_equal(*(memory.predict(c) for c in both))
    assert memory.score(both[0]) == memory.score(both[1])


@pytest.mark.parametrize("name", [*SYSTEMS, *BASELINES])
def test_inputs_of_some_clips_are_those_rows_of_all_inputs(clips, on_disk, name):
    system = find(name)
    models = []
    for corpus in (clips, on_disk):
        models.append(model := refmer.Recognizer(name))
        config = system.Config.tiny()
        model.streams_ = system.modalities(config)
        streams = {name: corpus.streams[name] for names in model.streams_.values() for name in names}
        model.scaling_, model.features_ = {k: scaling(s) for k, s in streams.items()}, {}
        first = {m: joined([streams[name].read(slice(1)) for name in names]) for m, names in model.streams_.items()}
        model.config_, model.label_ = replace(config, **system.widths(first, config)), {"rate": None}
    whole, lazy = models[0].batch(clips), models[1].batch(on_disk)
    assert isinstance(lazy, Lazy) and not lazy
    rows = np.array([7, 40, 3])
    part = take(lazy, rows)
    assert part.keys() == whole.keys()
    for key, x in part.items():
        np.testing.assert_array_equal(x, whole[key][rows], err_msg=key)


def test_mean_and_deviation_over_chunks_are_those_over_all_frames():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(150, 40, 400)) * 3 + 50).astype(np.float32)
    x[130:] += 9
    x[..., 3] = 2.0
    mask = rng.random((150, 40)) < 0.7
    mask[:65] = False
    assert [(rows.start, rows.stop) for rows in chunks(x)][:2] == [(0, 65), (65, 130)]  # none, low, high
    mean, sd = scaling(refmer.Stream(x, 25.0, mask, "face"))
    np.testing.assert_allclose(mean, x[mask].mean(0, dtype=float), rtol=1e-7)
    np.testing.assert_allclose(sd, np.where(np.arange(400) == 3, 1, x[mask].std(0, dtype=float)), rtol=1e-7)
    assert mean.dtype == sd.dtype == np.float32
    with pytest.raises(ValueError, match="a face stream has no frame"):
        scaling(refmer.Stream(x, 25.0, mask & False, "face"))


def test_infinite_features_on_disk_raise_errors_when_they_are_read(clips, tmp_path):
    model = refmer.Recognizer("concatenation", epochs=1).fit(clips, progress=False)
    refmer.save_folder(clips, tmp_path / "corpus")
    np.load(tmp_path / "corpus" / "stream-units.npy", mmap_mode="r+")[5, 0] = np.nan
    on_disk = refmer.load_folder(tmp_path / "corpus")
    for read in (model.predict, lambda c: refmer.Recognizer("concatenation", epochs=1).fit(c, progress=False)):
        with pytest.raises(ValueError, match="a face stream has NaN or infinite features in 1 clips"):
            read(on_disk)


def npy(x, **options):
    np.save(f := io.BytesIO(), x, **options)
    return f.getvalue()


@pytest.mark.parametrize(
    "file, content, message",
    [
        ("clips.json", None, "No such file"),
        ("clips.json", b"[", "JSONDecodeError"),
        ("clips.json", b"[]", "TypeError"),
        ("clips.json", b"[" * 10**6, "RecursionError"),
        ("clips.json", b" " * 2**21, "more than"),
        ("clips.json", {"format": "x"}, "its format is 'x'"),
        ("clips.json", {"truth": ["../name"]}, "is called '../name'"),
        ("clips.json", {"streams": 3}, "TypeError"),
        ("stream-units.npy", None, "stream-units.npy: .*No such file"),
        ("stream-units.npy", lambda whole: whole[:-1], "stream-units.npy: mmap length"),
        ("stream-units.npy", b"PK foreign", "stream-units.npy: .*magic string"),
        ("stream-units.npy", npy(np.array([{}] * 48), allow_pickle=True), "stream-units.npy: .*Python objects"),
        ("stream-units.npy", npy(np.zeros((48, 3, 3), np.float32)), "mask is bool"),
        ("stream-units.npy", lambda whole: npy(np.load(io.BytesIO(whole)).astype(float)), "is float64 .*clips.json says <f4"),
        ("stream-units-mask.npy", lambda whole: whole[:50], "stream-units-mask.npy: "),
        ("name.npy", npy(np.array(["a"])), "48 clips, but there are 1 names"),
        ("label-votes.npy", npy(np.array([{}] * 48), allow_pickle=True), "label-votes.npy: .*Python objects"),
        ("truth-lag.npy", None, "truth-lag.npy: "),
        ("label-emotion.npy", npy(np.full(48, 9)), "outside the classes"),
    ],
)
def test_a_folder_that_is_damaged_is_refused(clips, tmp_path, file, content, message):
    refmer.save_folder(clips, tmp_path / "corpus")
    path = tmp_path / "corpus" / file
    if content is None:
        path.unlink()
    elif isinstance(content, dict):
        path.write_text(json.dumps(json.loads(path.read_text()) | content))
    else:
        path.write_bytes(content(path.read_bytes()) if callable(content) else content)
    with pytest.raises(ValueError, match=rf"(?s)corpus cannot be read .*{message}.*accepted: a folder written by"):
        refmer.load_folder(tmp_path / "corpus")


def stopped(clips):
    yield clips
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "parts, error, message",
    [
        (lambda clips: [], ValueError, "no clips to save"),
        (lambda clips: clips[:0], ValueError, "no clips to save"),
        (lambda clips: [clips, clips.with_streams(new=clips.streams["units"])], ValueError, "all parts like the first"),
        (lambda clips: [clips, replace(clips, labels={})], ValueError, "all parts like the first"),
        (lambda clips: clips.with_streams(**{"../x": clips.streams["units"]}), ValueError, "is called '../x'"),
        (stopped, KeyboardInterrupt, "^$"),
    ],
)
def test_a_failed_save_leaves_no_files(clips, tmp_path, parts, error, message):
    with pytest.raises(error, match=message):
        refmer.save_folder(parts(clips), tmp_path / "corpus")
    assert not list(tmp_path.iterdir())


def test_no_folder_is_overwritten(clips, tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "mine").touch()
    with pytest.raises(FileExistsError, match="corpus exists already; accepted: a folder that does not exist yet"):
        refmer.save_folder(clips, tmp_path / "corpus")
    with pytest.raises(FileNotFoundError, match="no folder"):
        refmer.save_folder(clips, tmp_path / "none" / "corpus")
    with pytest.raises(FileNotFoundError, match="no folder .*accepted: a folder written by"):
        refmer.load_folder(tmp_path / "corpora")
    assert (tmp_path / "corpus" / "mine").exists()
