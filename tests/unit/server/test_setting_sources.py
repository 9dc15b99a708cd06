"""Settings from flags, the environment and a file: who wins, and what each of them must not say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unbraid_core.errors import InvalidInput, NotFound
from unbraid_server.device import Device
from unbraid_server.settings import ServerSettings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("UNBRAID_"):
            monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "unbraid.toml"


def test_flags_win_over_the_environment_over_the_file_over_defaults(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('port = 1\nbatch_limit = 2\ndevice = "cpu"\nstate = "there.db"\ngrace_s = 3\n')
    monkeypatch.setenv("UNBRAID_PORT", "11")
    monkeypatch.setenv("UNBRAID_BATCH_LIMIT", "12")
    gathered = ServerSettings.gather(config, port=21, device=None)
    settings, origins = gathered.settings, gathered.origins
    assert gathered.problems == ()
    assert (settings.port, origins["port"]) == (21, "flag")
    assert (settings.batch_limit, origins["batch_limit"]) == (12, "UNBRAID_BATCH_LIMIT")
    assert (settings.device, origins["device"]) == (Device.CPU, f"{config}:device")
    assert (settings.state, settings.grace_s) == (Path("there.db"), 3.0)
    assert (settings.host, origins["host"]) == ("127.0.0.1", "default")
    assert set(origins) == set(ServerSettings.model_fields)


def test_the_environment_can_name_the_file_and_a_flag_another_one(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("port = 1")
    monkeypatch.setenv("UNBRAID_CONFIG", str(config))
    assert ServerSettings.load().port == 1
    other = config.with_name("other.toml")
    other.write_text("port = 2")
    assert ServerSettings.load(other).port == 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("prot = 1", "prot: there is no such setting; did you mean .+:port?"),
        ("zebra = 1", "zebra: there is no such setting; `unbraid config show` lists all"),
        ("[server]\nport = 1", "server: there is no such setting"),
        ('port = "1"', "port: '1': Input should be a valid integer"),
        ("port = true", "port: True: Input should be a valid integer"),
        ("port = 1.5", "port: 1.5: Input should be a valid integer"),
        ("port = 65536", "port: 65536: Input should be less than or equal to 65535"),
        ('workers = "2"', "workers: '2': Input should be a valid integer, or: Input should be 'auto'"),
        ("workers = 0", "workers: 0: Input should be greater than or equal to 1"),
        ('insecure = "yes"', "insecure: 'yes': Input should be a valid boolean"),
        ("grace_s = inf", "grace_s: inf: Input should be a finite number"),
    ],
)
def test_what_a_file_must_not_say_is_named_with_the_file(config: Path, line: str, problem: str) -> None:
    config.write_text(line)
    with pytest.raises(InvalidInput, match=rf"unbraid\.toml:{problem}"):
        ServerSettings.load(config)


def test_an_unknown_variable_is_named_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNBRAID_BATCHLIMIT", "3")
    with pytest.raises(InvalidInput, match=r"UNBRAID_BATCHLIMIT: .+; did you mean UNBRAID_BATCH_LIMIT\?"):
        ServerSettings.load()


def test_a_file_that_is_not_there_or_no_toml_is_named(config: Path) -> None:
    with pytest.raises(NotFound, match=r"unbraid\.toml: no such file"):
        ServerSettings.load(config)
    config.write_text("port: 1")
    with pytest.raises(InvalidInput, match=r"unbraid\.toml: not a readable TOML file"):
        ServerSettings.load(config)


def test_all_problems_are_found_and_the_other_settings_hold(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text('port = 70000\nhost = "::1"\nprot = 1\n')
    monkeypatch.setenv("UNBRAID_BATCH_LIMIT", "many")
    monkeypatch.setenv("UNBRAID_QUEUE_LIMIT", "7")
    gathered = ServerSettings.gather(config, device="tpu", grace_s=1.0)
    assert [problem.field for problem in gathered.problems] == [
        "device",
        "UNBRAID_BATCH_LIMIT",
        f"{config}:port",
        f"{config}:prot",
    ]
    settings = gathered.settings
    assert (settings.host, settings.queue_limit, settings.grace_s, settings.port) == ("::1", 7, 1.0, 50051)


def test_a_contradiction_may_be_spread_over_sources(config: Path) -> None:
    config.write_text("insecure = true")
    assert ServerSettings.load(config, host="0.0.0.0").host == "0.0.0.0"
    config.write_text('host = "0.0.0.0"')
    with pytest.raises(InvalidInput, match=r"host: .+ say --insecure"):
        ServerSettings.load(config)


def test_metrics_need_a_port_of_their_own() -> None:
    assert ServerSettings.load(port=0, metrics_port=0).metrics_port == 0
    with pytest.raises(InvalidInput, match="metrics_port: 7000 is the port of the server"):
        ServerSettings.load(port=7000, metrics_port=7000)
