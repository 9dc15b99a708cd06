"""The report of ``unbraid inspect``: what a model makes of histories, and how varied what it recommends is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from unbraid_core.categories import Categories
from unbraid_core.counted import counted
from unbraid_core.pipeline import Pipeline
from unbraid_core.types import Interests, Query
from unbraid_training.evaluation.bootstrap import CONFIDENCE, RESAMPLES
from unbraid_training.evaluation.cases import Cases
from unbraid_training.evaluation.contrast import Contrast, contrast_rows
from unbraid_training.evaluation.disentanglement import Disentanglement
from unbraid_training.evaluation.dissection import Dissection, dissect
from unbraid_training.evaluation.interest_profile import InterestProfile, profile_interests
from unbraid_training.evaluation.markdown import markdown_table
from unbraid_training.evaluation.report import Setting

__all__ = ["Inspection", "interests_of_cases"]

BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found.

    Attributes:
        setting: the conditions.
        profiles: of every interest.
        disentanglement: how separate they are.
        twin: release_id of another model of the same data; None where there is none to compare with.
        contrasts: this model next to the twin; empty where there is none.
        examples: histories of single users, taken apart.
    """

    setting: Setting
    profiles: list[InterestProfile]
    disentanglement: Disentanglement
    twin: str | None
    contrasts: list[Contrast]
    examples: list[Dissection]

    @classmethod
    def of(
        cls,
        setting: Setting,
        cases: Cases,
        pipeline: Pipeline,
        interests: Sequence[Interests],
        examples: Sequence[int],
        twin: str | None = None,
        contrasts: Sequence[Contrast] = (),
    ) -> Inspection:
        """Inspect a model.

        Args:
            setting: of the cases; its seed is that of the bootstrap.
            cases: users, and the catalogue of the model.
            pipeline: of the model.
            interests: of the users, in their order: see ``interests_of_cases``.
            examples: positions of the users whose histories to show.
            twin: release_id of the model that ``contrasts`` compare with.
            contrasts: see ``contrast``.
        """
        categories = Categories.of(cases.catalogue)
        half_life_s_K = pipeline.half_life_s_K
        return cls(
            setting=setting,
            profiles=profile_interests(interests, half_life_s_K, cases.catalogue, categories),
            disentanglement=Disentanglement.of(interests, categories, setting.seed),
            twin=twin,
            contrasts=list(contrasts),
            examples=[
                dissect(
                    cases.user_id(each), interests[each], float(cases.now_s_H[each]), half_life_s_K, cases.catalogue
                )
                for each in examples
            ],
        )

    def to_json(self) -> str:
        """The report as JSON; equal reports give equal text."""
        method = {"confidence": CONFIDENCE, "resamples": RESAMPLES}
        return json.dumps({"format_version": 1, "method": method, **asdict(self)}, indent=2) + "\n"

    def to_markdown(self) -> str:
        """The report as a page."""
        setting = self.setting
        conditions = (
            f"Release {setting.release_id}, split {setting.split}, task {setting.task}, profile {setting.profile}: "
            f"{counted(setting.user_count, 'user')}. "
            f"Intervals: {CONFIDENCE:.0%} over users (bootstrap with {RESAMPLES:,} resamples; coverage: jackknife), "
            f"seed {setting.seed}."
        )
        parts = ["# Interests", conditions, markdown_table(self.profile_rows())]
        parts += ["## How separate they are", markdown_table(self.disentanglement.rows())]
        if self.twin is not None:
            parts += [f"## Next to {self.twin}", markdown_table(self.contrast_rows())]
        parts.append("## Histories taken apart")
        parts += [f"{each.title()}\n\n{markdown_table(self.strand_rows(each))}" for each in self.examples]
        return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"

    def profile_rows(self) -> list[list[str]]:
        """Cells of a table: an interest a line; the first line is the head. Without categories, no column for them."""
        kinds = any(profile.typical_categories for profile in self.profiles)
        head = ["#", "half-life", "events", "users", "alive", *(["categories"] if kinds else []), "typical items"]
        return [head, *(_profile_cells(profile, kinds=kinds) for profile in self.profiles)]

    def contrast_rows(self) -> list[list[str]]:
        """Cells of a table: a measure a line, in both models and the difference; the first line is the head."""
        return contrast_rows(self.contrasts, self.setting.release_id, str(self.twin))

    def strand_rows(self, example: Dissection) -> list[list[str]]:
        """Cells of a table: an interest of the user a line; the first line is the head."""
        body = [
            [str(strand.index), f"{strand.share:.0%}", str(len(strand.time_s)), " · ".join(strand.items)]
            for strand in example.strands
        ]
        return [["#", "alive", "events", "items"], *body]


def interests_of_cases(pipeline: Pipeline, cases: Cases, on_batch: Callable[[int], None]) -> list[Interests]:
    """The interests of every user at the moment at which they ask.

    Args:
        pipeline: over the same catalogue as the cases, row for row.
        cases: the users.
        on_batch: called after each batch with the number of users it answered.
    """
    found: list[Interests] = []
    for start in range(0, len(cases), BATCH_SIZE):
        batch = range(start, min(start + BATCH_SIZE, len(cases)))
        queries = [Query(cases.history(user), float(cases.now_s_H[user]), limit=0) for user in batch]
        found.extend(each for each in pipeline.interests(queries) if each is not None)
        on_batch(len(batch))
    return found


def _profile_cells(profile: InterestProfile, *, kinds: bool) -> list[str]:
    shares = (f"{share:.0%}" for share in (profile.event_share, profile.user_share, profile.alive_share))
    categories = [", ".join(profile.typical_categories)] if kinds else []
    half_life = f"{profile.half_life_days:.3g} d"
    return [str(profile.index), half_life, *shares, *categories, " · ".join(profile.typical_items)]
