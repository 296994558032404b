"""Tables and headings of the reports: functions of the results alone."""

from dataclasses import replace

import numpy as np

from refmer.experiments.data import corpus_with, is_synthetic, origin_of
from refmer.experiments.rows import streams_read
from refmer.experiments.run import VERSIONS

OF_CLASSES = {"uar": "UAR", "weighted_f1": "weighted F1", "macro_f1": "macro F1"}
PARTS = ("training", "development", "test")
METRICS = {  # per kind of label, the headline first
    "classes": {"accuracy": "accuracy"} | OF_CLASSES,
    "ordinal": {"accuracy": "accuracy", "acc2_has0": "Acc-2 (0 is positive)", "acc2_non0": "Acc-2 (without 0)"} | OF_CLASSES,
    "votes": {"macro_f1": "macro F1", "micro_f1": "micro F1", "sample_precision": "sample precision"},
    "regression": {"ccc": "mean CCC"},
}


def metrics_of(task, classes):
    """{key: name} of the metrics of a kind of label, the headline first; accuracy in seven levels is called Acc-7."""
    if task == "ordinal":
        return METRICS[task] | {"accuracy": f"Acc-{len(classes)}"}
    if task == "regression":
        return METRICS[task] | {f"ccc_{name}": f"CCC {name}" for name in classes} if len(classes) > 1 else {"ccc": "CCC"}
    return METRICS[task]


def provenance(setup):
    """The origin of the numbers in every results.json."""
    data = {}
    for kind, c in setup.corpora.items():
        bare = replace(c, streams={})
        parts = [setup.plan.split(bare, seed) for seed in range(setup.plan.seeds)]
        data[kind] = {"source": c.source, "checksum": setup.data[kind], "clips": len(c), "speakers": len(np.unique(c.speaker))}
        data[kind] |= {name: list(map(len, of)) for name, of in zip(PARTS, zip(*parts, strict=True), strict=True)}
    return {
        "data": data,
        "versions": VERSIONS,
        "protocol": setup.protocol,
        "by": setup.plan.by,
        "seeds": list(range(setup.plan.seeds)),
    }


def provenance_of_rows(setup, results):
    """`provenance` of rows of one target, with the senses that each row reads."""
    tested = {cell["seed"]: result["n"] for cell, result in results}
    return provenance(setup) | {
        "test_clips": [tested[seed] for seed in sorted(tested)],
        "target": setup.target,
        "task": setup.label.kind,
        "classes": list(setup.label.names),
        "rows": {row: {"system": s, "config": c, "senses": senses(setup, s, c)} for row, (s, c) in setup.rows.items()},
    }


def streams(setup, system, changes):
    """Names of the streams that a system reads, in the order of the clips."""
    clips = setup.corpora[corpus_with(setup.corpora, changes["target"])]
    read = {name for names in streams_read(system, changes, clips, setup.streams).values() for name in names}
    return tuple(name for name in clips.streams if name in read)


def senses(setup, system, changes):
    """The senses that a system reads, sorted."""
    clips = setup.corpora[corpus_with(setup.corpora, changes["target"])]
    return sorted({clips.streams[name].sense for name in streams(setup, system, changes)})


def gather(results, *keys):
    """{row: {cell[key], or a tuple of several: [result of each seed]}}, from cells that come in the order of seeds."""
    rows = {}
    for cell, result in results:
        name = cell[keys[0]] if len(keys) == 1 else tuple(cell[key] for key in keys)
        rows.setdefault(cell["row"], {}).setdefault(name, []).append(result)
    return rows


def preface(title, result):
    """The head of every results.md."""
    n = len(result["seeds"])
    over = f"mean ± standard deviation over {n} seeds, shared by all rows" if n > 1 else "one seed"
    return f"""# {title}

{sources(result)}

{SYNTHETIC if synthetic(result) else ""}Protocol {result["protocol"]}, split by {result["by"]}, {over}.
"""


def sources(result):
    """The corpora of a result, a line each, with the numbers of clips in each part."""
    lines = []
    for kind, d in result["data"].items():
        parts = ", ".join(f"{counts(d[part])} {part}" for part in PARTS)
        about = f"{d['clips']} clips, {d['speakers']} speakers: {parts}; checksum {d['checksum']}"
        lines.append(f"- {kind}: {d['source']} ({about})")
    return "\n".join(lines)


SYNTHETIC = """\
The data are **synthetic**: the numbers compare mechanisms, they say nothing about real people and are not the published ones.
"""


def synthetic(result):
    """True if all data of a result are."""
    return all(is_synthetic(d["source"]) for d in result["data"].values())


def origin(result):
    """The sources of the data of a result in few words."""
    return origin_of([d["source"] for d in result["data"].values()])


def preface_of_rows(title, result):
    """`preface` of rows of one target, with the senses that each row reads."""
    rows = "\n".join(f"- {row}: reads {', '.join(about['senses'])}" for row, about in result["rows"].items())
    return f"""{preface(title, result)}Target {result["target"]}; test clips: {", ".join(map(str, result["test_clips"]))}.
Each seed has its own split and its own draw of what is disturbed, the same for all rows.

{rows}
"""


def percent(value, signed=False):
    """ "41.2 ± 1.0" of a spread in [0, 1]; without a standard deviation, "41.2"."""
    text = f"{100 * value['mean']:{'+' if signed else ''}.1f}"
    return text if value["sd"] is None else f"{text} ± {100 * value['sd']:.1f}"


def plain(value, digits=2):
    """ "0.41 ± 0.01" of a spread."""
    return f"{value['mean']:.{digits}f}" + ("" if value["sd"] is None else f" ± {value['sd']:.{digits}f}")


def counts(n):
    """ "48", or "48 to 72" of several numbers."""
    return f"{min(n)}" if min(n) == max(n) else f"{min(n)} to {max(n)}"


def measured(result):
    """ "3 seeds, 48 to 72 test clips each"."""
    n = result["test_clips"]
    return f"{len(n)} seeds, {counts(n)} test clips each" if len(n) > 1 else f"one seed, {counts(n)} test clips"
