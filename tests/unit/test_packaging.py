"""The borders of the distribution: what each package loads, and settings that must agree with each other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).parents[2]
STUBS = REPOSITORY / "protos" / "gen" / "unbraid" / "v1"

LIST_LOADED = """
import importlib, pkgutil, sys
before = set(sys.modules)
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def loaded_by(package: str) -> set[str]:
    """Top-level modules that a fresh interpreter loads for a package and all of its modules."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", LIST_LOADED, package]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@pytest.mark.parametrize(
    ("package", "unwanted"),
    [
        ("unbraid_core", {"faiss", "google", "grpc", "onnxruntime", "torch"}),
        ("unbraid_index", {"google", "grpc", "onnx", "torch"}),
        ("unbraid_server", {"onnx", "scipy", "torch", "unbraid_exporter", "unbraid_training"}),
        ("unbraid_training.data", {"grpc", "implicit", "onnx", "onnxruntime", "scipy", "torch"}),
        ("unbraid_client", {"numpy", "pyarrow", "pydantic", "rich", "torch", "typer", "unbraid_core"}),
        ("unbraid_load", {"numpy", "pyarrow", "pydantic", "rich", "torch", "typer", "unbraid_core"}),
        ("unbraid_cli", {"faiss", "numpy", "onnx", "onnxruntime", "pyarrow", "torch"}),
    ],
)
def test_packages_load_only_what_their_extra_brings(package: str, unwanted: set[str]) -> None:
    assert not loaded_by(package) & unwanted


@pytest.mark.parametrize("package", ["unbraid_index", "unbraid_training", "unbraid_exporter"])
def test_training_and_export_do_without_the_library_of_sentence_encoders(package: str) -> None:
    assert "tokenizers" not in loaded_by(package)


def test_every_tool_knows_the_same_roots(settings: dict[str, Any]) -> None:
    tool = settings["tool"]
    roots = tool["hatch"]["build"]["dev-mode-dirs"]
    packages = tool["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert [Path(package).parent.as_posix() for package in packages] == roots
    assert tool["pytest"]["ini_options"]["pythonpath"] == roots
    assert tool["mypy"]["mypy_path"] == roots
    assert tool["ruff"]["src"] == roots


@pytest.mark.parametrize(
    ("library", "stub", "version"),
    [
        ("grpcio", "status_pb2_grpc.py", r"GRPC_GENERATED_VERSION = '([\d.]+)'"),
        ("protobuf", "status_pb2.py", r"# Protobuf Python Version: ([\d.]+)"),
    ],
)
def test_the_oldest_library_that_is_allowed_can_read_the_stubs(
    settings: dict[str, Any], library: str, stub: str, version: str
) -> None:
    requirements = [Requirement(text) for text in settings["project"]["dependencies"]]
    (bounds,) = (each.specifier for each in requirements if each.name == library)
    (oldest,) = (bound.version for bound in bounds if bound.operator == ">=")
    generated = re.search(version, (STUBS / stub).read_text(encoding="utf-8"))
    assert generated is not None
    assert Version(oldest) >= Version(generated[1])


def test_every_direct_dependency_is_pinned(settings: dict[str, Any]) -> None:
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(text) for line in lines if (text := line.partition("#")[0])]
    pins = {requirement.name: requirement.specifier for requirement in requirements}
    project = settings["project"]
    extras = [text for extra in project["optional-dependencies"].values() for text in extra]
    for requirement in map(Requirement, project["dependencies"] + extras):
        if requirement.name != project["name"]:
            (pin,) = pins[canonicalize_name(requirement.name)]
            assert pin.operator == "=="
            assert requirement.specifier.contains(pin.version)
