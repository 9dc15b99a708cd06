"""A whole training run.

Choose the number of epochs and the score on held-out users; train on all events; then train the ranker at earlier
moments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from unbraid_core.counted import counted
from unbraid_core.errors import IncompatibleError, InvalidInput
from unbraid_core.release import TrainingRecord
from unbraid_core.types import FloatArray, Query
from unbraid_training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from unbraid_training.config import DAY_S, TrainConfig
from unbraid_training.content.item_content import ItemContent, read_content, text_sha256
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.facts import DataFacts
from unbraid_training.data.splits import Split
from unbraid_training.device import CPU, DeviceChoice
from unbraid_training.environment import Environment
from unbraid_training.item_statistics import log_popularity
from unbraid_training.model import Model
from unbraid_training.observer import EpochReport, Silence, TrainingObserver, best_epoch
from unbraid_training.ranker.fitting import fit_ranker
from unbraid_training.ranker.origin import Origin, find_origins
from unbraid_training.ranks import from_first, is_first
from unbraid_training.run_folder import RunFolder, RunIdentity, Selection, Snapshot, incompatible_progress
from unbraid_training.score_fit import ALL_TIME_S, FIT_STEP_COUNT
from unbraid_training.shared_run import SharedRun
from unbraid_training.trainer import EpochLoss, Trainer
from unbraid_training.validation import Validation, first_scoring, model_pipeline

__all__ = ["train"]

QUERY_USER_COUNT = 1000

# One to calibrate on, and one to learn from.
FEWEST_ORIGINS = 2


@dataclass(frozen=True)
class _Job:
    """What the phases of a run share; ``data`` are the events that the split leaves."""

    data: Dataset
    content: ItemContent | None
    split: Split
    config: TrainConfig
    choice: DeviceChoice
    identity: RunIdentity
    folder: Path
    run: SharedRun
    observer: TrainingObserver


def train(
    dataset: Dataset,
    split: Split,
    config: TrainConfig,
    folder: Path,
    observer: TrainingObserver,
    choice: DeviceChoice = CPU,
) -> Checkpoint:
    """Train on the training part of a split, and leave a checkpoint in ``folder``.

    A finished run is loaded, an unfinished one goes on from the end of its last epoch; both give what an undisturbed
    run gives. Processes that have ``joined`` train together, and all of them have to see the folder.

    Args:
        dataset: all events; those that the split holds out are never looked at.
        split: what to train on.
        config: settings.
        folder: of the run.
        observer: is told how it goes; only that of the first of several processes.
        choice: on what to compute.

    Raises:
        InvalidInput: too few events to train on, no user to validate with, or no usable text of the items.
        NotFound, IntegrityError: the sentence encoder cannot be read.
        Conflict: the folder holds another run.
        IncompatibleError: the folder holds this run, but its progress is that of another version.
        Unavailable: another process of this training has ended.
    """
    data = split.apply(dataset).train
    identity = RunIdentity(
        settings=config,
        split=str(split),
        data_sha256=data.sha256(),
        text_sha256=text_sha256(data.catalogue, config),
    )
    with SharedRun(folder, identity) as run:
        if not run.ask(lambda files: files.finished):
            content = read_content(data.catalogue, config)
            said_to = observer if is_first() else Silence()
            job = _Job(data, content, split, config, choice, identity, folder, run, said_to)
            run.tell(lambda files: files.describe(DataFacts.of(dataset, data), Environment.here(choice)))
            selection = _select(job)
            trainer = _refit(job, selection)
            origins = _learn_at_origins(job, selection)
            run.tell(lambda files: _finish(job, trainer, selection, origins, files))
        # The others wait for the answer, and then load what the first has written.
        run.ask(lambda files: files.clean())
    return load_checkpoint(folder)


def _select(job: _Job) -> Selection:
    """Train on the inner split until validation stops improving; fit the score on the best model."""
    config, run, observer = job.config, job.run, job.observer
    selection = run.ask(lambda files: files.selection)
    if selection is not None:
        return selection
    inner = job.split.inner(job.data).apply(job.data)
    validation = Validation(inner, config)
    trainer = _trainer(inner.train, job)
    reports = _resume(trainer, job, "select")
    batch_count = trainer.examples.batch_count
    observer.begin("choosing epochs", config.epochs * batch_count, len(reports) * batch_count)
    while len(reports) < config.epochs and len(reports) - best_epoch(reports) < config.patience:
        loss = trainer.run_epoch(len(reports), observer.advance)
        metrics = from_first(lambda: validation.score(trainer.model, first_scoring(config)))
        reports.append(_report("select", len(reports), loss, trainer, metrics))
        observer.epoch(reports[-1])
        run.tell(lambda files: files.log(reports))
        if best_epoch(reports) == len(reports):
            run.tell(lambda files: files.save("best", Snapshot(trainer.state(), reports)))
        run.tell(lambda files: files.save("select", Snapshot(trainer.state(), reports)))
    _resume(trainer, job, "best")
    trainer.settle_decay()
    observer.begin("fitting the score", FIT_STEP_COUNT, 0)
    return run.ask(lambda files: _fit_score(trainer.model, validation, best_epoch(reports), files, observer))


def _fit_score(
    model: Model, validation: Validation, epochs: int, files: RunFolder, observer: TrainingObserver
) -> Selection:
    scoring = validation.fit_scoring(model, observer.advance)
    selection = Selection(
        epochs=epochs,
        scoring=scoring,
        calibration=validation.fit_calibration(model, scoring),
        validation=validation.score(model, scoring),
    )
    files.selection = selection
    return selection


def _refit(job: _Job, selection: Selection) -> Trainer:
    """Train on all training events for as many epochs as were best."""
    trainer = _trainer(job.data, job)
    reports = _resume(trainer, job, "refit")
    batch_count = trainer.examples.batch_count
    job.observer.begin("training on all", selection.epochs * batch_count, len(reports) * batch_count)
    selected = job.run.ask(lambda files: files.load("select"))
    while len(reports) < selection.epochs:
        loss = trainer.run_epoch(len(reports), job.observer.advance)
        reports.append(_report("refit", len(reports), loss, trainer, {}))
        job.observer.epoch(reports[-1])
        job.run.tell(lambda files: files.log([*(selected.reports if selected else []), *reports]))
        job.run.tell(lambda files: files.save("refit", Snapshot(trainer.state(), reports)))
    trainer.settle_decay()
    return trainer


def _learn_at_origins(job: _Job, selection: Selection) -> list[Origin]:
    """Keep what the ranker learns from at each origin; none where the events do not reach back to two."""
    ranker, config, observer = job.config.ranker, job.config, job.observer
    origins = find_origins(job.split, job.data, ranker, config.seed)
    if len(origins) < FEWEST_ORIGINS:
        return []

    def keep(number: int, origin: Origin, model: Model, files: RunFolder) -> None:
        observer.begin(f"ranker, origin {number}: asking for candidates", origin.user_count, 0)
        pipeline = model_pipeline(model, origin.holdout.train, selection.scoring, config.max_history)
        files.save_examples(number, origin.examples(pipeline, ranker, config.seed, observer.advance))

    for number, origin in enumerate(origins, start=1):
        if not job.run.ask(partial(RunFolder.has_examples, number=number)):
            model = _origin_model(origin, number, job, selection)
            job.run.tell(partial(keep, number, origin, model))
    return origins


def _origin_model(origin: Origin, number: int, job: _Job, selection: Selection) -> Model:
    """A model of that moment; at the first the epochs were chosen, so its model is there already."""
    trainer = _trainer(origin.holdout.train, job)
    if number == 1:
        _resume(trainer, job, "best")
    else:
        job.observer.begin(f"ranker, origin {number}: training", selection.epochs * trainer.examples.batch_count, 0)
        for epoch in range(selection.epochs):
            trainer.run_epoch(epoch, job.observer.advance)
    trainer.settle_decay()
    return trainer.model


def _finish(job: _Job, trainer: Trainer, selection: Selection, origins: list[Origin], files: RunFolder) -> None:
    """Fit the ranker, and write the checkpoint."""
    ranker = None
    if origins:
        job.observer.begin("ranker: fitting", 1, 0)
        examples = [files.load_examples(number) for number, _ in enumerate(origins, start=1)]
        ranker = fit_ranker(origins, examples, job.data, job.config.ranker, job.config.seed)
        job.observer.advance()
    checkpoint = _checkpoint(trainer, selection, job)
    save_checkpoint(replace(checkpoint, ranker=ranker), job.folder)


def _trainer(data: Dataset, job: _Job) -> Trainer:
    item_count, interest_count = len(np.unique(data.row_E)), job.config.interest_count
    if item_count < interest_count:
        raise InvalidInput(
            "interest_count",
            f"is {interest_count}, but there are events on {counted(item_count, 'item')} only; ask for fewer",
        )
    trainer = Trainer(data, job.config, log_popularity(data, ALL_TIME_S), job.content, job.choice)
    if trainer.examples.cut_count == 0:
        raise InvalidInput("data", "no user has events at two different times, so there is nothing to predict")
    return trainer


def _resume(trainer: Trainer, job: _Job, name: str) -> list[EpochReport]:
    """Go back to a snapshot, if there is one; the reports of the epochs that it has seen."""
    snapshot = job.run.ask(lambda files: files.load(name))
    if snapshot is None:
        return []
    try:
        trainer.restore(snapshot.state)
    except IncompatibleError:
        raise incompatible_progress(job.folder) from None
    return list(snapshot.reports)


def _report(phase: str, epoch: int, loss: EpochLoss, trainer: Trainer, validation: dict[str, float]) -> EpochReport:
    decay = trainer.model.decay
    return EpochReport(
        phase=phase,
        epoch=epoch + 1,
        **loss._asdict(),
        half_life_days=(decay.half_life_s().detach().cpu().numpy() / DAY_S).tolist(),
        restlessness=decay.restlessness().item(),
        validation=validation,
    )


def _checkpoint(trainer: Trainer, selection: Selection, job: _Job) -> Checkpoint:
    data, config = job.data, job.config
    record = TrainingRecord(
        split=job.identity.split,
        seed=config.seed,
        event_count=len(data),
        user_count=len(np.unique(data.user_E)),
        last_event_time=datetime.fromtimestamp(float(data.time_s_E.max()), UTC),
        data_sha256=job.identity.data_sha256,
        validation=selection.validation,
    )
    queries_QD, query_log_share_UK = _queries(trainer, data, config, selection)
    return Checkpoint(
        settings=config,
        model=trainer.model.cpu(),
        actions=list(data.actions),
        scoring=selection.scoring,
        calibration=selection.calibration,
        training=record,
        log_popularity_I=log_popularity(data, selection.scoring.popularity_half_life_s),
        queries_QD=queries_QD,
        query_log_share_UK=query_log_share_UK,
        catalogue=data.catalogue,
        reader=None if job.content is None else job.content.reader,
    )


def _queries(
    trainer: Trainer, data: Dataset, config: TrainConfig, selection: Selection
) -> tuple[FloatArray, FloatArray]:
    """The interests and log shares of users in random order: what an index will be asked, without saying by whom."""
    active_U = np.flatnonzero(np.diff(data.offset_U1))
    rng = np.random.default_rng(config.seed)
    chosen_U = rng.permutation(active_U)[:QUERY_USER_COUNT]
    pipeline = model_pipeline(trainer.model, data, selection.scoring, config.max_history)
    histories = [data.history(int(user)) for user in chosen_U]
    queries = [Query(history, float(history.time_s_N[-1]), limit=1) for history in histories]
    drawn = [interests for interests in pipeline.interests(queries) if interests is not None]
    log_share_UK = np.array([interests.log_share_K for interests in drawn], np.float32)
    return np.concatenate([interests.vectors_KD for interests in drawn]), log_share_UK
