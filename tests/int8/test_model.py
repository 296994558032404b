"""Every system in 8 bits: its maps, bytes, answers, file, and errors."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from error_table import errors

import refmer
from refmer import params
from refmer.data.files import read_npz, write_npz
from refmer.data.labels import SENTIMENT, Label
from refmer.int8 import files
from refmer.int8 import model as module
from refmer.int8.matrix import QuantizedMatrix
from refmer.ops.convolution import weight_norm
from refmer.ops.twins import AVAILABLE, kernels
from refmer.systems import BASELINES, SYSTEMS, find
from refmer.train.recipes import RECIPES

NAMES = [*SYSTEMS, *BASELINES]


def logits(model, clips):
    return model.outputs(clips)["logits"]


def shapes(arrays):
    return {name: x.shape for name, x in arrays.items()}


def matrices(model):
    return {path: x for path, x in params.named(model.p_).items() if isinstance(x, QuantizedMatrix)}


@pytest.fixture
def own(fitted):
    return fitted("concatenation")


@pytest.mark.parametrize("name", NAMES)
def test_every_map_of_every_system_is_int8_and_is_multiplied(fitted, clips, name, monkeypatch):
    model = fitted(name)
    small, used = refmer.quantize(model), set()

    def counted(method):
        return lambda self, *rest, **named: used.add(id(self)) or method(self, *rest, **named)

    for way in {"linear", "lstm"} & set(vars(QuantizedMatrix)):
        monkeypatch.setattr(QuantizedMatrix, way, counted(getattr(QuantizedMatrix, way)))
    answer = small.predict_proba(clips[:5])
    assert used == {id(W) for W in matrices(small).values()}  # nothing is quantized that no product reads
    assert np.isfinite(answer).all() and not np.array_equal(answer, model.predict_proba(clips[:5]))
    floats = {path: x for path, x in params.named(small.p_).items() if not isinstance(x, QuantizedMatrix)}
    tables = ("embedding.W", "modality.W", "queries.W", "depthwise.W")  # looked up, or a sum for each channel
    assert [path for path, x in floats.items() if x.ndim == 2 and not path.endswith(tables)] == []
    assert all(path.endswith((".W", ".U")) for path in matrices(small))


@pytest.mark.parametrize("name", NAMES)
def test_answers_stay_close_and_the_model_stays_as_it_was(fitted, clips, name):
    model = fitted(name)
    before = model.p_.vector.copy()
    whole = logits(model, clips)
    small = refmer.quantize(model)
    assert np.abs(logits(small, clips) - whole).max() < 0.1 * np.ptp(whole)
    assert shapes(small.explain(clips[:3])) == shapes(model.explain(clips[:3]))
    assert (model.p_.vector == before).all() and not hasattr(model, "quantized_")


def check_both_ways(model, clips, activations):
    """Compare the answers in 8 bits with kernels on and off: the bounds are those of the Notes of `quantize`."""
    small = refmer.quantize(model, clips if activations == "static" else None, activations=activations)
    with kernels(False):
        whole, slow = logits(model, clips), logits(small, clips)
    with kernels(True):
        fast = logits(small, clips)
    assert np.abs(fast - slow).max() <= min(0.03 * np.abs(slow).max(), np.abs(slow - whole).max())


@pytest.mark.skipif(not AVAILABLE, reason="kernels are off")
@pytest.mark.parametrize("activations", module.ACTIVATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_kernels_move_an_answer_less_than_quantization_does(fitted, clips, name, activations):
    check_both_ways(fitted(name), clips, activations)


def far_away(clips, model, deviations):
    """Return clips whose features are so many standard deviations from the mean of training."""
    streams = {k: s for k, s in clips.streams.items() if k in model.scaling_}
    features = {k: model.scaling_[k][0] + np.float32(deviations) * model.scaling_[k][1] for k in streams}
    return clips.with_streams(**{k: replace(s, x=np.broadcast_to(features[k], s.x.shape)) for k, s in streams.items()})


@pytest.mark.parametrize("name", NAMES)
def test_huge_features_have_an_answer_or_the_error_of_the_float_model(fitted, clips, name, on):
    model, clips = fitted(name), clips[:2]
    for m in (model, refmer.quantize(model), refmer.quantize(model, clips)):
        huge = far_away(clips, model, 5e8)
        assert all(np.isfinite(x).all() for x in (m.explain(huge) | m.outputs(huge)).values())
        for call in (m.predict, m.explain):
            with pytest.raises(ValueError, match=r"stream \w+ is 1.0e\+20 standard deviations from the mean"):
                call(far_away(clips, model, 1e20))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_keeps_the_bits_and_is_small(fitted, clips, tmp_path, name):
    small = refmer.quantize(fitted(name))
    small.save(tmp_path / "s.npz")
    again = refmer.load_recognizer(tmp_path / "s.npz")
    assert again.predict_proba(clips[:9]).tobytes() == small.predict_proba(clips[:9]).tobytes()
    assert again.quantized_ == small.quantized_ and set(matrices(again)) == set(matrices(small))
    assert sum(x.dtype == np.int8 for x in read_npz(tmp_path / "s.npz", "").values()) == len(matrices(small))
    assert params.count(again.p_.description) == params.count(small.p_.description)


def test_a_regression_quantizes_too():
    clips = refmer.synthesize_recordings(speakers=3, seed=1)
    model = refmer.Recognizer("tlab_jca", epochs=1).fit(clips, progress=False)
    small = refmer.quantize(model)
    assert np.abs(small.predict(clips) - model.predict(clips)).max() < 0.1
    assert module.decisions(small, clips) is None and np.isfinite(small.score(clips))
    for activations in module.ACTIVATIONS if AVAILABLE else ():
        check_both_ways(model, clips, activations)


def test_the_published_openface_adaptive_takes_two_megabytes(tmp_path):
    system, model = find("openface_adaptive"), refmer.Recognizer("openface_adaptive", "paper")
    model.config_, model.recipe_, model.history_ = system.Config.paper(), RECIPES[system.RECIPE]["paper"], []
    model.p_ = params.init(system.describe(model.config_), 0)
    model.class_names_, model.classes_, model.speakers_ = SENTIMENT, np.arange(7), np.array(["a"])
    model.label_, model.label_scaling_ = Label([0.0], "ordinal", SENTIMENT).describe(), (np.zeros(7), np.ones(7))
    widths = {"units": 713, "prosody": 10, "mfcc": 64, "words": 300}
    model.scaling_ = {k: (np.zeros(n, np.float32), np.ones(n, np.float32)) for k, n in widths.items()}
    model.rates_, model.features_, model.seed_ = dict.fromkeys(widths, 25.0), dict.fromkeys(widths, ()), 0
    model.streams_ = system.modalities(model.config_)
    small = refmer.quantize(model)
    small.save(tmp_path / "s.npz")
    assert params.count(model.p_.description) == params.count(small.p_.description) == 1_962_503
    size = sum(row["bytes"] for row in refmer.int8.size_table(small))
    assert size < 2.1e6 and (tmp_path / "s.npz").stat().st_size < 2.1e6
    assert size < 0.27 * model.p_.vector.nbytes
    assert refmer.load_recognizer(tmp_path / "s.npz").p_.head.maps[0].W.q.tobytes() == small.p_.head.maps[0].W.q.tobytes()


def test_the_size_table_counts_every_tensor_once(fitted):
    small = refmer.quantize(fitted("of_cmaer_cat"))
    table = {row["tensor"]: row for row in refmer.int8.size_table(small)}
    assert set(table) == {path for path, _ in params.walk(small.p_.description)}
    W = small.p_.head.maps[0].W
    assert table["head.maps.0.W"]["bytes"] == W.shape[0] * W.shape[1] + 4 * W.shape[1]
    assert table["head.maps.0.W"]["dtype"] == "int8" and table["head.maps.0.b"]["dtype"] == "float32"
    assert "no matrix product" in table["context.modality.W"]["why"]


def test_weight_norm_is_folded_into_its_matrix(fitted, clips):
    model = fitted("leader_follower")
    p = module.float_tree(model)
    conv, own = p.tcns.visual.blocks[0].conv1, model.p_.tcns.visual.blocks[0].conv1
    np.testing.assert_array_equal(conv.W, weight_norm(own.v, own.gain)[0])
    assert not hasattr(conv, "v")
    folded = module.with_leaves(model, p, {})
    np.testing.assert_array_equal(logits(folded, clips[:5]), logits(model, clips[:5]))


def test_an_answer_depends_on_other_clips_only_if_ranges_are_shared(fitted, clips):
    model = fitted("openface_adaptive")
    units = clips[:2].streams["units"]
    loud = clips[:2].with_streams(units=replace(units, x=units.x * np.array([1, 50], units.x.dtype)[:, None, None]))
    for activations, same in (("row", True), ("tensor", False)):
        small = refmer.quantize(model, activations=activations)
        alone, among = logits(small, loud[:1]), logits(small, loud)[:1]
        assert np.allclose(alone, among, rtol=1e-5, atol=1e-6) == same


@pytest.mark.parametrize("observer", ["min-max", "percentile", "moving average"])
def test_static_ranges_come_from_the_clips_and_survive_the_file(fitted, clips, tmp_path, observer):
    model = fitted("raver")
    small = refmer.quantize(model, clips, observer=observer)
    assert small.quantized_["activations"] == "static"
    assert all(W.static is not None for W in matrices(small).values())
    assert np.abs(logits(small, clips) - logits(model, clips)).max() < 0.2 * np.ptp(logits(model, clips))
    small.save(tmp_path / "s.npz")
    again = refmer.load_recognizer(tmp_path / "s.npz")
    assert again.predict_proba(clips).tobytes() == small.predict_proba(clips).tobytes()


def test_calibration_measures_the_inputs_of_a_map(fitted, clips):
    model = fitted("concatenation")
    p = module.float_tree(model)
    ranges = module.calibrate(model, p, ["maps.0.W"], clips, "min-max")
    batch = model.batch(clips)
    x = np.concatenate([batch[m] for m in ("visual", "audio", "text")], -1)
    assert ranges == {"maps.0.W": [float(x.min()), float(x.max())]}


def test_options_reach_the_matrices(fitted):
    small = refmer.quantize(fitted("concatenation"), per_channel=False, clip="mse")
    assert all(W.scale.shape == () for W in matrices(small).values())
    assert small.p_.maps[0].W.scale <= refmer.quantize(fitted("concatenation"), per_channel=False).p_.maps[0].W.scale


def test_one_map_at_a_time_changes_less_than_all(fitted, clips):
    model = fitted("openface_adaptive")
    rows = refmer.int8.sensitivity(model, clips)
    assert {row["tensor"] for row in rows} == set(matrices(refmer.quantize(model)))
    assert [row["mean"] for row in rows] == sorted((row["mean"] for row in rows), reverse=True)
    together = np.abs(logits(refmer.quantize(model), clips) - logits(model, clips)).mean()
    assert 0 < rows[0]["mean"] < 2 * together


def test_a_constant_tensor_and_a_row_of_zeros_stay_what_they_are(fitted, clips):
    model = refmer.Recognizer("concatenation", label="emotion", epochs=1).fit(clips, progress=False)
    model.p_.maps[0].W[:] = 0.5
    model.p_.maps[1].W[:, 2] = 0
    small = refmer.quantize(model)
    np.testing.assert_allclose(small.p_.maps[0].W.dequantize(), 0.5, rtol=1e-6)
    assert (small.p_.maps[1].W.dequantize()[:, 2] == 0).all() and np.isfinite(small.predict_proba(clips)).all()


def test_training_again_makes_it_float_again(fitted, clips):
    small = refmer.quantize(fitted("concatenation"))
    small.fit(clips, progress=False)
    assert not hasattr(small, "quantized_") and not matrices(small)


def with_nan(model):
    model = module.with_leaves(model, module.float_tree(model), {"maps.0.W": model.p_.maps[0].W.copy()})
    model.p_.maps[0].W[0, 0] = np.nan
    return model


def with_nan_in_clips(clips):
    clips = clips[:3]
    broken = clips.with_streams(units=replace(clips.streams["units"], x=clips.streams["units"].x.copy()))
    broken.streams["units"].x[1, 0, 0] = np.nan  # after the check of Stream
    return broken


test_errors_name_the_cause = errors(
    (lambda: refmer.quantize(refmer.Recognizer("raver")), "not fitted"),
    (lambda own: refmer.quantize(refmer.quantize(own)), "quantized already"),
    (lambda own, clips: refmer.int8.sensitivity(refmer.quantize(own), clips), "quantized already"),
    (lambda own, clips: refmer.quantize(own, clips[:0]), "no clips"),
    (
        lambda own: refmer.quantize(own, activations="column"),
        "activations is 'column'; accepted: 'row', 'tensor', 'static'",
    ),
    (lambda own: refmer.quantize(own, activations="static"), "no calibration_clips"),
    (lambda own: refmer.quantize(own, finetune=2), "no calibration_clips"),
    (lambda own, clips: refmer.quantize(own, clips, finetune=-1), "finetune is -1"),
    (lambda own, clips: refmer.quantize(own, clips, observer="eye"), "observer is 'eye'; accepted: 'min-max'"),
    (lambda own: refmer.quantize(own, clip="top"), "clip is 'top'"),
    (lambda own: refmer.quantize(with_nan(own)), "not finite"),
    (lambda own, clips: refmer.quantize(own, with_nan_in_clips(clips)), "NaN or infinite features in 1 clips"),
)


def test_files_that_are_no_recognizer_are_refused(fitted, tmp_path):
    refmer.quantize(fitted("concatenation")).save(tmp_path / "m.npz")
    arrays = read_npz(tmp_path / "m.npz", "")
    meta = json.loads(str(arrays["meta"]))
    q, scale = "p/maps.0.W/q", "p/maps.0.W/scale"
    for changes, message in (
        ({q: arrays[q][1:]}, "parameter maps.0.W has shape"),
        ({q: arrays[q].astype(np.float32)}, "accepted: int8"),
        ({scale: arrays[scale][1:]}, "accepted: int8"),
        ({scale: 0 * arrays[scale]}, "not a positive finite number"),
        ({scale: np.nan * arrays[scale]}, "not finite in float32"),
        ({scale: None}, "scale"),
        ({q: None}, r"missing \['maps.0.W'\]"),
        ({"meta": np.array(json.dumps(meta | {"quantized_": 3}))}, ""),
        ({"meta": np.array(json.dumps(meta | {"quantized_": {}}))}, "ranges"),
    ):
        write_npz(tmp_path / "f.npz", {k: x for k, x in (arrays | changes).items() if x is not None})
        with pytest.raises(ValueError, match=rf"(?s)f.npz .*{message}.*accepted: a file written by Recognizer.save"):
            refmer.load_recognizer(tmp_path / "f.npz")
            pytest.fail(message)


def test_quantize_loads_no_numba():
    code = "import sys, refmer, refmer.int8; assert callable(refmer.quantize) and 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_folding_goes_into_lists():
    tree = {"a": [{"v": params.Leaf((2, 3), params.ones), "gain": params.Leaf((3,), params.ones)}]}
    p = params.init(tree, 0)
    leaves = files.fold(params.named(p))
    assert list(leaves) == ["a.0.W"] and [path for path, _ in params.walk(files.folded(tree))] == ["a.0.W"]
    np.testing.assert_allclose(leaves["a.0.W"], 2**-0.5)
