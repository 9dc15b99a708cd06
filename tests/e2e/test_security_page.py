"""docs/security.md, followed to the letter: a CA, a certificate, tokens, a server, a client, and a renewal."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
TIMEOUT_S = 60.0

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def shell_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


class Shell:
    """Runs blocks of the page in a folder in which ``unbraid`` is the command of this checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        commands = folder / "bin"
        commands.mkdir()
        unbraid = commands / "unbraid"
        unbraid.write_text(f'#!/bin/sh\nexec {sys.executable} -m unbraid_cli "$@"\n')
        unbraid.chmod(0o755)
        path = os.environ["PATH"]
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("UNBRAID_")} | {
            "PATH": f"{commands}{os.pathsep}{path}",
            "COLUMNS": "200",
        }

    def run(self, block: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-ec", block],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-ec", f"exec {command}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


@pytest.fixture
def shell(tmp_path: Path, releases_v1: Path) -> Shell:
    shutil.copytree(releases_v1, tmp_path / "releases")
    return Shell(tmp_path)


@pytest.fixture
def served(shell: Shell) -> Iterator[tuple[Shell, list[str], str]]:
    """The server of the page, on a free port of loopback, with the blocks that are left and its address."""
    blocks = iter(shell_blocks())
    for block in blocks:
        if block.startswith("unbraid serve"):
            break
        done = shell.run(block)
        assert done.returncode == 0, done.stderr
    else:
        raise AssertionError("the page starts no server")
    server = shell.start(block.strip().replace("--host 0.0.0.0", "--host 127.0.0.1 --port 0"))
    assert server.stdout is not None
    line = server.stdout.readline()
    found = re.match(r"listening on 127\.0\.0\.1:(\d+)", line)
    assert found, line
    yield shell, list(blocks), f"localhost:{found[1]}"
    server.kill()
    server.communicate()


def test_the_page_leads_to_a_protected_server(served: tuple[Shell, list[str], str]) -> None:
    shell, (call, renew, *rest), address = served
    assert rest == []
    call = call.replace("localhost:50051", address)
    answered = shell.run(call)
    assert answered.returncode == 0, answered.stderr
    assert "release" in answered.stdout

    connect = call.splitlines()[0]
    writer = connect.replace("shop.token", "importer.token")
    for lines, problem in (
        (f"{connect}\nunbraid items delete i-7", "needs the role write, yours is read"),
        (f"{connect}\nunset UNBRAID_TOKEN_FILE\nunbraid status", "no proof of who calls"),
        (f"{connect}\nexport UNBRAID_TOKEN_FILE=ca.pem\nunbraid status", "UNBRAID_TOKEN_FILE: holds no token"),
        (f"{connect}\nunset UNBRAID_CA\nunbraid status", "if it has TLS"),
    ):
        refused = shell.run(lines)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert problem in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert shell.run(f"{writer}\nunbraid items delete i-7").returncode == 0

    assert shell.run(renew).returncode == 0
    assert shell.run(f"{connect}\nunbraid status").returncode == 0


def test_the_command_of_the_page_refuses_other_machines_without_tls_or_tokens(shell: Shell) -> None:
    command = "unbraid serve --host 0.0.0.0 --port 0"
    refused = shell.run(command)
    assert refused.returncode == 2
    assert "no TLS (tls_certificate and tls_key) and no authentication (access_file or jwt_key)" in refused.stderr
