"""Making exports and releases out of the files that lie in a staging folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from unbraid_core.calibration import Calibration
from unbraid_core.errors import IntegrityError
from unbraid_core.release.files import entries
from unbraid_core.release.index_spec import IndexSpec
from unbraid_core.release.layout import USER_FILES
from unbraid_core.release.manifest import FORMAT_VERSION, ExportManifest, FileEntry, ReleaseManifest
from unbraid_core.release.release import Export, Release
from unbraid_core.release.staging import Probe, Staging
from unbraid_core.release.trained_parts import EncoderSpec, ItemEncoderSpec, RankerSpec, TrainingRecord
from unbraid_core.types import Precision, Profile, Scoring

__all__ = ["publish_export", "publish_release"]


def publish_export(
    staging: Staging,
    name: str,
    *,
    space_id: str,
    created_time: datetime,
    encoder: EncoderSpec,
    half_life_s: Sequence[float],
    scoring: Scoring,
    training: TrainingRecord,
    ranker: RankerSpec | None = None,
    calibrations: Mapping[Profile, Calibration] = MappingProxyType({}),
    encoder_precision: Precision = Precision.FP32,
    vector_precision: Precision = Precision.FP32,
    item_encoder: ItemEncoderSpec | None = None,
) -> ExportManifest:
    """Publish what lies in the staging folder as the export ``name`` under the root of the staging.

    Every file in the folder becomes part of it: those of ``layout.EXPORT_FILES``, perhaps ``layout.USER_FILES``,
    reports, and those of ``layout.RANKER_FILES`` where there is a ranker.

    Args:
        staging: holds the files; it is empty afterwards.
        name: of the folder.
        space_id: digest of the weights that define the vector space.
        created_time: with a time zone.
        encoder: shape and vocabulary.
        half_life_s: seconds, one per interest.
        scoring: numbers of the score formula.
        training: what the model has seen.
        ranker: what ``layout.RANKER`` was trained on, None where there is none.
        calibrations: scores to probabilities, for each profile that has them.
        encoder_precision: of the weights in the encoder's file.
        vector_precision: of the item vectors in their file.
        item_encoder: how the item encoder is fed, if there is one.

    Raises:
        Conflict: the name is taken.
        pydantic.ValidationError: a value is out of range or a file is missing: a mistake of the calling code.
    """
    manifest = ExportManifest(
        format_version=FORMAT_VERSION,
        space_id=space_id,
        created_time=created_time,
        encoder=encoder,
        half_life_s=list(half_life_s),
        scoring=scoring,
        training=training,
        ranker=ranker,
        calibration={str(profile): calibration for profile, calibration in calibrations.items()},
        encoder_precision=encoder_precision,
        vector_precision=vector_precision,
        item_encoder=item_encoder,
        files=entries(staging.folder),
    )
    return staging.publish(name, manifest)


def publish_release(
    staging: Staging,
    source: Export | Release,
    *,
    index: IndexSpec,
    parent: str | None,
    created_time: datetime,
    catalogue_sequence: int = 0,
    probe: Probe | None = None,
) -> ReleaseManifest:
    """Publish a release: the files of the source, with those in the staging folder in front of them.

    The staging folder holds at least the index. The release_id is the time and a digest of the files, so that a rebuild
    that changed nothing can be told at a glance.

    Args:
        staging: its root is the folder of releases; it is empty afterwards.
        source: an export, or the release whose index is built anew.
        index: how the index was built.
        parent: the release that this one is built to follow.
        created_time: with a time zone.
        catalogue_sequence: number of the last change of the live catalogue that the files have folded in.
        probe: gets the complete folder before it is published, and raises where that must not happen.

    Raises:
        Conflict: a release of equal content and parent was published in the same second.
        IntegrityError: the source was changed since it was opened.
        pydantic.ValidationError: as ``publish_export``.
    """
    taken = _take_files(source, staging)
    files = entries(staging.folder)
    changed = [name for name in taken if files[name] != source.manifest.files[name]]
    if changed:
        raise IntegrityError(f"{source.folder.name}/{changed[0]}: changed while a release was made of it")
    manifest = ReleaseManifest(
        **{name: getattr(source.manifest, name) for name in ExportManifest.model_fields}
        | {"created_time": created_time, "files": files},
        release_id=_release_id(created_time, source.manifest.space_id, parent, files),
        parent=parent,
        index=index,
        catalogue_sequence=catalogue_sequence,
    )
    return staging.publish(manifest.release_id, manifest, probe)


def _take_files(source: Export | Release, staging: Staging) -> list[str]:
    """Add what the staging folder does not have yet, but never the queries: a release holds no user data.

    The files of a release are never written to, so releases of one folder share them: that saves room on the disk, and
    in memory while a server goes from one to the other. What comes from elsewhere is copied, whoever owns it may write.
    """
    take = _link if source.folder.parent == staging.root.resolve() else shutil.copyfile
    names = [name for name in source.manifest.files if name not in USER_FILES and not (staging.folder / name).exists()]
    for name in names:
        target = staging.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        take(source.path(name), target)
    return names


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the file system has none, or no more for this file."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _release_id(created_time: datetime, space_id: str, parent: str | None, files: Mapping[str, FileEntry]) -> str:
    content = "\n".join([space_id, parent or "", *(f"{path} {file.sha256}" for path, file in sorted(files.items()))])
    return f"{created_time.astimezone(UTC):%Y%m%dT%H%M%SZ}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
