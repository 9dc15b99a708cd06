"""Experiments as TOML files: what they may say, and what is said about a mistake."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from unbraid_core.errors import InvalidInput, NotFound
from unbraid_training.config import DecayConfig, TrainConfig
from unbraid_training.experiment import Experiment, read_experiment

REFERENCE = Path(__file__).parents[3] / "docs" / "training.md"
FULL = """
[data]
path = "shop"
split = "last-5"

[run]
out = "runs/a"
threads = 2

[train]
interest_count = 3

[train.decay]
range_s = [3600, 7200.0]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "experiment.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_says_everything_and_the_rest_is_default(tmp_path: Path) -> None:
    experiment = read_experiment(written(tmp_path, FULL), {})
    assert experiment.data.path == Path("shop")
    assert (experiment.data.split, experiment.run.out, experiment.run.threads) == ("last-5", Path("runs/a"), 2)
    assert experiment.train == TrainConfig(interest_count=3, decay=DecayConfig(range_s=(3600.0, 7200.0)))


def test_flags_come_before_the_file(tmp_path: Path) -> None:
    flags: dict[str, dict[str, object]] = {
        "data": {"path": Path("other"), "split": None},
        "train": {"interest_count": 5, "seed": 9},
    }
    experiment = read_experiment(written(tmp_path, FULL), flags)
    assert (experiment.data.path, experiment.data.split) == (Path("other"), "last-5")
    assert (experiment.train.interest_count, experiment.train.seed) == (5, 9)
    assert experiment.train.decay.range_s == (3600.0, 7200.0)


@pytest.mark.parametrize("name", ["shop", 'a "quoted" folder', "a\\b", "crème 🍮"])
def test_what_is_printed_gives_the_same_experiment_again(tmp_path: Path, name: str) -> None:
    experiment = read_experiment(written(tmp_path, FULL), {"data": {"path": name}})
    text = experiment.to_toml()
    assert set(tomllib.loads(text)["train"]) == set(TrainConfig.model_fields)
    assert read_experiment(written(tmp_path, text), {}) == experiment


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nepochs = 3", "data.path: is missing; name the folder of events and items with --data"),
        ("[data]\nsplit = 'all'", "data.path: is missing"),
        ("[data]\npath = 'a'\n[train]\ninterest_cuont = 3", "unknown key; did you mean 'interest_count'?"),
        ("[data]\npath = 'a'\nspilt = 'all'", "data.spilt: unknown key; did you mean 'split'?"),
        ("[data]\npath = 'a'\n[training]\nepochs = 3", "training: unknown key; did you mean 'train'?"),
        ("[data]\npath = 'a'\nzzz = 1", "data.zzz: unknown key; known here: path, split"),
        ("[data]\npath = 'a'\n[train]\nepochs = 0", "train.epochs: is 0: Input should be greater than or equal to 1"),
        ("[data]\npath = 'a'\n[train]\nepochs = true", "train.epochs: is True: Input should be a valid integer"),
        ("[data]\npath = 'a'\n[train]\nepochs = '3'", "train.epochs: is '3': Input should be a valid integer"),
        ("[data]\npath = 'a'\n[train]\nseed = -1", "train.seed: is -1"),
        ("[data]\npath = 'a'\n[train.decay]\nrnge_s = 3", "train.decay.rnge_s: unknown key; did you mean 'range_s'?"),
        ("[data]\npath = 'a'\n[train.decay]\nhalf_lives_s = [1, 2]", "train: decay.half_lives_s has 2 values for 4"),
        ("[data]\npath = 'a'\n[train]\nepochs = 2026-01-01", "train.epochs: is '2026-01-01'"),
        ("data = 3", "data: is 3"),
        ("train = [", "not a readable TOML file"),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_fix(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        read_experiment(path, {})
    assert caught.value.message.startswith(f"{path}: ")
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.toml: no such file"):
        read_experiment(tmp_path / "nowhere.toml", {})


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every key of an experiment with its default."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.get_default(call_default_factory=True)


def shown(default: object) -> str:
    """A default as the table has it."""
    return "" if default in (None, PydanticUndefined) else f"`{in_toml(default)}`"


def in_toml(value: object) -> str:
    """A value as a file has it, but for the quotes of strings; tables inside of an array stand on one line."""
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{', '.join(map(in_toml, value))}]"
        case BaseModel():
            return f"{{{', '.join(f'{name} = {in_toml(each)}' for name, each in value)}}}"
        case _:
            return str(value)


@pytest.mark.parametrize(("key", "default"), list(keys(Experiment)))
def test_every_key_is_documented_with_its_default(key: str, default: object) -> None:
    assert f"\n| `{key}` | {shown(default)} | " in REFERENCE.read_text(encoding="utf-8")


def test_no_other_key_is_documented() -> None:
    table = REFERENCE.read_text(encoding="utf-8").partition("| key |")[2].partition("\n\n")[0]
    rows = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert rows == [key for key, _ in keys(Experiment)]
