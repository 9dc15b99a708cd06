"""Settings: flags over environment over defaults, and one clear line for what is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from unbraid_core.errors import InvalidInput
from unbraid_server.device import Device
from unbraid_server.settings import ServerSettings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("UNBRAID_"):
            monkeypatch.delenv(name)


def test_flags_win_over_the_environment_and_the_environment_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNBRAID_PORT", "6000")
    monkeypatch.setenv("UNBRAID_DEVICE", "cpu")
    settings = ServerSettings.load(port=7000, device=None)
    assert (settings.port, settings.device, settings.host) == (7000, Device.CPU, "127.0.0.1")


def test_variables_of_other_parts_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNBRAID_SERVER", "127.0.0.1:50051")
    assert ServerSettings.load().port == 50051


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("port", 70_000),
        ("device", "tpu"),
        ("batch_limit", 0),
        ("grace_s", -1.0),
        ("grace_s", float("nan")),
        ("log_level", 7),
    ],
)
def test_a_wrong_flag_is_named_with_its_value(flag: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        ServerSettings.load(**{flag: value})
    assert caught.value.field == flag
    assert str(value) in caught.value.problem


def test_a_wrong_variable_is_named_as_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNBRAID_BATCH_LIMIT", "many")
    with pytest.raises(InvalidInput, match="UNBRAID_BATCH_LIMIT: 'many'"):
        ServerSettings.load()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    assert ServerSettings.load(host=host).host == host


TLS: dict[str, Any] = {"tls_certificate": Path("c"), "tls_key": Path("k")}
TOKENS: dict[str, Any] = {"access_file": Path("a")}
JWT: dict[str, Any] = {"jwt_key": Path("j"), "jwt_audience": "a", "jwt_issuer": "i"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "localhost.example.org", ""])
@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "no TLS (tls_certificate and tls_key) and no authentication (access_file or jwt_key)"),
        (TLS, "there is no authentication (access_file or jwt_key)"),
        ({**TLS, "tls_client_ca": Path("ca")}, "there is no authentication (access_file or jwt_key)"),
        (TOKENS, "there is no TLS (tls_certificate and tls_key)"),
        (JWT, "there is no TLS (tls_certificate and tls_key)"),
    ],
)
def test_an_address_that_others_can_reach_needs_tls_and_authentication_or_must_be_asked_for(
    host: str, given: dict[str, Any], missing: str
) -> None:
    with pytest.raises(InvalidInput, match="--insecure") as caught:
        ServerSettings.load(host=host, **given)
    assert missing in caught.value.problem
    assert ServerSettings.load(host=host, insecure=True, **given).host == host
    assert ServerSettings.load(host=host, **TLS, **TOKENS).host == host
    assert ServerSettings.load(host=host, **TLS, **JWT).host == host


@pytest.mark.parametrize(
    "given",
    [
        {"tls_certificate": Path("c")},
        {"tls_key": Path("k")},
        {"tls_client_ca": Path("ca")},
        {"jwt_key": Path("j")},
        {"jwt_key": Path("j"), "jwt_issuer": "i"},
        {"jwt_audience": "a"},
        {"jwt_issuer": "i"},
    ],
)
def test_a_setting_that_is_of_no_use_alone_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="of no use without") as caught:
        ServerSettings.load(**given)
    assert caught.value.field in given


def test_metrics_stay_on_loopback_unless_their_own_address_says_otherwise() -> None:
    assert ServerSettings.load(host="0.0.0.0", **TLS, **TOKENS).metrics_host == "127.0.0.1"
    assert ServerSettings.load(metrics_host="0.0.0.0").metrics_host == "0.0.0.0"


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1:9"), ("::1", "[::1]:9")])
def test_address(host: str, address: str) -> None:
    assert ServerSettings.load(host=host, port=9, releases=Path("r")).address == address


@pytest.mark.parametrize(
    ("workers", "pin_workers", "keeps"),
    [(1, "auto", False), (1, True, True), (256, "auto", False), ("auto", False, False)],
)
def test_workers_keep_to_cores_where_each_has_one_or_where_it_is_said(
    workers: int | str, pin_workers: bool | str, keeps: bool
) -> None:
    settings = ServerSettings.model_validate({"workers": workers, "pin_workers": pin_workers})
    assert settings.keeps_to_cores is keeps
