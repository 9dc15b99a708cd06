"""Load for a server of unbraid, over its own contract: when calls are made, what is asked, and what became of it."""

from unbraid_load.arrivals import Step, parse_steps
from unbraid_load.calls import CallKind, Question, prepare
from unbraid_load.plan import ClosedLoop, LoadPlan, OpenLoop
from unbraid_load.report import LoadReport, Outcome, Percentiles, StepReport, TimelineRow
from unbraid_load.run import LoadFailed, Progress, run_load
from unbraid_load.subjects import Subject, draw_histories, read_item_ids
from unbraid_load.thresholds import Threshold, parse_threshold

__all__ = [
    "CallKind",
    "ClosedLoop",
    "LoadFailed",
    "LoadPlan",
    "LoadReport",
    "OpenLoop",
    "Outcome",
    "Percentiles",
    "Progress",
    "Question",
    "Step",
    "StepReport",
    "Subject",
    "Threshold",
    "TimelineRow",
    "draw_histories",
    "parse_steps",
    "parse_threshold",
    "prepare",
    "read_item_ids",
    "run_load",
]
