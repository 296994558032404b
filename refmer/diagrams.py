"""Pictures of the data flow of the systems, in one style: a lane for each modality, boxes that join lanes, arrows."""

from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

COLOURS, JOINED = ("#cfe3f5", "#f9dcc4", "#d3ecd9"), "#ececec"  # of lanes, and of boxes that join them
WIDE, HIGH, ACROSS, DOWN = 1.36, 0.62, 1.76, 0.95  # of a box, and from one to the next


class Cross(NamedTuple):
    """A column of boxes that also read other lanes: pairs (lane that is read, lane of the reader)."""

    boxes: tuple
    reads: tuple


ALL = tuple((a, b) for a in range(3) for b in range(3) if a != b)
BOTH = ((0, 1), (1, 0))


def lanes(text, n=2):
    """The same box in every lane."""
    return (text,) * n


FLOWS = {  # system -> columns: a box for each lane (None: the lane passes, "": it ends), or one box that joins them
    "openface_adaptive": (
        ("face", "voice", "words"),
        lanes("mean over\nthe segment", 3),
        lanes("batch norm,\nlinear, ReLU", 3),
        ("gate", "gate", None),
        "Transformer\nover three\nnodes\n(3 layers)",
        "concatenate",
        "MLP",
        "classes",
    ),
    "of_cmaer_cat": (
        ("face", "voice", "body"),
        lanes("convolutional\nencoder", 3),
        Cross(lanes("cross-modal\nattention", 3), ALL),
        lanes("weight", 3),
        "Transformer\nover all\nweighted\nsteps",
        "mean of each\nmodality",
        "layer norm,\nMLP",
        "classes",
    ),
    "auxformer": (
        ("voice", "face", "voice", "face"),
        lanes("linear", 4),
        Cross((*lanes("cross encoder"), *lanes("encoder,\nthree times")), BOTH),
        (*lanes("encoder within,\nscaled residual"), None, None),
        lanes("token", 4),
        Cross(("main head", "", "shared head", "shared head"), ((1, 0),)),
        "mean of\nthree\nnetworks",
        "classes",
    ),
    "tlab_jca": (
        ("voice", "face"),
        lanes("windows,\nencoder"),
        ("TLAB: TCN,\nLSTM, attention", None),
        Cross((None, "AVGA: attends\nto positions"), ((0, 1),)),
        (None, "TLAB: TCN,\nLSTM, attention"),
        Cross(lanes("joint cross-\nattention"), BOTH),
        "BLSTM",
        "linear maps",
        "valence,\narousal",
    ),
    "raver": (
        ("voice", "face"),
        ("weighted sum\nof layers", "1x1\nconvolution"),
        lanes("summarizer:\nN learned\nqueries"),
        Cross(lanes("cross\nencoder"), BOTH),
        lanes("encoder"),
        lanes("statistics\npooling"),
        "MLP",
        "shares of\nvotes",
    ),
}


def draw(name):
    """Draw the data flow of a system.

    Parameters
    ----------
    name : str
        A system, e.g. "auxformer".

    Returns
    -------
    matplotlib.figure.Figure
    """
    columns, rows = FLOWS[name], len(FLOWS[name][0])
    figure = Figure(figsize=(1.4 * len(columns), 0.8 * rows + 0.2), layout="constrained")
    ax = figure.subplots()
    middle, right = DOWN * (rows - 1) / 2, dict.fromkeys(range(rows))  # lane -> right end of its last box
    for k, column in enumerate(columns):
        left = ACROSS * k - WIDE / 2
        if isinstance(column, str):
            joins = len(right) > 1
            for row, end in right.items():
                _arrow(ax, (end, DOWN * row if joins else middle), (left, DOWN * row if joins else middle))
            _box(ax, left, middle, HIGH + DOWN * (rows - 1) * joins, column, JOINED)
            right = {0: left + WIDE}
            continue
        boxes, reads = column if isinstance(column, Cross) else (column, ())
        if k:
            for row in filter(boxes.__getitem__, right):
                _arrow(ax, (right[row], DOWN * row), (left, DOWN * row))
            for a, b in reads:
                _arrow(ax, (left + WIDE - ACROSS, DOWN * a), (left, DOWN * b))
        for row, text in enumerate(boxes):
            if text:
                _box(ax, left, DOWN * row, HIGH, text, COLOURS[row if rows < 4 else row % 2])
        right = {row: left + WIDE if boxes[row] else end for row, end in right.items() if boxes[row] != ""}
    ax.set_xlim(-0.8, ACROSS * (len(columns) - 1) + 0.8)
    ax.set_ylim(DOWN * (rows - 0.5), -DOWN * 0.5)
    ax.set_axis_off()
    return figure


def _box(ax, left, y, high, text, colour):
    style = {"boxstyle": "round,pad=0.04", "facecolor": colour, "edgecolor": "0.35", "linewidth": 0.9}
    ax.add_patch(FancyBboxPatch((left, y - high / 2), WIDE, high, **style))
    ax.text(left + WIDE / 2, y, text, ha="center", va="center", fontsize=8)


def _arrow(ax, start, end):
    (x1, y1), (x2, y2) = start, end
    ax.add_patch(
        FancyArrowPatch((x1 + 0.05, y1), (x2 - 0.05, y2), arrowstyle="-|>", mutation_scale=8, color="0.35", linewidth=0.9)
    )
