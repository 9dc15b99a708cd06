from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbraid_core.errors import Conflict, IncompatibleError, IntegrityError, NotFound
from unbraid_core.release import ReleaseStore

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def ids(store: ReleaseStore) -> list[str]:
    """The releases of the first, second and third day."""
    return sorted(each.release_id for each in store.list())


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_list_is_newest_first_and_marks_the_active_one(store: ReleaseStore) -> None:
    first, second, third = ids(store)
    store.activate(second, NOW)
    assert [each.release_id for each in store.list()] == [third, second, first]
    assert [each.active for each in store.list()] == [False, True, False]
    assert all(each.problem is None for each in store.list())
    assert store.list()[0].size_bytes == sum(file.size for file in store.manifest(third).files.values())


def test_a_broken_release_is_listed_with_its_reason_and_spoils_nothing(store: ReleaseStore) -> None:
    first, second, third = ids(store)
    damage(store.root / third / "manifest.json")
    (store.root / second / "index.faiss").unlink()
    (store.root / "empty").mkdir()
    (store.root / ".staging-1-abc").mkdir()
    (store.root / "stray file").write_text("")
    shown = {each.release_id: each for each in store.list()}
    assert list(shown) == [second, first, "empty", third]
    assert shown[first].problem is None
    assert shown[second].created_time == datetime(2026, 1, 2, tzinfo=UTC)
    assert "index.faiss: expected" in (shown[second].problem or "")
    assert f"{third}/manifest.json" in (shown[third].problem or "")
    assert shown[third].created_time is None
    assert "empty/manifest.json: No such file" in (shown["empty"].problem or "")


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    store = ReleaseStore(tmp_path / "nowhere")
    assert store.list() == []
    assert store.current_id() is None
    with pytest.raises(NotFound, match="no release 'x'; there is no such folder"):
        store.activate("x", NOW)
    with pytest.raises(NotFound, match="no release is active"):
        store.rollback(NOW)


def test_the_active_release_is_the_default(store: ReleaseStore) -> None:
    first, second, third = ids(store)
    with pytest.raises(NotFound, match=f"no release is active; there are {first}, {second}, {third}"):
        store.open()
    store.activate(first, NOW)
    assert store.open().manifest == store.manifest() == store.manifest(first)
    assert (store.root / "CURRENT").read_text() == f"{first}\n"


@pytest.mark.parametrize("name", ["nothing", "", ".", "..", "../releases", "CURRENT", ".lock"])
def test_an_unknown_release_is_not_found_and_the_known_ones_are_named(store: ReleaseStore, name: str) -> None:
    store.activate(ids(store)[0], NOW)
    for call in (store.manifest, store.open, lambda unknown: store.activate(unknown, NOW)):
        with pytest.raises(NotFound, match=re.escape(f"no release {name!r}; there are {', '.join(ids(store))}")):
            call(name)


@pytest.mark.parametrize("name", ["user_encoder.onnx", "item_vectors.npy", "reports/index.json", "manifest.json"])
def test_a_damaged_release_cannot_become_active(store: ReleaseStore, name: str) -> None:
    first, second, _ = ids(store)
    store.activate(first, NOW)
    damage(store.root / second / name)
    with pytest.raises(IntegrityError, match=re.escape(f"{second}/{name}")):
        store.activate(second, NOW)
    assert store.current_id() == first


def test_a_renamed_release_is_refused(store: ReleaseStore) -> None:
    (store.root / ids(store)[0]).rename(store.root / "renamed")
    with pytest.raises(IntegrityError, match=r"renamed/manifest\.json: release_id"):
        store.activate("renamed", NOW)


def test_a_linked_release_does_not_count(store: ReleaseStore) -> None:
    (store.root / "linked").symlink_to(store.root / ids(store)[0])
    with pytest.raises(NotFound):
        store.open("linked")


def test_a_probe_has_the_last_word(store: ReleaseStore) -> None:
    first, second, _ = ids(store)
    store.activate(first, NOW)
    asked: list[Path] = []

    def refuse(folder: Path) -> None:
        asked.append(folder)
        raise IncompatibleError("wrong answers")

    with pytest.raises(IncompatibleError, match="wrong answers"):
        store.activate(second, NOW, refuse)
    assert asked == [store.root / second]
    assert store.current_id() == first
    store.activate(second, NOW, asked.append)
    assert store.current_id() == second


def test_activations_are_logged(store: ReleaseStore) -> None:
    first, second, _ = ids(store)
    store.activate(first, NOW)
    store.activate(second, NOW + timedelta(hours=1))
    store.rollback(NOW + timedelta(hours=2))
    lines = [json.loads(line) for line in (store.root / "ACTIVATIONS").read_text().splitlines()]
    assert lines == [
        {"time": "2026-07-01T00:00:00Z", "release_id": first, "rollback": False},
        {"time": "2026-07-01T01:00:00Z", "release_id": second, "rollback": False},
        {"time": "2026-07-01T02:00:00Z", "release_id": first, "rollback": True},
    ]


def test_two_rollbacks_go_back_two_steps(store: ReleaseStore) -> None:
    first, second, third = ids(store)
    for release_id in (first, second, third):
        store.activate(release_id, NOW)
    assert store.rollback(NOW) == second
    assert store.rollback(NOW) == first == store.current_id()
    with pytest.raises(Conflict, match=f"no release was active before {first}"):
        store.rollback(NOW)
    store.activate(third, NOW)
    assert store.rollback(NOW) == first


def test_a_rollback_skips_what_is_gone(store: ReleaseStore) -> None:
    first, second, third = ids(store)
    for release_id in (first, second, third):
        store.activate(release_id, NOW)
    shutil.rmtree(store.root / second)
    shutil.rmtree(store.root / third)
    assert store.rollback(NOW) == first
    assert store.open().manifest.release_id == first


def test_a_rollback_to_a_damaged_release_is_refused(store: ReleaseStore) -> None:
    first, second, _ = ids(store)
    store.activate(first, NOW)
    store.activate(second, NOW)
    damage(store.root / first / "index.faiss")
    with pytest.raises(IntegrityError, match=first):
        store.rollback(NOW)
    assert store.current_id() == second


def test_a_damaged_pointer_or_log_is_named_with_the_remedy(store: ReleaseStore) -> None:
    first, second, _ = ids(store)
    store.activate(first, NOW)
    store.activate(second, NOW)
    with (store.root / "ACTIVATIONS").open("a") as log:
        log.write("{}\n")
    with pytest.raises(IntegrityError, match=r"ACTIVATIONS: line 3: expected an activation, .* remove that line"):
        store.rollback(NOW)
    (store.root / "ACTIVATIONS").unlink()
    (store.root / "CURRENT").write_bytes(b"../elsewhere\n")
    with pytest.raises(IntegrityError, match=r"CURRENT: expected a release_id, .* remove the file"):
        store.list()
    (store.root / "CURRENT").unlink()
    store.activate(first, NOW)
    assert store.current_id() == first


def model_rollback(standing: list[str], alive: set[str]) -> str | None:
    """What a rollback has to do to a plain list of what was activated and not taken back."""
    current = standing[-1]
    while standing and (standing[-1] == current or standing[-1] not in alive):
        standing.pop()
    return standing[-1] if standing else None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(-1, 2), min_size=1, max_size=10))
def test_any_history_rolls_back_like_a_stack(store: ReleaseStore, steps: list[int]) -> None:
    for name in ("CURRENT", "ACTIVATIONS"):
        (store.root / name).unlink(missing_ok=True)
    known = ids(store)
    standing: list[str] = []
    for step in steps:
        if step >= 0:
            store.activate(known[step], NOW)
            standing.append(known[step])
        elif standing:
            after = standing.copy()
            expected = model_rollback(after, set(known))
            if expected is None:
                with pytest.raises(Conflict):
                    store.rollback(NOW)
            else:
                assert store.rollback(NOW) == expected
                standing = after
        assert store.current_id() == (standing[-1] if standing else None)


def test_reading_writes_nothing(store: ReleaseStore) -> None:
    store.activate(ids(store)[0], NOW)
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    reader = ReleaseStore(store.root)
    reader.list()
    reader.open()
    reader.manifest()
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before
