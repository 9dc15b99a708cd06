"""An experiment: everything that a training run needs to be told, as one TOML file.

    [data]      what to train on
    [run]       where to write, and on what to compute
    [train]     the settings of the model: the fields of TrainConfig
    [sweep]     lists of settings to try, for ``unbraid sweep``

docs/training.md lists the keys. What stands on the command line comes before what stands in the file.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from unbraid_core.errors import InvalidInput, NotFound
from unbraid_training.config import Count, TrainConfig

__all__ = ["DataTable", "Device", "Experiment", "RunTable", "SweepTable", "read_experiment"]

Device = Literal["auto", "cpu", "cuda"]


class DataTable(BaseModel):
    """What to train on: ``path`` is the folder of events and items, ``split`` says what of it is held out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    split: str = "all"


class RunTable(BaseModel):
    """The folder of the run, and on what to compute: a device, and the number of threads of PyTorch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path = Path("run")
    device: Device = "auto"
    threads: Count = 1


class SweepTable(BaseModel):
    """What ``unbraid sweep`` tries.

    Attributes:
        train: keys of [train], each with a list of values.
        samples: how many of all combinations, drawn at random; 0: all of them.
        seed: of the draw.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: dict[str, Any] = Field(default_factory=dict)
    samples: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0)] = 1


class Experiment(BaseModel):
    """One experiment. Paths are relative to the working directory, in a file as on the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: DataTable
    run: RunTable = Field(default_factory=RunTable)
    train: TrainConfig = Field(default_factory=TrainConfig)
    sweep: SweepTable = Field(default_factory=SweepTable)

    def to_toml(self) -> str:
        """A file that gives the same experiment again; what is not set is left out, for TOML has no null."""
        idle = None if self.sweep.train else {"sweep"}
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True, exclude=idle))

    def changed(self, train: Mapping[str, object]) -> Experiment:
        """The same with other values of some keys of [train], and nothing to sweep.

        Raises:
            InvalidInput: a key is unknown, or a value cannot be.
        """
        tables = self.model_dump(mode="json", exclude={"sweep"})
        _override(tables["train"], train)
        return _validated(tables, "sweep: ")


def read_experiment(path: Path | None, flags: Mapping[str, Mapping[str, object]]) -> Experiment:
    """Read a file, and let flags override what stands there.

    Args:
        path: a TOML file; without one everything comes from the flags.
        flags: values by table and key; None for what was not said.

    Raises:
        NotFound: there is no such file.
        InvalidInput: the file is no TOML, a key is unknown, or a value cannot be; the message names the key and, for
            an unknown one, the nearest that exists.
    """
    tables = {} if path is None else _parse(path)
    _override(tables, flags)
    return _validated(tables, "" if path is None else f"{path}: ")


def _validated(tables: dict[str, Any], where: str) -> Experiment:
    try:
        # JSON is read as TOML means it: lists may become tuples and strings paths, but true is no number.
        return Experiment.model_validate_json(json.dumps(tables, default=str), strict=True)
    except ValidationError as error:
        raise _refusal(error, where) from None


def _override(table: dict[str, Any], values: Mapping[str, object]) -> None:
    """Put values into a table, and those of inner tables into its inner ones; None leaves what stands there."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            inner = table.setdefault(key, {})
            if isinstance(inner, dict):
                _override(inner, value)
        elif value is not None:
            table[key] = value


def _parse(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise NotFound(f"{path}: no such file")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(str(path), f"not a readable TOML file ({error}); correct it") from None


def _refusal(error: ValidationError, where: str) -> InvalidInput:
    """What to tell about the first thing that is wrong."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["loc"][:2] in {("data",), ("data", "path")} and first["type"] == "missing":
        return InvalidInput(f"{where}data.path", "is missing; name the folder of events and items with --data")
    if first["type"] == "extra_forbidden":
        return InvalidInput(f"{where}{field}", _unknown_key(first))
    if first["type"] == "value_error":
        return InvalidInput(f"{where}{field}", first["msg"].removeprefix("Value error, "))
    return InvalidInput(f"{where}{field}", f"is {first['input']!r}: {first['msg']}; correct it")


def _unknown_key(error: ErrorDetails) -> str:
    """What to tell about a key that does not exist, with the nearest one that does."""
    *tables, key = (part for part in error["loc"] if isinstance(part, str))
    model: type[BaseModel] = Experiment
    for table in tables:
        model = _model_of(model.model_fields[table].annotation)
    known = list(model.model_fields)
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    return f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; known here: {', '.join(known)}"


def _model_of(annotation: object) -> type[BaseModel]:
    """The model of a table, or of each of an array of tables."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(_model_of(each) for each in get_args(annotation) if each is not Ellipsis)
