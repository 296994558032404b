"""Recognizer.stream: the results of predict_proba on each window; silent and late streams, memory, errors."""

import gc
import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from error_table import errors

import refmer
from refmer.data.files import read_npz, write_npz
from refmer.data.windows import windows
from refmer.stream import Ring, before


@pytest.fixture(scope="module")
def long(model):
    """One clip of 6 s without gaps."""
    clips = refmer.synthesize(speakers=1, takes=1, seed=9, duration=(6.0, 6.0))[:1]
    return clips.with_streams(**{k: clips.streams[k] for k in model.scaling_})


def everything(clip, model):
    return {k: clip.streams[k].x[0] for k in model.rates_}


def in_pieces(stream, clip, seed):
    """All steps of a clip whose streams come one by one in pieces of any length, none more than 0.2 s before another."""
    rng, sent, steps = np.random.default_rng(seed), {k: 0 for k in stream.rings}, []
    while any(sent[k] < clip.streams[k].x.shape[1] for k in sent):
        last = min(sent, key=lambda k: sent[k] / stream.rings[k].rate if sent[k] < clip.streams[k].x.shape[1] else np.inf)
        n = 1 + rng.integers(0, max(int(0.2 * stream.rings[last].rate), 1))
        steps += stream.push({last: clip.streams[last].x[0, sent[last] : sent[last] + n]})
        sent[last] += n
    return steps


def window_of(clip, end, seconds):
    """The clip expected for a window: the newest complete frames."""
    streams = {}
    for name, s in clip.streams.items():
        last = before(end, s.rate)
        part = slice(last - max(before(seconds, s.rate), 1), last)
        streams[name] = replace(s, x=s.x[:, part], mask=s.mask[:, part])
    return clip.with_streams(**streams)


def same(step, model, clip):
    """Bit for bit."""
    assert step.probabilities.tobytes() == model.predict_proba(clip)[0].tobytes()
    trace = model.explain(clip)
    assert set(step.gates) == {k for k in trace if k.endswith("gate") or k == "weights"}
    for name, gate in step.gates.items():
        assert np.asarray(gate, np.float32).ravel().tobytes() == trace[name][0].ravel().tobytes()
        assert isinstance(gate, float) == (trace[name].shape == (1, 1))


def test_steps_are_predict_proba_on_the_windows_of_a_clip(model, long):
    parts, ends = windows(long, 2.0, 0.4)
    steps = model.stream(2.0, 0.4).push(everything(long, model))
    np.testing.assert_allclose([s.time_s for s in steps], ends, rtol=1e-12)
    for i, step in enumerate(steps):
        same(step, model, parts[i])


@pytest.mark.parametrize("window, hop", [(2.0, 0.1), (0.5, 0.07), (1.3, 1.9), (0.03, 0.5)])
def test_pieces_of_any_length_give_the_same_steps(model, long, window, hop):
    whole = model.stream(window, hop).push(everything(long, model))
    assert len(whole) == int((6.0 - window) / hop + 1e-9) + 1
    for i in range(2):
        steps = in_pieces(model.stream(window, hop, patience_s=0.5), long, i)
        assert len(steps) == len(whole)
        for a, b in zip(steps, whole, strict=True):
            assert a.time_s == b.time_s and a.gates == b.gates and a.probabilities.tobytes() == b.probabilities.tobytes()
    for step in whole:
        if min(step.time_s, window) * 2.5 >= 1:  # else a window of words begins before the stream does
            same(step, model, window_of(long, step.time_s, window))


@pytest.mark.parametrize("name", ["of_cmaer_cat", "auxformer", "raver"])
def test_other_systems_stream_too(clips, name):
    model = refmer.Recognizer(name, seed=1, epochs=1).fit(clips[::2], progress=False)
    clip = refmer.synthesize(speakers=1, takes=1, seed=9, duration=(3.0, 3.0))[:1]
    steps = in_pieces(model.stream(2.0, 0.5), clip.with_streams(**{k: clip.streams[k] for k in model.rates_}), 0)
    assert [s.time_s for s in steps] == [2.0, 2.5, 3.0]
    for step in steps:
        same(step, model, window_of(clip, step.time_s, 2.0))


def test_a_covered_face_is_a_clip_without_those_frames(model, long):
    units = long.streams["units"]
    valid = np.arange(units.x.shape[1]) < 50  # the face is covered at 2 s
    x = np.where(valid[:, None], units.x[0], np.nan)
    steps = model.stream(2.0, 0.4).push(everything(long, model) | {"units": x}, valid={"units": valid})
    hidden = long.with_streams(units=replace(units, x=units.x * valid[:, None], mask=units.mask & valid))
    for step in steps:
        same(step, model, window_of(hidden, step.time_s, 2.0))
    open_face = model.stream(2.0, 0.4).push(everything(long, model))
    assert steps[0].gates == open_face[0].gates and steps[1].gates["visual.gate"] != open_face[1].gates["visual.gate"]


def test_a_silent_stream_is_missing_after_patience_s(model, long):
    stream, units = model.stream(2.0, 0.4, patience_s=0.3), long.streams["units"]
    rest = {k: x for k, x in everything(long, model).items() if k != "units"}
    rate = model.rates_

    def until(a, b):
        return {k: x[before(a, rate[k]) : before(b, rate[k])] for k, x in rest.items()}

    assert len(stream.push(until(0, 2.4) | {"units": units.x[0, :50]})) == 1  # units end at 2 s
    assert stream.push(until(2.4, 2.68)) == []
    (step,) = stream.push(until(2.68, 2.72))  # 0.3 s past 2.4 s
    missing = units.mask & (np.arange(units.mask.shape[1]) < 50)
    hidden = long.with_streams(units=replace(units, x=units.x * missing[..., None], mask=missing))
    same(step, model, window_of(hidden, 2.4, 2.0))
    # late frames count from now on, at their time; 0.2 s are left out
    steps = stream.push(until(2.72, 4.0) | {"units": units.x[0, 60:100]}, start={"units": 2.4})
    assert [round(s.time_s, 6) for s in steps] == [2.8, 3.2, 3.6, 4.0]
    valid = (np.arange(units.mask.shape[1]) < 50) | (np.arange(units.mask.shape[1]) >= 60)
    hidden = long.with_streams(units=replace(units, x=units.x * valid[:, None], mask=units.mask & valid))
    for step in steps:
        same(step, model, window_of(hidden, step.time_s, 2.0))
    steps = stream.push(until(4.0, 6.0) | {"units": units.x[0, 50:150]}, start={"units": 2.0})
    same(steps[0], model, window_of(long, 4.4, 2.0))


def test_a_stream_that_fell_silent_goes_on_where_the_last_step_ended(model, long):
    stream, x = model.stream(1.0, 0.4, patience_s=0.0), everything(long, model)
    stream.push({k: v[: before(2.2, model.rates_[k])] for k, v in x.items() if k != "units"})
    assert stream.steps == 4 and stream.rings["units"].end == 0
    stream.push({"units": x["units"][:5]})
    assert stream.rings["units"].end == before(2.2, 25.0) + 5


def test_delay_counts_waiting_and_computing(model, long, monkeypatch):
    clock = iter(np.arange(1000) * 0.001)
    monkeypatch.setattr("refmer.stream.perf_counter", lambda: next(clock))
    steps = model.stream(2.0, 0.4).push(everything(long, model))  # of 6 s, at once
    expected = [6.0 - s.time_s + 0.001 * (i + 1) for i, s in enumerate(steps)]
    np.testing.assert_allclose([s.delay_s for s in steps], expected, rtol=1e-9)


@pytest.mark.slow
def test_after_a_long_run_memory_has_not_grown(model, long):
    stream, second = model.stream(2.0, 0.4), {k: x[: round(2 * model.rates_[k])] for k, x in everything(long, model).items()}

    def run():
        for _ in range(80):
            stream.push(second)
        gc.collect()  # empties CPython's free lists too
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        sizes = [run() for _ in range(5)]
    finally:
        tracemalloc.stop()
    assert stream.steps == 400 * 5 - 4
    assert min(np.diff(sizes)) < 80 * 5 * 8  # a leak grows in every run, by a pointer a step at least; caches do not
    size = sum(ring.x.nbytes + ring.mask.nbytes for ring in stream.rings.values())
    assert size < 3 * 4 * sum(x.size for x in second.values())
    # frames of an hour in one call
    stream = model.stream(2.0, 600.0)
    assert len(stream.push({k: np.tile(x, (1800, 1)) for k, x in second.items() if k in ("units", "words")})) == 6
    assert size == sum(ring.x.nbytes + ring.mask.nbytes for ring in stream.rings.values())


def test_inputs_of_the_system_are_not_overwritten(model, long):
    stream, inputs_given = model.stream(1.0, 0.2), []

    def inputs(windows):
        inputs_given.extend((w.x, w.x.copy(), w.mask, w.mask.copy()) for w in windows.values())
        return model.inputs(windows)

    stream.inputs = inputs
    stream.push(everything(long, model))
    assert len(inputs_given) == 26 * 4
    assert all((x == x0).all() and (mask == mask0).all() for x, x0, mask, mask0 in inputs_given)
    assert not any(np.shares_memory(w[0], ring.x) for w in inputs_given for ring in stream.rings.values())


def test_a_ring_is_the_newest_part_of_an_endless_array():
    rng, ring = np.random.default_rng(0), Ring(1.0, 7, np.zeros(2), np.ones(2))
    x, mask, end = np.zeros((400, 2), np.float32), np.zeros(400, bool), 0
    for _ in range(60):
        start, n = max(end + rng.integers(-4, 4), 0), rng.integers(0, 11)
        part, valid = rng.normal(size=(n, 2)).astype(np.float32), rng.random(n) < 0.7
        ring.write(start, part, valid)
        x[start : start + n], mask[start : start + n], end = part, valid, max(end, start + n)
        first = max(end - 7, 0)
        read = ring.read(end + 2, 9)
        valid = np.pad(mask[first : end + 2], (9 - (end + 2 - first), 0))[-9:]
        np.testing.assert_array_equal(read.mask[0], valid)
        np.testing.assert_array_equal(read.x[0][valid], x[first : end + 2][mask[first : end + 2]])
        assert (read.x[0][~valid] == 0).all()


def test_rates_are_saved(model, clips, tmp_path):
    model.save(tmp_path / "m.npz")
    assert (
        refmer.load_recognizer(tmp_path / "m.npz").rates_ == model.rates_ == {k: clips.streams[k].rate for k in model.scaling_}
    )
    arrays = read_npz(tmp_path / "m.npz", "")
    meta = json.loads(str(arrays.pop("meta")))
    for rates, message in (({"units": 25.0}, "no recognizer .its rates"), (dict.fromkeys(model.rates_, 0.0), "no recognizer")):
        write_npz(tmp_path / "bad.npz", {"meta": np.array(json.dumps(meta | {"rates_": rates})), **arrays})
        with pytest.raises(ValueError, match=message):
            refmer.load_recognizer(tmp_path / "bad.npz")


U = np.zeros((3, 49))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (({"faces": U},), "stream 'faces' is not among units, prosody, mfcc, words"),
        (({"units": U}, {"words": np.ones(3, bool)}), "valid 'words' is not among prosody, units"),
        (({"units": U[:, :9]},), r"frames of units are float64 of shape \(3, 9\); accepted: real numbers \(n, 49\)"),
        (({"units": U[0]},), r"of shape \(49,\)"),
        (({"units": U * 1j},), "complex128"),
        (({"units": np.where(U == 0, np.nan, U)},), "3 of 3 frames of units are not finite"),
        (({"units": U + [1e300, *48 * [0]]},), "not finite"),
        (({"units": U}, {"units": [1, 1, 1]}), r"valid of units is int64 of shape \(3,\); accepted: bool \(3,\)"),
        (({"units": U}, {"units": np.ones(4, bool)}), "accepted: bool"),
        (({"units": U}, None, {"units": -0.1}), "start of units is -0.1 s"),
        (({"units": U}, None, {"units": 1.7e9}), "start of units is .* make a new stream"),
        (({"units": U}, None, {"units": np.nan}), "start of units is nan"),
    ],
)
def test_wrong_frames_are_named_and_change_nothing(model, arguments, message):
    stream = model.stream()
    with pytest.raises(ValueError, match=message):
        stream.push({"prosody": np.zeros((4, 6)), **arguments[0]}, *arguments[1:])
    assert stream.steps == 0 and all(ring.end == 0 for ring in stream.rings.values())


test_errors_name_the_cause = errors(
    (lambda model: model.stream(window_s=0), "window_s is 0; accepted"),
    (lambda model: model.stream(hop_s=-0.1), "hop_s is -0.1"),
    (lambda model: model.stream(hop_s=np.nan), "hop_s is nan"),
    (lambda model: model.stream(window_s=np.inf), "window_s is inf"),
    (lambda model: model.stream(patience_s=-1), "patience_s is -1"),
    (lambda: refmer.Recognizer("openface_adaptive").stream(), "not fitted"),
    (
        lambda: refmer.Recognizer("leader_follower", epochs=1).fit(refmer.load_samples("recordings"), progress=False).stream(),
        "a regression without probabilities",
    ),
)
