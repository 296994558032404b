"""The same results from a Dask cluster. Needs the extra `dask`; .ci/run installs it and runs this file."""

import pytest

from refmer.cli import main
from refmer.experiments.run import run

ROWS = ("openface_adaptive", "concatenation@votes")


@pytest.mark.slow
def test_a_local_cluster_of_two_processes_gives_the_same_bytes(clips, tmp_path):
    distributed = pytest.importorskip("distributed", reason="optional extra: pip install '.[dask]'")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster:
        for name, scheduler in (("local", None), ("dask", cluster.scheduler_address)):
            run("compare", tmp_path / name, rows=ROWS, quick=True, corpora={"clips": clips}, scheduler=scheduler)
    for file in ("results.json", "results.md", "figures/compare.png"):
        assert (tmp_path / "local" / file).read_bytes() == (tmp_path / "dask" / file).read_bytes()


@pytest.mark.parametrize("arguments", [["--backend", "dask"], ["--scheduler", "tcp://127.0.0.1:1"]])
def test_backend_and_scheduler_go_together(tmp_path, capsys, arguments):
    assert main(["compare", "--out", str(tmp_path), *arguments]) == 1
    assert "--backend dask and --scheduler ADDRESS go together" in capsys.readouterr().err
