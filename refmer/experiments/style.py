"""The look of all figures. Colours are those of Okabe and Ito, which colour-blind readers can tell apart."""

from matplotlib.figure import Figure

from refmer.data.files import replacing

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = "osD^vPX"


def look(i):
    """Colour and marker of the i-th row, the same in every figure."""
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKS[(i // len(COLOURS) + i) % len(MARKS)]}


def panels(size, rows=1, columns=1, **options):
    """(Figure of (width, height) inches, its axes (rows, columns)), without frame lines at the top and on the right."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def bars(ax, place, spreads, width, colour, label):
    """Bars of means with their standard deviations."""
    mean, sd = ([s[k] for s in spreads] for k in ("mean", "sd"))
    ax.bar(place, mean, width, yerr=sd, color=colour, capsize=2, label=label, error_kw={"elinewidth": 1})


def errorbar(ax, x, spreads, i, label):
    """Means joined by a line, with their standard deviations."""
    mean, sd = ([s[k] for s in spreads] for k in ("mean", "sd"))
    ax.errorbar(x, mean, yerr=sd, capsize=2, linewidth=1.5, markersize=5, label=label, **look(i))


def save(figure, path):
    """Write a PNG without a date or version inside: the same figure, the same bytes."""
    with replacing(path) as f:
        figure.savefig(f, format="png", dpi=150, metadata={"Software": None})
