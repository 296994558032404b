"""Growth of the time and memory of a training epoch with clips, frames and width: `python benchmarks --scaling`."""

import json
import multiprocessing
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import refmer
from memory import ResidentPeak
from refmer.data.files import check_writable, write_text
from refmer.data.inputs import Frames, joined
from refmer.experiments.style import COLOURS, MARKS, save
from refmer.systems import find
from refmer.train.fit import fit, take
from refmer.train.recipes import RECIPES

AXES = {  # values of one size, while the others stay
    "clips": ((32, 64, 128, 256, 512, 1024, 2048), {"frames": 16}),
    "frames": ((16, 32, 64, 128, 256, 512), {"clips": 8}),
    "width": ((8, 16, 32, 64, 128, 256), {"clips": 32, "frames": 16}),
}
NO_FRAMES = ("openface_adaptive", "tlab_jca")  # read means of clips; windows of a fixed number of steps
EPOCHS = 4  # the first is left out
QUANTITIES = {"seconds": "CPU time of an epoch (s)", "bytes": "peak memory (MB)"}
UNITS = {"seconds": 1, "bytes": 1e6}


def run(system="auxformer", out=".", axes=None):
    """Measure the scaling of a system, and write scaling-SYSTEM.json and scaling-SYSTEM.png.

    Every point is measured in its own process, with one thread: tiny size of the system, its mini-batches, data of noise, all
    frames valid and attended to (`*fps` of its Config is None). Memory is the rise of resident memory in training plus the
    training data.

    Parameters
    ----------
    system : str
    out : str or path
        An existing folder.
    axes : dict, optional
        As AXES. Default: those that apply to the system.

    Returns
    -------
    str
        The table of the measurements.
    """
    find(system)
    path = Path(out) / f"scaling-{system}"
    check_writable(path)
    axes = axes or {axis: AXES[axis] for axis in AXES if axis != "frames" or system not in NO_FRAMES}
    points = [(axis, {"system": system, axis: value} | rest) for axis, (values, rest) in axes.items() for value in values]
    rows = {axis: [] for axis in axes}
    with tqdm(points, desc=f"scaling of {system}", unit="point", disable=None) as bar:
        for axis, point in bar:
            rows[axis].append(point | alone(point))
    hardware = {"machine": platform.machine(), "python": platform.python_version(), "numpy": np.__version__, "threads": 1}
    result = {"system": system, "refmer": refmer.__version__, **hardware, "axes": rows}
    result["exponents"] = {axis: {q: exponent(part, axis, q) for q in QUANTITIES} for axis, part in rows.items()}
    write_text(path.with_suffix(".json"), json.dumps(result, indent=1) + "\n")
    save(draw(result), path.with_suffix(".png"))
    return table(result)


def alone(point):
    """Run `measure` in a new process, so that its memory is that of the measurement alone."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, point).result()


def measure(point):
    """Return the median CPU time of an epoch, and the peak memory of training (None if it cannot be measured)."""
    with threadpool_limits(1):
        train(**point | {"clips": 2, "frames": 4}, epochs=1)  # loads or compiles the kernels
        return train(**point, epochs=EPOCHS)


def train(system, clips, frames, epochs, width=None):
    """Train on noise, with one clip as the development set; return {"seconds": of an epoch, "bytes": of memory}."""
    module = find(system)
    config, batch = noise(module, clips, frames, {} if width is None else {"width": width})
    recipe = replace(RECIPES[module.RECIPE]["tiny"], epochs=epochs, patience=epochs)
    ends = []
    with ResidentPeak() as peak:
        fit(module, config, batch, take(batch, slice(1)), recipe, 0, lambda entry: ends.append(time.process_time()))
    data = sum(x.nbytes for x in batch.values())
    return {
        "seconds": float(np.median(np.diff(ends))) if epochs > 1 else None,
        "bytes": peak.bytes + data if np.isfinite(peak.bytes) else None,
    }


def noise(module, clips, frames, changes):
    """Return (Config, batch) of so many clips of so many frames, streams as wide as those of the bundled corpus."""
    rng, fields = np.random.default_rng(0), module.Config.__dataclass_fields__
    config = module.Config.tiny(**changes | {name: None for name in fields if name.endswith("fps")})
    config = replace(config, task="classes", **({"over_time": False} if "over_time" in fields else {}))
    valid = np.ones((clips, frames), bool)
    samples, streams = refmer.load_samples()[:1].streams, {}
    for modality, names in module.modalities(config).items():
        frame = joined([samples[name] for name in names]).x.shape[2:]
        streams[modality] = Frames(rng.standard_normal((clips, frames, *frame), np.float32), valid, 25.0)
    config = replace(config, **module.widths(streams, config), classes=6)
    labels = {"target": np.eye(6, dtype=np.float32)[np.arange(clips) % 6], "class_count": np.full(6, clips / 6, np.float32)}
    return config, module.inputs(streams, config) | labels


def exponent(rows, axis, quantity):
    """Return b of quantity = a axis^b, fitted to the logarithms of the upper half of the range; None if values are missing."""
    x, y = (np.array([row[key] for row in rows], float) for key in (axis, quantity))
    upper = x >= np.sqrt(x.min() * x.max())
    if upper.sum() < 2 or not np.isfinite(y[upper]).all() or not (y[upper] > 0).all():
        return None
    return float(np.polyfit(np.log(x[upper]), np.log(y[upper]), 1)[0])


def draw(result):
    """Return the log-log figure: a row of panels per quantity, a column per axis."""
    axes = result["axes"]
    figure = Figure(figsize=(3.6 * len(axes) + 0.4, 6.4), layout="constrained")
    panels = figure.subplots(len(QUANTITIES), len(axes), squeeze=False, sharex="col", sharey="row")
    for column, (axis, rows) in enumerate(axes.items()):
        for (quantity, label), ax in zip(QUANTITIES.items(), panels[:, column], strict=True):
            points = [(row[axis], row[quantity] / UNITS[quantity]) for row in rows if row[quantity] is not None]
            b = result["exponents"][axis][quantity]
            fitted = "" if b is None else f"upper half: {axis}$^{{{b:.2f}}}$"
            look = {"color": COLOURS[column], "marker": MARKS[column]}
            if points:
                ax.loglog(*zip(*points, strict=True), base=10, linewidth=1.8, markersize=6, label=fitted or None, **look)
                fitted and ax.legend(frameon=False, loc="upper left")
            else:
                ax.text(0.5, 0.5, "measured on Linux only", ha="center", transform=ax.transAxes)
            ax.set_xticks([row[axis] for row in rows], [f"{row[axis]}" for row in rows])
            ax.minorticks_off()
            ax.grid(color="0.92")
            ax.spines[["top", "right"]].set_visible(False)
            if column == 0:
                ax.set_ylabel(label)
        panels[-1, column].set_xlabel(axis)
        rest = ", ".join(f"{k} {v}" for k, v in rows[0].items() if k not in (axis, "system", *QUANTITIES))
        panels[0, column].set_title(f"at {rest}" if rest else "", loc="left", fontsize=9)
    figure.suptitle(f"A training epoch of {result['system']} (tiny, one thread)", fontweight="bold")
    return figure


def table(result):
    """Return the points in columns, and a line of exponents under each axis."""
    lines = []
    for axis, rows in result["axes"].items():
        lines.append(f"{axis:>12}  {'seconds':>10}  {'MB':>8}")
        for row in rows:
            memory = "-" if row["bytes"] is None else f"{row['bytes'] / 1e6:.1f}"
            lines.append(f"{row[axis]:>12}  {row['seconds']:>10.4f}  {memory:>8}")
        fits = ("-" if b is None else f"{b:.2f}" for b in result["exponents"][axis].values())
        lines += ["{:>12}  {:>10}  {:>8}".format("exponent", *fits), ""]
    return "\n".join([*lines, "exponents: fitted to the upper half of each range, on logarithms"])
