from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from unbraid_cli.index import app
from unbraid_core.errors import InvalidInput, NotFound
from unbraid_core.release import ReleaseStore
from unbraid_core.types import FloatArray

MakeVectors = Callable[..., FloatArray]
MakeExport = Callable[..., Path]


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    return tmp_path / "releases"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def only_release(releases: Path) -> str:
    (summary,) = ReleaseStore(releases).list()
    return summary.release_id


def test_build_prints_what_was_built_and_the_next_command(make_export: MakeExport, releases: Path) -> None:
    done = run("build", make_export(), "--releases", releases)

    assert done.exit_code == 0, done.output
    release_id = only_release(releases)
    printed = " ".join(done.stdout.split())
    assert f"release {release_id}" in printed
    assert "parent none" in printed
    assert "family setting recall at least ms MB" in printed
    assert "pq_fast_scan (fewer than 1,000 items)" in printed
    assert ", 24 items why the fastest of" in printed
    assert "recall 1.0000 (at least 1.0000), merged, of held-out interests" in printed
    assert f"next: unbraid release activate {release_id} --releases {releases}" in printed
    assert ReleaseStore(releases).current_id() is None


def test_build_says_what_its_folder_has_to_be(releases: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    with pytest.raises(
        NotFound, match=r": is no export \(export.json is missing\); name the folder that unbraid export"
    ):
        CliRunner().invoke(app, ["build", str(tmp_path), "--releases", str(releases)], catch_exceptions=False)
    assert not releases.exists()


def test_rebuild_prints_its_parent_and_takes_interests(
    make_export: MakeExport, releases: Path, unit_vectors: MakeVectors, tmp_path: Path
) -> None:
    run("build", make_export(), "--releases", releases)
    parent = only_release(releases)
    np.save(tmp_path / "interests.npy", unit_vectors(100, 8, seed=3))

    done = run("rebuild", "--release", parent, "--releases", releases, "--queries", tmp_path / "interests.npy")

    assert done.exit_code == 0, done.output
    assert f"parent {parent}" in " ".join(done.stdout.split())
    assert "held-out interests" in done.stdout
    assert len(ReleaseStore(releases).list()) == 2


def test_tune_publishes_a_child_with_the_same_index(make_export: MakeExport, releases: Path) -> None:
    run("build", make_export(), "--releases", releases)
    parent = only_release(releases)

    done = run("tune", "--release", parent, "--releases", releases, "--recall", "0.9", "--activate")

    assert done.exit_code == 0, done.output
    assert f"parent {parent}" in " ".join(done.stdout.split())
    store = ReleaseStore(releases)
    assert store.manifest().parent == parent
    index = "index.faiss"
    assert store.manifest().files[index] == store.open(parent).manifest.files[index]


def test_bench_prints_the_families_and_publishes_nothing(
    make_export: MakeExport, releases: Path, tmp_path: Path
) -> None:
    export, plot = make_export(), tmp_path / "plot.svg"
    run("build", export, "--releases", releases)

    for source in ([export], ["--release", only_release(releases)]):
        done = run("bench", *source, "--releases", releases, "--plot", plot)
        assert done.exit_code == 0, done.output
        assert {"flat", "sq_fp16"} <= set(done.stdout.split())
        assert plot.read_text().startswith("<svg")
        plot.unlink()
    assert len(ReleaseStore(releases).list()) == 1


def test_a_memory_budget_that_nothing_fits_is_an_error(make_export: MakeExport, releases: Path) -> None:
    refused = run("build", make_export(), "--releases", releases, "--memory-budget", "0")
    assert isinstance(refused.exception, InvalidInput)
    assert "memory_budget_mb: 0 is not above 0" in str(refused.exception)


def test_activate_makes_it_the_release_that_is_served_and_rebuilt(make_export: MakeExport, releases: Path) -> None:
    built = run("build", make_export(), "--releases", releases, "--activate")
    assert built.exit_code == 0, built.output
    parent = ReleaseStore(releases).current_id()
    assert parent == only_release(releases)
    assert f"next: unbraid serve --releases {releases}" in " ".join(built.stdout.split())

    rebuilt = run("rebuild", "--releases", releases, "--activate")
    assert rebuilt.exit_code == 0, rebuilt.output
    assert ReleaseStore(releases).manifest().parent == parent


def test_a_mistake_is_an_error_that_names_it(make_export: MakeExport, releases: Path, tmp_path: Path) -> None:
    assert isinstance(run("build", tmp_path / "nowhere", "--releases", releases).exception, NotFound)
    assert isinstance(run("build", make_export(), "--releases", releases, "--recall", "2").exception, InvalidInput)
    assert isinstance(run("rebuild", "--releases", releases).exception, NotFound)
    assert run("build", "--releases", releases).exit_code == 2
    assert not releases.exists()
