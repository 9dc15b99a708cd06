"""Where settings come from: flags before environment variables, before a file, before defaults."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from unbraid_core.errors import InvalidInput, NotFound

__all__ = ["DEFAULT", "Gathered", "Source", "environment", "flags", "gather", "toml_file"]

DEFAULT = "default"

Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Source:
    """Some settings as they were written down in one place.

    Attributes:
        values: of settings that exist, and of others that somebody took for settings.
        called: what a setting is called in this place, for messages.
        origin: the same for a list of settings.
        validate: how a model reads what stands there.
    """

    values: Mapping[str, Any]
    called: Callable[[str], str]
    origin: Callable[[str], str]
    validate: Callable[[type[BaseModel], Mapping[str, Any]], BaseModel]


@dataclass(frozen=True, slots=True)
class Gathered(Generic[Settings]):
    """What all sources together say.

    Attributes:
        settings: every value that can be; the default where a value cannot be.
        origins: where the value of each setting comes from.
        problems: one for every value that cannot be, and for every name that is no setting.
    """

    settings: Settings
    origins: Mapping[str, str]
    problems: Sequence[InvalidInput]


def flags(values: Mapping[str, Any]) -> Source:
    """What was said on the command line; None was not said."""
    given = {name: value for name, value in values.items() if value is not None}
    return Source(
        given,
        called=lambda name: name,
        origin=lambda _: "flag",
        validate=lambda model, values: model.model_validate(values),
    )


def environment(variables: Mapping[str, str], prefix: str, of_others: frozenset[str]) -> Source:
    """All variables with a prefix.

    Args:
        variables: of the process.
        prefix: UNBRAID_ for example.
        of_others: variables with this prefix that are no settings.
    """

    def variable(name: str) -> str:
        return f"{prefix}{name.upper()}"

    found = {name: value for name, value in variables.items() if name.startswith(prefix) and name not in of_others}
    return Source(
        {name.removeprefix(prefix).lower(): value for name, value in found.items()},
        called=variable,
        origin=variable,
        validate=lambda model, values: model.model_validate_strings(values),
    )


def toml_file(path: Path) -> Source:
    """The keys of a TOML file.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is no TOML.
    """
    if not path.is_file():
        raise NotFound(f"{path}: no such file; name the settings with --config")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(str(path), f"not a readable TOML file ({error}); correct it") from None

    def key(name: str) -> str:
        return f"{path}:{name}"

    return Source(values, called=key, origin=key, validate=_read_as_json)


def _read_as_json(model: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    # JSON is read as TOML means it: strings may become paths, but no string becomes a number.
    return model.model_validate_json(json.dumps(values, default=str), strict=True)


def gather(model: type[Settings], sources: Sequence[Source]) -> Gathered[Settings]:
    """Put sources together; what the earlier ones say, holds.

    Every source is validated by itself, so the model must not compare settings with each other.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(model.model_fields, DEFAULT)
    problems: list[InvalidInput] = []
    for source in reversed(sources):
        layer, found = _layer(model, source)
        problems[:0] = found
        for name in layer.model_fields_set:
            values[name] = getattr(layer, name)
            origins[name] = source.origin(name)
    return Gathered(model.model_validate(values), origins, problems)


def _layer(model: type[BaseModel], source: Source) -> tuple[BaseModel, list[InvalidInput]]:
    """What can be used of a source, and what is wrong with the rest."""
    try:
        return source.validate(model, source.values), []
    except ValidationError as error:
        wrong = {str(each["loc"][0]) for each in error.errors()}
        sound = {name: value for name, value in source.values.items() if name not in wrong}
        return source.validate(model, sound), list(_problems(model, source, error))


def _problems(model: type[BaseModel], source: Source, error: ValidationError) -> Iterator[InvalidInput]:
    # A value that may be of two types has one error for each.
    for name, errors in groupby(error.errors(), lambda each: str(each["loc"][0])):
        yield InvalidInput(source.called(name), _problem(model, source, name, list(errors)))


def _problem(model: type[BaseModel], source: Source, name: str, errors: Sequence[ErrorDetails]) -> str:
    if errors[0]["type"] != "extra_forbidden":
        return f"{errors[0]['input']!r}: {', or: '.join(each['msg'] for each in errors)}"
    near = get_close_matches(name, model.model_fields, n=1, cutoff=0.5)
    if near:
        return f"there is no such setting; did you mean {source.called(near[0])}?"
    return "there is no such setting; `unbraid config show` lists all"
