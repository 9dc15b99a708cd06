from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from unbraid_cli.baselines import baselines
from unbraid_core.errors import InvalidInput
from unbraid_training.data.folder import write_dataset
from unbraid_training.data.synthetic import SyntheticSpec, plant

SPLIT = "before-2024-01-25-until-2024-02-01"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    write_dataset(plant(SyntheticSpec(user_count=60, item_count=60, events_per_user=30)).dataset, folder)
    return folder


@pytest.fixture
def run(data: Path) -> Callable[..., Result]:
    """Calls the command on the planted data."""

    def call(*options: str | Path) -> Result:
        app = typer.Typer()
        app.command()(baselines)
        arguments = ["--data", data, "--split", SPLIT, *options]
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


def test_it_prints_tables_and_writes_files_for_people_and_programs(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("--methods", "popularity,itemknn+pop", "--task", "all", "--out", tmp_path / "new" / "folder")
    assert result.exit_code == 0, result.output
    assert "Settings were chosen by ndcg@50 on before-2024-01-18-until-2024-01-25" in " ".join(result.stdout.split())
    written = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert written == ["baselines-all.json", "baselines-all.md", "baselines-all.parquet", "baselines-all.svg"]
    told = json.loads((tmp_path / "new" / "folder" / "baselines-all.json").read_text())
    assert {result["name"] for result in told["results"]} == {"popularity", "itemknn+pop"}
    assert (told["split"], told["task"]) == (SPLIT, "all")


def test_equal_calls_give_equal_files(run: Callable[..., Result], tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert run("--methods", "ials,popularity-decay", "--out", tmp_path / name).exit_code == 0
    for ending in ("json", "md", "svg", "parquet"):
        file = f"baselines-new.{ending}"
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_validation_windows_can_be_named_and_counted(run: Callable[..., Result], tmp_path: Path) -> None:
    chosen = "before-2024-01-20-until-2024-01-22"
    done = run("--methods", "popularity-decay", "--validation", chosen, "--origins", 2, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    windows = [chosen, "before-2024-01-18-until-2024-01-20"]
    assert json.loads((tmp_path / "baselines-new.json").read_text())["validation"] == windows
    assert f"by the mean of ndcg@50 on {', '.join(windows)}." in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "svd"], "methods: 'svd' is unknown; choose from popularity"),
        (["--validation", "before-2024-06-01"], "validation: before-2024-06-01: no user has a target"),
        (["--validation", "yesterday"], "'yesterday' is unknown"),
    ],
)
def test_bad_input_is_refused_by_name(run: Callable[..., Result], options: list[str], message: str) -> None:
    result = run(*options)
    assert isinstance(result.exception, InvalidInput)
    assert message in result.exception.message


def test_a_folder_that_cannot_be_written_is_named(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("--methods", "popularity", "--out", tmp_path / "file")
    assert isinstance(result.exception, InvalidInput)
    assert "--out: cannot write" in result.exception.message
