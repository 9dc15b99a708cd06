"""How the status of a server looks on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from unbraid_cli.console import facts_table, rows_table
from unbraid_cli.moments import minute
from unbraid_client import CatalogueStatus, RecallStatus, SecurityStatus, ServerStatus, ServingStatus
from unbraid_core.counted import counted

__all__ = ["answering_releases", "print_status"]


def print_status(statuses: Sequence[ServerStatus], console: Console) -> None:
    """What the server is made of, one fact a line; of several workers a row for what each says of itself."""
    status, *others = statuses
    release, device = status.release, status.device
    error = next((each.last_activation_error for each in statuses if each.last_activation_error), None)
    facts = {
        "release": answering_releases(statuses),
        **({"refused": f"{error.message} ({minute(error.time)})"} if error else {}),
        "space": release.space_id,
        "built": minute(release.created_time),
        "catalogue": _catalogue(release.item_count, status.catalogue),
        "encoder": f"{counted(release.interest_count, 'interest')} x {counted(release.dimension, 'dimension')}, "
        f"last {counted(release.max_history, 'event')}",
        "index": f"{release.index_family}, recall@{release.index_recall_at} {release.index_recall:.4f}",
        **({} if others else {"live recall": _live_recall(status.live_recall)}),
        "ranking": ", ".join(release.ranking_profiles),
        "device": f"{device.active} (asked for {device.requested}{'; ' * bool(device.reason)}{device.reason})",
        **({"retrieval": f"{device.retrieval} ({device.retrieval_reason})"} if device.retrieval else {}),
        "providers": f"{', '.join(device.providers)}, {counted(device.intra_op_thread_count, 'thread')} a call",
        "security": _security(status.security),
        "workers": f"{len(statuses)} of {status.worker_count} answered",
        "users": str(status.user_count),
        "calls at once": str(status.max_concurrent_calls),
        **({} if others else {"ready since": minute(status.start_time), "answered": _answered(status.serving)}),
        "versions": ", ".join(f"{name} {version}" for name, version in status.versions.items()),
    }
    console.print(facts_table(facts))
    if others:
        console.print()
        console.print(rows_table([("worker", "ready since", "answered", "live recall"), *map(_worker_row, statuses)]))


def answering_releases(statuses: Sequence[ServerStatus]) -> str:
    """One, but while workers go from one to another, or some cannot."""
    of_release: dict[str, list[str]] = {}
    for status in statuses:
        of_release.setdefault(status.release.release_id, []).append(str(status.worker_number))
    if len(of_release) == 1:
        return next(iter(of_release))
    return ", ".join(f"{release_id} (worker {' '.join(numbers)})" for release_id, numbers in of_release.items())


def _worker_row(status: ServerStatus) -> tuple[str, ...]:
    own = str(status.worker_number), minute(status.start_time)
    return (*own, _answered(status.serving), _live_recall(status.live_recall))


def _answered(serving: ServingStatus) -> str:
    durations_s = serving.durations_s
    p50_s, p99_s = durations_s.quantile(0.5), durations_s.quantile(0.99)
    shed_count = sum(serving.shed.values())
    if p50_s is None or p99_s is None:
        return "no calls yet"
    return (
        f"{counted(durations_s.count, 'call')}, p50 {p50_s * 1e3:.1f} ms, p99 {p99_s * 1e3:.1f} ms, {shed_count:,} shed"
    )


def _catalogue(item_count: int, status: CatalogueStatus) -> str:
    parts = [counted(item_count, "item")]
    if status.changed_item_count or status.replaced_item_count:
        parts.append(f"{status.changed_item_count:,} new or changed, {status.replaced_item_count:,} changed or deleted")
    if status.homeless_item_count:
        parts.append(f"{status.homeless_item_count:,} not shown, because they have no vector of this space")
    if status.rebuild_reason:
        parts.append(status.rebuild_reason)
    return "; ".join(parts)


def _security(status: SecurityStatus) -> str:
    expire_time = status.certificate_expire_time
    parts = ["no TLS" if expire_time is None else f"TLS, certificate until {minute(expire_time)}"]
    parts.append("callers are authenticated" if status.authenticated else "no authentication")
    if status.refused_files:
        parts.append(f"changed and refused, see the log: {', '.join(status.refused_files)}")
    return "; ".join(parts)


def _live_recall(recall: RecallStatus) -> str:
    if recall.merged_recall is None or recall.merged_recall_p05 is None:
        return "no live question was sampled yet"
    figures = f"{recall.merged_recall:.4f}, 5th percentile {recall.merged_recall_p05:.4f}, of {recall.sample_count}"
    return f"{figures}; rebuild due: {recall.rebuild_reason}" if recall.rebuild_reason else figures
