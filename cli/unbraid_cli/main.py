"""Entry point of the ``unbraid`` command: turns every expected error into one line and exit code 2."""

from __future__ import annotations

import sys

__all__ = ["main"]

EXTRA_OF_MODULE = {
    "typer": "cli",
    "rich": "cli",
    "hdrh": "load",
    "torch": "train",
    "implicit": "train",
    "jinja2": "train",
    "lightgbm": "train",
    "matplotlib": "train",
    "scipy": "train",
    "threadpoolctl": "train",
    "tomli_w": "train",
    "safetensors": "train",
    "onnx": "train",
    "onnxmltools": "train",
    "onnxscript": "train",
    "tokenizers": "text",
    "opentelemetry": "otel",
    "grpc_health": "server",
    "grpc_reflection": "server",
    "apsw": "server",
    "cryptography": "server",
    "jwt": "server",
    "prometheus_client": "server",
    "structlog": "server",
    "faiss": "server",
    "numpy": "server",
    "onnxruntime": "server",
    "pyarrow": "server",
    "pydantic": "server",
}


def main() -> None:
    """Run the command line."""
    try:
        from unbraid_cli.app import run

        code = run()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA_OF_MODULE:
            raise
        extra = EXTRA_OF_MODULE[package]
        sys.stderr.write(f"error: this command needs {package}; install it with: pip install 'unbraid[{extra}]'\n")
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    main()
