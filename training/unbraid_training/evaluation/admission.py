"""Which split a release may be judged by: one whose held-out events it cannot have learnt from."""

from __future__ import annotations

from datetime import UTC, datetime

from unbraid_core.errors import InvalidInput
from unbraid_core.release.trained_parts import TrainingRecord
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.holdout import Holdout
from unbraid_training.data.splits import Split, parse_split

__all__ = ["admit"]


def admit(record: TrainingRecord, dataset: Dataset, split_text: str | None) -> tuple[Split, Holdout]:
    """The split to judge a release by, and its holdout.

    Args:
        record: what the manifest says of the training.
        dataset: the data that the release was trained on, before they were parted.
        split_text: the wanted split; None for the one of the training.

    Returns:
        The training's own split, or another one in which every user asks after the last event of the training.

    Raises:
        InvalidInput: the data are not those of the training, or the release may have seen events of the split.
    """
    own = parse_split(record.split)
    holdout = own.apply(dataset)
    found, expected = holdout.train.sha256(), record.data_sha256
    if found != expected:
        raise InvalidInput(
            "data",
            f"its training part has sha256 {found[:12]}..., the release was trained on {expected[:12]}...; "
            "name the folder that the release was trained on, unchanged",
        )
    wanted = own if split_text is None else parse_split(split_text)
    if str(wanted) == str(own):
        return own, holdout
    other = wanted.apply(dataset)
    last_s = record.last_event_time.timestamp()
    if len(other) > 0 and other.now_s_H.min() <= last_s:
        raise InvalidInput(
            "split",
            f"{wanted} holds out events from {_text(float(other.now_s_H.min()))} on, but the release was trained with "
            f"{own} on events up to {_text(last_s)}; leave --split out, or train again with it",
        )
    return wanted, other


def _text(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
