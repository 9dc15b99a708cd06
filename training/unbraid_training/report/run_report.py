"""The report of a run: one HTML file that needs nothing else, made of what the folder of the run holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from pydantic import ValidationError

from unbraid_core.errors import IntegrityError, NotFound
from unbraid_core.release.replacement import replace_text
from unbraid_training.config import DAY_S
from unbraid_training.layout import CONFIG_FILE, DATA_FILE, ENVIRONMENT_FILE, METRICS_FILE, REPORT_FILE, RUN_FILE
from unbraid_training.observer import EpochReport, best_epoch
from unbraid_training.report.plots import draw_epochs

__all__ = ["write_report"]

Facts = dict[str, str]


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into the folder of a run, finished or not.

    Returns:
        Path of the report.

    Raises:
        NotFound: the folder holds no run.
        IntegrityError: a file of the run cannot be read; the message names it.
    """
    if not (folder / RUN_FILE).is_file():
        raise NotFound(
            f"{folder}: holds no training run; name the folder that unbraid train writes, or begin one with: "
            f"unbraid train --out {folder}"
        )
    page = _Page(folder)
    template = Environment(loader=PackageLoader("unbraid_training", "report"), autoescape=True, trim_blocks=True)
    text = template.get_template("run_report.html").render(
        name=folder.resolve().name,
        state=page.state,
        image=draw_epochs(page.reports, page.best_epoch) if page.reports else "",
        tables=page.tables(),
        columns=page.columns,
        rows=page.rows(),
    )
    replace_text(folder / REPORT_FILE, text)
    return folder / REPORT_FILE


@dataclass(frozen=True)
class _Page:
    """What a folder holds, in the words of the report."""

    folder: Path

    @cached_property
    def reports(self) -> list[EpochReport]:
        """Every epoch so far."""
        path = self.folder / METRICS_FILE
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        try:
            return [EpochReport.model_validate_json(line) for line in lines]
        except ValidationError:
            raise IntegrityError(f"{path}: was written by another version of unbraid, or is damaged") from None

    @cached_property
    def best_epoch(self) -> int:
        """Of the phase that chooses, counted from 1; 0 before the first."""
        return best_epoch(self._choice)

    @property
    def _choice(self) -> list[EpochReport]:
        return [report for report in self.reports if report.phase == "select"]

    @property
    def state(self) -> str:
        """How far the run is."""
        if (self.folder / CONFIG_FILE).is_file():
            return f"Finished: the best was epoch {self.best_epoch} of {len(self._choice)}."
        if not self.reports:
            return "Under way: no epoch is over."
        last = self.reports[-1]
        stretch = "choosing epochs" if last.phase == "select" else "training on all"
        return f"Under way: {stretch}, epoch {last.epoch} is over, the best so far is {self.best_epoch}."

    def tables(self) -> dict[str, Facts]:
        """Facts by title; empty where the run is not so far."""
        run, config = self._json(RUN_FILE), self._json(CONFIG_FILE)
        environments = self._json(ENVIRONMENT_FILE) or [{}]
        identity = {"split": run["split"], "data sha256": run["data_sha256"][:16]}
        return {
            "Validation": _facts(config["training"]["validation"]) if config else self._best_validation(),
            "Score": _facts(config.get("scoring", {})),
            "Data": _facts(identity | self._json(DATA_FILE)),
            "Settings": _facts(run["settings"]),
            "Environment": _facts({**environments[-1], "processes that worked on it": len(environments)}),
        }

    @property
    def columns(self) -> list[str]:
        """Head of the table of epochs."""
        return list(_flat(self.reports[-1])) if self.reports else []

    def rows(self) -> list[dict[str, Any]]:
        """The table of epochs."""
        return [
            {
                "phase": report.phase,
                "best": (report.phase, report.epoch) == ("select", self.best_epoch),
                "cells": [flat.get(column, "") for column in self.columns],
            }
            for report in self.reports
            for flat in [_flat(report)]
        ]

    def _best_validation(self) -> Facts:
        return _facts(self.reports[self.best_epoch - 1].validation) if self.reports else {}

    def _json(self, name: str) -> Any:
        path = self.folder / name
        return json.loads(path.read_bytes()) if path.is_file() else {}


def _flat(report: EpochReport) -> Facts:
    """The numbers of an epoch by column; a list becomes one cell."""
    return _facts(report.model_dump(exclude={"phase"}))


def _facts(values: dict[str, Any]) -> Facts:
    """Names and values as a person reads them; durations are shown in days, tables inside are taken apart."""
    facts: Facts = {}
    for name, value in values.items():
        if isinstance(value, dict):
            facts.update({f"{name}: {key}": text for key, text in _facts(value).items()})
        elif name.endswith("_s"):
            facts[f"{name.removesuffix('_s').replace('_', ' ')} (days)"] = _text(value, DAY_S)
        else:
            facts[name.replace("_", " ") or "(no action)"] = _text(value, 1)
    return facts


def _text(value: object, unit: float) -> str:
    if value is None or value in ([], ()):
        return "none"
    if isinstance(value, list | tuple):
        return ("; " if isinstance(value[0], dict) else ", ").join(_text(each, unit) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name, text in _facts(value).items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value / unit:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
