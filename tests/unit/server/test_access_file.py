"""Access files: tokens that are issued are accepted, and what is wrong is said without telling what it was."""

from __future__ import annotations

import os
import stat
import tomllib
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.errors import Conflict, InvalidInput
from unbraid_server.access_file import AccessList, RoleName, TokenGrant, add_grant, issue_token, read_access_file

HASH = sha256(b"x").hexdigest()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_token_is_found_by_its_hash_alone(tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    issued: dict[str, str] = {}
    roles: list[RoleName] = ["read", "write", "admin"]
    for role in roles:
        issued[role], grant = issue_token(f"the-{role}", role, None)
        add_grant(path, grant)
    text = path.read_text()
    access = read_access_file(path)
    for name, token in issued.items():
        assert token not in text
        found = access.of_token(token)
        assert found is not None
        assert (found.name, found.role) == (f"the-{name}", name)
        assert access.of_token(token[:-1]) is None
    assert access.of_token(HASH) is None


def test_tokens_are_256_random_bits() -> None:
    tokens = {issue_token("n", "read", None)[0] for _ in range(100)}
    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {len("unbraid_") + 43}


def test_a_new_file_is_for_its_owner_and_an_old_one_keeps_its_mode_and_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    before = os.umask(0)
    try:
        add_grant(path, issue_token("first", "read", None)[1])
        assert mode(path) == 0o600
        path.write_text("# the front end\n" + path.read_text())
        path.chmod(0o640)
        add_grant(path, issue_token("second", "write", datetime(2030, 1, 2, tzinfo=UTC))[1])
    finally:
        os.umask(before)
    assert mode(path) == 0o640
    assert path.read_text().startswith("# the front end\n")
    first, second = read_access_file(path).token
    assert (first.name, first.expires) == ("first", None)
    assert (second.name, second.expires) == ("second", datetime(2030, 1, 2, tzinfo=UTC))
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_is_given_once(tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    add_grant(path, issue_token("ci", "read", None)[1])
    before = path.read_bytes()
    with pytest.raises(Conflict, match="a token of the name ci"):
        add_grant(path, issue_token("ci", "admin", None)[1])
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["", "a b", 'a"', "a\n[[token]]", "-a", "ä", "x" * 65])
def test_a_name_cannot_break_the_file(name: str) -> None:
    with pytest.raises(InvalidInput, match="letters, digits"):
        issue_token(name, "read", None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[token]", "is not TOML"),
        ("\xff", "is not TOML"),
        ("tokens = 1", "tokens: Extra inputs"),
        ("[[token]]\nname = 'a'\nrole = 'read'", "token.0.sha256: Field required"),
        (f"[[token]]\nname = 'a'\nrole = 'owner'\nsha256 = '{HASH}'", "token.0.role: "),
        ("[[token]]\nname = 'a'\nrole = 'read'\nsha256 = 'unbraid_secret'", "token.0.sha256: "),
        (f"[[token]]\nname = 'a'\nrole = 'read'\nsha256 = '{HASH}'\n" * 2, "two entries have the same name"),
        (
            "".join(f"[[token]]\nname = '{name}'\nrole = 'read'\nsha256 = '{HASH}'\n" for name in "ab"),
            "two entries have the same sha256",
        ),
        (f"[[token]]\nname = 'a'\nrole = 'read'\nsha256 = '{HASH}'\nexpires = 2030-01-01T00:00:00", "expires: "),
        ("[[certificate]]\nidentity = 'a'\nrole = 'read'\n" * 2, "two entries have the same identity"),
    ],
)
def test_what_is_wrong_is_named_and_no_value_is_repeated(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "access.toml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InvalidInput) as caught:
        read_access_file(path)
    assert caught.value.message.startswith(f"access_file: {path}")
    assert problem in caught.value.message
    assert "unbraid_secret" not in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nowhere\.toml: No such file"):
        read_access_file(tmp_path / "nowhere.toml")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True, max_size=5), st.data())
def test_of_many_tokens_the_right_one_is_found(tokens: list[str], data: st.DataObject) -> None:
    grants = tuple(
        TokenGrant(name=f"n{position}", role="read", sha256=sha256(token.encode()).hexdigest())
        for position, token in enumerate(tokens)
    )
    access = AccessList(token=grants)
    asked = data.draw(st.sampled_from([*tokens, "never issued"]))
    found = access.of_token(asked)
    assert (found.name if found else None) == (f"n{tokens.index(asked)}" if asked in tokens else None)


def test_certificates_are_found_by_any_of_their_identities() -> None:
    access = AccessList.model_validate(tomllib.loads("[[certificate]]\nidentity = 'reader'\nrole = 'read'\n"))
    found = access.of_certificate(["other", "reader"])
    assert found is not None
    assert found.role == "read"
    assert access.of_certificate(["other"]) is None
    assert access.of_certificate([]) is None
