"""The methods by name, each with the small grid that is searched on the validation windows.

A name reads as a recipe: ``ease-decay+own+pop`` is EASE on profiles that fade, plus the user's own frequency, plus
log popularity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from unbraid_core.errors import InvalidInput
from unbraid_training.baselines.baseline import Baseline, View
from unbraid_training.baselines.blend import Link, OwnTerm, Prior
from unbraid_training.baselines.ease import Ease
from unbraid_training.baselines.ials import Ials
from unbraid_training.baselines.item_knn import ItemKnn
from unbraid_training.baselines.own_frequency import OwnFrequency
from unbraid_training.baselines.profile import Profile
from unbraid_training.baselines.sequence_network import MAX_HISTORY, SequenceNetwork, Trunk
from unbraid_training.baselines.sequences import LatestItems, Target
from unbraid_training.baselines.user_knn import UserKnn
from unbraid_training.config import DAY_S
from unbraid_training.evaluation.cases import Task

__all__ = ["DECAYED_POPULARITY", "POPULARITY", "Method", "choose_names", "grids"]

POPULARITY, DECAYED_POPULARITY = "popularity", "popularity-decay"

TIFU_HALF_LIFE_S = 180 * DAY_S
BINARY, COUNTS = Profile(counted=False), Profile(counted=True)
FADING = tuple(Profile(counted=False, half_life_s=DAY_S * days) for days in (90, 180))
FADING_COUNTS = tuple(Profile(counted=True, half_life_s=DAY_S * days) for days in (60, 90, 180, 365))
TIFU_COUNTS = Profile(counted=True, half_life_s=TIFU_HALF_LIFE_S)

OWN_TERMS = tuple(OwnTerm(weight, DAY_S * days) for weight in (0.1, 0.2, 0.5, 1.0) for days in (60, 180))
# What the network aims at decides how much it takes to keep it from learning by heart.
NETWORK_SETTINGS = ((Target.NEXT, 0.5), (Target.LATER, 0.2))
PRIOR_DAYS = (2, 3, 7, 14)
PRIOR_WEIGHTS = {
    Link.STANDARD: (0.2, 0.5, 0.7, 1.0, 2.0),
    Link.LOG: (0.05, 0.1, 0.2, 0.4, 0.7),
    Link.LOGIT: (0.2, 0.4, 0.7, 1.0, 1.4),
}


@dataclass(frozen=True, slots=True)
class Method:
    """A method and its grid.

    Attributes:
        name: as on the command line.
        baselines, views: every pair is tried.
        owns: for each pair the best of these is taken; None adds nothing.
        priors: then the best of these.
    """

    name: str
    baselines: tuple[Baseline[Any], ...]
    views: tuple[View[Any], ...]
    owns: tuple[OwnTerm | None, ...] = (None,)
    priors: tuple[Prior | None, ...] = (None,)


def grids(seed: int) -> dict[str, Method]:
    """All methods that have a grid here, by name; ``seed`` is that of iALS and of the networks."""
    item_knn = tuple(ItemKnn(shrinkage) for shrinkage in (10.0, 50.0, 200.0))
    ease = tuple(Ease(regularisation) for regularisation in (10.0, 30.0, 100.0, 150.0, 300.0, 1000.0))
    ials = tuple(Ials(128, regularisation, 10.0, seed) for regularisation in (1.0, 10.0, 50.0))
    user_knn = tuple(UserKnn(count, own, TIFU_HALF_LIFE_S) for count in (100, 300) for own in (0.5, 0.7))
    networks = {
        trunk: tuple(SequenceNetwork(trunk, target, dropout, seed) for target, dropout in NETWORK_SETTINGS)
        for trunk in Trunk
    }
    plain = {
        # Scores of these are of either sign, or sums over neighbours.
        Link.STANDARD: [
            Method("itemknn", item_knn, (BINARY,)),
            Method("itemknn-decay", item_knn, FADING),
            Method("ease", ease, (BINARY,)),
            Method("ease-decay", ease, FADING),
            Method("ials", ials, (COUNTS,)),
        ],
        # These count, so log popularity belongs to the log of their scores.
        Link.LOG: [
            Method("userknn", user_knn, (TIFU_COUNTS,)),
            Method("own", (OwnFrequency(),), (COUNTS,)),
            Method("own-decay", (OwnFrequency(),), FADING_COUNTS),
            Method("ease-decay+own", ease, FADING, OWN_TERMS),
        ],
        # Logits of a softmax.
        Link.LOGIT: [Method(trunk, networks[trunk], (LatestItems(MAX_HISTORY),)) for trunk in Trunk],
    }
    both = [each for link, methods in plain.items() for method in methods for each in (method, _plus_pop(method, link))]
    return {method.name: method for method in both}


def choose_names(wanted: str | None, task: Task) -> list[str]:
    """The names of a comma-separated list, each once; without a list all that make sense for the task.

    Raises:
        InvalidInput: an unknown name.
    """
    known = [POPULARITY, DECAYED_POPULARITY, *grids(seed=0)]
    if wanted is None:
        # Own items are no answer in task new.
        return [name for name in known if task is Task.ALL or "own" not in name]
    names = list(dict.fromkeys(name.strip() for name in wanted.split(",")))
    for name in names:
        if name not in known:
            raise InvalidInput("methods", f"{name!r} is unknown; choose from {', '.join(known)}")
    return names


def _plus_pop(method: Method, link: Link) -> Method:
    """The method with a prior of its own."""
    priors = [Prior(link, weight, DAY_S * days) for weight in PRIOR_WEIGHTS[link] for days in PRIOR_DAYS]
    return replace(method, name=f"{method.name}+pop", priors=(None, *priors))
