"""The command line of `python benchmarks`: speed beside PyTorch, scaling, large corpora, recipes, kills, malformed calls."""

import argparse

import contracts
import corpus
import fuzz
import kills
import out_of_core
import recipes
import scaling
import table
from refmer.cli import add_given, names, report_errors
from refmer.data.files import check_writable
from refmer.systems import SYSTEMS


def main(argv=None):
    """Run a command line and return the exit status, as `refmer.cli.main` does."""
    args = parser().parse_args(argv)
    return report_errors(run, args)


def parser():
    """Return the parser of the options."""
    c = argparse.ArgumentParser(
        prog="python benchmarks", description="Times: NumPy definitions, kernels, and PyTorch if it is installed (two minutes)."
    )
    c.add_argument("--quick", action="store_true", help="half a minute, rougher")
    c.add_argument("--threads", type=int, default=1, metavar="N", help="of BLAS and PyTorch; kernels have one (default: 1)")
    c.add_argument(
        "--rows",
        type=names,
        metavar="A,B",
        help="only these, e.g. lstm,step:raver:paper (published sizes: only so); --corpus, --recipes: systems; "
        "--kills: compare,cells; --fuzz: operations",
    )
    c.add_argument("--json", action="store_true", help="a JSON list instead of a table")
    c.add_argument("--out", metavar="PATH", help="write it to this file too; of --scaling: the folder (default: this one)")
    c.add_argument(
        "--scaling",
        nargs="?",
        const=tuple(SYSTEMS),
        type=names,
        metavar="A,B",
        help="time and memory of systems (default: all) against clips, frames and width instead",
    )
    c.add_argument(
        "--out-of-core", nargs="?", const=4.0, type=float, metavar="GB", help="train from a corpus larger than memory instead"
    )
    c.add_argument("--corpus", action="store_true", help="train on a synthetic corpus of CREMA-D's shape instead")
    about = "cross-validate the systems beside the linear reference instead, by group (default: 5 folds), on these data:"
    c.add_argument("--recipes", nargs="?", const=recipes.FOLDS, type=int, metavar="FOLDS", help=about)
    add_given(c)
    c.add_argument("--contracts", action="store_true", help="time the check of the arguments of every operation instead")
    c.add_argument(
        "--fuzz",
        nargs="?",
        const=100_000,
        type=int,
        metavar="N",
        help="make N malformed calls of the public interface instead, and count how they end",
    )
    c.add_argument(
        "--kills",
        nargs="?",
        const=30,
        type=int,
        metavar="N",
        help="disturb commands N times each (kills, damaged files, a full disk) instead, and count what is left",
    )
    return c


def run(args):
    """Measure as the options select, and print the result."""
    if args.scaling is not None:
        print(scaling.run(args.scaling, args.out or "."))
    elif args.out_of_core is not None:
        print(out_of_core.run(args.out_of_core))
    elif args.kills is not None:
        print(kills.run(args.kills, args.rows))
    elif args.corpus:
        print(corpus.run(args.rows, args.quick, args.json, args.out))
    elif args.recipes is not None:
        print(recipes.run(args.data, args.label, args.streams, args.groups, args.rows, args.recipes))
    elif args.contracts:
        print(contracts.run())
    elif args.fuzz is not None:
        print(fuzz.run(args.fuzz, args.rows))
    else:
        if args.out is not None:
            check_writable(args.out)
        table.main(args.threads, args.quick, args.json, args.out, args.rows)
