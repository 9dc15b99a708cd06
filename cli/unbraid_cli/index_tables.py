"""How the command line shows what an index is like, and what else was tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbraid_cli.console import facts_table, rows_table
from unbraid_core.counted import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from unbraid_core.release import IndexSpec
    from unbraid_index.catalogue_changes import Folding
    from unbraid_index.new_items import Addition
    from unbraid_index.release_build import IndexedRelease
    from unbraid_index.release_tuning import TunedRelease
    from unbraid_index.report import Entry, IndexReport

__all__ = ["built_table", "families_table", "tuned_table", "untried_line"]

PERCENT = "_percent"


def families_table(report: IndexReport) -> Table:
    """A row for each family that was tried: how its fastest setting did with the tuning users."""
    tried = [entry for entry in report.entries if entry.outcome != "not tried"]
    return rows_table([("family", "setting", "recall", "at least", "ms", "MB", ""), *map(_entry_row, tried)])


def untried_line(report: IndexReport) -> str:
    """Which families were not tried, and why."""
    untried = [f"{entry.family} ({entry.reason})" for entry in report.entries if entry.outcome == "not tried"]
    return f"not tried: {', '.join(untried) or 'none'}"


def built_table(indexed: IndexedRelease) -> Table:
    """What a release that was just built is like."""
    report = indexed.report
    return facts_table(
        {
            "release": indexed.manifest.release_id,
            "parent": indexed.manifest.parent or "none",
            **_added(indexed.addition),
            **_folded(indexed.folding),
            "index": f"{_named(report.spec)}, {counted(report.item_count, 'item')}",
            "why": report.reason,
            "recall": _recall(report.spec),
            "search": f"{report.p50_ms:.3f} ms for {counted(report.interest_count, 'interest')} (median)",
            "size": f"{report.file_size_bytes / 1e6:.1f} MB",
        }
    )


def _folded(folding: Folding | None) -> dict[str, str]:
    if folding is None:
        return {}
    without = f", {folding.homeless_count:,} left out for want of a vector" if folding.homeless_count else ""
    return {
        "changes": f"{counted(folding.upserted_count, 'item')} upserted, {folding.deleted_count:,} deleted{without}"
    }


def tuned_table(tuned: TunedRelease) -> Table:
    """What a release that was just tuned is like, beside its parent."""
    index = tuned.manifest.index
    return facts_table(
        {
            "release": tuned.manifest.release_id,
            "parent": tuned.manifest.parent or "none",
            "before": f"{_named(tuned.earlier)}: recall {tuned.before.recall:.4f}, {tuned.before.p50_ms:.3f} ms",
            "after": f"{_named(index)}: recall {tuned.after.recall:.4f}, {tuned.after.p50_ms:.3f} ms",
            "recall": _recall(index),
            "trials": str(len(tuned.trials)),
        }
    )


def _entry_row(entry: Entry) -> tuple[str, ...]:
    size = f"{entry.size_bytes / 1e6:.1f}"
    if entry.tuned is None:
        return entry.family, "", "", "", "", size, entry.outcome
    tuned = entry.tuned
    recalls = f"{tuned.recall:.4f}", f"{tuned.lower_bound:.4f}"
    return entry.family, _setting(tuned.search_params), *recalls, f"{tuned.p50_ms:.3f}", size, entry.outcome


def _named(spec: IndexSpec) -> str:
    setting = _setting(spec.search_params)
    return f"{spec.family}, {setting}" if setting else spec.family


def _setting(search_params: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name.removesuffix(PERCENT)} {value}%" if name.endswith(PERCENT) else f"{name} {value}"
        for name, value in search_params.items()
    )


def _recall(spec: IndexSpec) -> str:
    bound = "" if spec.recall_lower_bound is None else f" (at least {spec.recall_lower_bound:.4f})"
    return f"{spec.recall:.4f}{bound}, merged, of {spec.query_source}"


def _added(addition: Addition | None) -> dict[str, str]:
    if addition is None:
        return {}
    without = f", {addition.wordless_count:,} without a known word" if addition.wordless_count else ""
    return {"new items": f"{addition.added_count:,} added{without}; {addition.known_count:,} were there before"}
