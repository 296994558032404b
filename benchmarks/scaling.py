"""Growth of the time and memory of a training epoch with clips, frames and width: `python benchmarks --scaling`."""

import json
import multiprocessing
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import refmer
from memory import ResidentPeak
from refmer.data.files import check_writable, write_text
from refmer.data.inputs import Frames, joined
from refmer.experiments.style import look, panels, save
from refmer.systems import SYSTEMS, find
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


def run(systems=SYSTEMS, out=".", axes=AXES):
    """Measure the scaling of systems, and write scaling.json and scaling.png.

    Every point is measured in its own process, with one thread: tiny size of the system, its mini-batches, data of noise, all
    frames valid and attended to (`*fps` of its Config is None). Memory is the rise of resident memory in training plus the
    training data.

    Parameters
    ----------
    systems : iterable of str
    out : str or path
        An existing folder.
    axes : dict, optional
        As AXES. Frames are left out for the systems that do not read them.

    Returns
    -------
    str
        The table of the measurements.
    """
    path = Path(out) / "scaling"
    for system in systems:
        find(system)
    check_writable(path)
    points = [
        (axis, {"system": system, axis: value} | rest)
        for system in systems
        for axis, (values, rest) in axes.items()
        if axis != "frames" or system not in NO_FRAMES
        for value in values
    ]
    rows = {axis: [] for axis in axes}
    with tqdm(points, desc="scaling", unit="point", disable=None) as bar:
        for axis, point in bar:
            rows[axis].append(point | alone(point))
    hardware = {"machine": platform.machine(), "python": platform.python_version(), "numpy": np.__version__, "threads": 1}
    result = {"refmer": refmer.__version__, **hardware, "axes": rows}
    write_text(path.with_suffix(".json"), json.dumps(result, indent=1) + "\n")
    save(draw(rows), path.with_suffix(".png"))
    return table(rows)


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


def by_system(rows):
    """Return {system: its rows}."""
    return {system: [row for row in rows if row["system"] == system] for system in dict.fromkeys(row["system"] for row in rows)}


def draw(rows):
    """Return the log-log figure: a row of panels per quantity, a column per axis, a line per system."""
    figure, axes = panels((3.9 * len(rows) + 0.4, 6.8), len(QUANTITIES), len(rows), sharex="col", sharey="row")
    systems = list(dict.fromkeys(row["system"] for part in rows.values() for row in part))
    for column, axis in enumerate(rows):
        for (quantity, label), ax in zip(QUANTITIES.items(), axes[:, column], strict=True):
            for system, part in by_system(rows[axis]).items():
                points = [(row[axis], row[quantity] / UNITS[quantity]) for row in part if row[quantity] is not None]
                b = exponent(part, axis, quantity)
                if points:
                    name = system if b is None else f"{system} {b:.2f}"
                    ax.loglog(
                        *zip(*points, strict=True),
                        base=10,
                        linewidth=1.6,
                        markersize=5,
                        label=name,
                        **look(systems.index(system)),
                    )
            if ax.lines:
                ax.legend(frameon=False, loc="upper left", fontsize=7, title="exponent, upper half", title_fontsize=7)
            else:
                ax.text(0.5, 0.5, "measured on Linux only", ha="center", transform=ax.transAxes)
            ticks = sorted({row[axis] for row in rows[axis]})
            ax.set_xticks(ticks, map(str, ticks))
            ax.minorticks_off()
            ax.grid(color="0.92")
            if column == 0:
                ax.set_ylabel(label)
        axes[-1, column].set_xlabel(axis)
        rest = ", ".join(f"{k} {v}" for k, v in rows[axis][0].items() if k not in (axis, "system", *QUANTITIES))
        axes[0, column].set_title(f"at {rest}" if rest else "", loc="left", fontsize=9)
    figure.suptitle("A training epoch (tiny sizes, one thread)", fontweight="bold")
    return figure


def table(rows):
    """Return the points in columns, and the exponents under those of each system."""
    lines = []
    for axis in rows:
        for system, part in by_system(rows[axis]).items():
            lines.append(f"{system:20}{axis:>8}  {'seconds':>10}  {'MB':>8}")
            for row in part:
                memory = "-" if row["bytes"] is None else f"{row['bytes'] / 1e6:.1f}"
                lines.append(f"{row[axis]:>28}  {row['seconds']:>10.4f}  {memory:>8}")
            fits = ("-" if b is None else f"{b:.2f}" for b in (exponent(part, axis, q) for q in QUANTITIES))
            lines += ["{:>28}  {:>10}  {:>8}".format("exponent", *fits), ""]
    return "\n".join([*lines, "exponents: fitted to the upper half of each range, on logarithms"])
