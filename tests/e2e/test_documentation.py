"""The documentation and the command line agree: every command and option is documented, and nothing else is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.main import get_command

from unbraid_cli.app import app

REPOSITORY = Path(__file__).parents[2]
REFERENCE = REPOSITORY / "docs" / "commands.md"
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
Parameter = TyperArgument | TyperOption


def walk(group: TyperGroup, path: str) -> Iterator[tuple[str, list[Parameter]]]:
    """Every command below a group with its parameters, in the order of the code."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from walk(command, f"{path} {name}")
        else:
            parameters = [each for each in command.params if isinstance(each, Parameter)]
            yield f"{path} {name}", parameters


def commands() -> dict[str, list[Parameter]]:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    return dict(walk(group, "unbraid"))


COMMANDS = commands()


def option_table(parameters: list[Parameter]) -> str:
    """The table that belongs into the section of a command."""
    rows = [f"| {name(each)} | {default(each)} | {meaning(each)} |" for each in parameters]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])


def name(parameter: Parameter) -> str:
    if isinstance(parameter, TyperArgument):
        return f"`{parameter.metavar}`"
    return ", ".join(f"`{option}`" for option in parameter.opts)


def default(parameter: Parameter) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if parameter.default is None or (isinstance(parameter, TyperOption) and parameter.is_flag):
        return ""
    return f"`{parameter.default}`"


def meaning(parameter: Parameter) -> str:
    assert parameter.help
    parts = [parameter.help]
    if parameter.max is not None:
        parts.append(f"From {parameter.min} to {parameter.max}.")
    elif parameter.min is not None:
        parts.append(f"At least {parameter.min}.")
    if parameter.envvar:
        parts.append(f"Environment: `{parameter.envvar}`.")
    return " ".join(parts)


def options_of(command: str) -> set[str]:
    parameters = COMMANDS[command]
    if any(each.metavar == "SERVE_OPTION" for each in parameters):
        parameters = [*parameters, *COMMANDS["unbraid serve"]]
    return {option for each in parameters if isinstance(each, TyperOption) for option in each.opts}


def sections() -> dict[str, str]:
    """The text below every heading that names a command."""
    parts = re.split(r"^#+ `(.+)`$", REFERENCE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def examples(page: Path) -> list[list[str]]:
    """The words of every ``unbraid`` call in a code block."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    calls = (re.match(r"(?:\$ )?(?:\S*/)?(unbraid .*)", line) for line in lines)
    return [shlex.split(call[1], comments=True) for call in calls if call]


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    assert sorted(sections()) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_options_of_a_command_are_documented(command: str) -> None:
    expected = option_table(COMMANDS[command])
    assert expected in sections()[command], f"in {REFERENCE}, the section of {command} needs this table:\n{expected}"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_section_speaks_of_no_option_that_does_not_exist(command: str) -> None:
    everything = {option for each in COMMANDS for option in options_of(each)}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", sections()[command])) <= everything


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_use_commands_and_options_that_exist(page: Path) -> None:
    for words in examples(page):
        command = next((each for each in COMMANDS if words[: len(each.split())] == each.split()), None)
        assert command is not None, words
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= options_of(command), words


def test_every_command_has_an_example() -> None:
    used = {" ".join(words) for words in examples(REFERENCE)}
    assert [command for command in COMMANDS if not any(call.startswith(command) for call in used)] == []
