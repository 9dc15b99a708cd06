from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from unbraid_cli.release import app
from unbraid_core.errors import Conflict, IncompatibleError, IntegrityError, NotFound, UnbraidError
from unbraid_core.item_change import ItemChange
from unbraid_core.release import ReleaseStore, Staging, open_release, publish_release
from unbraid_index.release_build import rebuild_release
from unbraid_server import limited
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.trial import try_release


@pytest.fixture
def store(tmp_path: Path, release_v1: Path) -> ReleaseStore:
    """Two releases of equal content, made on two days."""
    source = open_release(release_v1)
    for day in (1, 2):
        created_time = datetime(2026, 3, day, 15, 30, tzinfo=UTC)
        with Staging(tmp_path / "releases") as staging:
            publish_release(staging, source, index=source.manifest.index, parent=None, created_time=created_time)
    return ReleaseStore(tmp_path / "releases")


def ids(store: ReleaseStore) -> list[str]:
    return sorted(each.release_id for each in store.list())


def run(store: ReleaseStore, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--releases", str(store.root)], env={"COLUMNS": "200"})


def refusal(store: ReleaseStore, *arguments: str) -> UnbraidError:
    """The error that the command prints as one line."""
    error = run(store, *arguments).exception
    assert isinstance(error, UnbraidError)
    assert "\n" not in error.message
    return error


def test_the_first_activation_and_the_way_back(store: ReleaseStore) -> None:
    first, second = ids(store)
    assert run(store, "activate", first).stdout == f"active release: {first} (before: none)\n"
    assert run(store, "activate", second).stdout == f"active release: {second} (before: {first})\n"
    assert run(store, "rollback").stdout == f"active release: {first} (before: {second})\n"
    assert store.current_id() == first
    assert isinstance(refusal(store, "rollback"), Conflict)


def test_the_list_shows_what_is_active_and_what_is_broken(store: ReleaseStore) -> None:
    first, second = ids(store)
    store.activate(first, datetime(2026, 3, 3, tzinfo=UTC))
    (store.root / second / "index.faiss").unlink()
    header, *rows = run(store, "list").stdout.splitlines()
    assert header.split() == ["active", "release", "created", "(UTC)", "size", "state"]
    assert rows[0].split()[:5] == [second, "2026-03-02", "15:30", "0.0", "MB"]
    assert "index.faiss: expected 813 bytes, found no such file" in rows[0]
    assert rows[1].split() == ["*", first, "2026-03-01", "15:30", "0.0", "MB", "ok"]


def test_the_list_as_json(store: ReleaseStore) -> None:
    listed = json.loads(run(store, "list", "--json").stdout)
    assert [each["release_id"] for each in listed] == ids(store)[::-1]
    size_bytes = store.list()[0].size_bytes
    assert listed[0] == {
        "release_id": ids(store)[1],
        "active": False,
        "created_time": "2026-03-02T15:30:00+00:00",
        "parent": None,
        "size_bytes": size_bytes,
        "problem": None,
    }


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    nothing = ReleaseStore(tmp_path)
    assert "unbraid index build EXPORT" in run(nothing, "list").stdout
    assert run(nothing, "list", "--json").stdout == "[]\n"


def test_show_prints_the_manifest(store: ReleaseStore) -> None:
    first, second = ids(store)
    store.activate(second, datetime(2026, 3, 3, tzinfo=UTC))
    assert json.loads(run(store, "show").stdout)["release_id"] == second
    shown = run(store, "show", first).stdout
    assert json.loads(shown) == json.loads((store.root / first / "manifest.json").read_text())


def test_verify_says_that_all_is_well_or_what_is_not(store: ReleaseStore) -> None:
    first, _ = ids(store)
    assert run(store, "verify", first).stdout == f"{first} is intact: 6 files, 0.0 MB, 24 items\n"
    assert isinstance(refusal(store, "verify"), NotFound)
    (store.root / first / "reports" / "extra.txt").write_text("surprise")
    assert "reports/extra.txt: found a file that manifest.json does not list" in refusal(store, "verify", first).message


def test_the_folder_can_come_from_the_environment(store: ReleaseStore) -> None:
    done = CliRunner().invoke(app, ["verify", ids(store)[0]], env={"UNBRAID_RELEASES": str(store.root)})
    assert "is intact" in done.stdout


def test_an_unknown_release_is_refused_with_the_known_ones(store: ReleaseStore) -> None:
    for command in ("show", "verify", "activate"):
        error = refusal(store, command, "yesterday")
        assert isinstance(error, NotFound)
        assert ", ".join(ids(store)) in error.message


def test_a_damaged_release_is_not_activated(store: ReleaseStore) -> None:
    first, second = ids(store)
    run(store, "activate", first)
    encoder = store.root / second / "user_encoder.onnx"
    encoder.write_bytes(encoder.read_bytes()[:-1])
    error = refusal(store, "activate", second)
    assert isinstance(error, IntegrityError)
    assert error.message == f"{second}/user_encoder.onnx: expected 1276 bytes, found 1275"
    assert store.current_id() == first


def test_an_intact_release_that_does_not_work_is_not_activated(store: ReleaseStore) -> None:
    """Its digests are right, but the encoder was never one."""
    first, _ = ids(store)
    run(store, "activate", first)
    source = store.open(first)
    with Staging(store.root) as staging:
        (staging.folder / "user_encoder.onnx").write_bytes(b"not a model")
        broken = publish_release(
            staging,
            source,
            index=source.manifest.index,
            parent=first,
            created_time=source.manifest.created_time + timedelta(days=9),
        )
    assert run(store, "verify", broken.release_id).exit_code == 0
    error = refusal(store, "activate", broken.release_id)
    assert isinstance(error, IncompatibleError)
    assert broken.release_id in error.message
    assert "user_encoder.onnx" in error.message
    assert store.current_id() == first


def test_a_release_that_crashes_native_code_takes_only_its_own_process_with_it(
    tmp_path: Path, release_v1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No release is known to crash today's libraries, so a process that crashes stands in for one that met it."""
    package = tmp_path / "unbraid_server"
    package.mkdir()
    (package / "__init__.py").write_text("")
    shutil.copy(limited.__file__, package)
    (package / "probe.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path), *sys.path]))
    with pytest.raises(IncompatibleError, match=r"release-v1: .* was killed by SIGSEGV; it is not fit to serve"):
        try_release(release_v1)


def test_a_trial_is_limited_and_leaves_no_core_file(tmp_path: Path) -> None:
    (tmp_path / "print_limits.py").write_text(
        "import json, os, resource, sys\n"
        "cpu_s, core = (resource.getrlimit(each) for each in (resource.RLIMIT_CPU, resource.RLIMIT_CORE))\n"
        "nice = os.getpriority(os.PRIO_PROCESS, 0)\n"
        "json.dump({'cpu_s': cpu_s, 'core': core, 'nice': nice, 'arguments': sys.argv[1:]}, sys.stdout)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "unbraid_server.limited", "print_limits", "an argument"],
        env={"PYTHONPATH": ":".join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    limits = json.loads(done.stdout)
    assert limits.pop("nice") >= 10
    assert limits == {"cpu_s": [120, 121], "core": [0, 0], "arguments": ["an argument"]}


def test_gc_says_of_every_release_why_it_stays_or_that_it_is_gone(store: ReleaseStore) -> None:
    first, second = ids(store)
    run(store, "activate", first)
    assert run(store, "gc", "--keep", "1").stdout.splitlines()[:2] == [
        f"{second}  kept: among the newest 1",
        f"{first}  kept: active",
    ]
    assert run(store, "gc", "--keep", "0").stdout.splitlines()[:2] == [f"{second}  removed", f"{first}  kept: active"]
    assert ids(store) == [first]


def test_keys_signatures_and_what_a_key_demands(store: ReleaseStore, tmp_path: Path) -> None:
    first, second = ids(store)
    key, public = tmp_path / "key", tmp_path / "key.pub"
    made = CliRunner().invoke(app, ["keygen", str(key)], env={"COLUMNS": "200"})
    assert made.stdout == f"keep {key} secret; give {public} to servers: unbraid serve --public-key {public}\n"
    assert run(store, "sign", first, "--key", str(key)).stdout == f"{first} is signed\n"
    assert run(store, "activate", first, "--public-key", str(public)).exit_code == 0
    for command in ("verify", "activate"):
        assert "a signature is demanded" in refusal(store, command, second, "--public-key", str(public)).message
    assert store.current_id() == first


def test_gc_forgets_the_changes_that_every_release_has(store: ReleaseStore) -> None:
    _, second = ids(store)
    catalogue = SqliteCatalogueStore(store.root / "catalogue.sqlite")
    catalogue.apply([ItemChange("k00", None), ItemChange("k01", None)])
    store.activate(second, datetime(2026, 3, 3, tzinfo=UTC))
    folded = rebuild_release(store, None, None, datetime(2026, 3, 4, tzinfo=UTC), 0.99, live_catalogue=catalogue)
    catalogue.apply([ItemChange("k02", None)])
    store.activate(folded.manifest.release_id, datetime(2026, 3, 4, tzinfo=UTC))
    assert "forgot 0 changes" in run(store, "gc", "--keep", "1").stdout
    store.activate(folded.manifest.release_id, datetime(2026, 3, 4, tzinfo=UTC))
    shutil.rmtree(store.root / second)
    assert "forgot 2 changes" in run(store, "gc", "--keep", "1").stdout
    assert [change.item_id for change in catalogue.changes(0)] == ["k02"]
    catalogue.close()
