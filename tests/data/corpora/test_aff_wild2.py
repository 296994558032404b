"""Aff-Wild2: annotations per frame and cropped faces."""

import numpy as np
import pytest
from error_table import errors
from PIL import Image

from refmer.data.corpora import aff_wild2

pytestmark = pytest.mark.filterwarnings("ignore:Aff-Wild2 is not as published")
CLASSES = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"


def annotate(folder, task, part, name, lines, newline="\r\n"):
    place = folder / "annotations" / task / part
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.txt").write_text(newline.join(lines) + newline, newline="")


def face(folder, name, number, grey, ending="jpg"):
    place = folder / "cropped_aligned" / name
    place.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (112, 112), (grey,) * 3).save(place / f"{number:05d}.{ending}", "JPEG")


@pytest.fixture
def folder(tmp_path):
    annotate(tmp_path, "VA_Set", "Train_Set", "1-30-1280x720", ["valence,arousal", "0.5,-0.25", "-5,-5", "0.1,0.2", "1,1"])
    annotate(tmp_path, "EXPR_Set", "Validation_Set", "1-30-1280x720", [CLASSES, "0", "-1", "4", "7"], "\n")
    annotate(tmp_path, "VA_Set", "Validation_Set", "video2_left", ["valence,arousal", "0,0", "-0.5,0.5"])
    for number in (1, 3, 4):
        face(tmp_path, "1-30-1280x720", number, 60 * number - 40)
    face(tmp_path, "video2_left", 2, 100, "JPG")
    (tmp_path / "annotations" / "readme.txt").write_text("not an annotation")
    return tmp_path


def test_labels_of_frames_and_faces(folder):
    clips = aff_wild2.read(folder, seconds=None)
    assert clips.name.tolist() == clips.speaker.tolist() == ["1-30-1280x720", "video2_left"]
    frames = clips.streams["frames"]
    assert frames.x.shape == (2, 4, 24, 24) and frames.x.dtype == np.uint8 and (frames.rate, frames.sense) == (30, "face")
    assert frames.mask.tolist() == [[True, False, True, True], [False, True, False, False]]
    assert np.abs(frames.x[0, :, 5, 5] - np.array([20.0, 0, 140, 200])).max() <= 2
    affect, expression = clips.labels["affect"], clips.labels["expression"]
    assert (affect.kind, affect.names, affect.rate) == ("regression", ("valence", "arousal"), 30)
    assert affect.mask.tolist() == [[True, False, True, True], [True, True, False, False]]
    np.testing.assert_allclose(affect.values[0, 0], [0.5, -0.25])
    assert expression.kind == "classes" and expression.names == tuple(CLASSES.lower().split(","))
    assert expression.mask.tolist() == [[True, False, True, True], [False] * 4]
    assert expression.values[0].tolist() == [0, -1, 4, 7]
    assert clips.select(affect_part="validation").name.tolist() == ["video2_left"]
    assert clips.select(expression_part="validation").name.tolist() == ["1-30-1280x720"]


def test_videos_are_cut_into_clips_of_seconds(folder):
    clips = aff_wild2.read(folder, seconds=0.1, size=8)
    assert clips.name.tolist() == ["1-30-1280x720-0000", "1-30-1280x720-0001", "video2_left-0000"]
    assert clips.streams["frames"].x.shape == (3, 3, 8, 8) and clips.speaker[1] == "1-30-1280x720"
    assert clips.streams["frames"].mask[1].tolist() == [True, False, False]
    np.testing.assert_allclose(clips.labels["affect"].values[1, 0], [1, 1])


def test_features_instead_of_faces(folder):
    (folder / "vgg").mkdir()
    np.save(folder / "vgg" / "1-30-1280x720.npy", np.arange(12.0).reshape(4, 3))
    clips = aff_wild2.read(folder, frames=None, features="vgg", rate=25)
    assert list(clips.streams) == ["vgg"] and clips.streams["vgg"].x.shape == (2, 4, 3) and clips.streams["vgg"].rate == 25
    assert clips.streams["vgg"].mask.tolist() == [[True] * 4, [False] * 4]


def test_damaged_images_are_masked_and_annotations_named(folder):
    (folder / "cropped_aligned" / "1-30-1280x720" / "00003.jpg").write_bytes(b"no image")
    annotate(folder, "VA_Set", "Train_Set", "x", ["valence,arousal", "0.5", "1,2"])
    annotate(folder, "EXPR_Set", "Train_Set", "y", [CLASSES, "9"])
    annotate(folder, "AU_Set", "Train_Set", "z", ["AU1,AU2", "0,1"])
    with pytest.warns(UserWarning) as caught:
        clips = aff_wild2.read(folder)
    messages = "\n".join(str(w.message) for w in caught)
    assert clips.streams["frames"].mask[0, :4].tolist() == [True, False, False, True]
    assert "1 images of" in messages and "00003.jpg" in messages and "3 of 6 files of Aff-Wild2" in messages
    assert (
        "x.txt: " in messages and "y.txt begins with 'Neutral,Anger" in messages and "z.txt begins with 'AU1,AU2'" in messages
    )


def test_videos_that_are_missing_are_named(folder):
    (folder / "cropped_aligned" / "video2_left" / "00002.JPG").unlink()
    with pytest.warns(UserWarning) as caught:
        aff_wild2.read(folder)
    (message,) = [str(w.message) for w in caught]
    assert "affect for train, of 341 or 356 (1): '1-30-1280x720'; " in message
    assert "expression for train, of 248 (1): 'none'; " in message and message.endswith("without faces (1): 'video2_left'")


test_errors = errors(
    (lambda tmp_path: aff_wild2.read(tmp_path), "has no file Train_Set/NAME.txt or Validation_Set/NAME.txt; accepted"),
    (lambda folder: aff_wild2.read(folder, rate=0), "rate is 0"),
    (lambda folder: aff_wild2.read(folder, seconds=0), "seconds is 0"),
)
test_missing = errors(
    (
        lambda tmp_path: aff_wild2.read(tmp_path / "x"),
        "no folder .*x; accepted: a folder of annotations, and one of cropped faces",
    ),
    (
        lambda folder: aff_wild2.read(folder, frames="faces"),
        "no image .*faces/1-30-1280x720/00001.jpg; accepted: faces, or features=",
    ),
    error=FileNotFoundError,
)
