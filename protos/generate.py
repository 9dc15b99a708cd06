"""Generates the Python stubs in ``protos/gen`` from the contract in ``protos/unbraid``.

``protos/gen`` is owned by this script: it is emptied and written anew. With ``--check`` nothing is written; the script
exits with 1 and one line if the committed stubs differ from fresh ones. Needs grpcio-tools and mypy-protobuf.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import sysconfig
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
COMMITTED = PROTOS / "gen"
PACKAGES = {
    Path("unbraid/__init__.py"): '"""Generated from the contract of unbraid."""\n',
    Path("unbraid/py.typed"): "",
    Path("unbraid/v1/__init__.py"): '"""Version 1: messages in ``*_pb2``, services in ``*_pb2_grpc``."""\n',
}
PLUGINS = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")


def generate(target: Path) -> None:
    """Write all stubs and the packages that hold them into an empty folder."""
    scripts = Path(sysconfig.get_path("scripts"))
    suffix = ".exe" if sys.platform == "win32" else ""
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTOS}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            *(f"--plugin={plugin}={scripts / plugin}{suffix}" for plugin in PLUGINS),
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}",
            f"--mypy_grpc_out=quiet:{target}",
            *(str(path) for path in sorted((PROTOS / "unbraid").rglob("*.proto"))),
        ]
    )
    if status != 0:
        sys.exit(status)
    for path, text in PACKAGES.items():
        (target / path).write_text(text, encoding="utf-8")


def differing(fresh: Path, committed: Path) -> list[str]:
    """Relative paths of files that are missing, left over or different, in order."""
    names = {
        path.relative_to(root).as_posix()
        for root in (fresh, committed)
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    _, mismatched, missing = filecmp.cmpfiles(fresh, committed, names, shallow=False)
    return sorted([*mismatched, *missing])


def main() -> int:
    """Generate into ``protos/gen``, or compare with it."""
    parser = argparse.ArgumentParser(description="Generate the Python stubs of the contract.")
    parser.add_argument("--check", action="store_true", help="compare with the committed stubs instead of writing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        if arguments.check:
            stale = differing(fresh, COMMITTED)
            if stale:
                print(f"error: stale stubs in protos/gen: {', '.join(stale)}; run `make protos`", file=sys.stderr)
            return 1 if stale else 0
        shutil.rmtree(COMMITTED, ignore_errors=True)
        shutil.copytree(fresh, COMMITTED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
