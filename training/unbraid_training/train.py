"""A whole training run.

Choose the number of epochs and the score on held-out users; train on all events; then train the ranker at earlier
moments.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from unbraid_core.errors import IncompatibleError, InvalidInput
from unbraid_core.release import TrainingRecord
from unbraid_core.types import FloatArray, Query
from unbraid_training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from unbraid_training.config import DAY_S, TrainConfig
from unbraid_training.content.item_content import ItemContent, read_content
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.facts import DataFacts
from unbraid_training.data.splits import Split
from unbraid_training.environment import Environment
from unbraid_training.item_statistics import log_popularity
from unbraid_training.model import Model
from unbraid_training.observer import EpochReport, TrainingObserver, best_epoch
from unbraid_training.ranker.fitting import fit_ranker
from unbraid_training.ranker.origin import Origin, find_origins
from unbraid_training.ranker.trained import TrainedRanker
from unbraid_training.run_folder import RunFolder, RunIdentity, Selection, Snapshot
from unbraid_training.score_fit import ALL_TIME_S, FIT_STEP_COUNT
from unbraid_training.trainer import EpochLoss, Trainer
from unbraid_training.validation import Validation, first_scoring, model_pipeline

__all__ = ["train"]

QUERY_USER_COUNT = 1000

# One to calibrate on, and one to learn from.
FEWEST_ORIGINS = 2


def train(dataset: Dataset, split: Split, config: TrainConfig, folder: Path, observer: TrainingObserver) -> Checkpoint:
    """Train on the training part of a split, and leave a checkpoint in ``folder``.

    A finished run is loaded, an unfinished one goes on from the end of its last epoch; both give what an undisturbed
    run gives.

    Args:
        dataset: all events; those that the split holds out are never looked at.
        split: what to train on.
        config: settings.
        folder: of the run.
        observer: is told how it goes.

    Raises:
        InvalidInput: too few events to train on, no user to validate with, or no usable text of the items.
        NotFound, IntegrityError: the sentence encoder cannot be read.
        Conflict: the folder holds another run.
        IncompatibleError: the folder holds this run, but its progress is that of another version.
    """
    data = split.apply(dataset).train
    identity = RunIdentity(settings=config, split=str(split), data_sha256=data.sha256())
    with RunFolder(folder, identity) as run:
        if not run.finished:
            run.describe(DataFacts.of(dataset, data), Environment.here())
            content = read_content(data.catalogue, config)
            selection = _select(data, content, split, config, run, observer)
            trainer = _refit(data, content, config, selection, run, observer)
            checkpoint = _checkpoint(trainer, data, content, config, selection, identity)
            ranker = _learn_to_rank(data, content, split, config, selection, run, observer)
            save_checkpoint(replace(checkpoint, ranker=ranker), folder)
        run.clean()
    return load_checkpoint(folder)


def _select(
    data: Dataset,
    content: ItemContent | None,
    split: Split,
    config: TrainConfig,
    run: RunFolder,
    observer: TrainingObserver,
) -> Selection:
    """Train on the inner split until validation stops improving; fit the score on the best model."""
    if run.selection is not None:
        return run.selection
    inner = split.inner(data).apply(data)
    validation = Validation(inner, config)
    trainer = _trainer(inner.train, content, config)
    reports = _resume(trainer, run, "select")
    batch_count = trainer.examples.batch_count
    observer.begin("choosing epochs", config.epochs * batch_count, len(reports) * batch_count)
    while len(reports) < config.epochs and len(reports) - best_epoch(reports) < config.patience:
        loss = trainer.run_epoch(len(reports), observer.advance)
        metrics = validation.score(trainer.model, first_scoring(config))
        reports.append(_report("select", len(reports), loss, trainer, metrics))
        observer.epoch(reports[-1])
        run.log(reports)
        if best_epoch(reports) == len(reports):
            run.save("best", Snapshot(trainer.state(), reports))
        run.save("select", Snapshot(trainer.state(), reports))
    _resume(trainer, run, "best")
    observer.begin("fitting the score", FIT_STEP_COUNT, 0)
    scoring = validation.fit_scoring(trainer.model, observer.advance)
    metrics = validation.score(trainer.model, scoring)
    selection = Selection(
        epochs=best_epoch(reports),
        scoring=scoring,
        calibration=validation.fit_calibration(trainer.model, scoring),
        validation=metrics,
    )
    run.selection = selection
    return selection


def _refit(
    data: Dataset,
    content: ItemContent | None,
    config: TrainConfig,
    selection: Selection,
    run: RunFolder,
    observer: TrainingObserver,
) -> Trainer:
    """Train on all training events for as many epochs as were best."""
    trainer = _trainer(data, content, config)
    reports = _resume(trainer, run, "refit")
    batch_count = trainer.examples.batch_count
    observer.begin("training on all", selection.epochs * batch_count, len(reports) * batch_count)
    selected = run.load("select")
    while len(reports) < selection.epochs:
        loss = trainer.run_epoch(len(reports), observer.advance)
        reports.append(_report("refit", len(reports), loss, trainer, {}))
        observer.epoch(reports[-1])
        run.log([*(selected.reports if selected else []), *reports])
        run.save("refit", Snapshot(trainer.state(), reports))
    return trainer


def _learn_to_rank(
    data: Dataset,
    content: ItemContent | None,
    split: Split,
    config: TrainConfig,
    selection: Selection,
    run: RunFolder,
    observer: TrainingObserver,
) -> TrainedRanker | None:
    """Fit the ranker; None where the events do not reach back to two origins."""
    origins = find_origins(split, data, config.ranker, config.seed)
    if len(origins) < FEWEST_ORIGINS:
        return None
    examples = []
    for number, origin in enumerate(origins, start=1):
        parts = run.load_examples(number)
        if parts is None:
            model = _origin_model(origin, content, number, config, selection, run, observer)
            observer.begin(f"ranker, origin {number}: asking for candidates", origin.user_count, 0)
            pipeline = model_pipeline(model, origin.holdout.train, first_scoring(config), config.max_history)
            parts = origin.examples(pipeline, config.ranker, config.seed, observer.advance)
            run.save_examples(number, parts)
        examples.append(parts)
    observer.begin("ranker: fitting", 1, 0)
    ranker = fit_ranker(origins[0], examples, data, config.ranker, config.seed)
    observer.advance()
    return ranker


def _origin_model(
    origin: Origin,
    content: ItemContent | None,
    number: int,
    config: TrainConfig,
    selection: Selection,
    run: RunFolder,
    observer: TrainingObserver,
) -> Model:
    """A model of that moment; the newest origin is where the epochs were chosen, so its model is there already."""
    trainer = _trainer(origin.holdout.train, content, config)
    if number == 1:
        _resume(trainer, run, "best")
        return trainer.model
    observer.begin(f"ranker, origin {number}: training", selection.epochs * trainer.examples.batch_count, 0)
    for epoch in range(selection.epochs):
        trainer.run_epoch(epoch, observer.advance)
    return trainer.model


def _trainer(data: Dataset, content: ItemContent | None, config: TrainConfig) -> Trainer:
    item_count = len(np.unique(data.row_E))
    if item_count < config.interest_count:
        raise InvalidInput(
            "interest_count",
            f"is {config.interest_count}, but there are events on {item_count} items only; ask for fewer",
        )
    trainer = Trainer(data, config, log_popularity(data, ALL_TIME_S), content)
    if trainer.examples.cut_count == 0:
        raise InvalidInput("data", "no user has events at two different times, so there is nothing to predict")
    return trainer


def _resume(trainer: Trainer, run: RunFolder, name: str) -> list[EpochReport]:
    """Go back to a snapshot, if there is one; the reports of the epochs that it has seen."""
    snapshot = run.load(name)
    if snapshot is None:
        return []
    try:
        trainer.restore(snapshot.state)
    except IncompatibleError:
        raise run.incompatible() from None
    return list(snapshot.reports)


def _report(phase: str, epoch: int, loss: EpochLoss, trainer: Trainer, validation: dict[str, float]) -> EpochReport:
    decay = trainer.model.decay
    return EpochReport(
        phase=phase,
        epoch=epoch + 1,
        **loss._asdict(),
        half_life_days=(decay.half_life_s().detach().numpy() / DAY_S).tolist(),
        restlessness=decay.restlessness().item(),
        validation=validation,
    )


def _checkpoint(
    trainer: Trainer,
    data: Dataset,
    content: ItemContent | None,
    config: TrainConfig,
    selection: Selection,
    identity: RunIdentity,
) -> Checkpoint:
    record = TrainingRecord(
        split=identity.split,
        seed=config.seed,
        event_count=len(data),
        user_count=len(np.unique(data.user_E)),
        last_event_time=datetime.fromtimestamp(float(data.time_s_E.max()), UTC),
        data_sha256=identity.data_sha256,
        validation=selection.validation,
    )
    return Checkpoint(
        settings=config,
        model=trainer.model,
        actions=list(data.actions),
        scoring=selection.scoring,
        calibration=selection.calibration,
        training=record,
        log_popularity_I=log_popularity(data, selection.scoring.popularity_half_life_s),
        queries_QD=_queries(trainer, data, config, selection),
        catalogue=data.catalogue,
        reader=None if content is None else content.reader,
    )


def _queries(trainer: Trainer, data: Dataset, config: TrainConfig, selection: Selection) -> FloatArray:
    """The interests of users drawn at random, in random order: what an index will be asked, without saying by whom."""
    active_U = np.flatnonzero(np.diff(data.offset_U1))
    rng = np.random.default_rng(config.seed)
    chosen_U = rng.permutation(active_U)[:QUERY_USER_COUNT]
    pipeline = model_pipeline(trainer.model, data, selection.scoring, config.max_history)
    histories = [data.history(int(user)) for user in chosen_U]
    queries = [Query(history, float(history.time_s_N[-1]), limit=1) for history in histories]
    vectors = [interests.vectors_KD for interests in pipeline.interests(queries) if interests is not None]
    shuffled_QD: FloatArray = rng.permutation(np.concatenate(vectors))
    return shuffled_QD
