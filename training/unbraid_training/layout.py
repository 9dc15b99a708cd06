"""Names of the files in the folder of a run."""

from __future__ import annotations

__all__ = ["CONFIG_FILE", "DATA_FILE", "ENVIRONMENT_FILE", "METRICS_FILE", "REPORT_FILE", "RUN_FILE"]

RUN_FILE = "run.json"
DATA_FILE = "data.json"
ENVIRONMENT_FILE = "environment.json"
METRICS_FILE = "metrics.jsonl"
REPORT_FILE = "report.html"
CONFIG_FILE = "config.json"
