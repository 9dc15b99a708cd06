"""Users of the training events, with what they did later: what a compressed export is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unbraid_core.encoding import pad_histories
from unbraid_core.item_vectors import ItemVectors
from unbraid_core.pipeline import Pipeline
from unbraid_core.types import DoubleArray, History, HistoryBatch, Profile
from unbraid_training.checkpoint import Checkpoint
from unbraid_training.data.dataset import Dataset
from unbraid_training.evaluation.admission import admit
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import user_metrics
from unbraid_training.evaluation.system import rank_with_pipeline

__all__ = ["HeldOutUsers"]

USER_COUNT = 1000
HISTORY_COUNT = 256
BATCH_SIZE = 32


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutUsers:
    """Users of the validation split inside the training events, as ``unbraid train`` chooses epochs by.

    The finished model was then trained on all training events, what these users did later among them. So the level of
    their metrics says nothing, but the difference between two precisions of the same model does.

    Attributes:
        split: the validation split.
        cases: at most 1000 users for each task.
        histories: of users drawn at random, the newest L events; at most 256.
    """

    split: str
    cases: Sequence[Cases]
    histories: Sequence[History]

    @classmethod
    def of(cls, checkpoint: Checkpoint, dataset: Dataset) -> HeldOutUsers:
        """The users that a checkpoint was validated on.

        Args:
            checkpoint: of the model.
            dataset: all events that it was trained with, before they were parted.

        Raises:
            InvalidInput: the data are not those of the training, or no user has a target.
        """
        rule, holdout = admit(checkpoint.training, dataset, None)
        inner = rule.inner(holdout.train)
        validation = inner.apply(holdout.train)
        seed = checkpoint.settings.seed
        active_U = np.flatnonzero(np.diff(holdout.train.offset_U1))
        chosen_U = np.random.default_rng(seed).permutation(active_U)[:HISTORY_COUNT]
        return cls(
            split=str(inner),
            cases=[
                Cases.of(validation, task, checkpoint.catalogue, checkpoint.actions).sample(USER_COUNT, seed)
                for task in Task
            ],
            histories=[holdout.train.history(int(user)).last(checkpoint.settings.max_history) for user in chosen_U],
        )

    def batches(self, vectors: ItemVectors) -> list[HistoryBatch]:
        """The histories as an encoder sees them."""
        starts = range(0, len(self.histories), BATCH_SIZE)
        return [pad_histories(self.histories[start : start + BATCH_SIZE], vectors) for start in starts]

    def judge(self, pipeline: Pipeline) -> dict[tuple[Task, Profile], dict[str, DoubleArray]]:
        """How well a pipeline answers each user of each task, in every profile that it has."""
        profiles = [Profile.FORMULA] if pipeline.ranker is None else [Profile.FORMULA, Profile.LEARNED]
        return {
            (cases.task, profile): user_metrics(
                rank_with_pipeline(pipeline, cases, lambda _: None, profile=profile),
                cases.targets,
                len(cases.catalogue),
            )
            for cases in self.cases
            for profile in profiles
        }
