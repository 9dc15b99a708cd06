"""The folder of a training run while it is under way: what makes an interrupted run go on.

    run.json                         settings, split and digest of the data: only the same run goes on
    data.json                        what the data are, in numbers
    environment.json                 machine and versions, of every process that worked on the run
    progress/<name>.safetensors      state at the end of an epoch; its header carries the reports so far
    progress/selection.json          what the validation phase decided
    progress/origin-<n>.safetensors  what the ranker learns from at one origin
    metrics.jsonl                    a line an epoch
    report.html                      all of that for a person

Every file is replaced by a rename, so a process that is killed leaves the end of some epoch behind.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file as load_arrays
from torch import Tensor

from unbraid_core.calibration import Calibration
from unbraid_core.errors import Conflict, IncompatibleError
from unbraid_core.release.files import sync
from unbraid_core.release.lock import FileLock
from unbraid_core.release.replacement import pending, replace_text
from unbraid_core.types import Scoring
from unbraid_training.config import TrainConfig
from unbraid_training.data.facts import DataFacts
from unbraid_training.environment import Environment
from unbraid_training.evaluation.cases import Task
from unbraid_training.layout import CONFIG_FILE, DATA_FILE, ENVIRONMENT_FILE, METRICS_FILE, RUN_FILE
from unbraid_training.observer import EpochReport
from unbraid_training.ranker.examples import RankerExamples
from unbraid_training.report.run_report import write_report
from unbraid_training.tensor_files import save_arrays, save_tensors

__all__ = ["RunFolder", "RunIdentity", "Selection", "Snapshot", "incompatible_progress"]

LOCK_FILE, PROGRESS = ".lock", "progress"

# What a process can leave behind that was killed before the folder was marked.
FIRST_FILES = {LOCK_FILE, pending(Path(RUN_FILE)).name}


class RunIdentity(BaseModel):
    """What must be equal for a run to go on.

    Attributes:
        settings: of the training.
        split: in its text form.
        data_sha256: of ids and events.
        text_sha256: of the items' text; empty where nobody reads it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: TrainConfig
    split: str
    data_sha256: str
    text_sha256: str = ""

    def difference(self, other: RunIdentity) -> str:
        """The first thing that differs, in words."""
        mine, theirs = (
            {**_flat(run.settings.model_dump()), **run.model_dump(exclude={"settings"})} for run in (self, other)
        )
        name = next(name for name in mine if mine[name] != theirs[name])
        return f"its {name} is {mine[name]}, this call has {theirs[name]}"


def _flat(settings: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Settings of settings by their dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat.update(_flat(value, f"{path}{name}.") if isinstance(value, Mapping) else {path + name: value})
    return flat


class Selection(BaseModel):
    """What the validation phase decided."""

    model_config = ConfigDict(frozen=True)

    epochs: int
    scoring: Scoring
    calibration: Calibration
    validation: dict[str, float]


@dataclass(frozen=True)
class Snapshot:
    """The state at the end of an epoch, and the reports of all epochs of its phase up to there."""

    state: Mapping[str, Tensor]
    reports: list[EpochReport]


def incompatible_progress(folder: Path) -> IncompatibleError:
    """What to tell where the progress in the folder of a run is not what this version would have stored."""
    progress = folder / PROGRESS
    return IncompatibleError(
        f"{progress}: was stored by another version of unbraid, or is damaged; go on with the version in "
        f"{ENVIRONMENT_FILE}, or remove {progress} and start over"
    )


class RunFolder:
    """A run folder, opened for one run.

    Args:
        path: made where it is missing.
        identity: of the run.
        report_every_s: how old the report of an unfinished run may be at the end of an epoch.

    Raises:
        Conflict: the folder holds another run, finished or not, or another process works on it.
    """

    def __init__(self, path: Path, identity: RunIdentity, report_every_s: float = 15.0) -> None:
        self.path = path
        self._report_every_s = report_every_s
        self._reported_s = time.monotonic()
        self._progress = path / PROGRESS
        marker = path / RUN_FILE
        if not marker.is_file() and path.exists() and not {entry.name for entry in path.iterdir()} <= FIRST_FILES:
            raise Conflict(f"{path} is not empty and holds no training run; name another folder with --out")
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock.take(path / LOCK_FILE)
        if lock is None:
            raise Conflict(f"{path}: another process trains there; wait for it, or name another folder with --out")
        self._lock = lock
        try:
            self._claim(marker, identity)
        except BaseException:
            lock.close()
            raise

    def _claim(self, marker: Path, identity: RunIdentity) -> None:
        """Mark an empty folder as that of this run; in any other it has to be."""
        if not marker.is_file():
            replace_text(marker, identity.model_dump_json(indent=2) + "\n")
            return
        try:
            earlier = RunIdentity.model_validate_json(marker.read_bytes())
        except ValidationError:
            problem = "was made by another version of unbraid"
        else:
            if earlier == identity:
                return
            problem = f"holds another run: {earlier.difference(identity)}"
        raise Conflict(f"{self.path} {problem}; name another folder, or remove this one")

    @property
    def finished(self) -> bool:
        """Whether the run is over and its checkpoint complete."""
        return (self.path / CONFIG_FILE).is_file()

    def load(self, name: str) -> Snapshot | None:
        """The snapshot of that name, if there is one."""
        path = self._progress / f"{name}.safetensors"
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                reports = [EpochReport.model_validate(report) for report in json.loads(file.metadata()["reports"])]
                state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a mapping)
        except (SafetensorError, ValidationError):
            raise incompatible_progress(self.path) from None
        return Snapshot(state, reports)

    def save(self, name: str, snapshot: Snapshot) -> None:
        """Replace the snapshot of that name."""
        self._progress.mkdir(exist_ok=True)
        path = self._progress / f"{name}.safetensors"
        fresh = path.with_suffix(".new")
        reports = json.dumps([report.model_dump() for report in snapshot.reports])
        save_tensors(snapshot.state, fresh, {"reports": reports})
        sync(fresh)
        fresh.replace(path)

    @property
    def selection(self) -> Selection | None:
        """What the validation phase decided, once it has."""
        path = self._progress / "selection.json"
        if not path.is_file():
            return None
        try:
            return Selection.model_validate_json(path.read_bytes())
        except ValidationError:
            raise incompatible_progress(self.path) from None

    @selection.setter
    def selection(self, selection: Selection) -> None:
        replace_text(self._progress / "selection.json", selection.model_dump_json(indent=2) + "\n")

    def has_examples(self, number: int) -> bool:
        """Whether the examples of the origin of that number were kept."""
        return (self._progress / f"origin-{number}.safetensors").is_file()

    def load_examples(self, number: int) -> dict[Task, RankerExamples]:
        """What was kept of that origin."""
        try:
            arrays = load_arrays(self._progress / f"origin-{number}.safetensors")
        except SafetensorError:
            raise incompatible_progress(self.path) from None
        return {
            task: RankerExamples(**{name: arrays[f"{task}.{name}"] for name in RankerExamples.__slots__})
            for task in Task
        }

    def save_examples(self, number: int, parts: Mapping[Task, RankerExamples]) -> None:
        """Keep the examples of an origin."""
        path = self._progress / f"origin-{number}.safetensors"
        arrays = {f"{task}.{name}": getattr(part, name) for task, part in parts.items() for name in part.__slots__}
        fresh = path.with_suffix(".new")
        save_arrays(arrays, fresh)
        sync(fresh)
        fresh.replace(path)

    def log(self, reports: list[EpochReport]) -> None:
        """Write metrics.jsonl, and the report unless it is fresh."""
        replace_text(self.path / METRICS_FILE, "".join(report.model_dump_json() + "\n" for report in reports))
        if time.monotonic() - self._reported_s >= self._report_every_s:
            write_report(self.path)
            self._reported_s = time.monotonic()

    def describe(self, facts: DataFacts, environment: Environment) -> None:
        """Write down what is trained on, and add where."""
        replace_text(self.path / DATA_FILE, facts.model_dump_json(indent=2) + "\n")
        path = self.path / ENVIRONMENT_FILE
        earlier = json.loads(path.read_bytes()) if path.is_file() else []
        replace_text(path, json.dumps([*earlier, environment.model_dump()], indent=2) + "\n")

    def clean(self) -> None:
        """Drop what only an unfinished run needs, and report what a finished one has."""
        if self._progress.is_dir():
            write_report(self.path)
            shutil.rmtree(self._progress)

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()
