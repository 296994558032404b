"""The papers' claims: every line of the table, tested over seeds, next to the published figure.

The corpus is synthetic and the systems are tiny: a verdict is about the mechanism, not about the published number.
"""

import sys

import numpy as np

from refmer import systems
from refmer.count import count, example
from refmer.evaluate.statistics import verdicts
from refmer.experiments import report
from refmer.experiments.claims.figures import draw  # noqa: F401
from refmer.experiments.claims.measures import CONDITIONS, measure  # noqa: F401
from refmer.experiments.claims.models import CHEAP, ROWS
from refmer.experiments.claims.table import CLAIMS
from refmer.experiments.data import corpus_of, corpus_with
from refmer.text import table

BUNDLED = {"clips": 288, "recordings": 36}  # clips of the corpora on which the seconds of ROWS were measured
ORDER = ("holds", "reversed", "undecided", "not tested")


def rows(quick, ids=None):
    """The models of the claims `ids` (("000-a", ...); None: all); with `quick` those of the cheap half."""
    return {row: (ROWS[row].system, ROWS[row].changes) for row in needed(quick, ids)}


def left_out(quick):
    """The rows that are not trained: claims that need them are "not tested"."""
    return set(ROWS) - CHEAP if quick else set()


def needed(quick, ids=None):
    """{row: [conditions]} of the claims that are tested."""
    return needs([line for line in chosen(ids) if not left_out(quick) & set(needs([line]))])


def chosen(ids):
    """The lines of the claims `ids`; of all for None."""
    unknown = set(ids or ()) - {line.id for line in CLAIMS}
    if unknown:
        accepted = ", ".join(sorted({line.id for line in CLAIMS}))
        raise KeyError(f"no claim is called {', '.join(sorted(unknown))}; accepted: {accepted}")
    return [line for line in CLAIMS if ids is None or line.id in ids]


def needs(lines):
    """{row: [conditions]} of all scores that the contrasts of some lines read, in the order of the table."""
    scores = [score for line in lines for contrast in line.contrasts.values() for score in contrast.scores]
    return {
        row: list(dict.fromkeys(s.condition for s in scores if s.row == row)) for row in dict.fromkeys(s.row for s in scores)
    }


def trainings(setup):
    """Yield each row with the conditions and probes that its claims need; print the expected time first."""
    print(expected(setup), file=sys.stderr)
    for row, conditions in needed(setup.quick, **setup.options).items():
        kinds = [
            {"kind": "scores", "column": c, "corruptions": CONDITIONS[c]} if c in CONDITIONS else {"kind": "probe", "column": c}
            for c in conditions
        ]
        yield row, setup.rows[row], kinds


def summary(setup, results):
    """Every claim with its contrasts and verdicts."""
    values = {}  # (row, condition, name): the value of each seed
    for c, result in sorted(results, key=lambda pair: pair[0]["seed"]):
        for name, value in result.items():
            values.setdefault((c["row"], c["column"], name), []).append(value)
    values = {key: np.array(v) for key, v in values.items()}
    origin = report.provenance(setup)
    lines = chosen(setup.options.get("ids"))
    return {k: origin[k] for k in ("data", "versions", "seeds")} | {
        "quick": setup.quick,
        "models": len(setup.rows),
        "claims": [judge(line, values, left_out(setup.quick), setup.plan) for line in lines],
    }


def judge(line, values, untrained, plan):
    """One line of results.json: the claim, its contrasts with their verdicts, and the verdict of all of them together.

    A line holds if all its contrasts hold, and is reversed if any of them is. p-values are adjusted over its contrasts.
    """
    claim = {"id": line.id, "place": line.place, "claim": line.text, "published": line.published}
    claim |= {"direction": line.direction, "margin": line.margin, "note": line.note.format(ratio=macs_ratio())}
    missing = [row for row in needs([line]) if row in untrained]
    if missing or not line.contrasts:
        reason = f"needs {', '.join(missing)}: left out of --quick" if missing else claim["note"]
        return claim | {"verdict": "not tested", "note": reason, "contrasts": {}}
    effects = {name: x.function(*(values[score] for score in x.scores)) for name, x in line.contrasts.items()}
    each = verdicts(effects, line.margin, line.direction, plan.test_per_train)
    return claim | {"verdict": together([x["verdict"] for x in each.values()]), "contrasts": each}


def together(each):
    """The verdict of a line, from the verdicts of its contrasts."""
    if "reversed" in each:
        return "reversed"
    return "holds" if set(each) == {"holds"} else "undecided"


def macs_ratio():
    """Multiply-accumulates of AuxFormer over those of MulT: one published clip, forward, at the published sizes."""
    both = [(system, system.Config.paper()) for system in map(systems.find, ("auxformer", "mult"))]
    ours, theirs = (count(system, config, example(system, config))[0] for system, config in both)
    return ours / theirs


def expected(setup):
    """The expected run time, in words, from the seconds in models.ROWS; a busy machine takes longer."""
    seconds = 0
    for row, (_, changes) in setup.rows.items():
        label = changes["target"]
        seconds += ROWS[row].seconds * len(setup.corpora[corpus_with(setup.corpora, label)]) / BUNDLED[corpus_of(label)]
    minutes = max(seconds * setup.plan.seeds / setup.jobs / 60, 0.1)
    return f"{len(setup.rows)} models x {setup.plan.seeds} seeds, {setup.jobs} at a time: about {minutes:.1f} minutes"


def markdown(result):
    """results.md: the verdicts, then every contrast."""
    lines = result["claims"]
    counts = ", ".join(f"{sum(x['verdict'] == v for x in lines)} {v}" for v in ORDER)
    head = ["claim", "contrast", "effect", "95 % interval", "claimed, margin", "p", "p reversed", "detectable", "verdict"]
    each = [[x["id"], name, *entries(e, x)] for x in lines for name, e in x["contrasts"].items()]
    return f"""# The papers' claims

{report.sources(result)}

The data are **synthetic** and the systems tiny: a verdict speaks of the mechanism, not of the published number.
{result["models"]} models, {len(result["seeds"])} seeds{" (--quick)" if result["quick"] else ""}; {len(lines)} lines: {counts}.
A line holds if all its contrasts hold and is reversed if any is.

{table_of_verdicts(lines)}

## Contrasts

Effects are paired by seed, in the unit of the score (0.01 is a point of F1, accuracy or CCC). Standard errors are corrected for
splits that overlap (Nadeau and Bengio), p-values for the contrasts of a line (Holm). A claim holds if p < .05 and the effect is
beyond the margin. Detectable: the effect that would be found in 80 % of repetitions; of "equal", the margin.

{table(head, each)}
"""


def table_of_verdicts(lines):
    """The claims with the published figures and the verdicts."""
    body = [[x["id"], x["claim"], x["published"], f"**{x['verdict']}**", x["note"]] for x in lines]
    return table(["claim", "what it says", "published", "verdict", "note"], body)


def entries(x, line):
    """The entries of one contrast in the table."""
    low, high = x["interval"]
    sign = {"greater": ">", "less": "< -", "equal": "within"}[line["direction"]]
    detectable = "-" if x["detectable"] is None else f"{x['detectable']:.3f}"
    p = [f"{x[key]:.3f}" for key in ("p", "p_reversed")]
    claimed = f"{sign} {line['margin']:g}".replace("- ", "-")
    return [f"{x['effect']['mean']:+.3f}", f"[{low:+.3f}, {high:+.3f}]", claimed, *p, detectable, x["verdict"]]
