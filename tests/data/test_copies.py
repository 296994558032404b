"""Corrupted copies of training clips and the states of their sensors."""

from dataclasses import replace

import numpy as np

from refmer.data.clips import Clips, Stream
from refmer.data.copies import KINDS, LEAST, copies
from refmer.data.gaps import extent

NAMES = {"visual": ("units",), "audio": ("prosody", "mfcc")}


def made(clips, names=NAMES, **options):
    own = replace(clips, streams={k: clips.streams[k] for ks in (*names.values(), ("words",)) for k in ks})
    return list(copies(own, names, 0, **options))


def test_each_copy_has_one_broken_sensor_and_every_clip_and_state_occurs_equally_often(clips):
    parts = made(clips)
    _, counts = np.unique([name for part, _ in parts for name in part.name], return_counts=True)
    assert len(counts) == len(clips) and counts.sum() == LEAST and np.ptp(counts) <= 1
    assert {m: {s[m] for _, s in parts} for m in NAMES} == {
        m: {1.0} | {KINDS[k] for k in KINDS if k[0] != other} for m, other in (("visual", "white"), ("audio", "hand"))
    }
    for part, states in parts:
        assert list(states.values()).count(1.0) == 1
        rows = [clips.name.tolist().index(name) for name in part.name]
        for modality, names in NAMES.items():
            for name in names:
                s, t = part.streams[name], clips.streams[name][rows]
                same = np.array_equal(np.where(s.mask[..., None], s.x, 0), np.where(s.mask[..., None], t.x, 0)) and s.mask.any()
                assert same == (states[modality] == 1)


def test_half_of_them_are_cut_to_half_a_second(clips):
    whole, cut = made(clips, cut=False), made(clips)
    assert all((p.streams["words"].mask == clips[np.isin(clips.name, p.name)].streams["words"].mask).any() for p, _ in whole)
    frames = np.concatenate([extent(p.streams["prosody"].mask).any(1) * p.streams["prosody"].mask.sum(1) for p, _ in cut])
    assert 0.3 < np.isin(frames, (25,)).mean() < 0.6 and (frames[frames != 25] > 25).mean() > 0.5


def test_clips_of_vectors_have_the_kinds_that_apply():
    rng = np.random.default_rng(0)
    clips = Clips({k: Stream(rng.normal(size=(30, 4)), sense=s) for k, s in (("a", "face"), ("v", "voice"))})
    states = {s["visual"] for _, s in copies(clips, {"visual": ("a",), "audio": ("v",)}, 0)}
    assert states == {1.0, 0.0} | {x for (kind, _), x in KINDS.items() if kind == "gaussian"}
    assert all(part.streams["v"].mask.any(1).all() for part, s in copies(clips, {"audio": ("v",)}, 0) if s["audio"])
