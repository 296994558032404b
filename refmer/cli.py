"""The command line. Every subcommand is a function, which imports the modules that it needs."""

import argparse
import os
import signal
import socket
import sys
from contextlib import contextmanager, nullcontext
from importlib import import_module
from multiprocessing import active_children
from pathlib import Path
from threading import Thread

from refmer import __version__
from refmer.experiments import EXPERIMENTS

ABOUT = """\
refmer: five published multimodal emotion recognition systems, in NumPy, without autograd.

First steps:
  refmer compare                                trains the systems on a synthetic corpus, breaks their inputs,
                                                prints tables and writes figures into refmer-results/ (a few minutes)
  refmer compare --quick                        the same with one seed and two corruptions
  refmer train openface_adaptive --out my.npz   trains one system and saves it
  refmer evaluate my.npz --corrupt face:missing:0.5
                                                its scores on speakers not in its training, half of the face's frames missing
  refmer compare --data table:clips.csv         the same on data of your own; refmer inspect table:clips.csv shows them
  refmer quantize my.npz                        makes it four times as small (INT8), and reports what that changes
  refmer claims --quick                         tests the papers' claims on the synthetic corpus
  refmer check                                  proves every gradient by the complex step, and prints the table
  refmer exercises --out my-exercises           copies pages with functions to write; refmer grade names what is wrong
"""
STOPPED = "\nrefmer: stopped; finished results are kept\n"


def main(argv=None):
    """Run a command line and return the exit status: 0, 1 for a failure, 130 for Ctrl-C; wrong usage exits with status 2."""
    args = parser().parse_args(argv)
    with stopped_by_ctrl_c() if argv is None else nullcontext():  # else it is called from Python
        return report_errors(args.run, args)


@contextmanager
def stopped_by_ctrl_c():
    """End the process and its workers at the first Ctrl-C inside the block, with status 130; all files are written whole.

    While kernels compile, a KeyboardInterrupt comes late, or is lost in a callback of LLVM: so a thread waits for the signal.
    """
    ours, signals = socket.socketpair()
    signals.setblocking(False)

    def watch():
        with ours:
            while signal.SIGINT not in (number := ours.recv(1)):
                if not number:  # the block has ended
                    return
        os.write(2, STOPPED.encode())  # unlike print, waits for no other thread
        for worker in active_children():
            worker.terminate()
        os._exit(130)

    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")  # joblib's tracker cleans up after us, and warns
    descriptor, handler = signal.set_wakeup_fd(signals.fileno()), signal.signal(signal.SIGINT, lambda *_: None)
    Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        signal.set_wakeup_fd(descriptor)
        signals.close()


def report_errors(run, args):
    """Return the exit status of run(args); an expected error becomes one line on stderr."""
    try:
        return run(args) or 0
    except KeyboardInterrupt:
        print(STOPPED, end="", file=sys.stderr)
        return 130
    except (ValueError, KeyError, OSError, MemoryError, FloatingPointError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"refmer: {message}", file=sys.stderr)
        return 1


def parser():
    """Return the parser of all subcommands and their options."""
    top = argparse.ArgumentParser(prog="refmer", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"refmer {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    add_experiments(commands)
    add_models(commands)
    add_data(commands)
    add_tables(commands)
    return top


def add_given(c, learned=True):
    """Add the options that name data; those of what is learned, except where a recognizer has learned it."""
    about = "your own, e.g. ravdess:DIR, table:clips.csv, folder:DIR (see refmer.read_data; default: the synthetic corpus)"
    c.add_argument("--data", metavar="NAME:PATH", help=about)
    c.add_argument("--groups", metavar="FIELD", help="kept apart by splits: speaker (default), name, or a label of classes")
    if learned:
        c.add_argument("--label", metavar="NAME", help="label to learn (default: the only one of the data, or the system's)")
        about = "streams to read, e.g. visual=vgg,audio=egemaps+mfcc,text=glove (default: the usual names)"
        c.add_argument("--streams", type=streams, metavar="M=A,N=B+C", help=about)


def add_experiments(commands):
    """Add one subcommand for each of EXPERIMENTS."""
    for name, e in EXPERIMENTS.items():
        c = commands.add_parser(name, help=e.help)
        if "system" in e.options:
            c.add_argument("system", help="the system whose parts are taken away")
        if "rows" in e.options:
            about = "rows: names, or NAME@LABEL" + ("; all: the baselines too" if name == "compare" else "")
            c.add_argument("--systems", dest="rows", type=names, metavar="A,B", help=about)
        about = "of the synthetic corpora (default: 200 of clips, 80 of recordings; with --quick the bundled, 24 and 18)"
        c.add_argument("--speakers", type=int, metavar="N", help=about)
        if "protocol" in e.options:
            about = f"how a paper splits and repeats: 001, 002, 003, 004 (default: {e.protocol})"
            c.add_argument("--protocol", metavar="P", help=about)
        if e.data:
            add_given(c)
        c.add_argument("--seeds", type=int, metavar="N", help="repetitions, each with its own split")
        c.add_argument("--quick", action="store_true", help="few repetitions and levels")
        folder = e.folder or f"refmer-{name}"
        c.add_argument("--out", default=folder, metavar="DIR", help="folder for tables, figures and finished cells")
        c.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes (default: all cores)")
        about = "processes here, or a Dask cluster's workers"
        c.add_argument("--backend", choices=("local", "dask"), default="local", help=about)
        c.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster, e.g. tcp://10.0.0.1:8786")
        c.set_defaults(run=experiment, experiment=name)


def add_models(commands):
    """Add the subcommands that train, evaluate and quantize one system."""
    c = commands.add_parser("train", help="train one system and save it")
    c.add_argument("system", help="name of a system or baseline")
    c.add_argument("--size", choices=("tiny", "paper"), default="tiny", help="seconds, or the published size (default: tiny)")
    c.add_argument("--epochs", type=int, metavar="N", help="largest number of epochs (default: the recipe's)")
    c.add_argument("--seed", type=int, default=0, metavar="N", help="of the split and the training (default: 0)")
    add_given(c)
    c.add_argument("--out", required=True, metavar="FILE.npz", help="file for the trained recognizer")
    c.set_defaults(run=train)

    c = commands.add_parser("evaluate", help="score a saved recognizer on speakers that are not in its training data")
    c.add_argument("file", metavar="FILE.npz")
    add_given(c, learned=False)
    c.add_argument(
        "--corrupt",
        action="append",
        default=[],
        metavar="SENSE:KIND:AMOUNT[:SPACE]",
        help="break the input first, e.g. face:missing:0.5, voice:gaussian:2:raw, voice:babble:0 (dB) or, of both senses, "
        "voice+face:bursty:0.05,0.45; may be given several times (see refmer.corrupt)",
    )
    c.add_argument("--seed", type=int, default=0, metavar="N", help="of the corruption (default: 0)")
    c.set_defaults(run=evaluate)

    c = commands.add_parser("quantize", help="make a saved recognizer small (INT8), and report what that changes")
    c.add_argument("file", metavar="FILE.npz")
    add_given(c, learned=False)
    c.add_argument("--out", metavar="SMALL.npz", help="file for the small one (default: FILE-int8.npz)")
    c.add_argument("--folds", type=int, default=5, metavar="N", help="of the cross-validation, by speaker (default: 5)")
    c.add_argument("--seeds", type=int, default=5, metavar="N", help="its repetitions; 0: no cross-validation (default: 5)")
    c.add_argument("--clip", choices=("max", "mse"), default="max", help="scale of the weights (default: max)")
    about = "one scale for a matrix instead of one for each column"
    c.add_argument("--per-tensor", dest="per_channel", action="store_false", help=about)
    c.add_argument(
        "--activations", choices=("row", "tensor", "static"), default="row", help="range of the inputs of maps (default: row)"
    )
    c.add_argument("--finetune", type=int, default=0, metavar="N", help="epochs of quantization-aware training (default: 0)")
    c.add_argument("--sensitivity", action="store_true", help="also report each learned map by itself")
    c.add_argument("--folder", default="refmer-quantize", metavar="DIR", help="for the figure and finished trainings")
    c.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes (default: all cores)")
    c.set_defaults(run=quantize)


def add_data(commands):
    """Add the subcommand that shows data."""
    c = commands.add_parser("inspect", help="print what data hold: speakers, labels, streams, gaps, ranges")
    c.add_argument("data", metavar="NAME:PATH", help="as --data of the other commands")
    c.set_defaults(run=inspect)


def add_tables(commands):
    """Add the subcommands of sizes, proofs, tutorials and compilation."""
    c = commands.add_parser("params", help="parameters, multiply-accumulates and memory of the published sizes")
    c.add_argument("--json", action="store_true", help="JSON instead of a table")
    c.set_defaults(run=run_main, module="refmer.experiments.sizes")

    c = commands.add_parser("check", help="prove every gradient on this machine")
    c.add_argument("--json", action="store_true", help="a JSON list instead of a table")
    c.set_defaults(run=run_main, module="refmer.proofs.table")

    c = commands.add_parser("tutorials", help="list the tutorials, or copy them to a folder")
    c.add_argument("--out", metavar="DIR", help="folder for the copies")
    c.add_argument("--notebooks", action="store_true", help="copy them as Jupyter notebooks")
    c.set_defaults(run=tutorials)

    c = commands.add_parser("exercises", help="list the exercises and what is solved, or copy them to a folder")
    c.add_argument("--out", metavar="DIR", help="folder for the copies; pages that it holds already are kept")
    c.add_argument("--solutions", action="store_true", help="list where the solutions are (for teachers)")
    c.set_defaults(run=exercises)

    c = commands.add_parser("grade", help="grade an exercise, and name what is wrong with a gradient")
    c.add_argument("file", metavar="FILE", help="a page of `refmer exercises --out DIR`, or a folder of many students' files")
    c.add_argument("--watch", action="store_true", help="grade again whenever the file changes, until Ctrl-C")
    c.add_argument("--json", action="store_true", help="the format that Gradescope reads (results.json)")
    c.add_argument("--csv", metavar="FILE.csv", help="file for the table of a folder (default: print it)")
    c.add_argument("--seed", type=int, metavar="N", help="of the hidden sizes and numbers (default: 0)")
    about = "of a case of each level, e.g. forward=1,backward=3,hard=2 (default: 1, 2 and 1)"
    c.add_argument("--points", type=levels, metavar="LEVEL=P,...", help=about)
    c.add_argument("--seconds", type=float, metavar="S", help="limit for running one file (default: 2)")
    c.set_defaults(run=grade)

    c = commands.add_parser("warm-up", help="compile every kernel ahead of its first use")
    c.set_defaults(run=run_main, module="refmer.warm_up")


def names(text):
    """Split "a,b" into ("a", "b")."""
    return tuple(filter(None, text.split(",")))


def levels(text):
    """Split "forward=1,hard=2" into {"forward": 1.0, "hard": 2.0}."""
    return {level: float(points) for level, points in (part.split("=") for part in text.split(","))}


def streams(text):
    """Split "visual=vgg,audio=egemaps+mfcc" into {"visual": ["vgg"], "audio": ["egemaps", "mfcc"]}."""
    return {modality: stream.split("+") for modality, stream in (part.split("=") for part in text.split(","))}


def experiment(args):
    """Run one of EXPERIMENTS; its own arguments are the options that were given."""
    from refmer.experiments.run import run

    if (args.backend == "dask") != (args.scheduler is not None):
        raise ValueError("--backend dask and --scheduler ADDRESS go together")
    options = EXPERIMENTS[args.experiment].options
    own = {k: getattr(args, k) for k in options if getattr(args, k) is not None}
    own |= {k: getattr(args, k) for k in ("label", "streams", "groups", "speakers") if k in args}
    own |= {"corpora": args.data} if "data" in args else {}
    run(args.experiment, args.out, args.seeds, args.quick, args.jobs, scheduler=args.scheduler, **own)
    print((Path(args.out) / "results.md").read_text())
    print(f"Tables, figures and finished cells: {args.out}")


def train(args):
    """`refmer train`."""
    from refmer import Recognizer
    from refmer.data.files import check_writable
    from refmer.experiments.data import load, origin_of
    from refmer.systems import find

    check_writable(args.out)
    clips, label = load(find(args.system).Config.tiny().target, args.data, args.label, args.groups)
    clips, _ = clips.split(by="speaker", test_size=0.25, seed=args.seed)
    model = Recognizer(args.system, args.size, {"target": label}, args.seed, args.epochs, streams=args.streams).fit(clips)
    model.save(args.out)
    best = min(model.history_, key=lambda entry: entry["dev_loss"])
    print(
        f"{args.system}: trained on {len(clips)} clips of {len(model.speakers_)} {args.groups or 'speaker'}s "
        f"({origin_of([clips.source])}), label {label}, "
        f"{len(model.history_)} epochs, best development loss {best['dev_loss']:.3f} in epoch {best['epoch']}; "
        f"saved as {args.out}"
    )


def evaluate(args):
    """`refmer evaluate`."""
    import numpy as np

    from refmer import load_recognizer
    from refmer.experiments.data import load, origin_of

    model, group = load_recognizer(args.file), args.groups or "speaker"
    clips, label = load(model.config_.target, args.data, model.config_.target, args.groups)
    trained = np.isin(clips.speaker, model.speakers_)
    if trained.all():
        raise ValueError(f"{args.file} was trained on all {len(np.unique(clips.speaker))} {group}s of these data: none is left")
    broken = test = clips[~trained]
    for text in args.corrupt:
        broken = corrupted(broken, text, clips[trained], args.seed)
    scores = model.scores(model.predict(broken), test)
    about = f"{scores.pop('n')} clips of {len(np.unique(test.speaker))} {group}s not in its training"
    print(f"{model.system}, {label}, on {about} ({origin_of([clips.source])})")
    print("inputs: " + (", ".join(args.corrupt) or "clean"))
    for name, value in scores.items():
        if isinstance(value, float):
            print(f"{name:>16}  {value:6.3f}")


def quantize(args):
    """`refmer quantize`."""
    from refmer.experiments.quantization import quantization

    options = {name: getattr(args, name) for name in ("activations", "per_channel", "clip", "finetune")}
    print(
        quantization(
            args.file,
            args.out,
            args.folder,
            args.folds,
            args.seeds,
            args.jobs,
            options,
            args.sensitivity,
            args.data,
            args.groups,
        )
    )


def inspect(args):
    """`refmer inspect`."""
    from refmer import read_data

    print(read_data(args.data).summary())


def run_main(args):
    """`refmer params`, `refmer check` and `refmer warm-up`: run the main function of a module."""
    return import_module(args.module).main(*[args.json] if "json" in args else [])


def tutorials(args):
    """`refmer tutorials`."""
    from refmer.data.files import bundled
    from refmer.notebooks import notebook

    first = "01_one_layer.py"
    paths = sorted(bundled("tutorials", "tutorials", first).glob("[0-9][0-9]_*.py"))
    for path in paths:
        print(f"{path.name:40} {path.read_text().splitlines()[1].removeprefix('# # ')}")
    if args.notebooks and not args.out:
        raise ValueError("--notebooks needs --out DIR")
    if args.out:
        out = Path(args.out)
        copies = {out / (f"{path.stem}.ipynb" if args.notebooks else path.name): path for path in paths}
        if present := [copy.name for copy in copies if copy.exists()]:  # somebody may have worked in it
            raise FileExistsError(f"{out} already holds {present[0]}; accepted: a folder without the tutorials")
        out.mkdir(parents=True, exist_ok=True)
        for copy, path in copies.items():
            text = path.read_text("utf-8")
            copy.write_text(notebook(text) if args.notebooks else text, "utf-8")
        print(f"{len(paths)} tutorials are in {out}: " + ("open one in Jupyter" if args.notebooks else "run one as a script"))


def exercises(args):
    """`refmer exercises`."""
    from refmer.exercises import commands

    commands.exercises(args.out, args.solutions)


def grade(args):
    """`refmer grade`."""
    from refmer.exercises import commands

    options = {k: getattr(args, k) for k in ("seed", "points", "seconds") if getattr(args, k) is not None}
    if not Path(args.file).is_dir():
        if args.csv:
            raise ValueError(f"--csv goes with a folder; {args.file} is none")
        return commands.grade_file(args.file, args.json, args.watch, **options)
    if args.json or args.watch:
        raise ValueError(f"--json and --watch go with one file; {args.file} is a folder")
    return commands.grade_folder(args.file, args.csv, **options)


def corrupted(clips, text, train, seed):
    """Return clips with the corruption SENSE:KIND:AMOUNT[:SPACE]."""
    from refmer import corrupt

    try:
        sense, kind, amount, *space = text.split(":")
        amount = tuple(map(float, amount.split(","))) if "," in amount else float(amount)
        (space,) = space or ("standard",)
    except ValueError:
        raise ValueError(f"--corrupt is {text!r}; accepted: SENSE:KIND:AMOUNT[:SPACE], e.g. face:missing:0.5") from None
    return corrupt(clips, sense, kind, amount, space=space, scale_from=train, seed=seed)
