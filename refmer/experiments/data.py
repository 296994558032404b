"""The data of experiments: the synthetic corpora, or those that the user names, and the label that is learned."""

import warnings
from dataclasses import replace
from textwrap import shorten

from refmer.data.corpora import read_data
from refmer.data.inputs import SENSES
from refmer.data.read import load_samples

BUNDLED = {"sentiment": "clips", "emotion": "clips", "votes": "clips", "affect": "recordings"}  # label -> corpus
SPEAKERS = {"clips": 200, "recordings": 80}  # of experiments


def corpus_of(label):
    """The bundled corpus ("clips" or "recordings") that has a label."""
    if label not in BUNDLED:
        raise ValueError(f"label is {label!r}; accepted: {', '.join(BUNDLED)} of the bundled corpus, or others with data")
    return BUNDLED[label]


def corpus_with(corpora, label):
    """The first of {name: Clips} that has a label."""
    return next(name for name, clips in corpora.items() if label in clips.labels)


def load_corpora(rows, quick=False, speakers=None):
    """{"clips": Clips, "recordings": Clips} of so many speakers, as far as the rows need them; `quick`: the bundled ones."""
    needed = sorted({corpus_of(changes["target"]) for _, changes in rows.values()})
    default = {} if quick else SPEAKERS
    return {kind: load_samples(kind, default.get(kind) if speakers is None else speakers) for kind in needed}


def load(own, data=None, label=None, groups=None):
    """Clips that have the label to learn, and its name: `label`, else the only one of `data`, else a system's `own`.

    data: NAME:PATH, default: the bundled corpus; groups: as `Clips.groups` accepts them, to be the speakers of the result.
    """
    if data is None:
        label = own if label is None else label
        clips = load_samples(corpus_of(label))
    else:
        clips = read_data(data)
        only = next(iter(clips.labels)) if len(clips.labels) == 1 else own
        label = chosen(clips.labels, only if label is None else label)
        clips = labelled(clips, label)
    return clips if groups is None else replace(clips, speaker=clips.groups(groups)), label


def chosen(labels, label):
    """Return a label's name; ValueError if it is none of the labels."""
    if label not in labels:
        accepted = ", ".join(f"{name} ({x.kind})" for name, x in labels.items()) or "data with labels"
        raise ValueError(f"label is {label!r}, which these data lack; accepted: {accepted}")
    return label


def labelled(clips, label):
    """The clips that have a label; a warning counts the others."""
    present = clips.labels[label].present
    present = present.any(1) if present.ndim > 1 else present
    if not present.all():
        warnings.warn(f"{(~present).sum()} of {len(clips)} clips have no {label} and are left out", stacklevel=3)
    return clips if present.all() else clips[present]


def sensed(clips, streams):
    """Clips whose streams have the sense of the modality for which the user chose them, where their own is only their name."""
    senses = {name: SENSES[m] for m, names in streams.items() for name in ([names] if isinstance(names, str) else names)}
    own = [name for name, s in clips.streams.items() if s.sense == name and name in senses]
    return clips.with_streams(**{name: replace(clips.streams[name], sense=senses[name]) for name in own})


def origin_of(sources):
    """The sources of data in few words."""
    if all(map(is_synthetic, sources)):
        return "synthetic corpus"
    return shorten("; ".join(sources), 80, placeholder=" ...")


def is_synthetic(source):
    """True of the bundled corpora and of `refmer.synthesize`."""
    return source.startswith("synthetic corpus of refmer")
