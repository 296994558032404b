"""Pages of the systems, from their code and from what commands have measured, and the page of all claims."""

import inspect
import io
import json
import re
from collections import Counter
from importlib import import_module
from math import prod

import matplotlib

from refmer import diagrams, params
from refmer.count import example, products
from refmer.experiments import claims, compare, gates, mechanisms, sizes
from refmer.experiments.report import metrics_of, percent, plain
from refmer.systems import SYSTEMS, find

TITLES = {
    "openface_adaptive": ("OpenFace-Adaptive", "000"),
    "of_cmaer_cat": ("OF-CMAER-CAT", "001"),
    "auxformer": ("AuxFormer", "002"),
    "tlab_jca": ("TLAB-JCA", "003"),
    "raver": ("RAVER", "004"),
}

# module.function -> pairs of an equation and the beginning of the line that computes it
EQUATIONS = {
    "openface_adaptive": {
        "systems.openface_adaptive.node": (
            (r"n_m = \mathrm{BN}(\bar x_m)", "n, back_norm"),
            (r"u_m = n_m W_m + b_m", "u, back_project"),
            (r"r_m = \max(u_m, 0)", "r = relu"),
            (r"h_m = \alpha_m r_m,\quad \alpha_m = \sigma(s_m)\quad (2, 3)", "h, s, back_gate"),
            (r"dr_m = \alpha_m\, dh_m + \frac{\partial s_m}{\partial r_m} ds_m", "dr = back_gate"),
            (r"d\bar x_m = \mathrm{BN}'\bigl((dr_m [r_m > 0]) W_m^\top\bigr)", "return back_norm"),
        ),
        "systems.openface_adaptive.forward": (
            (r"H^{(0)} = [h_V, h_A, h_T]", "x = np.stack"),
            (r"z = \mathrm{concat}\, \mathrm{Layers}(H^{(0)})\quad (4)", "z, back_fuse"),
            (r"\ell = \mathrm{MLP}(z)", "logits, back_head"),
            (r"dH^{(0)} = \mathrm{Layers}'(\mathrm{MLP}'(d\ell))", "dx = back_fuse"),
        ),
    },
    "of_cmaer_cat": {
        "systems.of_cmaer_cat.forward": (
            (r"F_i = \mathrm{CNN}_i(M_i)\quad (1)", "encoded, back_encoders"),
            (r"f_i = \frac{1}{T_i} \sum_t F_{it}\quad (2)", "means, back_means"),
            (r"F^a_i = \mathrm{CMAA}(F_i, \{F_j\}_{j \ne i})\quad (3\text{-}7)", "aligned, back_align"),
            (
                r"\tilde w = \mathrm{softmax}(\dots),\quad h = \sum_i \tilde w_i \bar F^a_i\quad (8\text{-}11)",
                "pooled, back_weigh",
            ),
            (r"\ell = \mathrm{head}(z_V, z_A, z_P)\quad (20\text{-}22)", "logits, back_classify"),
            (r"dh,\ d\tilde w,\ dF^a \leftarrow d\ell", "dh, dw, daligned"),
            (r"dF_i \leftarrow dh,\ d\tilde w", "dencoded, dpooled"),
            (r"dM_i = \mathrm{CNN}_i'(dF_i^{w} + dF_i^{a} + dF_i^{f})", "return back_encoders"),
        ),
    },
    "auxformer": {
        "systems.auxformer.forward": (
            (r"z^a = x^a W^a,\quad z^v = x^v W^v", "audio, visual, back"),
            (r"\ell_{av} = \mathrm{head}([s^a, s^v])\quad (2\text{-}5)", "av, back_av"),
            (r"\ell_a = \mathrm{head}'(\mathrm{token}(\mathrm{Enc}_a^3(z^a)))", "a, back_a"),
            (r"\ell_v = \mathrm{head}'(\mathrm{token}(\mathrm{Enc}_v^3(z^v)))", "v, back_v"),
            (r"\ell = \tfrac13 (\ell_{av} + \ell_a + \ell_v)", "logits, back_mean"),
            (r"d\ell_n \mathrel{+}= \tfrac13 d\ell", "dav, da, dv"),
            (r"dz^a, dz^v \leftarrow d\ell_{av}", "daudio, dvisual"),
            (r"dx = (dz^{av} + dz^{aux}) W^\top", "return back("),
        ),
    },
    "tlab_jca": {
        "systems.tlab_jca.forward": (
            (r"A = \mathrm{TLAB}(X_a)\quad (1\text{-}6)", "a, back_a"),
            (r"X_v = \sum_n a_n V_n,\quad a = \mathrm{AVGA}(V, A)\quad (7)", "x, back_avga"),
            (r"V = \mathrm{TLAB}(X_v)", "v, back_v"),
            (r"F_a, F_v = \mathrm{JCA}(A, V)\quad (8\text{-}11)", "(fa, fv), back_fuse"),
            (r"h = \mathrm{BLSTM}([F_v, F_a])\quad (12\text{-}13)", "h, back_join"),
            (r"y = \mathrm{head}(h)\quad (14)", "y, back_head"),
            (r"dh \leftarrow dy", "dh = back_gather"),
            (r"dF_v, dF_a \leftarrow dh", "dfv, dfa"),
            (r"dA, dV \leftarrow dF_a, dF_v", "da2, dv2"),
            (r"dV_n, dA \leftarrow dX_v", "dface, da3"),
        ),
    },
    "raver": {
        "systems.raver.features": (
            (r"z_t = \sum_l \mathrm{softmax}(w)_l\, x_{tl}", "z, back_layers"),
            (r"y_t = z_t W + b", "y, back_project"),
        ),
        "systems.raver.learned_summary": ((r"c = \mathrm{Decoder}(Q, y)\quad (1, 2)", "c, back = learned_context"),),
        "systems.raver.forward": (
            (r"h_m = \mathrm{ASP}(\mathrm{Enc}(\mathrm{Cross}(c_m, c_{other})))", "h[m], back_h[m]"),
            (r"\ell = \mathrm{MLP}([h_a, h_v])", "logits, back_head"),
            (r"dh_a, dh_v \leftarrow d\ell", "dh = dict"),
            (r"dc_m,\ dc_{other} \leftarrow dh_m", "dx, dmemory"),
            (r"dc_m = dc_m^{query} + dc_m^{memory}", "dc[m], dc[other] ="),
        ),
    },
}


COMMANDS = {
    "compare": "refmer compare --seeds 5",
    "mechanisms": "refmer mechanisms --seeds 5",
    "claims": "refmer claims --seeds 5",
}


def texts(root):
    """Return {file: text} of the folder of the pages."""
    published = sizes.sizes()
    measured = {name: json.loads((root / f"docs/measured/{name}.json").read_text()) for name in COMMANDS}
    drawn = gates.draw(measured["compare"]) | mechanisms.draw(measured["mechanisms"]) | claims.draw(measured["claims"])
    figures = {name: diagrams.draw(name) for name in SYSTEMS} | drawn
    pages = {name: page(root, name, published[name], measured) for name in SYSTEMS}
    pages |= {"index": index(), "claims": all_claims(measured["claims"])}
    return {f"{name}.md": text for name, text in pages.items()} | {f"{name}.svg": svg(x) for name, x in figures.items()}


def svg(figure):
    """Return a figure as SVG: the same figure, the same text."""
    image = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "refmer"}):
        figure.savefig(image, format="svg", metadata={"Date": None})
    return image.getvalue().decode()


def index():
    links = "\n".join(f"- [{title}]({name}.md), paper {paper}" for name, (title, paper) in TITLES.items())
    contents = "\n".join([*TITLES, "claims"])
    return f"""# The five systems

{links}
- [what the papers claim and what holds here](claims.md), every claim with its numbers

```{{toctree}}
:hidden:

{contents}
```
"""


def all_claims(result):
    return f"{claims.markdown(result)}\nThis page is `results.md` of `{COMMANDS['claims']}`.\n"


def page(root, name, size, measured):
    module, (title, paper) = import_module(f"refmer.systems.{name}"), TITLES[name]
    lessons = sorted(path.stem for path in (root / "tutorials").glob(f"[0-9][0-9]_{name}*.py"))
    read = " and ".join(f"[tutorial {stem[:2]}](../tutorials/{stem}.ipynb)" for stem in lessons)
    total = f"{size['parameters']:,}" + ("" if size["published"] is None else f" (published: {size['published']:,})")
    return f"""# {title}

{module.__doc__.splitlines()[0]} Source: `refmer/systems/{name}.py`; derived in {read}; where paper,
authors' code and refmer differ: [deviations](../deviations.md).

## Data flow

![{title}: boxes and arrows from the inputs to the answer]({name}.svg)

## Equations beside the code

Numbers in brackets are those of paper {paper}. Each line of code stands in the function above it, its backward below it.

{"".join(beside(function, pairs) for function, pairs in EQUATIONS[name].items())}
## Published size

{total} parameters (`refmer params`). For one published clip {size["macs"] / 1e6:,.1f} million multiply-accumulates and
{size["memory_bytes"] / 1e6:,.1f} MB of input, activations and weights.

| part | parameters | million multiply-accumulates | shape of its last product |
|---|---:|---:|---|
{parts_of(name)}

## What the tiny system scores here

Mean and standard deviation over five seeds, beside a linear model of the same streams and with broken inputs
(`{COMMANDS["compare"]}`).

{scores_of(name, measured["compare"])}

## The mechanism

{mechanism(paper, measured["mechanisms"])}

## What the paper claims, and what holds here

The corpus is synthetic and the system tiny: a verdict speaks of the mechanism, not of the published number. [All contrasts with
their numbers](claims.md); made by `{COMMANDS["claims"]}`.

{claims.table_of_verdicts([x for x in measured["claims"]["claims"] if x["id"].startswith(paper)])}

![Effects of every contrast of paper {paper} with their intervals](claims-{paper}.svg)
"""


def mechanism(paper, measured):
    """The figure of the mechanism, what it shows, and its numbers."""
    if paper == "000":
        about = f"""The gates of face and voice while the face is covered (2 to 3 s) and the voice is noisy (4 to 5 s), for two
trainings (`{COMMANDS["compare"]}`)."""
        return f"{about}\n\n![Both gates over time, for two trainings](gates.svg)"
    about = f"{mechanisms.PAPERS[paper].NOTE} An effect above 0 says that it does what it is for (`{COMMANDS['mechanisms']}`)."
    numbers = mechanisms.table_of_numbers(measured["papers"][paper]["numbers"])
    return f"{about}\n\n![The mechanism of paper {paper} beside its control](mechanism-{paper}.svg)\n\n{numbers}"


def parts_of(name):
    """The table of parts, such as `audio.encode`: parameters, products of one published clip."""
    system = find(name)
    config = system.Config.paper()
    parameters, macs, shape = Counter(), Counter(), {}
    for path, leaf in params.walk(system.describe(config)):
        parameters[part_of(path)] += prod(leaf.shape)
    for x in products(system, config, example(system, config)):
        macs[part_of(x.path)] += x.macs
        shape[part_of(x.path)] = " x ".join(map(str, x.shape[1:] if x.shape[0] == 1 else x.shape))
    work = {part: f"{macs[part] / 1e6:,.2f}" if macs[part] else "-" for part in parameters}
    return "\n".join(f"| `{part}` | {n:,} | {work[part]} | {shape.get(part, '-')} |" for part, n in parameters.items())


def part_of(path):
    """The first two names of the path of a weight, without those of single arrays."""
    return ".".join([name for name in path.split(".") if name not in ("W", "b", "gamma", "beta")][:2])


def beside(function, pairs):
    """A function: its equations on the left, the lines that compute them on the right."""
    module, _, attribute = function.rpartition(".")
    source = inspect.getsource(getattr(import_module(f"refmer.{module}"), attribute))
    rows = "".join(
        f":::{{container}} equation\n$${equation}$$\n:::\n:::{{container}} line\n```python\n{line(source, start)}\n```\n:::\n"
        for equation, start in pairs
    )
    return f"`refmer.{function}`\n\n::::{{container}} beside\n{rows}::::\n\n"


def line(source, start):
    """Return the line of a function that begins so, without its comment."""
    found = [text.strip() for text in source.splitlines() if text.strip().startswith(start)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} lines begin with {start!r}; expected: one")
    return re.sub(r"  # .*", "", found[0])


def scores_of(name, measured):
    """The table of the rows of a system."""
    lines, columns = [], measured["columns"]
    for target, task in measured["tasks"].items():
        (headline, metric), show = next(iter(metrics_of(task["task"], task["classes"]).items())), percent
        if task["task"] == "regression":
            show = plain
        for row in task["streams"]:
            if row.partition("@")[0] == name:
                cells = [compare.entry(task["rows"][row][c], headline, show) for c in columns]
                lines.append(f"| {row}: {target}, {metric} | {show(task['own_linear'][row][headline])} | {' | '.join(cells)} |")
    return f"| row | linear, clean | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}\n" + "\n".join(lines)
