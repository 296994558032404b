"""Do the papers' claims hold here? Every line of the table, tested over seeds, next to the published figure.

The corpus is synthetic and the systems are tiny: a verdict speaks of the mechanism, not of the published number.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from refmer import systems
from refmer.count import count, example
from refmer.data.files import write_text
from refmer.evaluate.statistics import verdicts
from refmer.experiments import cells, protocols
from refmer.experiments.claims import figures
from refmer.experiments.claims.measures import CONDITIONS, measure
from refmer.experiments.claims.models import CHEAP, ROWS
from refmer.experiments.claims.table import CLAIMS
from refmer.experiments.report import table
from refmer.experiments.run import cell, execute, load_corpora

SEEDS, QUICK_SEEDS, BUNDLED = 5, 2, 24
ORDER = ("holds", "reversed", "undecided", "not tested")


def claims(out, seeds=None, quick=False, speakers=None, jobs=1, scheduler=None, ids=None, corpora=None):
    """Test every claim; train each model that several of them share once per seed.

    Parameters
    ----------
    out : str or path
        Folder for results.json, results.md, figures/ and cells/; cells that are there already are not computed again.
    seeds : int, optional
        Seeds 0..seeds-1, at least 2: each draws its own split, initial parameters and noise, for all rows alike. Default: 5.
    quick : bool
        2 seeds, and only the cheap half of the models; what needs the others is "not tested".
    speakers : int, optional
        Synthetic corpora of so many speakers (seed 0) instead of the bundled ones of 24: power grows with them.
    jobs : int
        Processes; the results are the same bytes for any number.
    scheduler : str, optional
        Address of a Dask scheduler to run on instead of local processes.
    ids : sequence of str, optional
        Only these claims ("000-a").
    corpora : dict, optional
        {"clips": Clips, "recordings": Clips} instead of the bundled ones.

    Returns
    -------
    dict
        What results.json holds.

    Raises
    ------
    KeyError
        A claim that is not in the table.
    ValueError, OSError
        Less than two seeds, jobs below 1, a folder that cannot be written.
    """
    plan = replace(protocols.find("default"), seeds=QUICK_SEEDS if quick else SEEDS if seeds is None else seeds)
    if plan.seeds < 2 or jobs < 1:
        raise ValueError(f"seeds is {plan.seeds}, jobs is {jobs}; accepted: at least 2 seeds, 1 job")
    lines = chosen(ids)
    left_out = set(ROWS) - CHEAP if quick else set()
    wanted = needs([line for line in lines if not left_out & set(needs([line]))])
    corpora = (
        load_corpora({row: (ROWS[row].system, ROWS[row].changes) for row in wanted}, speakers) if corpora is None else corpora
    )
    data = {kind: cells.checksum(clips) for kind, clips in corpora.items()}
    print(expected(wanted, plan.seeds, jobs, speakers), file=sys.stderr)
    models = [cells_of(row, wanted[row], plan, seed, data) for row in wanted for seed in range(plan.seeds)]
    values = collect(execute(models, measure, corpora, out, jobs, scheduler, "train and probe"))
    result = {
        "data": {k: {"source": c.source, "checksum": data[k], "clips": len(c)} for k, c in corpora.items()},
        "versions": cells.VERSIONS,
        "seeds": list(range(plan.seeds)),
        "quick": quick,
        "models": len(wanted),
        "claims": [judge(line, values, left_out, plan) for line in lines],
    }
    write_text(Path(out) / "results.json", cells.dump(result))
    write_text(Path(out) / "results.md", markdown(result))
    figures.draw(result, Path(out) / "figures")
    return result


def chosen(ids):
    """The lines of some claims, all of them for None."""
    unknown = set(ids or ()) - {line.id for line in CLAIMS}
    if unknown:
        raise KeyError(
            f"no claim is called {', '.join(sorted(unknown))}; accepted: {', '.join(sorted({x.id for x in CLAIMS}))}"
        )
    return [line for line in CLAIMS if ids is None or line.id in ids]


def needs(lines):
    """{row: [conditions]} of all scores that the contrasts of some lines read, in the order of the table."""
    scores = [score for line in lines for contrast in line.contrasts.values() for score in contrast.scores]
    return {
        row: list(dict.fromkeys(s.condition for s in scores if s.row == row)) for row in dict.fromkeys(s.row for s in scores)
    }


def cells_of(row, conditions, plan, seed, data):
    """The cells of one trained model."""
    r = ROWS[row]
    kinds = [
        {"kind": "scores", "column": c, "corruptions": CONDITIONS[c]} if c in CONDITIONS else {"kind": "probe", "column": c}
        for c in conditions
    ]
    return [cell(row, r.system, r.changes, plan, seed, data, **kind) for kind in kinds]


def collect(found):
    """{(row, condition, name): array (seeds,)} of the results of cells."""
    values = {}
    for c, result in sorted(found, key=lambda pair: pair[0]["seed"]):
        for name, value in result.items():
            values.setdefault((c["row"], c["column"], name), []).append(value)
    return {key: np.array(v) for key, v in values.items()}


def judge(line, values, left_out, plan):
    """One line of results.json: the claim, its contrasts with their verdicts, and the verdict of all of them together.

    A line holds if all its contrasts hold, and is reversed if any of them is. p-values are adjusted over its contrasts.
    """
    found = {"id": line.id, "place": line.place, "claim": line.text, "published": line.published}
    found |= {"direction": line.direction, "margin": line.margin, "note": line.note.format(ratio=macs_ratio())}
    missing = [row for row in needs([line]) if row in left_out]
    if missing or not line.contrasts:
        reason = f"needs {', '.join(missing)}: left out of --quick" if missing else found["note"]
        return found | {"verdict": "not tested", "note": reason, "contrasts": {}}
    effects = {name: x.function(*(values[score] for score in x.scores)) for name, x in line.contrasts.items()}
    test_per_train = plan.test / (1 - plan.test - plan.dev)
    each = verdicts(effects, line.margin, line.direction, test_per_train)
    return found | {"verdict": together([x["verdict"] for x in each.values()]), "contrasts": each}


def together(each):
    """The verdict of a line from those of its contrasts."""
    if "reversed" in each:
        return "reversed"
    return "holds" if set(each) == {"holds"} else "undecided"


def macs_ratio():
    """Multiply-accumulates of AuxFormer over those of MulT: one published clip, forward, at the published sizes."""
    found = [(system, system.Config.paper()) for system in map(systems.find, ("auxformer", "mult"))]
    macs = [count(system, config, example(system, config))[0] for system, config in found]
    return macs[0] / macs[1]


def expected(rows, seeds, jobs, speakers):
    """The expected run time, in words, from the seconds in models.ROWS; a busy machine takes longer."""
    seconds = sum(ROWS[row].seconds for row in rows) * seeds * (speakers or BUNDLED) / BUNDLED
    return f"{len(rows)} models x {seeds} seeds, {jobs} at a time: about {max(seconds / jobs / 60, 0.1):.1f} minutes"


def markdown(result):
    """results.md: the verdicts, then every contrast."""
    lines = result["claims"]
    counts = ", ".join(f"{sum(x['verdict'] == v for x in lines)} {v}" for v in ORDER)
    data = "\n".join(f"- {k}: {d['source']} ({d['clips']} clips, checksum {d['checksum']})" for k, d in result["data"].items())
    verdict = [[x["id"], x["claim"], x["published"], f"**{x['verdict']}**", x["note"]] for x in lines]
    head = ["claim", "contrast", "effect", "95 % interval", "claimed, margin", "p", "p reversed", "detectable", "verdict"]
    rows = [[x["id"], name, *shown(e, x)] for x in lines for name, e in x["contrasts"].items()]
    return f"""# The papers' claims

{data}

The data are **synthetic** and the systems tiny: a verdict speaks of the mechanism, not of the published number.
{result["models"]} models, {len(result["seeds"])} seeds{" (--quick)" if result["quick"] else ""}; {len(lines)} lines: {counts}.
A line holds if all its contrasts hold and is reversed if any is.

{table(["claim", "what it says", "published", "verdict", "note"], verdict)}

## Contrasts

Effects are paired by seed, in the unit of the score (0.01 is a point of F1, accuracy or CCC). Standard errors are corrected for
splits that overlap (Nadeau and Bengio), p-values for the contrasts of a line (Holm). A claim holds if p < .05 and the effect is
beyond the margin. Detectable: the effect that would be found in 80 % of repetitions; of "equal", the margin.

{table(head, rows)}
"""


def shown(x, line):
    """The entries of one contrast in the table."""
    low, high = x["interval"]
    sign = {"greater": ">", "less": "< -", "equal": "within"}[line["direction"]]
    detectable = "-" if x["detectable"] is None else f"{x['detectable']:.3f}"
    return [
        f"{x['effect']['mean']:+.3f}",
        f"[{low:+.3f}, {high:+.3f}]",
        f"{sign} {line['margin']:g}".replace("- ", "-"),
        f"{x['p']:.3f}",
        f"{x['p_reversed']:.3f}",
        detectable,
        x["verdict"],
    ]
