"""What compressing an export saved and cost: reports/compression.json."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from unbraid_core.errors import IncompatibleError
from unbraid_core.types import DoubleArray, Precision, Profile
from unbraid_training.evaluation.bootstrap import paired_differences
from unbraid_training.evaluation.cases import Task

__all__ = ["CompressionReport", "Drift", "FileSize", "MetricChange", "TaskChange"]

GATE_METRIC = "recall@50"
REPORTED_METRICS = (GATE_METRIC, "ndcg@50")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class FileSize(_Frozen):
    """Bytes of a file before and after."""

    fp32: int
    compressed: int


class Drift(_Frozen):
    """How far the compressed encoder, fed with the compressed vectors, is from the fp32 ones on the same histories."""

    lowest_cosine: float
    interests_error: float
    assignment_error: float


class MetricChange(_Frozen):
    """A user mean before and after, and the change as a share of the first, with its paired 95% interval."""

    fp32: float
    compressed: float
    relative_change: float
    low: float
    high: float


class TaskChange(_Frozen):
    """What one task of the evaluation gains or loses in one profile."""

    task: Task
    profile: Profile
    user_count: int
    metrics: dict[str, MetricChange]

    @classmethod
    def of(
        cls,
        task: Task,
        profile: Profile,
        before: Mapping[str, DoubleArray],
        after: Mapping[str, DoubleArray],
        seed: int,
    ) -> TaskChange:
        """Compare the same users.

        Args:
            task: what they were asked.
            profile: how the answers were ranked.
            before: metrics of each user [H] in fp32.
            after: the same, compressed.
            seed: of the bootstrap.

        Raises:
            IncompatibleError: nothing is found before, so that there is nothing to lose.
        """
        before = {name: before[name] for name in REPORTED_METRICS}
        changes = paired_differences({name: after[name] for name in REPORTED_METRICS}, before, seed)
        metrics = {}
        for name, change in changes.items():
            level = float(before[name].mean())
            if level == 0.0:
                raise IncompatibleError(
                    f"{name} of task {task} is 0 already in fp32, so no loss can be measured; export fp32"
                )
            metrics[name] = MetricChange(
                fp32=level,
                compressed=level + change.mean,
                relative_change=change.mean / level,
                low=change.low / level,
                high=change.high / level,
            )
        return cls(task=task, profile=profile, user_count=len(before[GATE_METRIC]), metrics=metrics)


class CompressionReport(_Frozen):
    """What compressing an export saved and cost."""

    encoder_precision: Precision
    vector_precision: Precision
    max_loss: float
    validation_split: str
    files: dict[str, FileSize]
    drift: Drift
    tasks: tuple[TaskChange, ...]

    def refuse_loss(self) -> None:
        """Raise if more is lost than may be.

        Raises:
            IncompatibleError: names the loss, the limit and what can be done.
        """
        for change in self.tasks:
            recall = change.metrics[GATE_METRIC]
            if -recall.relative_change > self.max_loss:
                raise IncompatibleError(
                    f"an encoder of {self.encoder_precision} with vectors of {self.vector_precision} loses "
                    f"{-recall.relative_change:.2%} of {GATE_METRIC} in task {change.task}, profile {change.profile} "
                    f"({recall.fp32:.4f} to {recall.compressed:.4f}); {self.max_loss:.2%} is allowed, so nothing was "
                    "exported: export fp32, or allow more with --max-loss"
                )
