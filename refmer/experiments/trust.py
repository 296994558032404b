"""Does the gate see that a sensor fails? Paper 000's Fig. 3 with several seeds, and numbers beside it."""

from refmer.evaluate.statistics import spread
from refmer.experiments import figures, report
from refmer.experiments.gates import COVERED, NOISY, SECONDS, SPANS, WINDOW, alphas, curve, detection
from refmer.experiments.publish import prepare, publish
from refmer.experiments.report import preface, provenance
from refmer.experiments.run import cell, execute, with_target

SYSTEM = "openface_adaptive"
WHAT = {"visual": ("face", "covered", COVERED), "audio": ("voice", "noisy", NOISY)}


def trust(out, seeds=None, quick=False, jobs=1, scheduler=None, protocol="default", corpora=None):
    """Train OpenFace-Adaptive on clean clips, and follow its gates while first the face and then the voice is disturbed.

    Parameters
    ----------
    out : str or path
        Folder for results.json, results.md, figures/ and cells/; finished cells are not computed again.
    seeds : int, optional
        Default: the protocol's number.
    quick : bool
        One seed.
    jobs, scheduler, protocol, corpora
        As in `compare`.

    Returns
    -------
    dict
        What results.json holds.

    Raises
    ------
    KeyError, ValueError, OSError
        An unknown protocol, seeds or jobs below 1, a folder that cannot be written.
    """
    rows = {SYSTEM: with_target(SYSTEM, {})}
    plan, corpora, data = prepare(rows, protocol, 1 if quick else seeds, corpora)
    models = [[cell(SYSTEM, *rows[SYSTEM], plan, seed, data, kind="trust")] for seed in range(plan.seeds)]
    found = execute(models, measure, corpora, out, jobs, scheduler, "gates")
    result = provenance(plan, protocol, corpora, data) | summary([r for _, r in found])
    publish(out, result, markdown(result), {"gates": figures.trust(result["gates"])})
    return result


def measure(model, cell, train, test):
    """The result of one cell: the curve of both gates, and how each sees the disturbance of its modality."""
    ends, alpha = alphas(model, train)
    return {"curve": curve(ends, alpha), "detection": {m: detection(alpha[m], ends, span) for m, span in SPANS.items()}}


def summary(results):
    """Means over models; times to fall below half are kept one by one, since some may be None."""
    found = {}
    for modality in SPANS:
        each = [r["detection"][modality] for r in results]
        found[modality] = {k: spread([d[k] for d in each]) for k in ("before", "during", "after", "auroc")}
        found[modality]["fall"] = [d["fall"] for d in each]
    return {"gates": report.average_gates([r["curve"] for r in results]), "detection": found}


def markdown(result):
    """results.md: one table."""
    rows = []
    for modality, found in result["detection"].items():
        sense, how, (start, end) = WHAT[modality]
        values = [report.plain(found[k]) for k in ("before", "during", "after")]
        rows.append([f"{sense} {how} ({start:g} to {end:g} s)", *values, fallen(found["fall"]), report.plain(found["auroc"])])
    head = ["gate of the modality that is disturbed", "before", "during", "after", "time to fall below half", "AUROC"]
    n = result["gates"]["n"]
    return f"""{preface("Trust over time", result)}
Paper 000, Fig. 3, prints a fall from 0.92 to 0.05 within 0.5 s. Here: {n} new synthetic clips of {SECONDS:g} s, and windows of
{WINDOW} s; nothing was trained on disturbed clips. "during": windows that lie in the disturbance altogether; "before",
"after": windows that do not touch it. AUROC: of 1 - alpha, windows "during" against the others (0.5: the gate sees nothing;
below: it trusts what is broken more). Time: from the start of the disturbance until the mean gate is below half of "before".

{report.table(head, rows)}
"""


def fallen(times):
    """Times to fall below half in words: their mean, and in how many models there is one."""
    known = [t for t in times if t is not None]
    if not known:
        return f"never (0 of {len(times)} models)"
    return f"{sum(known) / len(known):.2f} s ({len(known)} of {len(times)} models)"
